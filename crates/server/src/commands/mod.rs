//! Commands about the server and its connections, declared in the same form as those of the data types.

pub mod admin;
pub mod client;
pub mod connection;
pub mod database;
pub mod latency;
pub mod slowlog;

use kinovar_command::Command;

/// The declarations of every group in this crate.
pub const TABLES: &[&[Command]] = &[
    admin::COMMANDS,
    client::COMMANDS,
    connection::COMMANDS,
    database::COMMANDS,
    latency::COMMANDS,
    slowlog::COMMANDS,
];
