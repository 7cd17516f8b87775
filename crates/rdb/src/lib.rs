//! The RDB format: how values are laid out in `DUMP` payloads and in files. `docs/formats/rdb.md` has the tables.
//!
//! | module | what it is |
//! |---|---|
//! | [`wire`] | codes, lengths, strings, doubles, checksums |
//! | [`lzf`] | the compression of strings |
//! | [`encode`] | values of the keyspace to bytes |
//! | [`decode`] | bytes to values of the keyspace |
//! | [`skip`] | where a value ends, without decoding it |
//! | [`dump`] | payloads of `DUMP` and `RESTORE` |
//! | [`file`] | files: written in order, read as a stream |
//! | [`error`] | what is wrong with bytes, and where |
//!
//! # Invariants
//! - Whatever the bytes are, reading them ends in a value or an [`Error`] that names an offset: no panic, and no allocation
//!   for a length that is merely announced.
//! - Values that are laid out by the reference's rules have the reference's bytes wherever it defines an order.
//! - Nothing here knows files of the operating system, threads or time: bytes come and go through `Read` and `Write`.
#![forbid(unsafe_code)]

pub mod decode;
pub mod dump;
pub mod encode;
pub mod error;
pub mod file;
pub mod lzf;
mod pairs;
pub mod skip;
pub mod wire;
mod ziplist;
mod zipmap;

pub use decode::NewValue;
pub use error::{Error, ErrorKind, Result};

#[cfg(test)]
mod testing;
