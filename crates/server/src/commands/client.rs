//! `CLIENT`: connections, one's own and others'.

use super::tracking::{CLIENT_CACHING, CLIENT_GETREDIR, CLIENT_TRACKING, CLIENT_TRACKINGINFO};
use crate::clients::ClientInfo;
use crate::connection::command_name;
use crate::message::Message;
use crate::pause::Paused;
use crate::server::Server;
use crate::session::{Replies, Session};
use crate::waiting::{self, End};
use kinovar_command::*;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

/// The commands of this module.
pub const COMMANDS: &[Command] = &[CLIENT];

const CLIENT: Command = Command {
    name: "client",
    group: Group::Connection,
    arity: Arity::AtLeast(2),
    summary: "Commands about connections.",
    complexity: "As the subcommand",
    since: "2.4.0",
    subcommands: &[
        CLIENT_ID,
        CLIENT_NO_TOUCH,
        CLIENT_SETNAME,
        CLIENT_SETINFO,
        CLIENT_LIST,
        CLIENT_HELP,
        CLIENT_GETNAME,
        CLIENT_KILL,
        CLIENT_INFO,
        CLIENT_NO_EVICT,
        CLIENT_REPLY,
        CLIENT_UNBLOCK,
        CLIENT_PAUSE,
        CLIENT_UNPAUSE,
        CLIENT_TRACKING,
        CLIENT_TRACKINGINFO,
        CLIENT_CACHING,
        CLIENT_GETREDIR,
    ],
    ..Command::DEFAULT
};

const CLIENT_ID: Command = Command {
    name: "id",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    summary: "Tells the number of the connection.",
    complexity: "O(1)",
    since: "5.0.0",
    handler: client_id,
    ..Command::DEFAULT
};

const CLIENT_NO_TOUCH: Command = Command {
    name: "no-touch",
    group: Group::Connection,
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    args: &[Arg::one_of("enabled", &[Arg::word("on", "ON"), Arg::word("off", "OFF")])],
    summary: "Says whether this connection's commands leave the access clock of keys alone.",
    complexity: "O(1)",
    since: "7.2.0",
    handler: client_no_touch,
    ..Command::DEFAULT
};

const CLIENT_SETNAME: Command = Command {
    name: "setname",
    group: Group::Connection,
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: &[Arg::string("connection-name")],
    summary: "Names the connection.",
    complexity: "O(1)",
    since: "2.6.9",
    handler: client_setname,
    ..Command::DEFAULT
};

const CLIENT_SETINFO: Command = Command {
    name: "setinfo",
    group: Group::Connection,
    arity: Arity::Exactly(4),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: &[Arg::one_of("attr", &[Arg::string("libname").token("LIB-NAME"), Arg::string("libver").token("LIB-VER")])],
    summary: "Tells the server which client library, in which version, the connection uses.",
    complexity: "O(1)",
    since: "7.2.0",
    handler: client_setinfo,
    ..Command::DEFAULT
};

const CLIENT_LIST: Command = Command {
    name: "list",
    group: Group::Connection,
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    tips: &["nondeterministic_output"],
    args: &[
        Arg::one_of(
            "client-type",
            &[
                Arg::word("normal", "NORMAL"),
                Arg::word("master", "MASTER"),
                Arg::word("replica", "REPLICA"),
                Arg::word("pubsub", "PUBSUB"),
            ],
        )
        .token("TYPE")
        .optional()
        .since("5.0.0"),
        Arg::integer("client-id").token("ID").optional().multiple().since("6.2.0"),
    ],
    summary: "Lists the connections, all or those of a type or with given numbers.",
    complexity: "O(N) in the number of connections",
    since: "2.4.0",
    history: &[
        ("2.8.12", "Shows `id`."),
        ("5.0.0", "Takes `TYPE`."),
        ("6.0.0", "Shows `user`."),
        ("6.2.0", "Shows `argv-mem`, `tot-mem`, `laddr` and `redir`; takes `ID`."),
        ("7.0.0", "Shows `resp`, `multi-mem`, `rbs` and `rbp`."),
        ("7.0.3", "Shows `ssub`."),
        ("7.2.0", "Shows `lib-name` and `lib-ver`."),
        ("7.4.0", "Shows `watch`."),
        ("8.0.0", "Shows `io-thread`."),
    ],
    handler: client_list,
    ..Command::DEFAULT
};

