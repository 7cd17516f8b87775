//! The write door: the only way to change a stored value.
//!
//! A change has this order, and everything that must accompany every change belongs at one of its steps:
//!
//! 1. *expire*: a key whose time has come is removed first ([`Db::live`]);
//! 2. *before*: [`Site::before_change`] sees the entry as it was. A running snapshot writes it here if it has not yet. A large one
//!    that is removed or overwritten goes to the snapshot instead ([`Site::discard`]);
//! 3. the change itself;
//! 4. *after*: [`Env::changed`] records it: dirty counter, observer. Watched keys, client tracking and waiting clients are told
//!    here. The journal is told of what nobody asked for ([`crate::effects`]), and by the command of all else.
//!
//! Collections are changed through an [`Update`] guard and strings through a [`StringUpdate`]; when a guard goes out of
//! scope it does step 4, keeps the expiry index true and removes the key if nothing is left in it. A guard must be told
//! what happened, [`Update::changed`] or [`Update::unchanged`]; one that was told neither fails in debug builds.

use crate::interest::Interests;
use crate::object::{self, Object, Text, Value, ValueType, WrongType};
use crate::partition::{PartitionDb, is_heavy};
use crate::snapshot::Cut;
use crate::{Db, Entry, Env, Event, Key, Keyspace, Trash, Ttl, access};
use kinovar_ds::entry::NewPayload;
use kinovar_ds::table::Position;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

mod evict;
mod load;

impl Env<'_> {
    /// Takes an entry that left the keyspace: frees it, now or in the background.
    fn discard(&self, entry: Entry) {
        if is_heavy(&entry) {
            self.stats.lazy_freed.add(1);
            self.work.trash.borrow_mut().push(Trash::Entry(entry));
        }
    }

    /// Takes a value that left the keyspace.
    fn discard_object(&self, object: Object) {
        if object.free_effort() > object::FREE_INLINE_MAX {
            self.stats.lazy_freed.add(1);
            self.work.trash.borrow_mut().push(Trash::Object(object));
        }
    }
}

/// An entry on its way from one key to another.
pub struct Moving {
    entry: Entry,
    /// The key it has left, and what that is called; only where somebody is to be told.
    left: Option<(u32, Box<[u8]>, Event)>,
}

/// Where a guard works: a locked partition's part of a database.
pub(crate) struct Site<'d> {
    keyspace: &'d Keyspace,
    partition: usize,
    pub(crate) db: &'d mut PartitionDb,
    interests: &'d mut Interests,
    cut: &'d mut Cut,
    db_index: u32,
    pub(crate) env: &'d Env<'d>,
}

