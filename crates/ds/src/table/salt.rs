//! What makes the order of one table tell nothing about the order of another.
//!
//! All tables are given the same hash of the same bytes, and the buckets of a table are in the order of hashes. Were that
//! the same order in all, copying one table into another that grows meanwhile would fill its first buckets, then the
//! next ones, with every newcomer walking past all before it: quadratic, minutes for a million elements. Nor would it take a
//! copy inside the server: a client that reads a set and adds what it read to another one does the same.
//!
//! So each table multiplies hashes by an odd number of its own. Neighbours of one order, which differ in the lower bits, are
//! strangers in every other.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The multiplier that changes nothing.
pub(super) const NEUTRAL: u64 = 1;

static TABLES: AtomicU64 = AtomicU64::new(1);

/// The multiplier of a new table.
pub(super) fn new_salt() -> u64 {
    #[cfg(test)]
    if let Some(salt) = FIXED.get() {
        return salt;
    }
    // The finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    let mut word = TABLES.fetch_add(1, Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (word ^ word >> 31) | 1
}

#[cfg(test)]
thread_local!(
    /// The salt of all tables that a test makes: with the neutral one it can choose homes.
    pub(super) static FIXED: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
);
