//! Commands about the server and its connections, declared in the same form as those of the data types.

pub mod client;
pub mod connection;

use kinovar_command::Command;

/// The declarations of every group in this crate.
pub const TABLES: &[&[Command]] = &[connection::COMMANDS, client::COMMANDS];
