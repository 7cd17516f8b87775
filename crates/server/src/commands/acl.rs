//! `ACL`: users and what they may do; see [`crate::acl`].

use crate::acl::check::{self, Reason};
use crate::acl::enforce::expel;
use crate::acl::log::{Context, Entry as LogEntry};
use crate::acl::selector::Selector;
use crate::acl::user::{User, hex};
use crate::acl::users::DEFAULT;
use crate::acl::{Changed, catalog, file, rules};
use crate::config::bytes_path;
use crate::server::Server;
use crate::session::Session;
use kinovar_command::*;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[ACL];

const ACL: Command = Command {
    name: "acl",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    summary: "Commands about users and what they may do.",
    complexity: "As the subcommand",
    since: "6.0.0",
    subcommands: &[
        ACL_SAVE,
        ACL_USERS,
        ACL_DELUSER,
        ACL_HELP,
        ACL_LOG,
        ACL_LIST,
        ACL_DRYRUN,
        ACL_GETUSER,
        ACL_SETUSER,
        ACL_GENPASS,
        ACL_CAT,
        ACL_LOAD,
        ACL_WHOAMI,
    ],
    ..Command::DEFAULT
};

/// What all that administer have in common.
const ADMINISTRATION: Command = Command {
    group: Group::Server,
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    complexity: "O(N) in the number of users",
    since: "6.0.0",
    lock: Lock::None,
    ..Command::DEFAULT
};

/// The tips of those that change something.
const ON_ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

const ACL_SAVE: Command = Command {
    name: "save",
    arity: Arity::Exactly(2),
    tips: ON_ALL_NODES,
    summary: "Writes the users into the file of users.",
    handler: acl_save,
    ..ADMINISTRATION
};

const ACL_USERS: Command = Command {
    name: "users",
    arity: Arity::Exactly(2),
    summary: "Lists the names of the users.",
    handler: acl_users,
    ..ADMINISTRATION
};

const ACL_DELUSER: Command = Command {
    name: "deluser",
    arity: Arity::AtLeast(3),
    tips: ON_ALL_NODES,
    args: &[Arg::string("username").multiple()],
    summary: "Deletes users and closes their connections.",
    complexity: "O(N) in the number of connections",
    secrets: Some(|args, found| (2..args.argc()).for_each(found)),
    handler: acl_deluser,
    ..ADMINISTRATION
};

const ACL_HELP: Command = Command {
    name: "help",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    summary: "Explains the subcommands.",
    complexity: "O(1)",
    handler: |ctx, _| help::container(ctx, "acl"),
    ..ADMINISTRATION
};

const ACL_LOG: Command = Command {
    name: "log",
    arity: Arity::AtLeast(2),
    args: &[Arg::one_of("operation", &[Arg::integer("count"), Arg::word("reset", "RESET")]).optional()],
    summary: "Shows what was refused lately, or forgets it.",
    complexity: "O(N) in the number of entries shown",
    history: &[("7.2.0", "Shows number, creation and last change of entries.")],
    handler: acl_log,
    ..ADMINISTRATION
};

const ACL_LIST: Command = Command {
    name: "list",
    arity: Arity::Exactly(2),
    summary: "Lists the users as lines of a file of users.",
    handler: acl_list,
    ..ADMINISTRATION
};

const ACL_DRYRUN: Command = Command {
    name: "dryrun",
    arity: Arity::AtLeast(4),
    args: &[Arg::string("username"), Arg::string("command"), Arg::string("arg").optional().multiple()],
    summary: "Tells whether a user may run a command, without running it.",
    complexity: "O(N) in the number of the user's rules",
    since: "7.0.0",
    handler: acl_dryrun,
    ..ADMINISTRATION
};

const ACL_GETUSER: Command = Command {
    name: "getuser",
    arity: Arity::Exactly(3),
    args: &[Arg::string("username")],
    summary: "Shows the passwords and rules of a user.",
    complexity: "O(N) in the number of the user's passwords and rules",
    history: &[
        ("6.2.0", "Shows patterns of channels."),
        ("7.0.0", "Shows selectors, and patterns of keys and channels as rules."),
    ],
    secrets: Some(|_, found| found(2)),
    handler: acl_getuser,
    ..ADMINISTRATION
};

const ACL_SETUSER: Command = Command {
    name: "setuser",
    arity: Arity::AtLeast(3),
    tips: ON_ALL_NODES,
    args: &[Arg::string("username"), Arg::string("rule").optional().multiple()],
    summary: "Makes a user, or changes one by rules.",
    complexity: "O(N) in the number of rules",
    history: &[
        ("6.2.0", "Takes patterns of channels."),
        ("7.0.0", "Takes selectors, and patterns of keys with permissions."),
    ],
    secrets: Some(|args, found| (2..args.argc()).for_each(found)),
    handler: acl_setuser,
    ..ADMINISTRATION
};

