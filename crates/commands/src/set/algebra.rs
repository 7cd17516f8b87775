//! Union, intersection and difference, shown, counted or stored.

use kinovar_command::keyspace::{Set, set};
use kinovar_command::{Access, Arg, Args, Arity, Command, CommandError, Ctx, Db, Flags, Group, Key, KeySpec, Outcome};

const NUMKEYS_NOT_POSITIVE: CommandError = CommandError::text("ERR numkeys should be greater than 0");
const NUMKEYS_TOO_LARGE: CommandError = CommandError::text("ERR Number of keys can't be greater than number of args");
const LIMIT_NEGATIVE: CommandError = CommandError::text("ERR LIMIT can't be negative");

/// Takes `count` keys and reads them all: the wrong type of any comes before what a missing one means.
fn take_keys<'a>(db: &mut Db<'_>, args: &mut Args<'a>, count: usize) -> Result<Vec<Key<'a>>, CommandError> {
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        let key = args.key()?;
        db.touch(&key);
        db.peek_value::<Set>(&key)?;
        keys.push(key);
    }
    Ok(keys)
}

/// The sets under `keys`, in order; `None` where there is none.
fn sets<'d>(db: &'d Db<'_>, keys: &[Key<'_>]) -> Result<Vec<Option<&'d Set>>, CommandError> {
    keys.iter().map(|key| Ok(db.peek_value::<Set>(key)?)).collect()
}

/// The sets under `keys`, or none at all if one is missing: what there is to intersect.
fn all_sets<'d>(db: &'d Db<'_>, keys: &[Key<'_>]) -> Result<Vec<&'d Set>, CommandError> {
    Ok(sets(db, keys)?.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default())
}

/// Puts a result away, or deletes the destination if it is empty, and replies with its size.
fn store(ctx: &mut Ctx<'_>, destination: &Key<'_>, result: Set, event: &'static str) -> Outcome {
    let len = result.len();
    ctx.db.store(destination, result, event);
    ctx.reply.count(len);
    Ok(())
}

pub(super) const SUNION: Command = Command {
    name: "sunion",
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::range(1, -1, 1, Access::RO.access())],
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key("key", 0).multiple()],
    summary: "Shows what is in any of several sets.",
    complexity: "O(N) for N members in all sets",
    since: "1.0.0",
    handler: sunion,
    ..Command::DEFAULT
};

fn sunion(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let count = args.left();
    let keys = take_keys(&mut ctx.db, &mut args, count)?;
    let sets: Vec<&Set> = sets(&ctx.db, &keys)?.into_iter().flatten().collect();
    ctx.reply.set_of(|reply| {
        let mut len = 0;
        set::union_each(&sets, ctx.db.settings(), &mut |member| {
            reply.bulk(member);
            len += 1;
        });
        len
    });
    Ok(())
}

pub(super) const SUNIONSTORE: Command = Command {
    name: "sunionstore",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::OW.update()), KeySpec::range(2, -1, 1, Access::RO.access())],
    args: &[Arg::key("destination", 0), Arg::key("key", 1).multiple()],
    summary: "Stores what is in any of several sets.",
    complexity: "O(N) for N members in all sets",
    since: "1.0.0",
    handler: sunionstore,
    ..Command::DEFAULT
};

fn sunionstore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let destination = args.key()?;
    let count = args.left();
    let keys = take_keys(&mut ctx.db, &mut args, count)?;
    let sets: Vec<&Set> = sets(&ctx.db, &keys)?.into_iter().flatten().collect();
    let result = set::union(&sets, ctx.db.settings());
    store(ctx, &destination, result, "sunionstore")
}

pub(super) const SINTER: Command = Command {
    name: "sinter",
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::range(1, -1, 1, Access::RO.access())],
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key("key", 0).multiple()],
    summary: "Shows what several sets have in common.",
    complexity: "O(N*M) for M sets, the smallest of N members",
    since: "1.0.0",
    handler: sinter,
    ..Command::DEFAULT
};

fn sinter(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let count = args.left();
    let keys = take_keys(&mut ctx.db, &mut args, count)?;
    let sets = all_sets(&ctx.db, &keys)?;
    ctx.reply.set_of(|reply| {
        let mut len = 0;
        set::intersect_each(&sets, |member| {
            reply.bulk(member);
            len += 1;
            true
        });
        len
    });
    Ok(())
}

