//! Removing the lowest or the highest.

use super::{write_head, write_member, write_pair};
use crate::blocking::{self, timeout_ms};
use crate::multi_pop::MultiPop;
use kinovar_command::keyspace::zset::ZSet;
use kinovar_command::*;

pub(super) const ZPOPMIN: Command = Command {
    name: "zpopmin",
    group: Group::SortedSet,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().delete())],
    args: &[Arg::key("key", 0), Arg::integer("count").optional()],
    summary: "Removes the members with the lowest scores.",
    complexity: "O(M log N) for M members",
    since: "5.0.0",
    handler: zpopmin,
    ..Command::DEFAULT
};

pub(super) const ZPOPMAX: Command = Command {
    name: "zpopmax",
    group: Group::SortedSet,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().delete())],
    args: &[Arg::key("key", 0), Arg::integer("count").optional()],
    summary: "Removes the members with the highest scores.",
    complexity: "O(M log N) for M members",
    since: "5.0.0",
    handler: zpopmax,
    ..Command::DEFAULT
};

pub(super) const ZMPOP: Command = Command {
    name: "zmpop",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, Access::RW.access().delete())],
    args: &[
        Arg::integer("numkeys"),
        Arg::key("key", 0).multiple(),
        Arg::one_of("where", &[Arg::word("min", "MIN"), Arg::word("max", "MAX")]),
        Arg::integer("count").token("COUNT").optional(),
    ],
    summary: "Removes members with the lowest or highest scores from the first sorted set that has any.",
    complexity: "O(K + M log N): K keys, M members removed",
    since: "7.0.0",
    handler: zmpop,
    ..Command::DEFAULT
};

pub(super) const BZPOPMIN: Command = Command {
    name: "bzpopmin",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::BLOCKING).or(Flags::FAST),
    keys: &[KeySpec::range(1, -2, 1, Access::RW.access().delete())],
    args: &[Arg::key("key", 0).multiple(), Arg::double("timeout")],
    summary: "Removes the member with the lowest score from the first sorted set that has any, or waits for one.",
    complexity: "O(K + log N) for K keys",
    since: "5.0.0",
    history: &[("6.0.0", "`timeout` may have a fraction.")],
    handler: bzpopmin,
    ..Command::DEFAULT
};

pub(super) const BZPOPMAX: Command = Command {
    name: "bzpopmax",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::BLOCKING).or(Flags::FAST),
    keys: &[KeySpec::range(1, -2, 1, Access::RW.access().delete())],
    args: &[Arg::key("key", 0).multiple(), Arg::double("timeout")],
    summary: "Removes the member with the highest score from the first sorted set that has any, or waits for one.",
    complexity: "O(K + log N) for K keys",
    since: "5.0.0",
    history: &[("6.0.0", "`timeout` may have a fraction.")],
    handler: bzpopmax,
    ..Command::DEFAULT
};

pub(super) const BZMPOP: Command = Command {
    name: "bzmpop",
    group: Group::SortedSet,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::BLOCKING).or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, Access::RW.access().delete())],
    args: &[
        Arg::double("timeout"),
        Arg::integer("numkeys"),
        Arg::key("key", 0).multiple(),
        Arg::one_of("where", &[Arg::word("min", "MIN"), Arg::word("max", "MAX")]),
        Arg::integer("count").token("COUNT").optional(),
    ],
    summary: "Removes members with the lowest or highest scores from the first sorted set that has any, or waits for one.",
    complexity: "O(K + M log N): K keys, M members removed",
    since: "7.0.0",
    handler: bzmpop,
    ..Command::DEFAULT
};

fn zpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, false)
}

fn zpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, true)
}

fn event(highest: bool) -> &'static str {
    if highest { "zpopmax" } else { "zpopmin" }
}

/// The command that pops from one sorted set, at once.
fn pop_word(highest: bool) -> &'static [u8] {
    if highest { b"ZPOPMAX" } else { b"ZPOPMIN" }
}

/// The `count` lowest or highest ranks of a set of `len`.
fn end_ranks(len: usize, count: usize, highest: bool) -> std::ops::Range<usize> {
    let count = count.min(len);
    if highest { len - count..len } else { 0..count }
}

