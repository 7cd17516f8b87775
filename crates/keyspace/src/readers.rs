//! Which clients may have which keys in their own caches (`CLIENT TRACKING`).
//!
//! Each partition has one table, under its lock. A key is put into it when a client reads it, and taken out, with all its
//! readers, when it changes: they are told once and have to read it again to be told again. Keys are meant whatever database they
//! are in. A client that wants to know of all changes is not in here; it only has the partitions report everything
//! ([`Interests`](crate::interest::Interests)).

use crate::interest::SameHash;
use crate::{Db, Key, Keyspace, Unavailable};
use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A client that reads keys.
pub struct Reader {
    /// What the server knows of it.
    pub client: Box<dyn Any + Send + Sync>,
}

/// Whoever passes the news on that caches are out of date. Called while the key's partition is locked.
pub trait Caches: Sync {
    /// `key` has changed. `readers` may have it in their caches.
    fn stale(&self, key: &[u8], readers: &[Arc<Reader>], all: All);
}

/// Whether those are told who want to know of all changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum All {
    /// There are none, or it was no change.
    Untold,
    /// They are.
    Told {
        /// Nobody has made the change: the key's time had come.
        alone: bool,
    },
}

/// How much all tables hold.
#[derive(Default)]
pub struct ReadCounts {
    /// Keys.
    pub keys: AtomicUsize,
    /// Readers of keys.
    pub items: AtomicUsize,
}

impl ReadCounts {
    fn add(&self, keys: usize, items: usize) {
        self.keys.fetch_add(keys, Relaxed);
        self.items.fetch_add(items, Relaxed);
    }

    fn sub(&self, keys: usize, items: usize) {
        self.keys.fetch_sub(keys, Relaxed);
        self.items.fetch_sub(items, Relaxed);
    }
}

/// The table of one partition.
#[derive(Default)]
pub(crate) struct Readers {
    keys: Vec<Read>,
    /// Where each is in `keys`, by hash.
    places: HashMap<u64, u32, BuildHasherDefault<SameHash>>,
}

/// A key that was read.
struct Read {
    hash: u64,
    name: Box<[u8]>,
    readers: ReaderSet,
}

/// The readers of a key: nearly always one.
struct ReaderSet {
    first: Arc<Reader>,
    others: Option<Box<Others>>,
}

#[derive(Default)]
struct Others {
    list: Vec<Arc<Reader>>,
    /// Their addresses, once there are many.
    index: HashSet<usize>,
}

/// From so many readers on they are indexed.
const INDEXED: usize = 16;

impl ReaderSet {
    fn len(&self) -> usize {
        1 + self.others.as_ref().map_or(0, |others| others.list.len())
    }

    /// Adds a reader; whether it is new.
    fn add(&mut self, reader: &Arc<Reader>) -> bool {
        if Arc::ptr_eq(&self.first, reader) {
            return false;
        }
        let address = |reader: &Arc<Reader>| Arc::as_ptr(reader) as usize;
        let others = self.others.get_or_insert_default();
        if others.index.is_empty() {
            if others.list.iter().any(|other| Arc::ptr_eq(other, reader)) {
                return false;
            }
            if others.list.len() >= INDEXED {
                others.index = others.list.iter().map(address).collect();
            }
        }
        if !others.index.is_empty() && !others.index.insert(address(reader)) {
            return false;
        }
        others.list.push(reader.clone());
        true
    }

    fn into_vec(self) -> Vec<Arc<Reader>> {
        let mut all = vec![self.first];
        all.extend(self.others.into_iter().flat_map(|others| others.list));
        all
    }
}

impl Readers {
    /// Notes that `reader` has read a key. `false` when it cannot be remembered: the table has another key of the same hash.
    fn add(&mut self, hash: u64, name: &[u8], reader: &Arc<Reader>, counts: &ReadCounts) -> bool {
        if let Some(&place) = self.places.get(&hash) {
            let read = &mut self.keys[place as usize];
            if *read.name != *name {
                return false;
            }
            if read.readers.add(reader) {
                counts.add(0, 1);
            }
            return true;
        }
        let readers = ReaderSet { first: reader.clone(), others: None };
        self.places.insert(hash, self.keys.len() as u32);
        self.keys.push(Read { hash, name: name.into(), readers });
        counts.add(1, 1);
        true
    }

    /// Takes a key out.
    pub(crate) fn take(&mut self, hash: u64, name: &[u8], counts: &ReadCounts) -> Option<Vec<Arc<Reader>>> {
        let place = *self.places.get(&hash)? as usize;
        if *self.keys[place].name != *name {
            return None;
        }
        Some(self.take_at(place, counts).readers.into_vec())
    }

