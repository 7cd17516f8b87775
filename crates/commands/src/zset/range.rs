//! Ranges of ranks, scores and bytes: listing, storing, removing.

use super::{write_head, write_pair};
use crate::clamp_indices;
use kinovar_command::keyspace::zset::{LexBound, ScoreBound, ZSet};
use kinovar_command::*;
use std::ops::Range;

const SORT_BY: Arg = Arg::one_of("sortby", &[Arg::word("byscore", "BYSCORE"), Arg::word("bylex", "BYLEX")]).optional();
const LIMIT: Arg = Arg::block("limit", &[Arg::integer("offset"), Arg::integer("count")]).token("LIMIT").optional();

pub(super) const ZRANGE: Command = Command {
    name: "zrange",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[
        Arg::key("key", 0),
        Arg::string("start"),
        Arg::string("stop"),
        SORT_BY.since("6.2.0"),
        Arg::word("rev", "REV").optional().since("6.2.0"),
        LIMIT.since("6.2.0"),
        Arg::word("withscores", "WITHSCORES").optional(),
    ],
    summary: "Lists members in a range of ranks, scores or bytes.",
    complexity: "O(log N + M) for M members listed",
    since: "1.2.0",
    history: &[("6.2.0", "Takes `REV`, `BYSCORE`, `BYLEX` and `LIMIT`.")],
    handler: zrange,
    ..Command::DEFAULT
};

pub(super) const ZRANGESTORE: Command = Command {
    name: "zrangestore",
    group: Group::SortedSet,
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.or(Flags::DENYOOM),
    keys: &[KeySpec::first(Access::OW.update()), KeySpec::at(2, Access::RO.access())],
    args: &[
        Arg::key("dst", 0),
        Arg::key("src", 1),
        Arg::string("min"),
        Arg::string("max"),
        SORT_BY,
        Arg::word("rev", "REV").optional(),
        LIMIT,
    ],
    summary: "Stores members in a range of ranks, scores or bytes.",
    complexity: "O(log N + M) for M members stored",
    since: "6.2.0",
    handler: zrangestore,
    ..Command::DEFAULT
};

pub(super) const ZREVRANGE: Command = Command {
    name: "zrevrange",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[
        Arg::key("key", 0),
        Arg::integer("start"),
        Arg::integer("stop"),
        Arg::word("withscores", "WITHSCORES").optional(),
    ],
    summary: "Lists members in a range of ranks, the last first.",
    complexity: "O(log N + M) for M members listed",
    since: "1.2.0",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`ZRANGE` with the `REV` argument" }),
    handler: zrevrange,
    ..Command::DEFAULT
};

pub(super) const ZRANGEBYSCORE: Command = Command {
    name: "zrangebyscore",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[
        Arg::key("key", 0),
        Arg::double("min"),
        Arg::double("max"),
        Arg::word("withscores", "WITHSCORES").optional().since("2.0.0"),
        LIMIT,
    ],
    summary: "Lists the members whose scores lie in a range.",
    complexity: "O(log N + M) for M members listed",
    since: "1.0.5",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`ZRANGE` with the `BYSCORE` argument" }),
    history: &[("2.0.0", "Takes `WITHSCORES`.")],
    handler: zrangebyscore,
    ..Command::DEFAULT
};

pub(super) const ZREVRANGEBYSCORE: Command = Command {
    name: "zrevrangebyscore",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[
        Arg::key("key", 0),
        Arg::double("max"),
        Arg::double("min"),
        Arg::word("withscores", "WITHSCORES").optional(),
        LIMIT,
    ],
    summary: "Lists the members whose scores lie in a range, the highest first.",
    complexity: "O(log N + M) for M members listed",
    since: "2.2.0",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`ZRANGE` with the `REV` and `BYSCORE` arguments" }),
    history: &[("2.1.6", "Bounds may be exclusive.")],
    handler: zrevrangebyscore,
    ..Command::DEFAULT
};

pub(super) const ZRANGEBYLEX: Command = Command {
    name: "zrangebylex",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("min"), Arg::string("max"), LIMIT],
    summary: "Lists the members that lie in a range of bytes.",
    complexity: "O(log N + M) for M members listed",
    since: "2.8.9",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`ZRANGE` with the `BYLEX` argument" }),
    handler: zrangebylex,
    ..Command::DEFAULT
};

pub(super) const ZREVRANGEBYLEX: Command = Command {
    name: "zrevrangebylex",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("max"), Arg::string("min"), LIMIT],
    summary: "Lists the members that lie in a range of bytes, the last first.",
    complexity: "O(log N + M) for M members listed",
    since: "2.8.9",
    deprecated: Some(Deprecated { since: "6.2.0", replaced_by: "`ZRANGE` with the `REV` and `BYLEX` arguments" }),
    handler: zrevrangebylex,
    ..Command::DEFAULT
};

