//! Sets over their encodings.
//!
//! | encoding | when | order |
//! |---|---|---|
//! | intset | integers only, up to `set-max-intset-entries` | ascending |
//! | listpack | up to `set-max-listpack-entries` members of up to `set-max-listpack-value` bytes | insertion |
//! | hashtable | anything else | none |
//!
//! A set only ever moves down this table, one member at a time; which is why the order of additions decides the encoding,
//! and additions here come in the reference's order. What begins anew (a stored result, what a large `SPOP` leaves) is
//! encoded anew.

mod algebra;
mod member;
mod random;
#[cfg(test)]
mod tests;

pub use algebra::{difference, difference_each, intersect_each, intersection, union, union_each};
pub use member::{Member, Probe};

use crate::Settings;
use kinovar_ds::elem::{Elem, ElemKey};
use kinovar_ds::intset::Intset;
use kinovar_ds::listpack::{self, Item, Listpack, parse_integer};
use kinovar_ds::number::{I64_TEXT_MAX, format_i64};
use kinovar_ds::table::{self, Table};

/// Redis keeps no more integers than this in an intset, whatever the configuration says.
const INTSET_ENTRIES_MAX: usize = 1 << 30;

/// A set of byte strings.
#[derive(Debug)]
pub struct Set(Repr);

/// The encodings. The table is boxed: it is the rare large case, and keeps all other values small.
enum Repr {
    Intset(Intset),
    Listpack(Listpack),
    Table(Box<Table<Elem>>),
}

const _: () = assert!(size_of::<Set>() == 16);

impl std::fmt::Debug for Repr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Repr::Intset(ints) => ints.fmt(f),
            Repr::Listpack(list) => list.fmt(f),
            Repr::Table(table) => f.debug_set().entries(table.iter()).finish(),
        }
    }
}

impl Default for Set {
    /// An empty intset.
    fn default() -> Self {
        Set(Repr::Intset(Intset::new()))
    }
}

impl Set {
    /// An empty set about to receive `count` members, `first` among them: the encoding to begin with. O(1).
    #[inline]
    pub fn for_members(first: &[u8], count: usize, settings: &Settings) -> Set {
        if count <= settings.set_max_intset_entries && parse_integer(first).is_some() {
            Set::default()
        } else if count <= settings.set_max_listpack_entries {
            Set::new_listpack()
        } else {
            Set::new_table(0)
        }
    }

    fn new_listpack() -> Set {
        Set(Repr::Listpack(Listpack::new()))
    }

    fn new_table(capacity: usize) -> Set {
        Set(Repr::Table(Box::new(Table::with_capacity(capacity))))
    }

    /// Prepares for `count` additions: too many for the encoding make a hash table at once, even if the members are
    /// there already. O(n) then.
    #[inline]
    pub fn expect_members(&mut self, count: usize, settings: &Settings) {
        let max = match self.0 {
            Repr::Intset(_) => settings.set_max_intset_entries,
            Repr::Listpack(_) => settings.set_max_listpack_entries,
            Repr::Table(_) => return,
        };
        if count > max {
            self.convert_to_table(count);
        }
    }

