//! The contract between commands and the server.
//!
//! A command is one [`Command`] value, declared beside its handler. Everything else is derived from the declarations by
//! the [`registry`]: dispatch, arity errors, the keys to lock, `COMMAND`, `COMMAND DOCS`, `COMMAND GETKEYS`, the
//! compatibility table.
//!
//! | module | what it is |
//! |---|---|
//! | [`spec`] | [`Command`], flags, ACL categories, key specifications, argument trees |
//! | [`args`] | the cursor a handler parses its arguments with |
//! | [`context`] | what a handler can reach: database, reply, client, time, server |
//! | [`dispatch`] | from a request to its locks |
//! | [`expiry`] | options that set or drop an expiry |
//! | [`error`] | every error text a client can see |
//! | [`long_double`] | arithmetic of `INCRBYFLOAT` and `HINCRBYFLOAT` |
//! | [`registry`] | all declarations together: lookup by name, key extraction |
//! | [`help`] | `HELP` and argument syntax, derived from the declarations |
//! | [`glob`] | patterns of `KEYS`, `SCAN MATCH`, `CONFIG GET` |
#![forbid(unsafe_code)]

pub mod args;
pub mod context;
pub mod dispatch;
pub mod error;
pub mod expiry;
pub mod glob;
pub mod help;
pub mod long_double;
pub mod registry;
pub mod spec;

pub use args::{Args, HashedKey, until_nul};
pub use context::{Absent, Ctx, Wait, check_reply_size};
pub use error::CommandError;
pub use kinovar_keyspace as keyspace;
pub use kinovar_keyspace::{Db, Key};
pub use kinovar_resp::{Protocol, Reply, number};
pub use registry::Registry;
pub use spec::*;

/// What every handler returns: the reply is already written, or an error to write instead of it.
pub type Outcome = Result<(), CommandError>;
