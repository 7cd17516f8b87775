//! Libraries as a serialised value (`FUNCTION DUMP`), the same as Redis 8.2.3 has it.
//!
//! | bytes | what |
//! |---|---|
//! | for each library: 1 | 245 |
//! | | its text: a string as in RDB files ([`kinovar_rdb::wire`]), written without compression |
//! | 2 | version of the RDB format, little endian |
//! | 8 | CRC-64 of all that is before it, little endian |

use kinovar_rdb::wire::{self, CRC64, opcode};

/// Version of the format that is written. Older ones can be read.
const VERSION: u16 = wire::VERSION as u16;
/// Bytes behind the libraries.
const FOOTER_BYTES: usize = 10;

/// The texts of libraries as one value.
pub fn write<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for text in texts {
        out.push(opcode::FUNCTION2);
        wire::push_raw_string(&mut out, text);
    }
    out.extend_from_slice(&VERSION.to_le_bytes());
    let checksum = CRC64.checksum(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
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
    if version > VERSION || CRC64.checksum(&value[..split + 2]).to_le_bytes() != footer[2..] {
        return Err(BROKEN);
    }
    let mut texts = Vec::new();
    let mut reader = wire::Reader::new(body, 0);
    while let Ok(kind) = reader.byte() {
        match kind {
            opcode::FUNCTION2 => {}
            opcode::FUNCTION_PRE_GA => return Err("ERR Pre-GA function format not supported"),
            _ => return Err("ERR given type is not a function"),
        }
        let text = reader.string().map_err(|_| "ERR Failed loading library data")?;
        texts.push(text.into_owned());
    }
    Ok(texts)
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
        value.extend_from_slice(&CRC64.checksum(&value).to_le_bytes());
        value
    }

    #[test]
    fn what_is_wrong_is_refused() {
        const BROKEN: &str = "ERR DUMP payload version or checksum are wrong";
        assert_eq!(read(b""), Err(BROKEN));
        assert_eq!(read(&PLAIN[1..]), Err(BROKEN));
        let mut newer = b"\x0d\x00".to_vec();
        newer.extend_from_slice(&CRC64.checksum(&newer).to_le_bytes());
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
