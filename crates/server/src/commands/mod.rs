//! Commands about the server and its connections, declared in the same form as those of the data types.

pub mod acl;
pub mod admin;
pub mod client;
pub mod config;
pub mod connection;
pub mod database;
pub mod debug;
pub mod digest;
pub mod function;
pub mod info;
pub mod latency;
mod latency_doctor;
pub mod memory;
pub mod migrate;
pub mod pubsub;
pub mod saving;
pub mod scripting;
pub mod slowlog;
pub mod tracking;
pub mod transactions;
pub mod waitaof;

use kinovar_command::Command;

/// The declarations of every group in this crate.
pub const TABLES: &[&[Command]] = &[
    acl::COMMANDS,
    admin::COMMANDS,
    client::COMMANDS,
    config::COMMANDS,
    connection::COMMANDS,
    database::COMMANDS,
    debug::COMMANDS,
    function::COMMANDS,
    info::COMMANDS,
    latency::COMMANDS,
    memory::COMMANDS,
    migrate::COMMANDS,
    pubsub::COMMANDS,
    saving::COMMANDS,
    scripting::COMMANDS,
    slowlog::COMMANDS,
    transactions::COMMANDS,
    waitaof::COMMANDS,
];
