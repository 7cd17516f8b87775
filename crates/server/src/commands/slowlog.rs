//! `SLOWLOG`: commands that took long.

use crate::server::Server;
use kinovar_command::*;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[SLOWLOG];

const SLOWLOG: Command = Command {
    name: "slowlog",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    summary: "Commands about the log of slow commands.",
    complexity: "As the subcommand",
    since: "2.2.12",
    subcommands: &[SLOWLOG_LEN, SLOWLOG_GET, SLOWLOG_RESET, SLOWLOG_HELP],
    ..Command::DEFAULT
};

const SLOWLOG_LEN: Command = Command {
    name: "len",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
    summary: "Counts the entries of the slow log.",
    complexity: "O(1)",
    since: "2.2.12",
    handler: slowlog_len,
    ..Command::DEFAULT
};

const SLOWLOG_GET: Command = Command {
    name: "get",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    args: &[Arg::integer("count").optional()],
    summary: "Shows the newest entries of the slow log.",
    complexity: "O(N) in the number of entries shown",
    since: "2.2.12",
    history: &[("4.0.0", "Shows address and name of the client.")],
    handler: slowlog_get,
    ..Command::DEFAULT
};

const SLOWLOG_RESET: Command = Command {
    name: "reset",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    summary: "Empties the slow log.",
    complexity: "O(N) in the number of entries",
    since: "2.2.12",
    handler: slowlog_reset,
    ..Command::DEFAULT
};

const SLOWLOG_HELP: Command = Command {
    name: "help",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    summary: "Explains the subcommands.",
    complexity: "O(1)",
    since: "6.2.0",
    handler: slowlog_help,
    ..Command::DEFAULT
};

fn slowlog_help(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    help::container(ctx, "slowlog")
}

fn slowlog_len(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let len = Server::of(ctx).slowlog.len();
    ctx.reply.count(len);
    Ok(())
}

fn slowlog_reset(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    Server::of(ctx).slowlog.clear();
    ctx.reply.ok();
    Ok(())
}

fn slowlog_get(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let count = match args.next() {
        None => 10,
        Some(count) => number::parse_i64(count)
            .filter(|&count| count >= -1)
            .ok_or(CommandError::text("ERR count should be greater than or equal to -1"))?,
    };
    let entries = Server::of(ctx).slowlog.newest(usize::try_from(count).unwrap_or(usize::MAX));
    ctx.reply.array(entries.len());
    for entry in entries {
        ctx.reply.array(6);
        ctx.reply.integer(entry.id as i64);
        ctx.reply.integer(entry.at_s as i64);
        ctx.reply.integer(entry.us as i64);
        ctx.reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| ctx.reply.bulk(arg));
        ctx.reply.bulk(entry.addr.as_bytes());
        ctx.reply.bulk(&entry.name);
    }
    Ok(())
}
