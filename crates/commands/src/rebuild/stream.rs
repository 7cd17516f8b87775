//! Streams as commands.

use super::{bulk_unsigned, push, push_text};
use kinovar_command::keyspace::stream::{ConsumerId, Group, Pending, STREAM_ID_TEXT_MAX, Stream, StreamId};
use kinovar_command::{Protocol, Reply};

/// What comes next.
#[derive(Clone, Debug)]
pub(super) enum At {
    /// Entries with this id or a later one.
    Entry(StreamId),
    /// The group after the one of this name, or the first.
    GroupAfter(Option<Box<[u8]>>),
    /// In a group of this name the consumer after the one of that name, or the first.
    ConsumerAfter(Box<[u8]>, Option<Box<[u8]>>),
    /// In a group, what is pending for a consumer with this id or a later one.
    Pending(Box<[u8]>, Box<[u8]>, StreamId),
}

impl Default for At {
    fn default() -> Self {
        At::Entry(StreamId::MIN)
    }
}

/// Goes on with a stream until `out` has so many bytes; what comes next, if anything does.
pub(super) fn write(key: &[u8], stream: &Stream, at: At, limit: usize, out: &mut Vec<u8>) -> Option<At> {
    let mut at = at;
    loop {
        at = match at {
            At::Entry(from) => match entries(key, stream, from, limit, out) {
                Some(from) => At::Entry(from),
                None => {
                    counters(key, stream, out);
                    At::GroupAfter(None)
                }
            },
            At::GroupAfter(name) => {
                let (name, group) = stream.group_after(name.as_deref())?;
                create(key, name, group, out);
                At::ConsumerAfter(name.into(), None)
            }
            At::ConsumerAfter(name, consumer) => {
                let group = stream.group(&name)?;
                match group.consumer_after(consumer.as_deref()) {
                    None => At::GroupAfter(Some(name)),
                    Some((_, consumer)) if consumer.pending_count() == 0 => {
                        push(out, &[b"XGROUP", b"CREATECONSUMER", key, &name, consumer.name()]);
                        At::ConsumerAfter(name, Some(consumer.name().into()))
                    }
                    Some((_, consumer)) => At::Pending(name, consumer.name().into(), StreamId::MIN),
                }
            }
            At::Pending(name, consumer, from) => {
                let group = stream.group(&name)?;
                let id = group.find_consumer(&consumer)?;
                match pending(key, &name, group, id, from, limit, out) {
                    Some(from) => At::Pending(name, consumer, from),
                    None => At::ConsumerAfter(name, Some(consumer)),
                }
            }
        };
        if out.len() >= limit {
            return Some(at);
        }
    }
}

/// Entries from `from` on; where to go on.
fn entries(key: &[u8], stream: &Stream, from: StreamId, limit: usize, out: &mut Vec<u8>) -> Option<StreamId> {
    for entry in stream.range(from, StreamId::MAX) {
        if out.len() >= limit {
            return Some(entry.id);
        }
        let mut words = Reply::new(out, Protocol::Resp2);
        words.array(3 + 2 * entry.field_count());
        words.bulk(b"XADD");
        words.bulk(key);
        bulk_id(&mut words, entry.id);
        entry.texts().for_each(|text| push_text(out, text));
    }
    None
}

/// What a stream has beside entries. One without entries comes to be by one that is trimmed at once.
fn counters(key: &[u8], stream: &Stream, out: &mut Vec<u8>) {
    if stream.is_empty() {
        push(out, &[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]);
    }
    let mut words = Reply::new(out, Protocol::Resp2);
    words.array(7);
    words.bulk(b"XSETID");
    words.bulk(key);
    bulk_id(&mut words, stream.last_id());
    words.bulk(b"ENTRIESADDED");
    bulk_unsigned(&mut words, stream.entries_added());
    words.bulk(b"MAXDELETEDID");
    bulk_id(&mut words, stream.max_deleted_id());
}

fn create(key: &[u8], name: &[u8], group: &Group, out: &mut Vec<u8>) {
    let mut words = Reply::new(out, Protocol::Resp2);
    words.array(7);
    words.bulk(b"XGROUP");
    words.bulk(b"CREATE");
    words.bulk(key);
    words.bulk(name);
    bulk_id(&mut words, group.last_id());
    words.bulk(b"ENTRIESREAD");
    words.bulk_integer(group.entries_read().unwrap_or(-1));
}

/// What is pending for a consumer, from `from` on; where to go on.
fn pending(
    key: &[u8],
    name: &[u8],
    group: &Group,
    consumer: ConsumerId,
    from: StreamId,
    limit: usize,
    out: &mut Vec<u8>,
) -> Option<StreamId> {
    for one in group.consumer_pending_range(consumer, from, StreamId::MAX) {
        if out.len() >= limit {
            return Some(one.id);
        }
        claim(key, name, group.consumer(consumer).name(), one, out);
    }
    None
}

fn claim(key: &[u8], group: &[u8], consumer: &[u8], pending: Pending, out: &mut Vec<u8>) {
    let mut words = Reply::new(out, Protocol::Resp2);
    words.array(12);
    [b"XCLAIM", key, group, consumer, b"0"].into_iter().for_each(|word| words.bulk(word));
    bulk_id(&mut words, pending.id);
    words.bulk(b"TIME");
    bulk_unsigned(&mut words, pending.delivered_ms);
    words.bulk(b"RETRYCOUNT");
    bulk_unsigned(&mut words, pending.deliveries);
    words.bulk(b"JUSTID");
    words.bulk(b"FORCE");
}

fn bulk_id(words: &mut Reply<'_>, id: StreamId) {
    words.bulk(id.text(&mut [0; STREAM_ID_TEXT_MAX]));
}
