//! Libraries as a serialised value (`FUNCTION DUMP`), the same as Redis 8.2.3 has it.
//!
//! | bytes | what |
//! |---|---|
//! | for each library: 1 | 245 |
//! | | its text: a string as in RDB files |
//! | 2 | version of the RDB format, little endian |
//! | 8 | CRC-64 of all that is before it, little endian |
//!
//! A string is its length and its bytes. The length is in the low six bits of the first byte (with 00 on top), or in those and the
//! next byte (01), or behind the byte 0x80 in four bytes, or behind 0x81 in eight, big endian. With 11 on top, the string is an
//! integer of one, two or four bytes, little endian (0, 1, 2), or compressed (3): length of the compressed bytes, length of the
//! string, the compressed bytes. Written strings are not compressed.

use kinovar_command::number;

/// A library.
const FUNCTION: u8 = 245;
/// A library of versions before the first release.
const FUNCTION_BEFORE_RELEASE: u8 = 246;
/// Version of the format that is written. Older ones can be read.
const VERSION: u16 = 12;
/// Bytes behind the libraries.
const FOOTER_BYTES: usize = 10;
/// Longest text of a library, as in a request.
const TEXT_BYTES_MAX: usize = 512 << 20;

const CRC: crc::Crc<u64> = crc::Crc::<u64>::new(&crc::CRC_64_REDIS);

