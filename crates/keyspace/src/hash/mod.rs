//! Hashes over their encodings.
//!
//! | encoding | when | layout | order |
//! |---|---|---|---|
//! | listpack | up to `hash-max-listpack-entries` fields, names and values up to `hash-max-listpack-value` bytes | name, value | insertion |
//! | listpackex | the same, once a field was given an expiry | name, value, expiry | by expiry, then without expiry |
//! | hashtable | anything else | one allocation per field | none |
//!
//! A hash only ever moves down this table.
//!
//! # Expiry
//! A field whose time has come is *expired* until something removes it: reads do not see it, but [`Hash::len`] counts it
//! and [`Hash::find`] returns it, as in the reference. Whoever opens the hash to change it may remove it; the partition does so by
//! [`Hash::expire_fields`] as soon as it is due. A field expires after its millisecond, not in it.

mod pack;
mod random;
mod table;
#[cfg(test)]
mod tests;

use crate::Settings;
use crate::object::Text;
use kinovar_ds::listpack::{Item, Listpack, Mark};
use pack::{Layout, Pack};
use table::Fields;

/// A map from names to values, each with its own expiry if it likes.
#[derive(Debug)]
pub struct Hash(Repr);

/// The encodings. The table is boxed: it is the rare large case, and keeps all other values small.
#[derive(Debug)]
enum Repr {
    Pack(Pack),
    Table(Box<Fields>),
}

const _: () = assert!(size_of::<Hash>() == 16);

/// A field as it is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// Its value.
    pub value: Text<'a>,
    /// When it expires, Unix ms.
    pub expire_at_ms: Option<u64>,
}

impl Field<'_> {
    /// Whether its time has come.
    #[inline]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expire_at_ms.is_some_and(|at_ms| at_ms < now_ms)
    }
}

/// What happens to a field's expiry when its value is overwritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldTtl {
    /// Stays.
    Keep,
    /// Goes.
    Clear,
}

/// Why a field cannot be incremented.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IncrementError {
    /// Its value is not the canonical text of an `i64`.
    NotInteger,
    /// The sum is not an `i64`.
    Overflow,
}

impl Default for Hash {
    /// An empty listpack.
    fn default() -> Self {
        Hash(Repr::Pack(Pack::default()))
    }
}

