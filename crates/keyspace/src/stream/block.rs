//! A run of entries in one piece of memory: `docs/formats/stream.md`.
//!
//! A block begins with the names of its first entry's fields. An entry with the same names stores its values alone, without
//! their sizes if these are the first entry's as well, and its id as the difference to the one before. Deleting marks; the
//! bytes go with the block. Where a block ends decides what
//! approximate trimming leaves, so each block knows how many bytes the reference's node with the same entries has.

use super::StreamId;
use super::cursor::{
    Cursor, DELETED, Found, LATER_BOTH, LATER_MS, LATER_SEQ, MS_STEP, NEXT_SEQ, OWN_NAMES, Place, SAME_SIZES,
};
use super::text::{self, push_number, read_number};
use crate::settings::Settings;
use kinovar_ds::entry::size_class;
use kinovar_ds::listpack::Item;

/// Bytes of a listpack around its elements.
const LISTPACK_FRAME: usize = 7;
/// No node of the reference has more bytes, whatever is configured; nor have the names and values of an entry.
const NODE_MAX_BYTES: usize = 1 << 30;

/// A run of entries. The id of the first, which every operation needs, is what the block is filed under.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// Number of names, names, entries.
    data: Vec<u8>,
    /// The last entries of a block that is closed, where that saves memory. Places count on from the end of `data`.
    rest: Box<[u8]>,
    /// Of the last entry, deleted or not.
    pub(super) last_id: StreamId,
    /// Where the last entry begins.
    last_at: u32,
    names_end: u32,
    /// Bytes of an entry with [`SAME_SIZES`], its head left out; [`NO_SIZES`] where there are none.
    sizes_sum: u32,
    pub(super) live: u32,
    pub(super) deleted: u32,
    /// Bytes of the reference's node, but for the frame and the counters of entries.
    node_body: u32,
}

const _: () = assert!(size_of::<Block>() == 80);

/// Names and values of an entry about to be added, by turns.
#[derive(Clone)]
pub(super) struct NewFields<I> {
    texts: I,
    /// Number of fields.
    count: usize,
    /// Bytes of names and values.
    pub(super) bytes: usize,
}

impl<'a, I: Iterator<Item = &'a [u8]> + Clone> NewFields<I> {
    pub(super) fn new(texts: I) -> Self {
        let (mut count, mut bytes) = (0, 0);
        for text in texts.clone() {
            count += 1;
            bytes += text.len();
        }
        debug_assert!(count % 2 == 0, "each name has a value");
        NewFields { texts, count: count / 2, bytes }
    }

    /// Whether there are not too many or too long ones. Places in a block are `u32`.
    pub(super) fn fit(&self) -> bool {
        // What a name and a value take beside their bytes, here and in a listpack, is less.
        const FIELD_EXTRA: usize = 24;
        self.bytes <= NODE_MAX_BYTES && self.count < (u32::MAX as usize - 3 * NODE_MAX_BYTES) / FIELD_EXTRA
    }

    /// Bytes that an entry with them takes at most, here or in a listpack.
    pub(super) fn bytes_max(&self) -> usize {
        const ENTRY_EXTRA: usize = 64;
        self.bytes + self.count * 24 + ENTRY_EXTRA
    }
}

fn int_size(value: usize) -> usize {
    Item::Int(value as i64).encoded_size()
}

/// The difference as the reference stores it, which wraps.
fn difference_size(a: u64, b: u64) -> usize {
    Item::Int(a.wrapping_sub(b) as i64).encoded_size()
}

impl Block {
    /// A block with one entry. Room is made for `room` bytes at least.
    pub(super) fn new<'a, I>(id: StreamId, fields: &NewFields<I>, room: usize) -> Block
    where
        I: Iterator<Item = &'a [u8]> + Clone,
    {
        let mut block = Block {
            data: Vec::with_capacity(room),
            rest: Box::default(),
            last_id: StreamId { ms: id.ms, seq: id.seq.wrapping_sub(1) },
            last_at: 0,
            names_end: 0,
            sizes_sum: NO_SIZES,
            live: 0,
            deleted: 0,
            node_body: 0,
        };
        push_number(&mut block.data, fields.count as u64);
        // The terminator of the names is an element of its own.
        let mut node = int_size(fields.count) + int_size(0);
        for name in fields.texts.clone().step_by(2) {
            node += text::push(&mut block.data, name);
        }
        block.names_end = offset(block.data.len());
        block.node_body = offset(node);
        block.append(id, id, fields, true);
        block.note_sizes(fields.count);
        block
    }

    /// Where the first entry's values are: its id is the block's, so that the head is one byte.
    fn first_values(&self) -> usize {
        self.names_end as usize + 1
    }