/// The texts of libraries as one value.
pub fn write<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for text in texts {
        out.push(FUNCTION);
        push_len(&mut out, text.len());
        out.extend_from_slice(text);
    }
    out.extend_from_slice(&VERSION.to_le_bytes());
    let checksum = CRC.checksum(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

fn push_len(out: &mut Vec<u8>, len: usize) {
    match len {
        0..64 => out.push(len as u8),
        64..0x4000 => out.extend_from_slice(&[0x40 | (len >> 8) as u8, len as u8]),
        _ => match u32::try_from(len) {
            Ok(len) => {
                out.push(0x80);
                out.extend_from_slice(&len.to_be_bytes());
            }
            Err(_) => {
                out.push(0x81);
                out.extend_from_slice(&(len as u64).to_be_bytes());
            }
        },
    }
}

/// The texts of the libraries in a value.
///
/// # Errors
/// A text for the client.
pub fn read(value: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    const BROKEN: &str = "ERR DUMP payload version or checksum are wrong";
    let split = value.len().checked_sub(FOOTER_BYTES).ok_or(BROKEN)?;
    let (body, footer) = value.split_at(split);
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    if version > VERSION || CRC.checksum(&value[..split + 2]).to_le_bytes() != footer[2..] {
        return Err(BROKEN);
    }
    let mut texts = Vec::new();
    let mut rest = body;
    while let Some((&kind, after)) = rest.split_first() {
        match kind {
            FUNCTION => {}
            FUNCTION_BEFORE_RELEASE => return Err("ERR Pre-GA function format not supported"),
            _ => return Err("ERR given type is not a function"),
        }
        let (text, after) = string(after).ok_or("ERR Failed loading library data")?;
        texts.push(text);
        rest = after;
    }
    Ok(texts)
}

/// What a length byte stands for.
enum Len {
    Bytes(usize),
    /// A string that is encoded in some way.
    Encoded(u8),
}

fn len(bytes: &[u8]) -> Option<(Len, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let low = usize::from(first & 0x3F);
    Some(match first >> 6 {
        0 => (Len::Bytes(low), rest),
        1 => {
            let (&second, rest) = rest.split_first()?;
            (Len::Bytes(low << 8 | usize::from(second)), rest)
        }
        2 => {
            let width = match first {
                0x80 => 4,
                0x81 => 8,
                _ => return None,
            };
            let (digits, rest) = rest.split_at_checked(width)?;
            let value = digits.iter().fold(0u64, |value, &byte| value << 8 | u64::from(byte));
            (Len::Bytes(usize::try_from(value).ok()?), rest)
        }
        _ => (Len::Encoded(first & 0x3F), rest),
    })
}

fn plain_len(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match len(bytes)? {
        (Len::Bytes(len), rest) => Some((len, rest)),
        (Len::Encoded(_), _) => None,
    }
}

fn string(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    match len(bytes)? {
        (Len::Bytes(len), rest) => {
            let (text, rest) = rest.split_at_checked(len)?;
            Some((text.to_vec(), rest))
        }
        (Len::Encoded(kind @ 0..=2), rest) => {
            let (digits, rest) = rest.split_at_checked(1 << kind)?;
            let value = match *digits {
                [a] => i64::from(a as i8),
                [a, b] => i64::from(i16::from_le_bytes([a, b])),
                [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
                _ => return None,
            };
            let mut text = Vec::new();
            number::push_i64(&mut text, value);
            Some((text, rest))
        }
        (Len::Encoded(3), rest) => {
            let (packed_len, rest) = plain_len(rest)?;
            let (text_len, rest) = plain_len(rest)?;
            let (packed, rest) = rest.split_at_checked(packed_len)?;
            Some((decompress(packed, text_len)?, rest))
        }
        _ => None,
    }
}

/// Undoes LZF: a byte below 32 is followed by one more than so many bytes as they are; any other refers to bytes before, its upper
/// three bits being their number less two (seven means that another byte is to be added) and the others, with one more byte, how
/// far back they begin, less one.
fn decompress(mut packed: &[u8], len: usize) -> Option<Vec<u8>> {
    // No byte stands for more than this many, so nothing is allocated for a length that is merely claimed.
    const EXPANSION_MAX: usize = 264;
    if len > TEXT_BYTES_MAX || len > packed.len().saturating_mul(EXPANSION_MAX) {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    while let Some((&control, rest)) = packed.split_first() {
        packed = rest;
        if control < 32 {
            let (literal, rest) = packed.split_at_checked(usize::from(control) + 1)?;
            out.extend_from_slice(literal);
            packed = rest;
        } else {
            let mut count = usize::from(control >> 5) + 2;
            if count == 9 {
                let (&more, rest) = packed.split_first()?;
                count += usize::from(more);
                packed = rest;
            }
            let (&low, rest) = packed.split_first()?;
            packed = rest;
            let back = (usize::from(control & 31) << 8 | usize::from(low)) + 1;
            let start = out.len().checked_sub(back)?;
            for at in start..start + count {
                out.push(out[at]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Redis 8.2.3: an empty one, one as it is, one that is compressed.
    const EMPTY: &[u8] = b"\x0c\x00\x96\xedh\x80\xf5U<\x93";
    const PLAIN: &[u8] =
        b"\xf5@C#!lua name=l1\nredis.register_function('a1',function() return 1 end)\x0c\x00\x9a-GK\xaet\xaf\xd4";
    const COMPRESSED: &[u8] = b"\xf5\xc3@\xabAT\x1f#!lua name=lib1\nredis.register_f\x0cunction('f1',\xe0\x00\r\nk,a) \
        return \x06@1\x0ccall('set','x \x03\x061') end@%@\x1e\xe0\x08P\x00{\xc0K\x00_`{\x04'f2',@C\x04back=\xc0\x1b\xe0\
        \x10g\x00g\xa0g`c\x14,flags={'no-writes'}}\xa0\x96\xe0\x19w\x003\xe0#w\xe0\x08\xdf\xe0\n{\x01}}\x0c\x00\xfdP\xa9R\
        \x80=\x8bE";

    #[test]
    fn what_the_reference_writes_is_read() {
        assert_eq!(read(EMPTY), Ok(vec![]));
        let text = b"#!lua name=l1\nredis.register_function('a1',function() return 1 end)";
        assert_eq!(read(PLAIN), Ok(vec![text.to_vec()]));
        assert_eq!(write([&text[..]].into_iter()), PLAIN);
        assert_eq!(write(std::iter::empty()), EMPTY);
        let texts = read(COMPRESSED).unwrap();
        assert_eq!(texts[0].len(), 340);
        assert!(texts[0].ends_with(b"return redis.call('set','x','1') end,flags={'no-writes'}}"));
    }

    #[test]
    fn lengths_of_all_widths_come_back() {
        for len in [0, 1, 63, 64, 0x3FFF, 0x4000, 100_000] {
            let text = vec![b'x'; len];
            assert_eq!(read(&write([&text[..], b"y"].into_iter())), Ok(vec![text, b"y".to_vec()]));
        }
    }

    fn sealed(body: &[u8]) -> Vec<u8> {
        let mut value = body.to_vec();
        value.extend_from_slice(&VERSION.to_le_bytes());
        value.extend_from_slice(&CRC.checksum(&value).to_le_bytes());
        value
    }

    #[test]
    fn what_is_wrong_is_refused() {
        const BROKEN: &str = "ERR DUMP payload version or checksum are wrong";
        assert_eq!(read(b""), Err(BROKEN));
        assert_eq!(read(&PLAIN[1..]), Err(BROKEN));
        let mut newer = b"\x0d\x00".to_vec();
        newer.extend_from_slice(&CRC.checksum(&newer).to_le_bytes());
        assert_eq!(read(&newer), Err(BROKEN));
        assert_eq!(read(&sealed(b"\x01abc")), Err("ERR given type is not a function"));
        assert_eq!(read(&sealed(b"\xf6\x01a")), Err("ERR Pre-GA function format not supported"));
        for body in
            [&b"\xf5"[..], b"\xf5\x05abc", b"\xf5\x81\xff\xff\xff\xff\xff\xff\xff\xff", b"\xf5\xc4", b"\xf5\x82"]
        {
            assert_eq!(read(&sealed(body)), Err("ERR Failed loading library data"), "{body:?}");
        }
        // Compressed: cut short, longer than it says, shorter, referring to before the start, claiming gigabytes.
        for packed in [
            &b"\x02\x01\x00"[..],
            b"\x02\x01\x00a",
            b"\x02\x05\x00a",
            b"\x02\x03\x20\x00",
            b"\x01\x80\x7f\xff\xff\xff\x00",
        ] {
            let body = [b"\xf5\xc3", packed].concat();
            assert!(read(&sealed(&body)).is_err() || read(&sealed(&body)) == Ok(vec![b"a".to_vec()]), "{packed:?}");
        }
        assert_eq!(read(&sealed(b"\xf5\xc0\x05")), Ok(vec![b"5".to_vec()]));
    }
}
