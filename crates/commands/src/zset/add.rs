//! Adding, changing and removing members.

use kinovar_command::keyspace::zset::ZSet;
use kinovar_command::keyspace::{Inserted, Settings};
use kinovar_command::*;

pub(super) const ZADD: Command = Command {
    name: "zadd",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.update())],
    args: &[
        Arg::key("key", 0),
        Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional().since("3.0.2"),
        Arg::one_of("comparison", &[Arg::word("gt", "GT"), Arg::word("lt", "LT")]).optional().since("6.2.0"),
        Arg::word("change", "CH").optional().since("3.0.2"),
        Arg::word("increment", "INCR").optional().since("3.0.2"),
        Arg::block("data", &[Arg::double("score"), Arg::string("member")]).multiple(),
    ],
    summary: "Adds members to a sorted set, or changes their scores.",
    complexity: "O(log N) for each member",
    since: "1.2.0",
    history: &[
        ("2.4.0", "Takes several members."),
        ("3.0.2", "Takes `XX`, `NX`, `CH` and `INCR`."),
        ("6.2.0", "Takes `GT` and `LT`."),
    ],
    member: 3,
    handler: zadd,
    ..Command::DEFAULT
};

pub(super) const ZINCRBY: Command = Command {
    name: "zincrby",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.access().update())],
    args: &[Arg::key("key", 0), Arg::integer("increment"), Arg::string("member")],
    summary: "Adds to the score of a member, which starts at 0.",
    complexity: "O(log N)",
    since: "1.2.0",
    member: 3,
    handler: zincrby,
    ..Command::DEFAULT
};

pub(super) const ZREM: Command = Command {
    name: "zrem",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RW.delete())],
    args: &[Arg::key("key", 0), Arg::string("member").multiple()],
    summary: "Removes members.",
    complexity: "O(M log N) for M members",
    since: "1.2.0",
    history: &[("2.4.0", "Takes several members.")],
    member: 2,
    handler: zrem,
    ..Command::DEFAULT
};

/// The options of ZADD.
#[derive(Clone, Copy, Default)]
struct Options {
    /// Only new members.
    nx: bool,
    /// Only members that are there.
    xx: bool,
    /// Only to higher scores.
    gt: bool,
    /// Only to lower scores.
    lt: bool,
    /// Count changed members too.
    ch: bool,
    /// Add to the score.
    incr: bool,
}

impl Options {
    fn parse(args: &mut Args<'_>) -> Options {
        let mut options = Options::default();
        loop {
            let option = match args.peek() {
                // No score is spelled with these letters alone: anything longer or shorter ends the options.
                Some(word) if (2..=4).contains(&word.len()) => word,
                _ => return options,
            };
            let flag = match option.to_ascii_lowercase().as_slice() {
                b"nx" => &mut options.nx,
                b"xx" => &mut options.xx,
                b"gt" => &mut options.gt,
                b"lt" => &mut options.lt,
                b"ch" => &mut options.ch,
                b"incr" => &mut options.incr,
                _ => return options,
            };
            *flag = true;
            args.next();
        }
    }