    /// Looks whether the first entry's values have heads that are only sizes.
    fn note_sizes(&mut self, count: usize) {
        let (mut at, mut sum) = (self.first_values(), 0);
        for _ in 0..count {
            if !text::is_size(self.data[at]) {
                return;
            }
            let end = text::skip(&self.data, at);
            sum += end - at - 1;
            at = end;
        }
        self.sizes_sum = offset(sum);
    }

    /// Takes the sizes out of the values from `values` to the end, if they are those of the first entry.
    fn strip_sizes(&mut self, values: usize, count: usize) -> bool {
        if self.data.len() - values != self.sizes_sum as usize + count {
            return false;
        }
        let (mut first, mut at) = (self.first_values(), values);
        for _ in 0..count {
            if self.data[at] != self.data[first] {
                return false;
            }
            let end = text::skip(&self.data, first);
            at += end - first;
            first = end;
        }
        let (mut first, mut from, mut to) = (self.first_values(), values, values);
        for _ in 0..count {
            let end = text::skip(&self.data, first);
            let size = end - first - 1;
            self.data.copy_within(from + 1..from + 1 + size, to);
            from += 1 + size;
            to += size;
            first = end;
        }
        self.data.truncate(to);
        true
    }

    /// Bytes that the reference's node with these entries has.
    pub(super) fn node_bytes(&self) -> usize {
        LISTPACK_FRAME + int_size(self.live as usize) + int_size(self.deleted as usize) + self.node_body as usize
    }

    /// Whether an entry with names and values of `bytes` bytes still belongs into this block.
    pub(super) fn has_room(&self, bytes: usize, settings: &Settings) -> bool {
        let max_bytes = match settings.stream_node_max_bytes {
            0 => NODE_MAX_BYTES,
            max => max.min(NODE_MAX_BYTES),
        };
        let max_entries = settings.stream_node_max_entries;
        self.node_bytes() + bytes < max_bytes
            && (max_entries == 0 || self.live as usize + (self.deleted as usize) < max_entries)
    }

    /// Adds an entry after the last; `first` is the block's first id.
    pub(super) fn push<'a, I>(&mut self, first: StreamId, id: StreamId, fields: &NewFields<I>)
    where
        I: Iterator<Item = &'a [u8]> + Clone,
    {
        debug_assert!(id > self.last_id && self.rest.is_empty());
        let same_names = self.has_names(fields);
        self.append(first, id, fields, same_names);
    }

    /// [`Block::push`] of an entry with the block's names.
    pub(super) fn push_same<'a, I>(&mut self, first: StreamId, id: StreamId, fields: &NewFields<I>)
    where
        I: Iterator<Item = &'a [u8]> + Clone,
    {
        debug_assert!(id > self.last_id && self.rest.is_empty() && self.has_names(fields));
        self.append(first, id, fields, true);
    }

    fn has_names<'a, I>(&self, fields: &NewFields<I>) -> bool
    where
        I: Iterator<Item = &'a [u8]> + Clone,
    {
        let (count, mut at) = read_number(&self.data, 0);
        count == fields.count as u64
            && fields.texts.clone().step_by(2).all(|name| {
                let (same, end) = text::matches(&self.data, at, name);
                at = end;
                same
            })
    }

    fn append<'a, I>(&mut self, first: StreamId, id: StreamId, fields: &NewFields<I>, same_names: bool)
    where
        I: Iterator<Item = &'a [u8]> + Clone,
    {
        self.reserve(fields.bytes + fields.count * 4);
        let at = self.data.len();
        self.push_head(id, same_names);
        // Flags are one element, as small as they come.
        let mut node = int_size(0) + difference_size(id.ms, first.ms) + difference_size(id.seq, first.seq);
        if same_names {
            let values = self.data.len();
            for value in fields.texts.clone().skip(1).step_by(2) {
                node += text::push(&mut self.data, value);
            }
            if self.sizes_sum != NO_SIZES && self.strip_sizes(values, fields.count) {
                self.data[at] |= SAME_SIZES;
            }
            node += int_size(fields.count + 3);
        } else {
            push_number(&mut self.data, fields.count as u64);
            for text in fields.texts.clone() {
                node += text::push(&mut self.data, text);
            }
            node += int_size(fields.count) + int_size(2 * fields.count + 4);
        }
        self.node_body = offset(self.node_body as usize + node);
        self.last_at = offset(at);
        self.last_id = id;
        self.live += 1;
    }

    /// Vectors grow by doubling, which is too much for entries of megabytes.
    fn reserve(&mut self, more: usize) {
        let spare = self.data.capacity() - self.data.len();
        if more > spare {
            let step = if self.data.len() < NODE_DOUBLES { self.data.len() } else { self.data.len() / 8 };
            self.data.reserve_exact(more.max(step));
        }
    }

