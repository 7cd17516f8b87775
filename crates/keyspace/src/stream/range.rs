//! Entries by turns.

use super::StreamId;
use super::block::Block;
use super::cursor::{Cursor, Found, Place};
use super::log::Log;
use super::text;
use crate::Text;
use std::collections::btree_map;
use std::iter::FusedIterator;

/// An entry of a stream. Nothing is copied: names and values lie in the stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamEntry<'a> {
    /// Its id.
    pub id: StreamId,
    count: u32,
    names: Option<&'a [u8]>,
    sizes: Option<&'a [u8]>,
    values: &'a [u8],
}

impl<'a> From<Found<'a>> for StreamEntry<'a> {
    #[inline]
    fn from(found: Found<'a>) -> Self {
        StreamEntry { id: found.id, count: found.count, names: found.names, sizes: found.sizes, values: found.values }
    }
}

impl<'a> StreamEntry<'a> {
    /// Number of fields.
    pub fn field_count(&self) -> usize {
        self.count as usize
    }

    /// Names and values by turns: twice [`StreamEntry::field_count`] texts.
    pub fn texts(&self) -> Fields<'a> {
        Fields { left: 2 * self.count as usize, names: self.names, sizes: self.sizes, values: self.values }
    }
}

/// Names and values by turns.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    left: usize,
    names: Option<&'a [u8]>,
    sizes: Option<&'a [u8]>,
    values: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Text<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Text<'a>> {
        self.left = self.left.checked_sub(1)?;
        // The first of a pair leaves an odd number.
        if self.left % 2 == 1
            && let Some(names) = &mut self.names
        {
            let (text, end) = text::read(names, 0);
            *names = &names[end..];
            return Some(text);
        }
        let (text, end) = match &mut self.sizes {
            Some(sizes) => {
                let head = sizes[0];
                *sizes = &sizes[text::skip(sizes, 0)..];
                text::read_after(head, self.values, 0)
            }
            None => text::read(self.values, 0),
        };
        self.values = &self.values[end..];
        Some(text)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}
impl FusedIterator for Fields<'_> {}

/// Entries, oldest first.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    /// Blocks to come, but for the tail.
    blocks: btree_map::Range<'a, StreamId, Box<Block>>,
    tail: Option<(StreamId, &'a Block)>,
    cursor: Cursor<'a>,
    from: StreamId,
    to: StreamId,
}

impl<'a> Range<'a> {
    #[inline]
    pub(super) fn new(log: &'a Log, from: StreamId, to: StreamId) -> Self {
        let blocks = btree_map::Range::default();
        let mut range = Range { blocks, tail: log.tail(), cursor: Cursor::DONE, from, to };
        if from > to || log.len() == 0 {
            range.tail = None;
            return range;
        }
        if let Some((first, block)) = range.tail
            && first <= from
        {
            range.tail = None;
            if from <= block.last_id {
                range.cursor = log.cursor(first, block);
            }
            return range;
        }
        let begin = match log.full().range(..=from).next_back() {
            Some((first, block)) if from <= block.last_id => *first,
            _ => from,
        };
        range.blocks = log.full().range(begin..);
        if let Some((first, block)) = range.next_block() {
            range.cursor = log.cursor(first, block);
        }
        range
    }

    fn next_block(&mut self) -> Option<(StreamId, &'a Block)> {
        self.blocks.next().map(|(first, block)| (*first, &**block)).or_else(|| self.tail.take())
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = StreamEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            for found in self.cursor.by_ref() {
                if found.id > self.to {
                    self.cursor = Cursor::DONE;
                    self.blocks = btree_map::Range::default();
                    self.tail = None;
                    return None;
                }
                if found.id >= self.from && !found.deleted {
                    return Some(StreamEntry::from(found));
                }
            }
            let (first, block) = self.next_block()?;
            self.cursor = block.cursor(block.start(first));
        }
    }
}

impl FusedIterator for Range<'_> {}

/// Entries, newest first. A block is read forwards once, and its entries are then taken from the end.
#[derive(Clone, Debug)]
pub struct RangeRev<'a> {
    /// Blocks to come, but for the tail.
    blocks: btree_map::Range<'a, StreamId, Box<Block>>,
    /// The block that is being read, with its first id.
    block: Option<(StreamId, &'a Block)>,
    stage: Stage,
    /// Entries of the block that are still to come, once it was read.
    places: Vec<(StreamId, u32)>,
    from: StreamId,
    to: StreamId,
}

/// How much of a block was done.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Fresh,
    /// Its last entry was looked at, which needs no reading of the others. Often it is the only one that is wanted.
    Peeked,
    /// Its entries lie ready.
    Read,
}

impl<'a> RangeRev<'a> {
    pub(super) fn new(log: &'a Log, from: StreamId, to: StreamId) -> Self {
        let blocks = btree_map::Range::default();
        let mut range = RangeRev { blocks, block: None, stage: Stage::Fresh, places: Vec::new(), from, to };
        if from <= to && log.len() > 0 {
            range.blocks = log.full().range(..=to);
            range.block = log.tail().filter(|(first, _)| *first <= to).or_else(|| range.next_block());
        }
        range
    }

    fn next_block(&mut self) -> Option<(StreamId, &'a Block)> {
        self.blocks.next_back().map(|(first, block)| (*first, &**block))
    }

    /// Collects the block's entries in the range.
    fn read(&mut self, first: StreamId, block: &'a Block) {
        self.places.clear();
        for found in block.cursor(block.start(first)) {
            if found.id > self.to {
                break;
            }
            if found.id >= self.from && !found.deleted {
                self.places.push((found.id, found.at));
            }
        }
    }
}

impl<'a> Iterator for RangeRev<'a> {
    type Item = StreamEntry<'a>;

    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            let (first, block) = self.block?;
            match self.stage {
                Stage::Fresh => {
                    self.stage = Stage::Peeked;
                    let last = block.last();
                    if last.id < self.from {
                        self.block = None;
                    } else if last.id <= self.to && !last.deleted {
                        self.to = last.id.prev().expect("no entry has the lowest id");
                        return Some(StreamEntry::from(last));
                    }
                }
                Stage::Peeked => {
                    self.stage = Stage::Read;
                    self.read(first, block);
                }
                Stage::Read => {
                    if let Some((id, at)) = self.places.pop() {
                        let mut cursor = block.cursor(Place { at, before: StreamId::MIN });
                        let found = cursor.next().expect("it was read before");
                        return Some(StreamEntry::from(Found { id, ..found }));
                    }
                    self.block = if first <= self.from { None } else { self.next_block() };
                    self.stage = Stage::Fresh;
                }
            }
        }
    }
}

impl FusedIterator for RangeRev<'_> {}
