//! Setting, reading and removing fields.

use super::reply_text;
use kinovar_command::keyspace::{FieldTtl, Hash, Text};
use kinovar_command::{
    Access, Arg, Args, Arity, Command, CommandError, Ctx, Deprecated, Flags, Group, Key, KeySpec, Outcome, Reply,
};

pub(super) const HSET: Command = Command {
    name: "hset",
    group: Group::Hash,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple()],
    summary: "Sets fields of a hash and counts the new ones.",
    complexity: "O(N) for N fields named",
    since: "2.0.0",
    history: &[("4.0.0", "Several fields at once.")],
    member: 2,
    handler: hset,
    ..Command::DEFAULT
};

fn hset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    let created = set_pairs(ctx, args, "hset")?;
    ctx.reply.count(created);
    Ok(())
}

pub(super) const HMSET: Command = Command {
    name: "hmset",
    group: Group::Hash,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[Arg::key("key", 0), Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple()],
    summary: "Sets fields of a hash and replies OK.",
    complexity: "O(N) for N fields named",
    since: "2.0.0",
    deprecated: Some(Deprecated { since: "4.0.0", replaced_by: "`HSET` with multiple field-value pairs" }),
    handler: hmset,
    ..Command::DEFAULT
};

fn hmset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    set_pairs(ctx, args, "hmset")?;
    ctx.reply.ok();
    Ok(())
}

/// Sets the fields that follow the key; how many are new.
#[inline]
fn set_pairs(ctx: &mut Ctx<'_>, mut args: Args<'_>, command: &str) -> Result<usize, CommandError> {
    let key = args.key()?;
    if !args.left().is_multiple_of(2) {
        return Err(CommandError::WrongArity(command.into()));
    }
    let settings = ctx.db.settings();
    let mut update = ctx.db.upsert::<Hash>(&key, Hash::default)?;
    let hash = &mut *update;
    let pairs = args.left() / 2;
    hash.expect_fields(args.rest(), settings);
    let mut created = 0;
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        created += usize::from(hash.set(name, value, FieldTtl::Clear, settings));
    }
    update.changed("hset", pairs);
    Ok(created)
}

pub(super) const HSETNX: Command = Command {
    name: "hsetnx",
    group: Group::Hash,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.insert())],
    args: &[Arg::key("key", 0), Arg::string("field"), Arg::string("value")],
    summary: "Sets a field of a hash unless it exists.",
    complexity: "O(1)",
    since: "2.0.0",
    member: 2,
    handler: hsetnx,
    ..Command::DEFAULT
};

fn hsetnx(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let pair = args.rest();
    let (name, value) = (args.take()?, args.take()?);
    let (now_ms, settings) = (ctx.expiry_ms(), ctx.db.settings());
    let mut hash = ctx.db.upsert::<Hash>(&key, Hash::default)?;
    if hash.find_live(name, now_ms).is_some() {
        hash.unchanged();
        ctx.reply.flag(false);
        return Ok(());
    }
    if hash.remove_expired(name, now_ms) {
        hash.expired(1);
    }
    hash.expect_fields(pair, settings);
    hash.set(name, value, FieldTtl::Clear, settings);
    hash.changed("hset", 1);
    ctx.reply.flag(true);
    Ok(())
}

pub(super) const HGET: Command = Command {
    name: "hget",
    group: Group::Hash,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("field")],
    summary: "Reads a field of a hash.",
    complexity: "O(1)",
    since: "2.0.0",
    member: 2,
    handler: hget,
    ..Command::DEFAULT
};

fn hget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    read_each(ctx, args, |_, _| {}, reply_text)
}

pub(super) const HMGET: Command = Command {
    name: "hmget",
    group: Group::Hash,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("field").multiple()],
    summary: "Reads several fields of a hash.",
    complexity: "O(N) for N fields named",
    since: "2.0.0",
    handler: hmget,
    ..Command::DEFAULT
};

fn hmget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    read_each(ctx, args, |reply, count| reply.array(count), reply_text)
}

