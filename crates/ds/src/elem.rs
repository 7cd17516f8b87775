//! `Elem`: an element of a set in eight bytes, without an allocation where the bytes fit.
//!
//! ```text
//! low byte (bits 0-2 are the tag)   the other seven bytes
//! …… …000                           an owned Entry<()>: the pointer itself, aligned to eight
//! 0 llll 001                        a string of llll <= 7 bytes: bytes 1..=llll, then zeros
//! …… …010                           a canonical decimal integer in the upper 61 bits, its text being longer than 7 bytes
//! ```
//!
//! Every byte string has exactly one form, so two inline elements are equal iff their words are, and a lookup prepares the
//! word once ([`ElemKey`]). No word is zero. The word is kept as a pointer, so that the provenance of an owned entry survives.

use std::mem::ManuallyDrop;
use std::num::NonZero;
use std::ptr::NonNull;

use crate::entry::{Entry, NewPayload};

const TAG_MASK: u64 = 0b111;
const TAG_POINTER: u64 = 0b000;
const TAG_STRING: u64 = 0b001;
const TAG_INT: u64 = 0b010;
const INLINE_MAX: usize = 7;
/// Integers of this many bits fit beside the tag.
const INT_BITS: u32 = 61;

/// An owned set element; see the module's page.
pub struct Elem(NonNull<u8>);

const _: () = assert!(size_of::<Elem>() == 8 && size_of::<Option<Elem>>() == 8);

// SAFETY: an element owns its entry alone, and an entry of () may be sent.
unsafe impl Send for Elem {}

/// A byte string prepared for looking up: its inline word, if it has one, and its hash.
#[derive(Clone, Copy)]
pub struct ElemKey<'a> {
    bytes: &'a [u8],
    /// Zero if the string needs an allocation.
    word: u64,
    hash: u64,
}

impl<'a> ElemKey<'a> {
    /// Prepares `bytes`. O(length).
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            word: inline_word(bytes),
            hash: crate::hash::hash(bytes),
        }
    }

    /// [`crate::hash::hash`] of the bytes.
    #[inline(always)]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The bytes themselves.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether `elem` holds these bytes. One comparison of words unless both are allocated.
    #[inline(always)]
    pub fn matches(&self, elem: &Elem) -> bool {
        if self.word != 0 {
            return elem.word() == self.word;
        }
        elem.entry().is_some_and(|entry| entry.key_eq(self.bytes))
    }

    /// A new element of these bytes.
    #[inline]
    pub fn to_elem(&self) -> Elem {
        match NonZero::new(self.word as usize) {
            Some(word) => Elem(NonNull::without_provenance(word)),
            None => Elem(Entry::<()>::new(self.bytes, NewPayload::None, None, None).into_raw()),
        }
    }
}

impl Elem {
    /// The element of these bytes; allocates if they are neither short nor an integer. O(length).
    #[inline]
    pub fn new(bytes: &[u8]) -> Self {
        match NonZero::new(inline_word(bytes) as usize) {
            Some(word) => Self(NonNull::without_provenance(word)),
            None => Self(Entry::<()>::new(bytes, NewPayload::None, None, None).into_raw()),
        }
    }

    #[inline(always)]
    fn word(&self) -> u64 {
        self.0.addr().get() as u64
    }

    #[inline(always)]
    fn entry(&self) -> Option<ManuallyDrop<Entry<()>>> {
        // SAFETY: the tag says that `into_raw` made this pointer; the copy is never dropped, and lives no longer than the
        // borrow of `self` at every caller.
        (self.word() & TAG_MASK == TAG_POINTER)
            .then(|| ManuallyDrop::new(unsafe { Entry::from_raw(self.0) }))
    }

    /// Whether the element holds these bytes. For repeated comparison prepare an [`ElemKey`].
    #[inline]
    pub fn eq_bytes(&self, bytes: &[u8]) -> bool {
        match inline_word(bytes) {
            0 => self.entry().is_some_and(|entry| entry.key_eq(bytes)),
            word => self.word() == word,
        }
    }

    /// The element's bytes, written to `buf` unless it owns an allocation. O(1).
    #[inline]
    pub fn bytes<'a>(&'a self, buf: &'a mut [u8; 24]) -> &'a [u8] {
        let word = self.word();
        match word & TAG_MASK {
            TAG_STRING => {
                buf[..8].copy_from_slice(&word.to_le_bytes());
                &buf[1..1 + (word as usize >> 3 & INLINE_MAX)]
            }
            TAG_INT => format_int(unpack_int(word), buf),
            _ => {
                // SAFETY: the entry belongs to `self`, which stays borrowed as long as the slice.
                unsafe {
                    let entry = ManuallyDrop::new(Entry::<()>::from_raw(self.0));
                    let key = entry.key();
                    std::slice::from_raw_parts(key.as_ptr(), key.len())
                }
            }
        }
    }

    /// Calls `read` with the element's bytes.
    #[inline]
    pub fn with_bytes<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        read(self.bytes(&mut [0; 24]))
    }

    /// The number whose canonical decimal form the bytes are, if they are one.
    #[inline]
    pub fn as_int(&self) -> Option<i64> {
        match self.word() & TAG_MASK {
            TAG_INT => Some(unpack_int(self.word())),
            _ => self.with_bytes(parse_canonical),
        }
    }

    /// [`crate::hash::hash`] of the bytes.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.with_bytes(crate::hash::hash)
    }

    /// Bytes that the allocator has set aside beside the element's own eight.
    #[inline]
    pub fn allocated_size(&self) -> usize {
        self.entry().map_or(0, |entry| entry.allocated_size())
    }

    /// Starts loading an owned allocation into the cache.
    #[inline(always)]
    pub fn prefetch(&self) {
        // An inline word is no address, but a prefetch of one does no harm and costs less than a branch.
        crate::entry::prefetch(self.0.as_ptr());
    }
}

