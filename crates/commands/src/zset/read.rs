//! Scores, ranks and counts; walking and picking.

use super::range::{parse_lex_bounds, parse_score_bounds};
use super::{write_head, write_member, write_pair};
use crate::scan::{ScanOptions, cursor};
use kinovar_command::keyspace::zset::ZSet;
use kinovar_command::*;

pub(super) const ZCARD: Command = Command {
    name: "zcard",
    group: Group::SortedSet,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO)],
    args: &[Arg::key("key", 0)],
    summary: "Counts the members of a sorted set.",
    complexity: "O(1)",
    since: "1.2.0",
    handler: zcard,
    ..Command::DEFAULT
};

pub(super) const ZSCORE: Command = Command {
    name: "zscore",
    group: Group::SortedSet,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("member")],
    summary: "Tells the score of a member.",
    complexity: "O(1)",
    since: "1.2.0",
    member: 2,
    handler: zscore,
    ..Command::DEFAULT
};

pub(super) const ZMSCORE: Command = Command {
    name: "zmscore",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("member").multiple()],
    summary: "Tells the scores of several members.",
    complexity: "O(N) in the number of members asked for",
    since: "6.2.0",
    handler: zmscore,
    ..Command::DEFAULT
};

pub(super) const ZRANK: Command = Command {
    name: "zrank",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("member"), Arg::word("withscore", "WITHSCORE").optional()],
    summary: "Tells how many members come before a member.",
    complexity: "O(log N)",
    since: "2.0.0",
    history: &[("7.2.0", "Takes `WITHSCORE`.")],
    member: 2,
    handler: zrank,
    ..Command::DEFAULT
};

pub(super) const ZREVRANK: Command = Command {
    name: "zrevrank",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("member"), Arg::word("withscore", "WITHSCORE").optional()],
    summary: "Tells how many members come after a member.",
    complexity: "O(log N)",
    since: "2.0.0",
    history: &[("7.2.0", "Takes `WITHSCORE`.")],
    member: 2,
    handler: zrevrank,
    ..Command::DEFAULT
};

pub(super) const ZCOUNT: Command = Command {
    name: "zcount",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::double("min"), Arg::double("max")],
    summary: "Counts the members whose scores lie in a range.",
    complexity: "O(log N)",
    since: "2.0.0",
    handler: zcount,
    ..Command::DEFAULT
};

pub(super) const ZLEXCOUNT: Command = Command {
    name: "zlexcount",
    group: Group::SortedSet,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[Arg::key("key", 0), Arg::string("min"), Arg::string("max")],
    summary: "Counts the members that lie in a range of bytes.",
    complexity: "O(log N)",
    since: "2.8.9",
    handler: zlexcount,
    ..Command::DEFAULT
};

pub(super) const ZSCAN: Command = Command {
    name: "zscan",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", 0),
        Arg::integer("cursor"),
        Arg::pattern("pattern").token("MATCH").optional(),
        Arg::integer("count").token("COUNT").optional(),
    ],
    summary: "Walks through the members with a cursor.",
    complexity: "O(1) a call, O(N) for a whole walk",
    since: "2.8.0",
    handler: zscan,
    ..Command::DEFAULT
};

pub(super) const ZRANDMEMBER: Command = Command {
    name: "zrandmember",
    group: Group::SortedSet,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", 0),
        Arg::block("options", &[Arg::integer("count"), Arg::word("withscores", "WITHSCORES").optional()]).optional(),
    ],
    summary: "Picks members at random.",
    complexity: "O(N) in the number of members picked",
    since: "6.2.0",
    handler: zrandmember,
    ..Command::DEFAULT
};

fn zcard(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let len = ctx.db.read_value::<ZSet>(&key)?.map_or(0, ZSet::len);
    ctx.reply.count(len);
    Ok(())
}

fn write_score(reply: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zscore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let member = args.take()?;
    let score = ctx.db.read_value::<ZSet>(&key)?.and_then(|zset| zset.score(member));
    write_score(&mut ctx.reply, score);
    Ok(())
}

fn zmscore(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let zset = ctx.db.read_value::<ZSet>(&key)?;
    ctx.reply.array(args.left());
    for member in args.rest() {
        write_score(&mut ctx.reply, zset.and_then(|zset| zset.score(member)));
    }
    Ok(())
}

fn zrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    rank(ctx, args, "zrank", false)
}

fn zrevrank(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    rank(ctx, args, "zrevrank", true)
}

