//! Who wants to know of changes to keys: clients that watch them, clients that wait for them.
//!
//! Each partition has one table, under its lock. Nearly always it is empty, and a change costs one test of a pointer. A key
//! may be absent from the data and yet be in here.

use crate::readers::{All, ReadCounts, Readers};
use crate::{Db, Key, Work};
use std::any::Any;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

/// A client's watch over some keys (`WATCH`). It is touched under the lock of the key's partition.
#[derive(Default, Debug)]
pub struct Watch {
    touched: AtomicBool,
}

impl Watch {
    /// Says that a key has changed.
    pub fn touch(&self) {
        self.touched.store(true, Relaxed);
    }

    /// Whether one has. Exact for those keys whose partitions the caller has locked.
    pub fn is_touched(&self) -> bool {
        self.touched.load(Relaxed)
    }
}

/// A client that waits for one of several keys to have something for it.
///
/// Several threads may want to end its wait at the same time: those that have changed a key, and the client's own when its time
/// is over or it is gone. Whoever [takes](Waiter::take) it is the only one that may act for it, and either ends the wait or
/// [puts it back](Waiter::put_back).
pub struct Waiter {
    state: AtomicU8,
    /// Whether it is to be told of keys that are gone, too.
    pub heeds_loss: bool,
    /// What the server knows of it.
    pub client: Box<dyn Any + Send + Sync>,
}

const WAITING: u8 = 0;
/// Somebody acts for it.
const TAKEN: u8 = 1;
/// The same, and another key has changed meanwhile.
const TAKEN_AND_CALLED: u8 = 2;
const OVER: u8 = 3;

/// What became of an attempt to take a waiter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is the caller's now.
    Yes,
    /// Somebody else acts for it. It was noted that there is more to do; whoever has it will see to that.
    Busy,
    /// It waits no more.
    Over,
}

impl Waiter {
    /// One that waits.
    pub fn new(heeds_loss: bool, client: Box<dyn Any + Send + Sync>) -> Waiter {
        Waiter { state: AtomicU8::new(WAITING), heeds_loss, client }
    }

    /// Takes it, to see whether a key has something for it.
    pub fn take(&self) -> Taken {
        use std::sync::atomic::Ordering::{AcqRel, Acquire};
        let next = |state| match state {
            WAITING => Some(TAKEN),
            TAKEN => Some(TAKEN_AND_CALLED),
            _ => None,
        };
        match self.state.fetch_update(AcqRel, Acquire, next) {
            Ok(WAITING) => Taken::Yes,
            Ok(_) | Err(TAKEN_AND_CALLED) => Taken::Busy,
            Err(_) => Taken::Over,
        }
    }

    /// Goes on waiting after it was [taken](Waiter::take) for nothing. Whether another key has changed meanwhile, so that
    /// somebody must look again.
    #[must_use]
    pub fn put_back(&self) -> bool {
        use std::sync::atomic::Ordering::AcqRel;
        self.state.swap(WAITING, AcqRel) == TAKEN_AND_CALLED
    }

    /// Ends the wait of a waiter that was [taken](Waiter::take).
    pub fn finish(&self) {
        use std::sync::atomic::Ordering::Release;
        self.state.store(OVER, Release);
    }

    /// Ends the wait from outside. `None` while somebody acts for it, which takes no longer than a command: try again.
    pub fn give_up(&self) -> Option<bool> {
        use std::sync::atomic::Ordering::{AcqRel, Acquire};
        match self.state.compare_exchange(WAITING, OVER, AcqRel, Acquire) {
            Ok(_) => Some(true),
            Err(OVER) => Some(false),
            Err(_) => None,
        }
    }

    /// Whether the wait is over.
    pub fn is_over(&self) -> bool {
        use std::sync::atomic::Ordering::Acquire;
        self.state.load(Acquire) == OVER
    }
}

/// A key that has changed and has waiters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ready {
    /// Its database.
    pub db: u32,
    /// Its name.
    pub name: Box<[u8]>,
}

/// Who is interested in one key.
#[derive(Default)]
struct Interest {
    name: Box<[u8]>,
    /// By database.
    watches: Vec<(u32, Arc<Watch>)>,
    /// By database; in order of arrival.
    waiters: Vec<(u32, Arc<Waiter>)>,
}

