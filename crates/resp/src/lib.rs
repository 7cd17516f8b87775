//! RESP2 and RESP3: the bytes that clients and the server exchange.
//!
//! | module | what it is |
//! |---|---|
//! | [`parser`] | requests: bytes in, batches of argument spans out; incremental, bounded, no IO |
//! | [`reply`] | replies: a writer that knows how each shape looks in RESP2 and in RESP3 |
//! | [`number`] | integers and doubles as text, exactly as the protocol spells them (from the structures crate) |
//!
//! This crate has never heard of a command.
#![forbid(unsafe_code)]

pub use kinovar_ds::number;
pub mod parser;
pub mod reply;

pub use parser::{Batch, Frame, ParseError, Parser, RequestLimits, Span};
pub use reply::{Protocol, Reply};
