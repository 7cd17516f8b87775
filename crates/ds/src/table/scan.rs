//! The cursor without state: a position in the space of hashes.

use super::array::{POSITION_BITS, first_position, home_of};
use super::migrate::frontier_position;
use super::{Slot, Table};

/// Empty buckets that one call passes over at most.
const EMPTY_MAX: usize = 128;
const END: u64 = 1 << POSITION_BITS;

/// A home bucket in the walk of [`Table::scan`].
struct Step {
    home: usize,
    /// It is one of the array that is being migrated from.
    is_old: bool,
    /// The position after the interval.
    next: u64,
}

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
            let Some(step) = self.scan_step(from) else { return 0 };
            let array =
                if step.is_old { &self.migration.as_ref().expect("it has an old array").old } else { &self.array };
            // An interval cut short by the frontier still holds all elements of this home that are here.
            let visited = array.visit_home(step.home, from, visit);
            from = step.next;
            if from >= END {
                return 0;
            }
            if visited > 0 {
                break;
            }
        }
        from
    }

    /// The same for elements that may be changed.
    pub fn scan_mut(&mut self, cursor: u64, visit: &mut dyn FnMut(&mut S)) -> u64 {
        let mut from = cursor & (END - 1);
        for _ in 0..EMPTY_MAX {
            let Some(step) = self.scan_step(from) else { return 0 };
            let array = if step.is_old {
                &mut self.migration.as_mut().expect("it has an old array").old
            } else {
                &mut self.array
            };
            let visited = array.visit_home_mut(step.home, from, visit);
            from = step.next;
            if from >= END {
                return 0;
            }
            if visited > 0 {
                break;
            }
        }
        from
    }

    /// Where the elements from position `from` on are; `None` if there are none.
    #[inline]
    fn scan_step(&self, from: u64) -> Option<Step> {
        // All elements of an interval are in one array: it ends at the frontier at the latest.
        let (array, limit, is_old) = match &self.migration {
            Some(migration) => match frontier_position(migration) {
                frontier if from >= frontier => (&migration.old, END, true),
                frontier => (&self.array, frontier, false),
            },
            None => (&self.array, END, false),
        };
        if array.buckets() == 0 {
            return None;
        }
        let home = home_of(from << (64 - POSITION_BITS), array.buckets());
        let next = first_position(home + 1, array.buckets());
        debug_assert!(next > from);
        Some(Step { home, is_old, next: next.min(limit) })
    }
}
