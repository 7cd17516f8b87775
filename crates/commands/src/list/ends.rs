//! The ends of lists: pushing, popping, moving.

use super::{removed, take_end, write_element};
use crate::multi_pop::MultiPop;
use kinovar_command::keyspace::list::{End, List};
use kinovar_command::*;

pub(super) const LPUSH: Command = Command {
    name: "lpush",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.insert())],
    args: &[Arg::key("key", 0), Arg::string("element").multiple()],
    summary: "Adds elements at the head of a list.",
    complexity: "O(1) for each element",
    since: "1.0.0",
    history: &[("2.4.0", "Takes several elements.")],
    handler: lpush,
    ..Command::DEFAULT
};

pub(super) const RPUSH: Command = Command {
    name: "rpush",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.insert())],
    args: &[Arg::key("key", 0), Arg::string("element").multiple()],
    summary: "Adds elements at the tail of a list.",
    complexity: "O(1) for each element",
    since: "1.0.0",
    history: &[("2.4.0", "Takes several elements.")],
    handler: rpush,
    ..Command::DEFAULT
};

pub(super) const LPUSHX: Command = Command {
    name: "lpushx",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.insert())],
    args: &[Arg::key("key", 0), Arg::string("element").multiple()],
    summary: "Adds elements at the head of a list that exists.",
    complexity: "O(1) for each element",
    since: "2.2.0",
    history: &[("4.0.0", "Takes several elements.")],
    handler: lpushx,
    ..Command::DEFAULT
};

pub(super) const RPUSHX: Command = Command {
    name: "rpushx",
    group: Group::List,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.insert())],
    args: &[Arg::key("key", 0), Arg::string("element").multiple()],
    summary: "Adds elements at the tail of a list that exists.",
    complexity: "O(1) for each element",
    since: "2.2.0",
    history: &[("4.0.0", "Takes several elements.")],
    handler: rpushx,
    ..Command::DEFAULT
};

pub(super) const LPOP: Command = Command {
    name: "lpop",
    group: Group::List,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().delete())],
    args: &[Arg::key("key", 0), Arg::integer("count").optional().since("6.2.0")],
    summary: "Removes elements from the head of a list.",
    complexity: "O(N) for N elements removed",
    since: "1.0.0",
    history: &[("6.2.0", "Takes a count.")],
    handler: lpop,
    ..Command::DEFAULT
};

pub(super) const RPOP: Command = Command {
    name: "rpop",
    group: Group::List,
    arity: Arity::AtLeast(2),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().delete())],
    args: &[Arg::key("key", 0), Arg::integer("count").optional().since("6.2.0")],
    summary: "Removes elements from the tail of a list.",
    complexity: "O(N) for N elements removed",
    since: "1.0.0",
    history: &[("6.2.0", "Takes a count.")],
    handler: rpop,
    ..Command::DEFAULT
};

pub(super) const LMPOP: Command = Command {
    name: "lmpop",
    group: Group::List,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, Access::RW.access().delete())],
    args: &[
        Arg::integer("numkeys"),
        Arg::key("key", 0).multiple(),
        Arg::one_of("where", &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")]),
        Arg::integer("count").token("COUNT").optional(),
    ],
    summary: "Removes elements from one end of the first list that has any.",
    complexity: "O(K + N): K keys, N elements removed",
    since: "7.0.0",
    handler: lmpop,
    ..Command::DEFAULT
};

pub(super) const LMOVE: Command = Command {
    name: "lmove",
    group: Group::List,
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::RW.access().delete()), KeySpec::at(2, Access::RW.insert())],
    args: &[
        Arg::key("source", 0),
        Arg::key("destination", 1),
        Arg::one_of("wherefrom", &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")]),
        Arg::one_of("whereto", &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")]),
    ],
    summary: "Moves an element from one end of a list to one end of a list.",
    complexity: "O(1)",
    since: "6.2.0",
    handler: lmove,
    ..Command::DEFAULT
};

pub(super) const RPOPLPUSH: Command = Command {
    name: "rpoplpush",
    group: Group::List,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::RW.access().delete()), KeySpec::at(2, Access::RW.insert())],
    args: &[Arg::key("source", 0), Arg::key("destination", 1)],
    summary: "Moves the last element of a list to the head of a list.",
    complexity: "O(1)",
    since: "1.2.0",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`LMOVE` with the `RIGHT` and `LEFT` arguments" }),
    handler: rpoplpush,
    ..Command::DEFAULT
};

fn push_event(end: End) -> &'static str {
    if end == End::Left { "lpush" } else { "rpush" }
}

pub(super) fn pop_event(end: End) -> &'static str {
    if end == End::Left { "lpop" } else { "rpop" }
}

fn lpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    push(ctx, args, End::Left)
}

fn rpush(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    push(ctx, args, End::Right)
}

fn push(ctx: &mut Ctx<'_>, mut args: Args<'_>, end: End) -> Outcome {
    let key = args.key()?;
    let mut list = ctx.db.upsert(&key, List::default)?;
    let len = push_all(&mut list, args, end);
    drop(list);
    ctx.reply.count(len);
    Ok(())
}

fn lpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    push_existing(ctx, args, End::Left)
}

