//! Union, intersection and difference of sorted sets, and of sets, whose members all have the score 1.

use super::{write_head, write_pair};
use kinovar_command::keyspace::object::{self, Object, Text};
use kinovar_command::keyspace::set::{Member, Set};
use kinovar_command::keyspace::zset::ZSet;
use kinovar_command::keyspace::{Payload, Settings};
use kinovar_command::*;

pub(super) const ZUNION: Command = Command {
    name: "zunion",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, Access::RO.access())],
    args: &[
        Arg::integer("numkeys"),
        Arg::key("key", 0).multiple(),
        Arg::integer("weight").token("WEIGHTS").optional().multiple(),
        Arg::one_of("aggregate", &[Arg::word("sum", "SUM"), Arg::word("min", "MIN"), Arg::word("max", "MAX")])
            .token("AGGREGATE")
            .optional(),
        Arg::word("withscores", "WITHSCORES").optional(),
    ],
    summary: "Tells which members are in any of several sorted sets.",
    complexity: "O(N + M log M): N members in all sets, M in the result",
    since: "6.2.0",
    handler: zunion,
    ..Command::DEFAULT
};

pub(super) const ZUNIONSTORE: Command = Command {
    name: "zunionstore",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::first(Access::OW.update()), KeySpec::counted(2, Access::RO.access())],
    args: &[
        Arg::key("destination", 0),
        Arg::integer("numkeys"),
        Arg::key("key", 1).multiple(),
        Arg::integer("weight").token("WEIGHTS").optional().multiple(),
        Arg::one_of("aggregate", &[Arg::word("sum", "SUM"), Arg::word("min", "MIN"), Arg::word("max", "MAX")])
            .token("AGGREGATE")
            .optional(),
    ],
    summary: "Stores the members that are in any of several sorted sets.",
    complexity: "O(N + M log M): N members in all sets, M in the result",
    since: "2.0.0",
    handler: zunionstore,
    ..Command::DEFAULT
};

pub(super) const ZINTER: Command = Command {
    name: "zinter",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, Access::RO.access())],
    args: &[
        Arg::integer("numkeys"),
        Arg::key("key", 0).multiple(),
        Arg::integer("weight").token("WEIGHTS").optional().multiple(),
        Arg::one_of("aggregate", &[Arg::word("sum", "SUM"), Arg::word("min", "MIN"), Arg::word("max", "MAX")])
            .token("AGGREGATE")
            .optional(),
        Arg::word("withscores", "WITHSCORES").optional(),
    ],
    summary: "Tells which members several sorted sets have in common.",
    complexity: "O(N*K + M log M): N members in the smallest of K sets, M in the result",
    since: "6.2.0",
    handler: zinter,
    ..Command::DEFAULT
};

pub(super) const ZINTERSTORE: Command = Command {
    name: "zinterstore",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::first(Access::OW.update()), KeySpec::counted(2, Access::RO.access())],
    args: &[
        Arg::key("destination", 0),
        Arg::integer("numkeys"),
        Arg::key("key", 1).multiple(),
        Arg::integer("weight").token("WEIGHTS").optional().multiple(),
        Arg::one_of("aggregate", &[Arg::word("sum", "SUM"), Arg::word("min", "MIN"), Arg::word("max", "MAX")])
            .token("AGGREGATE")
            .optional(),
    ],
    summary: "Stores the members that several sorted sets have in common.",
    complexity: "O(N*K + M log M): N members in the smallest of K sets, M in the result",
    since: "2.0.0",
    handler: zinterstore,
    ..Command::DEFAULT
};

pub(super) const ZINTERCARD: Command = Command {
    name: "zintercard",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, Access::RO.access())],
    args: &[Arg::integer("numkeys"), Arg::key("key", 0).multiple(), Arg::integer("limit").token("LIMIT").optional()],
    summary: "Counts the members that several sorted sets have in common.",
    complexity: "O(N*K): N members in the smallest of K sets",
    since: "7.0.0",
    handler: zintercard,
    ..Command::DEFAULT
};

pub(super) const ZDIFF: Command = Command {
    name: "zdiff",
    group: Group::SortedSet,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY.or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::counted(1, Access::RO.access())],
    args: &[Arg::integer("numkeys"), Arg::key("key", 0).multiple(), Arg::word("withscores", "WITHSCORES").optional()],
    summary: "Tells which members of the first sorted set are in none of the others.",
    complexity: "O(L + (N-K) log N) in the worst case: L members in all sets, N in the first, K in the result",
    since: "6.2.0",
    handler: zdiff,
    ..Command::DEFAULT
};

pub(super) const ZDIFFSTORE: Command = Command {
    name: "zdiffstore",
    group: Group::SortedSet,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::MOVABLEKEYS),
    keys: &[KeySpec::first(Access::OW.update()), KeySpec::counted(2, Access::RO.access())],
    args: &[Arg::key("destination", 0), Arg::integer("numkeys"), Arg::key("key", 1).multiple()],
    summary: "Stores the members of the first sorted set that are in none of the others.",
    complexity: "O(L + (N-K) log N) in the worst case: L members in all sets, N in the first, K in the result",
    since: "6.2.0",
    handler: zdiffstore,
    ..Command::DEFAULT
};