    fn check(&self, pairs: usize) -> Outcome {
        if self.nx && self.xx {
            return Err(CommandError::text("ERR XX and NX options at the same time are not compatible"));
        }
        if [self.nx, self.gt, self.lt].into_iter().filter(|&on| on).count() > 1 {
            return Err(CommandError::text("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if self.incr && pairs > 1 {
            return Err(CommandError::text("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// Whether a member is added or changed whatever is there.
    fn is_plain(&self) -> bool {
        !(self.nx || self.xx || self.gt || self.lt || self.incr)
    }
}

const NOT_A_NUMBER: CommandError = CommandError::text("ERR resulting score is not a number (NaN)");

/// What became of one pair: what was done and the member's score now; `None` when the options forbade it.
fn apply(
    zset: &mut ZSet,
    member: &[u8],
    score: f64,
    options: Options,
    settings: &Settings,
) -> Result<Option<(Inserted, f64)>, CommandError> {
    if options.is_plain() {
        return Ok(Some((zset.insert(member, score, settings), score)));
    }
    let mut score = score;
    match zset.score(member) {
        Some(_) if options.nx => return Ok(None),
        Some(before) => {
            if options.incr {
                score += before;
                if score.is_nan() {
                    return Err(NOT_A_NUMBER);
                }
            }
            if options.lt && score >= before || options.gt && score <= before {
                return Ok(None);
            }
        }
        None if options.xx => return Ok(None),
        None => {}
    }
    Ok(Some((zset.insert(member, score, settings), score)))
}

fn zadd(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let options = Options::parse(&mut args);
    add(ctx, key, args, options)
}

fn zincrby(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    // An increment that is spelled like an option of ZADD is taken for one, as in the reference.
    let options = Options::parse(&mut args);
    add(ctx, key, args, Options { incr: true, ..options })
}

/// ZADD from the first score on.
fn add(ctx: &mut Ctx<'_>, key: Key<'_>, mut args: Args<'_>, options: Options) -> Outcome {
    let pairs = args.left() / 2;
    if !args.left().is_multiple_of(2) || pairs == 0 {
        return Err(CommandError::Syntax);
    }
    options.check(pairs)?;
    // All scores are checked before the first change; a single one, the common case, is parsed once.
    let mut scores = args;
    let first = scores.double()?;
    for _ in 1..pairs {
        scores.next();
        scores.double()?;
    }
    let settings = ctx.db.settings();
    let update = if options.xx { ctx.db.update::<ZSet>(&key)? } else { Some(upsert(&mut ctx.db, &key, args, pairs)?) };
    let Some(mut zset) = update else {
        if options.incr {
            ctx.reply.null()
        } else {
            ctx.reply.integer(0)
        }
        return Ok(());
    };
    zset.expect_members(pairs, settings);
    let (mut added, mut updated, mut last) = (0, 0, None);
    for pair in 0..pairs {
        let score = if pair == 0 { args.take().map(|_| first)? } else { args.double()? };
        let member = args.take()?;
        let applied = match apply(&mut zset, member, score, options, settings) {
            Ok(applied) => applied,
            Err(error) => {
                // Only INCR fails here, and it has one pair: nothing was changed.
                zset.unchanged();
                return Err(error);
            }
        };
        last = applied.map(|(_, score)| score);
        match applied {
            Some((Inserted::Added, _)) => added += 1,
            Some((Inserted::Updated, _)) => updated += 1,
            _ => {}
        }
    }
    if added + updated > 0 {
        zset.changed(if options.incr { "zincr" } else { "zadd" }, added + updated);
    } else {
        zset.unchanged();
    }
    drop(zset);
    match (options.incr, last) {
        (true, Some(score)) => ctx.reply.double(score),
        (true, None) => ctx.reply.null(),
        (false, _) => ctx.reply.count(if options.ch { added + updated } else { added }),
    }
    Ok(())
}

/// Opens the sorted set, or makes one in the encoding that suits the pairs to come.
fn upsert<'d>(
    db: &'d mut Db<'_>,
    key: &Key<'_>,
    args: Args<'_>,
    pairs: usize,
) -> Result<keyspace::Update<'d, ZSet>, CommandError> {
    let settings = db.settings();
    // Like the reference, which looks at the first member only.
    let first_len = args.at(args.index() + 1).len();
    Ok(db.upsert(key, || ZSet::for_members(pairs, first_len, settings))?)
}

fn zrem(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let Some(mut zset) = ctx.db.update::<ZSet>(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let removed = args.rest().filter(|member| zset.remove(member).is_some()).count();
    if removed > 0 {
        zset.changed("zrem", removed);
    } else {
        zset.unchanged();
    }
    drop(zset);
    ctx.reply.count(removed);
    Ok(())
}
