//! Snapshots: everything as it was at one moment, written down while the data goes on changing.
//!
//! # The cut
//! With all partitions locked for an instant, [`Db::begin_snapshot`] turns each partition's *epoch* over. Every entry carries a
//! mark, and outside of snapshots all marks equal the epoch; so right after the cut no entry's does: they are *unseen*. Whatever
//! is inserted later gets the new epoch as its mark, and so is no part of the snapshot.
//!
//! # The walk
//! [`Keyspace::snapshot_step`] goes through a partition a few entries at a time, with the lock held for that long only. It writes
//! the unseen ones and marks them as seen. The write door does the same with an unseen entry before it changes it
//! ([`Cut::keep`]). So each entry is written once, as it was at the cut. When the walk of a partition is over all its marks
//! equal its epoch again.
//!
//! # Large entries
//! A large entry is written in pieces, with the lock released in between, and handed over when it is complete ([`large`]). Nobody
//! should have to write much of one under the lock because it is about to change:
//!
//! - One that is removed or overwritten is not freed but [detached](Cut::adopt): the walk has it from then on. So is a database that
//!   is emptied.
//! - Whoever is going to change one may [ask](Db::hurry_snapshot) before anything is done whether it should rather wait. The entry
//!   is then *urgent*: the walk does it next, and whoever waits can [drive](Keyspace::hurry_step) that.
//! - Who does not ask, or cannot wait, writes what is left of it at once.
//!
//! A database that changes its number keeps, in the snapshot, the number it had.
//!
//! # What must stay true
//! - Every entry that enters a table gets its partition's epoch (`Site::insert`).
//! - Nothing of an entry but its access clock changes without `Site::before_change`.
//! - The walk of one snapshot is over, in all partitions, before the next one begins.

mod large;

use crate::partition::{Partition, PartitionDb};
use crate::{Db, Entry, Key, Keyspace, Trash};
use kinovar_ds::entry::Payload;
use kinovar_ds::table::Table;
pub use large::go_through;
pub(crate) use large::is_large;
use large::{Large, Progress, is_vast};
use std::cell::RefCell;
use std::sync::Arc;

/// Whoever writes a snapshot down. Called while a partition is locked, by any thread: must not wait.
pub trait Sink: Send + Sync {
    /// Begins to write a large entry in pieces, if it can be written so.
    fn begin_large(&self, entry: &Entry) -> Option<Box<dyn LargeEntry>>;
    /// Says, at the end of `out`, that the entries that follow are in this database.
    fn select(&self, db: u32, out: &mut Vec<u8>);
    /// Appends an entry.
    fn write(&self, entry: &Entry, out: &mut Vec<u8>);
    /// Takes `keys` entries that were appended: pieces that follow one another. What comes with different calls can be put in any
    /// order: each begins with its database.
    fn take(&self, pieces: Vec<Vec<u8>>, keys: usize);
    /// A partition's walk is over.
    fn partition_done(&self);
}

/// A large entry that is written in pieces.
pub trait LargeEntry: Send {
    /// Appends about `bytes` more bytes of it, or does so much work for it. Whether there is more to come. The entry is as it was when this was begun.
    fn write(&mut self, entry: &Entry, bytes: usize, out: &mut Vec<u8>) -> bool;
}

/// Entries are handed over when they have so many bytes.
const BATCH_BYTES: usize = 32 << 10;

/// A partition's part in snapshots.
#[derive(Default)]
pub(crate) struct Cut {
    /// The mark of entries that are seen or new.
    pub(crate) epoch: bool,
    walk: Option<Box<Walk>>,
}

struct Walk {
    out: Out,
    /// Databases that are left.
    legs: Vec<Leg>,
    /// Large entries that have left the keyspace, and how far they are written.
    detached: Vec<(Entry, Progress)>,
}

/// Where entries go.
struct Out {
    sink: Arc<dyn Sink>,
    bytes: Vec<u8>,
    /// The database that is selected at the end of `bytes`.
    selected: Option<u32>,
    /// Entries in `bytes`.
    keys: usize,
}

