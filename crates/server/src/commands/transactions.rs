//! `MULTI` and its companions; see [`crate::transaction`].

use crate::scripting::fiber;
use crate::server::Server;
use crate::session::Session;
use crate::transaction;
use kinovar_command::*;

/// The commands of this group.
pub const COMMANDS: &[Command] = &[DISCARD, EXEC, MULTI, UNWATCH, WATCH];

const MULTI: Command = Command {
    name: "multi",
    group: Group::Transactions,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::ALLOW_BUSY),
    acl: Acl::TRANSACTION,
    summary: "Opens a transaction: the commands that follow are queued.",
    complexity: "O(1)",
    since: "1.2.0",
    lock: Lock::None,
    is_never_queued: true,
    handler: multi,
    ..Command::DEFAULT
};

const EXEC: Command = Command {
    name: "exec",
    group: Group::Transactions,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::SKIP_SLOWLOG),
    acl: Acl::TRANSACTION,
    summary: "Runs the queued commands as one, unless a watched key has changed.",
    complexity: "The sum of the queued commands'",
    since: "1.2.0",
    lock: Lock::None,
    is_never_queued: true,
    handler: exec,
    ..Command::DEFAULT
};

const DISCARD: Command = Command {
    name: "discard",
    group: Group::Transactions,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::ALLOW_BUSY),
    acl: Acl::TRANSACTION,
    summary: "Forgets the queued commands and the watched keys.",
    complexity: "O(N) in the number of queued commands",
    since: "2.0.0",
    lock: Lock::None,
    is_never_queued: true,
    handler: discard,
    ..Command::DEFAULT
};

const WATCH: Command = Command {
    name: "watch",
    group: Group::Transactions,
    arity: Arity::AtLeast(2),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::ALLOW_BUSY),
    acl: Acl::TRANSACTION,
    keys: &[KeySpec::range(1, -1, 1, Access::RO)],
    args: &[Arg::key("key", 0).multiple()],
    summary: "Watches keys: the next transaction runs only if none of them has changed.",
    complexity: "O(1) for each key",
    since: "2.2.0",
    is_never_queued: true,
    handler: watch,
    ..Command::DEFAULT
};

const UNWATCH: Command = Command {
    name: "unwatch",
    group: Group::Transactions,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::ALLOW_BUSY),
    acl: Acl::TRANSACTION,
    summary: "Forgets the watched keys.",
    complexity: "O(1) for each key",
    since: "2.2.0",
    lock: Lock::None,
    handler: unwatch,
    ..Command::DEFAULT
};

fn multi(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    let session = Session::of(ctx);
    if session.queue.is_some() {
        return Err(CommandError::text("ERR MULTI calls can not be nested"));
    }
    transaction::open(session);
    ctx.reply.ok();
    Ok(())
}

fn exec(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let server = Server::of(ctx);
    let Some(queue) = &Session::of(ctx).queue else {
        return Err(CommandError::text("ERR EXEC without MULTI"));
    };
    if queue.is_doomed {
        transaction::discard(ctx);
        return Err(CommandError::text("EXECABORT Transaction discarded because of previous errors."));
    }
    if queue.runs_code(server) {
        return fiber::enter(ctx, args, |ctx, _| transaction::execute(ctx));
    }
    transaction::execute(ctx)
}

fn discard(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    if !transaction::discard(ctx) {
        return Err(CommandError::text("ERR DISCARD without MULTI"));
    }
    ctx.reply.ok();
    Ok(())
}

fn watch(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    if Session::of(ctx).queue.is_some() {
        return Err(CommandError::text("ERR WATCH inside MULTI is not allowed"));
    }
    for index in 1..args.argc() {
        transaction::watch(ctx, &args.key_at(index));
    }
    ctx.reply.ok();
    Ok(())
}

fn unwatch(ctx: &mut Ctx<'_>, _: Args<'_>) -> Outcome {
    transaction::unwatch(ctx);
    ctx.reply.ok();
    Ok(())
}