const CLIENT_HELP: Command = Command {
    name: "help",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::CONNECTION,
    summary: "Explains the subcommands.",
    complexity: "O(1)",
    since: "5.0.0",
    handler: client_help,
    ..Command::DEFAULT
};

const CLIENT_GETNAME: Command = Command {
    name: "getname",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    summary: "Tells the name of the connection.",
    complexity: "O(1)",
    since: "2.6.9",
    handler: client_getname,
    ..Command::DEFAULT
};

const CLIENT_KILL: Command = Command {
    name: "kill",
    group: Group::Connection,
    arity: Arity::AtLeast(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    args: &[Arg::one_of(
        "filter",
        &[
            Arg::string("old-format").deprecated_since("2.8.12").display("ip:port"),
            Arg::one_of(
                "new-format",
                &[
                    Arg::integer("client-id").token("ID").optional().since("2.8.12"),
                    Arg::one_of(
                        "client-type",
                        &[
                            Arg::word("normal", "NORMAL"),
                            Arg::word("master", "MASTER").since("3.2.0"),
                            Arg::word("slave", "SLAVE"),
                            Arg::word("replica", "REPLICA").since("5.0.0"),
                            Arg::word("pubsub", "PUBSUB"),
                        ],
                    )
                    .token("TYPE")
                    .optional()
                    .since("2.8.12"),
                    Arg::string("username").token("USER").optional(),
                    Arg::string("addr").token("ADDR").optional().display("ip:port"),
                    Arg::string("laddr").token("LADDR").optional().since("6.2.0").display("ip:port"),
                    Arg::one_of("skipme", &[Arg::word("yes", "YES"), Arg::word("no", "NO")]).token("SKIPME").optional(),
                    Arg::integer("maxage").token("MAXAGE").optional().since("7.4.0"),
                ],
            )
            .multiple(),
        ],
    )],
    summary: "Closes connections, by address or by filters.",
    complexity: "O(N) in the number of connections",
    since: "2.4.0",
    history: &[
        ("2.8.12", "Takes filters."),
        ("2.8.12", "Takes filters."),
        ("3.2.0", "Takes `TYPE master`."),
        ("5.0.0", "`replica` means what `slave` means."),
        ("6.2.0", "Takes `LADDR`."),
        ("7.4.0", "Takes `MAXAGE`."),
    ],
    handler: client_kill,
    ..Command::DEFAULT
};

const CLIENT_INFO: Command = Command {
    name: "info",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    tips: &["nondeterministic_output"],
    summary: "Describes the connection.",
    complexity: "O(1)",
    since: "6.2.0",
    handler: client_info,
    ..Command::DEFAULT
};

const CLIENT_NO_EVICT: Command = Command {
    name: "no-evict",
    group: Group::Connection,
    arity: Arity::Exactly(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    args: &[Arg::one_of("enabled", &[Arg::word("on", "ON"), Arg::word("off", "OFF")])],
    summary: "Says whether the connection is spared when memory for clients runs out.",
    complexity: "O(1)",
    since: "7.0.0",
    handler: client_no_evict,
    ..Command::DEFAULT
};

const CLIENT_REPLY: Command = Command {
    name: "reply",
    group: Group::Connection,
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    args: &[Arg::one_of("action", &[Arg::word("on", "ON"), Arg::word("off", "OFF"), Arg::word("skip", "SKIP")])],
    summary: "Says whether the connection wants replies.",
    complexity: "O(1)",
    since: "3.2.0",
    handler: client_reply,
    ..Command::DEFAULT
};

const CLIENT_UNBLOCK: Command = Command {
    name: "unblock",
    group: Group::Connection,
    arity: Arity::AtLeast(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    args: &[
        Arg::integer("client-id"),
        Arg::one_of("unblock-type", &[Arg::word("timeout", "TIMEOUT"), Arg::word("error", "ERROR")]).optional(),
    ],
    summary: "Ends the wait of another connection's command.",
    complexity: "O(log N) in the number of connections",
    since: "5.0.0",
    lock: Lock::None,
    handler: client_unblock,
    ..Command::DEFAULT
};

/// The error for more arguments than a subcommand takes.
fn too_many(name: &str) -> CommandError {
    CommandError::owned(format!("ERR unknown subcommand or wrong number of arguments for '{name}'. Try CLIENT HELP."))
}

const CLIENT_PAUSE: Command = Command {
    name: "pause",
    group: Group::Connection,
    arity: Arity::AtLeast(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    args: &[
        Arg::integer("timeout"),
        Arg::one_of("mode", &[Arg::word("write", "WRITE"), Arg::word("all", "ALL")]).optional().since("6.2.0"),
    ],
    summary: "Lets the commands of all connections wait, or those that write.",
    complexity: "O(1)",
    since: "3.0.0",
    history: &[("6.2.0", "Takes a mode.")],
    lock: Lock::None,
    handler: client_pause,
    ..Command::DEFAULT
};

const CLIENT_UNPAUSE: Command = Command {
    name: "unpause",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    acl: Acl::CONNECTION,
    summary: "Goes on with the commands that wait.",
    complexity: "O(N) in the number of paused connections",
    since: "6.2.0",
    lock: Lock::None,
    handler: client_unpause,
    ..Command::DEFAULT
};

fn client_pause(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.left() > 2 {
        return Err(too_many("PAUSE"));
    }
    let timeout = args.take()?;
    let what = match args.next() {
        None => Paused::All,
        Some(word) if word.eq_ignore_ascii_case(b"WRITE") => Paused::Writes,
        Some(word) if word.eq_ignore_ascii_case(b"ALL") => Paused::All,
        Some(_) => return Err(CommandError::text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
    };
    let timeout = number::parse_i64(timeout);
    let timeout = timeout.ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    let timeout = u64::try_from(timeout).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    let until_ms = ctx.now_ms().checked_add(timeout).filter(|&until_ms| i64::try_from(until_ms).is_ok());
    let until_ms = until_ms.ok_or(CommandError::text("ERR timeout is out of range"))?;
    let server = Server::of(ctx);
    server.pause.begin(until_ms, what);
    server.look_for_alerts();
    ctx.reply.ok();
    Ok(())
}

fn client_unpause(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    server.pause.end();
    server.look_for_alerts();
    // Whoever holds requests up looks at the end of its turn.
    server.mailboxes.get().into_iter().flatten().for_each(|mailbox| mailbox.wake());
    ctx.reply.ok();
    Ok(())
}

fn client_unblock(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.left() > 2 {
        return Err(too_many("UNBLOCK"));
    }
    let id = args.take()?;
    let end = match args.next() {
        None => End::TimeOut,
        Some(word) if word.eq_ignore_ascii_case(b"TIMEOUT") => End::TimeOut,
        Some(word) if word.eq_ignore_ascii_case(b"ERROR") => End::Error,
        Some(_) => return Err(CommandError::text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
    };
    let id = number::parse_i64(id).ok_or(CommandError::NotInteger)?;
    let server = Server::of(ctx);
    let client = u64::try_from(id).ok().and_then(|id| server.clients.get(id));
    let was_waiting = client.is_some_and(|client| waiting::unblock(server, &client, end));
    ctx.reply.flag(was_waiting);
    Ok(())
}

fn client_help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    help::container(ctx, "client")
}

fn client_id(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let id = Session::of(ctx).info.id;
    ctx.reply.integer(id as i64);
    Ok(())
}

fn client_getname(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let name = Session::of(ctx).info.names().name;
    if name.is_empty() {
        ctx.reply.null()
    } else {
        ctx.reply.bulk(&name)
    }
    Ok(())
}

fn client_setname(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let name = args.take()?;
    check_printable(name, "Client names")?;
    Session::of(ctx).info.rename(|names| names.name = name.to_vec());
    ctx.reply.ok();
    Ok(())
}

/// An error unless every byte is printable ASCII other than the space, so that `CLIENT LIST` stays parsable.
pub fn check_printable(text: &[u8], what: &str) -> Outcome {
    if until_nul(text).iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Ok(());
    }
    Err(CommandError::owned(format!("ERR {what} cannot contain spaces, newlines or special characters.")))
}

fn client_setinfo(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (attribute, value) = (args.take()?, args.take()?);
    let is_name = attribute.eq_ignore_ascii_case(b"LIB-NAME");
    if !is_name && !attribute.eq_ignore_ascii_case(b"LIB-VER") {
        let mut text = b"ERR Unrecognized option '".to_vec();
        text.extend_from_slice(until_nul(attribute));
        text.push(b'\'');
        return Err(CommandError::Bytes(text));
    }
    check_printable(value, &String::from_utf8_lossy(attribute))?;
    Session::of(ctx).info.rename(|names| {
        let field = if is_name { &mut names.lib_name } else { &mut names.lib_version };
        *field = value.to_vec();
    });
    ctx.reply.ok();
    Ok(())
}

fn client_reply(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let session = Session::of(ctx);
    if args.accept("ON") {
        session.replies = Replies::On;
        ctx.reply.ok();
    } else if args.accept("OFF") {
        session.replies = Replies::Off;
    } else if args.accept("SKIP") {
        // Someone who wants no reply at all does not start to want all but one.
        if session.replies != Replies::Off {
            session.replies = Replies::SkipNext;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

fn on_or_off(args: &mut Args<'_>) -> Result<bool, CommandError> {
    if args.accept("ON") {
        return Ok(true);
    }
    if args.accept("OFF") { Ok(false) } else { Err(CommandError::Syntax) }
}

fn client_no_evict(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let on = on_or_off(&mut args)?;
    Session::of(ctx).info.no_evict.store(on, Relaxed);
    ctx.reply.ok();
    Ok(())
}

fn client_no_touch(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let on = on_or_off(&mut args)?;
    let session = Session::of(ctx);
    session.no_touch = on;
    session.info.no_touch.store(on, Relaxed);
    ctx.reply.ok();
    Ok(())
}

fn client_info(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let own = Own { id: Session::of(ctx).info.id, arguments: argument_bytes(&args) };
    let client = Session::of(ctx).info.clone();
    let mut line = Vec::new();
    describe(ctx.registry, ctx.now_ms(), &client, own.of(&client), &mut line);
    ctx.reply.verbatim("txt", &line);
    Ok(())
}

fn client_list(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let own = Own { id: Session::of(ctx).info.id, arguments: argument_bytes(&args) };
    let server = Server::of(ctx);
    let clients = if args.is_empty() {
        server.clients.all()
    } else if args.left() == 2 && args.accept("TYPE") {
        let kind = Kind::parse(args.take()?)?;
        server.clients.all().into_iter().filter(|client| Kind::of(client) == kind).collect()
    } else if args.left() >= 2 && args.accept("ID") {
        let mut ids = Vec::new();
        for id in args.rest() {
            ids.push(number::parse_i64(id).ok_or(CommandError::text("ERR Invalid client ID"))?);
        }
        ids.into_iter().filter_map(|id| server.clients.get(u64::try_from(id).ok()?)).collect()
    } else {
        return Err(CommandError::Syntax);
    };
    let mut text = Vec::new();
    for client in &clients {
        describe(ctx.registry, ctx.now_ms(), client, own.of(client), &mut text);
    }
    ctx.reply.verbatim("txt", &text);
    Ok(())
}

/// What a connection is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    /// No connection is one yet; the words are understood.
    Master,
    Replica,
    PubSub,
}

impl Kind {
    fn of(client: &ClientInfo) -> Kind {
        if client.is_subscribed() { Kind::PubSub } else { Kind::Normal }
    }

    fn parse(word: &[u8]) -> Result<Kind, CommandError> {
        let kinds: [(&[u8], Kind); 5] = [
            (b"normal", Kind::Normal),
            (b"master", Kind::Master),
            (b"replica", Kind::Replica),
            (b"slave", Kind::Replica),
            (b"pubsub", Kind::PubSub),
        ];
        let found = kinds.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|&(_, kind)| kind);
        found.ok_or_else(|| {
            let mut text = b"ERR Unknown client type '".to_vec();
            text.extend_from_slice(word);
            text.push(b'\'');
            CommandError::Bytes(text)
        })
    }
}

/// Whether a command is one of those of this module.
pub fn is_about_clients(entry: &registry::Entry) -> bool {
    entry.container.is_some_and(|container| container.name == CLIENT.name)
}

/// The connection that asks, about which more is known than about the others.
struct Own {
    id: u64,
    /// Bytes of its arguments.
    arguments: usize,
}

impl Own {
    /// Bytes of a connection's arguments, as far as they are known.
    fn of(&self, client: &ClientInfo) -> usize {
        if client.id == self.id { self.arguments } else { 0 }
    }
}

fn argument_bytes(args: &Args<'_>) -> usize {
    (0..args.argc()).map(|index| args.at(index).len()).sum()
}

/// Appends the line of `CLIENT LIST` for a connection, with so many bytes of arguments.
pub fn describe(registry: &Registry, now_ms: u64, client: &ClientInfo, arguments: usize, out: &mut Vec<u8>) {
    let names = client.names();
    let age_s = |since_ms: u64| now_ms.saturating_sub(since_ms) / 1000;
    let mut flags = String::new();
    let is_waiting = client.waiter.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    let tracking = &client.tracking;
    let letters = [
        (client.monitor.load(Relaxed), 'O'),
        (client.is_subscribed(), 'P'),
        (client.queued.load(Relaxed) >= 0, 'x'),
        (is_waiting || client.held.load(Relaxed), 'b'),
        (tracking.on.load(Relaxed), 't'),
        (tracking.broken.load(Relaxed), 'R'),
        (tracking.broadcast.load(Relaxed), 'B'),
        (client.is_touched(), 'd'),
        (client.closing.load(Relaxed), 'c'),
        (client.is_unix, 'U'),
        (client.no_evict.load(Relaxed), 'e'),
        (client.no_touch.load(Relaxed), 'T'),
    ];
    flags.extend(letters.iter().filter(|(on, _)| *on).map(|&(_, letter)| letter));
    if flags.is_empty() {
        flags.push('N');
    }
    let pending = client.output_pending.load(Relaxed);
    let (used, capacity) = (client.query_buffer.load(Relaxed), client.query_buffer_capacity.load(Relaxed));
    let total = client.memory_bytes() + arguments;
    let mut field = |name: &str, value: &[u8]| {
        if !out.is_empty() && !out.ends_with(b"\n") {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value);
    };
    let mut text = |name: &str, value: String| field(name, value.as_bytes());
    text("id", client.id.to_string());
    text("addr", client.addr.clone());
    text("laddr", client.laddr.clone());
    text("fd", client.fd.to_string());
    field("name", &names.name);
    let mut text = |name: &str, value: String| field(name, value.as_bytes());
    text("age", age_s(client.created_ms).to_string());
    text("idle", age_s(client.active_ms.load(Relaxed)).to_string());
    text("flags", flags);
    text("db", client.db.load(Relaxed).to_string());
    for (name, count) in ["sub", "psub", "ssub"].iter().zip(&client.subscriptions) {
        text(name, count.load(Relaxed).to_string());
    }
    text("multi", client.queued.load(Relaxed).to_string());
    text("watch", client.watched_keys().to_string());
    text("qbuf", used.to_string());
    text("qbuf-free", capacity.saturating_sub(used).to_string());
    text("argv-mem", arguments.to_string());
    text("multi-mem", client.queued_bytes.load(Relaxed).to_string());
    // Replies are written into a buffer borrowed for the turn: a connection has none of its own.
    text("rbs", "0".into());
    text("rbp", "0".into());
    text("obl", "0".into());
    text("oll", usize::from(pending > 0).to_string());
    text("omem", pending.to_string());
    text("tot-mem", total.to_string());
    text("events", if pending > 0 { "rw" } else { "r" }.into());
    text("cmd", command_name(registry, client.command.load(Relaxed)).into());
    field("user", if names.user.is_empty() { b"(superuser)" } else { &names.user });
    let mut text = |name: &str, value: String| field(name, value.as_bytes());
    let redirect = if tracking.on.load(Relaxed) { tracking.redirect.load(Relaxed) as i64 } else { -1 };
    text("redir", redirect.to_string());
    text("resp", client.resp.load(Relaxed).to_string());
    field("lib-name", &names.lib_name);
    field("lib-ver", &names.lib_version);
    let mut text = |name: &str, value: String| field(name, value.as_bytes());
    text("io-thread", client.reactor.to_string());
    text("tot-net-in", client.net_in.load(Relaxed).to_string());
    text("tot-net-out", client.net_out.load(Relaxed).to_string());
    text("tot-cmds", client.commands.load(Relaxed).to_string());
    out.push(b'\n');
}

/// Which connections `CLIENT KILL` closes: those that pass every filter given.
#[derive(Default)]
struct Filters<'a> {
    id: Option<u64>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    kind: Option<Kind>,
    user: Option<u64>,
    max_age_s: Option<u64>,
    keep_own: bool,
}

impl<'a> Filters<'a> {
    fn parse(server: &Server, mut args: Args<'a>) -> Result<Filters<'a>, CommandError> {
        let mut filters = Filters { keep_own: true, ..Filters::default() };
        while args.left() >= 2 {
            let (name, value) = (args.take()?, args.take()?);
            match name.to_ascii_lowercase().as_slice() {
                b"id" => {
                    let error = CommandError::text("ERR client-id should be greater than 0");
                    let id = number::parse_i64(value).filter(|&id| id > 0).ok_or(error)?;
                    filters.id = Some(id as u64);
                }
                b"maxage" => {
                    let error = CommandError::text("ERR maxage is not an integer or out of range");
                    let age = number::parse_i64(value).ok_or(error)?;
                    if age <= 0 {
                        return Err(CommandError::text("ERR maxage should be greater than 0"));
                    }
                    filters.max_age_s = Some(age as u64);
                }
                b"type" => filters.kind = Some(Kind::parse(value)?),
                b"addr" => filters.addr = Some(value),
                b"laddr" => filters.laddr = Some(value),
                b"user" => {
                    let users = server.acl.users();
                    let user = users
                        .get(value)
                        .ok_or_else(|| CommandError::Bytes([b"ERR No such user '", until_nul(value), b"'"].concat()))?;
                    filters.user = Some(user.id);
                }
                b"skipme" if value.eq_ignore_ascii_case(b"yes") => filters.keep_own = true,
                b"skipme" if value.eq_ignore_ascii_case(b"no") => filters.keep_own = false,
                _ => return Err(CommandError::Syntax),
            }
        }
        args.finish()?;
        Ok(filters)
    }

    fn pass(&self, client: &ClientInfo, own: u64, now_ms: u64) -> bool {
        let age_s = now_ms.saturating_sub(client.created_ms) / 1000;
        self.id.is_none_or(|id| id == client.id)
            && self.addr.is_none_or(|addr| addr == client.addr.as_bytes())
            && self.laddr.is_none_or(|laddr| laddr == client.laddr.as_bytes())
            && self.kind.is_none_or(|kind| kind == Kind::of(client))
            && self.user.is_none_or(|user| user == client.user.load(Relaxed))
            && self.max_age_s.is_none_or(|max| age_s >= max)
            && !(self.keep_own && client.id == own)
    }
}

/// Has another connection closed.
pub fn kill(server: &Server, victim: &ClientInfo) {
    // From here on nothing is taken out for it.
    if let Some(waiter) = &*victim.waiter.lock().unwrap_or_else(PoisonError::into_inner) {
        waiting::give_up(waiter);
    }
    let (conn, client) = (victim.conn.load(Relaxed), victim.id);
    server.mailbox(victim.reactor).send(Message::Kill { conn, client });
}

fn client_kill(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    let by_address = args.left() == 1;
    let filters = if by_address {
        Filters { addr: Some(args.take()?), ..Filters::default() }
    } else {
        Filters::parse(server, args)?
    };
    let (own, now_ms) = (Session::of(ctx).info.id, ctx.now_ms());
    let victims: Vec<Arc<ClientInfo>> =
        server.clients.all().into_iter().filter(|client| filters.pass(client, own, now_ms)).collect();
    for victim in &victims {
        if victim.id == own {
            Session::of(ctx).close_after_reply = true;
        } else {
            kill(server, victim);
        }
    }
    match (by_address, victims.is_empty()) {
        (true, true) => return Err(CommandError::text("ERR No such client")),
        (true, false) => ctx.reply.ok(),
        (false, _) => ctx.reply.count(victims.len()),
    }
    Ok(())
}