impl Hash {
    /// Number of fields, expired ones included. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Pack(pack) => pack.len(),
            Repr::Table(fields) => fields.len(),
        }
    }

    /// Whether there is no field. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of fields that have not expired. O(1) when none has, else O(n).
    pub fn live_len(&self, now_ms: u64) -> usize {
        if self.has_expired(now_ms) { self.live(now_ms).count() } else { self.len() }
    }

    fn has_expired(&self, now_ms: u64) -> bool {
        self.next_field_expiry_ms().is_some_and(|at_ms| at_ms < now_ms)
    }

    /// As `OBJECT ENCODING` reports it.
    pub fn encoding(&self) -> &'static str {
        match &self.0 {
            Repr::Pack(pack) if pack.layout() == Layout::Pairs => "listpack",
            Repr::Pack(_) => "listpackex",
            Repr::Table(_) => "hashtable",
        }
    }

    /// The field of this name, even if it has expired. Expected O(1) in a table, else O(n).
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<Field<'_>> {
        match &self.0 {
            Repr::Pack(pack) => pack.find(name).map(|pos| pack.field(pos)),
            Repr::Table(fields) => fields.find(name),
        }
    }

    /// The field of this name, unless it has expired. Cost as of [`Hash::find`].
    #[inline]
    pub fn find_live(&self, name: &[u8], now_ms: u64) -> Option<Field<'_>> {
        self.find(name).filter(|field| !field.is_expired(now_ms))
    }

    /// The value of a field that has not expired. Cost as of [`Hash::find`].
    #[inline]
    pub fn get(&self, name: &[u8], now_ms: u64) -> Option<Text<'_>> {
        self.find_live(name, now_ms).map(|field| field.value)
    }

    /// All fields, expired ones included, in the order of the encoding.
    pub fn iter(&self) -> Iter<'_> {
        match &self.0 {
            Repr::Pack(pack) => Iter::Pack(pack.iter()),
            Repr::Table(fields) => Iter::Table(fields.iter()),
        }
    }

    /// The fields that have not expired.
    pub fn live(&self, now_ms: u64) -> impl Iterator<Item = Field<'_>> {
        self.iter().filter(move |field| !field.is_expired(now_ms))
    }

    /// Visits some fields, about `count` where the hash is large, and returns the cursor to go on with: 0 at the end,
    /// and to begin with. A small hash is visited whole. Fields present throughout are visited exactly once; those that have
    /// expired are not.
    pub fn scan(&self, cursor: u64, count: usize, now_ms: u64, visit: &mut dyn FnMut(Field<'_>)) -> u64 {
        match &self.0 {
            Repr::Pack(_) => {
                self.live(now_ms).for_each(visit);
                0
            }
            Repr::Table(fields) => fields.scan(cursor, count, &mut |field| {
                if !field.is_expired(now_ms) {
                    visit(field);
                }
            }),
        }
    }

    /// Prepares for fields to be set: `arguments` are their names and values in turn. What is too much or too large for a
    /// listpack makes it a hash table at once, even if the fields are there already.
    #[inline]
    pub fn expect_fields<'a>(&mut self, arguments: impl ExactSizeIterator<Item = &'a [u8]>, settings: &Settings) {
        let Repr::Pack(pack) = &self.0 else { return };
        let count = arguments.len() / 2;
        if count > settings.hash_max_listpack_entries {
            self.convert_to_table(count);
            return;
        }
        let mut bytes = 0;
        for argument in arguments {
            if argument.len() > settings.hash_max_listpack_value {
                self.convert_to_table(0);
                return;
            }
            bytes += argument.len();
        }
        if !pack.fits(bytes) {
            self.convert_to_table(0);
        }
    }

    /// Sets a field's value; whether the field is new. Expected O(1) in a table, else O(n) with n bounded by the settings.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], ttl: FieldTtl, settings: &Settings) -> bool {
        if let Repr::Table(fields) = &mut self.0 {
            return fields.set(name, value, ttl);
        }
        self.set_packed(name, value, ttl, settings)
    }

    fn set_packed(&mut self, name: &[u8], value: &[u8], ttl: FieldTtl, settings: &Settings) -> bool {
        let fits = name.len().max(value.len()) <= settings.hash_max_listpack_value;
        match &mut self.0 {
            Repr::Pack(pack) if fits => {
                let created = pack.set(name, value, ttl);
                if created && pack.len() > settings.hash_max_listpack_entries {
                    self.convert_to_table(0);
                }
                created
            }
            _ => self.convert_to_table(0).set(name, value, ttl),
        }
    }

    /// Adds to a field that holds an integer; one that is absent or has expired starts at 0, without expiry. Changes nothing
    /// on an error. Cost as of [`Hash::set`].
    pub fn increment(
        &mut self,
        name: &[u8],
        delta: i64,
        now_ms: u64,
        settings: &Settings,
    ) -> Result<i64, IncrementError> {
        if let Repr::Table(fields) = &mut self.0
            && let Some(result) = fields.increment(name, delta, now_ms)
        {
            return result;
        }
        let value = match self.get(name, now_ms) {
            Some(value) => value.to_int().ok_or(IncrementError::NotInteger)?,
            None => 0,
        };
        let sum = value.checked_add(delta).ok_or(IncrementError::Overflow)?;
        self.remove_expired(name, now_ms);
        Text::Int(sum).with(|text| self.set(name, text, FieldTtl::Keep, settings));
        Ok(sum)
    }

    /// Removes a field; whether it was there. Cost as of [`Hash::set`].
    pub fn remove(&mut self, name: &[u8]) -> bool {
        match &mut self.0 {
            Repr::Pack(pack) => pack.find(name).map(|pos| pack.remove(pos)).is_some(),
            Repr::Table(fields) => fields.remove(name),
        }
    }

    /// Removes a field if it has expired; whether it had.
    pub fn remove_expired(&mut self, name: &[u8], now_ms: u64) -> bool {
        self.has_expired(now_ms) && self.find(name).is_some_and(|field| field.is_expired(now_ms)) && self.remove(name)
    }

    /// Prepares for expiries to be set: a listpack begins to keep them. O(n) then.
    pub fn expect_expiries(&mut self) {
        if let Repr::Pack(pack) = &mut self.0 {
            pack.keep_expiries();
        }
    }

    /// Sets or removes a field's expiry; whether the field is there. Cost as of [`Hash::set`], and O(log n) in a table.
    pub fn set_expiry(&mut self, name: &[u8], at_ms: Option<u64>) -> bool {
        match &mut self.0 {
            Repr::Pack(pack) => match pack.find(name) {
                Some(_) if at_ms.is_none() && pack.layout() == Layout::Pairs => true,
                Some(pos) => {
                    // The positions move when the layout changes.
                    let pos = if pack.keep_expiries() { pack.find(name).expect("found just now") } else { pos };
                    pack.set_expiry(pos, at_ms);
                    true
                }
                None => false,
            },
            Repr::Table(fields) => fields.set_expiry(name, at_ms),
        }
    }

    /// When the first field expires, Unix ms. O(log n) at most.
    pub fn next_field_expiry_ms(&self) -> Option<u64> {
        match &self.0 {
            Repr::Pack(pack) => pack.next_expiry_ms(),
            Repr::Table(fields) => fields.next_expiry_ms(),
        }
    }

    /// Removes up to `max` fields whose time has come, the earliest first, and returns how many. `visit` sees the name of each.
    /// O(log n) each in a table.
    pub fn expire_fields(&mut self, now_ms: u64, max: usize, visit: &mut dyn FnMut(&[u8])) -> usize {
        match &mut self.0 {
            Repr::Pack(pack) => pack.expire(now_ms, max, visit),
            Repr::Table(fields) => fields.expire(now_ms, max, visit),
        }
    }

    /// Makes it a hash table with room for `capacity` fields. O(n).
    fn convert_to_table(&mut self, capacity: usize) -> &mut Fields {
        if let Repr::Pack(pack) = &self.0 {
            let mut fields = Box::new(Fields::with_capacity(capacity.max(pack.len())));
            for field in pack.iter() {
                fields.insert_unique(&field);
            }
            self.0 = Repr::Table(fields);
        }
        match &mut self.0 {
            Repr::Table(fields) => fields,
            Repr::Pack(_) => unreachable!("made a table just now"),
        }
    }

    /// Starts loading what a lookup of a field of this hash reads first or, with `deep`, what it reads next.
    #[inline]
    pub fn prefetch(&self, hash: u64, deep: bool) {
        if let Repr::Table(fields) = &self.0 {
            fields.prefetch(hash, deep);
        }
    }

    /// Frees needed to drop it, roughly.
    pub fn free_effort(&self) -> usize {
        match &self.0 {
            Repr::Pack(_) => 1,
            Repr::Table(fields) => fields.len(),
        }
    }

    /// A copy that shares nothing, in the same encoding and with the same expiries. O(n).
    pub fn deep_copy(&self) -> Hash {
        Hash(match &self.0 {
            Repr::Pack(pack) => Repr::Pack(pack.clone()),
            Repr::Table(fields) => Repr::Table(Box::new(fields.deep_copy())),
        })
    }

    /// Bytes it holds; see [`crate::Object::memory_bytes`].
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match &self.0 {
            Repr::Pack(pack) => pack.list().memory_bytes(),
            Repr::Table(fields) => fields.memory_bytes(samples),
        }
    }

    /// A hash of these fields: names and values by turns or, `with_expiries`, names, values and expiries. The caller knows that the
    /// names are different, and the expiries integers in order. Too many fields make a hash table.
    pub fn from_listpack(mut list: Listpack, with_expiries: bool, settings: &Settings) -> Hash {
        list.set_mark(if with_expiries { Mark::On } else { Mark::Off });
        let pack = Pack::from(list);
        let too_many = pack.len() > settings.hash_max_listpack_entries;
        let mut hash = Hash(Repr::Pack(pack));
        if too_many {
            hash.convert_to_table(0);
        }
        hash
    }

    /// An empty hash about to receive `count` fields: a listpack or, if that is too many for one, a hash table with room for
    /// `capacity`.
    pub fn for_loading(count: usize, capacity: usize, with_expiries: bool, settings: &Settings) -> Hash {
        if count > settings.hash_max_listpack_entries {
            return Hash(Repr::Table(Box::new(Fields::with_capacity(capacity))));
        }
        let mut hash = Hash::default();
        if with_expiries {
            hash.expect_expiries();
        }
        hash
    }

    /// Adds a field; false if there is one of this name. What is too large for a listpack makes it a hash table. Cost as of
    /// [`Hash::set`].
    pub fn insert_new(&mut self, name: &[u8], value: &[u8], expire_at_ms: Option<u64>, settings: &Settings) -> bool {
        if let Repr::Pack(pack) = &self.0
            && !pack.fits(name.len() + value.len())
        {
            self.convert_to_table(0);
        }
        let is_new = self.set(name, value, FieldTtl::Keep, settings);
        if expire_at_ms.is_some() && is_new {
            self.set_expiry(name, expire_at_ms);
        }
        is_new
    }

    /// The serialised form of a small hash, as RDB stores it, and whether it has expiries; `None` of a table.
    pub fn listpack(&self) -> Option<(&Listpack, bool)> {
        match &self.0 {
            Repr::Pack(pack) => Some((pack.list(), pack.layout() == Layout::Triples)),
            Repr::Table(_) => None,
        }
    }
}

/// The fields of a hash.
pub enum Iter<'a> {
    /// Of a listpack.
    Pack(pack::Iter<'a>),
    /// Of a hash table.
    Table(table::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        match self {
            Iter::Pack(fields) => fields.next(),
            Iter::Table(fields) => fields.next(),
        }
    }
}

fn text(item: Item<'_>) -> Text<'_> {
    match item {
        Item::Str(bytes) => Text::Bytes(bytes),
        Item::Int(value) => Text::Int(value),
    }
}
