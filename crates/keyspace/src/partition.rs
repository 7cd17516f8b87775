//! A slice of the keyspace.

use crate::expiry::ExpiryIndex;
use crate::interest::Interests;
use crate::object::FREE_INLINE_MAX;
use crate::snapshot::Cut;
use crate::{Entry, Object, Ready};
use kinovar_ds::entry::Payload;
use kinovar_ds::table::Table;

/// Elements looked at to guess how large a value is, and keys to guess how large others are.
const SAMPLES: usize = 5;
const KEY_SAMPLES: usize = 14;

/// One partition's part of every database.
#[derive(Default)]
pub struct Partition {
    /// Database 0, which most users never leave.
    first: PartitionDb,
    /// Databases 1 and up, made when first written to.
    others: Vec<Option<Box<PartitionDb>>>,
    /// Who wants to know of changes.
    pub(crate) interests: Interests,
    /// A snapshot on its way.
    pub(crate) cut: Cut,
}

/// One partition's part of one database.
#[derive(Default)]
pub struct PartitionDb {
    pub(crate) table: Table<Entry>,
    /// Keys with an expiry.
    pub(crate) expires: ExpiryIndex,
    /// Hashes some of whose fields have an expiry, by the earliest.
    pub(crate) field_expires: ExpiryIndex,
}

/// What was detached from the keyspace and is still to be freed, outside any lock.
pub enum Trash {
    /// A key with a large value.
    Entry(Entry),
    /// A large value.
    Object(Object),
    /// A whole part of a database.
    Db(Box<PartitionDb>),
}

impl Trash {
    /// How many allocations freeing it takes, roughly.
    pub fn effort(&self) -> usize {
        match self {
            Trash::Entry(entry) => free_effort(entry),
            Trash::Object(object) => object.free_effort(),
            Trash::Db(db) => db.len(),
        }
    }
}

impl Trash {
    /// How many bytes freeing it will set free, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            Trash::Entry(entry) => entry_bytes(entry),
            Trash::Object(object) => object.memory_bytes(SAMPLES),
            Trash::Db(db) => db.bytes(),
        }
    }
}

/// Bytes of an entry and its value, roughly.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    let value = match entry.payload() {
        Payload::Object(object) => object.memory_bytes(SAMPLES),
        _ => 0,
    };
    entry.allocated_size() + value
}

/// How many allocations freeing an entry takes, roughly.
pub(crate) fn free_effort(entry: &Entry) -> usize {
    match entry.payload() {
        Payload::Object(object) => object.free_effort(),
        _ => 1,
    }
}

/// Whether freeing an entry is too much work to be done while a partition is locked.
pub(crate) fn is_heavy(entry: &Entry) -> bool {
    free_effort(entry) > FREE_INLINE_MAX
}

impl Partition {
    /// The part of database `index`, if anything was ever put there.
    #[inline]
    pub fn db(&self, index: u32) -> Option<&PartitionDb> {
        match index {
            0 => Some(&self.first),
            _ => self.others.get(index as usize - 1)?.as_deref(),
        }
    }

    /// The part of database `index`, to be changed, who wants to know of it, and the snapshot.
    #[inline]
    pub(crate) fn site(&mut self, index: u32) -> (&mut PartitionDb, &mut Interests, &mut Cut) {
        if index == 0 {
            return (&mut self.first, &mut self.interests, &mut self.cut);
        }
        self.other_mut(index as usize - 1);
        let db = self.others[index as usize - 1].as_deref_mut().expect("made a moment ago");
        (db, &mut self.interests, &mut self.cut)
    }

    /// The part of database `index`.
    #[inline]
    pub(crate) fn db_mut(&mut self, index: u32) -> &mut PartitionDb {
        if index == 0 { &mut self.first } else { self.other_mut(index as usize - 1) }
    }

    #[cold]
    fn other_mut(&mut self, at: usize) -> &mut PartitionDb {
        if at >= self.others.len() {
            self.others.resize_with(at + 1, || None);
        }
        self.others[at].get_or_insert_default()
    }

    /// Tells those interested in keys of database `index` that are there now, or in database `other`, that all of them
    /// are about to change.
    pub(crate) fn note_all(&self, index: u32, other: u32, now_ms: u64, ready: &mut Vec<Ready>) {
        if !self.interests.any() {
            return;
        }
        let is_in = |db: u32, hash: u64, name: &[u8]| {
            let Some(db) = self.db(db) else { return false };
            let found = db.table.find(hash, |entry| entry.key_eq(name));
            found.is_some_and(|entry| entry.expire_at_ms().is_none_or(|at_ms| at_ms >= now_ms))
        };
        let concerns = |hash: u64, name: &[u8]| is_in(index, hash, name) || is_in(other, hash, name);
        self.interests.changed_where(index, concerns, ready);
    }

    /// Exchanges two databases.
    pub(crate) fn swap(&mut self, a: u32, b: u32) {
        let taken_a = std::mem::take(self.db_mut(a));
        let taken_b = std::mem::replace(self.db_mut(b), taken_a);
        *self.db_mut(a) = taken_b;
        self.cut.swap(a, b);
    }

    /// Moves up to `buckets` buckets of each table that is changing its size. Whether any still is.
    pub(crate) fn migrate_tables(&mut self, buckets: usize) -> bool {
        let mut migrating = self.first.table.migrate_step(buckets);
        for db in self.others.iter_mut().flatten() {
            migrating |= db.table.migrate_step(buckets);
        }
        migrating
    }

    /// Indexes of the databases that exist here.
    pub fn databases(&self) -> impl Iterator<Item = u32> + use<> {
        let others: Vec<u32> =
            self.others.iter().enumerate().filter(|(_, db)| db.is_some()).map(|(at, _)| at as u32 + 1).collect();
        std::iter::once(0).chain(others)
    }

    /// When the first key or field here expires, Unix ms; `u64::MAX` for never.
    pub fn next_due_ms(&self) -> u64 {
        self.databases().filter_map(|index| self.db(index)?.next_due_ms()).min().unwrap_or(u64::MAX)
    }
}

impl PartitionDb {
    /// Number of keys, those included that have expired but are not removed yet.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of keys with an expiry.
    pub fn expires_len(&self) -> usize {
        self.expires.len()
    }

    /// Number of hashes with fields that expire.
    pub fn field_expires_len(&self) -> usize {
        self.field_expires.len()
    }

    /// Mean time to live of some keys, ms.
    pub fn mean_ttl_ms(&self, now_ms: u64) -> u64 {
        self.expires.mean_ttl_ms(now_ms, 16)
    }

    /// Bytes of all keys and values, guessed from a few.
    fn bytes(&self) -> usize {
        let (mut rng, mut seen, mut bytes) = (fastrand::Rng::with_seed(0), 0, 0);
        self.table.sample(
            KEY_SAMPLES,
            || rng.u64(..),
            |entry| {
                seen += 1;
                bytes += entry_bytes(entry);
            },
        );
        let values = (bytes as u128 * self.len() as u128 / seen.max(1) as u128) as usize;
        self.table.memory_bytes() + values
    }

    /// The table, for walks that only read.
    pub fn table(&self) -> &Table<Entry> {
        &self.table
    }

    fn next_due_ms(&self) -> Option<u64> {
        match (self.expires.next_ms(), self.field_expires.next_ms()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