    /// Number of members. O(1).
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Intset(ints) => ints.len(),
            Repr::Listpack(list) => list.len(),
            Repr::Table(table) => table.len(),
        }
    }

    /// Whether there is no member. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As `OBJECT ENCODING` reports it.
    pub fn encoding(&self) -> &'static str {
        match self.0 {
            Repr::Intset(_) => "intset",
            Repr::Listpack(_) => "listpack",
            Repr::Table(_) => "hashtable",
        }
    }

    fn is_intset(&self) -> bool {
        matches!(self.0, Repr::Intset(_))
    }

    /// Adds a member; whether it is new. Expected O(1) in a table, else O(n) with n bounded by the settings.
    #[inline]
    pub fn add(&mut self, member: &[u8], settings: &Settings) -> bool {
        if let Repr::Table(table) = &mut self.0 {
            return add_convert_to_table(table, &ElemKey::new(member));
        }
        self.add_compact(member, settings)
    }

    fn add_compact(&mut self, member: &[u8], settings: &Settings) -> bool {
        match &mut self.0 {
            Repr::Intset(ints) => match parse_integer(member) {
                Some(value) => {
                    let added = ints.add(value);
                    let max = settings.set_max_intset_entries.min(INTSET_ENTRIES_MAX);
                    if added && ints.len() > max {
                        self.convert_to_table(max + 1);
                    }
                    return added;
                }
                None if fits_listpack(ints, member, settings) => {
                    let mut list = listpack_of(ints);
                    list.push_back(member);
                    self.0 = Repr::Listpack(list);
                    return true;
                }
                None => {}
            },
            Repr::Listpack(list) => {
                if list.find(member, 0).is_some() {
                    return false;
                }
                let fits = list.len() < settings.set_max_listpack_entries
                    && member.len() <= settings.set_max_listpack_value
                    && list.fits(member.len());
                if fits {
                    list.push_back(member);
                    return true;
                }
            }
            Repr::Table(_) => {}
        }
        add_convert_to_table(self.convert_to_table(self.len() + 1), &ElemKey::new(member))
    }

    /// Makes it a hash table with room for `capacity` members. O(n).
    fn convert_to_table(&mut self, capacity: usize) -> &mut Table<Elem> {
        if !matches!(self.0, Repr::Table(_)) {
            let mut table = Box::new(Table::with_capacity(capacity.max(self.len())));
            let mut buf = [0; 24];
            for member in self.iter() {
                let key = ElemKey::new(member.bytes(&mut buf));
                table.insert_unique(key.hash(), key.to_elem());
            }
            self.0 = Repr::Table(table);
        }
        match &mut self.0 {
            Repr::Table(table) => table,
            _ => unreachable!("made one just now"),
        }
    }

    /// Makes a set of integers an intset again, if it may be one. O(n log n).
    fn convert_to_intset(&mut self, settings: &Settings) {
        if self.is_intset() || self.len() > settings.set_max_intset_entries.min(INTSET_ENTRIES_MAX) {
            return;
        }
        let mut values: Vec<i64> = self.iter().filter_map(|member| member.as_int()).collect();
        debug_assert_eq!(values.len(), self.len());
        values.sort_unstable();
        let mut ints = Intset::new();
        for value in values {
            ints.add(value);
        }
        self.0 = Repr::Intset(ints);
    }

    /// Removes a member; whether it was there. Cost as of [`Set::add`].
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.0 {
            Repr::Intset(ints) => parse_integer(member).is_some_and(|value| ints.remove(value)),
            Repr::Listpack(list) => match list.find(member, 0) {
                Some(pos) => {
                    list.delete(pos);
                    true
                }
                None => false,
            },
            Repr::Table(table) => {
                let key = ElemKey::new(member);
                table.remove(key.hash(), |elem| key.matches(elem)).is_some()
            }
        }
    }

    /// Whether `member` is in the set. Cost as of [`Set::add`].
    pub fn contains(&self, member: &[u8]) -> bool {
        self.has(&Probe::new(member))
    }

    /// [`Set::contains`] for looking one member up in several sets: what is computed from it is computed once.
    #[inline]
    pub fn has(&self, probe: &Probe<'_>) -> bool {
        match &self.0 {
            Repr::Intset(ints) => probe.int().is_some_and(|value| ints.contains(value)),
            Repr::Listpack(list) => list.find(probe.bytes(), 0).is_some(),
            Repr::Table(table) => {
                let key = probe.key();
                table.find(key.hash(), |elem| key.matches(elem)).is_some()
            }
        }
    }

    /// All members: ascending in an intset, as added in a listpack, in no order in a hash table.
    pub fn iter(&self) -> Iter<'_> {
        match &self.0 {
            Repr::Intset(ints) => Iter::Intset { ints, next: 0 },
            Repr::Listpack(list) => Iter::Listpack(list.iter()),
            Repr::Table(table) => Iter::Table(table.iter()),
        }
    }

    /// Visits some members, about `count` where the set is large, and returns the cursor to go on with: 0 at the end,
    /// and to begin with. A small set is visited whole. Members present throughout are visited exactly once.
    pub fn scan(&self, cursor: u64, count: usize, visit: &mut dyn FnMut(Member<'_>)) -> u64 {
        let Repr::Table(table) = &self.0 else {
            self.iter().for_each(visit);
            return 0;
        };
        let (mut cursor, mut visited) = (cursor, 0);
        // The bound on the steps is for a table that is almost empty.
        for _ in 0..count.saturating_mul(10) {
            cursor = table.scan(cursor, &mut |elem| {
                visited += 1;
                visit(Member::Elem(elem));
            });
            if cursor == 0 || visited >= count {
                break;
            }
        }
        cursor
    }

    /// Starts loading what a lookup of a member of this hash reads first or, with `deep`, what it reads next.
    #[inline]
    pub fn prefetch(&self, hash: u64, deep: bool) {
        match &self.0 {
            Repr::Table(table) if deep => table.prefetch_slots(hash),
            Repr::Table(table) => table.prefetch(hash),
            Repr::Intset(_) | Repr::Listpack(_) => {}
        }
    }

    /// The integers, as RDB stores them, if it is an intset.
    pub fn as_intset(&self) -> Option<&Intset> {
        match &self.0 {
            Repr::Intset(ints) => Some(ints),
            _ => None,
        }
    }

    /// The members, as RDB stores them, if it is a listpack.
    pub fn as_listpack(&self) -> Option<&Listpack> {
        match &self.0 {
            Repr::Listpack(list) => Some(list),
            _ => None,
        }
    }

    /// A set of these integers; too many make a hash table.
    pub fn from_intset(ints: Intset, settings: &Settings) -> Set {
        let too_many = ints.len() > settings.set_max_intset_entries;
        let mut set = Set(Repr::Intset(ints));
        if too_many {
            set.convert_to_table(0);
        }
        set
    }

    /// A set of these members, which the caller knows to be different; too many make a hash table.
    pub fn from_listpack(list: Listpack, settings: &Settings) -> Set {
        let too_many = list.len() > settings.set_max_listpack_entries;
        let mut set = Set(Repr::Listpack(list));
        if too_many {
            set.convert_to_table(0);
        }
        set
    }

    /// An empty set about to receive `count` members of which nothing is known: an intset, which gives way to what comes, or a
    /// hash table with room for `capacity`.
    pub fn for_loading(count: usize, capacity: usize, settings: &Settings) -> Set {
        if count > settings.set_max_intset_entries.min(INTSET_ENTRIES_MAX) {
            Set::new_table(capacity)
        } else {
            Set::default()
        }
    }

    /// Frees needed to drop it, roughly.
    pub fn free_effort(&self) -> usize {
        match &self.0 {
            Repr::Table(table) => table.len(),
            Repr::Intset(_) | Repr::Listpack(_) => 1,
        }
    }

    /// A copy that shares nothing, in the same encoding. O(n).
    pub fn deep_copy(&self) -> Set {
        Set(match &self.0 {
            Repr::Intset(ints) => Repr::Intset(ints.clone()),
            Repr::Listpack(list) => Repr::Listpack(list.clone()),
            Repr::Table(table) => {
                let mut copy = Box::new(Table::with_capacity(table.len()));
                for elem in table.iter() {
                    copy.insert_unique(elem.hash(), elem.clone());
                }
                Repr::Table(copy)
            }
        })
    }

    /// Bytes it holds; see [`crate::Object::memory_bytes`].
    pub fn memory_bytes(&self, samples: usize) -> usize {
        match &self.0 {
            Repr::Intset(ints) => ints.memory_bytes(),
            Repr::Listpack(list) => list.memory_bytes(),
            Repr::Table(table) => {
                let looked_at = if samples == 0 { table.len() } else { samples.min(table.len()) };
                let sampled: usize = table.iter().take(looked_at).map(Elem::allocated_size).sum();
                let elems = (sampled * table.len()).checked_div(looked_at).unwrap_or(0);
                size_of::<Table<Elem>>() + table.memory_bytes() + elems
            }
        }
    }
}

