//! Listpack: a list of strings and integers in one run of bytes. The entries are byte for byte those of Redis 7 and 8,
//! because RDB files and `DUMP` carry them (see `docs/formats/listpack.md`).
//!
//! ```text
//! handle, 16 bytes:  pointer to the body | bytes of the body u32 | elements, 3 bytes | mark and side
//! body:              entry ... entry         (no allocation if there is none)
//! entry = encoding and length | payload | back length: size of the two before it, 7 bits a byte, read from its end
//!
//! serialised form:   total bytes u32 LE | elements u16 LE, 65535 = count them | body | 0xFF
//! ```
//!
//! Length and count live in the [`Listpack`], the handle, so that small lists carry no header in their allocation; the
//! capacity is a function of the length ([`Block`]). A count of 2^24-1 stands for "unknown, walk". Limits that follow the
//! reference are in bytes of the serialised form ([`Listpack::bytes_len`]). The *mark* belongs to the list's owner. The
//! values it does not use keep enums around a listpack as small as the listpack.
//!
//! A *position* is the offset of an entry's first byte in the body; any change of the list invalidates the positions at
//! and behind it. A wrong position panics or yields nonsense, never undefined behaviour: all reading goes through checked
//! slices, and only the block below holds unsafe code.

pub(crate) mod block;
mod codec;

use block::{Block, Side};
use codec::{Encoded, backlen_size, decode, entry_end, previous};
pub use codec::{Item, Needle, parse_integer};
use std::mem::MaybeUninit;

/// Bytes before the entries of the serialised form.
const HEADER: usize = 6;
/// The last byte of the serialised form.
const END: u8 = 0xff;
/// Bytes of the serialised form that are not entries.
const FRAME: usize = HEADER + 1;
/// The serialised count of elements that do not fit the field.
const SERIAL_COUNT_UNKNOWN: u16 = u16::MAX;
/// The handle's count of elements that do not fit the field.
const COUNT_UNKNOWN: u32 = (1 << 24) - 1;
/// A total length has 32 bits.
const BODY_MAX: usize = u32::MAX as usize - FRAME;
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

/// Something that a listpack's owner wants to remember; the listpack itself only keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Mark {
    /// As in a new listpack.
    #[default]
    Off,
    /// The other state.
    On,
}

/// The owner's mark, and the side that the body is on, in a byte that leaves values unused.
#[derive(Clone, Copy)]
enum Flags {
    OffLeft,
    OnLeft,
    OffRight,
    OnRight,
}

impl Flags {
    #[inline]
    const fn new(mark: Mark, side: Side) -> Flags {
        match (mark, side) {
            (Mark::Off, Side::Left) => Flags::OffLeft,
            (Mark::On, Side::Left) => Flags::OnLeft,
            (Mark::Off, Side::Right) => Flags::OffRight,
            (Mark::On, Side::Right) => Flags::OnRight,
        }
    }

    #[inline]
    fn mark(self) -> Mark {
        match self {
            Flags::OffLeft | Flags::OffRight => Mark::Off,
            Flags::OnLeft | Flags::OnRight => Mark::On,
        }
    }

    #[inline]
    fn side(self) -> Side {
        match self {
            Flags::OffLeft | Flags::OnLeft => Side::Left,
            Flags::OffRight | Flags::OnRight => Side::Right,
        }
    }
}

/// An owned listpack; sixteen bytes, at most one allocation.
pub struct Listpack {
    // The block's length is `body_len` and its side that of `flags`, at all times outside of `open`.
    block: Block,
    body_len: u32,
    /// Little endian; `COUNT_UNKNOWN` whenever it does not fit.
    count: [u8; 3],
    flags: Flags,
}

const _: () = assert!(size_of::<Listpack>() == 16 && size_of::<Option<Listpack>>() == 16);

impl Listpack {
    /// An empty listpack. No allocation.
    pub const fn new() -> Listpack {
        Listpack { block: Block::new(), body_len: 0, count: [0; 3], flags: Flags::OffLeft }
    }

    /// Checks the serialised form and copies its entries: every length, back length and the count. O(n).
    pub fn from_bytes(bytes: &[u8]) -> Result<Listpack, ListpackError> {
        let count = validate(bytes)?;
        let body = &bytes[HEADER..bytes.len() - 1];
        let mut list = Listpack::new();
        list.splice(0, 0, body, count as isize);
        Ok(list)
    }

    /// Builds a listpack of `items` in order, without a reallocation per element.
    pub fn from_items<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Listpack {
        let mut list = Listpack::new();
        list.append(items);
        list
    }