impl Interest {
    fn is_idle(&self) -> bool {
        self.watches.is_empty() && self.waiters.is_empty()
    }

    fn changed(&self, db: u32, ready: &mut Vec<Ready>) {
        self.touch(db);
        self.call(db, ready);
    }

    fn call(&self, db: u32, ready: &mut Vec<Ready>) {
        if self.waiters.iter().any(|(at, _)| *at == db) && !ready.iter().any(|r| r.db == db && r.name == self.name) {
            ready.push(Ready { db, name: self.name.clone() });
        }
    }

    fn touch(&self, db: u32) {
        self.watches.iter().filter(|(at, _)| *at == db).for_each(|(_, watch)| watch.touch());
    }
}

/// The hash of a key is its hash here as well.
#[derive(Default)]
pub(crate) struct SameHash(u64);

impl Hasher for SameHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only integers are hashed")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Interests by the hash of their key.
type Table = HashMap<u64, Vec<Interest>, BuildHasherDefault<SameHash>>;

/// The table of one partition.
#[derive(Default)]
pub struct Interests {
    by_hash: Option<Box<Table>>,
    /// Who has read which keys.
    readers: Option<Box<Readers>>,
    /// All changes are to be reported to [`Caches`](crate::Caches).
    all: bool,
    /// Whether any of these is there.
    any: bool,
}

