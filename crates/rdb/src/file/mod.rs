//! Files: a header, what stands between the values, the values, a checksum.
//!
//! [`Writer`] writes in the order in which it is called, which is that of the sections in `docs/formats/rdb.md`. Many
//! threads may encode: they make [records](crate::encode::Encoder::record) in buffers of their own, and the writer takes them as they are.
//!
//! [`Reader`] goes through a file as a stream and tells what it meets. It finds out where values end and leaves them
//! undecoded, so that other threads may do that.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{Doing, Event, Reader, Record};
pub use writer::{Facts, Replication, Writer};

/// The first bytes of a file of any version.
const MAGIC: &[u8; 5] = b"REDIS";
/// Digits of the version behind them.
const VERSION_DIGITS: usize = 4;
/// Since this version there is a checksum at the end.
const CHECKSUM_SINCE: u32 = 5;
