//! Whole databases: counting, emptying, exchanging.

use super::connection::database;
use crate::server::Server;
use crate::session::{Replies, Session};
use kinovar_command::*;

/// The commands of this module.
pub const COMMANDS: &[Command] = &[DBSIZE, FLUSHALL, FLUSHDB, SWAPDB];

const DBSIZE: Command = Command {
    name: "dbsize",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::READONLY.or(Flags::FAST),
    acl: Acl::KEYSPACE,
    tips: &["request_policy:all_shards", "response_policy:agg_sum"],
    summary: "Counts the keys of the selected database.",
    complexity: "O(1)",
    since: "1.0.0",
    lock: Lock::Walk,
    handler: dbsize,
    ..Command::DEFAULT
};

const FLUSHALL: Command = Command {
    name: "flushall",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::WRITE,
    acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: &[Arg::one_of(
        "flush-type",
        &[Arg::word("async", "ASYNC").since("4.0.0"), Arg::word("sync", "SYNC").since("6.2.0")],
    )
    .optional()],
    summary: "Deletes every key of every database.",
    complexity: "O(1) for clients; the memory is freed in the background in O(N)",
    since: "1.0.0",
    history: &[("4.0.0", "Takes `ASYNC`."), ("6.2.0", "Takes `SYNC`.")],
    lock: Lock::All,
    handler: flushall,
    ..Command::DEFAULT
};

const FLUSHDB: Command = Command {
    name: "flushdb",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::WRITE,
    acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: &[Arg::one_of(
        "flush-type",
        &[Arg::word("async", "ASYNC").since("4.0.0"), Arg::word("sync", "SYNC").since("6.2.0")],
    )
    .optional()],
    summary: "Deletes every key of the selected database.",
    complexity: "O(1) for clients; the memory is freed in the background in O(N)",
    since: "1.0.0",
    history: &[("4.0.0", "Takes `ASYNC`."), ("6.2.0", "Takes `SYNC`.")],
    lock: Lock::All,
    handler: flushdb,
    ..Command::DEFAULT
};

const SWAPDB: Command = Command {
    name: "swapdb",
    group: Group::Server,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::FAST),
    acl: Acl::KEYSPACE.or(Acl::DANGEROUS),
    args: &[Arg::integer("index1"), Arg::integer("index2")],
    summary: "Exchanges two databases.",
    complexity: "O(1)",
    since: "4.0.0",
    lock: Lock::All,
    handler: swapdb,
    ..Command::DEFAULT
};

fn dbsize(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let keys = ctx.db.size();
    ctx.reply.count(keys);
    Ok(())
}

/// Reads `SYNC` or `ASYNC`; whether it is the latter. Both do the same here: the databases are empty when the reply is sent, and
/// no client ever waits for the memory to be freed.
fn parse_flush(ctx: &Ctx<'_>, args: &mut Args<'_>) -> Result<bool, CommandError> {
    let is_sync = args.accept("SYNC");
    let is_async = !is_sync && (args.accept("ASYNC") || Server::of(ctx).config().lazyfree_lazy_user_flush);
    args.finish()?;
    Ok(is_async)
}

/// Tells clients that what they have read is gone. The own client hears of it before the reply where the reference would have
/// waited for the memory to be freed.
fn flushed(ctx: &mut Ctx<'_>, is_async: bool) {
    let server = Server::of(ctx);
    if server.tracking.clients() == 0 {
        return;
    }
    let is_told_first = !is_async && ctx.may_wait;
    server.invalidate_everything(if is_told_first { Session::of(ctx).info.id } else { 0 });
    if is_told_first {
        let mut told = Vec::new();
        let session = Session::of(ctx);
        crate::tracking::tell_own_now(server, session, &mut told, false);
        if session.replies == Replies::On {
            ctx.reply.raw(&told);
        } else {
            session.pushes.extend_from_slice(&told);
        }
    }
}

fn flushdb(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let is_async = parse_flush(ctx, &mut args)?;
    ctx.db.clear(ctx.db.index());
    ctx.effects().anyway();
    flushed(ctx, is_async);
    ctx.reply.ok();
    Ok(())
}

fn flushall(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let is_async = parse_flush(ctx, &mut args)?;
    for index in 0..Server::of(ctx).keyspace.databases() {
        ctx.db.clear(index);
    }
    // Nothing of it should come back after a restart.
    if !Server::of(ctx).config().save.is_empty() {
        Server::of(ctx).saving.schedule();
    }
    ctx.effects().anyway();
    flushed(ctx, is_async);
    ctx.reply.ok();
    Ok(())
}

fn swapdb(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let mut index = |error: &'static str| {
        args.integer().ok().filter(|&index| i32::try_from(index).is_ok()).ok_or(CommandError::text(error))
    };
    let (first, second) = (index("ERR invalid first DB index")?, index("ERR invalid second DB index")?);
    let (first, second) = (database(ctx, first)?, database(ctx, second)?);
    if first != second {
        ctx.db.swap(first, second);
    }
    ctx.effects().anyway();
    ctx.reply.ok();
    Ok(())
}
