//! Ids of entries and how they are written.

use kinovar_ds::number::{I64_TEXT_MAX, format_i64, parse_i64};
use std::fmt;

/// The id of an entry: a time in Unix ms and a number within it. Ordered by time, then number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StreamId {
    /// Unix ms.
    pub ms: u64,
    /// Number among the entries of this ms.
    pub seq: u64,
}

/// Longest text of an id.
pub const STREAM_ID_TEXT_MAX: usize = 20 + 1 + 20;

/// Longer texts are no ids, whatever is in them.
const PARSED_MAX: usize = 127;

/// The id that a new entry asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewId {
    /// `*`: the clock's, or the one after the last id where the clock is behind it.
    Auto,
    /// `ms-*`: the next free number of that ms.
    AutoSeq(u64),
    /// `ms-seq`; `ms` alone stands for `ms-0`.
    Exact(StreamId),
}

impl NewId {
    /// As `XADD` takes it; `-` and `+` are no ids here.
    pub fn parse(text: &[u8]) -> Option<NewId> {
        if until_nul(text) == b"*" {
            return Some(NewId::Auto);
        }
        if is_edge(text) {
            return None;
        }
        let (ms, seq) = split(text)?;
        match seq {
            Some(b"*") => Some(NewId::AutoSeq(number(ms)?)),
            Some(seq) => Some(NewId::Exact(StreamId::new(number(ms)?, number(seq)?))),
            None => Some(NewId::Exact(StreamId::new(number(ms)?, 0))),
        }
    }
}

impl StreamId {
    /// `0-0`: before every entry, since none can have it.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The last possible id.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// The id `ms-seq`.
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// Reads `ms-seq`, `ms` (with `missing_seq` as its number), `-` (lowest) or `+` (highest).
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        match until_nul(text) {
            b"-" if text.len() <= PARSED_MAX => Some(StreamId::MIN),
            b"+" if text.len() <= PARSED_MAX => Some(StreamId::MAX),
            _ => StreamId::parse_strict(text, missing_seq),
        }
    }

    /// Like [`StreamId::parse`] without `-` and `+`.
    pub fn parse_strict(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        if is_edge(text) {
            return None;
        }
        let (ms, seq) = split(text)?;
        Some(StreamId { ms: number(ms)?, seq: seq.map_or(Some(missing_seq), number)? })
    }

    /// Reads one end of a range: an id as in [`StreamId::parse`], or `(` and one as in [`StreamId::parse_strict`]. Returns
    /// whether the `(` was there, which leaves the id itself out of the range.
    pub fn parse_bound(text: &[u8], missing_seq: u64) -> Option<(StreamId, bool)> {
        match text {
            [b'(', rest @ ..] if !rest.is_empty() => Some((StreamId::parse_strict(rest, missing_seq)?, true)),
            _ => Some((StreamId::parse(text, missing_seq)?, false)),
        }
    }

    /// The next id; none after the last.
    pub const fn next(self) -> Option<StreamId> {
        match (self.seq.checked_add(1), self.ms.checked_add(1)) {
            (Some(seq), _) => Some(StreamId { ms: self.ms, seq }),
            (None, Some(ms)) => Some(StreamId { ms, seq: 0 }),
            (None, None) => None,
        }
    }

    /// The id before it; none before `0-0`.
    pub const fn prev(self) -> Option<StreamId> {
        match (self.seq.checked_sub(1), self.ms.checked_sub(1)) {
            (Some(seq), _) => Some(StreamId { ms: self.ms, seq }),
            (None, Some(ms)) => Some(StreamId { ms, seq: u64::MAX }),
            (None, None) => None,
        }
    }

    /// Writes it as `ms-seq`.
    #[inline]
    pub fn text(self, buf: &mut [u8; STREAM_ID_TEXT_MAX]) -> &[u8] {
        let ms = write_u64(self.ms, buf, 0);
        buf[ms] = b'-';
        let end = write_u64(self.seq, buf, ms + 1);
        &buf[..end]
    }

    /// Its 16 bytes, big endian: ordered like the id itself.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The reverse of [`StreamId::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> StreamId {
        let both = u128::from_be_bytes(bytes);
        StreamId { ms: (both >> 64) as u64, seq: both as u64 }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// Writes a number from `at` on; where it ends.
fn write_u64(value: u64, buf: &mut [u8; STREAM_ID_TEXT_MAX], at: usize) -> usize {
    let mut digits = [0; I64_TEXT_MAX];
    match i64::try_from(value) {
        Ok(value) => {
            let text = format_i64(value, &mut digits);
            buf[at..at + text.len()].copy_from_slice(text);
            at + text.len()
        }
        Err(_) => {
            // One digit more than an i64 has room for.
            let last = write_u64(value / 10, buf, at);
            buf[last] = b'0' + (value % 10) as u8;
            last + 1
        }
    }
}

/// The same as the reference, which reads ids as texts of C: what follows a NUL does not count.
fn until_nul(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|&byte| byte == 0);
    &text[..end.unwrap_or(text.len())]
}

fn is_edge(text: &[u8]) -> bool {
    matches!(until_nul(text), b"-" | b"+")
}

/// The parts before and after the first dash.
fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > PARSED_MAX {
        return None;
    }
    let text = until_nul(text);
    match text.iter().position(|&byte| byte == b'-') {
        Some(dash) => Some((&text[..dash], Some(&text[dash + 1..]))),
        None => Some((text, None)),
    }
}

/// One half of an id. The reference falls back to C's `strtoull` for what is no canonical integer, which takes blanks and
/// a sign before the number, and zeros.
fn number(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for &digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}
