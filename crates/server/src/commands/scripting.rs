//! `EVAL`, `SCRIPT` and their companions; see [`crate::scripting`].

use crate::busy::Runs as What;
use crate::scripting::runs::Killed;
use crate::scripting::{call, fiber, runtime};
use crate::server::Server;
use kinovar_command::*;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[EVAL, EVALSHA, EVALSHA_RO, EVAL_RO, SCRIPT];

/// What all commands have that run code.
pub(super) const RUNS_CODE: Flags =
    Flags::NOSCRIPT.or(Flags::STALE).or(Flags::SKIP_MONITOR).or(Flags::NO_MANDATORY_KEYS).or(Flags::MOVABLEKEYS);
/// The keys of those that may write.
pub(super) const WRITTEN: Access = Access::RW.access().update();
/// The keys of those that do not.
pub(super) const READ: Access = Access::RO.access();
/// Why more is said of the keys than is known.
pub(super) const WORST_RW: &str = "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE";
/// The same for those that do not write.
pub(super) const WORST_RO: &str = "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS";

/// What follows the script or its name.
const KEYS_AND_ARGUMENTS: [Arg; 3] =
    [Arg::integer("numkeys"), Arg::key("key", 0).optional().multiple(), Arg::string("arg").optional().multiple()];

const fn arguments(first: Arg) -> [Arg; 4] {
    let [count, keys, rest] = KEYS_AND_ARGUMENTS;
    [first, count, keys, rest]
}

const EVAL: Command = Command {
    name: "eval",
    group: Group::Scripting,
    arity: Arity::AtLeast(3),
    flags: RUNS_CODE,
    acl: Acl::SCRIPTING,
    keys: &[KeySpec::counted(2, WRITTEN).with_notes(WORST_RW)],
    args: &arguments(Arg::string("script")),
    summary: "Runs a Lua script.",
    complexity: "That of the script",
    since: "2.6.0",
    lock: Lock::Walk,
    handler: |ctx, args| fiber::enter(ctx, args, |ctx, args| call::eval(ctx, args, false)),
    ..Command::DEFAULT
};

const EVALSHA: Command = Command {
    name: "evalsha",
    keys: &[KeySpec::counted(2, WRITTEN)],
    args: &arguments(Arg::string("sha1")),
    summary: "Runs a Lua script that is known, by its digest.",
    handler: |ctx, args| fiber::enter(ctx, args, |ctx, args| call::evalsha(ctx, args, false)),
    ..EVAL
};

const EVAL_RO: Command = Command {
    name: "eval_ro",
    flags: RUNS_CODE.or(Flags::READONLY),
    keys: &[KeySpec::counted(2, READ).with_notes(WORST_RO)],
    summary: "Runs a Lua script that may not write.",
    since: "7.0.0",
    handler: |ctx, args| fiber::enter(ctx, args, |ctx, args| call::eval(ctx, args, true)),
    ..EVAL
};

const EVALSHA_RO: Command = Command {
    name: "evalsha_ro",
    flags: RUNS_CODE.or(Flags::READONLY),
    keys: &[KeySpec::counted(2, READ)],
    args: &arguments(Arg::string("sha1")),
    summary: "Runs a Lua script that is known and may not write, by its digest.",
    since: "7.0.0",
    handler: |ctx, args| fiber::enter(ctx, args, |ctx, args| call::evalsha(ctx, args, true)),
    ..EVAL
};

const SCRIPT: Command = Command {
    name: "script",
    group: Group::Scripting,
    arity: Arity::AtLeast(2),
    summary: "Commands about Lua scripts.",
    complexity: "As the subcommand",
    since: "2.6.0",
    subcommands: &[SCRIPT_DEBUG, SCRIPT_EXISTS, SCRIPT_FLUSH, SCRIPT_HELP, SCRIPT_KILL, SCRIPT_LOAD],
    ..Command::DEFAULT
};

const SCRIPT_DEBUG: Command = Command {
    name: "debug",
    group: Group::Scripting,
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT,
    acl: Acl::SCRIPTING,
    args: &[Arg::one_of("mode", &[Arg::word("yes", "YES"), Arg::word("sync", "SYNC"), Arg::word("no", "NO")])],
    summary: "Says whether scripts of this connection are debugged.",
    since: "3.2.0",
    lock: Lock::None,
    handler: script_debug,
    ..Command::DEFAULT
};