impl Site<'_> {
    /// Step 2: the entry at `place` is about to be changed or removed.
    #[inline]
    fn before_change(&mut self, place: Position) {
        if self.cut.is_open() {
            self.cut.keep(self.db_index, self.db.table.at_mut(place));
        }
    }

    /// Adds an entry whose key is absent.
    fn insert(&mut self, hash: u64, mut entry: Entry) -> Position {
        if entry.epoch() != self.cut.epoch {
            entry.set_epoch(self.cut.epoch);
        }
        if let Some(at_ms) = entry.expire_at_ms() {
            self.db.expires.insert(at_ms, hash);
            self.keyspace.note_key_due(self.partition, at_ms);
        }
        let place = self.db.table.insert_located(hash, entry);
        self.publish_table();
        place
    }

    /// Takes an entry out, indexes included, to be put elsewhere.
    fn remove(&mut self, hash: u64, place: Position) -> Entry {
        self.before_change(place);
        self.take_out(hash, place)
    }

    /// Takes an entry out for good. A large one that a snapshot has not written yet goes there.
    fn discard(&mut self, hash: u64, place: Position) {
        if self.cut.lacks_large(self.db.table.at(place)) {
            let entry = self.take_out(hash, place);
            self.env.stats.lazy_freed.add(u64::from(is_heavy(&entry)));
            self.cut.adopt(self.db_index, entry);
        } else {
            let entry = self.remove(hash, place);
            self.env.discard(entry);
        }
    }

    fn take_out(&mut self, hash: u64, place: Position) -> Entry {
        let entry = self.db.table.remove_at(place);
        if let Some(at_ms) = entry.expire_at_ms() {
            self.db.expires.remove(at_ms, hash);
        }
        if let kinovar_ds::entry::Payload::Object(Object::Hash(value)) = entry.payload()
            && let Some(at_ms) = value.next_expiry_ms()
        {
            self.db.field_expires.remove(at_ms, hash);
        }
        self.publish_table();
        entry
    }

    /// Puts an entry in the place of what the key held, if anything, under the key's name.
    fn replace_entry(&mut self, key: &Key<'_>, place: Option<Position>, entry: Entry) -> Position {
        if let Some(place) = place {
            self.discard(key.hash, place);
        }
        let entry = if entry.key() == key.name { entry } else { object::renamed(entry, key.name) };
        let field_expiry = match entry.payload() {
            kinovar_ds::entry::Payload::Object(Object::Hash(value)) => value.next_expiry_ms(),
            _ => None,
        };
        let place = self.insert(key.hash, entry);
        self.fields_changed(key.hash, None, field_expiry);
        place
    }

    /// Step 1: removes a key whose time has come.
    #[cold]
    fn expire(&mut self, key: &Key<'_>, place: Position) {
        self.env.stats.expired_keys.add(1);
        self.give_up(key, place, self.env.settings.word_of_expiry(), Event::EXPIRED);
    }

    /// Removes a key that no command has removed; to the journal it is `word` that does so.
    fn give_up(&mut self, key: &Key<'_>, place: Position, word: &[u8], event: Event) {
        self.discard(key.hash, place);
        self.env.work.effects.note(self.db_index, &[word, key.name]);
        if self.interests.any() {
            tell_interested(self.interests, self.keyspace, self.env, self.db_index, key.hash, key.name, true);
        }
        tell_observer(self.env, self.db_index, key.name, event);
    }

    /// Changes when the key at `place` expires.
    fn set_expiry(&mut self, hash: u64, place: Position, at_ms: Option<u64>) {
        let entry = self.db.table.at_mut(place);
        let before = entry.expire_at_ms();
        if before == at_ms {
            return;
        }
        entry.set_expire(at_ms);
        if before.is_none() {
            object::note_expiry(entry);
        }
        self.db.expires.change(hash, before, at_ms);
        if let Some(at_ms) = at_ms {
            self.keyspace.note_key_due(self.partition, at_ms);
        }
    }

    /// Keeps the index of hashes with expiring fields true after one of them changed.
    fn fields_changed(&mut self, hash: u64, before: Option<u64>, after: Option<u64>) {
        self.db.field_expires.change(hash, before, after);
        if let Some(at_ms) = after {
            self.keyspace.note_due(self.partition, at_ms);
        }
    }

    #[inline]
    fn publish_table(&self) {
        if self.db_index == 0 {
            self.keyspace.note_table(self.partition, self.db.table.hint());
        }
    }

    /// Counts a reading lookup that did not find its key, and tells the observer of it.
    #[inline]
    pub(crate) fn missed(&self, key: &Key<'_>) {
        self.env.stats.misses.add(1);
        if let Some(observer) = self.env.observer {
            observer.changed(self.db_index, key.name, Event::KEY_MISS);
        }
    }

    /// Step 4, where the key still exists.
    #[inline]
    fn changed(&mut self, hash: u64, place: Position, event: Event, count: u64) {
        self.env.stats.dirty.add(count);
        if self.interests.any() || self.env.observer.is_some() {
            let name = self.db.table.at(place).key();
            tell_interested(self.interests, self.keyspace, self.env, self.db_index, hash, name, false);
            tell_observer(self.env, self.db_index, name, event);
        }
    }

    /// Step 4, where the key still exists and the type of its value has no events.
    fn changed_in_place(&mut self, hash: u64, place: Position, count: u64) {
        self.env.stats.dirty.add(count);
        if self.interests.any() {
            let name = self.db.table.at(place).key();
            tell_interested(self.interests, self.keyspace, self.env, self.db_index, hash, name, false);
        }
    }

    /// Step 4, where the key may be gone.
    #[inline]
    fn changed_key(&mut self, hash: u64, name: &[u8], event: Event, count: u64) {
        self.changed_silently(hash, name, count);
        tell_observer(self.env, self.db_index, name, event);
    }

    /// Step 4, where the observer is told elsewhere.
    #[inline]
    fn changed_silently(&mut self, hash: u64, name: &[u8], count: u64) {
        self.env.stats.dirty.add(count);
        if self.interests.any() {
            tell_interested(self.interests, self.keyspace, self.env, self.db_index, hash, name, false);
        }
    }

    /// Step 4 of a change that is none to those who watch the key or wait for it: of what is kept beside the value proper.
    fn noted(&self, place: Position, event: Option<Event>, count: u64) {
        self.env.stats.dirty.add(count);
        if let (Some(observer), Some(event)) = (self.env.observer, event) {
            observer.changed(self.db_index, self.db.table.at(place).key(), event);
        }
    }

    /// Tells the observer that the key at `place` was not there before.
    #[inline]
    fn made(&self, place: Position) {
        if let Some(observer) = self.env.observer {
            observer.changed(self.db_index, self.db.table.at(place).key(), Event::NEW);
        }
    }

    /// Tells the observer that the value at `place` is about to be replaced by one of type `next`.
    #[inline]
    fn overwriting(&self, place: Position, next: ValueType) {
        if let Some(observer) = self.env.observer {
            let entry = self.db.table.at(place);
            observer.changed(self.db_index, entry.key(), Event::OVERWRITTEN);
            if object::value_type(entry) != next {
                observer.changed(self.db_index, entry.key(), Event::TYPE_CHANGED);
            }
        }
    }
}