/// Reads the fields that follow the key: replies with a head for so many, then what `show` makes of each value. Those that
/// turn out to have expired are removed.
#[inline]
fn read_each(
    ctx: &mut Ctx<'_>,
    mut args: Args<'_>,
    head: impl FnOnce(&mut Reply<'_>, usize),
    mut show: impl FnMut(&mut Reply<'_>, Option<Text<'_>>),
) -> Outcome {
    let key = args.key()?;
    let now_ms = ctx.expiry_ms();
    let hash = ctx.db.read_value::<Hash>(&key)?;
    head(&mut ctx.reply, args.left());
    let mut expired = false;
    for name in args.rest() {
        let field = hash.and_then(|hash| hash.find(name));
        let live = field.filter(|field| !field.is_expired(now_ms));
        expired |= field.is_some() && live.is_none();
        show(&mut ctx.reply, live.map(|field| field.value));
    }
    if expired { remove_expired(ctx, &key, args) } else { Ok(()) }
}

/// Removes those of the fields left in `args` that have expired. Where a snapshot would have to write a large hash for that, they are
/// left to be removed later: nobody can read them.
#[cold]
fn remove_expired(ctx: &mut Ctx<'_>, key: &Key<'_>, args: Args<'_>) -> Outcome {
    if ctx.db.hurry_snapshot(key) {
        return Ok(());
    }
    let now_ms = ctx.expiry_ms();
    if let Some(mut hash) = ctx.db.update::<Hash>(key)? {
        let removed = args.rest().filter(|name| hash.remove_expired(name, now_ms)).count();
        hash.expired(removed);
    }
    Ok(())
}

pub(super) const HEXISTS: Command = Command {
    name: "hexists",
    group: Group::Hash,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO)],
    args: &[Arg::key("key", 0), Arg::string("field")],
    summary: "Tells whether a hash has a field.",
    complexity: "O(1)",
    since: "2.0.0",
    member: 2,
    handler: hexists,
    ..Command::DEFAULT
};

fn hexists(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    read_each(ctx, args, |_, _| {}, |reply, value| reply.flag(value.is_some()))
}

pub(super) const HSTRLEN: Command = Command {
    name: "hstrlen",
    group: Group::Hash,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO)],
    args: &[Arg::key("key", 0), Arg::string("field")],
    summary: "Tells how long the value of a field is.",
    complexity: "O(1)",
    since: "3.2.0",
    member: 2,
    handler: hstrlen,
    ..Command::DEFAULT
};

fn hstrlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    read_each(ctx, args, |_, _| {}, |reply, value| reply.count(value.map_or(0, Text::len)))
}

pub(super) const HLEN: Command = Command {
    name: "hlen",
    group: Group::Hash,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO)],
    args: &[Arg::key("key", 0)],
    summary: "Counts the fields of a hash.",
    complexity: "O(1)",
    since: "2.0.0",
    handler: hlen,
    ..Command::DEFAULT
};

fn hlen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let hash = ctx.db.read_value::<Hash>(&key)?;
    ctx.reply.count(hash.map_or(0, Hash::len));
    Ok(())
}

pub(super) const HDEL: Command = Command {
    name: "hdel",
    group: Group::Hash,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.delete())],
    args: &[Arg::key("key", 0), Arg::string("field").multiple()],
    summary: "Removes fields from a hash, and the hash with the last of them.",
    complexity: "O(N) for N fields named",
    since: "2.0.0",
    history: &[("2.4.0", "Several fields at once.")],
    member: 2,
    handler: hdel,
    ..Command::DEFAULT
};

fn hdel(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut removed = 0;
    if let Some(mut hash) = ctx.db.update::<Hash>(&key)? {
        while !hash.is_empty()
            && let Some(name) = args.next()
        {
            removed += usize::from(hash.remove(name));
        }
        if removed > 0 {
            hash.changed("hdel", removed);
        } else {
            hash.unchanged();
        }
    }
    ctx.reply.count(removed);
    Ok(())
}
