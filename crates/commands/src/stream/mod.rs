//! Streams.
//!
//! | module | commands |
//! |---|---|
//! | [`add`] | XADD, XTRIM, XSETID |
//! | [`options`] | the options that XADD and XTRIM share |
//! | [`range`] | XLEN, XRANGE, XREVRANGE |
//! | [`read`] | XREAD, XREADGROUP |
//! | [`delete`] | XDEL, XDELEX, XACK, XACKDEL |
//! | [`claim`] | XCLAIM, XAUTOCLAIM |
//! | [`pending`] | XPENDING |
//! | [`group`] | XGROUP … |
//! | [`info`] | XINFO … |

mod add;
mod claim;
mod delete;
mod group;
mod info;
mod options;
mod pending;
mod range;
mod read;
#[cfg(test)]
mod tests;

use kinovar_command::keyspace::stream::{
    ConsumerId, Group as ConsumerGroup, Pending, STREAM_ID_TEXT_MAX, Stream, StreamEntry, StreamId,
};
use kinovar_command::keyspace::{Teller, Text, Update};
use kinovar_command::{Args, Command, CommandError, Key, Reply, until_nul};

/// The commands of this group.
pub const COMMANDS: &[Command] = &[
    add::XADD,
    add::XSETID,
    add::XTRIM,
    claim::XAUTOCLAIM,
    claim::XCLAIM,
    delete::XACK,
    delete::XACKDEL,
    delete::XDEL,
    delete::XDELEX,
    group::XGROUP,
    info::XINFO,
    pending::XPENDING,
    range::XLEN,
    range::XRANGE,
    range::XREVRANGE,
    read::XREAD,
    read::XREADGROUP,
];

const INVALID_ID: CommandError = CommandError::text("ERR Invalid stream ID specified as stream command argument");

/// Reads an id; `-` and `+` are none here. A missing number is 0.
fn id(text: &[u8]) -> Result<StreamId, CommandError> {
    StreamId::parse_strict(text, 0).ok_or(INVALID_ID)
}

/// Reads all arguments that are left as ids, and returns the first: the common case is parsed once.
fn ids(args: Args<'_>) -> Result<StreamId, CommandError> {
    let mut texts = args.rest();
    let first = id(texts.next().ok_or(CommandError::Syntax)?)?;
    for text in texts {
        id(text)?;
    }
    Ok(first)
}

/// The first id of a range.
fn range_start(text: &[u8]) -> Result<StreamId, CommandError> {
    let (id, exclusive) = StreamId::parse_bound(text, 0).ok_or(INVALID_ID)?;
    if exclusive { id.next().ok_or(CommandError::text("ERR invalid start ID for the interval")) } else { Ok(id) }
}

/// The last id of a range.
fn range_end(text: &[u8]) -> Result<StreamId, CommandError> {
    let (id, exclusive) = StreamId::parse_bound(text, u64::MAX).ok_or(INVALID_ID)?;
    if exclusive { id.prev().ok_or(CommandError::text("ERR invalid end ID for the interval")) } else { Ok(id) }
}

/// An error that quotes what the client sent: `parts` one after the other, each up to its first NUL.
fn quoting(parts: &[&[u8]]) -> CommandError {
    CommandError::Bytes(parts.iter().flat_map(|part| until_nul(part)).copied().collect())
}

/// An error of commands that need a group.
fn no_key_or_group(key: &Key<'_>, group: &[u8]) -> CommandError {
    quoting(&[b"NOGROUP No such key '", key.name, b"' or consumer group '", group, b"'"])
}

/// An error of commands that need a group of a stream that is there.
fn no_group(key: &Key<'_>, group: &[u8]) -> CommandError {
    quoting(&[b"NOGROUP No such consumer group '", group, b"' for key name '", key.name, b"'"])
}

/// Passes a result on; if it is an error, the stream is not changed.
fn or_unchanged<R>(stream: &mut Update<'_, Stream>, result: Result<R, CommandError>) -> Result<R, CommandError> {
    if result.is_err() {
        stream.unchanged();
    }
    result
}

/// Finds a consumer of a group that is there, or makes it, and notes that it was seen. Whether it is new.
fn see_consumer(stream: &mut Update<'_, Stream>, group: &[u8], name: &[u8], now_ms: u64) -> (ConsumerId, bool) {
    let group = stream.group_mut(group).expect("callers made sure of the group");
    let (id, is_new) = group.create_consumer(name, now_ms);
    group.consumer_mut(id).set_seen(now_ms);
    if is_new {
        stream.noted(Some("xgroup-createconsumer"), 1);
    }
    (id, is_new)
}

/// Says that an entry is pending as it is now, and that the group has read up to `last_id`.
fn tell_pending(told: &Told<'_>, consumer: &[u8], pending: &Pending, last_id: StreamId) {
    let (mut id, mut last) = ([0; STREAM_ID_TEXT_MAX], [0; STREAM_ID_TEXT_MAX]);
    let (time, count) = (pending.delivered_ms.to_string(), (pending.deliveries as i64).to_string());
    told.effects.part(&[
        b"XCLAIM",
        told.key,
        told.group,
        consumer,
        b"0",
        pending.id.text(&mut id),
        b"TIME",
        time.as_bytes(),
        b"RETRYCOUNT",
        count.as_bytes(),
        b"FORCE",
        b"JUSTID",
        b"LASTID",
        last_id.text(&mut last),
    ]);
}

/// Says how far a group has read.
fn tell_progress(told: &Told<'_>, group: &ConsumerGroup) {
    let entries_read = group.entries_read().unwrap_or(-1).to_string();
    let mut id = [0; STREAM_ID_TEXT_MAX];
    told.effects.part(&[
        b"XGROUP",
        b"SETID",
        told.key,
        told.group,
        group.last_id().text(&mut id),
        b"ENTRIESREAD",
        entries_read.as_bytes(),
    ]);
}

/// Of which group effects are told.
struct Told<'a> {
    effects: Teller<'a>,
    key: &'a [u8],
    group: &'a [u8],
}

fn write_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk(id.text(&mut [0; STREAM_ID_TEXT_MAX]));
}

/// An entry: its id, and its fields in a flat array.
#[inline]
fn write_entry(reply: &mut Reply<'_>, entry: StreamEntry<'_>) {
    reply.array(2);
    write_id(reply, entry.id);
    reply.array(2 * entry.field_count());
    for text in entry.texts() {
        match text {
            Text::Bytes(bytes) => reply.bulk(bytes),
            Text::Int(value) => reply.bulk_integer(value),
        }
    }
}
