//! Configuration: what every parameter is, how it is read, changed, reported and written back.
//!
//! ```text
//!  redis.conf, stdin, options ──> load ──> Store ──> ConfigHandle ──ArcSwap──> Config (typed, immutable)
//!                                   │        ▲            │  CONFIG GET / SET / REWRITE
//!                                   └─ table ┘            └─ ApplyHook: bind the port, resize the log … or refuse
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `table` | every parameter, declared once |
//! | `param` | what a declaration says |
//! | `kind` | values: how each kind is parsed, checked and shown |
//! | `lexer` | words and quotes of a line |
//! | `load` | files, includes, standard input, options; the fatal error texts |
//! | `store` | the present values |
//! | `snapshot` | [`Config`], what the rest of the server reads |
//! | `handle` | [`ConfigHandle`]: the running configuration and the CONFIG command's verbs |
//! | `rewrite` | CONFIG REWRITE |
//! | `events` | letters of `notify-keyspace-events` |
//! | `oracle/` | answers of Redis 8.2.3 that the tests hold all this against, and the script that asked for them |

mod check;
pub mod events;
mod handle;
mod kind;
mod lexer;
mod load;
mod param;
mod rewrite;
mod snapshot;
mod store;
mod table;
#[cfg(test)]
mod tests;

pub use check::expand_title;
pub use handle::{ApplyHook, ConfigHandle, SetError};
pub use kind::{CLIENT_CLASSES, OutputLimit, SaveRule, memory_bytes, yes_no};
pub use lexer::{quote_into, split_words};
pub use load::{LoadError, Loaded, Sources, load, not_built_yet};
pub use param::{Meaning, Mutability, Param};
pub use snapshot::{
    AppendFsync, ClientsMemory, Config, Defragmentation, EvictionPolicy, IoEngine, LogFormat, LogLevel, OomScoreAdj,
    ShutdownOptions, Supervised, TlsAuth, TlsSettings, Who,
};
pub use store::{ProcessDir, Store, WorkingDir, bytes_path, os_reason};
pub use table::{PARAMS, help};

/// The version of Redis whose behaviour this server has, as clients are told.
pub const COMPATIBLE_VERSION: &str = "8.2.3";