impl Interests {
    /// Whether anybody is interested in anything.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.any
    }

    fn settle(&mut self) {
        self.any = self.by_hash.is_some() || self.readers.is_some() || self.all;
    }

    /// Who has read which keys, to be added to.
    pub(crate) fn readers_mut(&mut self) -> &mut Readers {
        self.any = true;
        self.readers.get_or_insert_default()
    }

    /// Whether anybody has read any key.
    pub(crate) fn has_readers(&self) -> bool {
        self.readers.is_some()
    }

    /// Gives up the table of readers if it is empty.
    pub(crate) fn settle_readers(&mut self) {
        if self.readers.as_ref().is_some_and(|readers| readers.is_empty()) {
            self.readers = None;
            self.settle();
        }
    }

    /// Forgets all readers.
    pub(crate) fn forget_readers(&mut self, counts: &ReadCounts) {
        if let Some(readers) = self.readers.take() {
            readers.uncount(counts);
            self.settle();
        }
    }

    /// Has all changes reported, or not any more.
    pub(crate) fn report_all(&mut self, wanted: bool) {
        self.all = wanted;
        self.settle();
    }

    fn find(&self, hash: u64, name: &[u8]) -> Option<&Interest> {
        self.by_hash.as_ref()?.get(&hash)?.iter().find(|interest| *interest.name == *name)
    }

    fn entry(&mut self, hash: u64, name: &[u8]) -> &mut Interest {
        self.any = true;
        let list = self.by_hash.get_or_insert_default().entry(hash).or_default();
        let at = list.iter().position(|interest| *interest.name == *name).unwrap_or_else(|| {
            list.push(Interest { name: name.into(), ..Interest::default() });
            list.len() - 1
        });
        &mut list[at]
    }

    /// Changes the interest in a key, and forgets it when nobody is left.
    fn edit(&mut self, hash: u64, name: &[u8], change: impl FnOnce(&mut Interest)) {
        let Some(table) = &mut self.by_hash else { return };
        let Some(list) = table.get_mut(&hash) else { return };
        if let Some(at) = list.iter().position(|interest| *interest.name == *name) {
            change(&mut list[at]);
            if list[at].is_idle() {
                list.swap_remove(at);
            }
        }
        if list.is_empty() {
            table.remove(&hash);
        }
        if table.is_empty() {
            self.by_hash = None;
            self.settle();
        }
    }

    /// Adds a watch.
    pub(crate) fn watch(&mut self, db: u32, hash: u64, name: &[u8], watch: &Arc<Watch>) {
        self.entry(hash, name).watches.push((db, watch.clone()));
    }

    /// Removes a watch.
    pub(crate) fn unwatch(&mut self, db: u32, hash: u64, name: &[u8], watch: &Arc<Watch>) {
        self.edit(hash, name, |interest| {
            interest.watches.retain(|(at, other)| *at != db || !Arc::ptr_eq(other, watch));
        });
    }

    /// Adds a waiter behind those that are there.
    pub(crate) fn wait(&mut self, db: u32, hash: u64, name: &[u8], waiter: &Arc<Waiter>) {
        let waiters = &mut self.entry(hash, name).waiters;
        if !waiters.iter().any(|(at, other)| *at == db && Arc::ptr_eq(other, waiter)) {
            waiters.push((db, waiter.clone()));
        }
    }

    /// Removes a waiter.
    pub(crate) fn stop_waiting(&mut self, db: u32, hash: u64, name: &[u8], waiter: &Arc<Waiter>) {
        self.edit(hash, name, |interest| {
            interest.waiters.retain(|(at, other)| *at != db || !Arc::ptr_eq(other, waiter));
        });
    }

    /// Number of keys that somebody watches who does not know of a change yet.
    fn watched_keys(&self) -> usize {
        let mut count = 0;
        for interest in self.by_hash.iter().flat_map(|table| table.values()).flatten() {
            let watched = interest.watches.iter().filter(|(_, watch)| !watch.is_touched());
            let mut databases: Vec<u32> = watched.map(|(db, _)| *db).collect();
            databases.sort_unstable();
            databases.dedup();
            count += databases.len();
        }
        count
    }

    /// Number of keys somebody waits for, and of those where somebody heeds their loss.
    pub(crate) fn waited_keys(&self) -> (usize, usize) {
        let (mut keys, mut heeding) = (0, 0);
        for interest in self.by_hash.iter().flat_map(|table| table.values()).flatten() {
            let mut databases: Vec<u32> = interest.waiters.iter().map(|(db, _)| *db).collect();
            databases.sort_unstable();
            databases.dedup();
            keys += databases.len();
            let heeds = |db: &&u32| interest.waiters.iter().any(|(at, waiter)| at == *db && waiter.heeds_loss);
            heeding += databases.iter().filter(heeds).count();
        }
        (keys, heeding)
    }

    /// The waiters of a key, first come first.
    pub(crate) fn waiters(&self, db: u32, hash: u64, name: &[u8]) -> Vec<Arc<Waiter>> {
        let waiters = self.find(hash, name).map(|interest| interest.waiters.as_slice()).unwrap_or_default();
        waiters.iter().filter(|(at, _)| *at == db).map(|(_, waiter)| waiter.clone()).collect()
    }

    /// A key has changed.
    #[cold]
    pub(crate) fn changed(&self, db: u32, hash: u64, name: &[u8], ready: &mut Vec<Ready>) {
        if let Some(interest) = self.find(hash, name) {
            interest.changed(db, ready);
        }
    }

    /// Those who wait for a key are to look again, although it has not changed.
    pub(crate) fn called(&self, db: u32, hash: u64, name: &[u8], ready: &mut Vec<Ready>) {
        if let Some(interest) = self.find(hash, name) {
            interest.call(db, ready);
        }
    }

    /// Passes on that caches of a key are out of date.
    pub(crate) fn stale(&mut self, hash: u64, name: &[u8], counts: &ReadCounts, work: &Work, alone: bool) {
        let readers = self.readers.as_mut().and_then(|readers| readers.take(hash, name, counts));
        if readers.is_some() || self.all {
            let all = if self.all { All::Told { alone } } else { All::Untold };
            work.stale(name, readers.as_deref().unwrap_or_default(), all);
        }
        if readers.is_some() {
            self.settle_readers();
        }
    }

    /// Every key of database `db` for which `concerns` holds has changed.
    pub(crate) fn changed_where(&self, db: u32, concerns: impl Fn(u64, &[u8]) -> bool, ready: &mut Vec<Ready>) {
        for (&hash, list) in self.by_hash.iter().flat_map(|table| table.iter()) {
            for interest in list {
                let is_here = interest.watches.iter().any(|(at, _)| *at == db)
                    || interest.waiters.iter().any(|(at, _)| *at == db);
                if is_here && concerns(hash, &interest.name) {
                    interest.changed(db, ready);
                }
            }
        }
    }
}

