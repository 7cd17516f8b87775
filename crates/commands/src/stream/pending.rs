//! Looking at what is pending.

use super::{no_key_or_group, range_end, range_start, write_id};
use kinovar_command::keyspace::stream::{Group as ConsumerGroup, Pending, Stream, StreamId};
use kinovar_command::*;

pub(super) const XPENDING: Command = Command {
    name: "xpending",
    group: Group::Stream,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::first(Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[
        Arg::key("key", 0),
        Arg::string("group"),
        Arg::block(
            "filters",
            &[
                Arg::integer("min-idle-time").token("IDLE").optional().since("6.2.0"),
                Arg::string("start"),
                Arg::string("end"),
                Arg::integer("count"),
                Arg::string("consumer").optional(),
            ],
        )
        .optional(),
    ],
    summary: "Shows what is pending in a group: a summary, or entry by entry.",
    complexity: "O(log N + M) for M entries looked at; the summary O(C) for C consumers",
    since: "5.0.0",
    history: &[("6.2.0", "Takes `IDLE`, and ends of the range can be excluded.")],
    handler: xpending,
    ..Command::DEFAULT
};

/// Which entries to show.
struct Filter<'a> {
    min_idle_ms: u64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// Reads what follows the group; none when nothing does.
    fn parse(args: &mut Args<'a>) -> Result<Option<Filter<'a>>, CommandError> {
        match args.left() {
            0 => return Ok(None),
            // One word more than there are is let pass when IDLE is not given.
            3..=6 => {}
            _ => return Err(CommandError::Syntax),
        }
        let mut min_idle_ms = 0;
        if args.accept("IDLE") {
            min_idle_ms = u64::try_from(args.integer()?).unwrap_or(0);
            if args.left() < 3 {
                return Err(CommandError::Syntax);
            }
        }
        let (start, end) = (args.take()?, args.take()?);
        let count = usize::try_from(args.integer()?).unwrap_or(0);
        let (start, end) = (range_start(start)?, range_end(end)?);
        Ok(Some(Filter { min_idle_ms, start, end, count, consumer: args.next() }))
    }
}

fn xpending(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.take()?);
    let filter = Filter::parse(&mut args)?;
    let now_ms = ctx.now_ms();
    let group = ctx.db.read_value::<Stream>(&key)?.and_then(|stream| stream.group(name));
    let group = group.ok_or_else(|| no_key_or_group(&key, name))?;
    let reply = &mut ctx.reply;
    let Some(Filter { min_idle_ms, start, end, count, consumer }) = filter else {
        write_summary(reply, group);
        return Ok(());
    };
    let idle_ms = |pending: &Pending| now_ms.saturating_sub(pending.delivered_ms);
    reply.array_of(|reply| {
        let write = |pending: Pending| {
            reply.array(4);
            write_id(reply, pending.id);
            reply.bulk(group.consumer(pending.consumer).name());
            reply.integer(idle_ms(&pending) as i64);
            reply.integer(pending.deliveries as i64);
        };
        let is_wanted = |pending: &Pending| idle_ms(pending) >= min_idle_ms;
        match consumer.map(|name| group.find_consumer(name)) {
            None => group.pending_range(start, end).filter(is_wanted).take(count).map(write).count(),
            Some(Some(consumer)) => {
                let pending = group.consumer_pending_range(consumer, start, end);
                pending.filter(is_wanted).take(count).map(write).count()
            }
            Some(None) => 0,
        }
    });
    Ok(())
}

/// How many entries are pending, the first and the last, and how many each consumer has.
fn write_summary(reply: &mut Reply<'_>, group: &ConsumerGroup) {
    reply.array(4);
    reply.count(group.pending_count());
    let first = group.pending_range(StreamId::MIN, StreamId::MAX).next();
    let (Some(first), Some(last)) = (first, group.last_pending()) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    write_id(reply, first.id);
    write_id(reply, last.id);
    reply.array_of(|reply| {
        let with_some = group.consumers().filter(|(_, consumer)| consumer.pending_count() > 0);
        let mut write = |consumer: &keyspace::stream::Consumer| {
            reply.array(2);
            reply.bulk(consumer.name());
            reply.bulk_integer(consumer.pending_count() as i64);
        };
        with_some.map(|(_, consumer)| write(consumer)).count()
    });
}
