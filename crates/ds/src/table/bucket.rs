//! One bucket: a cache line of seven slots, a byte of hash for each, and a count of the elements that had to go further.

use std::mem::MaybeUninit;

/// Slots of a bucket.
pub(super) const SLOTS: usize = 7;
/// Bits 0..7 of a mask stand for the seven slots.
const ALL: u32 = (1 << SLOTS) - 1;
/// Where the overflow count lies in the head.
const OVERFLOW_SHIFT: u32 = 56;
const OVERFLOW_ONE: u64 = 1 << OVERFLOW_SHIFT;

/// ```text
/// byte 0 … 6    7          8 …          56 … 63
///      tags     overflow   slot 0  …    slot 6
/// ```
/// A tag of zero marks an empty slot, so memory of zeros is an empty bucket. `overflow` counts the elements whose way from
/// their home passes this bucket; at 255 it stays for good. (Positions on a little-endian machine: tag i is bits 8i to 8i+7 of the
/// head. It is always read and written whole, since a processor forwards a store of a word to the load of one that follows, but
/// not a byte's.)
#[repr(C, align(64))]
pub(super) struct Bucket<S> {
    head: u64,
    slots: [MaybeUninit<S>; SLOTS],
}

const _: () = assert!(size_of::<Bucket<u64>>() == 64 && align_of::<Bucket<u64>>() == 64);

/// The tag of a hash, from the bits farthest from those that choose the bucket. Never zero.
#[inline(always)]
pub(super) fn tag_of(hash: u64) -> u8 {
    let low = hash as u8;
    low + (low == 0) as u8
}

impl<S> Bucket<S> {
    /// The slots whose tag is `tag`.
    #[inline(always)]
    pub(super) fn matches(&self, tag: u8) -> Mask {
        Mask(equal_bytes(self.head, tag) & ALL)
    }

    /// The empty slots.
    #[inline(always)]
    pub(super) fn empty(&self) -> Mask {
        self.matches(0)
    }

    /// The occupied slots.
    #[inline(always)]
    pub(super) fn occupied(&self) -> Mask {
        Mask(!equal_bytes(self.head, 0) & ALL)
    }

    #[inline(always)]
    fn tag(&self, slot: usize) -> u8 {
        (self.head >> (8 * slot)) as u8
    }

    /// The count of elements that passed.
    #[inline(always)]
    pub(super) fn overflow(&self) -> u8 {
        (self.head >> OVERFLOW_SHIFT) as u8
    }

    /// Whether an element may have gone past this bucket.
    #[inline(always)]
    pub(super) fn overflowed(&self) -> bool {
        self.head >= OVERFLOW_ONE
    }

    /// Whether the count has been reached at which it no longer falls.
    pub(super) fn saturated(&self) -> bool {
        self.overflow() == u8::MAX
    }

    /// Notes that an element passes.
    #[inline(always)]
    pub(super) fn add_overflow(&mut self) {
        if !self.saturated() {
            self.head += OVERFLOW_ONE;
        }
    }

    /// Notes that an element which passed is gone.
    #[inline(always)]
    pub(super) fn remove_overflow(&mut self) {
        debug_assert!(self.overflowed(), "every displaced element is counted");
        // Zero can only be met if an element's hash has changed: a lost element then, but no count of 255.
        if !self.saturated() && self.overflowed() {
            self.head -= OVERFLOW_ONE;
        }
    }

    /// Fills an empty slot.
    #[inline(always)]
    pub(super) fn put(&mut self, slot: usize, tag: u8, value: S) {
        debug_assert!(self.tag(slot) == 0 && tag != 0);
        self.slots[slot].write(value);
        self.head |= u64::from(tag) << (8 * slot);
    }

    /// Empties an occupied slot.
    ///
    /// # Safety
    /// The slot is occupied.
    #[inline(always)]
    pub(super) unsafe fn take(&mut self, slot: usize) -> S {
        debug_assert!(self.tag(slot) != 0);
        self.head &= !(0xff << (8 * slot));
        // SAFETY: an occupied slot holds a value, and its tag is gone, so it is not read again.
        unsafe { self.slots[slot].assume_init_read() }
    }

