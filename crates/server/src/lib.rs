//! The Kinovar server: reactors, connections, configuration and the commands about them.
#![forbid(unsafe_code)]

/// As in the program: tests ask the allocator what they have taken.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: kinovar_io::allocator::Jemalloc = kinovar_io::allocator::Jemalloc;

pub mod acl;
pub mod background;
pub mod busy;
pub mod cli_args;
pub mod clients;
pub mod cmdstats;
pub mod commands;
pub mod config;
pub mod connection;
pub mod defrag;
pub mod delivery;
pub mod errand;
pub mod eviction;
pub mod exec;
pub mod journal;
pub mod keysizes;
pub mod latency;
pub mod lifecycle;
pub mod listen;
pub mod loading;
pub mod log;
pub mod mailbox;
pub mod memory;
pub mod message;
pub mod metrics;
pub mod migrating;
pub mod monitor;
pub mod nested;
pub mod notify;
pub mod pause;
pub mod pubsub;
pub mod reactor;
pub mod samples;
pub mod saving;
pub mod scripting;
pub mod server;
pub mod session;
pub mod slowlog;
pub mod start;
pub mod tls;
pub mod tools;
pub mod tracking;
pub mod transaction;
pub mod waiting;
pub mod worst_pause;

/// The Redis version whose behaviour this server has: clients switch features on it.
pub const REDIS_VERSION: &str = "8.2.3";