    #[inline]
    fn push_head(&mut self, id: StreamId, same_names: bool) {
        let own = if same_names { 0 } else { OWN_NAMES };
        let last = self.last_id;
        if id.ms == last.ms {
            // The first entry of a block comes after a number that may be -1.
            match id.seq.wrapping_sub(last.seq) {
                1 => self.data.push(own | NEXT_SEQ),
                step => {
                    self.data.push(own | LATER_SEQ);
                    push_number(&mut self.data, step - 2);
                }
            }
            return;
        }
        let step = id.ms - last.ms - 1;
        let form = if id.seq == 0 { LATER_MS } else { LATER_BOTH };
        match step {
            0..7 => self.data.push(own | form | step as u8),
            _ => {
                self.data.push(own | form | MS_STEP);
                push_number(&mut self.data, step - 7);
            }
        }
        if form == LATER_BOTH {
            push_number(&mut self.data, id.seq);
        }
    }

    /// Gives back room that is not needed: no entry will be added, unless it is opened again. The allocator rounds up, by
    /// an eighth on average; a second piece for the last entries can avoid most of that.
    pub(super) fn close(&mut self) {
        let len = self.data.len();
        let cut = if size_class(len) - len > len / ROUNDING_WORTH { self.best_cut() } else { len };
        if cut < len {
            self.rest = self.data[cut..].into();
            self.data.truncate(cut);
        }
        if size_class(self.data.capacity()) > size_class(cut) {
            self.data.shrink_to_fit();
        }
    }

    /// Where to cut the data so that both pieces together take the least memory.
    fn best_cut(&self) -> usize {
        let len = self.data.len();
        let (mut best, mut least) = (len, size_class(len));
        let mut cursor = self.cursor(Place { at: self.names_end, before: StreamId::MIN });
        while cursor.next().is_some() {
            let at = cursor.place.at as usize;
            let bytes = size_class(at) + size_class(len - at);
            if at > len / 2 && bytes < least {
                (best, least) = (at, bytes);
            }
        }
        best
    }

    /// Makes a closed block ready for more entries.
    pub(super) fn open(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        self.data.extend_from_slice(&rest);
    }

    /// Bytes of its data.
    pub(super) fn len(&self) -> usize {
        self.data.len() + self.rest.len()
    }

    /// Bytes of memory, without those of the block itself.
    pub(super) fn memory_bytes(&self) -> usize {
        let rest = if self.rest.is_empty() { 0 } else { size_class(self.rest.len()) };
        size_class(self.data.capacity()) + rest
    }

    /// Before the first entry.
    #[inline]
    pub(super) fn start(&self, first: StreamId) -> Place {
        Place { at: self.names_end, before: StreamId { ms: first.ms, seq: first.seq.wrapping_sub(1) } }
    }

    /// The entries from `place` on, deleted ones included.
    #[inline]
    pub(super) fn cursor(&self, place: Place) -> Cursor<'_> {
        let (name_count, names_at) = read_number(&self.data, 0);
        let names = &self.data[names_at..];
        let cut = self.data.len() as u32;
        let (piece, base, rest) =
            if place.at < cut { (&self.data[..], 0, &self.rest[..]) } else { (&self.rest[..], cut, &[][..]) };
        let first_values = &self.data[self.first_values()..];
        Cursor {
            piece,
            base,
            rest,
            name_count: name_count as u32,
            sizes_sum: self.sizes_sum,
            names,
            first_values,
            place,
        }
    }

    /// The last entry, deleted or not.
    pub(super) fn last(&self) -> Found<'_> {
        // Its id need not be computed from the one before.
        let mut cursor = self.cursor(Place { at: self.last_at, before: StreamId::MIN });
        let mut found = cursor.next().expect("a block has a last entry");
        found.id = self.last_id;
        found
    }

    /// Where the last entry is; of no use to find out its id.
    pub(super) fn last_place(&self) -> Place {
        Place { at: self.last_at, before: StreamId::MIN }
    }

    /// Marks an entry that is not deleted yet.
    pub(super) fn mark_deleted(&mut self, at: u32) {
        let at = at as usize;
        let head = match at.checked_sub(self.data.len()) {
            Some(at) => &mut self.rest[at],
            None => &mut self.data[at],
        };
        debug_assert!(*head & DELETED == 0);
        *head |= DELETED;
        self.live -= 1;
        self.deleted += 1;
    }
}

/// Rounding up is worth avoiding from this part of a block's bytes on.
const ROUNDING_WORTH: usize = 32;

/// See [`Block::sizes_sum`].
const NO_SIZES: u32 = u32::MAX;

/// Up to here blocks double when they grow.
const NODE_DOUBLES: usize = 64 << 10;

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("a block has little more than 1 GiB")
}
