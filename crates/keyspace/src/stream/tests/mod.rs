//! Streams against models, and against what Redis 8.2.3 answered.

mod groups;
mod ids;
mod log;
mod pending;
mod recorded;

use super::*;

/// An entry as owned values.
type Owned = (StreamId, Vec<Vec<u8>>);

fn owned(entry: StreamEntry<'_>) -> Owned {
    let texts: Vec<Vec<u8>> = entry.texts().map(|text| text.to_vec()).collect();
    assert_eq!(texts.len(), 2 * entry.field_count());
    (entry.id, texts)
}

fn all(stream: &Stream) -> Vec<Owned> {
    stream.range(StreamId::MIN, StreamId::MAX).map(owned).collect()
}

fn all_ids(stream: &Stream) -> Vec<u64> {
    stream.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id.ms).collect()
}

fn id(ms: u64) -> StreamId {
    StreamId::new(ms, 0)
}

/// Adds an entry with one short field.
fn add(stream: &mut Stream, ms: u64, settings: &Settings) {
    let fields = [&b"f"[..], b"v"].into_iter();
    stream.append(NewId::Exact(id(ms)), 0, fields, settings).expect("ids ascend");
}

/// Blocks of `entries` entries.
fn blocks_of(entries: usize) -> Settings {
    Settings { stream_node_max_entries: entries, ..Settings::default() }
}

/// The entries `1-0` to `count-0` in blocks of `block`.
fn stream_of(count: u64, block: usize) -> Stream {
    let mut stream = Stream::new();
    (1..=count).for_each(|ms| add(&mut stream, ms, &blocks_of(block)));
    stream
}
