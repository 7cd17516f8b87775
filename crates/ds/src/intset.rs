//! Intset: a sorted set of integers in one run of bytes, byte for byte the layout that RDB stores.
//!
//! ```text
//! width u32 LE, 2, 4 or 8 | count u32 LE | count integers of that width, LE, ascending
//! ```
//!
//! The width is that of the widest integer ever added: it grows with a value that does not fit and never shrinks, as in
//! Redis. An [`Intset`] is an eight-byte handle; width and count live in the header, and the capacity is a function of
//! the length ([`Block`]).

use crate::listpack::block::{self, Block, Side};

const HEADER: usize = 8;

/// Why bytes are not an intset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntsetError {
    /// The width is none of 2, 4 and 8.
    Width,
    /// The bytes are not as long as header and count say.
    Length,
    /// The integers do not ascend strictly.
    Order,
}

impl std::fmt::Display for IntsetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            IntsetError::Width => "intset: unknown width",
            IntsetError::Length => "intset: wrong length",
            IntsetError::Order => "intset: integers out of order",
        })
    }
}

impl std::error::Error for IntsetError {}

/// An owned intset; eight bytes, one allocation.
pub struct Intset {
    // Block length = HEADER + width * count, at all times outside of a change. Always on the left side.
    block: Block,
}

const _: () = assert!(size_of::<Intset>() == 8 && size_of::<Option<Intset>>() == 8);

impl Intset {
    /// An empty intset of the smallest width.
    pub fn new() -> Intset {
        Intset { block: Block::from_bytes(&header(2, 0)) }
    }

    /// Copies and checks serialised bytes: width, length and order. O(n).
    pub fn from_bytes(bytes: &[u8]) -> Result<Intset, IntsetError> {
        let head = bytes.first_chunk::<HEADER>().ok_or(IntsetError::Length)?;
        let (width, count) = parse_header(head);
        if !matches!(width, 2 | 4 | 8) {
            return Err(IntsetError::Width);
        }
        if count.checked_mul(width) != Some(bytes.len() - HEADER) {
            return Err(IntsetError::Length);
        }
        let values = bytes[HEADER..].chunks_exact(width).map(read);
        if !values.is_sorted_by(|left, right| left < right) {
            return Err(IntsetError::Order);
        }
        Ok(Intset { block: Block::from_bytes(bytes) })
    }

    fn head(&self) -> (usize, usize) {
        // SAFETY: an intset has at least its header.
        let head = unsafe { self.block.bytes(HEADER) };
        parse_header(head.first_chunk().expect("a header's length"))
    }

    /// Total length in bytes, header included.
    pub fn bytes_len(&self) -> usize {
        let (width, count) = self.head();
        HEADER + width * count
    }

    /// The serialised form, as RDB stores it.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: this is the block's length, by the invariant of the field.
        unsafe { self.block.bytes(self.bytes_len()) }
    }

    /// Bytes of the allocation, slack of the size class included.
    pub fn memory_bytes(&self) -> usize {
        block::capacity(self.bytes_len())
    }

    /// Number of integers. O(1).
    pub fn len(&self) -> usize {
        self.head().1
    }

    /// Whether there is none. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn values(&self) -> &[u8] {
        &self.as_bytes()[HEADER..]
    }

    /// The `index`-th smallest integer. O(1).
    pub fn get(&self, index: usize) -> Option<i64> {
        let (width, count) = self.head();
        (index < count).then(|| read(&self.values()[index * width..][..width]))
    }

    /// The smallest integer.
    pub fn min(&self) -> Option<i64> {
        self.get(0)
    }

    /// The largest integer.
    pub fn max(&self) -> Option<i64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// The integer that the random word `random` chooses: uniform as far as the word is.
    pub fn random(&self, random: u64) -> Option<i64> {
        let index = (u128::from(random) * self.len() as u128) >> 64;
        self.get(index as usize)
    }

    /// The integers in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = i64> + DoubleEndedIterator + Clone + '_ {
        self.values().chunks_exact(self.head().0).map(read)
    }

    /// Whether `value` is in the set. O(log n).
    pub fn contains(&self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// Adds `value`; false if it was there. O(n).
    pub fn add(&mut self, value: i64) -> bool {
        let width = width_of(value);
        if width > self.head().0 {
            self.widen_and_add(width, value);
            return true;
        }
        let Err(index) = self.search(value) else {
            return false;
        };
        let (width, count) = self.head();
        self.splice(index, 0, &value.to_le_bytes()[..width], count + 1);
        true
    }

    /// Removes `value`; false if it was not there. O(n).
    pub fn remove(&mut self, value: i64) -> bool {
        let Ok(index) = self.search(value) else {
            return false;
        };
        let count = self.len();
        self.splice(index, 1, &[], count - 1);
        true
    }

    /// Index of `value`, or where it belongs. The largest comes first: ascending insertion is common.
    fn search(&self, value: i64) -> Result<usize, usize> {
        let values = self.values();
        match self.head().0 {
            2 => search::<2>(values, value),
            4 => search::<4>(values, value),
            _ => search::<8>(values, value),
        }
    }

    /// A value too wide for the others lies outside of their range, so it goes to one of the ends.
    fn widen_and_add(&mut self, width: usize, value: i64) {
        let count = self.len() + 1;
        let mut bytes = Vec::with_capacity(HEADER + width * count);
        bytes.extend_from_slice(&header(width, count));
        let (below, above) = if value < 0 { (Some(value), None) } else { (None, Some(value)) };
        for value in below.into_iter().chain(self.iter()).chain(above) {
            bytes.extend_from_slice(&value.to_le_bytes()[..width]);
        }
        *self = Intset { block: Block::from_bytes(&bytes) };
    }

    /// Replaces `removed` integers at `index` by the bytes of `added`, after which there are `count`.
    fn splice(&mut self, index: usize, removed: usize, added: &[u8], count: usize) {
        let (width, len) = (self.head().0, self.bytes_len());
        let head = header(width, count);
        let block = (len, Side::Left);
        // SAFETY: this is the block's length, the gap is filled, and the header that implies the new length follows at once.
        let (gap, _) =
            unsafe { self.block.open(block, HEADER + index * width, removed * width, added.len(), Side::Left) };
        gap.write_copy_of_slice(added);
        // SAFETY: an intset has at least its header.
        unsafe { self.block.bytes_mut(HEADER) }.copy_from_slice(&head);
    }
}