#[inline]
fn add_convert_to_table(table: &mut Table<Elem>, key: &ElemKey<'_>) -> bool {
    table.find_or_insert_with(key.hash(), |elem| key.matches(elem), || key.to_elem()).1
}

/// Whether integers and one more member that is none may become a listpack.
fn fits_listpack(ints: &Intset, member: &[u8], settings: &Settings) -> bool {
    let text_len = |value: Option<i64>| value.map_or(0, |value| format_i64(value, &mut [0; I64_TEXT_MAX]).len());
    let longest = text_len(ints.min()).max(text_len(ints.max()));
    ints.len() < settings.set_max_listpack_entries
        && member.len() <= settings.set_max_listpack_value
        && longest <= settings.set_max_listpack_value
        && ints.len().saturating_mul(longest).saturating_add(member.len()) < listpack::BYTES_MAX
}

fn listpack_of(ints: &Intset) -> Listpack {
    let mut list = Listpack::new();
    ints.iter().for_each(|value| list.push_back_int(value));
    list
}

/// The members of a set.
pub enum Iter<'a> {
    /// Of an intset.
    Intset {
        /// The set.
        ints: &'a Intset,
        /// Index of the next member.
        next: usize,
    },
    /// Of a listpack.
    Listpack(listpack::Iter<'a>),
    /// Of a hash table.
    Table(table::Iter<'a, Elem>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = Member<'a>;

    #[inline]
    fn next(&mut self) -> Option<Member<'a>> {
        match self {
            Iter::Intset { ints, next } => {
                let value = ints.get(*next)?;
                *next += 1;
                Some(Member::Int(value))
            }
            Iter::Listpack(items) => items.next().map(Member::from),
            Iter::Table(elems) => elems.next().map(Member::Elem),
        }
    }
}

impl<'a> From<Item<'a>> for Member<'a> {
    fn from(item: Item<'a>) -> Self {
        match item {
            Item::Str(bytes) => Member::Bytes(bytes),
            Item::Int(value) => Member::Int(value),
        }
    }
}
