//! Remembering where an element was found, across other uses of the table's owner.

use super::Table;
use super::array::Place;
use crate::table::Slot;

/// Where an element was found. Good until the table is changed: after that it names another element, or none, in which
/// case using it panics.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    hash: u64,
    index: usize,
    slot: usize,
}

impl Position {
    fn of<S>(hash: u64, place: Place<S>) -> Position {
        Position { hash, index: place.index(), slot: place.slot() }
    }
}

impl<S: Slot> Table<S> {
    /// Where the element of this hash is that `eq` accepts. Cost as of [`Table::find`].
    #[inline(always)]
    pub fn locate(&self, hash: u64, eq: impl FnMut(&S) -> bool) -> Option<Position> {
        self.array_of(hash).find(hash, eq).map(|place| Position::of(hash, place))
    }

    /// Adds an element that is known not to be there and says where it is. Cost as of [`Table::insert_unique`].
    #[inline]
    pub fn insert_located(&mut self, hash: u64, value: S) -> Position {
        Position::of(hash, self.insert_place(hash, value))
    }

    /// The element at a position.
    ///
    /// # Panics
    /// When none is there.
    #[inline(always)]
    pub fn at(&self, position: Position) -> &S {
        let array = self.array_of(position.hash);
        let place = array.checked_place(position.index, position.slot);
        // SAFETY: checked just now: an occupied slot of this array.
        unsafe { array.get(place) }
    }

    /// The element at a position, for change. It must keep its hash.
    ///
    /// # Panics
    /// When none is there.
    #[inline(always)]
    pub fn at_mut(&mut self, position: Position) -> &mut S {
        let array = self.array_of_mut(position.hash);
        let place = array.checked_place(position.index, position.slot);
        // SAFETY: checked just now: an occupied slot of this array.
        unsafe { array.get_mut(place) }
    }

    /// Takes the element at a position out. Cost as of [`Table::remove`].
    ///
    /// # Panics
    /// When none is there.
    #[inline]
    pub fn remove_at(&mut self, position: Position) -> S {
        let array = self.array_of_mut(position.hash);
        let place = array.checked_place(position.index, position.slot);
        // SAFETY: checked just now: an occupied slot of this array, whose hash says what way it took.
        let value = unsafe { array.remove(position.hash, place) };
        self.note_removal();
        value
    }
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use crate::elem::Elem;

    #[test]
    fn positions_name_what_was_found() {
        let mut table: Table<Elem> = Table::new();
        for n in 0..5000u32 {
            let elem = Elem::new(n.to_string().as_bytes());
            let position = table.insert_located(elem.hash(), elem);
            assert!(table.at(position).eq_bytes(n.to_string().as_bytes()));
        }
        for n in (0..5000u32).rev() {
            let text = n.to_string();
            let hash = crate::hash::hash(text.as_bytes());
            let position = table.locate(hash, |elem| elem.eq_bytes(text.as_bytes())).unwrap();
            assert!(table.at_mut(position).eq_bytes(text.as_bytes()));
            assert!(table.remove_at(position).eq_bytes(text.as_bytes()));
            assert!(table.locate(hash, |elem| elem.eq_bytes(text.as_bytes())).is_none());
        }
        assert!(table.is_empty());
    }
}
