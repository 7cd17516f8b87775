//! Snapshots: everything as it was at one moment, written down while the data goes on changing.
//!
//! # The cut
//! With all partitions locked for an instant, [`Db::begin_snapshot`] turns each partition's *epoch* over. Every entry carries a
//! mark, and outside of snapshots all marks equal the epoch; so right after the cut no entry's does: they are *unseen*. Whatever
//! is inserted later gets the new epoch as its mark, and so is no part of the snapshot.
//!
//! # The walk
//! [`Keyspace::snapshot_step`] goes through a partition a few entries at a time, with the lock held for that long only. It writes
//! the unseen ones and marks them as seen. The write door does the same with an unseen entry before it changes or removes it
//! ([`Cut::keep`]). So each entry is written once, as it was at the cut. When the walk of a partition is over all its marks
//! equal its epoch again.
//!
//! A large entry is written in pieces, with the lock released in between, and handed over when it is complete.
//!
//! A database that is emptied meanwhile is not freed but handed to the walk, which goes on with it there. One that changes its
//! number keeps, in the snapshot, the number it had.
//!
//! # What must stay true
//! - Every entry that enters a table gets its partition's epoch (`Site::insert`).
//! - Nothing of an entry but its access clock changes without `Site::before_change`.
//! - The walk of one snapshot is over, in all partitions, before the next one begins.

use crate::partition::{Partition, PartitionDb, is_heavy};
use crate::{Db, Entry, Keyspace, Trash};
use kinovar_ds::table::Table;
use std::cell::RefCell;
use std::sync::Arc;

/// Whoever writes a snapshot down. Called while a partition is locked, by any thread: must not wait.
pub trait Sink: Send + Sync {
    /// Begins to write an entry in pieces, if it is too large to be written at once.
    fn begin_large(&self, entry: &Entry) -> Option<Box<dyn LargeEntry>>;
    /// Says, at the end of `out`, that the entries that follow are in this database.
    fn select(&self, db: u32, out: &mut Vec<u8>);
    /// Appends an entry.
    fn write(&self, entry: &Entry, out: &mut Vec<u8>);
    /// Takes what was appended. Pieces can be put in any order: each begins with its database.
    fn take(&self, piece: Vec<u8>);
    /// A partition's walk is over.
    fn partition_done(&self);
}

/// A large entry that is written in pieces.
pub trait LargeEntry: Send {
    /// Appends about `bytes` more bytes of it. Whether there is more to come. The entry is as it was when this was begun.
    fn write(&mut self, entry: &Entry, bytes: usize, out: &mut Vec<u8>) -> bool;
}

/// A piece is handed over when it has so many bytes.
const PIECE_BYTES: usize = 32 << 10;

/// A partition's part in snapshots.
#[derive(Default)]
pub(crate) struct Cut {
    /// The mark of entries that are seen or new.
    pub(crate) epoch: bool,
    walk: Option<Box<Walk>>,
}

struct Walk {
    sink: Arc<dyn Sink>,
    /// Databases that are left.
    legs: Vec<Leg>,
    out: Vec<u8>,
    /// The database that is selected at the end of `out`.
    selected: Option<u32>,
    /// Large entries that the walk has come to, of the last of `legs`.
    large: Vec<Large>,
}

/// An entry to be written in pieces.
struct Large {
    hash: u64,
    key: Box<[u8]>,
    /// What writes it, once it is begun.
    writing: Option<Box<dyn LargeEntry>>,
    /// What is written of it. Only the whole is of use: if it is about to change before that, it is written at once instead.
    out: Vec<u8>,
}

/// What is left of a database.
struct Leg {
    /// Its number at the cut.
    number: u32,
    place: Place,
    /// How far its table has been walked through.
    cursor: u64,
    /// Nothing is left there but large entries.
    is_scanned: bool,
}

enum Place {
    /// In the partition, under this number.
    Here(u32),
    /// Emptied since: only the walk has it.
    Taken(Box<PartitionDb>),
}

/// What a step has come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// There is more to do.
    More,
    /// Nothing is left to do in this partition.
    Done,
    /// Somebody else has locked it.
    Locked,
}

impl Cut {
    /// Whether a walk is under way.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.walk.is_some()
    }

    /// Writes an entry of database `db` if it is unseen; it is about to change.
    #[cold]
    pub(crate) fn keep(&mut self, db: u32, entry: &mut Entry) {
        let Some(walk) = &mut self.walk else { return };
        if entry.epoch() == self.epoch {
            return;
        }
        entry.set_epoch(self.epoch);
        let is_here = |leg: &&Leg| matches!(leg.place, Place::Here(number) if number == db);
        let number = walk.legs.iter().find(is_here).map(|leg| leg.number);
        debug_assert!(number.is_some(), "a database without a leg has no unseen entries");
        walk.write(number.unwrap_or(db), entry);
    }

    /// Takes a database over that has been emptied, if anything in it may be unseen.
    pub(crate) fn take_over(&mut self, db: u32, contents: Box<PartitionDb>) -> Option<Box<PartitionDb>> {
        let leg = self
            .walk
            .as_mut()
            .and_then(|walk| walk.legs.iter_mut().find(|leg| matches!(leg.place, Place::Here(number) if number == db)));
        match leg {
            Some(leg) => {
                leg.place = Place::Taken(contents);
                None
            }
            None => Some(contents),
        }
    }

    /// Two databases have been exchanged.
    pub(crate) fn swap(&mut self, a: u32, b: u32) {
        for leg in self.walk.iter_mut().flat_map(|walk| &mut walk.legs) {
            match &mut leg.place {
                Place::Here(number) if *number == a => *number = b,
                Place::Here(number) if *number == b => *number = a,
                Place::Here(_) | Place::Taken(_) => {}
            }
        }
    }
}