/// Watching and waiting; the key's partition is locked.
impl Db<'_> {
    fn interests(&mut self, key: &Key<'_>) -> &mut Interests {
        &mut self.locked.partition_mut(self.keyspace.partition_of(key)).interests
    }

    /// Lets `watch` know of changes to `key` of the selected database.
    pub fn watch(&mut self, key: &Key<'_>, watch: &Arc<Watch>) {
        let db = self.index;
        self.interests(key).watch(db, key.hash, key.name, watch);
    }

    /// The opposite.
    pub fn unwatch(&mut self, key: &Key<'_>, watch: &Arc<Watch>) {
        let db = self.index;
        self.interests(key).unwatch(db, key.hash, key.name, watch);
    }

    /// Puts `waiter` behind those that wait for `key` of the selected database. Once, however often it is called.
    pub fn wait_for(&mut self, key: &Key<'_>, waiter: &Arc<Waiter>) {
        let db = self.index;
        self.interests(key).wait(db, key.hash, key.name, waiter);
    }

    /// The opposite.
    pub fn stop_waiting_for(&mut self, key: &Key<'_>, waiter: &Arc<Waiter>) {
        let db = self.index;
        self.interests(key).stop_waiting(db, key.hash, key.name, waiter);
    }

    /// Number of keys that somebody waits for, and of those where somebody heeds their loss. Locks one partition after the
    /// other where they are not locked.
    pub fn waited_keys(&self) -> (usize, usize) {
        (0..self.keyspace.partitions())
            .map(|index| self.look(index, |partition| partition.interests.waited_keys()))
            .fold((0, 0), |sum, keys| (sum.0 + keys.0, sum.1 + keys.1))
    }

    /// Number of keys that somebody watches who has not been told of a change. Locks like [`Db::waited_keys`].
    pub fn watched_keys(&self) -> usize {
        (0..self.keyspace.partitions())
            .map(|index| self.look(index, |partition| partition.interests.watched_keys()))
            .sum()
    }

    /// Who waits for `key` of the selected database, first come first.
    pub fn waiters(&mut self, key: &Key<'_>) -> Vec<Arc<Waiter>> {
        let db = self.index;
        self.interests(key).waiters(db, key.hash, key.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_in_two_databases() {
        let mut interests = Interests::default();
        let (first, second) = (Arc::new(Watch::default()), Arc::new(Watch::default()));
        interests.watch(0, 7, b"a", &first);
        interests.watch(1, 7, b"a", &second);
        let mut ready = Vec::new();
        interests.changed(0, 7, b"b", &mut ready);
        assert!(!first.is_touched());
        interests.changed(0, 7, b"a", &mut ready);
        assert!(first.is_touched() && !second.is_touched() && ready.is_empty());
        interests.unwatch(0, 7, b"a", &first);
        assert!(interests.any());
        interests.unwatch(1, 7, b"a", &second);
        assert!(!interests.any());
    }

    #[test]
    fn ready_keys_are_named_once() {
        let mut interests = Interests::default();
        let waiter = |heeds| Arc::new(Waiter::new(heeds, Box::new(())));
        let (first, second) = (waiter(false), waiter(false));
        interests.wait(0, 7, b"a", &first);
        interests.wait(0, 7, b"a", &second);
        let mut ready = Vec::new();
        interests.changed(0, 7, b"a", &mut ready);
        interests.changed(0, 7, b"a", &mut ready);
        interests.changed(1, 7, b"a", &mut ready);
        assert_eq!(ready, [Ready { db: 0, name: (*b"a").into() }]);
        assert!(Arc::ptr_eq(&interests.waiters(0, 7, b"a")[0], &first));
        interests.stop_waiting(0, 7, b"a", &first);
        interests.stop_waiting(0, 7, b"a", &second);
        assert!(!interests.any());
    }

    #[test]
    fn a_waiter_has_one_end() {
        let waiter = Waiter::new(false, Box::new(()));
        assert_eq!(waiter.take(), Taken::Yes);
        assert_eq!(waiter.give_up(), None);
        assert_eq!(waiter.take(), Taken::Busy);
        assert!(waiter.put_back(), "called meanwhile");
        assert_eq!(waiter.take(), Taken::Yes);
        assert!(!waiter.put_back());
        assert_eq!(waiter.give_up(), Some(true));
        assert_eq!(waiter.give_up(), Some(false));
        assert_eq!(waiter.take(), Taken::Over);
        assert!(waiter.is_over());
    }
}
