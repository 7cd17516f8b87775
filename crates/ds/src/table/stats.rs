//! Figures on the state of a table, for `DEBUG HTSTATS` and tests.

use super::bucket::SLOTS;
use super::{Slot, Table};

/// Distances from home counted apart; the last counts all beyond as well.
pub const DISTANCES: usize = 8;

/// The state of a table; see [`Table::stats`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Elements.
    pub len: usize,
    /// Buckets of the array in use; of the new one during a migration.
    pub buckets: usize,
    /// Buckets of the array that is being left; zero without a migration.
    pub old_buckets: usize,
    /// Slots of both arrays.
    pub slots: usize,
    /// Bytes of both arrays.
    pub memory_bytes: usize,
    /// Buckets without an element.
    pub empty_buckets: usize,
    /// Buckets that elements went past.
    pub overflowed_buckets: usize,
    /// Buckets whose count of passers is stuck at its maximum.
    pub saturated_buckets: usize,
    /// Elements by distance from their home, in buckets.
    pub distances: [usize; DISTANCES],
    /// The greatest distance.
    pub max_distance: usize,
}

impl<S: Slot> Table<S> {
    /// Walks the whole table to describe its state. O(len).
    pub fn stats(&self) -> TableStats {
        let old = self.migration.as_ref().map(|migration| &migration.old);
        let mut stats = TableStats {
            len: self.len,
            buckets: self.array.buckets(),
            old_buckets: old.map_or(0, |old| old.buckets()),
            memory_bytes: self.memory_bytes(),
            ..TableStats::default()
        };
        stats.slots = (stats.buckets + stats.old_buckets) * SLOTS;
        for array in old.into_iter().chain([&self.array]) {
            for index in 0..array.buckets() {
                let bucket = array.bucket(index);
                stats.empty_buckets += bucket.occupied().is_empty() as usize;
                stats.overflowed_buckets += bucket.overflowed() as usize;
                stats.saturated_buckets += bucket.saturated() as usize;
                for place in array.places(index) {
                    // SAFETY: found in this array just now.
                    let home = array.home(unsafe { array.get(place) }.hash());
                    let distance = (index + array.buckets() - home) % array.buckets();
                    stats.distances[distance.min(DISTANCES - 1)] += 1;
                    stats.max_distance = stats.max_distance.max(distance);
                }
            }
        }
        stats
    }
}
