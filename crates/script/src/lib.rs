//! Lua scripts and function libraries.
//!
//! This crate knows nothing of the server. Code reaches commands, the log and the user's permissions through a [`Host`],
//! which whoever runs it provides.
//!
//! | module | what it is |
//! |---|---|
//! | [`run`] | interpreters and code: compiling, running |
//! | [`library`] | function libraries |
//! | [`shebang`], [`flags`] | what the first line of code says, what code promises |
//! | [`host`] | what a script needs of the world around it |
//! | `sandbox` | the global table |
//! | `redis` | the table `redis` |
//! | `from_resp`, `to_resp` | replies as Lua values, Lua values as replies |
//! | `cjson`, `cmsgpack`, `bit`, `structs` | libraries that scripts have besides those of Lua |
//! | `options`, `number`, `strtod` | what those share |
//! | `native`, `values` | crossing the border between Lua and Rust |
//! | [`sha1`] | names of scripts |
#![forbid(unsafe_code)]

// The C library that `mlua` binds to.
use kinovar_lua as _;
use mlua_sys as _;

mod bit;
mod cjson;
mod cmsgpack;
pub mod flags;
mod from_resp;
pub mod host;
pub mod library;
mod native;
mod number;
mod options;
mod redis;
pub mod run;
mod sandbox;
pub mod sha1;
pub mod shebang;
mod strtod;
mod structs;
#[cfg(test)]
mod tests;
mod to_resp;
mod values;

pub use flags::Flags;
pub use host::{Host, LogLevel, Parameters, Words};
pub use run::{Code, CompileError, Engine, Failure, Invocation, NoEngine};
pub use sandbox::Kind;

/// What scripts are told about the server that they run in.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    /// As `1.2.3`.
    pub text: &'static str,
    /// The same with a byte for each part.
    pub number: u32,
}
