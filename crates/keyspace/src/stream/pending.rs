//! Ordered maps of what is pending, compact.
//!
//! Items lie in chunks, sorted by id; a tree finds the chunk. A chunk stores its items *packed*, as differences to a base of
//! its own in half the bytes or fewer, as long as all of them fit into that. Ids of messages come in ascending order and
//! close together, so nearly all chunks stay packed.

use super::{ConsumerId, Pending, StreamId};
use kinovar_ds::entry::size_class;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// Something that is filed under an id.
pub(super) trait Item: Copy {
    /// What its packed form is relative to.
    type Base: Copy + std::fmt::Debug;
    type Packed: Copy + std::fmt::Debug;
    fn id(&self) -> StreamId;
    fn base(&self) -> Self::Base;
    /// Its packed form, if there is one.
    fn pack(&self, base: Self::Base) -> Option<Self::Packed>;
    fn unpack(packed: Self::Packed, base: Self::Base) -> Self;
}

/// A `u64` as a difference.
fn narrow<T: TryFrom<u64>>(value: u64, base: u64) -> Option<T> {
    value.checked_sub(base).and_then(|difference| T::try_from(difference).ok())
}

impl Item for StreamId {
    type Base = u64;
    type Packed = [u32; 2];

    fn id(&self) -> StreamId {
        *self
    }

    fn base(&self) -> u64 {
        self.ms
    }

    #[inline]
    fn pack(&self, base: u64) -> Option<[u32; 2]> {
        Some([narrow(self.ms, base)?, narrow(self.seq, 0)?])
    }

    #[inline]
    fn unpack([ms, seq]: [u32; 2], base: u64) -> StreamId {
        StreamId { ms: base + u64::from(ms), seq: u64::from(seq) }
    }
}

/// [`Pending`] in 16 bytes. The time may be before the base.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedPending {
    id: [u32; 2],
    delivered: i32,
    consumer: u16,
    deliveries: u16,
}

const _: () = assert!(size_of::<PackedPending>() == 16 && size_of::<Pending>() == 40);

impl Item for Pending {
    type Base = (u64, u64);
    type Packed = PackedPending;

    fn id(&self) -> StreamId {
        self.id
    }

    fn base(&self) -> (u64, u64) {
        (self.id.ms, self.delivered_ms)
    }

    #[inline]
    fn pack(&self, (id_ms, delivered_ms): (u64, u64)) -> Option<PackedPending> {
        Some(PackedPending {
            id: self.id.pack(id_ms)?,
            delivered: i32::try_from(self.delivered_ms.wrapping_sub(delivered_ms) as i64).ok()?,
            consumer: u16::try_from(self.consumer.0).ok()?,
            deliveries: u16::try_from(self.deliveries).ok()?,
        })
    }

    #[inline]
    fn unpack(packed: PackedPending, (id_ms, delivered_ms): (u64, u64)) -> Pending {
        Pending {
            id: StreamId::unpack(packed.id, id_ms),
            consumer: ConsumerId(u32::from(packed.consumer)),
            delivered_ms: delivered_ms.wrapping_add_signed(i64::from(packed.delivered)),
            deliveries: u64::from(packed.deliveries),
        }
    }
}

/// Items of a chunk that is full.
const CHUNK_MAX: usize = 128;

#[derive(Clone, Debug)]
enum Chunk<T: Item> {
    Packed(T::Base, Vec<T::Packed>),
    Wide(Vec<T>),
}

impl<T: Item> Chunk<T> {
    fn of(items: &[T]) -> Chunk<T> {
        let base = items[0].base();
        match items.iter().map(|item| item.pack(base)).collect() {
            Some(packed) => Chunk::Packed(base, packed),
            None => Chunk::Wide(items.to_vec()),
        }
    }

    #[inline]
    fn len(&self) -> usize {
        match self {
            Chunk::Packed(_, items) => items.len(),
            Chunk::Wide(items) => items.len(),
        }
    }

    #[inline]
    fn get(&self, index: usize) -> T {
        match self {
            Chunk::Packed(base, items) => T::unpack(items[index], *base),
            Chunk::Wide(items) => items[index],
        }
    }

    fn search(&self, id: StreamId) -> Result<usize, usize> {
        match self {
            Chunk::Packed(base, items) => items.binary_search_by(|item| T::unpack(*item, *base).id().cmp(&id)),
            Chunk::Wide(items) => items.binary_search_by(|item| item.id().cmp(&id)),
        }
    }

    fn make_wide(&mut self) -> &mut Vec<T> {
        if let Chunk::Packed(base, items) = self {
            *self = Chunk::Wide(items.iter().map(|item| T::unpack(*item, *base)).collect());
        }
        match self {
            Chunk::Wide(items) => items,
            Chunk::Packed(..) => unreachable!("it was just made wide"),
        }
    }

    fn insert(&mut self, index: usize, item: T) {
        if let Chunk::Packed(base, items) = self
            && let Some(packed) = item.pack(*base)
        {
            items.insert(index, packed);
        } else {
            self.make_wide().insert(index, item);
        }
    }

