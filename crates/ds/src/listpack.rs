//! Listpack: a list of strings and integers in one run of bytes, byte for byte the layout of Redis 7 and 8, because RDB
//! files and `DUMP` carry it verbatim (see `docs/formats/listpack.md`).
//!
//! ```text
//! total bytes u32 LE | elements u16 LE, 65535 = count them | entry ... entry | 0xFF
//! entry = encoding and length | payload | back length: size of the two before it, 7 bits a byte, read from its end
//! ```
//!
//! A [`Listpack`] is an eight-byte handle: length and count live in the header, the capacity is a function of the
//! length. A *position* is the offset of an entry's first byte; any change of the list invalidates the positions at and
//! behind it. A wrong position panics or yields nonsense, never undefined behaviour: all reading goes through checked
//! slices, and only the block below holds unsafe code.

pub(crate) mod block;
mod codec;

use block::Block;
use codec::{Encoded, backlen_size, decode, entry_end, previous};
pub use codec::{Item, Needle, parse_integer};

const HEADER: usize = 6;
const END: u8 = 0xff;
const COUNT_UNKNOWN: u16 = u16::MAX;
/// Redis grows no listpack beyond this many bytes.
pub const BYTES_MAX: usize = 1 << 30;

/// Why bytes are not a listpack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListpackError {
    /// Shorter than a header, or the stored length is not the length given.
    Length,
    /// The last byte is not the end mark.
    End,
    /// The entry at this offset has an unknown encoding, reaches beyond the end, or its back length is wrong.
    Entry(usize),
    /// The stored count of elements is wrong.
    Count,
}

impl std::fmt::Display for ListpackError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListpackError::Length => f.write_str("listpack: wrong total length"),
            ListpackError::End => f.write_str("listpack: no end mark"),
            ListpackError::Entry(at) => write!(f, "listpack: bad entry at byte {at}"),
            ListpackError::Count => f.write_str("listpack: wrong count of elements"),
        }
    }
}

impl std::error::Error for ListpackError {}

/// An owned listpack; eight bytes, one allocation.
pub struct Listpack {
    // Block length = the total-bytes field, at all times outside of `splice`.
    block: Block,
}

const _: () = assert!(size_of::<Listpack>() == 8 && size_of::<Option<Listpack>>() == 8);

impl Listpack {
    /// An empty listpack.
    pub fn new() -> Listpack {
        Listpack { block: Block::from_parts(&[&[7, 0, 0, 0, 0, 0, END]]) }
    }

    /// Copies and checks serialised bytes: every length, back length and the count. O(n).
    pub fn from_bytes(bytes: &[u8]) -> Result<Listpack, ListpackError> {
        validate(bytes)?;
        Ok(Listpack { block: Block::from_parts(&[bytes]) })
    }

    /// Builds a listpack of `items` in order, without a reallocation per element.
    pub fn from_items<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Listpack {
        let mut list = Listpack::new();
        list.append(items);
        list
    }