impl Default for Intset {
    fn default() -> Self {
        Intset::new()
    }
}

impl Drop for Intset {
    fn drop(&mut self) {
        let len = self.bytes_len();
        // SAFETY: this is the block's length, and the handle is gone after this.
        unsafe { self.block.free((len, Side::Left)) };
    }
}

impl Clone for Intset {
    fn clone(&self) -> Self {
        Intset { block: Block::from_bytes(self.as_bytes()) }
    }
}

impl PartialEq for Intset {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Intset {}

impl std::fmt::Debug for Intset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

fn header(width: usize, count: usize) -> [u8; HEADER] {
    let count = u32::try_from(count).expect("sets are converted long before 2^32 integers");
    let mut head = [0; HEADER];
    head[0] = width as u8;
    head[4..].copy_from_slice(&count.to_le_bytes());
    head
}

fn parse_header(head: &[u8; HEADER]) -> (usize, usize) {
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
    (word(0), word(4))
}

fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

#[inline(always)]
fn read(bytes: &[u8]) -> i64 {
    match *bytes {
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => unreachable!("an intset's width is 2, 4 or 8"),
    }
}

fn search<const WIDTH: usize>(values: &[u8], value: i64) -> Result<usize, usize> {
    let (values, _) = values.as_chunks::<WIDTH>();
    match values.last() {
        None => return Err(0),
        Some(last) if read(last) < value => return Err(values.len()),
        Some(_) => {}
    }
    values.binary_search_by(|probe| read(probe).cmp(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn bytes_are_those_of_the_reference() {
        // SADD of these to Redis 8.2.3, then DUMP: the intset inside.
        let cases: [(&[i64], &[u8]); 3] = [
            (&[1, 2, -3], b"\x02\0\0\0\x03\0\0\0\xfd\xff\x01\0\x02\0"),
            (&[1, 70_000, -5], b"\x04\0\0\0\x03\0\0\0\xfb\xff\xff\xff\x01\0\0\0\x70\x11\x01\0"),
            (
                &[1, 1 << 33, -7, 40_000],
                b"\x08\0\0\0\x04\0\0\0\xf9\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0\0\0\0\0\
                  \x40\x9c\0\0\0\0\0\0\0\0\0\0\x02\0\0\0",
            ),
        ];
        for (values, bytes) in cases {
            let mut set = Intset::new();
            assert!(values.iter().all(|&value| set.add(value)));
            assert_eq!(set.as_bytes(), bytes);
            assert_eq!(Intset::from_bytes(bytes).unwrap(), set);
        }
    }

    #[test]
    fn corrupt_bytes_are_refused() {
        let error = |bytes: &[u8]| Intset::from_bytes(bytes).unwrap_err();
        assert_eq!(error(b"\x02\0\0\0\0\0\0"), IntsetError::Length);
        assert_eq!(error(b"\x03\0\0\0\0\0\0\0"), IntsetError::Width);
        assert_eq!(error(b"\0\0\0\0\0\0\0\0"), IntsetError::Width);
        assert_eq!(error(b"\x02\0\0\0\x02\0\0\0\x01\0"), IntsetError::Length);
        assert_eq!(error(b"\x02\0\0\0\x01\0\0\0\x01\0\0"), IntsetError::Length);
        assert_eq!(error(b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0"), IntsetError::Order);
    }

    #[test]
    fn random_reaches_every_integer() {
        let mut set = Intset::new();
        assert_eq!(set.random(5), None);
        (0..4).for_each(|value| assert!(set.add(value)));
        let reached: Vec<_> = (0..4).map(|quarter| set.random((quarter << 62) + 1)).collect();
        assert_eq!(reached, [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(set.random(u64::MAX), Some(3));
    }

    fn value() -> impl Strategy<Value = i64> {
        let edges = [i16::MIN as i64, i16::MAX as i64, i32::MIN as i64, i32::MAX as i64, i64::MIN, i64::MAX];
        prop_oneof![
            8 => -40i64..40,
            1 => any::<i64>(),
            2 => (proptest::sample::select(edges.to_vec()), -1i64..=1).prop_map(|(edge, by)| edge.wrapping_add(by)),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_an_ordered_set(ops in proptest::collection::vec((any::<bool>(), value()), 0..120)) {
            let (mut set, mut model, mut width) = (Intset::new(), BTreeSet::new(), 2);
            for (add, value) in ops {
                if add {
                    width = width_of(value).max(width);
                    prop_assert_eq!(set.add(value), model.insert(value));
                } else {
                    prop_assert_eq!(set.remove(value), model.remove(&value));
                }
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!(set.contains(value), add);
                prop_assert_eq!((set.min(), set.max()), (model.first().copied(), model.last().copied()));
                prop_assert_eq!(set.bytes_len(), HEADER + width * model.len());
                prop_assert_eq!(Intset::from_bytes(set.as_bytes()), Ok(set.clone()));
            }
            prop_assert_eq!(set.get(model.len()), None);
        }
    }
}
