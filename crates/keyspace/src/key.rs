//! A key with its hash and its slot.

use crc::{Crc, Table};

/// Number of hash slots; a cluster distributes these.
pub const SLOTS: u16 = 16384;

const CRC16: Crc<u16, Table<16>> = Crc::<u16, Table<16>>::new(&crc::CRC_16_XMODEM);

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
    /// Hashes `name`. O(length).
    #[inline]
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
    let Some(open) = name.iter().position(|&byte| byte == b'{') else { return name };
    let rest = &name[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        Some(len) if len > 0 => &rest[..len],
        _ => name,
    }
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
}
