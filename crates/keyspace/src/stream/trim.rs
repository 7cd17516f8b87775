//! Dropping the oldest entries.
//!
//! Whole blocks go first. Approximate trimming ends there; exact trimming marks entries of the next block as deleted. Entries
//! that are pending are looked at one by one, unless they stay pending: then no block can be dropped as a whole, and
//! approximate trimming does nothing at all, as in the reference.

use super::block::Block;
use super::cursor::Place;
use super::{References, Stream, StreamId};
use crate::settings::Settings;

/// What is to remain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TrimBy {
    /// So many entries, the newest.
    MaxLen(u64),
    /// Entries from this id on.
    MinId(StreamId),
}

/// How to trim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trim {
    /// What is to remain.
    pub by: TrimBy,
    /// `~`: only whole blocks are dropped, so that more may remain.
    pub approximate: bool,
    /// At most so many entries are dropped; 0 is no limit.
    pub limit: u64,
    /// What about entries that are pending.
    pub references: References,
}

impl Trim {
    /// The limit of an approximate trim that names none: a hundred full blocks.
    pub fn default_limit(settings: &Settings) -> u64 {
        match (settings.stream_node_max_entries as i64).saturating_mul(100) {
            ..=0 => 10_000,
            limit => limit.min(1_000_000) as u64,
        }
    }
}

impl Stream {
    /// Drops the oldest entries; how many.
    pub fn trim(&mut self, trim: &Trim) -> usize {
        let mut dropped = 0;
        let mut block = self.log.first_block();
        while let Some((first, Block { live, last_id, .. })) = block {
            let live = *live as usize;
            if matches!(trim.by, TrimBy::MaxLen(max) if self.log.len() as u64 <= max) {
                break;
            }
            if trim.limit > 0 && (dropped + live) as u64 > trim.limit {
                break;
            }
            let all = match trim.by {
                TrimBy::MaxLen(max) => (self.log.len() - live) as u64 >= max,
                TrimBy::MinId(id) => *last_id < id,
            };
            if all && trim.references == References::Keep {
                dropped += self.log.remove_block(first);
                block = self.log.first_block();
                continue;
            }
            if trim.approximate {
                break;
            }
            dropped += self.trim_block(first, all, trim);
            if !all {
                break;
            }
            block = self.log.block_after(first);
        }
        if dropped > 0 {
            self.first_id = self.log.find_first().unwrap_or_default();
        }
        dropped
    }

    /// Deletes the oldest entries of a block, or all (`all_doomed`) that are not needed; how many.
    fn trim_block(&mut self, first: StreamId, all_doomed: bool, trim: &Trim) -> usize {
        let mut left = match trim.by {
            TrimBy::MaxLen(max) => (self.log.len() as u64).saturating_sub(max),
            TrimBy::MinId(_) => u64::MAX,
        };
        let (_, block) = self.log.find(first).expect("callers name a block that is there");
        let mut cursor = self.log.cursor(first, block);
        let is_old = |id| !matches!(trim.by, TrimBy::MinId(min) if id >= min);
        let oldest = cursor.clone().find(|found| !found.deleted).filter(|found| is_old(found.id));
        let checks = trim.references == References::Acked && !self.groups.is_empty() && left > 0 && oldest.is_some();
        let floor = checks.then(|| self.settle_floor());
        let (_, block) = self.log.find(first).expect("it is still there");
        cursor = self.log.cursor(first, block);
        let mut doomed = Vec::new();
        // Whether everything so far is deleted, and where that ends.
        let (mut all, mut start): (bool, Place) = (true, cursor.place);
        while let Some(found) = cursor.next() {
            if left == 0 || !is_old(found.id) {
                break;
            }
            if !found.deleted {
                if floor.is_some_and(|floor| self.is_needed(found.id, floor)) {
                    all = false;
                    continue;
                }
                doomed.push((found.id, found.at));
                left -= 1;
            }
            if all {
                start = cursor.place;
            }
        }
        if trim.references == References::Delete {
            for (id, _) in &doomed {
                self.drop_references(*id);
            }
        }
        let block = self.log.block_mut(first);
        // A block in which others remain, be they deleted, stays where it is.
        if all_doomed && doomed.len() == block.live as usize {
            return self.log.remove_block(first);
        }
        for (_, at) in &doomed {
            block.mark_deleted(*at);
        }
        self.log.note_deleted(doomed.len());
        self.log.set_start(first, start);
        doomed.len()
    }
}