/// Tells those who watch a key, wait for it or may have it in their caches. `alone`: the change is nobody's doing, its time had
/// come.
#[cold]
fn tell_interested(
    interests: &mut Interests,
    keyspace: &Keyspace,
    env: &Env<'_>,
    db: u32,
    hash: u64,
    name: &[u8],
    alone: bool,
) {
    interests.changed(db, hash, name, &mut env.work.ready.borrow_mut());
    interests.stale(hash, name, &keyspace.read_counts, env.work, alone);
}

#[inline]
fn tell_observer(env: &Env<'_>, db: u32, name: &[u8], event: Event) {
    if let Some(observer) = env.observer {
        observer.changed(db, name, event);
    }
}

impl Db<'_> {
    #[inline]
    fn site(&mut self, key: &Key<'_>) -> Site<'_> {
        let partition = self.keyspace.partition_of(key);
        self.depend_on_key(partition, key);
        let (db, interests, cut) = self.locked.partition_mut(partition).site(self.index);
        Site { keyspace: self.keyspace, partition, db, interests, cut, db_index: self.index, env: &self.env }
    }

    /// The site of `key`, and its place if it is there and has not expired.
    #[inline]
    pub(crate) fn site_live(&mut self, key: &Key<'_>) -> (Site<'_>, Option<Position>) {
        let mut site = self.site(key);
        let mut place = site.db.table.locate(key.hash, |entry| entry.key_eq(key.name));
        if let Some(found) = place
            && let Some(at_ms) = site.db.table.at(found).expire_at_ms()
            && at_ms < site.env.expiry_ms
        {
            site.expire(key, found);
            place = None;
        }
        (site, place)
    }

    /// Opens a collection of type `T` to be changed; `None` when the key is absent.
    pub fn update<T: Value>(&mut self, key: &Key<'_>) -> Result<Option<Update<'_, T>>, WrongType> {
        let (site, place) = self.site_live(key);
        place.map(|place| Update::open(site, key.hash, place)).transpose()
    }

    /// Like [`Db::update`], for commands that count as readers: a hit or a miss.
    pub fn read_to_update<T: Value>(&mut self, key: &Key<'_>) -> Result<Option<Update<'_, T>>, WrongType> {
        let (site, place) = self.site_live(key);
        match place {
            Some(_) => site.env.stats.hits.add(1),
            None => site.missed(key),
        }
        place.map(|place| Update::open(site, key.hash, place)).transpose()
    }

    /// Opens a collection of type `T` to be changed, making it first when the key is absent.
    pub fn upsert<T: Value>(&mut self, key: &Key<'_>, make: impl FnOnce() -> T) -> Result<Update<'_, T>, WrongType> {
        let (mut site, place) = self.site_live(key);
        let place = match place {
            Some(place) => place,
            None => {
                let meta = access::initial(site.env.now_ms, site.env.settings);
                let payload = NewPayload::Object(make().into_object());
                let place = site.insert(key.hash, Entry::new(key.name, payload, None, Some(meta)));
                site.made(place);
                place
            }
        };
        Update::open(site, key.hash, place)
    }

    /// Opens a string to be changed; `None` when the key is absent.
    #[inline]
    pub fn update_text(&mut self, key: &Key<'_>) -> Result<Option<StringUpdate<'_>>, WrongType> {
        let (site, place) = self.site_live(key);
        place.map(|place| StringUpdate::open(site, key.hash, place)).transpose()
    }

    /// Like [`Db::update_text`], for commands that count as readers: a hit or a miss.
    pub fn read_text_to_update(&mut self, key: &Key<'_>) -> Result<Option<StringUpdate<'_>>, WrongType> {
        let (site, place) = self.site_live(key);
        match place {
            Some(_) => site.env.stats.hits.add(1),
            None => site.missed(key),
        }
        place.map(|place| StringUpdate::open(site, key.hash, place)).transpose()
    }

    /// Opens a string to be changed, making it of `initial` first when the key is absent; whether it was made.
    #[inline]
    pub fn upsert_text(
        &mut self,
        key: &Key<'_>,
        initial: NewPayload<'_, Object>,
    ) -> Result<(StringUpdate<'_>, bool), WrongType> {
        let (mut site, place) = self.site_live(key);
        if let Some(place) = place {
            return Ok((StringUpdate::open(site, key.hash, place)?, false));
        }
        let meta = access::initial(site.env.now_ms, site.env.settings);
        let place = site.insert(key.hash, Entry::new(key.name, initial, None, Some(meta)));
        site.made(place);
        Ok((StringUpdate { site, hash: key.hash, place, event: None }, true))
    }

    /// Sets a string, whatever the key held; event `set`, and `expire` when `ttl` names a time.
    #[inline]
    pub fn set_text(&mut self, key: &Key<'_>, value: &[u8], ttl: Ttl) {
        // An expired key may be overwritten like any other: nobody can tell the difference, but its old expiry must not
        // be kept.
        let (mut site, place) = self.site_live(key);
        let at_ms = match ttl {
            Ttl::At(at_ms) => Some(at_ms),
            Ttl::Keep | Ttl::Clear => None,
        };
        let place = match place {
            Some(place) => {
                site.overwriting(place, ValueType::String);
                let expires = site.replace_payload(key.hash, place, value);
                if expires && ttl != Ttl::Clear {
                    object::note_embedding(site.db.table.at_mut(place));
                }
                if (expires || at_ms.is_some()) && ttl != Ttl::Keep {
                    site.set_expiry(key.hash, place, at_ms);
                }
                place
            }
            None => {
                let meta = access::initial(site.env.now_ms, site.env.settings);
                let mut entry = Entry::new(key.name, crate::string::payload(value), at_ms, Some(meta));
                if at_ms.is_some() {
                    object::note_expiry(&mut entry);
                }
                let place = site.insert(key.hash, entry);
                site.made(place);
                place
            }
        };
        site.changed(key.hash, place, Event { class: crate::EventClass::String, name: "set" }, 1);
        if at_ms.is_some() {
            site.changed(key.hash, place, Event::generic("expire"), 0);
        }
    }

    /// Puts a collection under `key`, whatever it held, without expiry; an empty one deletes the key. Returns whether the
    /// key exists now.
    pub fn store<T: Value>(&mut self, key: &Key<'_>, value: T, event: &'static str) -> bool {
        if value.is_empty() {
            self.delete(key);
            return false;
        }
        self.put(
            key,
            NewPayload::Object(value.into_object()),
            None,
            Event { class: T::TYPE.event_class().expect("only types with events are stored"), name: event },
        );
        true
    }

    /// Puts any value under `key`, whatever it held.
    pub fn put(&mut self, key: &Key<'_>, payload: NewPayload<'_, Object>, expire_at_ms: Option<u64>, event: Event) {
        let meta = access::initial(self.env.now_ms, self.env.settings);
        let mut entry = Entry::new(key.name, payload, expire_at_ms, Some(meta));
        object::note_embedding(&mut entry);
        self.put_entry(key, entry, event);
    }

    /// Puts a string that was computed under `key`, whatever it held, without expiry. Kept as text even if it is an integer's.
    pub fn put_computed(&mut self, key: &Key<'_>, value: Vec<u8>, event: &'static str) {
        let meta = access::initial(self.env.now_ms, self.env.settings);
        let payload = match value.len() {
            ..=crate::string::INLINE_MAX => NewPayload::Bytes(&value),
            _ => NewPayload::Object(Object::Raw(value)),
        };
        let mut entry = Entry::new(key.name, payload, None, Some(meta));
        entry.set_raw(true);
        self.put_entry(key, entry, Event { class: crate::EventClass::String, name: event });
    }

    fn put_entry(&mut self, key: &Key<'_>, entry: Entry, event: Event) {
        let (mut site, place) = self.site_live(key);
        if let Some(place) = place {
            site.overwriting(place, object::value_type(&entry));
        }
        let is_new = place.is_none();
        let place = site.replace_entry(key, place, entry);
        if is_new {
            site.made(place);
        }
        site.changed(key.hash, place, event, 1);
    }

    /// Puts a value that was serialised under `key`, whatever it held: to an observer the key is new in any case. `meta` is its
    /// access clock. Event `restore`.
    pub fn put_restored(
        &mut self,
        key: &Key<'_>,
        payload: NewPayload<'_, Object>,
        expire_at_ms: Option<u64>,
        meta: u32,
    ) {
        let mut entry = Entry::new(key.name, payload, expire_at_ms, Some(meta));
        match expire_at_ms {
            Some(_) => object::note_expiry(&mut entry),
            None => object::note_embedding(&mut entry),
        }
        let (mut site, place) = self.site_live(key);
        let place = site.replace_entry(key, place, entry);
        site.made(place);
        site.changed(key.hash, place, Event::generic("restore"), 1);
    }

    /// Puts a copy of another entry under `key`, whatever the key held. It keeps that entry's expiry.
    pub fn put_copy(&mut self, key: &Key<'_>, mut entry: Entry, event: Event) {
        object::note_embedding(&mut entry);
        self.put_elsewhere(key, Moving { entry, left: None }, event, 1);
    }

    /// Puts an entry that was [taken](Db::take) under `key`, which becomes its name, whatever the key held. It keeps its expiry
    /// and access clock. Together they are one change, which was counted there.
    pub fn put_moved(&mut self, key: &Key<'_>, moving: Moving, event: Event) {
        self.put_elsewhere(key, moving, event, 0);
    }

    /// Here an observer hears of the new key first, and of what it has replaced last.
    fn put_elsewhere(&mut self, key: &Key<'_>, moving: Moving, event: Event, count: u64) {
        let Moving { entry, left } = moving;
        let (mut site, place) = self.site_live(key);
        let before = place.map(|place| object::value_type(site.db.table.at(place)));
        let after = object::value_type(&entry);
        let place = site.replace_entry(key, place, entry);
        site.made(place);
        if let (Some((db, name, event)), Some(observer)) = (left, site.env.observer) {
            observer.changed(db, &name, event);
        }
        site.changed(key.hash, place, event, count);
        if let (Some(before), Some(observer)) = (before, site.env.observer) {
            observer.changed(site.db_index, key.name, Event::OVERWRITTEN);
            if before != after {
                observer.changed(site.db_index, key.name, Event::TYPE_CHANGED);
            }
        }
    }

    /// Takes a key with its value out of the database, to be put elsewhere. `event` is what it is called here.
    pub fn take(&mut self, key: &Key<'_>, event: Event) -> Option<Moving> {
        let (mut site, place) = self.site_live(key);
        let entry = site.remove(key.hash, place?);
        site.changed_silently(key.hash, key.name, 1);
        let left = site.env.observer.map(|_| (site.db_index, key.name.into(), event));
        Some(Moving { entry, left })
    }

    /// Tells those who watch `key`, or may have it in their caches, that it was opened to be changed: where the reference tells them
    /// although nothing came of it.
    pub fn tell_opened(&mut self, key: &Key<'_>) {
        let (mut site, _) = self.site_live(key);
        site.changed_silently(key.hash, key.name, 0);
    }

    /// Deletes a key; whether it existed. Large values are freed in the background. O(1).
    pub fn delete(&mut self, key: &Key<'_>) -> bool {
        let (mut site, place) = self.site_live(key);
        let Some(place) = place else { return false };
        site.discard(key.hash, place);
        site.changed_key(key.hash, key.name, Event::DEL, 1);
        true
    }

    /// Sets or removes a key's expiry; whether the key exists. Event `expire` or `persist`.
    pub fn set_expiry(&mut self, key: &Key<'_>, at_ms: Option<u64>) -> bool {
        let (mut site, place) = self.site_live(key);
        let Some(place) = place else { return false };
        site.before_change(place);
        site.set_expiry(key.hash, place, at_ms);
        site.changed(key.hash, place, Event::generic(if at_ms.is_some() { "expire" } else { "persist" }), 1);
        true
    }

    /// Empties database `index`; all partitions must be locked. Returns how many keys there were. What was in it is freed
    /// in the background.
    pub fn clear(&mut self, index: u32) -> usize {
        let mut keys = 0;
        self.env.work.effects.touched.add_all();
        for partition in 0..self.keyspace.partitions() {
            let part = self.locked.partition_mut(partition);
            part.note_all(index, index, self.env.expiry_ms, &mut self.env.work.ready.borrow_mut());
            part.interests.forget_readers(&self.keyspace.read_counts);
            let db = std::mem::take(part.db_mut(index));
            if index == 0 {
                self.keyspace.note_table(partition, PartitionDb::default().table.hint());
            }
            keys += db.len();
            if !db.is_empty()
                && let Some(db) = part.cut.take_over(index, Box::new(db))
            {
                self.env.work.trash.borrow_mut().push(Trash::Db(db));
            }
        }
        self.env.stats.lazy_freed.add(keys as u64);
        self.env.stats.dirty.add(keys as u64);
        keys
    }

    /// Exchanges two databases; all partitions must be locked.
    pub fn swap(&mut self, a: u32, b: u32) {
        self.env.work.effects.touched.add_all();
        for index in 0..self.keyspace.partitions() {
            let partition = self.locked.partition_mut(index);
            let mut ready = self.env.work.ready.borrow_mut();
            partition.note_all(a, b, self.env.expiry_ms, &mut ready);
            partition.note_all(b, a, self.env.expiry_ms, &mut ready);
            partition.swap(a, b);
            self.keyspace.note_table(index, partition.db(0).expect("database 0 always exists").table.hint());
        }
        self.env.stats.dirty.add(1);
    }

    /// Removes up to `budget` keys and fields of partition `index` (which is locked here) whose time has come, in every
    /// database. Returns how many; less than `budget` when nothing is left to do. `None` when the rest has to wait: somebody else
    /// has locked it, maybe a script that takes long, or a snapshot is to write a large hash before its fields are removed.
    pub fn expire_due(&mut self, index: usize, budget: usize) -> Option<usize> {
        self.unlock();
        if !self.try_lock_also(index) {
            return None;
        }
        let selected = self.index;
        let (mut removed, mut waits) = (0, false);
        for database in self.locked.partition(index).databases() {
            self.index = database;
            while removed < budget && self.expire_next(index) {
                removed += 1;
                // Each for itself: nothing holds them together.
                self.tell_journal();
            }
            while removed < budget {
                match self.expire_next_fields(index, budget - removed) {
                    Fields::Removed(fields) => removed += fields.max(1),
                    Fields::Wait => {
                        waits = true;
                        break;
                    }
                    Fields::NotDue => break,
                }
            }
        }
        self.index = selected;
        self.tell_journal();
        let next_ms = self.locked.partition(index).next_due_ms();
        self.keyspace.set_due(index, next_ms);
        (!waits || removed >= budget).then_some(removed)
    }

    /// Removes the first key of a partition that is due.
    fn expire_next(&mut self, index: usize) -> bool {
        let now_ms = self.env.now_ms;
        let db = self.locked.partition_mut(index).db_mut(self.index);
        let Some((at_ms, hash)) = db.expires.pop_due(now_ms.saturating_sub(1)) else { return false };
        if let Some(place) = db.table.locate(hash, |entry| entry.expire_at_ms() == Some(at_ms) && entry.hash() == hash)
        {
            let name = db.table.at(place).key().to_vec();
            let key = Key { hash, ..Key::new(&name) };
            self.site(&key).expire(&key, place);
        }
        true
    }

    /// Removes up to `max` expired fields of the first hash of a partition that has any.
    fn expire_next_fields(&mut self, index: usize, max: usize) -> Fields {
        let now_ms = self.env.now_ms;
        let db = self.locked.partition_mut(index).db_mut(self.index);
        let Some((at_ms, hash)) = db.field_expires.pop_due(now_ms.saturating_sub(1)) else { return Fields::NotDue };
        let is_due = |entry: &Entry| {
            let expires = |value: &crate::hash::Hash| value.next_expiry_ms() == Some(at_ms);
            entry.hash() == hash && object::value::<crate::hash::Hash>(entry).is_ok_and(expires)
        };
        let Some(place) = db.table.locate(hash, is_due) else { return Fields::Removed(0) };
        let name = db.table.at(place).key().to_vec();
        // Put back: the guard expects the index to be true.
        db.field_expires.insert(at_ms, hash);
        let key = Key { hash, ..Key::new(&name) };
        if self.hurry_snapshot(&key) {
            return Fields::Wait;
        }
        let Ok(Some(mut update)) = self.update::<crate::hash::Hash>(&key) else { return Fields::NotDue };
        let removed = update.remove_due(now_ms, max);
        update.expired(removed);
        Fields::Removed(removed)
    }
}

/// What came of removing fields whose time has come.
enum Fields {
    /// So many were removed.
    Removed(usize),
    /// They will be removed when a snapshot has written the hash.
    Wait,
    /// There is none.
    NotDue,
}

impl Site<'_> {
    /// Overwrites the string at `place` by another that is kept as text.
    fn replace_literal(&mut self, hash: u64, place: Position, value: &[u8]) {
        if value.len() > crate::string::INLINE_MAX {
            self.replace_payload(hash, place, value);
            return;
        }
        let entry = self.db.table.at_mut(place);
        match entry.payload() {
            kinovar_ds::entry::Payload::Object(_) => drop(entry.replace_payload(NewPayload::Bytes(value))),
            _ => entry.set_bytes(value),
        }
        entry.set_raw(false);
        object::note_embedding(entry);
    }

    /// Overwrites what the entry at `place` holds by a string; whether it expires.
    #[inline]
    fn replace_payload(&mut self, hash: u64, place: Position, value: &[u8]) -> bool {
        if matches!(self.db.table.at(place).payload(), kinovar_ds::entry::Payload::Object(_)) {
            self.replace_object(hash, place, value);
        } else {
            self.before_change(place);
            crate::string::overwrite(self.db.table.at_mut(place), value);
        }
        let entry = self.db.table.at_mut(place);
        entry.set_raw(false);
        self.env.touch(entry);
        entry.expire_at_ms().is_some()
    }

    /// The same where the entry holds something that may have to be freed elsewhere, or written by a snapshot.
    #[cold]
    fn replace_object(&mut self, hash: u64, place: Position, value: &[u8]) {
        let goes_to_snapshot = self.cut.lacks_large(self.db.table.at(place));
        if goes_to_snapshot {
            self.db.table.at_mut(place).set_epoch(self.cut.epoch);
        } else {
            self.before_change(place);
        }
        let entry = self.db.table.at_mut(place);
        let Some(old) = entry.replace_payload(crate::string::payload(value)) else { return };
        let field_expiry = match &old {
            Object::Hash(fields) => fields.next_expiry_ms(),
            _ => None,
        };
        if goes_to_snapshot {
            self.env.stats.lazy_freed.add(u64::from(old.free_effort() > object::FREE_INLINE_MAX));
            let old = NewPayload::Object(old);
            self.cut.adopt(self.db_index, Entry::new(entry.key(), old, entry.expire_at_ms(), Some(entry.meta())));
        } else {
            self.env.discard_object(old);
        }
        if field_expiry.is_some() {
            self.fields_changed(hash, field_expiry, None);
        }
    }
}

/// A collection opened to be changed.
pub struct Update<'d, T: Value> {
    site: Site<'d>,
    hash: u64,
    place: Position,
    event: Option<(&'static str, u64)>,
    /// What the index of expiring fields says now.
    indexed_expiry_ms: Option<u64>,
    told: bool,
    value: PhantomData<T>,
}

impl<'d, T: Value> Update<'d, T> {
    #[inline]
    fn open(mut site: Site<'d>, hash: u64, place: Position) -> Result<Self, WrongType> {
        let indexed_expiry_ms = object::value::<T>(site.db.table.at(place))?.next_expiry_ms();
        site.before_change(place);
        site.env.touch(site.db.table.at(place));
        Ok(Update { site, hash, place, event: None, indexed_expiry_ms, told: false, value: PhantomData })
    }

    /// Says that the value changed: by `event`, in `count` places (what `rdb_changes_since_last_save` counts). May be said
    /// several times, in order.
    pub fn changed(&mut self, event: &'static str, count: usize) {
        self.tell_pending();
        self.event = Some((event, count as u64));
        self.told = true;
    }

    /// Says that something beside the value proper changed (a stream's groups), which nobody watches or waits for: maybe by
    /// an event, in `count` places.
    pub fn noted(&mut self, event: Option<&'static str>, count: usize) {
        self.tell_pending();
        let event = event.zip(T::TYPE.event_class()).map(|(name, class)| Event { class, name });
        self.site.noted(self.place, event, count as u64);
        self.told = true;
    }

    /// Lets those look again who wait for the key.
    pub fn call_waiters(&mut self) {
        let name = self.site.db.table.at(self.place).key();
        self.site.interests.called(self.site.db_index, self.hash, name, &mut self.site.env.work.ready.borrow_mut());
    }

    /// Tells of the change that was said last, which is otherwise told at the end.
    fn tell_pending(&mut self) {
        if let Some((name, count)) = self.event.take() {
            match T::TYPE.event_class() {
                Some(class) => self.site.changed(self.hash, self.place, Event { class, name }, count),
                None => self.site.changed_in_place(self.hash, self.place, count),
            }
        }
    }

    /// Says that the value did not change after all.
    pub fn unchanged(&mut self) {
        self.told = true;
    }

    /// What surrounds the command.
    pub fn env(&self) -> Env<'d> {
        *self.site.env
    }

    /// Drops a value that was taken out of the collection's place, in the background if it is large.
    pub fn discard(&self, value: T) {
        self.site.env.discard_object(value.into_object());
    }
}

impl Update<'_, crate::Hash> {
    /// Removes a field if it has expired; whether it had. The journal hears of it.
    pub fn remove_expired(&mut self, name: &[u8], now_ms: u64) -> bool {
        let hash: &mut crate::Hash = self;
        let removed = hash.remove_expired(name, now_ms);
        if removed {
            self.tell_removed(name);
        }
        removed
    }

    /// Removes up to `max` fields whose time has come, and returns how many. The journal hears of each for itself: nothing holds
    /// them together.
    fn remove_due(&mut self, now_ms: u64, max: usize) -> usize {
        let effects = &self.site.env.work.effects;
        let is_on = effects.is_on();
        let mut names = Vec::new();
        let hash: &mut crate::Hash = self;
        let removed = hash.expire_fields(now_ms, max, &mut |name| {
            if is_on {
                names.push(name.to_vec());
            }
        });
        for name in names {
            self.tell_removed(&name);
            effects.hand_over();
        }
        removed
    }

    #[cold]
    fn tell_removed(&self, field: &[u8]) {
        let key = self.site.db.table.at(self.place).key();
        self.site.env.work.effects.note(self.site.db_index, &[b"HDEL", key, field]);
    }

    /// Says that so many fields were removed because their time had come.
    pub fn expired(&mut self, fields: usize) {
        self.site.env.stats.expired_fields.add(fields as u64);
        self.changed("hexpired", 0);
    }
}

impl<T: Value> Deref for Update<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        object::value(self.site.db.table.at(self.place)).unwrap_or_else(|_| unreachable!("the type was checked"))
    }
}