    fn set(&mut self, index: usize, item: T) {
        if let Chunk::Packed(base, items) = self
            && let Some(packed) = item.pack(*base)
        {
            items[index] = packed;
        } else {
            self.make_wide()[index] = item;
        }
    }

    fn remove(&mut self, index: usize) -> T {
        fn take<T>(items: &mut Vec<T>, index: usize) -> T {
            let item = items.remove(index);
            if items.len() < items.capacity() / 4 {
                items.shrink_to(2 * items.len());
            }
            item
        }
        match self {
            Chunk::Packed(base, items) => T::unpack(take(items, index), *base),
            Chunk::Wide(items) => take(items, index),
        }
    }

    /// Takes the second half out.
    fn split(&mut self) -> (StreamId, Chunk<T>) {
        let items: Vec<T> = (0..self.len()).map(|index| self.get(index)).collect();
        let (low, high) = items.split_at(items.len() / 2);
        *self = Chunk::of(low);
        (high[0].id(), Chunk::of(high))
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Chunk::Packed(_, items) => size_class(items.capacity() * size_of::<T::Packed>()),
            Chunk::Wide(items) => size_class(items.capacity() * size_of::<T>()),
        }
    }
}

/// Items in the order of their ids, each id once.
#[derive(Clone, Debug)]
pub(super) struct IdMap<T: Item> {
    /// Under a lower bound of their ids that is above all ids of the chunk before.
    chunks: BTreeMap<StreamId, Chunk<T>>,
    len: usize,
}

impl<T: Item> Default for IdMap<T> {
    fn default() -> Self {
        IdMap { chunks: BTreeMap::new(), len: 0 }
    }
}

impl<T: Item> IdMap<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, id: StreamId) -> Option<T> {
        let (_, chunk) = self.chunks.range(..=id).next_back()?;
        chunk.search(id).ok().map(|index| chunk.get(index))
    }

    /// Adds an item, or replaces the one with its id, which it returns. O(log n).
    pub(super) fn insert(&mut self, item: T) -> Option<T> {
        let id = item.id();
        let Some((_, chunk)) = self.chunks.range_mut(..=id).next_back() else {
            self.insert_lowest(item);
            return None;
        };
        let index = match chunk.search(id) {
            Ok(index) => {
                let old = chunk.get(index);
                chunk.set(index, item);
                return Some(old);
            }
            Err(index) => index,
        };
        self.len += 1;
        if chunk.len() < CHUNK_MAX {
            chunk.insert(index, item);
        } else if index == CHUNK_MAX {
            self.chunks.insert(id, Chunk::of(&[item]));
        } else {
            let (first, mut high) = chunk.split();
            // Right between the two it belongs to the lower one: the other is filed under its first id.
            match index.checked_sub(chunk.len()) {
                None | Some(0) => chunk.insert(index, item),
                Some(index) => high.insert(index, item),
            }
            self.chunks.insert(first, high);
        }
        None
    }

    /// Adds an item below all others.
    fn insert_lowest(&mut self, item: T) {
        self.len += 1;
        let chunk = match self.chunks.pop_first() {
            Some((_, mut chunk)) if chunk.len() < CHUNK_MAX => {
                chunk.insert(0, item);
                chunk
            }
            first => {
                self.chunks.extend(first);
                Chunk::of(&[item])
            }
        };
        self.chunks.insert(item.id(), chunk);
    }

    /// Takes an item out. O(log n).
    pub(super) fn remove(&mut self, id: StreamId) -> Option<T> {
        let (&first, chunk) = self.chunks.range_mut(..=id).next_back()?;
        let index = chunk.search(id).ok()?;
        let item = chunk.remove(index);
        if chunk.len() == 0 {
            self.chunks.remove(&first);
        }
        self.len -= 1;
        Some(item)
    }

    /// Items from `from` on. O(log n) to begin.
    pub(super) fn iter_from(&self, from: StreamId) -> impl Iterator<Item = T> {
        let begin = self.chunks.range(..=from).next_back();
        let rest = match begin {
            Some((first, _)) => self.chunks.range((Excluded(*first), Unbounded)),
            None => self.chunks.range(..),
        };
        let skip = begin.map_or(0, |(_, chunk)| chunk.search(from).unwrap_or_else(|index| index));
        let first =
            begin.into_iter().flat_map(move |(_, chunk)| (skip..chunk.len()).map(move |index| chunk.get(index)));
        first.chain(rest.flat_map(|(_, chunk)| (0..chunk.len()).map(move |index| chunk.get(index))))
    }

    /// The item with the highest id. O(log n).
    pub(super) fn last(&self) -> Option<T> {
        let (_, chunk) = self.chunks.last_key_value()?;
        Some(chunk.get(chunk.len() - 1))
    }

    pub(super) fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        // Nodes of the tree are a little more than half full when keys come in ascending order.
        let nodes = self.chunks.len() * (size_of::<StreamId>() + size_of::<Chunk<T>>()) * 11 / 6;
        nodes + self.chunks.values().map(Chunk::memory_bytes).sum::<usize>()
    }
}