const SCRIPT_EXISTS: Command = Command {
    name: "exists",
    group: Group::Scripting,
    arity: Arity::AtLeast(3),
    flags: Flags::NOSCRIPT,
    acl: Acl::SCRIPTING,
    tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
    args: &[Arg::string("sha1").multiple()],
    summary: "Tells which scripts are known.",
    complexity: "O(N) in the number of digests",
    since: "2.6.0",
    lock: Lock::None,
    handler: script_exists,
    ..Command::DEFAULT
};

const SCRIPT_FLUSH: Command = Command {
    name: "flush",
    group: Group::Scripting,
    arity: Arity::AtLeast(2),
    flags: Flags::NOSCRIPT,
    acl: Acl::SCRIPTING,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: &[FLUSH_TYPE.since("6.2.0")],
    summary: "Forgets all scripts.",
    complexity: "O(N) in the number of scripts",
    since: "2.6.0",
    history: &[("6.2.0", "Added `ASYNC` and `SYNC`.")],
    lock: Lock::None,
    handler: script_flush,
    ..Command::DEFAULT
};

/// When memory is freed.
pub(super) const FLUSH_TYPE: Arg =
    Arg::one_of("flush-type", &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")]).optional();

const SCRIPT_HELP: Command = Command {
    name: "help",
    group: Group::Scripting,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    acl: Acl::SCRIPTING,
    summary: "Explains the subcommands.",
    since: "5.0.0",
    lock: Lock::None,
    handler: script_help,
    ..Command::DEFAULT
};

const SCRIPT_KILL: Command = Command {
    name: "kill",
    group: Group::Scripting,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
    acl: Acl::SCRIPTING,
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    summary: "Ends the script that is running.",
    since: "2.6.0",
    lock: Lock::None,
    handler: script_kill,
    ..Command::DEFAULT
};

const SCRIPT_LOAD: Command = Command {
    name: "load",
    group: Group::Scripting,
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT.or(Flags::STALE),
    acl: Acl::SCRIPTING,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: &[Arg::string("script")],
    summary: "Makes a script known without running it.",
    complexity: "O(N) in the length of the script",
    since: "2.6.0",
    lock: Lock::None,
    handler: script_load,
    ..Command::DEFAULT
};

fn script_help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    help::container(ctx, "script")
}

fn script_debug(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    if args.accept("no") {
        ctx.reply.ok();
        return Ok(());
    }
    if args.accept("yes") || args.accept("sync") {
        return Err(CommandError::text("ERR there is no debugger for scripts"));
    }
    Err(CommandError::text("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}

fn script_exists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let cache = &Server::of(ctx).scripting.cache;
    ctx.reply.array(args.left());
    for text in args.rest() {
        let known = call::parse_digest(text).is_some_and(|digest| cache.find(&digest).is_some());
        ctx.reply.flag(known);
    }
    Ok(())
}

fn script_flush(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    const WRONG: CommandError = CommandError::text("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
    if args.left() > 1 || (!args.is_empty() && !args.accept("sync") && !args.accept("async")) {
        return Err(WRONG);
    }
    // Each thread drops its interpreter when it needs one next; there is little else to free.
    Server::of(ctx).scripting.cache.flush();
    ctx.reply.ok();
    Ok(())
}

fn script_kill(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    kill(ctx, What::Script)
}

/// `SCRIPT KILL`, `FUNCTION KILL`.
pub(super) fn kill(ctx: &mut Ctx<'_>, what: What) -> Outcome {
    let server = Server::of(ctx);
    match server.scripting.runs.kill(what) {
        Killed::Yes => ctx.reply.ok(),
        Killed::NothingRuns => return Err(CommandError::text("NOTBUSY No scripts in execution right now.")),
        Killed::RunsOther => return Err(server.busy.error()),
        Killed::HasWritten => {
            return Err(CommandError::text(
                "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the \
                 script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.",
            ));
        }
    }
    Ok(())
}

fn script_load(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let compiled = runtime::script(args.at(2), true)?;
    ctx.reply.bulk(compiled.script.name.as_bytes());
    Ok(())
}
