//! What values and files are made of: codes, lengths, strings, doubles, checksums.
//!
//! Everything that is written goes to the end of a vector. Everything that is read comes from a [`Reader`], which knows
//! where in the file or payload it is.

use crate::error::{ErrorKind, Result};
use crate::lzf::{self, Compressor};
use kinovar_ds::number::{I64_TEXT_MAX, format_i64, parse_i64};
use std::borrow::Cow;

/// The newest version, that of Redis 8.2.
pub const VERSION: u32 = 12;
/// The oldest version that [`crate::encode`] can write: Redis 5.
pub const VERSION_MIN: u32 = 9;

/// Codes of the types of values.
pub mod kind {
    #![allow(missing_docs, reason = "the names are the types' names; docs/formats/rdb.md says what they hold")]
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET_2: u8 = 5;
    pub const MODULE_PRE_GA: u8 = 6;
    pub const MODULE_2: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
    pub const HASH_METADATA_PRE_GA: u8 = 22;
    pub const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
    pub const HASH_METADATA: u8 = 24;
    pub const HASH_LISTPACK_EX: u8 = 25;
}

/// Codes of what stands between values in a file.
pub mod opcode {
    #![allow(missing_docs, reason = "docs/formats/rdb.md says what follows each")]
    pub const SLOT_INFO: u8 = 244;
    pub const FUNCTION2: u8 = 245;
    pub const FUNCTION_PRE_GA: u8 = 246;
    pub const MODULE_AUX: u8 = 247;
    pub const IDLE: u8 = 248;
    pub const FREQ: u8 = 249;
    pub const AUX: u8 = 250;
    pub const RESIZE_DB: u8 = 251;
    pub const EXPIRE_TIME_MS: u8 = 252;
    pub const EXPIRE_TIME_S: u8 = 253;
    pub const SELECT_DB: u8 = 254;
    pub const EOF: u8 = 255;
}

/// Codes inside the value of a module.
pub mod module_opcode {
    #![allow(missing_docs, reason = "the names are the types' names")]
    pub const EOF: u64 = 0;
    pub const SINT: u64 = 1;
    pub const UINT: u64 = 2;
    pub const FLOAT: u64 = 3;
    pub const DOUBLE: u64 = 4;
    pub const STRING: u64 = 5;
}

/// What stands in front of a vector set, which the reference keeps as the value of a module: the name `vectorset`, six bits for
/// each character, and version 0.
pub const VECTOR_SET: u64 = 0xbde7_2da2_bb1e_b400;

/// Codes of the two kinds of nodes in a list.
pub mod container {
    /// One large element.
    pub const PLAIN: u64 = 1;
    /// A listpack.
    pub const PACKED: u64 = 2;
}

/// Computes the checksum of files and payloads, sixteen bytes at a step.
pub static CRC64: crc::Crc<u64, crc::Table<16>> = crc::Crc::<u64, crc::Table<16>>::new(&crc::CRC_64_REDIS);

/// Longest string that can be the text of an integer of 32 bits.
const INT32_TEXT_MAX: usize = 11;
/// Only longer strings are compressed.
const COMPRESS_MIN: usize = 20;
/// So many bytes less than the string its compressed form must have.
pub(crate) const COMPRESS_GAIN: usize = 4;
/// Two high bits of a first byte: an integer or a compressed string.
const ENCODED: u8 = 0xC0;
const INT8: u8 = 0;
const INT16: u8 = 1;
const INT32: u8 = 2;
const LZF: u8 = 3;
/// First byte of a length of 32 bits.
const LEN_32: u8 = 0x80;
/// First byte of a length of 64 bits.
const LEN_64: u8 = 0x81;

// ---- writing ----

/// Appends a length, or any other number, in one, two, five or nine bytes.
#[inline]
pub fn push_len(out: &mut Vec<u8>, len: u64) {
    match len {
        0..64 => out.push(len as u8),
        64..0x4000 => out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
        _ => match u32::try_from(len) {
            Ok(len) => {
                out.push(LEN_32);
                out.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                out.push(LEN_64);
                out.extend_from_slice(&len.to_be_bytes());
            }
        },
    }
}

