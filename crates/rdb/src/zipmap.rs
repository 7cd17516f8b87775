//! Zipmaps: what small hashes were before Redis 2.6, read only.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | number of fields; 254 and more = count them |
//! | … | name and value of each |
//! | 1 | `0xFF` |
//!
//! A name is its length and its bytes. A value is its length, the number of unused bytes behind it in one byte, its bytes, the
//! unused bytes. A length is a byte below 254, or 254 and four bytes, little endian.

const END: u8 = 0xFF;
const WIDE: u8 = 0xFE;

/// Shows names and values of a zipmap, which is checked on the way. `None` if it is none.
pub(crate) fn read<'a>(bytes: &'a [u8], mut visit: impl FnMut(&'a [u8], &'a [u8])) -> Option<()> {
    let (&stored_count, mut rest) = bytes.split_first()?;
    let mut count = 0usize;
    while *rest.first()? != END {
        let (name_len, after) = length(rest)?;
        let (name, after) = after.split_at_checked(name_len)?;
        let (value_len, after) = length(after)?;
        let (&unused, after) = after.split_first()?;
        let (value, after) = after.split_at_checked(value_len)?;
        rest = after.get(usize::from(unused)..)?;
        visit(name, value);
        count += 1;
    }
    (rest.len() == 1 && (stored_count >= WIDE || usize::from(stored_count) == count)).then_some(())
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [WIDE, rest @ ..] => {
            let (len, rest) = rest.split_first_chunk()?;
            Some((u32::from_le_bytes(*len) as usize, rest))
        }
        [END, ..] | [] => None,
        [len, rest @ ..] => Some((usize::from(*len), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipmaps_are_read_or_refused() {
        let good = b"\x02\x03foo\x03\x02barxx\x05hello\xFE\x05\x00\x00\x00\x00world\xFF";
        let mut pairs = Vec::new();
        read(good, |name, value| pairs.push((name, value))).unwrap();
        assert_eq!(pairs, [(&b"foo"[..], &b"bar"[..]), (b"hello", b"world")]);
        for cut in 0..good.len() {
            assert!(read(&good[..cut], |_, _| ()).is_none());
        }
        assert!(read(&[&[3], &good[1..]].concat(), |_, _| ()).is_none());
        assert!(read(&[&[254], &good[1..]].concat(), |_, _| ()).is_some());
        assert!(read(&[&good[..], b"x"].concat(), |_, _| ()).is_none());
    }
}