/// One operand.
#[derive(Clone, Copy)]
enum Input<'a> {
    Missing,
    ZSet(&'a ZSet),
    Set(&'a Set),
}

impl<'a> Input<'a> {
    /// What is stored under a key, without a trace; its access was noted before.
    fn peek(db: &'a Db<'_>, key: &Key<'_>) -> Result<Input<'a>, CommandError> {
        let Some(entry) = db.peek(key) else { return Ok(Input::Missing) };
        match entry.payload() {
            Payload::Object(Object::ZSet(_)) => Ok(Input::ZSet(object::value(entry)?)),
            Payload::Object(Object::Set(_)) => Ok(Input::Set(object::value(entry)?)),
            _ => Err(CommandError::WrongType),
        }
    }

    fn len(&self) -> usize {
        match self {
            Input::Missing => 0,
            Input::ZSet(zset) => zset.len(),
            Input::Set(set) => set.len(),
        }
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            Input::Missing => None,
            Input::ZSet(zset) => zset.score(member),
            Input::Set(set) => set.contains(member).then_some(1.0),
        }
    }

    /// Shows every member with its score, until `visit` returns false.
    fn visit(&self, visit: &mut dyn FnMut(&[u8], f64) -> bool) {
        match self {
            Input::Missing => {}
            Input::ZSet(zset) => {
                zset.visit(0..zset.len(), false, &mut |member, score| match member {
                    Text::Bytes(bytes) => visit(bytes, score),
                    Text::Int(_) => member.with(|bytes| visit(bytes, score)),
                });
            }
            Input::Set(set) => {
                let mut buf = [0; 24];
                let _ = set.iter().all(|member: Member<'_>| visit(member.bytes(&mut buf), 1.0));
            }
        }
    }
}

/// How scores of the same member are combined.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn combine(self, a: f64, b: f64) -> f64 {
        match self {
            // Infinity and minus infinity cancel out.
            Aggregate::Sum => not_nan(a + b),
            Aggregate::Min => {
                if b < a {
                    b
                } else {
                    a
                }
            }
            Aggregate::Max => {
                if b > a {
                    b
                } else {
                    a
                }
            }
        }
    }
}

fn not_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// The keys and the options of an operation.
struct Call<'a> {
    keys: Vec<Key<'a>>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
}

/// Takes `numkeys key [key …]`.
fn take_keys<'a>(args: &mut Args<'a>, name: &str) -> Result<Vec<Key<'a>>, CommandError> {
    let numkeys = args.integer()?;
    if numkeys < 1 {
        return Err(CommandError::owned(format!("ERR at least 1 input key is needed for '{name}' command")));
    }
    if numkeys as u64 > args.left() as u64 {
        return Err(CommandError::Syntax);
    }
    (0..numkeys).map(|_| args.key()).collect()
}

impl<'a> Call<'a> {
    /// Parses everything after the destination; the keys' types are looked at before the options, as in the reference.
    fn parse(
        ctx: &mut Ctx<'_>,
        args: &mut Args<'a>,
        name: &str,
        operation: Operation,
        store: bool,
    ) -> Result<Call<'a>, CommandError> {
        let keys = take_keys(args, name)?;
        check_types(&mut ctx.db, &keys)?;
        let mut call = Call { weights: vec![1.0; keys.len()], keys, aggregate: Aggregate::Sum, with_scores: false };
        let combines = operation != Operation::Diff;
        while !args.is_empty() {
            if combines && args.left() > call.keys.len() && args.accept("WEIGHTS") {
                for weight in &mut call.weights {
                    *weight = args.double().map_err(|_| CommandError::text("ERR weight value is not a float"))?;
                }
            } else if combines && args.left() >= 2 && args.accept("AGGREGATE") {
                call.aggregate = match args.take()?.to_ascii_lowercase().as_slice() {
                    b"sum" => Aggregate::Sum,
                    b"min" => Aggregate::Min,
                    b"max" => Aggregate::Max,
                    _ => return Err(CommandError::Syntax),
                };
            } else if !store && args.accept("WITHSCORES") {
                call.with_scores = true;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(call)
    }

    fn inputs<'d>(&self, db: &'d Db<'_>) -> Result<Vec<(Input<'d>, f64)>, CommandError> {
        self.keys.iter().zip(&self.weights).map(|(key, &weight)| Ok((Input::peek(db, key)?, weight))).collect()
    }

    fn compute(&self, db: &Db<'_>, operation: Operation) -> Result<ZSet, CommandError> {
        let inputs = self.inputs(db)?;
        let settings = db.settings();
        Ok(match operation {
            Operation::Union => union(inputs, self.aggregate, settings),
            Operation::Inter => inter(inputs, self.aggregate, settings),
            Operation::Diff => diff(&inputs, settings),
        })
    }
}

