//! The read door: how a command sees the selected database.
//!
//! Every lookup removes the key if its time has come, notes the access (LRU or LFU) and counts a hit or a miss.
//! Several values can be looked at together with [`Db::touch`] (which does all that) followed by [`Db::peek`].

use crate::object::{self, Text, Value, WrongType};
use crate::partition::{Partition, PartitionDb};
use crate::{
    All, Caches, Effects, Entry, Key, Keyspace, Locked, Observer, Reader, Ready, Settings, Stats, Trash, Unavailable,
    access, effects,
};
use kinovar_ds::table::Position;
use std::cell::RefCell;
use std::sync::Arc;

/// What surrounds a command's work on the data; cheap to copy.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// Unix time at which the command started, ms.
    pub now_ms: u64,
    /// What was to expire before this has expired, Unix ms: [`Env::now_ms`]. Or 0 while effects are run again: then nothing goes
    /// because of the time, but because an effect says so.
    pub expiry_ms: u64,
    /// Thresholds and policies.
    pub settings: &'a Settings,
    /// Counters of this thread.
    pub stats: &'a Stats,
    /// What work on the data needs and leaves behind.
    pub work: &'a Work,
    /// Whoever wants to know of changes.
    pub observer: Option<&'a dyn Observer>,
    /// Whether accesses leave no trace in the access clock (`CLIENT NO-TOUCH`).
    pub no_touch: bool,
}

/// What work on the data needs and leaves behind; one for each thread that does such work.
#[derive(Default)]
pub struct Work {
    /// Large values that were taken out, to be freed after the locks are released.
    pub trash: RefCell<Vec<Trash>>,
    /// Randomness, not for secrets.
    pub rng: RefCell<fastrand::Rng>,
    /// Keys that have changed and have waiters, to be served before the locks are released.
    pub ready: RefCell<Vec<Ready>>,
    /// What the command that runs has done, for the journal.
    pub effects: Effects,
    /// Whoever tells clients that their caches are out of date.
    pub caches: Option<&'static dyn Caches>,
}

impl Work {
    /// Tells those who may have a key in their caches that it has changed.
    pub(crate) fn stale(&self, key: &[u8], readers: &[Arc<Reader>], all: All) {
        if let Some(caches) = self.caches {
            caches.stale(key, readers, all);
        }
    }
}

/// What is read now depends on everything in the locked partitions.
#[cold]
fn depend_on(keyspace: &Keyspace, locked: &Locked<'_>) {
    keyspace.for_each_locked(locked, |index| effects::depend(keyspace.newest.of_partition(index)));
}

/// The selected database, through the partitions locked for a command.
pub struct Db<'a> {
    pub(crate) keyspace: &'a Keyspace,
    pub(crate) locked: Locked<'a>,
    pub(crate) index: u32,
    pub(crate) env: Env<'a>,
}

impl<'a> Db<'a> {
    /// Database `index` through `locked`.
    #[inline]
    pub fn new(keyspace: &'a Keyspace, locked: Locked<'a>, index: u32, env: Env<'a>) -> Db<'a> {
        // Whoever has everything locked may look at anything. Others look keys up, or say where they walk.
        if env.work.effects.is_on() && locked.is_all(keyspace) {
            depend_on(keyspace, &locked);
        }
        // Built where it will stand: a copy of it would be felt.
        Db { keyspace, locked, index, env }
    }

    /// The reply depends on everything in the locked partitions.
    #[inline]
    fn depend_on_locked(&self) {
        if self.env.work.effects.is_on() {
            depend_on(self.keyspace, &self.locked);
        }
    }

    /// The reply depends on what `key` holds, and the unit may be about it.
    #[inline]
    pub(crate) fn depend_on_key(&self, partition: usize, key: &Key<'_>) {
        if self.env.work.effects.is_on() {
            let stripe = self.keyspace.newest.stripe(partition, key);
            effects::depend(self.keyspace.newest.of_stripe(stripe));
            self.env.work.effects.touched.add(stripe);
        }
    }

    /// Tells the journal of everything that was noted, as one. What it is about is still locked.
    pub fn tell_journal(&self) {
        let effects = &self.env.work.effects;
        effects.hand_over();
        let Some(position) = effects.take_newest() else { return effects.touched.forget() };
        let newest = &self.keyspace.newest;
        let is_wide = effects.touched.take(|stripe| newest.raise_stripe(stripe, position));
        self.keyspace.for_each_locked(&self.locked, |index| newest.raise_partition(index, position, is_wide));
    }

    /// The selected database's number.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Selects another database, through the same locks; returns the one selected before.
    pub fn select(&mut self, index: u32) -> u32 {
        std::mem::replace(&mut self.index, index)
    }

    /// Unix time at which the command started, ms.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.env.now_ms
    }

