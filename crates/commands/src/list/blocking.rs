//! The forms that wait until a list has an element.

use super::ends::{move_element, pop_event, pop_many, pop_word, tell_popped};
use super::{removed, take_end, write_element};
use crate::blocking::{self, timeout_ms};
use crate::multi_pop::MultiPop;
use kinovar_command::keyspace::list::{End, List};
use kinovar_command::*;

pub(super) const BLPOP: Command = Command {
    name: "blpop",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::BLOCKING),
    keys: &[KeySpec::range(1, -2, 1, Access::RW.access().delete())],
    args: &[Arg::key("key", 0).multiple(), Arg::double("timeout")],
    summary: "Removes the first element of the first list that has any, or waits for one.",
    complexity: "O(N) in the number of keys",
    since: "2.0.0",
    history: &[("6.0.0", "`timeout` may have a fraction.")],
    handler: blpop,
    ..Command::DEFAULT
};

pub(super) const BRPOP: Command = Command {
    name: "brpop",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::BLOCKING),
    keys: &[KeySpec::range(1, -2, 1, Access::RW.access().delete())],
    args: &[Arg::key("key", 0).multiple(), Arg::double("timeout")],
    summary: "Removes the last element of the first list that has any, or waits for one.",
    complexity: "O(N) in the number of keys",
    since: "2.0.0",
    history: &[("6.0.0", "`timeout` may have a fraction.")],
    handler: brpop,
    ..Command::DEFAULT
};

pub(super) const BLMPOP: Command = Command {
    name: "blmpop",
    group: Group::List,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::BLOCKING).or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(2, Access::RW.access().delete())],
    args: &[
        Arg::double("timeout"),
        Arg::integer("numkeys"),
        Arg::key("key", 0).multiple(),
        Arg::one_of("where", &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")]),
        Arg::integer("count").token("COUNT").optional(),
    ],
    summary: "Removes elements from one end of the first list that has any, or waits for one.",
    complexity: "O(K + N): K keys, N elements removed",
    since: "7.0.0",
    handler: blmpop,
    ..Command::DEFAULT
};

pub(super) const BLMOVE: Command = Command {
    name: "blmove",
    group: Group::List,
    arity: Arity::Exactly(6),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::BLOCKING),
    keys: &[KeySpec::first(Access::RW.access().delete()), KeySpec::at(2, Access::RW.insert())],
    args: &[
        Arg::key("source", 0),
        Arg::key("destination", 1),
        Arg::one_of("wherefrom", &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")]),
        Arg::one_of("whereto", &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")]),
        Arg::double("timeout"),
    ],
    summary: "Moves an element from one end of a list to one end of a list, or waits for one.",
    complexity: "O(1)",
    since: "6.2.0",
    handler: blmove,
    ..Command::DEFAULT
};

pub(super) const BRPOPLPUSH: Command = Command {
    name: "brpoplpush",
    group: Group::List,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::BLOCKING),
    keys: &[KeySpec::first(Access::RW.access().delete()), KeySpec::at(2, Access::RW.insert())],
    args: &[Arg::key("source", 0), Arg::key("destination", 1), Arg::double("timeout")],
    summary: "Moves the last element of a list to the head of a list, or waits for one.",
    complexity: "O(1)",
    since: "2.2.0",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`BLMOVE` with the `RIGHT` and `LEFT` arguments" }),
    history: &[("6.0.0", "`timeout` may have a fraction.")],
    handler: brpoplpush,
    ..Command::DEFAULT
};

fn blpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop_first(ctx, args, End::Left)
}

fn brpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop_first(ctx, args, End::Right)
}

fn pop_first(ctx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Outcome {
    let last = args.argc() - 1;
    let timeout_ms = timeout_ms(args.at(last), ctx.now_ms())?;
    for index in 1..last {
        let key = args.key_at(index);
        if !ctx.db.is_locked(&key) {
            continue;
        }
        let Some(mut list) = ctx.db.update::<List>(&key)? else { continue };
        ctx.reply.array(2);
        ctx.reply.bulk(key.name);
        list.pop(end, |element| write_element(&mut ctx.reply, element));
        removed(&mut list, pop_event(end), 1);
        drop(list);
        ctx.effects().instead(&[pop_word(end), key.name]);
        return Ok(());
    }
    ctx.wait(blocking::wait(1..last, timeout_ms, Absent::NullArray));
    Ok(())
}

fn blmpop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let timeout = args.take()?;
    let MultiPop { keys, end, count } = MultiPop::parse(&mut args, take_end)?;
    let timeout_ms = timeout_ms(timeout, ctx.now_ms())?;
    for index in keys.clone() {
        let key = args.key_at(index);
        if !ctx.db.is_locked(&key) {
            continue;
        }
        let Some(mut list) = ctx.db.update::<List>(&key)? else { continue };
        ctx.reply.array(2);
        ctx.reply.bulk(key.name);
        let gone = pop_many(&mut list, end, count, &mut ctx.reply);
        drop(list);
        tell_popped(ctx, &key, end, gone);
        return Ok(());
    }
    ctx.wait(blocking::wait(keys, timeout_ms, Absent::NullArray));
    Ok(())
}

fn blmove(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (source, destination) = (args.key()?, args.key()?);
    let (from, to) = (take_end(&mut args)?, take_end(&mut args)?);
    let timeout_ms = timeout_ms(args.take()?, ctx.now_ms())?;
    let effect = [&b"LMOVE"[..], source.name, destination.name, args.at(3), args.at(4)];
    move_or_wait(ctx, source, destination, from, to, timeout_ms, &effect)
}

fn brpoplpush(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (source, destination) = (args.key()?, args.key()?);
    let timeout_ms = timeout_ms(args.take()?, ctx.now_ms())?;
    let effect = [&b"RPOPLPUSH"[..], source.name, destination.name];
    move_or_wait(ctx, source, destination, End::Right, End::Left, timeout_ms, &effect)
}

/// Moves an element, which comes to `effect`, or waits for one.
fn move_or_wait(
    ctx: &mut Ctx<'_>,
    source: Key<'_>,
    target: Key<'_>,
    from: End,
    to: End,
    timeout_ms: u64,
    effect: &[&[u8]],
) -> Outcome {
    if move_element(ctx, source, target, from, to)? {
        ctx.effects().instead(effect);
        return Ok(());
    }
    ctx.wait(blocking::wait(1..2, timeout_ms, Absent::Null));
    Ok(())
}
