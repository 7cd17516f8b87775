//! Counters. Each instance has one writing thread; any thread may read.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter that one thread increments without an atomic read-modify-write.
#[derive(Default, Debug)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`; only the owning thread may call this.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The value.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Starts again from 0.
    pub fn reset(&self) {
        self.0.store(0, Relaxed);
    }
}

/// What one reactor counts about the keyspace.
#[derive(Default, Debug)]
pub struct Stats {
    /// Lookups by reading commands that found their key.
    pub hits: Counter,
    /// Lookups by reading commands that did not.
    pub misses: Counter,
    /// Keys removed because their time had come.
    pub expired_keys: Counter,
    /// Keys removed because memory was short.
    pub evicted_keys: Counter,
    /// Hash fields removed because their time had come.
    pub expired_fields: Counter,
    /// Changes made, as `rdb_changes_since_last_save` counts them.
    pub dirty: Counter,
    /// Values handed to the background to be freed.
    pub lazy_freed: Counter,
}