    /// What was to expire before this has expired, Unix ms; see [`Env::expiry_ms`].
    #[inline]
    pub fn expiry_ms(&self) -> u64 {
        self.env.expiry_ms
    }

    /// What is noted for the journal.
    #[inline]
    pub fn effects(&self) -> &'a Effects {
        &self.env.work.effects
    }

    /// Counter of changes of this thread.
    #[inline]
    pub fn dirty(&self) -> u64 {
        self.env.stats.dirty.get()
    }

    /// What surrounds the command.
    #[inline]
    pub fn env(&self) -> Env<'a> {
        self.env
    }

    /// Thresholds and policies.
    #[inline]
    pub fn settings(&self) -> &'a Settings {
        self.env.settings
    }

    /// All partitions.
    pub fn keyspace(&self) -> &'a Keyspace {
        self.keyspace
    }

    /// A random number below `bound`, which is not 0.
    pub fn random_below(&self, bound: u64) -> u64 {
        self.env.work.rng.borrow_mut().u64(..bound)
    }

    /// Makes sure that partition `index` is locked: does nothing when all are, else releases what is locked and locks this
    /// one. For commands that walk the partitions one after the other.
    ///
    /// # Errors
    /// A script has it and keeps everybody waiting; nothing is locked then.
    pub fn visit(&mut self, index: usize) -> Result<(), Unavailable> {
        if !self.locked.has(index) {
            self.unlock();
            self.locked = self.keyspace.lock_one_or_give_up(index).ok_or(Unavailable)?;
            self.depend_on_locked();
        }
        Ok(())
    }

    /// Releases what is locked, then locks the partitions in `indexes`, which are sorted here.
    ///
    /// # Errors
    /// A script has one of them and keeps everybody waiting; nothing is locked then.
    pub fn lock_or_give_up(&mut self, indexes: &mut Vec<usize>) -> Result<(), Unavailable> {
        self.unlock();
        self.locked = self.keyspace.lock_many_or_give_up(indexes).ok_or(Unavailable)?;
        self.depend_on_locked();
        Ok(())
    }

    /// Releases what is locked, then locks everything.
    ///
    /// # Errors
    /// As [`Db::lock_or_give_up`].
    pub fn lock_all_or_give_up(&mut self) -> Result<(), Unavailable> {
        self.unlock();
        self.locked = self.keyspace.lock_all_or_give_up().ok_or(Unavailable)?;
        self.depend_on_locked();
        Ok(())
    }

    /// The database with the locks that are held; here none is left.
    pub fn hand_over(&mut self) -> Db<'a> {
        let locked = std::mem::replace(&mut self.locked, Locked::None);
        Db { keyspace: self.keyspace, locked, index: self.index, env: self.env }
    }

    /// Releases what is locked. The journal hears first what was done under it.
    pub fn unlock(&mut self) {
        self.tell_journal();
        self.locked = Locked::None;
    }

    /// Locks partition `index` as well, if that takes no waiting. Whether it is locked now.
    pub fn try_lock_also(&mut self, index: usize) -> bool {
        let is_locked = self.locked.try_add(self.keyspace, index);
        self.depend_on_locked();
        is_locked
    }

    /// Whether everything is locked.
    pub fn has_locked_all(&self) -> bool {
        self.locked.is_all(self.keyspace)
    }

    /// Whether partition `index` is locked.
    pub fn has_locked(&self, index: usize) -> bool {
        self.locked.has(index)
    }

    /// Looks at one partition, under the lock that is held or else under its own; see [`Keyspace::read`].
    pub fn look<R: Default>(&self, index: usize, look: impl FnOnce(&Partition) -> R) -> R {
        if self.locked.has(index) {
            return look(self.locked.partition(index));
        }
        self.keyspace.read(index, |partition| {
            if self.env.work.effects.is_on() {
                effects::depend(self.keyspace.newest.of_partition(index));
            }
            look(partition)
        })
    }

    /// Number of keys in the selected database. Locks one partition after the other where they are not locked.
    pub fn size(&self) -> usize {
        let part = |index| self.look(index, |partition| partition.db(self.index).map_or(0, PartitionDb::len));
        (0..self.keyspace.partitions()).map(part).sum()
    }

    /// How many keys database `number` has, how many of them expire, and how many hashes have fields that do. Everything must be
    /// locked.
    pub fn size_of(&self, number: u32) -> (usize, usize, usize) {
        let parts = (0..self.keyspace.partitions()).filter_map(|index| self.locked.partition(index).db(number));
        parts.fold((0, 0, 0), |(keys, expires, fields), db| {
            (keys + db.len(), expires + db.expires_len(), fields + db.field_expires_len())
        })
    }

    /// Whether the partition of `key` is locked.
    #[inline]
    pub fn is_locked(&self, key: &Key<'_>) -> bool {
        self.locked.has(self.keyspace.partition_of(key))
    }

    /// The part of the selected database in partition `index`, which must be locked.
    pub fn part(&self, index: usize) -> Option<&PartitionDb> {
        self.locked.partition(index).db(self.index)
    }

    /// The part of the database in which `key` is, and the key's place there, unless it is absent or has expired; then it
    /// is removed.
    #[inline]
    pub(crate) fn live(&mut self, key: &Key<'_>) -> Option<(&mut PartitionDb, Position)> {
        let (site, place) = self.site_live(key);
        place.map(|place| (site.db, place))
    }

    /// Reads a key: expiry, access clock, hit or miss. O(1).
    #[inline]
    pub fn read(&mut self, key: &Key<'_>) -> Option<&Entry> {
        let (site, place) = self.site_live(key);
        let Some(place) = place else {
            site.missed(key);
            return None;
        };
        let entry = site.db.table.at(place);
        site.env.touch(entry);
        site.env.stats.hits.add(1);
        Some(entry)
    }

    /// Like [`Db::read`], but leaves the access clock alone: for commands that look at a key rather than at its value.
    pub fn inspect(&mut self, key: &Key<'_>) -> Option<&Entry> {
        let (site, place) = self.site_live(key);
        let Some(place) = place else {
            site.missed(key);
            return None;
        };
        site.env.stats.hits.add(1);
        Some(site.db.table.at(place))
    }

    /// Like [`Db::inspect`], for commands that look at the entry itself: nobody is told that it is not there.
    pub fn examine(&mut self, key: &Key<'_>) -> Option<&Entry> {
        let env = self.env;
        match self.live(key) {
            Some((db, place)) => {
                env.stats.hits.add(1);
                Some(db.table.at(place))
            }
            None => {
                env.stats.misses.add(1);
                None
            }
        }
    }

    /// Like [`Db::read`], without returning the entry: to be followed by [`Db::peek`]. Whether the key exists.
    pub fn touch(&mut self, key: &Key<'_>) -> bool {
        self.read(key).is_some()
    }

    /// Looks a key up without leaving a trace; an expired one is absent. Several can be held at once.
    pub fn peek(&self, key: &Key<'_>) -> Option<&Entry> {
        let partition = self.keyspace.partition_of(key);
        self.depend_on_key(partition, key);
        let db = self.locked.partition(partition).db(self.index)?;
        let place = db.table.locate(key.hash, |entry| entry.key_eq(key.name))?;
        let entry = db.table.at(place);
        let expired = entry.expire_at_ms().is_some_and(|at_ms| at_ms < self.env.expiry_ms);
        (!expired).then_some(entry)
    }

    /// Whether a key exists; counts no hit or miss and leaves the access clock alone, but removes an expired key.
    pub fn exists(&mut self, key: &Key<'_>) -> bool {
        self.live(key).is_some()
    }

    /// Reads a string.
    #[inline]
    pub fn read_text(&mut self, key: &Key<'_>) -> Result<Option<Text<'_>>, WrongType> {
        self.read(key).map(object::text).transpose()
    }

    /// Reads a collection of type `T`.
    #[inline]
    pub fn read_value<T: Value>(&mut self, key: &Key<'_>) -> Result<Option<&T>, WrongType> {
        self.read(key).map(object::value).transpose()
    }

    /// Looks at a collection of type `T` without leaving a trace.
    pub fn peek_value<T: Value>(&self, key: &Key<'_>) -> Result<Option<&T>, WrongType> {
        self.peek(key).map(object::value).transpose()
    }
}

impl Env<'_> {
    /// Notes an access in the entry's clock.
    #[inline]
    pub(crate) fn touch(&self, entry: &Entry) {
        if self.no_touch {
            return;
        }
        let before = entry.meta();
        let after = access::touched(before, self.now_ms, self.settings, || self.work.rng.borrow_mut().f64());
        // Most accesses fall into the same second: do not dirty the cache line for nothing.
        if after != before {
            entry.set_meta(after);
        }
    }
}