/// What is left of a database.
struct Leg {
    /// Its number at the cut.
    number: u32,
    place: Place,
    /// How far its table has been walked through.
    cursor: u64,
    /// The cursor up to which memory has been asked for.
    warm: u64,
    /// Nothing is left there but large entries.
    is_scanned: bool,
    /// Large entries that the walk has come to, or that are urgent.
    large: Vec<Large>,
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

    /// Whether an entry is to be written yet, and too large for that to be done at once.
    #[inline]
    pub(crate) fn lacks_large(&self, entry: &Entry) -> bool {
        self.is_open() && entry.epoch() != self.epoch && is_large(entry)
    }

    /// Writes an entry of database `db` if it is unseen; it is about to change.
    #[cold]
    pub(crate) fn keep(&mut self, db: u32, entry: &mut Entry) {
        let Some(walk) = &mut self.walk else { return };
        if entry.epoch() == self.epoch {
            return;
        }
        entry.set_epoch(self.epoch);
        let (leg, out) = (walk.legs.iter_mut().find(|leg| leg.is_of(db)), &mut walk.out);
        debug_assert!(leg.is_some(), "a database without a leg has no unseen entries");
        let number = leg.as_ref().map_or(db, |leg| leg.number);
        if is_large(entry) {
            let begun = leg.and_then(|leg| leg.take_large(entry));
            begun.map_or_else(|| Progress::new(number), |large| large.progress).finish(entry, out);
        } else {
            out.write(number, entry);
        }
    }

    /// Takes an unseen large entry over that has left database `db` for good.
    #[cold]
    pub(crate) fn adopt(&mut self, db: u32, entry: Entry) {
        let Some(walk) = &mut self.walk else { return };
        let leg = walk.legs.iter_mut().find(|leg| leg.is_of(db));
        debug_assert!(leg.is_some(), "a database without a leg has no unseen entries");
        let number = leg.as_ref().map_or(db, |leg| leg.number);
        let begun = leg.and_then(|leg| leg.take_large(&entry));
        walk.detached.push((entry, begun.map_or_else(|| Progress::new(number), |large| large.progress)));
    }

