//! All partitions, and locking them in order.

use crate::newest::Newest;
use crate::{Key, Object, Partition, Payload, ReadCounts};
use kinovar_ds::lock::{AllLocked, PartitionGuard, PartitionLock};
use kinovar_ds::table::TableHint;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The keyspace: partitions, each a lock around its part of every database.
pub struct Keyspace {
    sites: Box<[Site]>,
    databases: u32,
    /// No key of a partition expires before this, Unix ms; by partition. Side by side, as eviction compares all of them.
    keys_due_ms: Box<[AtomicU64]>,
    /// What each partition's contents depend on.
    pub(crate) newest: Newest,
    /// What clients may have in their caches.
    pub(crate) read_counts: ReadCounts,
}

/// A partition with what may be known about it without its lock.
struct Site {
    lock: PartitionLock<Partition>,
    /// Address and size of database 0's buckets: only ever used to prefetch.
    hint_base: AtomicUsize,
    hint_len: AtomicUsize,
    hint_salt: AtomicU64,
    /// No key or field expires before this, Unix ms.
    due_ms: AtomicU64,
    /// A snapshot's walk is under way here.
    walks: AtomicBool,
}

/// A partition is locked by a script that keeps everybody waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unavailable;

/// The partitions that are locked for a command.
pub enum Locked<'a> {
    /// None.
    None,
    /// One.
    One(usize, PartitionGuard<'a, Partition>),
    /// Several, in ascending order.
    Many(Vec<(usize, PartitionGuard<'a, Partition>)>),
    /// All, where there is only one thread.
    Whole(&'a Keyspace, AllLocked),
}

impl Keyspace {
    /// An empty keyspace of `partitions` (a power of two) and `databases`.
    pub fn new(partitions: usize, databases: u32) -> Keyspace {
        assert!(partitions.is_power_of_two() && partitions <= usize::from(crate::key::SLOTS));
        let site = || Site {
            lock: PartitionLock::new(Partition::default()),
            hint_base: AtomicUsize::new(0),
            hint_len: AtomicUsize::new(0),
            hint_salt: AtomicU64::new(0),
            due_ms: AtomicU64::new(u64::MAX),
            walks: AtomicBool::new(false),
        };
        Keyspace {
            sites: (0..partitions).map(|_| site()).collect(),
            databases,
            keys_due_ms: (0..partitions).map(|_| AtomicU64::new(u64::MAX)).collect(),
            newest: Newest::new(partitions),
            read_counts: ReadCounts::default(),
        }
    }

    /// Number of partitions.
    #[inline]
    pub fn partitions(&self) -> usize {
        self.sites.len()
    }

    /// Number of databases.
    pub fn databases(&self) -> u32 {
        self.databases
    }

    /// The partition that `key` belongs to.
    #[inline]
    pub fn partition_of(&self, key: &Key<'_>) -> usize {
        self.partition_of_slot(key.slot)
    }

    /// The partition that keys of a slot belong to.
    #[inline]
    pub fn partition_of_slot(&self, slot: u16) -> usize {
        usize::from(slot) & (self.sites.len() - 1)
    }

    /// Locks one partition.
    #[inline]
    pub fn lock_one(&self, index: usize) -> Locked<'_> {
        Locked::One(index, self.sites[index].lock.lock())
    }

    /// Locks the partitions in `indexes`, which are sorted here; duplicates are fine.
    pub fn lock_many(&self, indexes: &mut Vec<usize>) -> Locked<'_> {
        indexes.sort_unstable();
        indexes.dedup();
        match indexes.as_slice() {
            [] => Locked::None,
            [index] => self.lock_one(*index),
            _ => Locked::Many(indexes.iter().map(|&index| (index, self.sites[index].lock.lock())).collect()),
        }
    }

    /// Locks everything. O(1) with one thread.
    pub fn lock_all(&self) -> Locked<'_> {
        if let Some(all) = AllLocked::lock() {
            return Locked::Whole(self, all);
        }
        Locked::Many(self.sites.iter().enumerate().map(|(index, site)| (index, site.lock.lock())).collect())
    }

    /// Like [`lock_one`](Self::lock_one); `None` when it would have to wait for a script that keeps everybody waiting.
    #[inline]
    pub fn lock_one_or_give_up(&self, index: usize) -> Option<Locked<'_>> {
        Some(Locked::One(index, self.sites[index].lock.lock_or_give_up()?))
    }

    /// Like [`lock_many`](Self::lock_many), with an end of patience.
    pub fn lock_many_or_give_up(&self, indexes: &mut Vec<usize>) -> Option<Locked<'_>> {
        indexes.sort_unstable();
        indexes.dedup();
        match indexes.as_slice() {
            [] => Some(Locked::None),
            [index] => self.lock_one_or_give_up(*index),
            _ => self.take_or_give_up(indexes.iter().copied()),
        }
    }

    /// Like [`lock_all`](Self::lock_all), with an end of patience.
    pub fn lock_all_or_give_up(&self) -> Option<Locked<'_>> {
        match AllLocked::lock() {
            Some(all) => Some(Locked::Whole(self, all)),
            None => self.take_or_give_up(0..self.sites.len()),
        }
    }

    /// Locks everything, if that costs less than to lock a few partitions one by one.
    #[inline]
    pub fn lock_all_if_cheap(&self) -> Option<Locked<'_>> {
        AllLocked::try_lock().map(|all| Locked::Whole(self, all))
    }

    fn take_or_give_up(&self, indexes: impl ExactSizeIterator<Item = usize>) -> Option<Locked<'_>> {
        let mut guards = Vec::with_capacity(indexes.len());
        for index in indexes {
            guards.push((index, self.sites[index].lock.lock_or_give_up()?));
        }
        Some(Locked::Many(guards))
    }

    /// Asks the processor to fetch the bucket of `key` in database 0. Takes no lock: the address may be out of date, which
    /// only makes the fetch useless.
    #[inline]
    pub fn prefetch(&self, key: &Key<'_>) {
        let site = &self.sites[self.partition_of(key)];
        let hint = TableHint {
            base: site.hint_base.load(Relaxed),
            buckets: site.hint_len.load(Relaxed),
            salt: site.hint_salt.load(Relaxed),
        };
        hint.prefetch(key.hash);
    }

    /// Asks the processor to fetch the entries that may be `key`'s, in database `db`. The bucket should have arrived.
    #[inline]
    pub fn prefetch_entry(&self, key: &Key<'_>, db: u32) {
        if let Some(partition) = self.sites[self.partition_of(key)].lock.try_lock()
            && let Some(db) = partition.db(db)
        {
            db.table.prefetch_slots(key.hash);
        }
    }

    /// Asks the processor to fetch what a lookup of a field or member of `key`'s value will read: first its bucket then, with
    /// `deep`, the elements in it. `hash` is the member's.
    #[inline]
    pub fn prefetch_member(&self, key: &Key<'_>, db: u32, hash: u64, deep: bool) {
        if let Some(partition) = self.sites[self.partition_of(key)].lock.try_lock()
            && let Some(db) = partition.db(db)
            && let Some(entry) = db.table.find(key.hash, |entry| entry.key_eq(key.name))
            && let Payload::Object(object) = entry.payload()
        {
            match object {
                Object::Hash(value) => value.prefetch(hash, deep),
                Object::Set(value) => value.prefetch(hash, deep),
                Object::ZSet(value) => value.prefetch(hash, deep),
                Object::Raw(_) | Object::List(_) | Object::Stream(_) => {}
            }
        }
    }

    /// Whether something in partition `index` may be due at `now_ms`. Takes no lock.
    #[inline]
    pub fn may_be_due(&self, index: usize, now_ms: u64) -> bool {
        self.sites[index].due_ms.load(Relaxed) <= now_ms
    }

    /// Earliest time at which anything may expire, Unix ms; `u64::MAX` for never. Takes no lock.
    pub fn next_due_ms(&self) -> u64 {
        self.sites.iter().map(|site| site.due_ms.load(Relaxed)).min().unwrap_or(u64::MAX)
    }

    /// Notes that something in partition `index`, which the caller has locked, expires at `at_ms`.
    #[inline]
    pub(crate) fn note_due(&self, index: usize, at_ms: u64) {
        let due = &self.sites[index].due_ms;
        if at_ms < due.load(Relaxed) {
            due.store(at_ms, Relaxed);
        }
    }

    /// The same where it is a key.
    #[inline]
    pub(crate) fn note_key_due(&self, index: usize, at_ms: u64) {
        let due = &self.keys_due_ms[index];
        if at_ms < due.load(Relaxed) {
            due.store(at_ms, Relaxed);
        }
        self.note_due(index, at_ms);
    }

    /// The partition whose first key may be the first of all to expire, and when it does at the earliest, Unix ms. Takes no lock.
    pub(crate) fn first_key_due(&self) -> (usize, u64) {
        let due = self.keys_due_ms.iter().map(|at_ms| at_ms.load(Relaxed));
        due.enumerate().min_by_key(|&(_, at_ms)| at_ms).unwrap_or((0, u64::MAX))
    }

    /// Replaces what is known of the keys of partition `index`, which the caller has locked.
    pub(crate) fn set_key_due(&self, index: usize, at_ms: u64) {
        self.keys_due_ms[index].store(at_ms, Relaxed);
    }

    /// Replaces what is known of partition `index`, which the caller has locked.
    pub(crate) fn set_due(&self, index: usize, at_ms: u64) {
        self.sites[index].due_ms.store(at_ms, Relaxed);
    }

    /// Whether a snapshot may have something left to write in partition `index`. Takes no lock.
    #[inline]
    pub fn may_be_walked(&self, index: usize) -> bool {
        self.sites[index].walks.load(Relaxed)
    }

    /// Notes whether a snapshot has anything to write in partition `index`, which the caller has locked.
    pub(crate) fn note_walk(&self, index: usize, walks: bool) {
        self.sites[index].walks.store(walks, Relaxed);
    }

    /// Calls `each` with the partitions that are `locked`.
    pub(crate) fn for_each_locked(&self, locked: &Locked<'_>, mut each: impl FnMut(usize)) {
        match locked {
            Locked::None => {}
            Locked::One(index, _) => each(*index),
            Locked::Many(guards) => guards.iter().for_each(|(index, _)| each(*index)),
            Locked::Whole(..) => (0..self.partitions()).for_each(each),
        }
    }

    /// Publishes where database 0 of partition `index`, which the caller has locked, keeps its buckets.
    #[inline]
    pub(crate) fn note_table(&self, index: usize, hint: TableHint) {
        let TableHint { base, buckets: len, salt } = hint;
        let site = &self.sites[index];
        if site.hint_base.load(Relaxed) != base || site.hint_len.load(Relaxed) != len {
            site.hint_base.store(base, Relaxed);
            site.hint_len.store(len, Relaxed);
            site.hint_salt.store(salt, Relaxed);
        }
    }

    /// Moves the tables of partition `index` that are changing their size on by up to `buckets` buckets each; for idle time, as
    /// nobody may come to insert the keys that would drive them. Whether any is not done yet; a partition that somebody has locked
    /// is left alone, since that may be a script that takes long.
    pub fn migrate_tables(&self, index: usize, buckets: usize) -> bool {
        self.sites[index].lock.try_lock().is_some_and(|mut partition| partition.migrate_tables(buckets))
    }

    /// Locks partition `index` if that takes no waiting.
    pub(crate) fn try_lock(&self, index: usize) -> Option<PartitionGuard<'_, Partition>> {
        self.sites[index].lock.try_lock()
    }

    /// Number of keys in database `db`. Locks one partition after the other.
    pub fn len(&self, db: u32) -> usize {
        (0..self.partitions())
            .map(|index| self.read(index, |partition| partition.db(db).map_or(0, |db| db.len())))
            .sum()
    }

    /// Whether database `db` is empty.
    pub fn is_empty(&self, db: u32) -> bool {
        self.len(db) == 0
    }

    /// Looks at one partition under its lock; the default when a script has it and keeps everybody waiting.
    pub fn read<R: Default>(&self, index: usize, look: impl FnOnce(&Partition) -> R) -> R {
        self.sites[index].lock.lock_or_give_up().map(|partition| look(&partition)).unwrap_or_default()
    }
}

