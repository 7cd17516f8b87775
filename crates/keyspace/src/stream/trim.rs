//! Dropping the oldest entries.

use super::{References, StreamId};
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