    /// Takes a database over that has been emptied, if anything in it may be unseen.
    pub(crate) fn take_over(&mut self, db: u32, contents: Box<PartitionDb>) -> Option<Box<PartitionDb>> {
        match self.walk.as_mut().and_then(|walk| walk.legs.iter_mut().find(|leg| leg.is_of(db))) {
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

/// Buckets whose entries are loaded together, ahead of the walk.
const WARM_BUCKETS: usize = 8;

/// Starts loading the entries of the next buckets and then what their values consist of; returns the cursor behind them. The walk
/// would otherwise wait for memory twice for each entry: its time went to little else.
fn warm(table: &Table<Entry>, cursor: u64) -> u64 {
    let each = |visit: &mut dyn FnMut(&Entry)| {
        let mut at = cursor;
        for _ in 0..WARM_BUCKETS {
            at = table.scan(at, visit);
            if at == 0 {
                return u64::MAX;
            }
        }
        at
    };
    each(&mut |entry| entry.prefetch());
    each(&mut |entry| {
        if let Payload::Object(object) = entry.payload() {
            object.prefetch();
        }
    })
}

impl Leg {
    /// Whether it goes through database `db` as it is now.
    fn is_of(&self, db: u32) -> bool {
        matches!(self.place, Place::Here(number) if number == db)
    }

    /// Takes a large entry off the list, with what is written of it.
    fn take_large(&mut self, entry: &Entry) -> Option<Large> {
        let at = self.large.iter().position(|large| large.is(entry))?;
        Some(self.large.swap_remove(at))
    }

    fn is_over(&self) -> bool {
        self.is_scanned && self.large.is_empty()
    }

    /// Goes through the next few entries of the table. About how many bytes were written, at least 1.
    fn scan(&mut self, epoch: bool, partition: &mut Partition, out: &mut Out) -> usize {
        let Leg { number, place, large, .. } = self;
        let table = place.table(partition);
        if self.cursor >= self.warm {
            self.warm = warm(table, self.cursor);
        }
        let mut written = 1;
        self.cursor = table.scan_mut(self.cursor, &mut |entry| {
            if entry.epoch() == epoch {
                return;
            }
            if is_large(entry) {
                large.push(Large::new(*number, entry));
                return;
            }
            entry.set_epoch(epoch);
            written += out.write(*number, entry);
        });
        self.is_scanned = self.cursor == 0;
        written
    }

    /// Goes on with the large entry at `at` of the list. About how many bytes were written, at least 1.
    fn write_large(&mut self, at: usize, epoch: bool, bytes: usize, partition: &mut Partition, out: &mut Out) -> usize {
        let large = &mut self.large[at];
        let table = self.place.table(partition);
        // If it has changed since, it was written then; it may also have been come to twice.
        let unseen = table
            .locate(large.hash, |entry| entry.key_eq(&large.key))
            .map(|place| table.at_mut(place))
            .filter(|entry| entry.epoch() != epoch);
        let Some(entry) = unseen else {
            self.large.swap_remove(at);
            return 1;
        };
        let (written, is_more) = large.progress.go_on(entry, bytes, out);
        if !is_more {
            entry.set_epoch(epoch);
            self.large.swap_remove(at);
        }
        written
    }
}

impl Walk {
    /// Whether nothing is left.
    fn is_over(&self) -> bool {
        self.legs.is_empty() && self.detached.is_empty()
    }

    /// Where an urgent entry is: its leg, and its place in the list there.
    fn urgent(&self) -> Option<(usize, usize)> {
        let in_leg = |leg: &Leg| leg.large.iter().position(|large| large.is_urgent);
        self.legs.iter().enumerate().find_map(|(at, leg)| Some((at, in_leg(leg)?)))
    }

    /// Does what is to be done next, for about `bytes` bytes. About how many were written, at least 1.
    fn step(&mut self, epoch: bool, bytes: usize, partition: &mut Partition, trash: &RefCell<Vec<Trash>>) -> usize {
        let Walk { legs, detached, out } = self;
        // What has left the keyspace takes memory.
        if let Some((entry, progress)) = detached.last_mut() {
            let (written, is_more) = progress.go_on(entry, bytes, out);
            if !is_more {
                trash.borrow_mut().extend(detached.pop().map(|(entry, _)| Trash::Entry(entry)));
            }
            return written;
        }
        let Some(leg) = legs.last_mut() else { return 1 };
        let written = match leg.large.len().checked_sub(1) {
            Some(last) => leg.write_large(last, epoch, bytes, partition, out),
            None if leg.is_scanned => 1,
            None => leg.scan(epoch, partition, out),
        };
        if leg.is_over()
            && let Some(Leg { place: Place::Taken(db), .. }) = legs.pop()
        {
            trash.borrow_mut().push(Trash::Db(db));
        }
        written
    }

    /// Goes on with urgent entries until about `bytes` have been written. About how many were.
    fn hurry(&mut self, epoch: bool, bytes: usize, partition: &mut Partition) -> usize {
        let mut written = 0;
        while written < bytes
            && let Some((leg, at)) = self.urgent()
        {
            written += self.legs[leg].write_large(at, epoch, bytes - written, partition, &mut self.out);
        }
        written
    }
}

impl Out {
    /// Appends an entry of database `db`. About how many bytes that were, at least 1.
    fn write(&mut self, db: u32, entry: &Entry) -> usize {
        let before = self.bytes.len();
        if self.selected.replace(db) != Some(db) {
            self.sink.select(db, &mut self.bytes);
        }
        self.sink.write(entry, &mut self.bytes);
        self.keys += 1;
        let written = 1 + self.bytes.len() - before;
        if self.bytes.len() >= BATCH_BYTES {
            self.hand_over();
        }
        written
    }

    fn hand_over(&mut self) {
        if self.keys > 0 {
            self.sink.take(vec![std::mem::take(&mut self.bytes)], std::mem::take(&mut self.keys));
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
        let leg = |number| Leg {
            number,
            place: Place::Here(number),
            cursor: 0,
            warm: 0,
            is_scanned: false,
            large: Vec::new(),
        };
        let legs: Vec<Leg> = self.databases().filter(is_filled).map(leg).collect();
        if legs.is_empty() {
            return false;
        }
        let out = Out { sink: sink.clone(), bytes: Vec::new(), selected: None, keys: 0 };
        self.cut.walk = Some(Box::new(Walk { out, legs, detached: Vec::new() }));
        true
    }

    /// Goes on with a walk until about `bytes` have been written.
    fn walk(&mut self, bytes: usize, trash: &RefCell<Vec<Trash>>) -> Step {
        let Some(mut walk) = self.cut.walk.take() else { return Step::Done };
        let epoch = self.cut.epoch;
        let mut written = walk.hurry(epoch, bytes, self);
        while !walk.is_over() {
            if written >= bytes {
                self.cut.walk = Some(walk);
                return Step::More;
            }
            written += walk.step(epoch, bytes - written, self, trash);
        }
        walk.out.hand_over();
        walk.out.sink.partition_done();
        Step::Done
    }

    /// Goes on with urgent entries until about `bytes` have been written.
    fn hurry(&mut self, bytes: usize) -> Step {
        let Some(mut walk) = self.cut.walk.take() else { return Step::Done };
        walk.hurry(self.cut.epoch, bytes, self);
        let step = if walk.urgent().is_some() { Step::More } else { Step::Done };
        self.cut.walk = Some(walk);
        step
    }

    /// Whether the unseen entry of a key is better written before it is changed; then it is urgent.
    fn make_urgent(&mut self, db: u32, key: &Key<'_>, expiry_ms: u64) -> bool {
        let Some(place) = self.db(db).and_then(|db| db.table.locate(key.hash, |entry| entry.key_eq(key.name))) else {
            return false;
        };
        let epoch = self.cut.epoch;
        let (part, _, cut) = self.site(db);
        let entry = part.table.at(place);
        let Some(walk) = &mut cut.walk else { return false };
        // One that has expired is not changed but removed.
        let is_gone = entry.expire_at_ms().is_some_and(|at_ms| at_ms < expiry_ms);
        if entry.epoch() == epoch || is_gone || !is_vast(entry) {
            return false;
        }
        let Some(leg) = walk.legs.iter_mut().find(|leg| leg.is_of(db)) else { return false };
        let large = match leg.large.iter().position(|large| large.is(entry)) {
            Some(at) => &mut leg.large[at],
            None => {
                leg.large.push(Large::new(leg.number, entry));
                leg.large.last_mut().expect("pushed a moment ago")
            }
        };
        large.is_urgent = true;
        true
    }
}

impl Db<'_> {
    /// Begins a snapshot of everything as it is now; all partitions must be locked, and no other snapshot be under way. Returns
    /// how many partitions there are to walk through: so often the sink is told that one is done.
    pub fn begin_snapshot(&mut self, sink: &Arc<dyn Sink>) -> usize {
        let mut walks = 0;
        for index in 0..self.keyspace.partitions() {
            let is_filled = self.locked.partition_mut(index).begin_walk(sink);
            self.keyspace.note_walk(index, is_filled);
            walks += usize::from(is_filled);
        }
        walks
    }

    /// Whether a command that is going to change the value of `key`, whose partition is locked, should wait until the snapshot
    /// that is under way has written it. The walk does that next then, see [`Keyspace::hurry_step`].
    pub fn hurry_snapshot(&mut self, key: &Key<'_>) -> bool {
        let partition = self.locked.partition_mut(self.keyspace.partition_of(key));
        partition.cut.is_open() && partition.make_urgent(self.index, key, self.env.expiry_ms)
    }
}

impl Keyspace {
    /// Goes on with the snapshot in partition `index` until about `bytes` more have been written. What is to be freed goes to
    /// `trash`.
    pub fn snapshot_step(&self, index: usize, bytes: usize, trash: &RefCell<Vec<Trash>>) -> Step {
        let Some(mut partition) = self.try_lock(index) else { return Step::Locked };
        let step = partition.walk(bytes, trash);
        if step == Step::Done {
            self.note_walk(index, false);
        }
        // The next step comes soon.
        partition.unlock_fairly();
        step
    }

    /// Goes on with those values in partition `index` that somebody waits for, until about `bytes` more have been written; with 0
    /// it merely looks. [`Step::Done`]: nobody needs to wait any more.
    pub fn hurry_step(&self, index: usize, bytes: usize) -> Step {
        let Some(mut partition) = self.try_lock(index) else { return Step::Locked };
        let step = partition.hurry(bytes);
        partition.unlock_fairly();
        step
    }
}

#[cfg(test)]
mod tests;
