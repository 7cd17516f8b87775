//! `CONFIG`: the parameters, read and changed while the server runs.

use crate::server::Server;
use crate::session::Session;
use kinovar_command::*;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[CONFIG];

const CONFIG: Command = Command {
    name: "config",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    summary: "Commands about the configuration.",
    complexity: "As the subcommand",
    since: "2.0.0",
    subcommands: &[CONFIG_GET, CONFIG_RESETSTAT, CONFIG_SET, CONFIG_HELP, CONFIG_REWRITE],
    ..Command::DEFAULT
};

const CONFIG_GET: Command = Command {
    name: "get",
    group: Group::Server,
    arity: Arity::AtLeast(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[Arg::string("parameter").multiple()],
    summary: "Tells the values of parameters.",
    complexity: "O(N) in the number of parameters",
    since: "2.0.0",
    history: &[("7.0.0", "Takes several patterns.")],
    lock: Lock::None,
    handler: config_get,
    ..Command::DEFAULT
};

const CONFIG_RESETSTAT: Command = Command {
    name: "resetstat",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    summary: "Starts the statistics again from zero.",
    complexity: "O(1)",
    since: "2.0.0",
    lock: Lock::None,
    handler: config_resetstat,
    ..Command::DEFAULT
};

const CONFIG_SET: Command = Command {
    name: "set",
    group: Group::Server,
    arity: Arity::AtLeast(4),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: &[Arg::block("data", &[Arg::string("parameter"), Arg::string("value")]).multiple()],
    summary: "Changes parameters, all or none of them.",
    complexity: "O(N) in the number of parameters",
    since: "2.0.0",
    history: &[("7.0.0", "Takes several parameters.")],
    lock: Lock::None,
    handler: config_set,
    ..Command::DEFAULT
};

const CONFIG_HELP: Command = Command {
    name: "help",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    summary: "Explains the subcommands.",
    complexity: "O(1)",
    since: "5.0.0",
    handler: config_help,
    ..Command::DEFAULT
};

const CONFIG_REWRITE: Command = Command {
    name: "rewrite",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    summary: "Writes the parameters into the configuration file.",
    complexity: "O(N) in the size of the file",
    since: "2.8.0",
    lock: Lock::None,
    handler: config_rewrite,
    ..Command::DEFAULT
};

fn config_help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    help::container(ctx, "config")
}

fn config_get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let patterns: Vec<&[u8]> = args.rest().collect();
    let found = Server::of(ctx).config.get(&patterns);
    ctx.reply.map(found.len());
    for (name, value) in found {
        ctx.reply.bulk(&name);
        ctx.reply.bulk(&value);
    }
    Ok(())
}

fn config_set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let arguments: Vec<&[u8]> = args.rest().collect();
    let server = Server::of(ctx);
    let is_local = Session::of(ctx).info.is_local();
    server.config.set(&arguments, is_local).map_err(|error| CommandError::Bytes(error.message()))?;
    ctx.reply.ok();
    Ok(())
}

fn config_rewrite(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    match Server::of(ctx).rewrite_config() {
        Ok(()) => {
            crate::log::notice("CONFIG REWRITE executed with success.");
            ctx.reply.ok();
            Ok(())
        }
        Err(reason) => {
            crate::log::warning(&format!("CONFIG REWRITE failed: {reason}"));
            Err(CommandError::owned(format!("ERR {reason}")))
        }
    }
}

fn config_resetstat(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    Server::of(ctx).reset_stats();
    ctx.reply.ok();
    Ok(())
}
