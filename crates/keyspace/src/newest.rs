//! Up to which position of the journal the contents of the keyspace depend on it.
//!
//! A reply that must not be shown before the journal is synced waits for the newest position that what it tells of depends on.
//! Which one that is need not be known exactly, but it must never be too small. Three sets of marks say so, all of positions:
//!
//! - one for each *stripe*, of which a partition has 64: by the hashes of keys. A unit marks the stripes of the keys that it has
//!   looked up. Whoever looks a key up depends on its stripe, so not on writes to other keys, as a rule.
//! - one for each partition, raised by every unit that had it locked. Whoever walks a partition, or counts its keys, depends on it.
//! - a *floor* for each partition, raised by units of which it is not known which keys they are about: there were too many, or
//!   everything was emptied. Whoever looks a key up depends on that as well.
//!
//! Marks only rise. They are read and raised under the lock of their partition.

use crate::Key;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Stripes of a partition.
const STRIPES: usize = 64;
/// More keys than this are not kept apart.
const TOUCHED_MAX: usize = 256;

/// The marks of all partitions.
pub(crate) struct Newest {
    partitions: Box<[AtomicU64]>,
    floors: Box<[AtomicU64]>,
    stripes: Box<[AtomicU64]>,
}

/// The stripe of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stripe(u32);

impl Newest {
    pub(crate) fn new(partitions: usize) -> Newest {
        let marks = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Newest { partitions: marks(partitions), floors: marks(partitions), stripes: marks(partitions * STRIPES) }
    }

    pub(crate) fn stripe(&self, partition: usize, key: &Key<'_>) -> Stripe {
        // Bits that neither the place in the table nor the tags of its buckets hang on much.
        let within = (key.hash >> 24) as usize % STRIPES;
        Stripe((partition * STRIPES + within) as u32)
    }

    /// What whoever looks up a key of this stripe depends on.
    pub(crate) fn of_stripe(&self, Stripe(stripe): Stripe) -> u64 {
        let stripe = stripe as usize;
        self.stripes[stripe].load(Relaxed).max(self.floors[stripe / STRIPES].load(Relaxed))
    }

    /// What whoever walks a partition depends on.
    pub(crate) fn of_partition(&self, partition: usize) -> u64 {
        self.partitions[partition].load(Relaxed)
    }

    pub(crate) fn raise_stripe(&self, Stripe(stripe): Stripe, position: u64) {
        self.stripes[stripe as usize].fetch_max(position, Relaxed);
    }

    /// `is_wide`: any of the partition's keys may have changed.
    pub(crate) fn raise_partition(&self, partition: usize, position: u64, is_wide: bool) {
        self.partitions[partition].fetch_max(position, Relaxed);
        if is_wide {
            self.floors[partition].fetch_max(position, Relaxed);
        }
    }
}

/// The stripes of the keys that a unit has looked up.
#[derive(Default, Debug)]
pub(crate) struct Touched {
    stripes: RefCell<Vec<Stripe>>,
}

impl Touched {
    pub(crate) fn add(&self, stripe: Stripe) {
        let mut stripes = self.stripes.borrow_mut();
        if stripes.len() <= TOUCHED_MAX && stripes.last() != Some(&stripe) {
            stripes.push(stripe);
        }
    }

    /// Any key may be concerned.
    pub(crate) fn add_all(&self) {
        self.stripes.borrow_mut().resize(TOUCHED_MAX + 1, Stripe(0));
    }

    /// Forgets them. `each` is called for each of them; whether any key may be concerned, and not only those.
    pub(crate) fn take(&self, each: impl FnMut(Stripe)) -> bool {
        let mut stripes = self.stripes.borrow_mut();
        let is_wide = stripes.is_empty() || stripes.len() > TOUCHED_MAX;
        if is_wide {
            stripes.clear();
        } else {
            stripes.drain(..).for_each(each);
        }
        is_wide
    }

    pub(crate) fn forget(&self) {
        self.stripes.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_depends_on_its_stripe_and_on_what_was_about_all() {
        let newest = Newest::new(4);
        let (a, b) = (Stripe(64 + 1), Stripe(64 + 2));
        newest.raise_stripe(a, 7);
        newest.raise_partition(1, 7, false);
        assert_eq!([newest.of_stripe(a), newest.of_stripe(b), newest.of_partition(1)], [7, 0, 7]);
        newest.raise_stripe(a, 5);
        assert_eq!(newest.of_stripe(a), 7, "marks only rise");
        newest.raise_partition(1, 9, true);
        assert_eq!([newest.of_stripe(a), newest.of_stripe(b), newest.of_partition(1)], [9, 9, 9]);
        assert_eq!([newest.of_stripe(Stripe(0)), newest.of_partition(0)], [0, 0]);
    }

    #[test]
    fn too_many_keys_are_all_keys() {
        let touched = Touched::default();
        assert!(touched.take(|_| panic!("there is none")), "nothing is known");
        touched.add(Stripe(3));
        touched.add(Stripe(4));
        let mut seen = Vec::new();
        assert!(!touched.take(|stripe| seen.push(stripe)));
        assert_eq!(seen, [Stripe(3), Stripe(4)]);
        (0..1000).for_each(|at| touched.add(Stripe(at)));
        assert!(touched.take(|_| panic!("they are not known")));
        touched.add_all();
        touched.add(Stripe(1));
        assert!(touched.take(|_| panic!("it is not all")));
        touched.add(Stripe(1));
        touched.forget();
        touched.add(Stripe(2));
        assert!(!touched.take(|stripe| assert_eq!(stripe, Stripe(2))));
    }
}