impl<T: Value> DerefMut for Update<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        let object = self.site.db.table.at_mut(self.place).object_mut().expect("the type was checked");
        T::from_object_mut(object).expect("the type was checked")
    }
}

impl<T: Value> Drop for Update<'_, T> {
    fn drop(&mut self) {
        debug_assert!(self.told || std::thread::panicking(), "a write must say whether it changed anything");
        let value: &T = self;
        let (is_empty, expiry_ms) = (value.is_empty(), value.next_expiry_ms());
        self.site.fields_changed(self.hash, self.indexed_expiry_ms, expiry_ms);
        self.tell_pending();
        if is_empty {
            let entry = self.site.remove(self.hash, self.place);
            match T::TYPE.event_class() {
                Some(_) => self.site.changed_key(self.hash, entry.key(), Event::DEL, 0),
                None => self.site.changed_silently(self.hash, entry.key(), 0),
            }
        }
    }
}

/// A string opened to be changed.
pub struct StringUpdate<'d> {
    site: Site<'d>,
    hash: u64,
    place: Position,
    event: Option<&'static str>,
}

impl<'d> StringUpdate<'d> {
    #[inline]
    fn open(mut site: Site<'d>, hash: u64, place: Position) -> Result<Self, WrongType> {
        object::text(site.db.table.at(place))?;
        site.before_change(place);
        site.env.touch(site.db.table.at(place));
        Ok(StringUpdate { site, hash, place, event: None })
    }