    /// Length in bytes of the serialised form, header and end mark included: what the reference's limits are about.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        self.body_len as usize + FRAME
    }

    /// The serialised form, as RDB stores it. O(n).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes_len());
        self.append_to(&mut bytes);
        bytes
    }

    /// Appends the serialised form. O(n).
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let total = u32::try_from(self.bytes_len()).expect("checked whenever the list grows");
        let count = u16::try_from(self.stored_count()).unwrap_or(SERIAL_COUNT_UNKNOWN);
        out.extend_from_slice(&total.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(self.body());
        out.push(END);
    }

    /// The entries, one behind the other, as they are in the serialised form.
    #[inline]
    pub fn body(&self) -> &[u8] {
        // SAFETY: this is the block's length, by the invariant of the field.
        unsafe { self.block.bytes(self.body_len as usize) }
    }

    /// Bytes of the allocation, slack of the size class included.
    pub fn memory_bytes(&self) -> usize {
        block::capacity(self.body_len as usize)
    }

    /// What the owner has noted; a copy has it too, and emptying the list does not change it.
    #[inline]
    pub fn mark(&self) -> Mark {
        self.flags.mark()
    }

    /// Notes something for the owner.
    #[inline]
    pub fn set_mark(&mut self, mark: Mark) {
        self.flags = Flags::new(mark, self.flags.side());
    }

    /// Number of elements. O(1), but O(n) from 2^24-1 elements on, where the handle has no room for the count.
    #[inline]
    pub fn len(&self) -> usize {
        match self.stored_count() {
            COUNT_UNKNOWN => self.iter().count(),
            count => count as usize,
        }
    }

    /// Whether there is no element. O(1).
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.body_len == 0
    }

    /// Whether `add_bytes` more may be stored within [`BYTES_MAX`].
    pub fn fits(&self, add_bytes: usize) -> bool {
        self.bytes_len().saturating_add(add_bytes) <= BYTES_MAX
    }

    #[inline]
    fn stored_count(&self) -> u32 {
        let [low, middle, high] = self.count;
        u32::from_le_bytes([low, middle, high, 0])
    }

    // ---- positions ----

    /// Position of the first element.
    #[inline]
    pub fn first(&self) -> Option<usize> {
        self.at_entry(0)
    }

    /// Position of the last element.
    pub fn last(&self) -> Option<usize> {
        self.prev(self.end())
    }

    /// Position behind the last element: `insert_before(end(), x)` appends.
    #[inline]
    pub fn end(&self) -> usize {
        self.body_len as usize
    }

    /// Position of the element behind the one at `pos`.
    #[inline]
    pub fn next(&self, pos: usize) -> Option<usize> {
        self.at_entry(entry_end(self.body(), pos))
    }

    /// Position of the element before `pos`, which may be [`end`](Self::end).
    pub fn prev(&self, pos: usize) -> Option<usize> {
        (pos > 0).then(|| previous(self.body(), pos))
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
            return self.advance(0, index);
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
        decode(self.body(), pos).0
    }

    /// The element at `pos` and the position of the next one.
    #[inline]
    pub fn get_and_next(&self, pos: usize) -> (Item<'_>, Option<usize>) {
        let (item, size) = decode(self.body(), pos);
        (item, self.at_entry(pos + size + backlen_size(size)))
    }

    /// Elements from the head.
    pub fn iter(&self) -> Iter<'_> {
        Iter { bytes: self.body(), front: 0, back: self.end() }
    }

    /// Elements from the one at `pos` on.
    pub fn iter_from(&self, pos: usize) -> Iter<'_> {
        Iter { bytes: self.body(), front: pos, back: self.end() }
    }

    /// Elements before `pos`, which may be [`end`](Self::end).
    pub fn iter_to(&self, pos: usize) -> Iter<'_> {
        Iter { bytes: self.body(), front: 0, back: pos }
    }

    /// Position of the first element equal to `needle`, looking at every `skip + 1`-th from the head: 1 finds a field
    /// among field-value pairs. O(n).
    pub fn find(&self, needle: &[u8], skip: usize) -> Option<usize> {
        self.find_from(0, needle, skip)
    }

    /// As [`find`](Self::find), starting with the element at `pos`.
    pub fn find_from(&self, pos: usize, needle: &[u8], skip: usize) -> Option<usize> {
        codec::find(self.body(), pos, needle, skip)
    }

    fn at_entry(&self, pos: usize) -> Option<usize> {
        (pos < self.end()).then_some(pos)
    }

    /// The position `count` elements behind `pos`; the end if exactly none is left.
    fn advance(&self, mut pos: usize, count: usize) -> Option<usize> {
        let bytes = self.body();
        for _ in 0..count {
            if pos >= bytes.len() {
                return None;
            }
            pos = entry_end(bytes, pos);
        }
        Some(pos)
    }

    // ---- changes ----

    /// Appends an element; text that is a canonical decimal i64 is stored as an integer.
    pub fn push_back(&mut self, value: &[u8]) {
        self.put(self.end(), 0, &[Encoded::new(value)], 1);
    }

    /// Prepends an element. O(1) amortised in a list that grows at this end, else O(n).
    pub fn push_front(&mut self, value: &[u8]) {
        self.put(0, 0, &[Encoded::new(value)], 1);
    }

    /// Appends an integer.
    pub fn push_back_int(&mut self, value: i64) {
        self.put(self.end(), 0, &[Encoded::from_int(value)], 1);
    }

    /// Appends a few elements at once.
    pub fn push_back_all<const N: usize>(&mut self, values: [&[u8]; N]) {
        self.insert_all_before(self.end(), values);
    }

    /// Appends all of `items` with one reallocation.
    pub fn append<'a>(&mut self, items: impl IntoIterator<Item = &'a [u8]>) {
        let entries: Vec<Encoded<'_>> = items.into_iter().map(Encoded::new).collect();
        self.put(self.end(), 0, &entries, entries.len() as isize);
    }

    /// Inserts before the element at `pos`, or at the end; returns the new element's position. O(n).
    pub fn insert_before(&mut self, pos: usize, value: &[u8]) -> usize {
        self.put(pos, 0, &[Encoded::new(value)], 1);
        pos
    }

    /// Inserts a few elements at once before the one at `pos`, or at the end. O(n).
    pub fn insert_all_before<const N: usize>(&mut self, pos: usize, values: [&[u8]; N]) {
        self.put(pos, 0, &values.map(Encoded::new), N as isize);
    }

    /// Inserts behind the element at `pos`; returns the new element's position. O(n).
    pub fn insert_after(&mut self, pos: usize, value: &[u8]) -> usize {
        let at = entry_end(self.body(), pos);
        self.insert_before(at, value)
    }

    /// Inserts so that the new element has this index, at most the length. O(n).
    pub fn insert_at(&mut self, index: usize, value: &[u8]) -> usize {
        let pos = self.seek(index as i64).unwrap_or(self.end());
        self.insert_before(pos, value)
    }

    /// Replaces the element at `pos`, which stays its position. O(n) when the sizes differ.
    pub fn replace(&mut self, pos: usize, value: &[u8]) {
        let removed = entry_end(self.body(), pos) - pos;
        self.put(pos, removed, &[Encoded::new(value)], 0);
    }

    /// Replaces the element at `pos` by an integer.
    pub fn replace_int(&mut self, pos: usize, value: i64) {
        let removed = entry_end(self.body(), pos) - pos;
        self.put(pos, removed, &[Encoded::from_int(value)], 0);
    }

    /// Deletes the element at `pos`; returns the position of the one that followed, which is `pos` again. O(n).
    pub fn delete(&mut self, pos: usize) -> Option<usize> {
        self.delete_at(pos, 1)
    }

    /// Deletes up to `count` elements from the one at `pos` on; returns the position of the element that followed.
    pub fn delete_at(&mut self, pos: usize, count: usize) -> Option<usize> {
        let (mut end, mut deleted) = (pos, 0);
        while deleted < count && end < self.end() {
            end = entry_end(self.body(), end);
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
        if positions.is_empty() {
            return;
        }
        let (bytes, end) = (self.body(), self.end());
        let mut kept = Vec::with_capacity(end);
        let mut from = 0;
        for &pos in positions {
            kept.extend_from_slice(&bytes[from..pos]);
            from = entry_end(bytes, pos);
        }
        kept.extend_from_slice(&bytes[from..end]);
        self.splice(0, end, &kept, -(positions.len() as isize));
    }

    /// Removes all elements.
    pub fn clear(&mut self) {
        let mark = self.mark();
        *self = Listpack::new();
        self.set_mark(mark);
    }

    /// Moves the elements from the one at `pos` on into a listpack of their own. O(n).
    pub fn split_off(&mut self, pos: usize) -> Listpack {
        let end = self.end();
        let count = self.iter_from(pos).count();
        let mut tail = Listpack::new();
        tail.splice(0, 0, &self.body()[pos..end], count as isize);
        self.splice(pos, end - pos, &[], -(count as isize));
        tail
    }

    /// Appends the elements of `other`: one copy of its bytes.
    pub fn append_listpack(&mut self, other: &Listpack) {
        self.splice(self.end(), 0, other.body(), other.len() as isize);
    }

    /// Prepends the elements of `other`: one copy of its bytes.
    pub fn prepend_listpack(&mut self, other: &Listpack) {
        self.splice(0, 0, other.body(), other.len() as isize);
    }

    /// Replaces `removed` bytes at `at`, whole entries, by `entries`; `delta` more of them than before.
    #[inline]
    fn put(&mut self, at: usize, removed: usize, entries: &[Encoded<'_>], delta: isize) {
        let added = entries.iter().map(Encoded::len).sum();
        // SAFETY: the gap is as long as the entries that are written to it.
        let mut gap = unsafe { self.open(at, removed, added, delta) };
        for entry in entries {
            gap = entry.write_to(gap);
        }
        debug_assert!(gap.is_empty(), "the gap is filled");
    }

    /// The same with entries that are bytes already.
    fn splice(&mut self, at: usize, removed: usize, entries: &[u8], delta: isize) {
        // SAFETY: the gap is filled at once.
        unsafe { self.open(at, removed, entries.len(), delta) }.write_copy_of_slice(entries);
    }

    /// The only way bytes change: whole entries make place for a gap for whole entries, `delta` more of them.
    ///
    /// # Safety
    /// The caller fills the gap.
    #[inline]
    unsafe fn open(&mut self, at: usize, removed: usize, added: usize, delta: isize) -> &mut [MaybeUninit<u8>] {
        let len = self.body_len as usize;
        assert!(at <= len && removed <= len - at, "position outside of the listpack");
        let new_len = len - removed + added;
        assert!(new_len <= BODY_MAX, "callers ask fits() before they grow a listpack");
        // Taken before the bytes change: a count beyond the field is found by walking.
        let [low, middle, high, _] = self.count_after(delta).to_le_bytes();
        // A new allocation has its slack where fewer bytes will have to move if the next change is where this one is.
        let fresh = if at < len - at - removed { Side::Right } else { Side::Left };
        // SAFETY: these are the block's length and side, the new ones are recorded next, and the caller fills the gap.
        let (gap, side) = unsafe { self.block.open((len, self.flags.side()), at, removed, added, fresh) };
        self.flags = Flags::new(self.flags.mark(), side);
        self.count = [low, middle, high];
        self.body_len = new_len as u32;
        gap
    }

    /// The count field after `delta` elements were added (or removed). A list whose count is unknown is walked when it
    /// shrinks, so that the field comes back as soon as it has room.
    #[inline]
    fn count_after(&self, delta: isize) -> u32 {
        match self.stored_count() {
            COUNT_UNKNOWN if delta >= 0 => COUNT_UNKNOWN,
            COUNT_UNKNOWN => clamp_count(self.len() as isize + delta),
            count => clamp_count(count as isize + delta),
        }
    }
}

fn clamp_count(count: isize) -> u32 {
    u32::try_from(count).map_or(COUNT_UNKNOWN, |count| count.min(COUNT_UNKNOWN))
}

impl Default for Listpack {
    fn default() -> Self {
        Listpack::new()
    }
}

impl Drop for Listpack {
    fn drop(&mut self) {
        // SAFETY: these are the block's length and side, and the handle is gone after this.
        unsafe { self.block.free((self.body_len as usize, self.flags.side())) };
    }
}

impl Clone for Listpack {
    fn clone(&self) -> Self {
        let flags = Flags::new(self.mark(), Side::Left);
        Listpack { block: Block::from_bytes(self.body()), flags, ..*self }
    }
}

/// Equal are those of the same entries, whatever their marks.
impl PartialEq for Listpack {
    fn eq(&self, other: &Self) -> bool {
        self.body() == other.body()
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

/// The elements of a serialised form, which is checked first: every length, back length and the count. O(n).
pub fn items(bytes: &[u8]) -> Result<Iter<'_>, ListpackError> {
    validate(bytes)?;
    let body = &bytes[HEADER..bytes.len() - 1];
    Ok(Iter { bytes: body, front: 0, back: body.len() })
}

/// A serialised form that is written element by element, for lists that are made only to be stored.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    count: usize,
}

impl<'a> Writer<'a> {
    /// Begins at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Writer<'a> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        Writer { out, start, count: 0 }
    }

    /// Appends an element; a string stays one even if it is the text of an integer.
    #[inline]
    pub fn push(&mut self, item: Item<'_>) {
        codec::append_entry(self.out, item);
        self.count += 1;
    }

    /// Appends an integer.
    #[inline]
    pub fn push_int(&mut self, value: i64) {
        self.push(Item::Int(value));
    }

    /// Writes the end mark and the header.
    pub fn finish(self) {
        self.out.push(END);
        let total = u32::try_from(self.out.len() - self.start).expect("callers keep to the format's limit");
        let count = u16::try_from(self.count).unwrap_or(SERIAL_COUNT_UNKNOWN);
        let head = &mut self.out[self.start..self.start + HEADER];
        head[..4].copy_from_slice(&total.to_le_bytes());
        head[4..].copy_from_slice(&count.to_le_bytes());
    }
}

/// Checks a serialised form; the number of its elements.
fn validate(bytes: &[u8]) -> Result<usize, ListpackError> {
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
    if stored != SERIAL_COUNT_UNKNOWN && stored as usize != count {
        return Err(ListpackError::Count);
    }
    Ok(count)
}

#[cfg(test)]
mod tests;