pub(super) const ZREMRANGEBYRANK: Command = Command {
    name: "zremrangebyrank",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::first(Access::RW.delete())],
    args: &[Arg::key("key", 0), Arg::integer("start"), Arg::integer("stop")],
    summary: "Removes the members in a range of ranks.",
    complexity: "O(log N + M) for M members removed",
    since: "2.0.0",
    handler: zremrangebyrank,
    ..Command::DEFAULT
};

pub(super) const ZREMRANGEBYSCORE: Command = Command {
    name: "zremrangebyscore",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::first(Access::RW.delete())],
    args: &[Arg::key("key", 0), Arg::double("min"), Arg::double("max")],
    summary: "Removes the members whose scores lie in a range.",
    complexity: "O(log N + M) for M members removed",
    since: "1.2.0",
    handler: zremrangebyscore,
    ..Command::DEFAULT
};

pub(super) const ZREMRANGEBYLEX: Command = Command {
    name: "zremrangebylex",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    keys: &[KeySpec::first(Access::RW.delete())],
    args: &[Arg::key("key", 0), Arg::string("min"), Arg::string("max")],
    summary: "Removes the members that lie in a range of bytes.",
    complexity: "O(log N + M) for M members removed",
    since: "2.8.9",
    handler: zremrangebylex,
    ..Command::DEFAULT
};

/// What the bounds of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Lex,
}

/// A range as the arguments give it.
enum Bounds<'a> {
    Rank(i64, i64),
    Score(ScoreBound, ScoreBound),
    Lex(LexBound<'a>, LexBound<'a>),
}

/// What a command of the family fixes; `None` is for its options to say.
#[derive(Clone, Copy)]
struct Family {
    by: Option<By>,
    reverse: Option<bool>,
    /// Whether the result is stored: then scores cannot be asked for.
    store: bool,
}

/// A parsed range.
struct Query<'a> {
    bounds: Bounds<'a>,
    reverse: bool,
    with_scores: bool,
    offset: i64,
    limit: i64,
}

impl<'a> Query<'a> {
    /// Parses `min max [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]`.
    fn parse(args: &mut Args<'a>, family: Family) -> Result<Query<'a>, CommandError> {
        let (first, second) = (args.take()?, args.take()?);
        let (mut by, mut reverse) = (family.by, family.reverse);
        let (mut with_scores, mut offset, mut limit) = (false, 0, -1);
        while !args.is_empty() {
            if !family.store && args.accept("WITHSCORES") {
                with_scores = true;
            } else if args.left() > 2 && args.accept("LIMIT") {
                (offset, limit) = (args.integer()?, args.integer()?);
            } else if reverse.is_none() && args.accept("REV") {
                reverse = Some(true);
            } else if by.is_none() && args.accept("BYLEX") {
                by = Some(By::Lex);
            } else if by.is_none() && args.accept("BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
        }
        let (by, reverse) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if limit != -1 && by == By::Rank {
            return Err(CommandError::text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Lex {
            return Err(CommandError::text("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
        }
        let (min, max) = if reverse && by != By::Rank { (second, first) } else { (first, second) };
        let bounds = match by {
            By::Rank => {
                let integer = |text| number::parse_i64(text).ok_or(CommandError::NotInteger);
                Bounds::Rank(integer(min)?, integer(max)?)
            }
            By::Score => {
                let (min, max) = parse_score_bounds(min, max)?;
                Bounds::Score(min, max)
            }
            By::Lex => {
                let (min, max) = parse_lex_bounds(min, max)?;
                Bounds::Lex(min, max)
            }
        };
        Ok(Query { bounds, reverse, with_scores, offset, limit })
    }

    /// The ranks that the range covers, counted from the lowest score.
    fn ranks(&self, zset: &ZSet) -> Range<usize> {
        let ranks = match self.bounds {
            Bounds::Rank(start, end) => {
                let ranks = clamp_indices(start, end, zset.len());
                return if self.reverse { zset.len() - ranks.end..zset.len() - ranks.start } else { ranks };
            }
            Bounds::Score(min, max) => zset.score_ranks(min, max),
            Bounds::Lex(min, max) => zset.lex_ranks(min, max),
        };
        self.limited(ranks)
    }

    /// The part of a range that LIMIT leaves.
    fn limited(&self, ranks: Range<usize>) -> Range<usize> {
        let Ok(offset) = usize::try_from(self.offset) else { return 0..0 };
        let skipped = offset.min(ranks.len());
        let left = ranks.len() - skipped;
        let kept = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        if self.reverse {
            let end = ranks.end - skipped;
            end - kept..end
        } else {
            let start = ranks.start + skipped;
            start..start + kept
        }
    }
}

/// Two bounds of scores: numbers, infinities, `(` in front for exclusive.
pub(super) fn parse_score_bounds(min: &[u8], max: &[u8]) -> Result<(ScoreBound, ScoreBound), CommandError> {
    let parse = |text: &[u8]| {
        let (exclusive, digits) = match text.strip_prefix(b"(") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // As in C, where a text ends at a zero byte, and no digits at all are a zero.
        let digits = until_nul(digits);
        let is_hex = digits.iter().any(|byte| byte.eq_ignore_ascii_case(&b'x'));
        let score = match digits {
            [] => Some(0.0),
            _ if is_hex => None,
            _ => number::parse_f64(digits),
        };
        score.map(|score| ScoreBound { score, exclusive }).ok_or(CommandError::text("ERR min or max is not a float"))
    };
    Ok((parse(min)?, parse(max)?))
}

/// Two bounds of bytes: `-`, `+`, `[member` or `(member`.
pub(super) fn parse_lex_bounds<'a>(min: &'a [u8], max: &'a [u8]) -> Result<(LexBound<'a>, LexBound<'a>), CommandError> {
    let parse = |text: &'a [u8]| match text {
        b"-" => Ok(LexBound::Lowest),
        b"+" => Ok(LexBound::Highest),
        [b'[', member @ ..] => Ok(LexBound::Inclusive(member)),
        [b'(', member @ ..] => Ok(LexBound::Exclusive(member)),
        _ => Err(CommandError::text("ERR min or max not valid string range item")),
    };
    Ok((parse(min)?, parse(max)?))
}

fn list(ctx: &mut Ctx<'_>, mut args: Args<'_>, by: Option<By>, reverse: Option<bool>) -> Outcome {
    let key = args.key()?;
    let query = Query::parse(&mut args, Family { by, reverse, store: false })?;
    let Some(zset) = ctx.db.read_value::<ZSet>(&key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let ranks = query.ranks(zset);
    write_head(&mut ctx.reply, ranks.len(), query.with_scores);
    zset.for_each(ranks, query.reverse, |member, score| {
        write_pair(&mut ctx.reply, member, score, query.with_scores);
    });
    Ok(())
}

fn zrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    list(ctx, args, None, None)
}

fn zrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    list(ctx, args, Some(By::Rank), Some(true))
}

fn zrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    list(ctx, args, Some(By::Score), Some(false))
}

fn zrevrangebyscore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    list(ctx, args, Some(By::Score), Some(true))
}

fn zrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    list(ctx, args, Some(By::Lex), Some(false))
}