fn rpushx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    push_existing(ctx, args, End::Right)
}

fn push_existing(ctx: &mut Ctx<'_>, mut args: Args<'_>, end: End) -> Outcome {
    let key = args.key()?;
    let len = match ctx.db.update::<List>(&key)? {
        Some(mut list) => push_all(&mut list, args, end),
        None => 0,
    };
    ctx.reply.count(len);
    Ok(())
}

/// Adds the arguments that are left, one after the other; the list's new length.
fn push_all(list: &mut keyspace::Update<'_, List>, args: Args<'_>, end: End) -> usize {
    let settings = list.env().settings;
    let bytes = args.rest().map(<[u8]>::len).sum();
    list.make_room(bytes, args.left(), settings);
    let target: &mut List = list;
    args.rest().for_each(|value| target.push(end, value));
    list.changed(push_event(end), args.left());
    list.len()
}

fn lpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, "lpop", End::Left)
}

fn rpop(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    pop(ctx, args, "rpop", End::Right)
}

fn pop(ctx: &mut Ctx<'_>, mut args: Args<'_>, name: &str, end: End) -> Outcome {
    let key = args.key()?;
    if args.left() > 1 {
        return Err(CommandError::WrongArity(name.into()));
    }
    let count = match args.next() {
        None => None,
        Some(count) => {
            let count = number::parse_i64(count).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(CommandError::MustBePositive)?)
        }
    };
    let Some(mut list) = ctx.db.update::<List>(&key)? else {
        match count {
            Some(_) => ctx.reply.null_array(),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    match count {
        None => {
            list.pop(end, |element| write_element(&mut ctx.reply, element));
            removed(&mut list, pop_event(end), 1);
        }
        Some(0) => {
            ctx.reply.array(0);
            list.unchanged();
        }
        Some(count) => {
            pop_many(&mut list, end, count, &mut ctx.reply);
        }
    }
    Ok(())
}

/// Removes up to `count` elements, at least one, from one end; replies with them.
pub(super) fn pop_many(list: &mut keyspace::Update<'_, List>, end: End, count: usize, reply: &mut Reply<'_>) -> usize {
    reply.array(count.min(list.len()));
    let gone = list.pop_many(end, count, |element| write_element(reply, element));
    removed(list, pop_event(end), gone);
    gone
}

/// The command that pops from one list, at once.
pub(super) fn pop_word(end: End) -> &'static [u8] {
    if end == End::Left { b"LPOP" } else { b"RPOP" }
}

/// Says that so many elements were popped from one of several lists.
pub(super) fn tell_popped(ctx: &Ctx<'_>, key: &Key<'_>, end: End, count: usize) {
    if ctx.effects().is_on() {
        ctx.effects().instead(&[pop_word(end), key.name, count.to_string().as_bytes()]);
    }
}

fn lmpop(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let MultiPop { keys, end, count } = MultiPop::parse(&mut args, take_end)?;
    for index in keys {
        let key = args.key_at(index);
        let Some(mut list) = ctx.db.update::<List>(&key)? else { continue };
        ctx.reply.array(2);
        ctx.reply.bulk(key.name);
        let gone = pop_many(&mut list, end, count, &mut ctx.reply);
        drop(list);
        tell_popped(ctx, &key, end, gone);
        return Ok(());
    }
    ctx.reply.null_array();
    Ok(())
}

fn lmove(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (source, destination) = (args.key()?, args.key()?);
    let (from, to) = (take_end(&mut args)?, take_end(&mut args)?);
    move_or_null(ctx, source, destination, from, to)
}

fn rpoplpush(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (source, destination) = (args.key()?, args.key()?);
    move_or_null(ctx, source, destination, End::Right, End::Left)
}

fn move_or_null(ctx: &mut Ctx<'_>, source: Key<'_>, target: Key<'_>, from: End, to: End) -> Outcome {
    if !move_element(ctx, source, target, from, to)? {
        ctx.reply.null();
    }
    Ok(())
}

/// Takes an element from `source`, puts it into `target` and replies with it; does neither when there is none. The push is
/// told before the removal, and the two count as one change.
pub(super) fn move_element(
    ctx: &mut Ctx<'_>,
    source: Key<'_>,
    target: Key<'_>,
    from: End,
    to: End,
) -> Result<bool, CommandError> {
    let settings = ctx.db.settings();
    // Removes the source if it has expired. What is left is looked at without a trace, as it is opened below; a missing
    // source hides the target's type.
    ctx.db.exists(&source);
    let Some(element) = ctx.db.peek_value::<List>(&source)?.and_then(|list| list.end(from)) else {
        return Ok(false);
    };
    let element = element.to_vec();
    let is_same = source.name == target.name;
    let mut list = ctx.db.upsert(&target, List::default)?;
    if is_same {
        list.rotate(from, to, settings);
    } else {
        list.make_room(element.len(), 1, settings);
        list.push(to, &element);
    }
    list.changed(push_event(to), 0);
    drop(list);
    let mut list = ctx.db.update::<List>(&source)?.expect("it was there, and nothing was removed since");
    if !is_same {
        list.pop(from, |_| ());
    }
    removed(&mut list, pop_event(from), 1);
    ctx.reply.bulk(&element);
    Ok(true)
}
