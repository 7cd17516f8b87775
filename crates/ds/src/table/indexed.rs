//! An element that is kept elsewhere, found by the hash of its name.

use super::Slot;

/// Stands in a table for an element with an index in some other collection, which holds its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Indexed {
    /// What is left of the name's hash.
    hash: u32,
    index: u32,
}

impl Indexed {
    /// For the element at `index`, whose name hashes to `hash`.
    pub fn new(hash: u64, index: u32) -> Indexed {
        Indexed { hash: (hash >> 32) as u32, index }
    }

    /// Where the element is.
    #[inline]
    pub fn index(self) -> u32 {
        self.index
    }

    /// The hash to look the name up by, which is not that of the name itself.
    #[inline]
    pub fn spread(hash: u64) -> u64 {
        Indexed::new(hash, 0).hash()
    }
}

// SAFETY: eight bytes; the hash is a function of a field that nothing changes.
unsafe impl Slot for Indexed {
    #[inline(always)]
    fn hash(&self) -> u64 {
        // Odd factors, so that different halves stay different, and bits of the upper half on their way down.
        let mixed = u64::from(self.hash).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xF39C_C060_5CED_C835);
        mixed ^ mixed >> 29
    }
}