fn pop(ctx: &mut Ctx<'_>, mut args: Args<'_>, highest: bool) -> Outcome {
    let key = args.key()?;
    if args.left() > 1 {
        return Err(CommandError::Syntax);
    }
    let count = match args.next() {
        None => None,
        Some(count) => {
            let count = number::parse_i64(count).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(CommandError::MustBePositive)?)
        }
    };
    let Some(mut zset) = ctx.db.update::<ZSet>(&key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let ranks = end_ranks(zset.len(), count.unwrap_or(1), highest);
    // One pair without a count is flat in both protocols.
    match count {
        Some(_) => write_head(&mut ctx.reply, ranks.len(), true),
        None => ctx.reply.array(2),
    }
    zset.for_each(ranks.clone(), highest, |member, score| match count {
        Some(_) => write_pair(&mut ctx.reply, member, score, true),
        None => {
            write_member(&mut ctx.reply, member);
            ctx.reply.double(score);
        }
    });
    match zset.remove_range(ranks, |_, _| {}) {
        0 => zset.unchanged(),
        removed => zset.changed(event(highest), removed),
    }
    Ok(())
}

/// Takes the word that says from which end; true for the highest scores.
fn take_highest(args: &mut Args<'_>) -> Result<bool, CommandError> {
    if args.accept("MAX") {
        Ok(true)
    } else if args.accept("MIN") {
        Ok(false)
    } else {
        Err(CommandError::Syntax)
    }
}

fn zmpop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let MultiPop { keys, end: highest, count } = MultiPop::parse(&mut args, take_highest)?;
    for index in keys {
        let key = args.key_at(index);
        if pop_nested(ctx, &key, count, highest)? {
            return Ok(());
        }
    }
    ctx.reply.null_array();
    Ok(())
}

/// Removes up to `count` members of one end and replies with the key and an array of pairs; false when there is no such set.
fn pop_nested(ctx: &mut Ctx<'_>, key: &Key<'_>, count: usize, highest: bool) -> Result<bool, CommandError> {
    let Some(mut zset) = ctx.db.update::<ZSet>(key)? else { return Ok(false) };
    let ranks = end_ranks(zset.len(), count, highest);
    ctx.reply.array(2);
    ctx.reply.bulk(key.name);
    ctx.reply.array(ranks.len());
    zset.for_each(ranks.clone(), highest, |member, score| {
        ctx.reply.array(2);
        write_member(&mut ctx.reply, member);
        ctx.reply.double(score);
    });
    let removed = zset.remove_range(ranks, |_, _| {});
    zset.changed(event(highest), removed);
    drop(zset);
    if ctx.effects().is_on() {
        ctx.effects().instead(&[pop_word(highest), key.name, removed.to_string().as_bytes()]);
    }
    Ok(true)
}

fn bzmpop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let timeout = args.take()?;
    let MultiPop { keys, end: highest, count } = MultiPop::parse(&mut args, take_highest)?;
    let timeout_ms = timeout_ms(timeout, ctx.now_ms())?;
    for index in keys.clone() {
        let key = args.key_at(index);
        if ctx.db.is_locked(&key) && pop_nested(ctx, &key, count, highest)? {
            return Ok(());
        }
    }
    ctx.wait(blocking::wait(keys, timeout_ms, Absent::NullArray));
    Ok(())
}

fn bzpopmin(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop_first(ctx, args, false)
}

fn bzpopmax(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop_first(ctx, args, true)
}

fn pop_first(ctx: &mut Ctx<'_>, args: Args<'_>, highest: bool) -> Outcome {
    let last = args.argc() - 1;
    let timeout_ms = timeout_ms(args.at(last), ctx.now_ms())?;
    for index in 1..last {
        let key = args.key_at(index);
        if !ctx.db.is_locked(&key) {
            continue;
        }
        let Some(mut zset) = ctx.db.update::<ZSet>(&key)? else { continue };
        let ranks = end_ranks(zset.len(), 1, highest);
        ctx.reply.array(3);
        ctx.reply.bulk(key.name);
        zset.for_each(ranks.clone(), highest, |member, score| {
            write_member(&mut ctx.reply, member);
            ctx.reply.double(score);
        });
        let removed = zset.remove_range(ranks, |_, _| {});
        zset.changed(event(highest), removed);
        drop(zset);
        ctx.effects().instead(&[pop_word(highest), key.name]);
        return Ok(());
    }
    ctx.wait(blocking::wait(1..last, timeout_ms, Absent::NullArray));
    Ok(())
}
