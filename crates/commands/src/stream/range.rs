//! Reading ranges of ids.

use super::{range_end, range_start, write_entry};
use kinovar_command::keyspace::stream::{Stream, StreamEntry};
use kinovar_command::*;

pub(super) const XLEN: Command = Command {
    name: "xlen",
    group: Group::Stream,
    arity: Arity::Exactly(2),
    flags: Flags::READONLY.or(Flags::FAST),
    keys: &[KeySpec::first(Access::RO)],
    args: &[Arg::key("key", 0)],
    summary: "Counts the entries of a stream.",
    complexity: "O(1)",
    since: "5.0.0",
    handler: xlen,
    ..Command::DEFAULT
};

pub(super) const XRANGE: Command = Command {
    name: "xrange",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[
        Arg::key("key", 0),
        Arg::string("start"),
        Arg::string("end"),
        Arg::integer("count").token("COUNT").optional(),
    ],
    summary: "Reads the entries within a range of ids.",
    complexity: "O(log N + M) for M entries returned",
    since: "5.0.0",
    history: &[("6.2.0", "Ends of the range can be excluded.")],
    handler: xrange,
    ..Command::DEFAULT
};

pub(super) const XREVRANGE: Command = Command {
    name: "xrevrange",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    args: &[
        Arg::key("key", 0),
        Arg::string("end"),
        Arg::string("start"),
        Arg::integer("count").token("COUNT").optional(),
    ],
    summary: "Reads the entries within a range of ids, newest first.",
    complexity: "O(log N + M) for M entries returned",
    since: "5.0.0",
    history: &[("6.2.0", "Ends of the range can be excluded.")],
    handler: xrevrange,
    ..Command::DEFAULT
};

fn xlen(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let len = ctx.db.read_value::<Stream>(&args.key()?)?.map_or(0, Stream::len);
    ctx.reply.count(len);
    Ok(())
}

fn xrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    range(ctx, args, false)
}

fn xrevrange(ctx: &mut Ctx<'_>, args: Args<'_>) -> Outcome {
    range(ctx, args, true)
}

fn range(ctx: &mut Ctx<'_>, mut args: Args<'_>, newest_first: bool) -> Outcome {
    let key = args.key()?;
    let (first, second) = (args.take()?, args.take()?);
    let (start, end) = if newest_first { (second, first) } else { (first, second) };
    let (start, end) = (range_start(start)?, range_end(end)?);
    let mut count = usize::MAX;
    while !args.is_empty() {
        if args.left() < 2 || !args.accept("COUNT") {
            return Err(CommandError::Syntax);
        }
        count = usize::try_from(args.integer()?).unwrap_or(0);
    }
    let Some(stream) = ctx.db.read_value::<Stream>(&key)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    if count == 0 {
        ctx.reply.null_array();
    } else if newest_first {
        write_all(&mut ctx.reply, stream.range_rev(start, end).take(count));
    } else {
        write_all(&mut ctx.reply, stream.range(start, end).take(count));
    }
    Ok(())
}

fn write_all<'a>(reply: &mut Reply<'_>, entries: impl Iterator<Item = StreamEntry<'a>>) {
    reply.array_of(|reply| entries.map(|entry| write_entry(reply, entry)).count());
}
