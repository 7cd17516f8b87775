//! The whole hash: all fields, walking over them, random ones.

use super::reply_text;
use crate::scan::{self, ScanOptions};
use kinovar_command::keyspace::{Field, Hash};
use kinovar_command::{
    Access, Arg, Args, Arity, Command, CommandError, Ctx, Flags, Group, KeySpec, Outcome, Reply, check_reply_size,
};

pub(super) const HGETALL: Command = Command {
    name: "hgetall",
    group: Group::Hash,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key("key", 0)],
    summary: "Reads a whole hash.",
    complexity: "O(N) for N fields in the hash",
    since: "2.0.0",
    handler: hgetall,
    ..Command::DEFAULT
};

fn hgetall(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let now_ms = ctx.now_ms();
    let Some(hash) = ctx.db.read_value::<Hash>(&key)? else {
        ctx.reply.map(0);
        return Ok(());
    };
    ctx.reply.map(hash.live_len(now_ms));
    hash.live(now_ms).for_each(|field| reply_pair(&mut ctx.reply, field));
    Ok(())
}

pub(super) const HKEYS: Command = Command {
    name: "hkeys",
    group: Group::Hash,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key("key", 0)],
    summary: "Lists the names of all fields of a hash.",
    complexity: "O(N) for N fields in the hash",
    since: "2.0.0",
    handler: hkeys,
    ..Command::DEFAULT
};

fn hkeys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    list_all(ctx, args, |reply, field| reply_text(reply, Some(field.name)))
}

pub(super) const HVALS: Command = Command {
    name: "hvals",
    group: Group::Hash,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output_order"],
    args: &[Arg::key("key", 0)],
    summary: "Lists the values of all fields of a hash.",
    complexity: "O(N) for N fields in the hash",
    since: "2.0.0",
    handler: hvals,
    ..Command::DEFAULT
};

fn hvals(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    list_all(ctx, args, |reply, field| reply_text(reply, Some(field.value)))
}

/// Replies with an array of one item for each field.
fn list_all(ctx: &mut Ctx<'_>, mut args: Args<'_>, show: fn(&mut Reply<'_>, Field<'_>)) -> Outcome {
    let key = args.key()?;
    let now_ms = ctx.now_ms();
    let Some(hash) = ctx.db.read_value::<Hash>(&key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    ctx.reply.array(hash.live_len(now_ms));
    hash.live(now_ms).for_each(|field| show(&mut ctx.reply, field));
    Ok(())
}

fn reply_pair(reply: &mut Reply<'_>, field: Field<'_>) {
    reply_text(reply, Some(field.name));
    reply_text(reply, Some(field.value));
}

pub(super) const HSCAN: Command = Command {
    name: "hscan",
    group: Group::Hash,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", 0),
        Arg::integer("cursor"),
        Arg::pattern("pattern").token("MATCH").optional(),
        Arg::integer("count").token("COUNT").optional(),
        Arg::word("novalues", "NOVALUES").optional(),
    ],
    summary: "Walks over the fields of a hash with a cursor.",
    complexity: "O(1) per call, O(N) for a whole walk over N fields",
    since: "2.8.0",
    handler: hscan,
    ..Command::DEFAULT
};

fn hscan(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let cursor = scan::cursor(&mut args)?;
    let now_ms = ctx.now_ms();
    let Some(hash) = ctx.db.read_value::<Hash>(&key)? else {
        // As in the reference, nobody has looked at the options by now.
        ctx.reply.array(2);
        ctx.reply.bulk(b"0");
        ctx.reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(&mut args, true)?;
    // The cursor comes first but is known last, so the fields are written aside.
    let (mut items, mut shown) = (Vec::new(), 0);
    let mut aside = Reply::new(&mut items, ctx.reply.protocol());
    let next = hash.scan(cursor, options.count, now_ms, &mut |field| {
        if !field.name.with(|name| options.matches(name)) {
            return;
        }
        reply_text(&mut aside, Some(field.name));
        shown += 1;
        if !options.no_values {
            reply_text(&mut aside, Some(field.value));
            shown += 1;
        }
    });
    ctx.reply.array(2);
    ctx.reply.bulk_integer(next as i64);
    ctx.reply.array(shown);
    ctx.reply.raw(&items);
    Ok(())
}

pub(super) const HRANDFIELD: Command = Command {
    name: "hrandfield",
    group: Group::Hash,
    arity: Arity::AtLeast(2),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", 0),
        Arg::block("options", &[Arg::integer("count"), Arg::word("withvalues", "WITHVALUES").optional()]).optional(),
    ],
    summary: "Shows random fields of a hash.",
    complexity: "O(N) for N fields shown",
    since: "6.2.0",
    handler: hrandfield,
    ..Command::DEFAULT
};

const COUNT_WITHOUT_OPPOSITE: CommandError =
    CommandError::text("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
/// Twice the count is the length of the reply.
const COUNT_OUT_OF_RANGE: CommandError = CommandError::text("ERR value is out of range");

fn hrandfield(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let key = args.key()?;
    let request = RandomRequest::parse(&mut args)?;
    let (now_ms, rng) = (ctx.now_ms(), &ctx.db.env().work.rng);
    let hash = ctx.db.read_value::<Hash>(&key)?;
    let rng = &mut rng.borrow_mut();
    let Some(request) = request else {
        let field = hash.and_then(|hash| hash.random(rng, now_ms));
        reply_text(&mut ctx.reply, field.map(|field| field.name));
        return Ok(());
    };
    let live = hash.map_or(0, |hash| hash.live_len(now_ms));
    let Some(hash) = hash.filter(|_| live > 0) else {
        ctx.reply.array(0);
        return Ok(());
    };
    let count = if request.repeat { request.count } else { request.count.min(live) };
    let in_pairs = request.with_values && ctx.reply.is_resp3();
    ctx.reply.array(if request.with_values && !in_pairs { 2 * count } else { count });
    let reply = &mut ctx.reply;
    let show = |reply: &mut Reply<'_>, field: Field<'_>| {
        if in_pairs {
            reply.array(2);
        }
        reply_text(reply, Some(field.name));
        if request.with_values {
            reply_text(reply, Some(field.value));
        }
    };
    if request.repeat {
        /// Fields drawn between two looks at the size of the reply.
        const DRAW: usize = 256;
        let mut left = count;
        while left > 0 {
            hash.draw(left.min(DRAW), rng, now_ms, &mut |field| show(reply, field));
            left -= left.min(DRAW);
            check_reply_size(reply)?;
        }
    } else {
        hash.sample(count, rng, now_ms, &mut |field| show(reply, field));
    }
    Ok(())
}

/// What `HRANDFIELD` with a count is asked for.
struct RandomRequest {
    count: usize,
    /// Whether a field may come several times: the count was negative.
    repeat: bool,
    with_values: bool,
}

impl RandomRequest {
    /// Parses `[count [WITHVALUES]]`.
    fn parse(args: &mut Args<'_>) -> Result<Option<RandomRequest>, CommandError> {
        if args.is_empty() {
            return Ok(None);
        }
        let count = args.integer()?;
        if count == i64::MIN {
            return Err(COUNT_WITHOUT_OPPOSITE);
        }
        let with_values = !args.is_empty();
        if with_values {
            if !args.accept("WITHVALUES") {
                return Err(CommandError::Syntax);
            }
            args.finish()?;
            if count.unsigned_abs() > i64::MAX as u64 / 2 {
                return Err(COUNT_OUT_OF_RANGE);
            }
        }
        let repeat = count < 0;
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(Some(RandomRequest { count, repeat, with_values }))
    }
}
