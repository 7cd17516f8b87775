//! A key with its hash and its slot.

use crc::{Crc, Table};

/// Number of hash slots; a cluster distributes these.
pub const SLOTS: u16 = 16384;

static CRC16: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&crc::CRC_16_XMODEM);

/// A key's name with what is computed from it once.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The bytes.
    pub name: &'a [u8],
    /// Where it is in its table.
    pub hash: u64,
    /// Which partition (and, in a cluster, which node) it belongs to.
    pub slot: u16,
}

impl<'a> Key<'a> {
    /// The hash of a name by itself: of a key, a field or a member.
    #[inline]
    pub fn hash_of(name: &[u8]) -> u64 {
        kinovar_ds::hash::hash(name)
    }

    /// Hashes `name`. O(length).
    // Of the size of a function of its own; where it is not one, the checksum becomes one instead.
    #[inline(never)]
    pub fn new(name: &'a [u8]) -> Key<'a> {
        Key { name, hash: kinovar_ds::hash::hash(name), slot: slot(name) }
    }
}

/// The slot of a key: CRC16 (XMODEM) of its hash tag, modulo 16384. Source: the Redis Cluster specification.
#[inline]
pub fn slot(name: &[u8]) -> u16 {
    CRC16.checksum(hash_tag(name)) % SLOTS
}

/// What is hashed: the bytes between the first `{` and the next `}`, if there are any; else the whole name.
#[inline]
fn hash_tag(name: &[u8]) -> &[u8] {
    if has_brace(name) { tag_in_braces(name) } else { name }
}

#[cold]
fn tag_in_braces(name: &[u8]) -> &[u8] {
    let Some(open) = name.iter().position(|&byte| byte == b'{') else { return name };
    let rest = &name[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        Some(len) if len > 0 => &rest[..len],
        _ => name,
    }
}

/// Whether there is a `{`, eight bytes at a step. Keys are hashed for every command, and most have none.
#[inline]
fn has_brace(name: &[u8]) -> bool {
    const LOW: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    const BRACES: u64 = u64::from_ne_bytes([b'{'; 8]);
    let (words, rest) = name.as_chunks::<8>();
    let mut found = 0;
    for word in words {
        // A byte that is zero borrows from its highest bit. False alarms are possible only beside a true one.
        let different = u64::from_ne_bytes(*word) ^ BRACES;
        found |= different.wrapping_sub(LOW) & !different & HIGH;
    }
    found != 0 || rest.contains(&b'{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(CRC16.checksum(b"123456789"), 0x31C3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"bar"), 5061);
        assert_eq!(slot(b"{foo}bar"), 12182);
        assert_eq!(slot(b"x{foo}{bar}"), 12182);
        assert_eq!(slot(b"foo{}{bar}"), slot(b"foo{}{bar}"));
        assert_ne!(slot(b"{}foo"), slot(b"{}bar"));
    }

    #[test]
    fn braces_are_found_wherever_they_are() {
        for len in 0..40 {
            let mut name = vec![b'|'; len];
            assert!(!has_brace(&name));
            for at in 0..len {
                name[at] = b'{';
                assert!(has_brace(&name));
                name[at] = b'z';
                assert!(!has_brace(&name));
            }
        }
    }
}
