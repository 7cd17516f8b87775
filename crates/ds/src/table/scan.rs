//! The cursor without state: a position in the space of hashes.

use super::array::{POSITION_BITS, first_position, home_of};
use super::migrate::frontier_position;
use super::{Slot, Table};

/// Empty buckets that one call passes over at most.
const EMPTY_MAX: usize = 128;
const END: u64 = 1 << POSITION_BITS;

impl<S: Slot> Table<S> {
    /// The place of `hash` among the cursors of [`Table::scan`]: 48 bits. The same as long as the table has elements.
    pub fn scan_position(&self, hash: u64) -> u64 {
        self.array.position(hash)
    }

    /// Visits the elements of the next interval of hash positions and returns the cursor after it. Start with zero; zero comes
    /// back at the end. Cursors have 48 bits, and any value is a valid one.
    ///
    /// An element that is in the table during a whole iteration is visited exactly once in it, however the table grows, shrinks or
    /// migrates between the calls: each call visits precisely those present whose position lies between its cursor and the
    /// one returned, and an element's position never changes. One bucket's elements come per call, about six; a
    /// call that meets only empty buckets ends after 128 of them.
    pub fn scan(&self, cursor: u64, visit: &mut dyn FnMut(&S)) -> u64 {
        let mut from = cursor & (END - 1);
        for _ in 0..EMPTY_MAX {
            // All elements of an interval are in one array: it ends at the frontier at the latest.
            let (array, limit) = match &self.migration {
                Some(migration) => match frontier_position(migration) {
                    frontier if from >= frontier => (&migration.old, END),
                    frontier => (&self.array, frontier),
                },
                None => (&self.array, END),
            };
            if array.buckets() == 0 {
                return 0;
            }
            let home = home_of(from << (64 - POSITION_BITS), array.buckets());
            let next = first_position(home + 1, array.buckets());
            // An interval cut short by the frontier still holds all elements of this home that are here.
            let visited = array.visit_home(home, from, visit);
            debug_assert!(next > from);
            from = next.min(limit);
            if from >= END {
                return 0;
            }
            if visited > 0 {
                break;
            }
        }
        from
    }
}
