//! Small hashes: one listpack of pairs, or of triples once a field was given an expiry.
//!
//! ```text
//! pairs    name value | name value | …
//! triples  name value expiry | name value expiry | …      expiry in Unix ms, 0 for none
//! ```
//!
//! Triples are ordered by expiry, those without one last; a field given the same expiry as others goes in front of them, one
//! without expiry goes to the end. So the next one to expire is always the first. The order is visible to clients and kept in RDB files,
//! and is the reference's.

use super::{Field, FieldTtl, text};
use kinovar_ds::listpack::{self, Listpack, Mark};

/// Stands for no expiry.
const NEVER: u64 = 0;

/// What a listpack holds of each field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// Name and value.
    Pairs = 2,
    /// Name, value and expiry.
    Triples = 3,
}

/// A hash in a listpack, whose mark tells the layout.
#[derive(Clone, Default, Debug)]
pub(super) struct Pack(Listpack);

/// The list's mark says which layout it has.
impl From<Listpack> for Pack {
    fn from(list: Listpack) -> Self {
        Pack(list)
    }
}

impl Pack {
    #[inline]
    pub(super) fn layout(&self) -> Layout {
        match self.0.mark() {
            Mark::Off => Layout::Pairs,
            Mark::On => Layout::Triples,
        }
    }

    pub(super) fn list(&self) -> &Listpack {
        &self.0
    }

    #[inline]
    fn stride(&self) -> usize {
        self.layout() as usize
    }

    /// Number of fields.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.len() / self.stride()
    }

    /// Whether texts of so many bytes together may be added.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        self.0.fits(bytes)
    }

    /// Position of the name.
    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        self.0.find(name, self.stride() - 1)
    }

    /// The field whose name is at `pos`.
    #[inline]
    pub(super) fn field(&self, pos: usize) -> Field<'_> {
        Iter { list: &self.0, layout: self.layout(), at: Some(pos) }.next().expect("the caller knows the position")
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        Iter { list: &self.0, layout: self.layout(), at: self.0.first() }
    }

    /// Position of the value of the field at `pos`.
    fn value_pos(&self, pos: usize) -> usize {
        self.0.next(pos).expect("a value follows each name")
    }

    /// Sets a value; whether the field is new.
    pub(super) fn set(&mut self, name: &[u8], value: &[u8], ttl: FieldTtl) -> bool {
        let Some(pos) = self.find(name) else {
            match self.layout() {
                Layout::Pairs => self.0.push_back_all([name, value]),
                Layout::Triples => self.0.push_back_all([name, value, b"0"]),
            }
            return true;
        };
        let value_pos = self.value_pos(pos);
        self.0.replace(value_pos, value);
        if ttl == FieldTtl::Clear && self.layout() == Layout::Triples && self.field(pos).expire_at_ms.is_some() {
            self.set_expiry(pos, None);
        }
        false
    }

    /// Removes the field at `pos`.
    pub(super) fn remove(&mut self, pos: usize) {
        self.0.delete_at(pos, self.stride());
    }

    /// Makes room for expiries; whether that changed the layout. O(n).
    pub(super) fn keep_expiries(&mut self) -> bool {
        if self.layout() == Layout::Triples {
            return false;
        }
        let (mut triples, mut buffer) = (Listpack::new(), [0; 20]);
        for (index, item) in self.0.iter().enumerate() {
            triples.push_back(item.bytes(&mut buffer));
            if index % 2 == 1 {
                triples.push_back_int(NEVER as i64);
            }
        }
        triples.set_mark(Mark::On);
        self.0 = triples;
        true
    }

    /// Sets or removes the expiry of the field at `pos`, which moves to its place in the order. The layout has expiries.
    pub(super) fn set_expiry(&mut self, pos: usize, at_ms: Option<u64>) {
        assert_eq!(self.layout(), Layout::Triples, "the layout has no place for an expiry");
        let field = self.field(pos);
        let (name, value) = (field.name.to_vec(), field.value.to_vec());
        self.remove(pos);
        let before = at_ms.and_then(|at_ms| self.first_not_before(at_ms)).unwrap_or(self.0.end());
        let expiry = crate::Text::Int(at_ms.unwrap_or(NEVER) as i64);
        expiry.with(|digits| self.0.insert_all_before(before, [&name, &value, digits]));
    }

    /// Position of the first field that expires at `at_ms` or later, or never.
    fn first_not_before(&self, at_ms: u64) -> Option<usize> {
        let mut fields = self.iter();
        loop {
            let pos = fields.at;
            let field = fields.next()?;
            if field.expire_at_ms.is_none_or(|other_ms| other_ms >= at_ms) {
                return pos;
            }
        }
    }

    /// When the first field expires. O(1).
    pub(super) fn next_expiry_ms(&self) -> Option<u64> {
        if self.layout() == Layout::Pairs {
            return None;
        }
        self.iter().next()?.expire_at_ms
    }

    /// Removes up to `max` expired fields; how many.
    pub(super) fn expire(&mut self, now_ms: u64, max: usize, visit: &mut dyn FnMut(&[u8])) -> usize {
        let due = self.iter().take(max).take_while(|field| field.is_expired(now_ms));
        let expired = due.inspect(|field| field.name.with(&mut *visit)).count();
        if let Some(first) = self.0.first()
            && expired > 0
        {
            self.0.delete_at(first, expired * self.stride());
        }
        expired
    }
}

/// The fields in order.
pub struct Iter<'a> {
    list: &'a Listpack,
    layout: Layout,
    /// Position of the next name.
    at: Option<usize>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let (name, next) = self.list.get_and_next(self.at?);
        let (value, next) = self.list.get_and_next(next.expect("a value follows each name"));
        self.at = next;
        let expire_at_ms = match self.layout {
            Layout::Pairs => None,
            Layout::Triples => {
                let (expiry, next) = self.list.get_and_next(next.expect("an expiry follows each value"));
                self.at = next;
                expiry_of(expiry)
            }
        };
        Some(Field { name: text(name), value: text(value), expire_at_ms })
    }
}

fn expiry_of(item: listpack::Item<'_>) -> Option<u64> {
    item.as_int().map(|at_ms| at_ms as u64).filter(|&at_ms| at_ms != NEVER)
}
