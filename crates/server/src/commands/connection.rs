//! The connection itself: who it is, which database, which protocol.

use crate::acl::enforce;
use crate::acl::users::DEFAULT;
use crate::server::Server;
use crate::session::{Replies, Session};
use kinovar_command::*;
use std::sync::atomic::Ordering::Relaxed;

/// The commands of this group, CLIENT aside.
pub const COMMANDS: &[Command] = &[AUTH, ECHO, HELLO, PING, QUIT, RESET, SELECT];

const AUTH: Command = Command {
    name: "auth",
    group: Group::Connection,
    arity: Arity::AtLeast(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::NO_AUTH).or(Flags::ALLOW_BUSY),
    acl: Acl::CONNECTION,
    args: &[Arg::string("username").optional().since("6.0.0"), Arg::string("password")],
    summary: "Authenticates the connection.",
    complexity: "O(N) in the number of the user's passwords",
    since: "1.0.0",
    history: &[("6.0.0", "A user name may be given.")],
    secrets: Some(find_credentials),
    handler: auth,
    ..Command::DEFAULT
};

const ECHO: Command = Command {
    name: "echo",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
    acl: Acl::CONNECTION,
    args: &[Arg::string("message")],
    summary: "Sends the message back.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: echo,
    ..Command::DEFAULT
};

const HELLO: Command = Command {
    name: "hello",
    group: Group::Connection,
    arity: Arity::AtLeast(1),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::NO_AUTH).or(Flags::ALLOW_BUSY),
    acl: Acl::CONNECTION,
    args: &[Arg::block(
        "arguments",
        &[
            Arg::integer("protover"),
            Arg::block("auth", &[Arg::string("username"), Arg::string("password")]).token("AUTH").optional(),
            Arg::string("clientname").token("SETNAME").optional(),
        ],
    )
    .optional()],
    summary: "Negotiates the protocol, and may authenticate and name the connection.",
    complexity: "O(1)",
    since: "6.0.0",
    history: &[("6.2.0", "The version may be left out, to keep the protocol.")],
    secrets: Some(find_secrets),
    handler: hello,
    ..Command::DEFAULT
};

/// What follows `AUTH`.
fn find_secrets(args: Args<'_>, found: &mut dyn FnMut(usize)) {
    let mut index = 2;
    while index < args.argc() {
        let is = |word: &[u8]| args.at(index).eq_ignore_ascii_case(word);
        if is(b"AUTH") {
            (index + 1..index + 3).for_each(&mut *found);
            index += 2;
        } else if is(b"SETNAME") {
            index += 1;
        }
        index += 1;
    }
}

const PING: Command = Command {
    name: "ping",
    group: Group::Connection,
    arity: Arity::AtLeast(1),
    flags: Flags::FAST,
    acl: Acl::CONNECTION,
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: &[Arg::string("message").optional()],
    summary: "Answers, to show that the server lives.",
    complexity: "O(1)",
    since: "1.0.0",
    while_subscribed: true,
    handler: ping,
    ..Command::DEFAULT
};

const QUIT: Command = Command {
    name: "quit",
    group: Group::Connection,
    arity: Arity::AtLeast(1),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::NO_AUTH).or(Flags::ALLOW_BUSY),
    acl: Acl::CONNECTION,
    summary: "Closes the connection.",
    complexity: "O(1)",
    since: "1.0.0",
    deprecated: Some(Deprecated { since: "7.2.0", replaced_by: "just closing the connection" }),
    while_subscribed: true,
    is_never_queued: true,
    lock: Lock::None,
    handler: quit,
    ..Command::DEFAULT
};

const RESET: Command = Command {
    name: "reset",
    group: Group::Connection,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::NO_AUTH).or(Flags::ALLOW_BUSY),
    acl: Acl::CONNECTION,
    summary: "Brings the connection back to its initial state.",
    complexity: "O(1)",
    since: "6.2.0",
    while_subscribed: true,
    is_never_queued: true,
    lock: Lock::None,
    handler: reset,
    ..Command::DEFAULT
};

const SELECT: Command = Command {
    name: "select",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
    acl: Acl::CONNECTION,
    args: &[Arg::integer("index")],
    summary: "Selects a database.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: select,
    ..Command::DEFAULT
};

fn ping(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.argc() > 2 {
        return Err(CommandError::WrongArity("ping".into()));
    }
    let message = args.next();
    if Session::of(ctx).only_listens {
        // As a message, as everything else that the connection reads now.
        ctx.reply.array(2);
        ctx.reply.bulk(b"pong");
        ctx.reply.bulk(message.unwrap_or_default());
        return Ok(());
    }
    match message {
        None => ctx.reply.simple("PONG"),
        Some(message) => ctx.reply.bulk(message),
    }
    Ok(())
}

