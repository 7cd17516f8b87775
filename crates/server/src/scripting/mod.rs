//! Lua scripts and functions: what is known of them, and running them.
//!
//! | module | what it is |
//! |---|---|
//! | [`cache`] | scripts by their digest |
//! | [`libraries`] | function libraries |
//! | [`runtime`] | the interpreters of a thread |
//! | [`call`] | from a command's arguments to its script, and running it |
//! | [`host`] | what scripts reach the server by |
//! | [`fiber`] | commands that can be left in the middle |
//! | [`runs`] | which thread runs what, and ending it |
//! | [`payload`] | libraries as a serialised value |
//!
//! # How code runs
//! A script locks all partitions, so that it is one moment to everybody else, unless it has declared that it touches its keys
//! only. It runs in a fiber. For up to `busy-reply-threshold` its thread does nothing else, as with any command. Then everybody
//! is told ([`crate::busy`]), the fiber is left where it stands, and the reactor goes on with it for a slice of each turn.
//!
//! # Threads
//! Scripts and libraries are known to all reactors. Each compiles them for itself when it runs them first, and has its own
//! interpreters: what a library keeps in variables of its own is kept for each reactor. Interpreters and their code are made
//! anew when the version of what is known has changed.

pub mod cache;
pub mod call;
pub mod fiber;
pub mod host;
pub mod libraries;
pub mod payload;
pub mod runs;
pub mod runtime;

use crate::server::Server;
use cache::Cache;
use kinovar_command::registry::Entry;
use kinovar_command::{Args, Flags, Group, Lock};
use libraries::Libraries;
use runs::Runs;

/// What the server knows of scripts and functions.
pub struct Scripting {
    /// Scripts.
    pub cache: Cache,
    /// Function libraries.
    pub libraries: Libraries,
    /// What is running.
    pub runs: Runs,
}

impl Scripting {
    /// Nothing, for so many reactors.
    pub fn new(reactors: usize) -> Scripting {
        Scripting { cache: Cache::default(), libraries: Libraries::default(), runs: Runs::new(reactors) }
    }
}

/// Whether a command runs code: it locks by itself.
pub fn runs_code(entry: &Entry) -> bool {
    entry.command.group == Group::Scripting && entry.command.lock == Lock::Walk
}

/// Whether a command that runs code may write, as far as what it runs is known and says: `args` is all of its words.
pub fn may_write(server: &Server, entry: &Entry, args: &Args<'_>) -> bool {
    !entry.command.flags.has(Flags::READONLY)
        && stated_flags(server, entry, args).is_none_or(|flags| !flags.has(kinovar_script::Flags::NO_WRITES))
}

/// Whether it says that it may write.
pub fn says_that_it_writes(server: &Server, entry: &Entry, args: &Args<'_>) -> bool {
    stated_flags(server, entry, args).is_some_and(|flags| !flags.has(kinovar_script::Flags::NO_WRITES))
}

/// Whether it says that it may need more memory: so does all code that says anything about itself, unless it says otherwise.
pub fn says_that_it_needs_memory(server: &Server, entry: &Entry, args: &Args<'_>) -> bool {
    use kinovar_script::Flags;
    stated_flags(server, entry, args).is_some_and(|flags| !flags.has(Flags::NO_WRITES) && !flags.has(Flags::ALLOW_OOM))
}

fn stated_flags(server: &Server, entry: &Entry, args: &Args<'_>) -> Option<kinovar_script::Flags> {
    let code = args.at(1);
    match entry.command.name {
        "fcall" | "fcall_ro" => server.scripting.libraries.shelf().function(code).map(|(_, function)| function.flags),
        "evalsha" | "evalsha_ro" => {
            let script = call::parse_digest(code).and_then(|digest| server.scripting.cache.find(&digest));
            script.and_then(|script| script.flags)
        }
        _ => kinovar_script::shebang::of_script(code).ok().and_then(|header| header.flags),
    }
}

/// What scripts are told about the server.
pub const VERSION: kinovar_script::Version =
    kinovar_script::Version { text: crate::REDIS_VERSION, number: 0x0008_0203 };

/// What the values of one interpreter may take up, bytes.
pub const MEMORY_BYTES: usize = 1 << 30;
