//! The time-ordered index of what expires.
//!
//! An exact index, not a sample: whatever is due is found in O(log n) and nothing else is looked at. An item is the pair
//! (time, hash of the key); two keys with the same 64-bit hash and the same millisecond share one item, and the key left
//! out then goes when it is next accessed.

use std::collections::BTreeSet;

/// Hashes of keys, ordered by when they expire.
#[derive(Default, Debug)]
pub struct ExpiryIndex {
    items: BTreeSet<(u64, u64)>,
}

impl ExpiryIndex {
    /// How many are indexed.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds a key that expires at `at_ms`. O(log n).
    pub fn insert(&mut self, at_ms: u64, hash: u64) {
        self.items.insert((at_ms, hash));
    }

    /// Takes a key out again. O(log n).
    pub fn remove(&mut self, at_ms: u64, hash: u64) {
        self.items.remove(&(at_ms, hash));
    }

    /// Moves a key from one time to another, either of which may be none.
    pub fn change(&mut self, hash: u64, from_ms: Option<u64>, to_ms: Option<u64>) {
        if from_ms == to_ms {
            return;
        }
        if let Some(at_ms) = from_ms {
            self.remove(at_ms, hash);
        }
        if let Some(at_ms) = to_ms {
            self.insert(at_ms, hash);
        }
    }

    /// When the first one is due, Unix ms.
    pub fn next_ms(&self) -> Option<u64> {
        self.items.first().map(|&(at_ms, _)| at_ms)
    }

    /// Takes out the first one that is due at `now_ms`: its time and hash.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<(u64, u64)> {
        let &(at_ms, hash) = self.items.first()?;
        if at_ms > now_ms {
            return None;
        }
        self.items.pop_first();
        Some((at_ms, hash))
    }

    /// Mean time left of up to `sample` items, ms; 0 when empty.
    pub fn mean_ttl_ms(&self, now_ms: u64, sample: usize) -> u64 {
        let times: Vec<u64> = self.items.iter().take(sample).map(|&(at_ms, _)| at_ms.saturating_sub(now_ms)).collect();
        if times.is_empty() { 0 } else { times.iter().sum::<u64>() / times.len() as u64 }
    }
}
