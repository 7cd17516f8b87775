//! Names and values inside a block, and numbers of variable length.
//!
//! | first byte | what follows | meaning |
//! |---|---|---|
//! | `0xxxxxxx` | the bytes | string of 0 … 127 bytes |
//! | `10xxxxxx` | - | integer 0 … 63 |
//! | `110xxxxx` | 1 byte | integer 64 … 8255: 64 and 13 bits, big endian |
//! | `11100nnn` | n + 1 bytes | integer, two's complement, little endian |
//! | `11101nnn` | n + 1 bytes, the bytes | string with its length, little endian |

use crate::Text;
use kinovar_ds::listpack::{Item, parse_integer};

/// Appends a text. Returns the bytes that the reference's listpack takes for it.
#[inline]
pub(super) fn push(out: &mut Vec<u8>, text: &[u8]) -> usize {
    match parse_integer(text) {
        Some(value) => push_int(out, value),
        None => push_bytes(out, text),
    }
}

#[inline]
fn push_bytes(out: &mut Vec<u8>, text: &[u8]) -> usize {
    match text.len() {
        len @ ..128 => out.push(len as u8),
        len => push_wide(out, 0xe8, (len as u64).to_le_bytes(), 8 - len.leading_zeros() as usize / 8),
    }
    out.extend_from_slice(text);
    Item::Str(text).encoded_size()
}

fn push_int(out: &mut Vec<u8>, value: i64) -> usize {
    match value {
        0..64 => out.push(0x80 | value as u8),
        64..8256 => out.extend_from_slice(&[0xc0 | ((value - 64) >> 8) as u8, (value - 64) as u8]),
        _ => {
            let sign_bits = if value < 0 { value.leading_ones() } else { value.leading_zeros() };
            // One of these bits has to stay: it is the sign.
            push_wide(out, 0xe0, value.to_le_bytes(), 8 - (sign_bits as usize - 1) / 8);
        }
    }
    Item::Int(value).encoded_size()
}

fn push_wide(out: &mut Vec<u8>, head: u8, bytes: [u8; 8], width: usize) {
    out.push(head | (width - 1) as u8);
    out.extend_from_slice(&bytes[..width]);
}

/// A number of `width` bytes, at least one, its high bytes zero.
#[inline]
fn wide(data: &[u8], at: usize, width: usize) -> u64 {
    match data[at..].first_chunk() {
        // Copying a number of bytes that is not known would be a call.
        Some(bytes) => u64::from_le_bytes(*bytes) & (u64::MAX >> (64 - 8 * width)),
        None => data[at..at + width].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)),
    }
}

/// Whether a first byte tells only how many bytes follow, and nothing of what they say.
#[inline]
pub(super) fn is_size(head: u8) -> bool {
    matches!(head, 0..0x80 | 0xe0..0xe8)
}

/// The text at `at`, and where it ends.
#[inline]
pub(super) fn read(data: &[u8], at: usize) -> (Text<'_>, usize) {
    read_after(data[at], data, at + 1)
}

/// The text with this first byte whose others are at `at`, and where it ends.
#[inline]
pub(super) fn read_after(head: u8, data: &[u8], at: usize) -> (Text<'_>, usize) {
    match head {
        0..0x80 => {
            let end = at + usize::from(head);
            (Text::Bytes(&data[at..end]), end)
        }
        0x80..0xc0 => (Text::Int(i64::from(head & 0x3f)), at),
        0xc0..0xe0 => (Text::Int(64 + (i64::from(head & 0x1f) << 8 | i64::from(data[at]))), at + 1),
        0xe0..0xe8 => {
            let width = usize::from(head & 7) + 1;
            let shift = 64 - 8 * width as u32;
            (Text::Int((wide(data, at, width) << shift) as i64 >> shift), at + width)
        }
        _ => {
            let width = usize::from(head & 7) + 1;
            let start = at + width;
            let end = start + wide(data, at, width) as usize;
            (Text::Bytes(&data[start..end]), end)
        }
    }
}

/// Where the text at `at` ends.
#[inline]
pub(super) fn skip(data: &[u8], at: usize) -> usize {
    match data[at] {
        head @ 0..0x80 => at + 1 + usize::from(head),
        0x80..0xc0 => at + 1,
        0xc0..0xe0 => at + 2,
        head @ 0xe0..0xe8 => at + 2 + usize::from(head & 7),
        head => {
            let width = usize::from(head & 7) + 1;
            at + 1 + width + wide(data, at + 1, width) as usize
        }
    }
}

/// Whether the text at `at` is `other`, and where it ends.
#[inline]
pub(super) fn matches(data: &[u8], at: usize, other: &[u8]) -> (bool, usize) {
    match read(data, at) {
        (Text::Bytes(bytes), end) => (bytes == other, end),
        (Text::Int(value), end) => (parse_integer(other) == Some(value), end),
    }
}

/// Appends a number, seven bits a byte, the low ones first; the high bit says that more follow.
#[inline]
pub(super) fn push_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The number at `at`, and where it ends.
#[inline]
pub(super) fn read_number(data: &[u8], mut at: usize) -> (u64, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = data[at];
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return (value, at);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back() {
        let mut texts: Vec<Vec<u8>> = [0usize, 1, 63, 64, 127, 128, 255, 256, 4095, 4096, 65_535, 65_536, 70_000]
            .iter()
            .map(|&len| vec![b'x'; len])
            .collect();
        for edge in [0i64, 63, 64, 8255, 8256, i64::MAX, -1, -128, -129] {
            texts.extend((-2..=2).map(|near| edge.saturating_add(near).to_string().into_bytes()));
        }
        for bits in 0..63 {
            for near in -1..=1 {
                texts.push(((1i64 << bits) + near).to_string().into_bytes());
                texts.push((-(1i64 << bits) + near).to_string().into_bytes());
            }
        }
        texts.push(i64::MIN.to_string().into_bytes());
        texts.extend(["01", "-0", "+1", "9223372036854775808", "1.5"].map(|text| text.as_bytes().to_vec()));
        let mut data = Vec::new();
        for text in &texts {
            let before = data.len();
            push(&mut data, text);
            assert!(data.len() - before <= text.len() + 9);
        }
        let mut at = 0;
        for text in &texts {
            let (found, end) = read(&data, at);
            assert_eq!(found.to_vec(), *text);
            assert_eq!(matches(&data, at, text), (true, end));
            assert!(!matches(&data, at, b"else").0);
            assert_eq!(skip(&data, at), end);
            at = end;
        }
        assert_eq!(at, data.len());
    }

    #[test]
    fn numbers_come_back() {
        let mut data = Vec::new();
        let numbers = (0..64).flat_map(|bits| [1u64 << bits, (1 << bits) - 1]).chain([u64::MAX]);
        numbers.clone().for_each(|number| push_number(&mut data, number));
        let mut at = 0;
        for number in numbers {
            let (found, end) = read_number(&data, at);
            assert_eq!(found, number);
            at = end;
        }
        assert_eq!(at, data.len());
    }
}
