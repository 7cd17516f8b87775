//! Ziplists: what small collections were before Redis 7, read only.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | total length in bytes, little endian |
//! | 4 | offset of the last entry |
//! | 2 | number of entries; 65535 = count them |
//! | … | entries |
//! | 1 | `0xFF` |
//!
//! An entry is the size of the entry before it (a byte below 254, or 254 and four bytes, little endian), its encoding, and its bytes:
//!
//! | first byte | meaning |
//! |---|---|
//! | `00llllll` | string of up to 63 bytes |
//! | `01llllll` and a byte | string, length of 14 bits, big endian |
//! | `80` and four bytes | string, length of 32 bits, big endian |
//! | `C0`, `D0`, `E0` | integer of two, four, eight bytes, little endian |
//! | `F0`, `FE` | integer of three bytes, of one byte |
//! | `F1` … `FD` | integer 0 … 12 |

use kinovar_ds::listpack::{Item, Listpack, Writer};

const HEADER: usize = 10;
const END: u8 = 0xFF;
/// First byte of a size of five bytes.
const WIDE: u8 = 0xFE;

/// Shows the elements of a ziplist, which is checked on the way. `None` if it is none.
pub(crate) fn read<'a>(bytes: &'a [u8], mut visit: impl FnMut(Item<'a>)) -> Option<()> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if word(0) as usize != bytes.len() {
        return None;
    }
    let mut rest = rest;
    let (mut before, mut count) = (0usize, 0usize);
    let mut last_at = HEADER;
    while *rest.first()? != END {
        let at = bytes.len() - rest.len();
        let (size, after) = size_before(rest)?;
        if size != before {
            return None;
        }
        let (item, after) = element(after)?;
        visit(item);
        before = rest.len() - after.len();
        last_at = at;
        count += 1;
        rest = after;
    }
    let stored_count = u16::from_le_bytes([header[8], header[9]]);
    let whole = rest.len() == 1
        && word(4) as usize == last_at
        && (stored_count == u16::MAX || usize::from(stored_count) == count);
    whole.then_some(())
}

/// The same elements as a listpack.
pub(crate) fn to_listpack(bytes: &[u8]) -> Option<Listpack> {
    let mut packed = Vec::with_capacity(bytes.len());
    let mut writer = Writer::new(&mut packed);
    read(bytes, |item| writer.push(item))?;
    writer.finish();
    Listpack::from_bytes(&packed).ok()
}

fn size_before(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [WIDE, rest @ ..] => {
            let (size, rest) = rest.split_first_chunk()?;
            Some((u32::from_le_bytes(*size) as usize, rest))
        }
        [END, ..] | [] => None,
        [size, rest @ ..] => Some((usize::from(*size), rest)),
    }
}

fn element(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (len, rest) = match first >> 6 {
        0 => (usize::from(first), rest),
        1 => {
            let (&low, rest) = rest.split_first()?;
            (usize::from(first & 0x3F) << 8 | usize::from(low), rest)
        }
        2 if first == 0x80 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u32::from_be_bytes(*len) as usize, rest)
        }
        2 => return None,
        _ => return integer(first, rest),
    };
    let (text, rest) = rest.split_at_checked(len)?;
    Some((Item::Str(text), rest))
}

fn integer(first: u8, bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let width = match first {
        0xC0 => 2,
        0xD0 => 4,
        0xE0 => 8,
        0xF0 => 3,
        0xFE => 1,
        0xF1..=0xFD => return Some((Item::Int(i64::from(first & 0x0F) - 1), bytes)),
        _ => return None,
    };
    let (digits, rest) = bytes.split_at_checked(width)?;
    let mut wide = [0; 8];
    wide[8 - width..].copy_from_slice(digits);
    Some((Item::Int(i64::from_le_bytes(wide) >> (64 - 8 * width)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ziplist of these entries, each without the size of the one before.
    pub(crate) fn ziplist(entries: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        let (mut before, mut last_at) = (0usize, HEADER);
        for entry in entries {
            last_at = bytes.len();
            match u8::try_from(before) {
                Ok(size) if size < WIDE => bytes.push(size),
                _ => {
                    bytes.push(WIDE);
                    bytes.extend_from_slice(&(before as u32).to_le_bytes());
                }
            }
            bytes.extend_from_slice(entry);
            before = bytes.len() - last_at;
        }
        bytes.push(END);
        let total = bytes.len() as u32;
        bytes[..4].copy_from_slice(&total.to_le_bytes());
        bytes[4..8].copy_from_slice(&(last_at as u32).to_le_bytes());
        bytes[8..10].copy_from_slice(&(entries.len() as u16).to_le_bytes());
        bytes
    }

    fn texts(bytes: &[u8]) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        read(bytes, |item| texts.push(String::from_utf8(item.to_vec()).unwrap()))?;
        Some(texts)
    }

    #[test]
    fn every_encoding_is_read() {
        let long = [&[0x41, 0x2C][..], &[b'x'; 300]].concat();
        let longer = [&[0x80, 0, 0, 0x40, 0][..], &[b'y'; 0x4000]].concat();
        let bytes = ziplist(&[
            b"\x02hi",
            &long,
            &longer,
            b"\xC0\xFE\xFF",
            b"\xD0\x00\x00\x00\x80",
            b"\xE0\x00\x00\x00\x00\x00\x00\x00\x80",
            b"\xF0\x00\x00\x80",
            b"\xFE\x9C",
            b"\xF1",
            b"\xFD",
        ]);
        let texts = texts(&bytes).unwrap();
        assert_eq!(texts[0], "hi");
        assert_eq!((texts[1].len(), texts[2].len()), (300, 0x4000));
        assert_eq!(texts[3..], ["-2", "-2147483648", "-9223372036854775808", "-8388608", "-100", "0", "12"]);
        assert_eq!(to_listpack(&bytes).unwrap().len(), 10);
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut], |_| ()).is_none());
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let good = ziplist(&[b"\x02hi", b"\xF1", b"\x01a"]);
        assert!(read(&good, |_| ()).is_some());
        // Total, offset of the last, count, size of the one before.
        for at in [0, 4, 8, 10, 14, 16] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(read(&bad, |_| ()).is_none(), "{at}");
        }
        for entry in [&b"\x81\x00\x00\x00\x00"[..], b"\xFF", b"\xC1\x00\x00", b"\x3F", b"\x80\xFF\xFF\xFF\xFF"] {
            assert!(read(&ziplist(&[entry]), |_| ()).is_none(), "{entry:?}");
        }
    }
}
