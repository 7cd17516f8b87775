//! Loading data from a file, at the start and later.
//!
//! A thread reads the file and finds out where its records begin and end; the reactors decode them and put them in. Only reactors
//! may lock partitions, so each does that for its own share of them (a partition's number modulo the number of reactors),
//! in slices between turns of its event loop: clients are answered all the while, most of them with `-LOADING`.
//!
//! ```text
//! file ──> reader thread ──┬─ feed 0 ──> reactor 0: partitions 0, 2, 4, …
//!                          └─ feed 1 ──> reactor 1: partitions 1, 3, 5, …
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`run`] | one load: its feeds, its progress, how it ends |
//! | [`rdb`] | the reader's side for RDB files |
//! | [`insert`] | the reactor's side |
//! | [`aof`] | the reader's side for append-only files |
//! | [`commands`] | finding the commands in them |
//! | [`replay`] | running them, on the first reactor |
//! | [`reload`] | loading while the server runs: `DEBUG RELOAD` and `DEBUG LOADAOF` |
//! | [`failure`] | what can go wrong, and how the log says it |
//!
//! # How a load goes
//! 1. [`start`] says that data is being loaded: from then on no command is admitted that touches data.
//! 2. At the end of its turn each reactor arrives, unless it is in the middle of a script. So nobody is in the middle of a command
//!    when the last one arrives, which starts the reader.
//! 3. The reader fills the feeds, which are bounded; it waits while a feed is full.
//! 4. When the reader has closed the feeds and they are empty, the reactors leave. The last one to leave registers the
//!    functions, tells the log, admits commands again and calls whoever wanted to know of the end.

pub mod aof;
pub mod commands;
pub mod failure;
pub mod insert;
pub mod rdb;
pub mod reload;
pub mod replay;
pub mod run;

use crate::config::Config;
use crate::server::Server;
pub use failure::Failure;
use kinovar_io::clock;
use run::{Feeder, Run};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};

/// What is known of loading.
#[derive(Default)]
pub struct Loading {
    is_on: AtomicBool,
    run: Mutex<Option<Arc<Run>>>,
    /// How many loads have been started.
    count: AtomicU64,
    /// Those who waited for a key have to look again, as one at run time has ended.
    has_waiters: AtomicBool,
    /// Keys that the last load has put in, or this one so far.
    pub keys_loaded: AtomicU64,
    /// Keys that it has left out as their time had come.
    pub keys_expired: AtomicU64,
}

/// Where data comes from.
pub struct Source {
    /// What the log calls it.
    pub name: String,
    /// How many bytes there are; 0 if nobody knows.
    pub bytes: u64,
    /// The bytes.
    pub from: Box<dyn Read + Send>,
}

impl Source {
    /// A file; `None` when there is none.
    ///
    /// # Errors
    /// It is there and cannot be opened.
    pub fn open(path: &Path) -> io::Result<Option<Source>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let metadata = file.metadata()?;
        let bytes = if metadata.is_file() { metadata.len() } else { 0 };
        Ok(Some(Source { name, bytes, from: Box::new(file) }))
    }
}

/// What becomes of the data that is there.
#[derive(Clone, Copy, Default, Debug)]
pub struct Options {
    /// Keys and libraries of the file take the place of those of the same name, which are an error else.
    pub merge: bool,
    /// Commands follow that say what became of the data: nothing goes because of the time.
    pub replay: bool,
}

/// Called at the end of a load, by the last reactor to leave, which holds no locks. No command is admitted before it has returned;
/// what it returns is called after that.
pub type Done = Box<dyn FnOnce(&'static Server, Result<(), Failure>) -> Option<After> + Send>;
/// See [`Done`].
pub type After = Box<dyn FnOnce(&'static Server) + Send>;
/// What the reader does: it feeds the reactors until there is nothing more.
pub type Reader = Box<dyn FnOnce(&mut Feeder) -> Result<(), Failure> + Send>;

impl Loading {
    /// Whether data is being loaded: asked for every command.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Acquire)
    }

    /// Whether those who wait for keys have to look again; asked by whoever will see to that.
    pub fn take_waiters(&self) -> bool {
        self.has_waiters.load(Relaxed) && !self.is_on() && self.has_waiters.swap(false, Relaxed)
    }

    /// The load that is under way.
    pub fn run(&self) -> Option<Arc<Run>> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Loads an RDB file.
///
/// # Errors
/// A load is under way.
pub fn load(server: &'static Server, source: Source, options: Options, done: Done) -> Result<(), Busy> {
    let (name, bytes) = (source.name.clone(), source.bytes);
    start(server, name, bytes, options, Box::new(move |feeder| rdb::read(feeder, source).map(drop)), done)
}

/// A load is under way.
pub struct Busy {
    /// What is not called for that.
    pub done: Done,
}

/// Starts a load. `name` is what the log calls the file, `bytes` its size or 0.
///
/// # Errors
/// A load is under way.
pub fn start(
    server: &'static Server,
    name: String,
    bytes: u64,
    options: Options,
    reader: Reader,
    done: Done,
) -> Result<(), Busy> {
    let loading = &server.loading;
    let mut slot = loading.run.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.is_some() {
        return Err(Busy { done });
    }
    let number = loading.count.fetch_add(1, Relaxed) + 1;
    loading.keys_loaded.store(0, Relaxed);
    loading.keys_expired.store(0, Relaxed);
    *slot = Some(Arc::new(Run::new(server, number, name, bytes, options, reader, done)));
    loading.is_on.store(true, Release);
    drop(slot);
    server.look_for_alerts();
    server.mailboxes.get().into_iter().flatten().for_each(crate::mailbox::Mailbox::wake);
    Ok(())
}

/// Loads what the configuration names, when the server starts. Whether there is anything: if so, clients may come when it is
/// loaded.
///
/// # Errors
/// What the log should say before the process ends.
pub fn at_start(server: &'static Server, config: &Config) -> Result<bool, String> {
    if config.appendonly {
        return aof::at_start(server, config);
    }
    let name = config.dbfilename.display();
    let source = Source::open(&config.dir.join(&config.dbfilename)).map_err(|error| {
        let reason = kinovar_io::net::error_text(&error);
        crate::log::warning(&format!("Fatal error: can't open the RDB file {name} for reading: {reason}"));
        FATAL.to_owned()
    })?;
    let Some(source) = source else { return Ok(false) };
    let started_us = clock::unix_us();
    let done = move |server: &'static Server, result: Result<(), Failure>| match result {
        Ok(()) => {
            let seconds = clock::unix_us().saturating_sub(started_us) as f64 / 1e6;
            crate::log::notice(&format!("DB loaded from disk: {seconds:.3} seconds"));
            Some(Box::new(|server: &'static Server| crate::lifecycle::ready(&server.config())) as After)
        }
        Err(_) => {
            server.fail(FATAL.to_owned());
            None
        }
    };
    Ok(load(server, source, Options::default(), Box::new(done)).is_ok())
}

/// The last line of a server that could not load its data.
const FATAL: &str = "Fatal error loading the DB, check server logs. Exiting.";
