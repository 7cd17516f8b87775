//! Large entries: which they are, and how far one has been written.

use super::{LargeEntry, Out};
use crate::Entry;
use crate::object::{FREE_INLINE_MAX, Object};
use kinovar_ds::entry::Payload;

/// An entry that takes about so many bytes is written in pieces, and so is one of many allocations.
const LARGE_BYTES: usize = 64 << 10;
/// Before one that takes about so many bytes is changed, the change rather waits: to write it takes about 1 ms.
const VAST_BYTES: usize = 256 << 10;
/// The same for one of so many allocations, however small they are.
const VAST_EFFORT: usize = 4096;
/// Elements of a large collection that are looked at to guess the size of all.
const SAMPLES: usize = 5;
/// A piece has about so many bytes, unless a single element is larger.
const PIECE_BYTES: usize = 64 << 10;

/// A large entry to be written in pieces.
pub(super) struct Large {
    pub(super) hash: u64,
    pub(super) key: Box<[u8]>,
    pub(super) progress: Progress,
    /// Somebody waits for it.
    pub(super) is_urgent: bool,
}

/// How far a large entry has been written.
pub(super) struct Progress {
    /// Its database at the cut.
    number: u32,
    /// What writes it, once it is begun.
    writing: Option<Box<dyn LargeEntry>>,
    /// What is written of it. Only the whole is of use.
    pieces: Vec<Vec<u8>>,
}

/// Goes on through a table from a cursor, by steps that append to `out` and give the next cursor, until there are `limit` bytes. The
/// cursor to go on from; 0 at the end.
pub fn go_through(
    mut cursor: u64,
    limit: usize,
    out: &mut Vec<u8>,
    mut step: impl FnMut(u64, &mut Vec<u8>) -> u64,
) -> u64 {
    loop {
        cursor = step(cursor, out);
        if cursor == 0 || out.len() >= limit {
            return cursor;
        }
    }
}

fn bytes_of(object: &Object, effort: usize) -> usize {
    object.memory_bytes(if effort > FREE_INLINE_MAX { SAMPLES } else { 0 })
}

/// Whether writing an entry is too much to be done in one go while others may need its partition.
pub(crate) fn is_large(entry: &Entry) -> bool {
    let Payload::Object(object) = entry.payload() else { return false };
    let effort = object.free_effort();
    effort > FREE_INLINE_MAX || bytes_of(object, effort) > LARGE_BYTES
}

/// Whether it is so much that a change should wait for it.
pub(super) fn is_vast(entry: &Entry) -> bool {
    let Payload::Object(object) = entry.payload() else { return false };
    let effort = object.free_effort();
    effort > VAST_EFFORT || bytes_of(object, effort) > VAST_BYTES
}

impl Large {
    pub(super) fn new(number: u32, entry: &Entry) -> Large {
        Large { hash: entry.hash(), key: entry.key().into(), progress: Progress::new(number), is_urgent: false }
    }

    /// Whether it is about this entry.
    pub(super) fn is(&self, entry: &Entry) -> bool {
        self.hash == entry.hash() && entry.key_eq(&self.key)
    }
}

impl Progress {
    /// Nothing is written.
    pub(super) fn new(number: u32) -> Progress {
        Progress { number, writing: None, pieces: Vec::new() }
    }

    /// Writes about `bytes` more bytes of the entry. About how many bytes that were, at least 1, and whether there is more to
    /// come. When there is not, it has been handed over.
    pub(super) fn go_on(&mut self, entry: &Entry, bytes: usize, out: &mut Out) -> (usize, bool) {
        if self.pieces.is_empty() {
            self.writing = out.sink.begin_large(entry);
            let mut first = Vec::new();
            out.sink.select(self.number, &mut first);
            self.pieces.push(first);
        }
        let Some(writing) = &mut self.writing else { return (out.write(self.number, entry), false) };
        if self.pieces.last().is_none_or(|piece| piece.len() >= PIECE_BYTES) {
            self.pieces.push(Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4));
        }
        let piece = self.pieces.last_mut().expect("there is at least the first");
        let before = piece.len();
        let bytes = bytes.min(PIECE_BYTES);
        let is_more = writing.write(entry, bytes, piece);
        let written = match piece.len() - before {
            // It was prepared.
            0 => bytes,
            written => written,
        };
        if !is_more {
            out.sink.take(std::mem::take(&mut self.pieces), 1);
        }
        (written.max(1), is_more)
    }

    /// Writes all that is left.
    pub(super) fn finish(mut self, entry: &Entry, out: &mut Out) {
        while self.go_on(entry, PIECE_BYTES, out).1 {}
    }
}
