//! Keys that come from a file: nobody watches, nobody is told, nothing is recorded.

use crate::object::{self, Object, Value};
use crate::{Db, Entry, Key};
use kinovar_ds::entry::{NewPayload, Payload};
use kinovar_ds::table::Table;

/// Slots of a bucket of the table.
const BUCKET_SLOTS: usize = 7;

impl Db<'_> {
    /// Puts a key that was read from a file where it belongs, with its expiry and access clock. Whether the key was absent;
    /// if it was not, the new value takes its place with `replace`, and else nothing has happened.
    ///
    /// The key is not looked at as a client would: one whose time has come stays where it is.
    pub fn load(
        &mut self,
        key: &Key<'_>,
        payload: NewPayload<'_, Object>,
        expire_at_ms: Option<u64>,
        meta: u32,
        replace: bool,
    ) -> bool {
        let mut site = self.site(key);
        let place = site.db.table.locate(key.hash, |entry| entry.key_eq(key.name));
        if let Some(place) = place {
            if !replace {
                return false;
            }
            let old = site.remove(key.hash, place);
            site.env.discard(old);
        }
        let mut entry = Entry::new(key.name, payload, expire_at_ms, Some(meta));
        match expire_at_ms {
            Some(_) => object::note_expiry(&mut entry),
            None => object::note_embedding(&mut entry),
        }
        let field_expiry = match entry.payload() {
            Payload::Object(Object::Hash(value)) => value.next_expiry_ms(),
            _ => None,
        };
        site.insert(key.hash, entry);
        if field_expiry.is_some() {
            site.fields_changed(key.hash, None, field_expiry);
        }
        place.is_none()
    }

    /// Makes room for `keys` keys in this database's part of partition `index`, which is locked, if nothing is there yet.
    pub fn reserve(&mut self, index: usize, keys: usize) {
        let db = self.locked.partition_mut(index).db_mut(self.index);
        if db.table.is_empty() && db.table.hint().buckets == 0 {
            db.table = Table::with_capacity(keys);
            self.publish(index);
        }
    }

    /// Gives back what was [reserved](Db::reserve) in partition `index`, which is locked, for keys that did not come.
    pub fn release_reserve(&mut self, index: usize) {
        let part = self.locked.partition_mut(index);
        if part.cut.is_open() {
            // The walk of a snapshot goes by the order of the table.
            return;
        }
        let db = part.db_mut(self.index);
        let len = db.table.len();
        if db.table.hint().buckets * BUCKET_SLOTS / 4 <= len {
            return;
        }
        let mut table = Table::with_capacity(len);
        for entry in db.table.drain() {
            table.insert_unique(entry.hash(), entry);
        }
        db.table = table;
        self.publish(index);
    }

    fn publish(&mut self, index: usize) {
        if self.index == 0 {
            let db = self.locked.partition_mut(index).db_mut(0);
            self.keyspace.note_table(index, db.table.hint());
        }
    }
}
