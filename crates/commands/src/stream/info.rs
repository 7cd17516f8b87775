//! XINFO: what there is to know of streams, groups and consumers.

use super::{no_group, quoting, write_entry, write_id};
use kinovar_command::keyspace::stream::{Consumer, ConsumerId, Group as ConsumerGroup, Pending, Stream, StreamId};
use kinovar_command::*;

pub(super) const XINFO: Command = Command {
    name: "xinfo",
    group: Group::Stream,
    arity: Arity::AtLeast(2),
    summary: "Commands that describe streams and their groups.",
    complexity: "As its subcommands say.",
    since: "5.0.0",
    subcommands: &[CONSUMERS, GROUPS, HELP, STREAM],
    ..Command::DEFAULT
};

const CONSUMERS: Command = Command {
    name: "consumers",
    group: Group::Stream,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::RO.access())],
    tips: &["nondeterministic_output"],
    args: &[Arg::key("key", 0), Arg::string("group")],
    summary: "Describes the consumers of a group.",
    complexity: "O(N) for N consumers",
    since: "5.0.0",
    history: &[("7.2.0", "Has `inactive`, and `idle` is the time since the last attempt.")],
    handler: consumers,
    ..Command::DEFAULT
};

const GROUPS: Command = Command {
    name: "groups",
    group: Group::Stream,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::RO.access())],
    args: &[Arg::key("key", 0)],
    summary: "Describes the groups of a stream.",
    complexity: "O(N) for N groups",
    since: "5.0.0",
    history: &[("7.0.0", "Has `entries-read` and `lag`.")],
    handler: groups,
    ..Command::DEFAULT
};

const STREAM: Command = Command {
    name: "stream",
    group: Group::Stream,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::RO.access())],
    args: &[
        Arg::key("key", 0),
        Arg::block("full-block", &[Arg::word("full", "FULL"), Arg::integer("count").token("COUNT").optional()])
            .optional(),
    ],
    summary: "Describes a stream, in full with its entries and groups.",
    complexity: "O(N) for N blocks of entries, groups, and what is shown of them",
    since: "5.0.0",
    history: &[
        ("6.0.0", "Takes `FULL`."),
        (
            "7.0.0",
            "Has `max-deleted-entry-id`, `entries-added` and `recorded-first-entry-id`, and of groups `entries-read` and \
             `lag`.",
        ),
        ("7.2.0", "Has `active-time`, and `seen-time` is that of the last attempt."),
    ],
    handler: stream,
    ..Command::DEFAULT
};

const HELP: Command = Command {
    name: "help",
    group: Group::Stream,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    summary: "Lists the subcommands.",
    complexity: "O(1)",
    since: "5.0.0",
    handler: |ctx, _| help::container(ctx, "xinfo"),
    ..Command::DEFAULT
};

/// A key of a map in the reply.
fn write_key(reply: &mut Reply<'_>, key: &str) {
    reply.bulk(key.as_bytes());
}

fn write_count(reply: &mut Reply<'_>, key: &str, count: usize) {
    write_key(reply, key);
    reply.count(count);
}

fn write_id_of(reply: &mut Reply<'_>, key: &str, id: StreamId) {
    write_key(reply, key);
    write_id(reply, id);
}

fn write_known(reply: &mut Reply<'_>, key: &str, count: Option<i64>) {
    write_key(reply, key);
    match count {
        Some(count) => reply.integer(count),
        None => reply.null(),
    }
}

fn consumers(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.take()?);
    let now_ms = ctx.now_ms();
    let stream = ctx.db.read_value::<Stream>(&key)?.ok_or(CommandError::NoSuchKey)?;
    let group = stream.group(name).ok_or_else(|| no_group(&key, name))?;
    let reply = &mut ctx.reply;
    reply.array(group.consumer_count());
    for (_, consumer) in group.consumers() {
        reply.map(4);
        write_key(reply, "name");
        reply.bulk(consumer.name());
        write_count(reply, "pending", consumer.pending_count());
        write_key(reply, "idle");
        reply.integer(now_ms.saturating_sub(consumer.seen_ms()) as i64);
        write_key(reply, "inactive");
        reply.integer(consumer.active_ms().map_or(-1, |active_ms| now_ms.saturating_sub(active_ms) as i64));
    }
    Ok(())
}

fn groups(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let stream = ctx.db.read_value::<Stream>(&args.key()?)?.ok_or(CommandError::NoSuchKey)?;
    let reply = &mut ctx.reply;
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        reply.map(6);
        write_key(reply, "name");
        reply.bulk(name);
        write_count(reply, "consumers", group.consumer_count());
        write_count(reply, "pending", group.pending_count());
        write_id_of(reply, "last-delivered-id", group.last_id());
        write_known(reply, "entries-read", group.entries_read());
        write_known(reply, "lag", stream.lag(group));
    }
    Ok(())
}