/// Appends a string: as an integer if it is the canonical text of one of 32 bits, compressed if there is a compressor and
/// that saves four bytes, or as it is.
#[inline]
pub fn push_string(out: &mut Vec<u8>, bytes: &[u8], compressor: Option<&mut Compressor>) {
    if bytes.len() <= INT32_TEXT_MAX
        && let Some(value) = parse_i64(bytes)
        && push_int32(out, value)
    {
        return;
    }
    if bytes.len() > COMPRESS_MIN
        && let Some(compressor) = compressor
        && push_compressed(out, bytes, compressor)
    {
        return;
    }
    push_raw_string(out, bytes);
}

/// Appends a string as it is.
#[inline]
pub fn push_raw_string(out: &mut Vec<u8>, bytes: &[u8]) {
    push_len(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends the text of an integer.
#[inline]
pub fn push_int_string(out: &mut Vec<u8>, value: i64) {
    if !push_int32(out, value) {
        push_raw_string(out, format_i64(value, &mut [0; I64_TEXT_MAX]));
    }
}

/// Appends an integer of 32 bits; false, and nothing is appended, if it is larger.
#[inline]
fn push_int32(out: &mut Vec<u8>, value: i64) -> bool {
    if let Ok(value) = i8::try_from(value) {
        out.extend_from_slice(&[ENCODED | INT8, value as u8]);
    } else if let Ok(value) = i16::try_from(value) {
        let [low, high] = value.to_le_bytes();
        out.extend_from_slice(&[ENCODED | INT16, low, high]);
    } else if let Ok(value) = i32::try_from(value) {
        out.push(ENCODED | INT32);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        return false;
    }
    true
}

fn push_compressed(out: &mut Vec<u8>, bytes: &[u8], compressor: &mut Compressor) -> bool {
    // Both lengths come first, so room is left for the longest: the bytes are moved down when the lengths are known.
    const LENGTHS_MAX: usize = 1 + 2 * 9;
    let start = out.len();
    out.resize(start + LENGTHS_MAX, 0);
    let Some(size) = compressor.compress(bytes, bytes.len() - COMPRESS_GAIN, out) else {
        out.truncate(start);
        return false;
    };
    let mut head = Vec::with_capacity(LENGTHS_MAX);
    push_lzf_head(&mut head, size, bytes.len());
    out[start..start + head.len()].copy_from_slice(&head);
    out.copy_within(start + LENGTHS_MAX.., start + head.len());
    out.truncate(start + head.len() + size);
    true
}

/// Appends what stands in front of a compressed string: `packed` bytes that stand for `len`.
pub(crate) fn push_lzf_head(out: &mut Vec<u8>, packed: usize, len: usize) {
    out.push(ENCODED | LZF);
    push_len(out, packed as u64);
    push_len(out, len as u64);
}

/// Appends a double, eight bytes, little endian.
#[inline]
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a time in Unix ms, eight bytes, little endian.
#[inline]
pub fn push_ms(out: &mut Vec<u8>, time_ms: u64) {
    out.extend_from_slice(&time_ms.to_le_bytes());
}

// ---- reading ----

/// A length, or the code of how a string is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Len {
    /// A length or another number.
    Plain(u64),
    /// The string that follows is an integer or compressed.
    Encoded(u8),
}

/// Bytes being read, from the front.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Of the end of `rest` in the file or payload.
    end: u64,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, the first of which is at `offset` in the file or payload.
    pub fn new(bytes: &'a [u8], offset: u64) -> Reader<'a> {
        Reader { rest: bytes, end: offset + bytes.len() as u64 }
    }

    /// Where the next byte is in the file or payload.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.end - self.rest.len() as u64
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether all bytes have been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// An error here.
    pub fn corrupt<T>(&self, what: &'static str) -> Result<T> {
        Err(ErrorKind::Corrupt(what).at(self.offset()))
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: u64) -> Result<&'a [u8]> {
        match usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count)) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(ErrorKind::Truncated.at(self.end)),
        }
    }

    /// The next `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(ErrorKind::Truncated.at(self.end)),
        }
    }

    /// The next byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// A length, or how a string is encoded.
    #[inline]
    pub fn len_or_encoding(&mut self) -> Result<Len> {
        let first = self.byte()?;
        let low = first & 0x3F;
        Ok(match first >> 6 {
            0 => Len::Plain(u64::from(low)),
            1 => Len::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            2 if first == LEN_32 => Len::Plain(u64::from(u32::from_be_bytes(self.array()?))),
            2 if first == LEN_64 => Len::Plain(u64::from_be_bytes(self.array()?)),
            2 => return Err(ErrorKind::Corrupt("unknown form of a length").at(self.offset() - 1)),
            _ => Len::Encoded(low),
        })
    }

    /// A length or another number.
    #[inline]
    pub fn number(&mut self) -> Result<u64> {
        let at = self.offset();
        match self.len_or_encoding()? {
            Len::Plain(len) => Ok(len),
            Len::Encoded(_) => Err(ErrorKind::Corrupt("a string where a number has to be").at(at)),
        }
    }

    /// The number of elements that follow, which take `bytes_each` bytes at least. So a number that was made up is found out
    /// before memory is set aside for them.
    pub fn count(&mut self, bytes_each: u64) -> Result<usize> {
        let count = self.number()?;
        match count.checked_mul(bytes_each) {
            Some(bytes) if bytes <= self.rest.len() as u64 => Ok(count as usize),
            _ => Err(ErrorKind::Truncated.at(self.end)),
        }
    }

    /// A string.
    #[inline]
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>> {
        let at = self.offset();
        match self.len_or_encoding()? {
            Len::Plain(len) => Ok(Cow::Borrowed(self.take(len)?)),
            Len::Encoded(LZF) => self.compressed(at).map(Cow::Owned),
            Len::Encoded(width) => {
                let value = self.integer(width, at)?;
                Ok(Cow::Owned(format_i64(value, &mut [0; I64_TEXT_MAX]).to_vec()))
            }
        }
    }

    /// A string, as an integer if it is stored as one.
    #[inline]
    pub fn string_or_int(&mut self) -> Result<Result<Cow<'a, [u8]>, i64>> {
        let at = self.offset();
        match self.len_or_encoding()? {
            Len::Plain(len) => Ok(Ok(Cow::Borrowed(self.take(len)?))),
            Len::Encoded(LZF) => self.compressed(at).map(|bytes| Ok(Cow::Owned(bytes))),
            Len::Encoded(width) => self.integer(width, at).map(Err),
        }
    }

    fn integer(&mut self, width: u8, at: u64) -> Result<i64> {
        match width {
            INT8 => Ok(i64::from(i8::from_le_bytes(self.array()?))),
            INT16 => Ok(i64::from(i16::from_le_bytes(self.array()?))),
            INT32 => Ok(i64::from(i32::from_le_bytes(self.array()?))),
            _ => Err(ErrorKind::Corrupt("unknown encoding of a string").at(at)),
        }
    }

    fn compressed(&mut self, at: u64) -> Result<Vec<u8>> {
        let packed_len = self.number()?;
        let len = self.number()?;
        let packed = self.take(packed_len)?;
        let mut out = Vec::new();
        let whole = usize::try_from(len).ok().and_then(|len| lzf::decompress(packed, len, &mut out));
        whole.map(|()| out).ok_or(ErrorKind::Corrupt("invalid LZF compressed string").at(at))
    }

    /// A double of eight bytes.
    #[inline]
    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A double in the form of old versions: as text, whose length says whether it is infinite or no number at all.
    pub fn f64_text(&mut self) -> Result<f64> {
        let at = self.offset();
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => {
                let text = self.take(u64::from(len))?;
                let value = kinovar_ds::number::parse_f64(text);
                value.ok_or(ErrorKind::Corrupt("a score that is not a number").at(at))
            }
        }
    }

    /// A time in Unix ms.
    #[inline]
    pub fn ms(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

/// Bytes whose end need not be known: what [`crate::skip`] walks over.
pub trait Input {
    /// Where the next byte is in the file or payload.
    fn offset(&self) -> u64;
    /// The next byte.
    fn byte(&mut self) -> Result<u8>;
    /// Passes over so many bytes.
    fn pass(&mut self, count: u64) -> Result<()>;
    /// The next eight bytes.
    fn word(&mut self) -> Result<[u8; 8]>;

    /// A length, or how a string is encoded.
    fn len_or_encoding(&mut self) -> Result<Len> {
        let at = self.offset();
        let first = self.byte()?;
        let low = first & 0x3F;
        Ok(match first >> 6 {
            0 => Len::Plain(u64::from(low)),
            1 => Len::Plain(u64::from(low) << 8 | u64::from(self.byte()?)),
            2 if first == LEN_32 => {
                let mut len = 0;
                for _ in 0..4 {
                    len = len << 8 | u64::from(self.byte()?);
                }
                Len::Plain(len)
            }
            2 if first == LEN_64 => Len::Plain(u64::from_be_bytes(self.word()?)),
            2 => return Err(ErrorKind::Corrupt("unknown form of a length").at(at)),
            _ => Len::Encoded(low),
        })
    }

    /// A length or another number.
    fn number(&mut self) -> Result<u64> {
        let at = self.offset();
        match self.len_or_encoding()? {
            Len::Plain(len) => Ok(len),
            Len::Encoded(_) => Err(ErrorKind::Corrupt("a string where a number has to be").at(at)),
        }
    }

    /// Passes over a string.
    fn pass_string(&mut self) -> Result<()> {
        let at = self.offset();
        match self.len_or_encoding()? {
            Len::Plain(len) => self.pass(len),
            Len::Encoded(LZF) => {
                let packed_len = self.number()?;
                self.number()?;
                self.pass(packed_len)
            }
            Len::Encoded(width @ INT8..=INT32) => self.pass(1 << width),
            Len::Encoded(_) => Err(ErrorKind::Corrupt("unknown encoding of a string").at(at)),
        }
    }
}

impl Input for Reader<'_> {
    fn offset(&self) -> u64 {
        Reader::offset(self)
    }

    #[inline]
    fn byte(&mut self) -> Result<u8> {
        Reader::byte(self)
    }

    #[inline]
    fn pass(&mut self, count: u64) -> Result<()> {
        self.take(count).map(drop)
    }

    fn word(&mut self) -> Result<[u8; 8]> {
        self.array()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lengths_come_back(len in any::<u64>(), shift in 0u32..64) {
            let len = len >> shift;
            let mut out = Vec::new();
            push_len(&mut out, len);
            let mut reader = Reader::new(&out, 0);
            prop_assert_eq!(reader.number().unwrap(), len);
            prop_assert!(reader.is_empty());
            let mut reader = Reader::new(&out, 7);
            prop_assert_eq!(Input::number(&mut reader).unwrap(), len);
            prop_assert_eq!(reader.offset(), 7 + out.len() as u64);
            for cut in 0..out.len() {
                prop_assert!(Reader::new(&out[..cut], 0).number().is_err());
            }
        }

        #[test]
        fn strings_come_back(piece in prop::collection::vec(any::<u8>(), 0..40), times in 1usize..20, compress: bool) {
            let text = piece.repeat(times);
            let mut compressor = Compressor::new();
            let mut out = b"..".to_vec();
            push_string(&mut out, &text, compress.then_some(&mut compressor));
            let mut reader = Reader::new(&out[2..], 2);
            prop_assert_eq!(&reader.string().unwrap()[..], &text[..]);
            prop_assert!(reader.is_empty());
            let mut reader = Reader::new(&out[2..], 2);
            reader.pass_string().unwrap();
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn integers_come_back(value in any::<i64>(), shift in 0u32..64) {
            let value = value >> shift;
            let text = value.to_string();
            let (mut int, mut string) = (Vec::new(), Vec::new());
            push_int_string(&mut int, value);
            push_string(&mut string, text.as_bytes(), None);
            prop_assert_eq!(&int, &string);
            prop_assert_eq!(&Reader::new(&int, 0).string().unwrap()[..], text.as_bytes());
        }
    }

    #[test]
    fn lengths_have_the_shortest_form() {
        for (len, bytes) in [
            (0u64, &b"\x00"[..]),
            (63, b"\x3f"),
            (64, b"\x40\x40"),
            (0x3FFF, b"\x7f\xff"),
            (0x4000, b"\x80\x00\x00\x40\x00"),
            (u64::from(u32::MAX), b"\x80\xff\xff\xff\xff"),
            (1 << 32, b"\x81\x00\x00\x00\x01\x00\x00\x00\x00"),
        ] {
            let mut out = Vec::new();
            push_len(&mut out, len);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn errors_name_their_place() {
        let error = Reader::new(b"\x82", 100).number().unwrap_err();
        assert_eq!(error.to_string(), "unknown form of a length at offset 100");
        let error = Reader::new(b"\xc4", 100).string().unwrap_err();
        assert_eq!(error.to_string(), "unknown encoding of a string at offset 100");
        let error = Reader::new(b"\x05abc", 100).string().unwrap_err();
        assert_eq!(error.to_string(), "unexpected end at offset 104");
        assert!(Reader::new(b"\x80\xff\xff\xff\xff", 0).count(1).is_err());
    }

    #[test]
    fn the_checksum_is_the_reference_s() {
        assert_eq!(CRC64.checksum(b"123456789"), 0xe9c6d914c4b8d9ca);
    }
}
