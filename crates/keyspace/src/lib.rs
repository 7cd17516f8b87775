//! Databases: keys, values and their encodings, expiry.
//!
//! The keyspace is cut into partitions by hash slot. A partition is one mutex around its part of every database. A
//! command sees a [`Db`]: the selected database, through the partitions that were locked for it.
//!
//! | module | what it is |
//! |---|---|
//! | [`key`] | a key with its hash and its slot |
//! | [`object`] | what a key can hold |
//! | [`partition`] | a slice of the keyspace: tables and expiry indexes, one per database |
//! | [`space`] | all partitions, and locking them in order |
//! | [`db`] | the read door: lookup, expiry, access clock |
//! | [`door`] | the write door: the only way to change a stored value |
//! | [`string`], [`list`], [`set`], [`zset`], [`hash`], [`stream`] | the types over their encodings |
//! | [`expiry`] | time-ordered index of what expires |
//! | [`evict`] | which keys give way when memory is short |
//! | [`settings`] | thresholds and policies that values obey |
//! | [`stats`] | counters, one writer each |
//! | [`event`] | what a change is called |
//! | [`effects`] | what the journal is told of changes |
//! | [`interest`] | who watches keys or waits for them |
//! | [`snapshot`] | everything as it was at one moment |
//!
//! # Invariants
//! - A stored value changes only inside [`door`]; whatever must hold for every write is done there.
//! - Partitions are locked in ascending order, never while holding a higher one.
//! - No lock is held across a system call or a wait. Large values are detached and dropped elsewhere ([`Trash`]).
//! - An empty collection is never stored, unless it is a stream.
#![forbid(unsafe_code)]

pub mod access;
pub mod db;
pub mod door;
pub mod effects;
pub mod event;
pub mod evict;
pub mod expiry;
pub mod hash;
pub mod interest;
pub mod key;
pub mod list;
mod newest;
pub mod object;
pub mod partition;
pub mod readers;
pub mod set;
pub mod settings;
pub mod snapshot;
pub mod space;
pub mod stats;
pub mod stream;
pub mod string;
pub mod zset;

pub use db::{Db, Env, Work};
pub use door::{Moving, StringUpdate, Update};
pub use effects::{Effects, Journal, Teller, Unit};
pub use event::{Event, EventClass, Observer};
pub use hash::{Field, FieldTtl, Hash};
pub use interest::{Ready, Taken, Waiter, Watch};
pub use key::Key;
pub use kinovar_ds::bits;
pub use kinovar_ds::entry::{NewPayload, Payload, bytes_eq};
pub use kinovar_ds::hyperloglog;
pub use kinovar_ds::lock::set_giving_up;
pub use kinovar_ds::lock::{is_single_threaded, set_single_threaded};
pub use kinovar_ds::sorted_set::Inserted;
pub use object::{Object, Text, Value, ValueType, WrongType};
pub use partition::{Partition, PartitionDb, Trash};
pub use readers::{All, Caches, ReadCounts, Reader};
pub use set::Set;
pub use settings::Settings;
pub use space::{Keyspace, Locked, Unavailable};
pub use stats::Stats;
pub use stream::Stream;
pub use string::Ttl;

/// A stored key with its value.
pub type Entry = kinovar_ds::entry::Entry<Object>;
