//! Strings as numbers: INCR, DECR and their variants.

use kinovar_command::keyspace::{Event, EventClass, NewPayload};
use kinovar_command::long_double::LongDouble;
use kinovar_command::{Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, Key, KeySpec, Outcome};

pub(super) const INCR: Command = Command {
    name: "incr",
    group: Group::String,
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[Arg::key("key", 0)],
    summary: "Adds one to an integer, which starts at 0.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: incr,
    ..Command::DEFAULT
};

fn incr(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    add(ctx, &args.key()?, 1)
}

pub(super) const DECR: Command = Command {
    name: "decr",
    group: Group::String,
    arity: Arity::Exactly(2),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[Arg::key("key", 0)],
    summary: "Takes one off an integer, which starts at 0.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: decr,
    ..Command::DEFAULT
};

fn decr(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    add(ctx, &args.key()?, -1)
}

pub(super) const INCRBY: Command = Command {
    name: "incrby",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[Arg::key("key", 0), Arg::integer("increment")],
    summary: "Adds a number to an integer, which starts at 0.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: incrby,
    ..Command::DEFAULT
};

fn incrby(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    add(ctx, &key, args.integer()?)
}

pub(super) const DECRBY: Command = Command {
    name: "decrby",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[Arg::key("key", 0), Arg::integer("decrement")],
    summary: "Takes a number off an integer, which starts at 0.",
    complexity: "O(1)",
    since: "1.0.0",
    handler: decrby,
    ..Command::DEFAULT
};

/// The decrement has no opposite.
const DECREMENT_OVERFLOW: CommandError = CommandError::text("ERR decrement would overflow");

fn decrby(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    add(ctx, &key, args.integer()?.checked_neg().ok_or(DECREMENT_OVERFLOW)?)
}

#[inline]
fn add(ctx: &mut Ctx<'_>, key: &Key<'_>, delta: i64) -> Outcome {
    let (mut update, created) = ctx.db.upsert_text(key, NewPayload::Int(delta))?;
    let sum = if created {
        update.changed("incrby");
        delta
    } else {
        let value = update.text().to_int().ok_or(CommandError::NotInteger)?;
        let sum = value.checked_add(delta).ok_or(CommandError::Overflow)?;
        update.set_int(sum, "incrby");
        sum
    };
    ctx.reply.integer(sum);
    Ok(())
}

pub(super) const INCRBYFLOAT: Command = Command {
    name: "incrbyfloat",
    group: Group::String,
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[Arg::key("key", 0), Arg::double("increment")],
    summary: "Adds a number to a decimal number, which starts at 0.",
    complexity: "O(1)",
    since: "2.6.0",
    handler: incrbyfloat,
    ..Command::DEFAULT
};

fn incrbyfloat(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    const EVENT: &str = "incrbyfloat";
    let key = args.key()?;
    let increment = args.take()?;
    let mut text = Vec::with_capacity(32);
    // The sum is stored as text, even if it is an integer's.
    if let Some(mut update) = ctx.db.update_text(&key)? {
        update.text().with(|value| push_sum(value, increment, &mut text))?;
        update.set_literal(&text, EVENT);
    } else {
        push_sum(b"0", increment, &mut text)?;
        let event = Event { class: EventClass::String, name: EVENT };
        ctx.db.put(&key, NewPayload::Bytes(&text), None, event);
    }
    // The arithmetic of another machine may differ in the last digit.
    ctx.effects().instead(&[b"SET", key.name, &text, b"KEEPTTL"]);
    ctx.reply.bulk(&text);
    Ok(())
}

/// Appends the sum of two decimal numbers.
fn push_sum(value: &[u8], increment: &[u8], out: &mut Vec<u8>) -> Outcome {
    let value = LongDouble::parse(value).ok_or(CommandError::NotFloat)?;
    let increment = LongDouble::parse(increment).ok_or(CommandError::NotFloat)?;
    value.checked_add(increment).ok_or(CommandError::NanOrInfinity)?.push_text(out);
    Ok(())
}
