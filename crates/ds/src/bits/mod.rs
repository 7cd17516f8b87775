//! Long strings of bits: counting, searching and combining them.
//!
//! Bit 0 of a string is the most significant bit of its first byte.

mod combine;
#[cfg(test)]
mod tests;

use crate::wide::vectorised;

pub use combine::{Operation, combine};

vectorised! {
    /// How many bits are set. O(length).
    pub fn count(bytes: &[u8]) -> u64 = count_body;
}

/// Bytes that are searched in one step.
const CHUNK: usize = 256;

#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().expect("eight bytes"))
}

#[inline(always)]
fn count_body(bytes: &[u8]) -> u64 {
    // Word after word: the compiler makes better vectors of this than of larger chunks.
    let (words, rest) = bytes.as_chunks::<8>();
    let whole = words.iter().map(|&bytes| u64::from(u64::from_ne_bytes(bytes).count_ones())).sum::<u64>();
    whole + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// Where the first byte is that is not `skipped`. Memory is the limit already with vectors that all machines have.
fn first_other(bytes: &[u8], skipped: u8) -> Option<usize> {
    let pattern = u64::from_ne_bytes([skipped; 8]);
    let (chunks, _) = bytes.as_chunks::<CHUNK>();
    let is_other = |chunk: &[u8; CHUNK]| {
        let differences = chunk.chunks_exact(8).fold(0, |found, bytes| found | (word(bytes) ^ pattern));
        differences != 0
    };
    let start = CHUNK * chunks.iter().position(is_other).unwrap_or(chunks.len());
    bytes[start..].iter().position(|&byte| byte != skipped).map(|at| start + at)
}

/// Where the first bit is that is set, or not set. O(length).
pub fn position(bytes: &[u8], is_set: bool) -> Option<u64> {
    let skipped = if is_set { 0 } else { !0 };
    let at = first_other(bytes, skipped)?;
    Some(at as u64 * 8 + u64::from((bytes[at] ^ skipped).leading_zeros()))
}