const ACL_GENPASS: Command = Command {
    name: "genpass",
    arity: Arity::AtLeast(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    args: &[Arg::integer("bits").optional()],
    summary: "Makes a password that nobody can guess.",
    complexity: "O(1)",
    handler: acl_genpass,
    ..ADMINISTRATION
};

const ACL_CAT: Command = Command {
    name: "cat",
    arity: Arity::AtLeast(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    args: &[Arg::string("category").optional()],
    summary: "Lists the categories of commands, or the commands of one.",
    complexity: "O(1)",
    handler: acl_cat,
    ..ADMINISTRATION
};

const ACL_LOAD: Command = Command {
    name: "load",
    arity: Arity::Exactly(2),
    summary: "Reads the users from the file of users.",
    handler: acl_load,
    ..ADMINISTRATION
};

const ACL_WHOAMI: Command = Command {
    name: "whoami",
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    summary: "Tells the user of the connection.",
    complexity: "O(1)",
    handler: acl_whoami,
    ..ADMINISTRATION
};

const NO_FILE: CommandError = CommandError::text(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command \
     and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis \
     configuration.",
);

/// An error whose text quotes what the client sent.
fn quoting(head: &str, word: &[u8], tail: &str) -> CommandError {
    CommandError::Bytes([head.as_bytes(), until_nul(word), tail.as_bytes()].concat())
}

fn acl_setuser(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    let name = args.take()?;
    if rules::has_blanks(name) {
        return Err(CommandError::text("ERR Usernames can't contain spaces or null characters"));
    }
    let all_channels = server.config().acl_all_channels;
    let change = server.acl.change();
    let known = change.users().get(name).cloned();
    let mut user = match known {
        Some(user) => User::clone(&user),
        None => User::new(name, all_channels),
    };
    user.apply_all(args.rest(), all_channels).map_err(|text| CommandError::Bytes([b"ERR ", &*text].concat()))?;
    let changed = change.make(|users| users.put(user));
    expel(server, Session::of(ctx), changed.as_slice());
    ctx.reply.ok();
    Ok(())
}

fn acl_deluser(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    if args.rest().any(|name| until_nul(name) == DEFAULT) {
        return Err(CommandError::text("ERR The 'default' user cannot be removed"));
    }
    let gone: Vec<Changed> =
        server.acl.change().make(|users| args.rest().filter_map(|name| users.remove(name)).collect());
    expel(server, Session::of(ctx), &gone);
    ctx.reply.count(gone.len());
    Ok(())
}

fn acl_getuser(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let users = Server::of(ctx).acl.users();
    let reply = &mut ctx.reply;
    let Some(user) = users.get(args.take()?) else {
        reply.null();
        return Ok(());
    };
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(user.flags().len());
    user.flags().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    user.passwords().for_each(|password| reply.bulk(password.as_bytes()));
    let (own, others) = user.selectors().split_first().expect("everybody has one of his own");
    show_selector(reply, own);
    reply.bulk(b"selectors");
    reply.array(others.len());
    for selector in others {
        reply.map(3);
        show_selector(reply, selector);
    }
    Ok(())
}

fn show_selector(reply: &mut Reply<'_>, selector: &Selector) {
    for (name, rules) in [
        (&b"commands"[..], selector.command_rules()),
        (b"keys", selector.key_rules()),
        (b"channels", selector.channel_rules()),
    ] {
        reply.bulk(name);
        reply.bulk(&rules);
    }
}

fn acl_list(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let users = Server::of(ctx).acl.users();
    ctx.reply.array(users.all().len());
    users.all().for_each(|user| ctx.reply.bulk(&user.line()));
    Ok(())
}

fn acl_users(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let users = Server::of(ctx).acl.users();
    ctx.reply.array(users.all().len());
    users.all().for_each(|user| ctx.reply.bulk(&user.name));
    Ok(())
}

fn acl_whoami(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    match Session::of(ctx).user.clone() {
        Some(user) => ctx.reply.bulk(&user.name),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn acl_cat(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.left() > 1 {
        return Err(CommandError::wrong_subcommand_arguments("ACL", args.at(1)));
    }
    let Some(name) = args.next() else {
        ctx.reply.array(Acl::ALL.len());
        Acl::ALL.iter().for_each(|(_, word)| ctx.reply.bulk(&word.as_bytes()[1..]));
        return Ok(());
    };
    let unknown = || quoting("ERR Unknown category '", &name[..name.len().min(128)], "'");
    let category = catalog::category(until_nul(name)).ok_or_else(unknown)?;
    let names: Vec<&str> = catalog::of_category(category).map(|entry| entry.full_name.as_str()).collect();
    ctx.reply.array(names.len());
    names.iter().for_each(|name| ctx.reply.bulk(name.as_bytes()));
    Ok(())
}

fn acl_genpass(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    const BITS_MAX: i64 = 4096;
    if args.left() > 1 {
        return Err(CommandError::wrong_subcommand_arguments("ACL", args.at(1)));
    }
    let bits = match args.is_empty() {
        true => 256,
        false => args.integer()?,
    };
    if !(1..=BITS_MAX).contains(&bits) {
        return Err(CommandError::text(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    let digits = (bits as usize).div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    getrandom::fill(&mut bytes)
        .map_err(|error| CommandError::owned(format!("ERR the system has no random bytes to give: {error}")))?;
    ctx.reply.bulk(&hex(&bytes).as_bytes()[..digits]);
    Ok(())
}

fn acl_dryrun(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let users = Server::of(ctx).acl.users();
    let name = args.take()?;
    let user = users.get(name).ok_or_else(|| quoting("ERR User '", name, "' not found"))?;
    let call = args.tail();
    let entry = ctx.registry.resolve(&call).map_err(|_| quoting("ERR Command '", call.at(0), "' not found"))?;
    entry.check_arity(call.argc())?;
    match check::check(user, entry, &call) {
        Ok(()) => ctx.reply.ok(),
        Err(denial) => ctx.reply.bulk(&denial.full_text(user, entry, &call)),
    }
    Ok(())
}

fn acl_log(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.left() > 1 {
        return Err(CommandError::wrong_subcommand_arguments("ACL", args.at(1)));
    }
    let server = Server::of(ctx);
    if args.accept("RESET") {
        server.acl.log.clear();
        ctx.reply.ok();
        return Ok(());
    }
    let count = match args.is_empty() {
        true => 10,
        false => args.integer()?,
    };
    let entries = server.acl.log.newest(usize::try_from(count).unwrap_or(0));
    let now_ms = ctx.now_ms();
    ctx.reply.array(entries.len());
    entries.iter().for_each(|entry| show_entry(&mut ctx.reply, entry, now_ms));
    Ok(())
}

fn show_entry(reply: &mut Reply<'_>, entry: &LogEntry, now_ms: u64) {
    let refused = &entry.refused;
    let reason: &[u8] = match refused.reason {
        Reason::Command => b"command",
        Reason::Key => b"key",
        Reason::Auth => b"auth",
        Reason::Channel => b"channel",
    };
    let context: &[u8] = match refused.context {
        Context::TopLevel => b"toplevel",
        Context::Multi => b"multi",
        Context::Lua => b"lua",
    };
    reply.map(10);
    reply.bulk(b"count");
    reply.integer(entry.count as i64);
    for (name, value) in
        [(&b"reason"[..], reason), (b"context", context), (b"object", &refused.object), (b"username", &refused.user)]
    {
        reply.bulk(name);
        reply.bulk(value);
    }
    reply.bulk(b"age-seconds");
    reply.double(now_ms.saturating_sub(entry.updated_ms) as f64 / 1000.0);
    reply.bulk(b"client-info");
    reply.bulk(&refused.client);
    for (name, number) in [
        (&b"entry-id"[..], entry.id),
        (b"timestamp-created", entry.created_ms),
        (b"timestamp-last-updated", entry.updated_ms),
    ] {
        reply.bulk(name);
        reply.integer(number as i64);
    }
}

fn acl_load(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    let config = server.config();
    if config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    let users = file::load(&config.aclfile, config.acl_all_channels)
        .map_err(|text| CommandError::Bytes([b"ERR ", &*text].concat()))?;
    let mut changes = server.acl.change().make(|all| all.replace(users));
    // As in the reference, those who listen as the default user go on, whatever the file says of him.
    changes.retain(|(old, _)| *old.name != *DEFAULT);
    expel(server, Session::of(ctx), &changes);
    ctx.reply.ok();
    Ok(())
}

fn acl_save(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    let config = server.config();
    if config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    // One after the other: what the file says in the end is what is in force.
    let turn = server.acl.change();
    let lines: Vec<Vec<u8>> = turn.users().all().map(|user| user.file_line()).collect();
    if !file::save(&bytes_path(&config.aclfile), lines.into_iter()) {
        return Err(CommandError::text(
            "ERR There was an error trying to save the ACLs. Please check the server logs for more information",
        ));
    }
    ctx.reply.ok();
    Ok(())
}