/// How many entries, and what is pending, to show of each group and consumer when not told.
const SHOWN_MAX: usize = 10;

/// Reads what follows the key: how much to show in full (0 is all), if at all.
fn shown(mut args: Args<'_>) -> Result<Option<usize>, CommandError> {
    let subcommand = args.at(1);
    let syntax =
        || quoting(&[b"ERR unknown subcommand or wrong number of arguments for '", subcommand, b"'. Try XINFO HELP."]);
    match args.left() {
        0 => return Ok(None),
        1 | 3 if args.accept("FULL") => {}
        _ => return Err(syntax()),
    }
    if args.is_empty() {
        return Ok(Some(SHOWN_MAX));
    }
    if !args.accept("COUNT") {
        return Err(syntax());
    }
    Ok(Some(usize::try_from(args.integer()?).unwrap_or(SHOWN_MAX)))
}

fn stream(ctx: &mut Ctx<'_>, mut args: Args<'_>) -> Outcome {
    let stream = ctx.db.read_value::<Stream>(&args.key()?)?.ok_or(CommandError::NoSuchKey)?;
    let reply = &mut ctx.reply;
    match shown(args)? {
        None => write_brief(reply, stream),
        Some(0) => write_full(reply, stream, usize::MAX),
        Some(count) => write_full(reply, stream, count),
    }
    Ok(())
}

/// What both forms begin with: seven pairs.
fn write_head(reply: &mut Reply<'_>, stream: &Stream) {
    write_count(reply, "length", stream.len());
    write_count(reply, "radix-tree-keys", stream.block_count());
    write_count(reply, "radix-tree-nodes", stream.radix_tree_nodes());
    write_id_of(reply, "last-generated-id", stream.last_id());
    write_id_of(reply, "max-deleted-entry-id", stream.max_deleted_id());
    write_key(reply, "entries-added");
    reply.integer(stream.entries_added() as i64);
    write_id_of(reply, "recorded-first-entry-id", stream.recorded_first_id());
}

fn write_brief(reply: &mut Reply<'_>, stream: &Stream) {
    reply.map(10);
    write_head(reply, stream);
    write_count(reply, "groups", stream.group_count());
    for (key, entry) in [("first-entry", stream.first()), ("last-entry", stream.last())] {
        write_key(reply, key);
        match entry {
            Some(entry) => write_entry(reply, entry),
            None => reply.null(),
        }
    }
}

fn write_full(reply: &mut Reply<'_>, stream: &Stream, count: usize) {
    reply.map(9);
    write_head(reply, stream);
    write_key(reply, "entries");
    reply.array_of(|reply| {
        let entries = stream.range(StreamId::MIN, StreamId::MAX).take(count);
        entries.map(|entry| write_entry(reply, entry)).count()
    });
    write_key(reply, "groups");
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        reply.map(7);
        write_key(reply, "name");
        reply.bulk(name);
        write_id_of(reply, "last-delivered-id", group.last_id());
        write_known(reply, "entries-read", group.entries_read());
        write_known(reply, "lag", stream.lag(group));
        write_count(reply, "pel-count", group.pending_count());
        write_key(reply, "pending");
        reply.array(group.pending_count().min(count));
        for pending in group.pending_range(StreamId::MIN, StreamId::MAX).take(count) {
            write_pending(reply, pending, Some(group.consumer(pending.consumer)));
        }
        write_key(reply, "consumers");
        reply.array(group.consumer_count());
        group.consumers().for_each(|(id, consumer)| write_consumer(reply, group, (id, consumer), count));
    }
}

fn write_consumer(reply: &mut Reply<'_>, group: &ConsumerGroup, (id, consumer): (ConsumerId, &Consumer), count: usize) {
    reply.map(5);
    write_key(reply, "name");
    reply.bulk(consumer.name());
    write_key(reply, "seen-time");
    reply.integer(consumer.seen_ms() as i64);
    write_key(reply, "active-time");
    reply.integer(consumer.active_ms().map_or(-1, |active_ms| active_ms as i64));
    write_count(reply, "pel-count", consumer.pending_count());
    write_key(reply, "pending");
    reply.array(consumer.pending_count().min(count));
    for pending in group.consumer_pending_range(id, StreamId::MIN, StreamId::MAX).take(count) {
        write_pending(reply, pending, None);
    }
}

/// A pending entry, with its consumer where that is not plain.
fn write_pending(reply: &mut Reply<'_>, pending: Pending, consumer: Option<&Consumer>) {
    reply.array(3 + usize::from(consumer.is_some()));
    write_id(reply, pending.id);
    if let Some(consumer) = consumer {
        reply.bulk(consumer.name());
    }
    reply.integer(pending.delivered_ms as i64);
    reply.integer(pending.deliveries as i64);
}
