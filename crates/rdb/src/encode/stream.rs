//! Parts of a stream.

use super::Encoder;
use crate::wire::{push_len, push_ms, push_string};
use kinovar_ds::listpack::{Item, Writer};
use kinovar_keyspace::Text;
use kinovar_keyspace::stream::node::Node;
use kinovar_keyspace::stream::{Group, Stream, StreamId};

/// Flag of an entry: deleted.
const DELETED: i64 = 1;
/// Flag of an entry: its fields have the node's names.
const SAME_NAMES: i64 = 2;
/// Stands for a number that is not known, and for a time that never was.
const UNKNOWN: u64 = u64::MAX;

fn item(text: Text<'_>) -> Item<'_> {
    match text {
        Text::Int(value) => Item::Int(value),
        Text::Bytes(bytes) => Item::Str(bytes),
    }
}

/// Appends the entries of a node: a listpack as a string.
pub(super) fn node(node: &Node<'_>, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let Encoder { packed, compressor, .. } = encoder;
    packed.clear();
    let mut list = Writer::new(packed);
    list.push_int(node.live() as i64);
    list.push_int(node.deleted() as i64);
    let names = node.names();
    list.push_int(names.len() as i64);
    names.for_each(|name| list.push(item(name)));
    list.push_int(0);
    let first = node.first_id();
    for found in node.entries() {
        let flag = |set: bool, flag: i64| if set { flag } else { 0 };
        list.push_int(flag(found.deleted, DELETED) | flag(found.same_names, SAME_NAMES));
        let id = found.entry.id;
        list.push_int(id.ms.wrapping_sub(first.ms) as i64);
        list.push_int(id.seq.wrapping_sub(first.seq) as i64);
        let count = found.entry.field_count();
        let texts = found.entry.texts();
        if found.same_names {
            texts.skip(1).step_by(2).for_each(|value| list.push(item(value)));
            list.push_int(count as i64 + 3);
        } else {
            list.push_int(count as i64);
            texts.for_each(|text| list.push(item(text)));
            list.push_int(2 * count as i64 + 4);
        }
    }
    list.finish();
    push_string(out, packed, compressor.as_mut());
}

fn push_id(out: &mut Vec<u8>, id: StreamId) {
    push_len(out, id.ms);
    push_len(out, id.seq);
}

/// Appends what a stream says about its entries.
pub(super) fn counters(stream: &Stream, version: u32, out: &mut Vec<u8>) {
    push_len(out, stream.len() as u64);
    push_id(out, stream.last_id());
    if version >= 10 {
        push_id(out, stream.recorded_first_id());
        push_id(out, stream.max_deleted_id());
        push_len(out, stream.entries_added());
    }
}

/// Appends a group with its consumers and all that is pending.
pub(super) fn group(name: &[u8], group: &Group, encoder: &mut Encoder, out: &mut Vec<u8>) {
    encoder.string(name, out);
    push_id(out, group.last_id());
    if encoder.version() >= 10 {
        push_len(out, group.entries_read().map_or(UNKNOWN, |read| read as u64));
    }
    push_len(out, group.pending_count() as u64);
    for pending in group.pending_range(StreamId::MIN, StreamId::MAX) {
        out.extend_from_slice(&pending.id.to_bytes());
        push_ms(out, pending.delivered_ms);
        push_len(out, pending.deliveries);
    }
    push_len(out, group.consumer_count() as u64);
    for (id, consumer) in group.consumers() {
        encoder.string(consumer.name(), out);
        push_ms(out, consumer.seen_ms());
        if encoder.version() >= 11 {
            push_ms(out, consumer.active_ms().unwrap_or(UNKNOWN));
        }
        push_len(out, consumer.pending_count() as u64);
        for pending in group.consumer_pending_ids(id) {
            out.extend_from_slice(&pending.to_bytes());
        }
    }
}
