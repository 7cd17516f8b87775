//! Handlers of the data types, one module per group: declarations, handlers and their tests together.
//!
//! A handler has three beats: parse every argument, operate on the database, reply. It has never heard of a socket, a
//! file or the wall clock.
#![forbid(unsafe_code)]

pub mod generic;
pub mod hash;
pub mod list;
mod scan;
pub mod set;
pub mod string;
#[cfg(test)]
mod testing;
pub mod zset;

use kinovar_command::Command;

/// The declarations of every group in this crate.
pub const TABLES: &[&[Command]] =
    &[string::COMMANDS, generic::COMMANDS, list::COMMANDS, set::COMMANDS, zset::COMMANDS, hash::COMMANDS];