/// Notes the accesses, and fails at the first key that holds neither a sorted set nor a set.
fn check_types(db: &mut Db<'_>, keys: &[Key<'_>]) -> Outcome {
    for key in keys {
        if db.touch(key) {
            Input::peek(db, key)?;
        }
    }
    Ok(())
}

/// A set that starts large: what is computed is brought into its final encoding afterwards.
fn growing(settings: &Settings) -> ZSet {
    ZSet::for_members(usize::MAX, 0, settings)
}

fn union(mut inputs: Vec<(Input<'_>, f64)>, aggregate: Aggregate, settings: &Settings) -> ZSet {
    let mut result = growing(settings);
    // The order of the reference: sums of doubles and the sign of a zero depend on it.
    inputs.sort_by_key(|(input, _)| input.len());
    for (input, weight) in &inputs {
        input.visit(&mut |member, score| {
            let score = not_nan(score * weight);
            let Some(before) = result.score(member) else {
                result.insert(member, score, settings);
                return true;
            };
            let score = aggregate.combine(before, score);
            if score == 0.0 {
                // Only a new member takes over the sign of a zero.
                result.remove(member);
            }
            result.insert(member, score, settings);
            true
        });
    }
    result
}

/// Shows the members that all inputs have, with their combined scores, until `visit` returns false.
fn visit_common(mut inputs: Vec<(Input<'_>, f64)>, aggregate: Aggregate, visit: &mut dyn FnMut(&[u8], f64) -> bool) {
    // The smallest first: every member of it is looked up in the others. Equal ones keep their order.
    inputs.sort_by_key(|(input, _)| input.len());
    let Some(((smallest, weight), others)) = inputs.split_first() else { return };
    smallest.visit(&mut |member, score| {
        let mut combined = not_nan(score * weight);
        for (other, weight) in others {
            let Some(score) = other.score(member) else { return true };
            // Not a number only when infinity meets a weight of zero: it then makes a sum zero and is no minimum or maximum.
            combined = aggregate.combine(combined, score * weight);
        }
        visit(member, combined)
    });
}

fn inter(inputs: Vec<(Input<'_>, f64)>, aggregate: Aggregate, settings: &Settings) -> ZSet {
    let mut result = growing(settings);
    visit_common(inputs, aggregate, &mut |member, score| {
        result.insert(member, score, settings);
        true
    });
    result
}

fn diff(inputs: &[(Input<'_>, f64)], settings: &Settings) -> ZSet {
    let mut result = growing(settings);
    let Some(((first, _), others)) = inputs.split_first() else { return result };
    first.visit(&mut |member, score| {
        if others.iter().all(|(other, _)| other.score(member).is_none()) {
            result.insert(member, score, settings);
        }
        true
    });
    result
}

fn read(ctx: &mut Ctx<'_>, mut args: Args<'_>, name: &str, operation: Operation) -> Outcome {
    let call = Call::parse(ctx, &mut args, name, operation, false)?;
    let result = call.compute(&ctx.db, operation)?;
    write_head(&mut ctx.reply, result.len(), call.with_scores);
    result.for_each(0..result.len(), false, |member, score| {
        write_pair(&mut ctx.reply, member, score, call.with_scores);
    });
    Ok(())
}

fn store(ctx: &mut Ctx<'_>, mut args: Args<'_>, name: &'static str, operation: Operation) -> Outcome {
    let destination = args.key()?;
    let call = Call::parse(ctx, &mut args, name, operation, true)?;
    let mut result = call.compute(&ctx.db, operation)?;
    result.compact(ctx.db.settings());
    let len = result.len();
    ctx.db.store(&destination, result, name);
    ctx.reply.count(len);
    Ok(())
}

fn zunion(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    read(ctx, args, "zunion", Operation::Union)
}

fn zinter(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    read(ctx, args, "zinter", Operation::Inter)
}

fn zdiff(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    read(ctx, args, "zdiff", Operation::Diff)
}

fn zunionstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    store(ctx, args, "zunionstore", Operation::Union)
}

fn zinterstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    store(ctx, args, "zinterstore", Operation::Inter)
}

fn zdiffstore(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    store(ctx, args, "zdiffstore", Operation::Diff)
}

fn zintercard(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let keys = take_keys(&mut args, "zintercard")?;
    check_types(&mut ctx.db, &keys)?;
    let mut limit = 0;
    while !args.is_empty() {
        if args.left() < 2 || !args.accept("LIMIT") {
            return Err(CommandError::Syntax);
        }
        let error = CommandError::text("ERR LIMIT can't be negative");
        limit = number::parse_i64(args.take()?).and_then(|limit| usize::try_from(limit).ok()).ok_or(error)?;
    }
    let inputs = keys.iter().map(|key| Ok((Input::peek(&ctx.db, key)?, 1.0)));
    let inputs = inputs.collect::<Result<Vec<_>, CommandError>>()?;
    let mut count = 0;
    visit_common(inputs, Aggregate::Sum, &mut |_, _| {
        count += 1;
        count != limit
    });
    ctx.reply.count(count);
    Ok(())
}