    fn take_at(&mut self, place: usize, counts: &ReadCounts) -> Read {
        let read = self.keys.swap_remove(place);
        self.places.remove(&read.hash);
        if let Some(moved) = self.keys.get(place) {
            self.places.insert(moved.hash, place as u32);
        }
        counts.sub(1, read.readers.len());
        read
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Takes everything out of the counts, before it is dropped.
    pub(crate) fn uncount(&self, counts: &ReadCounts) {
        counts.sub(self.keys.len(), self.keys.iter().map(|read| read.readers.len()).sum());
    }
}

impl Db<'_> {
    /// Notes that `reader` has read a key, whose partition is locked.
    pub fn remember_reader(&mut self, key: &Key<'_>, reader: &Arc<Reader>) {
        let partition = self.keyspace.partition_of(key);
        let interests = &mut self.locked.partition_mut(partition).interests;
        let added = interests.readers_mut().add(key.hash, key.name, reader, &self.keyspace.read_counts);
        if !added {
            self.env.work.stale(key.name, std::slice::from_ref(reader), All::Untold);
        }
    }

    /// Forgets a random key of partition `index`, which is locked here, and tells its readers. Whether there was one.
    pub fn forget_some_readers(&mut self, index: usize) -> bool {
        if self.visit(index).is_err() {
            return false;
        }
        let random = self.env.work.rng.borrow_mut().usize(..);
        let interests = &mut self.locked.partition_mut(index).interests;
        if !interests.has_readers() {
            return false;
        }
        let readers = interests.readers_mut();
        let read = readers.take_at(random % readers.keys.len(), &self.keyspace.read_counts);
        interests.settle_readers();
        self.env.work.stale(&read.name, &read.readers.into_vec(), All::Untold);
        true
    }

    /// Has partition `index`, which is locked here, report all changes to [`Caches`], or, unless `wanted`, not any more.
    ///
    /// # Errors
    /// A script has the partition.
    pub fn report_all_changes(&mut self, index: usize, wanted: impl FnOnce() -> bool) -> Result<(), Unavailable> {
        self.visit(index)?;
        self.locked.partition_mut(index).interests.report_all(wanted());
        Ok(())
    }
}

impl Keyspace {
    /// Number of keys that clients may have in their caches, and of their readers.
    pub fn read_counts(&self) -> (usize, usize) {
        (self.read_counts.keys.load(Relaxed), self.read_counts.items.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader() -> Arc<Reader> {
        Arc::new(Reader { client: Box::new(()) })
    }

    #[test]
    fn readers_are_counted_and_taken_once() {
        let (mut table, counts) = (Readers::default(), ReadCounts::default());
        let all: Vec<Arc<Reader>> = (0..50).map(|_| reader()).collect();
        for _ in 0..2 {
            for one in &all {
                assert!(table.add(7, b"a", one, &counts));
            }
            assert!(table.add(8, b"b", &all[3], &counts));
        }
        assert_eq!((counts.keys.load(Relaxed), counts.items.load(Relaxed)), (2, 51));
        assert!(!table.add(7, b"c", &all[0], &counts), "another key of the same hash");
        assert!(table.take(7, b"c", &counts).is_none());
        let taken = table.take(7, b"a", &counts).unwrap();
        assert!(taken.len() == 50 && taken.iter().zip(&all).all(|(a, b)| Arc::ptr_eq(a, b)));
        assert!(table.take(7, b"a", &counts).is_none());
        assert_eq!((counts.keys.load(Relaxed), counts.items.load(Relaxed)), (1, 1));
        assert_eq!(table.take(8, b"b", &counts).unwrap().len(), 1);
        assert!(table.is_empty());
    }

    #[test]
    fn what_is_left_is_found_after_others_were_taken() {
        let (mut table, counts, one) = (Readers::default(), ReadCounts::default(), reader());
        for hash in 0..10 {
            table.add(hash, &[hash as u8], &one, &counts);
        }
        for place in [0, 8, 3] {
            table.take_at(place, &counts);
        }
        let left: Vec<u64> = table.keys.iter().map(|read| read.hash).collect();
        for &hash in &left {
            assert!(table.take(hash, &[hash as u8], &counts).is_some());
        }
        assert!(left.len() == 7 && table.is_empty() && table.places.is_empty());
        assert_eq!((counts.keys.load(Relaxed), counts.items.load(Relaxed)), (0, 0));
    }
}