impl<'a> Locked<'a> {
    /// Whether these are all partitions of `keyspace`.
    #[inline]
    pub fn is_all(&self, keyspace: &Keyspace) -> bool {
        match self {
            Locked::Whole(..) => true,
            Locked::Many(guards) => guards.len() == keyspace.partitions(),
            Locked::One(..) => keyspace.partitions() == 1,
            Locked::None => false,
        }
    }

    /// The partition `index`, to be read.
    ///
    /// # Panics
    /// When it is not locked: the command's declaration does not name all its keys.
    #[inline]
    pub fn partition(&self, index: usize) -> &Partition {
        match self {
            Locked::One(locked, guard) if *locked == index => guard,
            Locked::Many(guards) => &guards[Self::find(guards, index)].1,
            Locked::Whole(keyspace, all) => all.get(&keyspace.sites[index].lock),
            _ => not_locked(index),
        }
    }

    /// The partition `index`, to be changed.
    ///
    /// # Panics
    /// When it is not locked.
    #[inline]
    pub(crate) fn partition_mut(&mut self, index: usize) -> &mut Partition {
        match self {
            Locked::One(locked, guard) if *locked == index => guard,
            Locked::Many(guards) => {
                let at = Self::find(guards, index);
                &mut guards[at].1
            }
            Locked::Whole(keyspace, all) => all.get_mut(&keyspace.sites[index].lock),
            _ => not_locked(index),
        }
    }

