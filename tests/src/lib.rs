//! Whole-system tests: real server processes, a strict RESP decoder, and the suites that compare the server under
//! test (the *subject*) with the reference server (the *oracle*).
//!
//! Nothing here knows how the subject is built; everything goes over the wire. `cargo xtask test` runs the suites and
//! `cargo xtask diff` one of them; `docs/testing.md` tells how to write scripts and grammars.
#![forbid(unsafe_code)]

pub mod aof;
pub mod aof_loading;
pub mod apps;
pub mod beyond;
pub mod busy;
pub mod chaos;
pub mod clients;
pub mod compare;
pub mod concurrency;
pub mod conn;
pub mod control;
pub mod crash;
pub mod crowds;
pub mod effects;
pub mod eviction;
pub mod faults;
pub mod garbage;
pub mod interchange;
pub mod known;
pub mod limits;
pub mod loading;
pub mod messages;
pub mod migrating;
pub mod money;
pub mod observability;
pub mod operation;
pub mod pair;
pub mod quote;
pub mod random;
pub mod reloading;
pub mod report;
pub mod resp;
pub mod rng;
pub mod saving;
pub mod script;
pub mod server;
pub mod show;
pub mod tls;
pub mod users;
pub mod workshop;

use std::path::PathBuf;

/// The `tests/` folder of the checkout this was built from.
pub fn tests_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