    /// The value of an occupied slot.
    ///
    /// # Safety
    /// The slot is occupied.
    #[inline(always)]
    pub(super) unsafe fn get(&self, slot: usize) -> &S {
        // SAFETY: the caller's promise; occupied slots are initialised. `slot` is below seven, as it comes from a mask.
        unsafe { self.slots.get_unchecked(slot).assume_init_ref() }
    }

    /// The value of an occupied slot, for change.
    ///
    /// # Safety
    /// The slot is occupied.
    #[inline(always)]
    pub(super) unsafe fn get_mut(&mut self, slot: usize) -> &mut S {
        // SAFETY: as in `get`.
        unsafe { self.slots.get_unchecked_mut(slot).assume_init_mut() }
    }
}

/// A set of slots, iterated from the lowest.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Mask(u32);

impl Mask {
    #[inline(always)]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those numbered `slot` and above.
    #[inline(always)]
    pub(super) fn from(self, slot: usize) -> Mask {
        Mask(self.0 & u32::MAX << slot)
    }

    #[inline(always)]
    pub(super) fn contains(self, slot: usize) -> bool {
        self.0 >> slot & 1 != 0
    }

    #[inline(always)]
    pub(super) fn first(self) -> Option<usize> {
        (self.0 != 0).then(|| self.0.trailing_zeros() as usize)
    }
}

impl Iterator for Mask {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        let slot = self.first()?;
        self.0 &= self.0 - 1;
        Some(slot)
    }
}

/// Bit i of the result: byte i of `head` equals `byte`.
#[inline(always)]
fn equal_bytes(head: u64, byte: u8) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        equal_bytes_sse2(head, byte)
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    {
        equal_bytes_portable(head, byte)
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn equal_bytes_sse2(head: u64, byte: u8) -> u32 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_cvtsi64_si128, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: SSE2 is part of the x86-64 baseline.
    let mask = unsafe {
        let equal = _mm_cmpeq_epi8(_mm_cvtsi64_si128(head as i64), _mm_set1_epi8(byte as i8));
        _mm_movemask_epi8(equal)
    };
    mask as u32 & 0xff
}

/// The same in one register: a byte of `x` is zero iff neither its low seven bits nor its top bit are set; no carry crosses a
/// byte, so the answer is exact.
#[cfg_attr(all(target_arch = "x86_64", not(miri), not(test)), allow(dead_code))]
#[inline(always)]
fn equal_bytes_portable(head: u64, byte: u8) -> u32 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let x = head ^ (LOW * u64::from(byte));
    let zero = !(((x & SEVEN) + SEVEN) | x | SEVEN);
    // The product gathers bit 8i of its operand as bit 56 + i.
    ((zero >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_comparisons_agree_with_the_obvious_one() {
        let mut state = 1u64;
        for round in 0..if cfg!(miri) { 200 } else { 100_000u64 } {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            // Small alphabets make equal and neighbouring bytes frequent.
            let head = match round % 3 {
                0 => state,
                1 => state & 0x0101_0101_0101_0101,
                _ => state & 0x8181_8181_8181_8181,
            };
            let byte = (state >> 32) as u8 & [0xff, 0x01, 0x81][(round % 3) as usize];
            let expected = (0..8).fold(0, |mask, i| mask | u32::from((head >> (8 * i)) as u8 == byte) << i);
            assert_eq!(equal_bytes_portable(head, byte), expected, "{head:x} {byte:x}");
            assert_eq!(equal_bytes(head, byte), expected, "{head:x} {byte:x}");
        }
    }

    #[test]
    fn tags_are_never_zero() {
        assert!((0..1000u64).all(|hash| tag_of(hash) != 0));
        assert_eq!(tag_of(0xff00), 1);
    }
}
