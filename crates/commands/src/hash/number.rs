//! Numbers in fields: `HINCRBY`, `HINCRBYFLOAT`.

use kinovar_command::keyspace::hash::IncrementError;
use kinovar_command::keyspace::{FieldTtl, Hash};
use kinovar_command::long_double::LongDouble;
use kinovar_command::{Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, KeySpec, Outcome};

const VALUE_NOT_INTEGER: CommandError = CommandError::text("ERR hash value is not an integer");
const VALUE_NOT_FLOAT: CommandError = CommandError::text("ERR hash value is not a float");
const INCREMENT_INFINITE: CommandError = CommandError::text("ERR value is NaN or Infinity");

pub(super) const HINCRBY: Command = Command {
    name: "hincrby",
    group: Group::Hash,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[Arg::key("key", 0), Arg::string("field"), Arg::integer("increment")],
    summary: "Adds to an integer in a field, which starts at 0.",
    complexity: "O(1)",
    since: "2.0.0",
    member: 2,
    handler: hincrby,
    ..Command::DEFAULT
};

fn hincrby(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let name = args.take()?;
    let delta = args.integer()?;
    let (now_ms, settings) = (ctx.expiry_ms(), ctx.db.settings());
    let mut hash = ctx.db.upsert::<Hash>(&key, Hash::default)?;
    if hash.remove_expired(name, now_ms) {
        hash.expired(1);
    }
    match hash.increment(name, delta, now_ms, settings) {
        Ok(sum) => {
            hash.changed("hincrby", 1);
            ctx.reply.integer(sum);
            Ok(())
        }
        Err(error) => {
            // It was there before: an empty hash has nothing that could be wrong.
            hash.unchanged();
            Err(match error {
                IncrementError::NotInteger => VALUE_NOT_INTEGER,
                IncrementError::Overflow => CommandError::Overflow,
            })
        }
    }
}

pub(super) const HINCRBYFLOAT: Command = Command {
    name: "hincrbyfloat",
    group: Group::Hash,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[Arg::key("key", 0), Arg::string("field"), Arg::double("increment")],
    summary: "Adds to a decimal number in a field, which starts at 0.",
    complexity: "O(1)",
    since: "2.6.0",
    handler: hincrbyfloat,
    ..Command::DEFAULT
};

fn hincrbyfloat(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let name = args.take()?;
    let increment = LongDouble::parse(args.take()?).ok_or(CommandError::NotFloat)?;
    // The sum with zero is the number itself, unless that is infinite.
    LongDouble::ZERO.checked_add(increment).ok_or(INCREMENT_INFINITE)?;
    let (now_ms, settings) = (ctx.expiry_ms(), ctx.db.settings());
    let mut hash = ctx.db.upsert::<Hash>(&key, Hash::default)?;
    hash.unchanged();
    let value = match hash.get(name, now_ms) {
        Some(value) => value.with(LongDouble::parse).ok_or(VALUE_NOT_FLOAT)?,
        None => LongDouble::ZERO,
    };
    let mut text = Vec::with_capacity(32);
    value.checked_add(increment).ok_or(CommandError::NanOrInfinity)?.push_text(&mut text);
    if hash.remove_expired(name, now_ms) {
        hash.expired(1);
    }
    hash.set(name, &text, FieldTtl::Keep, settings);
    hash.changed("hincrbyfloat", 1);
    drop(hash);
    // The arithmetic of another machine may differ in the last digit.
    ctx.effects().instead(&[b"HSETEX", key.name, b"KEEPTTL", b"FIELDS", b"1", name, &text]);
    ctx.reply.bulk(&text);
    Ok(())
}
