//! All blocks of a stream in order.

use super::block::{Block, NewFields};
use super::cursor::{Cursor, Place};
use super::range::{Range, RangeRev};
use super::{StreamEntry, StreamId};
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// The entries of a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// The block that entries are added to, with its first id. There is one unless there are no blocks at all.
    tail: Option<Tail>,
    /// All other blocks by their first ids.
    full: BTreeMap<StreamId, Box<Block>>,
    /// Entries that are not deleted.
    len: usize,
    /// Where to begin in a block whose first entries are deleted: trimming and reading from the start would pass over them
    /// each time.
    start: Start,
}

#[derive(Clone, Debug)]
pub(super) struct Tail {
    pub(super) first: StreamId,
    pub(super) block: Block,
}

/// Entries before `place` in the block `first` are deleted.
#[derive(Clone, Copy, Debug)]
struct Start {
    first: StreamId,
    place: Place,
}

impl Default for Start {
    /// Of no block, since no entry has this id.
    fn default() -> Start {
        Start { first: StreamId::MIN, place: Place { at: 0, before: StreamId::MIN } }
    }
}

/// A vector with a little room for a stream's first entry.
const FIRST_ROOM: usize = 48;

impl Log {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn block_count(&self) -> usize {
        self.full.len() + usize::from(self.tail.is_some())
    }

    /// All blocks with their first ids.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (StreamId, &Block)> {
        let tail = self.tail.as_ref().map(|tail| (tail.first, &tail.block));
        self.full.iter().map(|(first, block)| (*first, &**block)).chain(tail)
    }

    /// The oldest block with its first id.
    pub(super) fn first_block(&self) -> Option<(StreamId, &Block)> {
        self.blocks().next()
    }

    /// Adds an entry above all others.
    pub(super) fn push<'a, I>(&mut self, id: StreamId, fields: &NewFields<I>, settings: &Settings)
    where
        I: Iterator<Item = &'a [u8]> + Clone,
    {
        self.len += 1;
        let mut room = FIRST_ROOM;
        if let Some(tail) = &mut self.tail {
            if tail.block.has_room(fields.bytes, settings) {
                tail.block.push(tail.first, id, fields);
                return;
            }
            // The next block is likely to become as large as this one.
            room = tail.block.len().min(ROOM_MAX);
            let mut tail = self.tail.take().expect("it was just looked at");
            tail.block.close();
            self.full.insert(tail.first, Box::new(tail.block));
        }
        self.tail = Some(Tail { first: id, block: Block::new(id, fields, room) });
    }

    /// The block that would hold `id`, with its first id.
    pub(super) fn find(&self, id: StreamId) -> Option<(StreamId, &Block)> {
        if let Some(tail) = &self.tail
            && tail.first <= id
        {
            return Some((tail.first, &tail.block));
        }
        self.full.range(..=id).next_back().map(|(first, block)| (*first, &**block))
    }

    /// The block with this first id.
    pub(super) fn block_mut(&mut self, first: StreamId) -> &mut Block {
        match &mut self.tail {
            Some(tail) if tail.first == first => &mut tail.block,
            _ => self.full.get_mut(&first).expect("callers name a block that is there"),
        }
    }

    /// The block after the one with this first id.
    pub(super) fn block_after(&self, first: StreamId) -> Option<(StreamId, &Block)> {
        let next = self.full.range((Excluded(first), Unbounded)).next().map(|(first, block)| (*first, &**block));
        let tail = self.tail.as_ref().filter(|tail| tail.first > first).map(|tail| (tail.first, &tail.block));
        next.or(tail)
    }

    /// Where the entries of a block begin that are not all deleted.
    #[inline]
    pub(super) fn cursor<'a>(&self, first: StreamId, block: &'a Block) -> Cursor<'a> {
        let place =
            if first == self.start.first && first != StreamId::MIN { self.start.place } else { block.start(first) };
        block.cursor(place)
    }

    /// Notes that all entries of a block before `place` are deleted.
    pub(super) fn set_start(&mut self, first: StreamId, place: Place) {
        self.start = Start { first, place };
    }

    /// Drops a block with all its entries; how many were not deleted.
    pub(super) fn remove_block(&mut self, first: StreamId) -> usize {
        if self.start.first == first {
            self.start = Start::default();
        }
        let live = match &self.tail {
            Some(tail) if tail.first == first => {
                let live = tail.block.live;
                // The block before it may have room for smaller entries.
                self.tail = self.full.pop_last().map(|(first, mut block)| {
                    block.open();
                    Tail { first, block: *block }
                });
                live
            }
            _ => self.full.remove(&first).expect("callers name a block that is there").live,
        };
        self.len -= live as usize;
        live as usize
    }

    /// Notes that so many entries of a block were marked deleted.
    pub(super) fn note_deleted(&mut self, count: usize) {
        self.len -= count;
    }

    /// Where the entry `id` is: its block's first id and its place. Deleted ones are not found.
    fn locate(&self, id: StreamId) -> Option<(StreamId, u32)> {
        let (first, block) = self.find(id)?;
        if id > block.last_id {
            return None;
        }
        let found = self.cursor(first, block).find(|entry| entry.id >= id)?;
        (found.id == id && !found.deleted).then_some((first, found.at))
    }

    pub(super) fn contains(&self, id: StreamId) -> bool {
        self.locate(id).is_some()
    }

    pub(super) fn get(&self, id: StreamId) -> Option<StreamEntry<'_>> {
        self.range(id, id).next()
    }

    /// Deletes an entry; whether it was there.
    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        let Some((first, at)) = self.locate(id) else { return false };
        let block = self.block_mut(first);
        if block.live == 1 {
            self.remove_block(first);
        } else {
            block.mark_deleted(at);
            self.note_deleted(1);
        }
        true
    }

    pub(super) fn range(&self, from: StreamId, to: StreamId) -> Range<'_> {
        Range::new(self, from, to)
    }

    pub(super) fn range_rev(&self, from: StreamId, to: StreamId) -> RangeRev<'_> {
        RangeRev::new(self, from, to)
    }

    /// The oldest entry's id. Deleted ones before it will not be passed over again.
    pub(super) fn find_first(&mut self) -> Option<StreamId> {
        let (first, place, id) = self.blocks().find_map(|(first, block)| {
            let mut cursor = self.cursor(first, block);
            loop {
                let place = cursor.place;
                let found = cursor.next()?;
                if !found.deleted {
                    return Some((first, place, found.id));
                }
            }
        })?;
        self.set_start(first, place);
        Some(id)
    }

    /// The block that grows, taken out; to be put to the [others](Log::insert_full).
    pub(super) fn take_tail(&mut self) -> Option<Tail> {
        self.tail.take()
    }

    /// Adds a block that does not grow, whose entries are counted.
    pub(super) fn insert_full(&mut self, first: StreamId, block: Block) {
        self.full.insert(first, Box::new(block));
    }

    pub(super) fn tail_mut(&mut self) -> Option<&mut Tail> {
        self.tail.as_mut()
    }

    /// Makes a block the one that grows, where there is none.
    pub(super) fn set_tail(&mut self, first: StreamId, block: Block) -> &mut Block {
        &mut self.tail.insert(Tail { first, block }).block
    }

    /// Counts an entry that was added to the block that grows.
    pub(super) fn count_added(&mut self) {
        self.len += 1;
    }

    pub(super) fn tail(&self) -> Option<(StreamId, &Block)> {
        self.tail.as_ref().map(|tail| (tail.first, &tail.block))
    }

    pub(super) fn full(&self) -> &BTreeMap<StreamId, Box<Block>> {
        &self.full
    }

    /// Bytes of all blocks; `samples` are looked at (0: all).
    pub(super) fn memory_bytes(&self, samples: usize) -> usize {
        let tail = self.tail.as_ref().map_or(0, |tail| tail.block.memory_bytes());
        let looked_at = if samples == 0 { self.full.len() } else { samples.min(self.full.len()) };
        let bytes: usize = self.full.values().take(looked_at).map(|block| block.memory_bytes()).sum();
        let data = if looked_at == 0 { 0 } else { (bytes as f64 / looked_at as f64 * self.full.len() as f64) as usize };
        tail + data + self.full.len() * BLOCK_BYTES
    }
}