    /// Says that the string changed although no method here said so: it was just made, or changed in place.
    #[inline]
    pub fn changed(&mut self, event: &'static str) {
        self.event = Some(event);
    }

    /// The same of `count` changes.
    pub fn changed_often(&mut self, event: &'static str, count: usize) {
        self.event = Some(event);
        self.site.env.stats.dirty.add((count as u64).saturating_sub(1));
    }

    /// The string as it is now.
    #[inline]
    pub fn text(&self) -> Text<'_> {
        object::text(self.entry()).unwrap_or_else(|_| unreachable!("the type was checked"))
    }

    /// The whole entry.
    pub fn entry(&self) -> &Entry {
        self.site.db.table.at(self.place)
    }

    /// Replaces the string by the text of an integer; the expiry stays.
    #[inline]
    pub fn set_int(&mut self, value: i64, event: &'static str) {
        let entry = self.site.db.table.at_mut(self.place);
        if matches!(entry.payload(), kinovar_ds::entry::Payload::Object(_)) {
            entry.replace_payload(NewPayload::Int(value));
        } else {
            entry.set_int(value);
        }
        entry.set_raw(false);
        self.event = Some(event);
    }

    /// Replaces the string; the expiry stays. Integers are recognised.
    pub fn set(&mut self, value: &[u8], event: &'static str) {
        self.site.replace_payload(self.hash, self.place, value);
        object::note_embedding(self.site.db.table.at_mut(self.place));
        self.event = Some(event);
    }

    /// Replaces the string; the expiry stays. Kept as text even if it is an integer's.
    pub fn set_literal(&mut self, value: &[u8], event: &'static str) {
        self.site.replace_literal(self.hash, self.place, value);
        self.event = Some(event);
    }

    /// Appends bytes; returns the new length.
    pub fn append(&mut self, bytes: &[u8], event: &'static str) -> usize {
        self.event = Some(event);
        crate::string::append(self.site.db.table.at_mut(self.place), bytes)
    }

    /// Writes `bytes` at `offset`, zeros filling any gap; returns the new length.
    pub fn write_at(&mut self, offset: usize, bytes: &[u8], event: &'static str) -> usize {
        self.event = Some(event);
        crate::string::write_at(self.site.db.table.at_mut(self.place), offset, bytes)
    }

    /// The bytes, to be changed in place: at least `len_min`, zeros added as needed. To be followed by
    /// [`StringUpdate::changed`], unless they stay as they are. From now on they are kept as if they had been built in place.
    pub fn bytes_mut(&mut self, len_min: usize) -> &mut [u8] {
        crate::string::bytes_mut(self.site.db.table.at_mut(self.place), len_min)
    }

    /// Shows the bytes to `edit`, which may change them in any way; see [`StringUpdate::bytes_mut`]. Copies short strings.
    pub fn edit<R>(&mut self, edit: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        crate::string::edit(self.site.db.table.at_mut(self.place), edit)
    }

    /// Says that `count` changes were made, to all but observers. Several are told as they come.
    pub fn changed_silently(&mut self, count: u64) {
        let name = self.site.db.table.at(self.place).key();
        self.site.env.stats.dirty.add(count);
        if self.site.interests.any() {
            let (keyspace, env, db) = (self.site.keyspace, self.site.env, self.site.db_index);
            tell_interested(self.site.interests, keyspace, env, db, self.hash, name, false);
        }
    }

    /// Says that the same value is stored differently now: a change for files, and for nobody else.
    pub fn noted(&self) {
        self.site.noted(self.place, None, 1);
    }

    /// Sets or removes the expiry.
    pub fn set_expiry(&mut self, at_ms: Option<u64>) {
        self.site.set_expiry(self.hash, self.place, at_ms);
        self.site.changed(self.hash, self.place, Event::generic(if at_ms.is_some() { "expire" } else { "persist" }), 1);
    }
}

impl Drop for StringUpdate<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.event {
            self.site.changed(self.hash, self.place, Event { class: crate::EventClass::String, name }, 1);
        }
    }
}
