//! Handlers of the data types, one module per group: declarations, handlers and their tests together.
//!
//! A handler has three beats: parse every argument, operate on the database, reply. It has never heard of a socket, a
//! file or the wall clock.
#![forbid(unsafe_code)]

pub mod bitmap;
mod blocking;
pub mod command;
pub mod dump;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod list;
mod multi_pop;
pub mod rebuild;
mod scan;
pub mod set;
pub mod stream;
pub mod string;
#[cfg(test)]
mod testing;
pub mod zset;

use kinovar_command::Command;

/// The declarations of every group in this crate.
pub const TABLES: &[&[Command]] = &[
    command::COMMANDS,
    string::COMMANDS,
    generic::COMMANDS,
    dump::COMMANDS,
    list::COMMANDS,
    set::COMMANDS,
    zset::COMMANDS,
    hash::COMMANDS,
    stream::COMMANDS,
    bitmap::COMMANDS,
    hyperloglog::COMMANDS,
    geo::COMMANDS,
];

/// Indices from `start` to `end`, both inside, negative ones counted from the end.
pub(crate) fn clamp_indices(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    let from_end = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let (start, end) = (from_end(start).max(0), from_end(end).min(len - 1));
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}
