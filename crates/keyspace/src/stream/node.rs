//! A stream in the pieces that RDB files have: nodes with entries, counters, groups.
//!
//! A block and a node of the reference hold the same entries, deleted ones included, so each is made from the other.

use super::block::{Block, NewFields};
use super::cursor::{Cursor, Place};
use super::log::Log;
use super::{Group, Stream, StreamEntry, StreamId};
use crate::Text;

/// Entries that a file keeps together.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    first: StreamId,
    block: &'a Block,
}

/// An entry of a node.
#[derive(Clone, Copy, Debug)]
pub struct NodeEntry<'a> {
    /// The entry.
    pub entry: StreamEntry<'a>,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Whether its fields have the names of the node.
    pub same_names: bool,
}

impl<'a> Node<'a> {
    /// Id of the first entry, deleted or not.
    pub fn first_id(&self) -> StreamId {
        self.first
    }

    /// Number of entries that are not deleted.
    pub fn live(&self) -> usize {
        self.block.live as usize
    }

    /// Number of entries that are.
    pub fn deleted(&self) -> usize {
        self.block.deleted as usize
    }

    /// Names of the first entry's fields.
    pub fn names(&self) -> impl ExactSizeIterator<Item = Text<'a>> + use<'a> {
        let first = self.entries().next().expect("a block has a first entry").entry;
        Names { texts: first.texts() }
    }

    /// All entries.
    pub fn entries(&self) -> NodeEntries<'a> {
        NodeEntries { cursor: self.block.cursor(self.block.start(self.first)) }
    }
}

/// Every other text.
struct Names<'a> {
    texts: super::Fields<'a>,
}

impl<'a> Iterator for Names<'a> {
    type Item = Text<'a>;

    fn next(&mut self) -> Option<Text<'a>> {
        let name = self.texts.next()?;
        self.texts.next();
        Some(name)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.texts.len() / 2;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Names<'_> {}

/// Entries of a node, deleted ones included.
pub struct NodeEntries<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Iterator for NodeEntries<'a> {
    type Item = NodeEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<NodeEntry<'a>> {
        let found = self.cursor.next()?;
        Some(NodeEntry { entry: found.into(), deleted: found.deleted, same_names: found.names.is_some() })
    }
}

impl Stream {
    /// The first node with an id above `after`, if there is one. O(log n).
    pub fn node_after(&self, after: StreamId) -> Option<Node<'_>> {
        self.log.block_after(after).map(|(first, block)| Node { first, block })
    }
}

/// Why something that was read is no part of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misfit {
    /// An entry's id is not above the one before it.
    NotAbove,
    /// An entry has too many fields, or too long ones.
    TooLarge,
}

/// Puts a stream together.
#[derive(Debug, Default)]
pub struct Builder {
    stream: Stream,
    /// Id of the last entry.
    last: StreamId,
}

impl Builder {
    /// An empty stream.
    pub fn new() -> Builder {
        Builder::default()
    }

    /// Makes the next entry the first of a node.
    pub fn begin_node(&mut self) {
        self.stream.log.close_tail();
    }

    /// Adds an entry above all others to the node. `fields` are names and values by turns; `same_names`: the caller knows that the
    /// names are those of the node's first entry, so that they need not be compared.
    pub fn push<'a>(
        &mut self,
        id: StreamId,
        deleted: bool,
        same_names: bool,
        fields: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), Misfit> {
        if id <= self.last {
            return Err(Misfit::NotAbove);
        }
        let fields = NewFields::new(fields);
        if !fields.fit() || !self.stream.log.push_loaded(id, deleted, same_names, &fields) {
            return Err(Misfit::TooLarge);
        }
        self.last = id;
        Ok(())
    }

    /// Number of entries that are not deleted.
    pub fn len(&self) -> usize {
        self.stream.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Id of the last entry, deleted or not.
    pub fn last_entry(&self) -> StreamId {
        self.last
    }

    /// The counters of the stream. What is not known, in files of old versions, is made up as the reference does.
    pub fn set_counters(&mut self, last_id: StreamId, known: Option<Counters>) {
        let stream = &mut self.stream;
        stream.last_id = last_id;
        let counters = known.unwrap_or_else(|| Counters {
            first_id: stream.log.find_first().unwrap_or_default(),
            max_deleted_id: StreamId::MIN,
            entries_added: stream.log.len() as u64,
        });
        stream.first_id = counters.first_id;
        stream.max_deleted_id = counters.max_deleted_id;
        stream.entries_added = counters.entries_added;
    }

    /// Makes a group; `None` if there is one of this name. The counter is guessed if `entries_read` is `None`, and not known if it
    /// is `Some(None)`.
    pub fn add_group(
        &mut self,
        name: &[u8],
        last_id: StreamId,
        entries_read: Option<Option<i64>>,
    ) -> Option<&mut Group> {
        let entries_read = entries_read.unwrap_or_else(|| self.stream.entries_until(last_id));
        if self.stream.groups.contains_key(name) {
            return None;
        }
        let group = self.stream.groups.entry(name.into()).or_insert(Box::new(Group::new(last_id, entries_read)));
        Some(group)
    }

    /// The stream.
    pub fn finish(self) -> Stream {
        self.stream
    }
}

/// What a stream remembers of entries that are gone.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    /// See [`Stream::recorded_first_id`].
    pub first_id: StreamId,
    /// See [`Stream::max_deleted_id`].
    pub max_deleted_id: StreamId,
    /// See [`Stream::entries_added`].
    pub entries_added: u64,
}

impl Log {
    /// Puts the block that grows to the others: the next entry begins another.
    fn close_tail(&mut self) {
        if let Some(mut tail) = self.take_tail() {
            tail.block.close();
            self.insert_full(tail.first, tail.block);
        }
    }

    /// Adds an entry, above all others, to the block that grows, whatever its size; false if it is too large for a block.
    fn push_loaded<'a, I>(&mut self, id: StreamId, deleted: bool, same_names: bool, fields: &NewFields<I>) -> bool
    where
        I: Iterator<Item = &'a [u8]> + Clone,
    {
        let block = match self.tail_mut() {
            Some(tail) => {
                if !tail.block.can_hold(fields) {
                    return false;
                }
                if same_names {
                    tail.block.push_same(tail.first, id, fields);
                } else {
                    tail.block.push(tail.first, id, fields);
                }
                &mut tail.block
            }
            None => self.set_tail(id, Block::new(id, fields, 0)),
        };
        if deleted {
            block.mark_last_deleted();
        } else {
            self.count_added();
        }
        true
    }
}

impl Block {
    /// A place in a block is a `u32`.
    fn can_hold<'a, I>(&self, fields: &NewFields<I>) -> bool
    where
        I: Iterator<Item = &'a [u8]> + Clone,
    {
        const BYTES_MAX: usize = 2 << 30;
        self.len().max(self.node_bytes()) + fields.bytes_max() < BYTES_MAX
    }

    fn mark_last_deleted(&mut self) {
        let Place { at, .. } = self.last_place();
        self.mark_deleted(at);
    }
}
