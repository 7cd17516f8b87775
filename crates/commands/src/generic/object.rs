//! OBJECT: how a value is stored and used.

use kinovar_command::keyspace::{access, object};
use kinovar_command::{Access, Acl, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, KeySpec, Outcome};

pub(super) const OBJECT: Command = Command {
    name: "object",
    group: Group::Generic,
    arity: Arity::AtLeast(2),
    summary: "Commands that tell how a value is stored and used.",
    complexity: "As its subcommands say.",
    since: "2.2.3",
    subcommands: &[OBJECT_ENCODING, OBJECT_FREQ, OBJECT_HELP, OBJECT_IDLETIME, OBJECT_REFCOUNT],
    ..Command::DEFAULT
};

const OBJECT_ENCODING: Command = Command {
    name: "encoding",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::at(2, Access::RO)],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0)],
    summary: "Tells how a value is encoded.",
    complexity: "O(1)",
    since: "2.2.3",
    handler: encoding,
    ..Command::DEFAULT
};

fn encoding(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    match ctx.db.examine(&args.key()?).map(object::encoding) {
        Some(encoding) => ctx.reply.bulk(encoding.as_bytes()),
        None => ctx.reply.null(),
    }
    Ok(())
}

const OBJECT_FREQ: Command = Command {
    name: "freq",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::at(2, Access::RO)],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0)],
    summary: "Tells how often a key is used, on a logarithmic scale.",
    complexity: "O(1)",
    since: "4.0.0",
    handler: freq,
    ..Command::DEFAULT
};

const LFU_NOT_SELECTED: CommandError = CommandError::text(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between \
     policies at runtime LRU and LFU data will take some time to adjust.",
);
const LFU_SELECTED: CommandError = CommandError::text(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at \
     runtime LRU and LFU data will take some time to adjust.",
);

fn freq(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (now_ms, settings) = (ctx.now_ms(), ctx.db.settings());
    match ctx.db.examine(&args.key()?).map(|entry| entry.meta()) {
        Some(_) if !settings.lfu => return Err(LFU_NOT_SELECTED),
        Some(bits) => ctx.reply.integer(i64::from(access::decayed(bits, now_ms, settings))),
        None => ctx.reply.null(),
    }
    Ok(())
}

const OBJECT_IDLETIME: Command = Command {
    name: "idletime",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::at(2, Access::RO)],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0)],
    summary: "Tells for how many seconds a key has not been used.",
    complexity: "O(1)",
    since: "2.2.3",
    handler: idletime,
    ..Command::DEFAULT
};

fn idletime(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (now_ms, lfu) = (ctx.now_ms(), ctx.db.settings().lfu);
    match ctx.db.examine(&args.key()?).map(|entry| entry.meta()) {
        Some(_) if lfu => return Err(LFU_SELECTED),
        Some(bits) => ctx.reply.integer(access::idle_s(bits, now_ms) as i64),
        None => ctx.reply.null(),
    }
    Ok(())
}

const OBJECT_REFCOUNT: Command = Command {
    name: "refcount",
    group: Group::Generic,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    acl: Acl::KEYSPACE,
    keys: &[KeySpec::at(2, Access::RO)],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0)],
    summary: "Tells how many references to a value there are: always one.",
    complexity: "O(1)",
    since: "2.2.3",
    handler: refcount,
    ..Command::DEFAULT
};

fn refcount(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    match ctx.db.examine(&args.key()?) {
        Some(_) => ctx.reply.integer(1),
        None => ctx.reply.null(),
    }
    Ok(())
}

const OBJECT_HELP: Command = Command {
    name: "help",
    group: Group::Generic,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::KEYSPACE,
    summary: "Lists the subcommands.",
    complexity: "O(1)",
    since: "6.2.0",
    handler: help,
    ..Command::DEFAULT
};

fn help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    const LINES: &[&str] = &[
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    How the value of <key> is encoded.",
        "FREQ <key>",
        "    How often <key> is used, on a logarithmic scale; with an LFU policy only.",
        "IDLETIME <key>",
        "    For how many seconds <key> has not been used; not with an LFU policy.",
        "REFCOUNT <key>",
        "    How many references to the value of <key> there are.",
        "HELP",
        "    This list.",
    ];
    ctx.reply.array(LINES.len());
    for line in LINES {
        ctx.reply.simple(line);
    }
    Ok(())
}