impl Drop for Elem {
    #[inline]
    fn drop(&mut self) {
        if let Some(entry) = self.entry() {
            drop(ManuallyDrop::into_inner(entry));
        }
    }
}

impl Clone for Elem {
    fn clone(&self) -> Self {
        self.with_bytes(Self::new)
    }
}

impl std::fmt::Debug for Elem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.with_bytes(|bytes| write!(f, "Elem({})", bytes.escape_ascii()))
    }
}

/// The word of bytes that need no allocation, else zero.
#[inline]
fn inline_word(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if len <= INLINE_MAX {
        let mut word = [0; 8];
        word[1..1 + len].copy_from_slice(bytes);
        return u64::from_le_bytes(word) | (len as u64) << 3 | TAG_STRING;
    }
    match parse_canonical(bytes) {
        Some(value) if fits(value) => (value as u64) << (64 - INT_BITS) | TAG_INT,
        _ => 0,
    }
}

#[inline(always)]
fn fits(value: i64) -> bool {
    let unused = 64 - INT_BITS;
    value << unused >> unused == value
}

#[inline(always)]
fn unpack_int(word: u64) -> i64 {
    word as i64 >> (64 - INT_BITS)
}

/// The integer whose shortest decimal form `bytes` is: no sign but `-`, no leading zero, no `-0`.
#[inline]
fn parse_canonical(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // Nineteen digits cannot overflow the u64 below.
    if digits.is_empty()
        || digits.len() > 19
        || (digits[0] == b'0' && (negative || digits.len() > 1))
    {
        return None;
    }
    let mut magnitude = 0u64;
    for &digit in digits {
        let value = digit.wrapping_sub(b'0');
        if value > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(value);
    }
    if negative {
        0i64.checked_sub_unsigned(magnitude)
    } else {
        i64::try_from(magnitude).ok()
    }
}

/// Writes the decimal form of `value` to the end of `buf` and returns it.
#[inline]
fn format_int(value: i64, buf: &mut [u8; 24]) -> &[u8] {
    let mut magnitude = value.unsigned_abs();
    let mut at = buf.len();
    loop {
        at -= 1;
        buf[at] = b'0' + (magnitude % 10) as u8;
        magnitude /= 10;
        if magnitude == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buf[at] = b'-';
    }
    &buf[at..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Everything that must hold of an element made of `bytes`.
    fn check(bytes: &[u8]) {
        let elem = Elem::new(bytes);
        let key = ElemKey::new(bytes);
        let mut buf = [0; 24];
        assert_eq!(elem.bytes(&mut buf), bytes);
        assert!(elem.eq_bytes(bytes) && key.matches(&elem) && key.matches(&key.to_elem()));
        assert_eq!(elem.hash(), crate::hash::hash(bytes));
        assert_eq!(key.hash(), elem.hash());
        assert_eq!(elem.clone().bytes(&mut buf), bytes);
        let expected = std::str::from_utf8(bytes).ok().and_then(|text| {
            text.parse::<i64>()
                .ok()
                .filter(|value| value.to_string() == text)
        });
        assert_eq!(elem.as_int(), expected, "{}", bytes.escape_ascii());
        let inline = bytes.len() <= 7 || expected.is_some_and(fits);
        assert_eq!(elem.allocated_size() == 0, inline);
        // Any other string, a byte longer, shorter or different, is not equal.
        let mut others = vec![[bytes, b"0"].concat(), [b"0", bytes].concat()];
        if !bytes.is_empty() {
            others.push(bytes[1..].to_vec());
            let mut changed = bytes.to_vec();
            changed[bytes.len() / 2] ^= 1;
            others.push(changed);
        }
        for other in others.iter().filter(|other| *other != bytes) {
            assert!(!elem.eq_bytes(other) && !ElemKey::new(other).matches(&elem));
        }
    }

    #[test]
    fn strings_of_every_short_length() {
        for len in 0..40 {
            for fill in [0u8, b'0', b'9', b'-', b'x', 0xff] {
                check(&vec![fill; len]);
            }
        }
        check(&[7; 254]);
        check(&[7; 255]);
        check(&[7; 70_000]);
    }

    #[test]
    fn integers_around_every_border() {
        let mut values = vec![0, i64::MIN, i64::MAX];
        for bits in 0..63 {
            let power = 1i64 << bits;
            values.extend([power - 1, power, power + 1, -power - 1, -power, -power + 1]);
        }
        for digits in 0..19 {
            let power = 10i64.pow(digits);
            values.extend([power - 1, power, -power + 1, -power]);
        }
        for value in values {
            check(value.to_string().as_bytes());
        }
        for text in [
            "-0",
            "00",
            "+1",
            "007",
            "-",
            "01234567",
            "+12345678",
            "-01234567",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "1234567a",
            "12345678 ",
        ] {
            check(text.as_bytes());
        }
    }

    #[test]
    fn all_strings_of_two_bytes() {
        if cfg!(miri) {
            return;
        }
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                let bytes = [a, b];
                let elem = Elem::new(&bytes);
                assert_eq!(elem.bytes(&mut [0; 24]), bytes);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 256 }, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            check(&bytes);
        }

        #[test]
        fn any_integer(value: i64) {
            check(value.to_string().as_bytes());
        }
    }
}