fn echo(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    ctx.reply.bulk(args.take()?);
    Ok(())
}

fn quit(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    Session::of(ctx).close_after_reply = true;
    ctx.reply.ok();
    Ok(())
}

fn select(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let index = args.integer()?;
    if i32::try_from(index).is_err() {
        return Err(CommandError::text("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    let index = database(ctx, index)?;
    Session::of(ctx).select(index);
    ctx.reply.ok();
    Ok(())
}

/// A database's number, checked.
pub fn database(ctx: &Ctx<'_>, index: i64) -> Result<u32, CommandError> {
    let databases = Server::of(ctx).keyspace.databases();
    u32::try_from(index)
        .ok()
        .filter(|&index| index < databases)
        .ok_or(CommandError::text("ERR DB index is out of range"))
}

fn reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    crate::transaction::discard(ctx);
    let server = Server::of(ctx);
    let session = Session::of(ctx);
    if session.info.monitor.load(Relaxed) {
        server.monitors.remove(session.info.id);
    }
    session.stop_tracking(server);
    session.unsubscribe_all(&server.pubsub);
    session.select(0);
    session.speak(Protocol::Resp2);
    session.replies = Replies::On;
    session.no_touch = false;
    session.info.no_touch.store(false, Relaxed);
    session.info.no_evict.store(false, Relaxed);
    session.begin_as_default(&server.acl.users());
    session.info.rename(|names| names.name.clear());
    ctx.reply.set_protocol(Protocol::Resp2);
    ctx.reply.simple("RESET");
    Ok(())
}

const NO_PASSWORD: CommandError = CommandError::text(
    "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is \
     correct?",
);
fn auth(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let (user, password) = match args.argc() {
        2 => {
            if Server::of(ctx).acl.users().default_user().needs_no_password() {
                return Err(NO_PASSWORD);
            }
            (DEFAULT, args.at(1))
        }
        3 => (args.at(1), args.at(2)),
        _ => return Err(CommandError::Syntax),
    };
    let server = Server::of(ctx);
    enforce::authenticate(server, Session::of(ctx), user, password, &args)?;
    ctx.reply.ok();
    Ok(())
}

/// Everything behind the name.
fn find_credentials(args: Args<'_>, found: &mut dyn FnMut(usize)) {
    if args.argc() <= 3 {
        (1..args.argc()).for_each(found);
    }
}

fn hello(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let protocol = match args.next() {
        None => None,
        Some(version) => Some(match number::parse_i64(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(CommandError::text("NOPROTO unsupported protocol version")),
            None => return Err(CommandError::text("ERR Protocol version is not an integer or out of range")),
        }),
    };
    let (mut credentials, mut name) = (None, None);
    while let Some(option) = args.next() {
        if option.eq_ignore_ascii_case(b"AUTH") && args.left() >= 2 {
            credentials = Some((args.take()?, args.take()?));
        } else if option.eq_ignore_ascii_case(b"SETNAME") && args.left() >= 1 {
            let wanted = args.take()?;
            super::client::check_printable(wanted, "Client names")?;
            name = Some(wanted);
        } else {
            let mut text = b"ERR Syntax error in HELLO option '".to_vec();
            text.extend_from_slice(option);
            text.push(b'\'');
            return Err(CommandError::Bytes(text));
        }
    }
    if let Some((user, password)) = credentials {
        let server = Server::of(ctx);
        enforce::authenticate(server, Session::of(ctx), user, password, &args)?;
    }
    let session = Session::of(ctx);
    if !session.authenticated {
        return Err(CommandError::text(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> \
             <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        session.info.rename(|names| names.name = name.to_vec());
    }
    if let Some(protocol) = protocol {
        session.speak(protocol);
    }
    let (id, protocol) = (session.info.id, session.protocol);
    ctx.reply.set_protocol(protocol);
    greet(&mut ctx.reply, id);
    Ok(())
}

fn greet(reply: &mut Reply<'_>, id: u64) {
    reply.map(7);
    reply.bulk(b"server");
    // Clients look at this name to decide what they can do.
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(crate::REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(if reply.is_resp3() { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(id as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    // One that comes with the reference: its commands are among ours.
    reply.array(1);
    reply.map(4);
    reply.bulk(b"name");
    reply.bulk(b"vectorset");
    reply.bulk(b"ver");
    reply.integer(1);
    reply.bulk(b"path");
    reply.bulk(b"");
    reply.bulk(b"args");
    reply.array(0);
}