pub(super) const SINTERCARD: Command = Command {
    name: "sintercard",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, Access::RO.access())],
    args: &[Arg::integer("numkeys"), Arg::key("key", 0).multiple(), Arg::integer("limit").token("LIMIT").optional()],
    summary: "Counts what several sets have in common, up to a limit.",
    complexity: "O(N*M) for M sets, the smallest of N members",
    since: "7.0.0",
    handler: sintercard,
    ..Command::DEFAULT
};

fn sintercard(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let count = args.integer().ok().and_then(|count| usize::try_from(count).ok()).filter(|&count| count > 0);
    let count = count.ok_or(NUMKEYS_NOT_POSITIVE)?;
    if count > args.left() {
        return Err(NUMKEYS_TOO_LARGE);
    }
    let mut options = args;
    for _ in 0..count {
        options.take()?;
    }
    let mut limit = 0;
    while !options.is_empty() {
        if !options.accept("LIMIT") || options.is_empty() {
            return Err(CommandError::Syntax);
        }
        let given = options.integer().ok().and_then(|limit| usize::try_from(limit).ok());
        limit = given.ok_or(LIMIT_NEGATIVE)?;
    }
    let keys = take_keys(&mut ctx.db, &mut args, count)?;
    let mut len = 0;
    set::intersect_each(&all_sets(&ctx.db, &keys)?, |_| {
        len += 1;
        // A limit of 0 is none.
        len != limit
    });
    ctx.reply.count(len);
    Ok(())
}

pub(super) const SINTERSTORE: Command = Command {
    name: "sinterstore",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::OW.update()), KeySpec::range(2, -1, 1, Access::RO.access())],
    args: &[Arg::key("destination", 0), Arg::key("key", 1).multiple()],
    summary: "Stores what several sets have in common.",
    complexity: "O(N*M) for M sets, the smallest of N members",
    since: "1.0.0",
    handler: sinterstore,
    ..Command::DEFAULT
};

fn sinterstore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let destination = args.key()?;
    let count = args.left();
    let keys = take_keys(&mut ctx.db, &mut args, count)?;
    let result = set::intersection(&all_sets(&ctx.db, &keys)?, ctx.db.settings());
    store(ctx, &destination, result, "sinterstore")
}

pub(super) const SDIFF: Command = Command {
    name: "sdiff",
    group: Group::Set,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::range(1, -1, 1, Access::RO.access())],
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key("key", 0).multiple()],
    summary: "Shows what is in the first set and in none of the others.",
    complexity: "O(N) for N members in all sets",
    since: "1.0.0",
    handler: sdiff,
    ..Command::DEFAULT
};

fn sdiff(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let count = args.left();
    let keys = take_keys(&mut ctx.db, &mut args, count)?;
    let sets = sets(&ctx.db, &keys)?;
    ctx.reply.set_of(|reply| {
        let mut len = 0;
        if let Some((first, others)) = minuend(&sets) {
            set::difference_each(first, &others, ctx.db.settings(), &mut |member| {
                reply.bulk(member);
                len += 1;
            });
        }
        len
    });
    Ok(())
}

pub(super) const SDIFFSTORE: Command = Command {
    name: "sdiffstore",
    group: Group::Set,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::OW.update()), KeySpec::range(2, -1, 1, Access::RO.access())],
    args: &[Arg::key("destination", 0), Arg::key("key", 1).multiple()],
    summary: "Stores what is in the first source set and in none of the others.",
    complexity: "O(N) for N members in all sets",
    since: "1.0.0",
    handler: sdiffstore,
    ..Command::DEFAULT
};

fn sdiffstore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let destination = args.key()?;
    let count = args.left();
    let keys = take_keys(&mut ctx.db, &mut args, count)?;
    let result = match minuend(&sets(&ctx.db, &keys)?) {
        Some((first, others)) => set::difference(first, &others, ctx.db.settings()),
        None => Set::default(),
    };
    store(ctx, &destination, result, "sdiffstore")
}

/// The set to subtract from, unless it is missing, and those to subtract that exist.
fn minuend<'d>(sets: &[Option<&'d Set>]) -> Option<(&'d Set, Vec<&'d Set>)> {
    let (first, others) = sets.split_first()?;
    Some(((*first)?, others.iter().copied().flatten().collect()))
}