    /// Locks partition `index` as well, if that takes no waiting. Whether it is among them now.
    pub(crate) fn try_add(&mut self, keyspace: &'a Keyspace, index: usize) -> bool {
        if self.has(index) {
            return true;
        }
        let Some(guard) = keyspace.sites[index].lock.try_lock() else { return false };
        let mut guards = match std::mem::replace(self, Locked::None) {
            Locked::Many(guards) => guards,
            Locked::One(index, guard) => vec![(index, guard)],
            Locked::None => Vec::new(),
            Locked::Whole(..) => unreachable!("everything is among them"),
        };
        let at = guards.partition_point(|(locked, _)| *locked < index);
        guards.insert(at, (index, guard));
        *self = Locked::Many(guards);
        true
    }

    /// Whether partition `index` is among them.
    pub fn has(&self, index: usize) -> bool {
        match self {
            Locked::None => false,
            Locked::Whole(..) => true,
            Locked::One(locked, _) => *locked == index,
            Locked::Many(guards) => guards.binary_search_by_key(&index, |(locked, _)| *locked).is_ok(),
        }
    }

    fn find(guards: &[(usize, PartitionGuard<'_, Partition>)], index: usize) -> usize {
        guards.binary_search_by_key(&index, |(locked, _)| *locked).unwrap_or_else(|_| not_locked(index))
    }
}

#[cold]
fn not_locked(index: usize) -> ! {
    panic!("partition {index} is not locked: the command's key specifications are incomplete")
}
