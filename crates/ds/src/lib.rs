//! Stand-alone data structures of Kinovar: they know bytes, never keys, commands or clocks.
//!
//! | module | what it is |
//! |---|---|
//! | [`hash`] | the seeded 64-bit hash every table uses |
//! | [`entry`] | one allocation holding a key, optional metadata and a small value |
//! | [`elem`] | an eight-byte set element: inline short string or owned entry |
//! | [`table`] | the hash table: cache-line buckets, SIMD probes, incremental growth, stateless cursor |
//! | [`bits`] | long strings of bits: counting, searching, combining |
//! | [`lock`] | the partition lock, free of atomic read-modify-writes with one thread |
//! | [`loan`] | a place where something borrowed can be found for a while |
//! | [`port`] | a way from C code to a closure |
//! | [`number`] | integers and doubles as text |
//! | [`listpack`] | compact serialised list |
//! | [`intset`] | compact sorted set of integers |
//! | [`quicklist`] | linked listpacks |
//! | [`bptree`] | order-statistic B+ tree |
//! | [`hyperloglog`] | the HyperLogLog, sparse and dense |
//! | [`wide`] | functions compiled for the vectors that a machine may have |
//! | [`sorted_set`] | members by name and by score: a table and a tree |

pub mod bits;
pub mod bptree;
pub mod elem;
pub mod entry;
mod grisu;
pub mod hash;
pub mod hyperloglog;
pub mod intset;
pub mod listpack;
pub mod loan;
pub mod lock;
pub mod number;
pub mod port;
pub mod quicklist;
pub mod sorted_set;
pub mod table;
pub mod wide;