fn rank(ctx: &mut Ctx<'_>, mut args: Args<'_>, name: &str, reverse: bool) -> Outcome {
    let key = args.key()?;
    let member = args.take()?;
    if args.left() > 1 {
        return Err(CommandError::WrongArity(name.into()));
    }
    let with_score = args.accept("WITHSCORE");
    args.finish()?;
    let zset = ctx.db.read_value::<ZSet>(&key)?;
    let found = zset.and_then(|zset| {
        let (rank, score) = zset.rank(member)?;
        Some((if reverse { zset.len() - 1 - rank } else { rank }, score))
    });
    match found {
        Some((rank, score)) if with_score => {
            ctx.reply.array(2);
            ctx.reply.count(rank);
            ctx.reply.double(score);
        }
        Some((rank, _)) => ctx.reply.count(rank),
        None if with_score => ctx.reply.null_array(),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zcount(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (min, max) = parse_score_bounds(args.take()?, args.take()?)?;
    let count = ctx.db.read_value::<ZSet>(&key)?.map_or(0, |zset| zset.score_ranks(min, max).len());
    ctx.reply.count(count);
    Ok(())
}

fn zlexcount(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let (min, max) = parse_lex_bounds(args.take()?, args.take()?)?;
    let count = ctx.db.read_value::<ZSet>(&key)?.map_or(0, |zset| zset.lex_ranks(min, max).len());
    ctx.reply.count(count);
    Ok(())
}

fn zscan(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut at = cursor(&mut args)?;
    // The type is looked at before the options, and a missing key answers without looking at them.
    let Some(zset) = ctx.db.read_value::<ZSet>(&key)? else {
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(&mut args, false)?;
    let mut elements = Vec::new();
    let mut out = Reply::new(&mut elements, ctx.reply.protocol());
    let (mut visited, mut shown, mut text) = (0, 0, Vec::new());
    // Scores of large sets come with all their digits here, and only here.
    let print = if zset.encoding() == "skiplist" { number::push_f64_17 } else { number::push_f64 };
    loop {
        at = zset.scan(at, &mut |member, score| {
            visited += 1;
            if member.with(|bytes| options.matches(bytes)) {
                write_member(&mut out, member);
                text.clear();
                print(&mut text, score);
                out.bulk(&text);
                shown += 2;
            }
        });
        if at == 0 || visited >= options.count {
            break;
        }
    }
    ctx.reply.array(2);
    ctx.reply.bulk(at.to_string().as_bytes());
    ctx.reply.array(shown);
    ctx.reply.raw(&elements);
    Ok(())
}

fn zrandmember(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    if args.is_empty() {
        let env = ctx.db.env();
        match ctx.db.read_value::<ZSet>(&key)?.and_then(|zset| zset.random(&mut env.work.rng.borrow_mut())) {
            Some((member, _)) => write_member(&mut ctx.reply, member),
            None => ctx.reply.null(),
        }
        return Ok(());
    }
    let count = args.integer()?;
    if count == i64::MIN {
        return Err(CommandError::text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    let with_scores = args.accept("WITHSCORES");
    args.finish()?;
    if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(CommandError::text("ERR value is out of range"));
    }
    let env = ctx.db.env();
    let Some(zset) = ctx.db.read_value::<ZSet>(&key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    if count < 0 {
        let picks = count.unsigned_abs() as usize;
        write_head(&mut ctx.reply, picks, with_scores);
        for _ in 0..picks {
            let (member, score) = zset.random(&mut env.work.rng.borrow_mut()).expect("a stored set has a member");
            write_pair(&mut ctx.reply, member, score, with_scores);
            check_reply_size(&ctx.reply)?;
        }
        return Ok(());
    }
    let picks = (count as u64).min(zset.len() as u64) as usize;
    write_head(&mut ctx.reply, picks, with_scores);
    for ranks in distinct_ranks(zset.len(), picks, &mut env.work.rng.borrow_mut()) {
        zset.for_each(ranks..ranks + 1, false, |member, score| {
            write_pair(&mut ctx.reply, member, score, with_scores);
        });
    }
    Ok(())
}

/// `picks` different numbers below `len`, every subset being as likely: Floyd's algorithm, or all when all are wanted.
fn distinct_ranks(len: usize, picks: usize, rng: &mut fastrand::Rng) -> Vec<usize> {
    if picks == len {
        return (0..len).collect();
    }
    let mut chosen = std::collections::HashSet::with_capacity(picks);
    let mut ranks = Vec::with_capacity(picks);
    for top in len - picks..len {
        let candidate = rng.usize(..=top);
        let rank = if chosen.insert(candidate) { candidate } else { top };
        chosen.insert(rank);
        ranks.push(rank);
    }
    ranks
}