fn zrevrangebylex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    list(ctx, args, Some(By::Lex), Some(true))
}

fn zrangestore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (destination, source) = (args.key()?, args.key()?);
    let query = Query::parse(&mut args, Family { by: None, reverse: None, store: true })?;
    let settings = ctx.db.settings();
    let mut result = ZSet::default();
    if let Some(zset) = ctx.db.read_value::<ZSet>(&source)? {
        let ranks = query.ranks(zset);
        if let Bounds::Rank(..) = query.bounds {
            // Only here does the reference know in advance how many there will be.
            result = ZSet::for_members(ranks.len(), 0, settings);
        }
        // In the order of the reference, which shows in the sign of a zero: a listpack forgets it.
        zset.for_each(ranks, query.reverse, |member, score| {
            member.with(|bytes| result.insert(bytes, score, settings));
        });
    }
    let len = result.len();
    ctx.db.store(&destination, result, "zrangestore");
    ctx.reply.count(len);
    Ok(())
}

fn remove(ctx: &mut Ctx<'_>, key: Key<'_>, event: &'static str, ranks: impl FnOnce(&ZSet) -> Range<usize>) -> Outcome {
    let Some(mut zset) = ctx.db.update::<ZSet>(&key)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let ranks = ranks(&zset);
    let removed = zset.remove_range(ranks, |_, _| {});
    if removed > 0 {
        zset.changed(event, removed);
    } else {
        zset.unchanged();
    }
    drop(zset);
    ctx.reply.count(removed);
    Ok(())
}

fn zremrangebyrank(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (start, end) = (args.integer()?, args.integer()?);
    remove(ctx, key, "zremrangebyrank", |zset| clamp_indices(start, end, zset.len()))
}

fn zremrangebyscore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (min, max) = parse_score_bounds(args.take()?, args.take()?)?;
    remove(ctx, key, "zremrangebyscore", |zset| zset.score_ranks(min, max))
}

fn zremrangebylex(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (min, max) = parse_lex_bounds(args.take()?, args.take()?)?;
    remove(ctx, key, "zremrangebylex", |zset| zset.lex_ranks(min, max))
}