impl Place {
    fn table<'p>(&'p mut self, partition: &'p mut Partition) -> &'p mut Table<Entry> {
        match self {
            Place::Here(number) => &mut partition.db_mut(*number).table,
            Place::Taken(db) => &mut db.table,
        }
    }
}

impl Walk {
    fn write(&mut self, db: u32, entry: &Entry) {
        if self.selected.replace(db) != Some(db) {
            self.sink.select(db, &mut self.out);
        }
        self.sink.write(entry, &mut self.out);
        if self.out.len() >= PIECE_BYTES {
            self.hand_over();
        }
    }

    /// Goes through the next few entries of a table. About how many bytes were written, at least 1.
    fn scan(&mut self, leg: &mut Leg, epoch: bool, partition: &mut Partition) -> usize {
        let number = leg.number;
        let mut written = 1;
        leg.cursor = leg.place.table(partition).scan_mut(leg.cursor, &mut |entry| {
            if entry.epoch() == epoch {
                return;
            }
            if is_heavy(entry) {
                self.large.push(Large { hash: entry.hash(), key: entry.key().into(), writing: None, out: Vec::new() });
                return;
            }
            entry.set_epoch(epoch);
            let before = self.out.len();
            self.write(number, entry);
            // What was handed over in between is not known exactly; it was a whole piece.
            written += 1 + self.out.len().checked_sub(before).unwrap_or(PIECE_BYTES);
        });
        leg.is_scanned = leg.cursor == 0;
        written
    }

    /// Goes on with a large entry. About how many bytes were written, at least 1.
    fn write_large(
        &mut self,
        mut large: Large,
        leg: &mut Leg,
        epoch: bool,
        bytes: usize,
        partition: &mut Partition,
    ) -> usize {
        let table = leg.place.table(partition);
        // If it has changed since, it was written then.
        let Some(place) = table.locate(large.hash, |entry| entry.key_eq(&large.key)) else { return 1 };
        let entry = table.at_mut(place);
        if entry.epoch() == epoch {
            return 1;
        }
        if large.writing.is_none() {
            large.writing = self.sink.begin_large(entry);
            self.sink.select(leg.number, &mut large.out);
        }
        let before = large.out.len();
        if let Some(writing) = &mut large.writing {
            let is_more = writing.write(entry, bytes, &mut large.out);
            let written = large.out.len() - before;
            if is_more {
                self.large.push(large);
            } else {
                entry.set_epoch(epoch);
                self.sink.take(large.out);
            }
            return written.max(1);
        }
        entry.set_epoch(epoch);
        self.write(leg.number, entry);
        PIECE_BYTES
    }

    fn hand_over(&mut self) {
        if !self.out.is_empty() {
            self.sink.take(std::mem::take(&mut self.out));
            self.selected = None;
        }
    }
}

impl Partition {
    /// Begins a walk; whether there is anything to walk through.
    fn begin_walk(&mut self, sink: &Arc<dyn Sink>) -> bool {
        debug_assert!(!self.cut.is_open(), "one snapshot after the other");
        self.cut.epoch = !self.cut.epoch;
        let is_filled = |number: &u32| self.db(*number).is_some_and(|db| !db.is_empty());
        let legs: Vec<Leg> = self
            .databases()
            .filter(is_filled)
            .map(|number| Leg { number, place: Place::Here(number), cursor: 0, is_scanned: false })
            .collect();
        if legs.is_empty() {
            return false;
        }
        self.cut.walk =
            Some(Box::new(Walk { sink: sink.clone(), legs, out: Vec::new(), selected: None, large: Vec::new() }));
        true
    }

    /// Goes on with a walk until about `bytes` have been written.
    fn walk(&mut self, bytes: usize, trash: &RefCell<Vec<Trash>>) -> Step {
        let Some(mut walk) = self.cut.walk.take() else { return Step::Done };
        let epoch = self.cut.epoch;
        let mut written = 0;
        while let Some(mut leg) = walk.legs.pop() {
            written += match walk.large.pop() {
                Some(large) => walk.write_large(large, &mut leg, epoch, bytes.saturating_sub(written).max(1), self),
                None if leg.is_scanned => 0,
                None => walk.scan(&mut leg, epoch, self),
            };
            if !leg.is_scanned || !walk.large.is_empty() {
                walk.legs.push(leg);
            } else if let Place::Taken(db) = leg.place {
                trash.borrow_mut().push(Trash::Db(db));
            }
            if written >= bytes && !walk.legs.is_empty() {
                self.cut.walk = Some(walk);
                return Step::More;
            }
        }
        walk.hand_over();
        walk.sink.partition_done();
        Step::Done
    }
}

impl Db<'_> {
    /// Begins a snapshot of everything as it is now; all partitions must be locked, and no other snapshot be under way. Returns
    /// how many partitions there are to walk through: so often the sink is told that one is done.
    pub fn begin_snapshot(&mut self, sink: &Arc<dyn Sink>) -> usize {
        let mut walks = 0;
        for index in 0..self.keyspace.partitions() {
            walks += usize::from(self.locked.partition_mut(index).begin_walk(sink));
        }
        walks
    }
}

impl Keyspace {
    /// Goes on with the snapshot in partition `index` until about `bytes` more have been written. What is to be freed goes to
    /// `trash`.
    pub fn snapshot_step(&self, index: usize, bytes: usize, trash: &RefCell<Vec<Trash>>) -> Step {
        match self.try_lock(index) {
            Some(mut partition) => partition.walk(bytes, trash),
            None => Step::Locked,
        }
    }
}

#[cfg(test)]
mod tests;