/// A block without its data, and its share of the map: nodes of eleven are a little more than half full when keys come in
/// ascending order.
const BLOCK_BYTES: usize = size_of::<Block>() + 44;

/// Room that a new block gets at most before it needs it.
const ROOM_MAX: usize = 4096;

/// How many nodes a radix tree has that holds these ids, as 16 bytes each. Nodes with one child are joined.
pub(super) fn radix_tree_nodes(ids: impl Iterator<Item = StreamId>) -> usize {
    // Depths, in bytes, of the places where the path to the current id forks; the last of them is the deepest.
    let mut forks: Vec<usize> = Vec::with_capacity(16);
    let mut previous: Option<StreamId> = None;
    // The root is always there. It is the fork at depth 0, or the node for the bytes that all have in common.
    let mut nodes = 1;
    let chain = |from: Option<usize>, to: usize| match from {
        // A fork takes one byte itself; further ones up to the next fork or leaf need a node.
        Some(depth) => usize::from(to > depth + 1),
        // The root is counted.
        None => 0,
    };
    const LEAF: usize = 16;
    for id in ids {
        let Some(before) = previous.replace(id) else {
            nodes += 1;
            continue;
        };
        let (a, b) = (u128::from_be_bytes(before.to_bytes()), u128::from_be_bytes(id.to_bytes()));
        let depth = (a ^ b).leading_zeros() as usize / 8;
        let mut below = LEAF;
        while let Some(&fork) = forks.last()
            && fork > depth
        {
            below = fork;
            forks.pop();
        }
        if forks.last() != Some(&depth) {
            // The edge from the fork above to what was below splits.
            let above = forks.last().copied();
            nodes -= chain(above, below);
            nodes += chain(above, depth) + chain(Some(depth), below);
            // A root that was a run of bytes stays one in front of the fork, unless the fork is at its very start.
            nodes += usize::from(above.is_some() || depth > 0);
            forks.push(depth);
        }
        nodes += chain(Some(depth), LEAF) + 1;
    }
    nodes
}
