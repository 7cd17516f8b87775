//! Iteration over all elements, by reference or by value, in no particular order.

use super::array::{Array, Place};
use super::{Slot, Table};

/// Elements by reference; see [`Table::iter`].
pub struct Iter<'a, S: Slot> {
    table: &'a Table<S>,
    walk: Walk,
    remaining: usize,
}

/// Elements by value; see [`Table::drain`]. Those not asked for are dropped with it.
pub struct IntoIter<S: Slot> {
    table: Table<S>,
    walk: Walk,
}

/// A place in the walk over both arrays: the old one is walked first.
#[derive(Clone, Copy)]
struct Walk {
    in_old: bool,
    bucket: usize,
    /// The next slot to look at.
    slot: usize,
}

impl Walk {
    const START: Walk = Walk {
        in_old: true,
        bucket: 0,
        slot: 0,
    };

    /// The next occupied slot and the array it is in.
    #[inline]
    fn next<'a, S: Slot>(&mut self, table: &'a Table<S>) -> Option<(&'a Array<S>, Place<S>)> {
        loop {
            let old = table.migration.as_ref().map(|migration| &migration.old);
            let array = match old {
                Some(old) if self.in_old => old,
                _ => {
                    self.in_old = false;
                    &table.array
                }
            };
            while self.bucket < array.buckets() {
                if let Some((slot, place)) = array.place_from(self.bucket, self.slot) {
                    self.slot = slot + 1;
                    return Some((array, place));
                }
                self.bucket += 1;
                self.slot = 0;
                if self.bucket + 1 < array.buckets() {
                    array.prefetch_bucket_slots(self.bucket + 1);
                }
            }
            if !self.in_old {
                return None;
            }
            *self = Walk {
                in_old: false,
                bucket: 0,
                slot: 0,
            };
        }
    }
}

impl<S: Slot> Table<S> {
    /// All elements, in no particular order. O(buckets) for all of them.
    pub fn iter(&self) -> Iter<'_, S> {
        Iter {
            table: self,
            walk: Walk::START,
            remaining: self.len,
        }
    }
}

impl<'a, S: Slot> Iterator for Iter<'a, S> {
    type Item = &'a S;

    #[inline]
    fn next(&mut self) -> Option<&'a S> {
        if self.remaining == 0 {
            return None;
        }
        let (array, place) = self.walk.next(self.table)?;
        self.remaining -= 1;
        // SAFETY: found in this array just now, and the table is borrowed.
        Some(unsafe { array.get(place) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl<S: Slot> ExactSizeIterator for Iter<'_, S> {}

impl<'a, S: Slot> IntoIterator for &'a Table<S> {
    type Item = &'a S;
    type IntoIter = Iter<'a, S>;

    fn into_iter(self) -> Iter<'a, S> {
        self.iter()
    }
}

impl<S: Slot> IntoIterator for Table<S> {
    type Item = S;
    type IntoIter = IntoIter<S>;

    fn into_iter(self) -> IntoIter<S> {
        IntoIter {
            table: self,
            walk: Walk::START,
        }
    }
}

impl<S: Slot> Iterator for IntoIter<S> {
    type Item = S;

    #[inline]
    fn next(&mut self) -> Option<S> {
        if self.table.len == 0 {
            return None;
        }
        let (_, place) = self.walk.next(&self.table)?;
        self.table.len -= 1;
        // SAFETY: an occupied slot of an array that we own. The table is only ever walked and dropped from here on, so counts of
        // passers need not be kept.
        Some(unsafe { place.take() })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.table.len, Some(self.table.len))
    }
}

impl<S: Slot> ExactSizeIterator for IntoIter<S> {}