    /// Total length in bytes, header and end mark included.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        // SAFETY: a listpack has at least the seven bytes of the empty one.
        let header = unsafe { self.block.bytes(4) };
        u32::from_le_bytes(header.try_into().expect("four bytes")) as usize
    }

    /// The serialised form, as RDB stores it.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the header's field is the block's length.
        unsafe { self.block.bytes(self.bytes_len()) }
    }

    /// Bytes of the allocation, slack of the size class included.
    pub fn memory_bytes(&self) -> usize {
        block::size_class(self.bytes_len())
    }

    /// Number of elements. O(1), but O(n) from 65535 elements on, where the header has no room for the count.
    pub fn len(&self) -> usize {
        match self.stored_count() {
            COUNT_UNKNOWN => self.iter().count(),
            count => count as usize,
        }
    }

    /// Whether there is no element. O(1).
    #[inline]
    pub fn is_empty(&self) -> bool {
        // Not the count, which foreign bytes may leave unknown.
        self.bytes_len() == HEADER + 1
    }

    /// Whether `add_bytes` more may be stored within [`BYTES_MAX`].
    pub fn fits(&self, add_bytes: usize) -> bool {
        self.bytes_len().saturating_add(add_bytes) <= BYTES_MAX
    }

    fn stored_count(&self) -> u16 {
        // SAFETY: a listpack has at least the seven bytes of the empty one.
        let header = unsafe { self.block.bytes(HEADER) };
        u16::from_le_bytes([header[4], header[5]])
    }

    // ---- positions ----

    /// Position of the first element.
    #[inline]
    pub fn first(&self) -> Option<usize> {
        self.at_entry(HEADER)
    }

    /// Position of the last element.
    pub fn last(&self) -> Option<usize> {
        self.prev(self.end())
    }

    /// Position behind the last element, where the end mark is: `insert_before(end(), x)` appends.
    #[inline]
    pub fn end(&self) -> usize {
        self.bytes_len() - 1
    }

    /// Position of the element behind the one at `pos`.
    #[inline]
    pub fn next(&self, pos: usize) -> Option<usize> {
        self.at_entry(entry_end(self.as_bytes(), pos))
    }

    /// Position of the element before `pos`, which may be [`end`](Self::end).
    pub fn prev(&self, pos: usize) -> Option<usize> {
        (pos > HEADER).then(|| previous(self.as_bytes(), pos))
    }

    /// Position of the element at `index`; negative indices count from the tail, -1 being the last. Walks from the
    /// nearer end. O(n).
    pub fn seek(&self, index: i64) -> Option<usize> {
        let count = self.len();
        let index = if index < 0 {
            usize::try_from(index.unsigned_abs()).ok().and_then(|back| count.checked_sub(back))?
        } else {
            usize::try_from(index).ok().filter(|&index| index < count)?
        };
        if index < count / 2 {
            return self.advance(HEADER, index);
        }
        let mut pos = self.end();
        for _ in index..count {
            pos = self.prev(pos)?;
        }
        Some(pos)
    }

    /// The element at `pos`. Panics if `pos` is the end or outside.
    #[inline]
    pub fn get(&self, pos: usize) -> Item<'_> {
        decode(self.as_bytes(), pos).0
    }

    /// The element at `pos` and the position of the next one.
    #[inline]
    pub fn get_and_next(&self, pos: usize) -> (Item<'_>, Option<usize>) {
        let (item, size) = decode(self.as_bytes(), pos);
        (item, self.at_entry(pos + size + backlen_size(size)))
    }

    /// Elements from the head.
    pub fn iter(&self) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: HEADER, back: self.end() }
    }

    /// Elements from the one at `pos` on.
    pub fn iter_from(&self, pos: usize) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: pos, back: self.end() }
    }

    /// Elements before `pos`, which may be [`end`](Self::end).
    pub fn iter_to(&self, pos: usize) -> Iter<'_> {
        Iter { bytes: self.as_bytes(), front: HEADER, back: pos }
    }

    /// Position of the first element equal to `needle`, looking at every `skip + 1`-th from the head: 1 finds a field
    /// among field-value pairs. O(n).
    pub fn find(&self, needle: &[u8], skip: usize) -> Option<usize> {
        self.find_from(HEADER, needle, skip)
    }

    /// As [`find`](Self::find), starting with the element at `pos`.
    pub fn find_from(&self, pos: usize, needle: &[u8], skip: usize) -> Option<usize> {
        codec::find(self.as_bytes(), pos, needle, skip)
    }

    fn at_entry(&self, pos: usize) -> Option<usize> {
        (pos < self.end()).then_some(pos)
    }

    /// The position `count` elements behind `pos`; the end if exactly none is left.
    fn advance(&self, mut pos: usize, count: usize) -> Option<usize> {
        let bytes = self.as_bytes();
        let end = bytes.len() - 1;
        for _ in 0..count {
            if pos >= end {
                return None;
            }
            pos = entry_end(bytes, pos);
        }
        Some(pos)
    }

    // ---- changes ----

    /// Appends an element; text that is a canonical decimal i64 is stored as an integer.
    pub fn push_back(&mut self, value: &[u8]) {
        let end = self.end();
        self.put(end, 0, &Encoded::new(value), 1);
    }

    /// Prepends an element. O(n).
    pub fn push_front(&mut self, value: &[u8]) {
        self.put(HEADER, 0, &Encoded::new(value), 1);
    }

    /// Appends an integer.
    pub fn push_back_int(&mut self, value: i64) {
        let end = self.end();
        self.put(end, 0, &Encoded::from_int(value), 1);
    }

    /// Appends all of `items` with one reallocation and one copy.
    pub fn append<'a>(&mut self, items: impl IntoIterator<Item = &'a [u8]>) {
        let mut run = Vec::new();
        let mut count = 0;
        for item in items {
            Encoded::new(item).write_to(&mut run);
            count += 1;
        }
        let end = self.end();
        self.splice(end, 0, &[&run], count);
    }

    /// Inserts before the element at `pos`, or at the end; returns the new element's position. O(n).
    pub fn insert_before(&mut self, pos: usize, value: &[u8]) -> usize {
        self.put(pos, 0, &Encoded::new(value), 1);
        pos
    }

    /// Inserts behind the element at `pos`; returns the new element's position. O(n).
    pub fn insert_after(&mut self, pos: usize, value: &[u8]) -> usize {
        let at = entry_end(self.as_bytes(), pos);
        self.insert_before(at, value)
    }

    /// Inserts so that the new element has this index, at most the length. O(n).
    pub fn insert_at(&mut self, index: usize, value: &[u8]) -> usize {
        let pos = self.seek(index as i64).unwrap_or(self.end());
        self.insert_before(pos, value)
    }

    /// Replaces the element at `pos`, which stays its position. O(n) when the sizes differ.
    pub fn replace(&mut self, pos: usize, value: &[u8]) {
        let removed = entry_end(self.as_bytes(), pos) - pos;
        self.put(pos, removed, &Encoded::new(value), 0);
    }

    /// Replaces the element at `pos` by an integer.
    pub fn replace_int(&mut self, pos: usize, value: i64) {
        let removed = entry_end(self.as_bytes(), pos) - pos;
        self.put(pos, removed, &Encoded::from_int(value), 0);
    }

    /// Deletes the element at `pos`; returns the position of the one that followed, which is `pos` again. O(n).
    pub fn delete(&mut self, pos: usize) -> Option<usize> {
        self.delete_at(pos, 1)
    }

    /// Deletes up to `count` elements from the one at `pos` on; returns the position of the element that followed.
    pub fn delete_at(&mut self, pos: usize, count: usize) -> Option<usize> {
        let (mut end, mut deleted) = (pos, 0);
        while deleted < count && end < self.end() {
            end = entry_end(self.as_bytes(), end);
            deleted += 1;
        }
        self.splice(pos, end - pos, &[], -(deleted as isize));
        self.at_entry(pos)
    }

    /// Deletes up to `count` elements from index `index` on (negative: from the tail); returns how many. O(n).
    pub fn delete_range(&mut self, index: i64, count: usize) -> usize {
        let Some(pos) = self.seek(index) else {
            return 0;
        };
        let before = self.len();
        self.delete_at(pos, count);
        before - self.len()
    }

    /// Deletes the elements at all of `positions`, which ascend. O(n), however many they are.
    pub fn delete_all(&mut self, positions: &[usize]) {
        let (bytes, end) = (self.as_bytes(), self.end());
        let mut kept = Vec::with_capacity(end - HEADER);
        let mut from = HEADER;
        for &pos in positions {
            kept.extend_from_slice(&bytes[from..pos]);
            from = entry_end(bytes, pos);
        }
        kept.extend_from_slice(&bytes[from..end]);
        self.splice(HEADER, end - HEADER, &[&kept], -(positions.len() as isize));
    }

    /// Removes all elements.
    pub fn clear(&mut self) {
        *self = Listpack::new();
    }

    /// Moves the elements from the one at `pos` on into a listpack of their own. O(n).
    pub fn split_off(&mut self, pos: usize) -> Listpack {
        let end = self.end();
        let count = self.iter_from(pos).count();
        let mut tail = Listpack::new();
        tail.splice(HEADER, 0, &[&self.as_bytes()[pos..end]], count as isize);
        self.splice(pos, end - pos, &[], -(count as isize));
        tail
    }

    /// Appends the elements of `other`: one copy of its bytes.
    pub fn append_listpack(&mut self, other: &Listpack) {
        let (end, count) = (self.end(), other.len());
        self.splice(end, 0, &[&other.as_bytes()[HEADER..other.end()]], count as isize);
    }

    /// Prepends the elements of `other`: one copy of its bytes.
    pub fn prepend_listpack(&mut self, other: &Listpack) {
        let count = other.len();
        self.splice(HEADER, 0, &[&other.as_bytes()[HEADER..other.end()]], count as isize);
    }

    fn put(&mut self, at: usize, removed: usize, entry: &Encoded<'_>, delta: isize) {
        self.splice(at, removed, &entry.parts(), delta);
    }

    /// The only way bytes change: whole entries for whole entries, `delta` more of them.
    fn splice(&mut self, at: usize, removed: usize, parts: &[&[u8]], delta: isize) {
        let len = self.bytes_len();
        let added: usize = parts.iter().map(|part| part.len()).sum();
        assert!(HEADER <= at && at < len && removed < len - at, "position outside of the listpack");
        let total = u32::try_from(len - removed + added).expect("callers ask fits() before they grow a listpack");
        // Taken before the bytes change: a count beyond the field is found by walking.
        let count = self.count_after(delta);
        // SAFETY: `len` is the block's length, and the new one goes into the header next.
        unsafe { self.block.splice(len, at, removed, parts) };
        // SAFETY: a listpack never has fewer than seven bytes: the checks above keep header and end mark.
        let header = unsafe { self.block.bytes_mut(HEADER) };
        header[..4].copy_from_slice(&total.to_le_bytes());
        header[4..].copy_from_slice(&count.to_le_bytes());
    }

    /// The count field after `delta` elements were added (or removed). A list whose count is unknown is walked when it
    /// shrinks, so that the field comes back as soon as it has room.
    fn count_after(&self, delta: isize) -> u16 {
        match self.stored_count() {
            COUNT_UNKNOWN if delta >= 0 => COUNT_UNKNOWN,
            COUNT_UNKNOWN => clamp_count(self.len() as isize + delta),
            count => clamp_count(count as isize + delta),
        }
    }
}

fn clamp_count(count: isize) -> u16 {
    u16::try_from(count).unwrap_or(COUNT_UNKNOWN)
}

impl Default for Listpack {
    fn default() -> Self {
        Listpack::new()
    }
}

impl Drop for Listpack {
    fn drop(&mut self) {
        let len = self.bytes_len();
        // SAFETY: the header's field is the block's length, and the handle is gone after this.
        unsafe { self.block.free(len) };
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        Listpack { block: Block::from_parts(&[self.as_bytes()]) }
    }
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Listpack {}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Listpack {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Elements of a listpack, from both ends.
#[derive(Clone)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    front: usize,
    back: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (item, size) = decode(self.bytes, self.front);
        self.front += size + backlen_size(size);
        Some(item)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = previous(self.bytes, self.back);
        Some(decode(self.bytes, self.back).0)
    }
}

impl std::iter::FusedIterator for Iter<'_> {}

fn validate(bytes: &[u8]) -> Result<(), ListpackError> {
    let header = bytes.first_chunk::<HEADER>().ok_or(ListpackError::Length)?;
    let total = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    if total != bytes.len() || total == HEADER {
        return Err(ListpackError::Length);
    }
    let end = total - 1;
    if bytes[end] != END {
        return Err(ListpackError::End);
    }
    let (mut pos, mut count) = (HEADER, 0usize);
    while pos < end {
        pos = codec::checked_entry_end(&bytes[..end], pos).ok_or(ListpackError::Entry(pos))?;
        count += 1;
    }
    let stored = u16::from_le_bytes([header[4], header[5]]);
    if stored != COUNT_UNKNOWN && stored as usize != count {
        return Err(ListpackError::Count);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
