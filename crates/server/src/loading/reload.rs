//! Loading while the server runs.
//!
//! From the beginning of the load to its end no command is admitted that touches data; so what is saved at its beginning is what
//! is loaded, whatever clients do. The reader does one thing after the other, and has the first reactor do what only a reactor may:
//!
//! 1. a snapshot that is under way is completed, so that no file changes that is read;
//! 2. the data is saved, or what was recorded for the append-only file is written, if that is what is loaded;
//! 3. all databases and functions are emptied: watched keys are touched, caches are out of date;
//! 4. the file is read, as at the start.
//!
//! Those who wait for keys go on waiting. If one is told of its key's loss, as readers of a stream's groups are, it looks again when
//! everything is there.
//!
//! What changes is nothing that the append-only file is told, as in the reference: after `DEBUG RELOAD NOSAVE` it is another
//! data set that it has.

use super::run::Feeder;
use super::{After, Failure, Options, Source, aof, rdb};
use crate::config::Config;
use crate::errand::Origin;
use crate::journal::manifest::Layout;
use crate::log;
use crate::saving;
use crate::server::Server;
use kinovar_command::CommandError;
use kinovar_command::keyspace::{Db, Env, Locked};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// What `DEBUG RELOAD` is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Save first.
    pub saves: bool,
    /// Empty the databases.
    pub flushes: bool,
    /// Keys of the file take the place of those that are there.
    pub merges: bool,
}

const NOT_SAVED: CommandError = CommandError::text("ERR");
const NO_RDB: CommandError = CommandError::text("ERR Error trying to load the RDB dump, check server logs.");
const NO_AOF: CommandError = CommandError::text("ERR Error trying to load the AOF files, check server logs.");

/// Saves the data and loads it again. No lock is held.
pub fn from_rdb(server: &'static Server, wanted: Wanted, origin: Origin) {
    let config = server.config();
    let name = config.dbfilename.display().to_string();
    // How many changes are not saved, once the data is gone.
    let changes = Arc::new(AtomicU64::new(u64::MAX));
    let unsaved = changes.clone();
    let reader = move |feeder: &mut Feeder| {
        feeder.have_done(Box::new(move |server, env| prepare(server, env, wanted.saves)))?;
        if wanted.flushes {
            feeder.have_done(Box::new(move |server, env| {
                unsaved.store(changes_of(server), Relaxed);
                empty(server, env)
            }))?;
        }
        let source = Source::open(&config.dir.join(&config.dbfilename)).map_err(Failure::NotOpened)?;
        let source = source.ok_or(Failure::NoFile)?;
        feeder.run.total_bytes.store(source.bytes, Relaxed);
        rdb::read(feeder, source).map(drop)
    };
    let done = move |server: &'static Server, result: Result<(), Failure>| {
        match changes.load(Relaxed) {
            u64::MAX => {}
            changes => server.dirty_at_last_save.store(server.dirty().saturating_sub(changes), Relaxed),
        }
        if result.is_ok() {
            log::notice("DB reloaded by DEBUG RELOAD");
        }
        let error = result.err().map(|failure| if matches!(failure, Failure::NotSaved) { NOT_SAVED } else { NO_RDB });
        Some(answer(origin, error))
    };
    let options = Options { merge: wanted.merges, ..Options::default() };
    start(server, name, options, Box::new(reader), Box::new(done));
}

/// Loads the append-only file in place of what is there. No lock is held.
pub fn from_aof(server: &'static Server, origin: Origin) {
    let config = server.config();
    let name = config.appendfilename.clone();
    let is_suspended = Arc::new(AtomicBool::new(false));
    let suspended = is_suspended.clone();
    let reader = move |feeder: &mut Feeder| {
        feeder.have_done(Box::new(|server, env| prepare(server, env, false)))?;
        if server.journal.is_on() && !server.journal.settle_written() {
            return Err(Failure::Aof(vec!["What was recorded for the append-only file cannot be written".into()]));
        }
        suspended.store(server.journal.suspend(), Relaxed);
        feeder.have_done(Box::new(empty))?;
        read_aof(feeder, &config)
    };
    let done = move |server: &'static Server, result: Result<(), Failure>| {
        if is_suspended.load(Relaxed) {
            server.journal.resume();
        }
        if result.is_ok() {
            server.dirty_at_last_save.store(server.dirty(), Relaxed);
            log::notice("Append Only File loaded by DEBUG LOADAOF");
        }
        Some(answer(origin, result.err().map(|_| NO_AOF)))
    };
    let options = Options { replay: true, ..Options::default() };
    start(server, name, options, Box::new(reader), Box::new(done));
}

fn read_aof(feeder: &mut Feeder, config: &Config) -> Result<(), Failure> {
    let failed = |reason: String| Failure::Aof(vec![reason]);
    let layout = Layout::of(config);
    let mut manifest = layout.load().map_err(failed)?;
    layout.upgrade(&mut manifest).map_err(failed)?;
    if manifest.is_empty() {
        return Err(Failure::NoFile);
    }
    let total = aof::total_bytes(&layout, &manifest).map_err(failed)?;
    feeder.run.total_bytes.store(total, Relaxed);
    aof::read(feeder, &layout, &manifest, config.aof_load_truncated)
}

fn start(server: &'static Server, name: String, options: Options, reader: super::Reader, done: super::Done) {
    // Commands that load are refused while something is loaded. Of two that come at the same time one is too late.
    if let Err(late) = super::start(server, name, 0, options, reader, done)
        && let Some(after) = (late.done)(server, Err(Failure::Stopped))
    {
        after(server);
    }
}

fn answer(origin: Origin, error: Option<CommandError>) -> After {
    Box::new(move |server| origin.answer(server, error.as_ref().map_or(Ok("OK"), Err), 0, u64::MAX))
}

/// Completes what is under way, and saves the data if it is to be saved.
fn prepare(server: &'static Server, env: Env<'_>, saves: bool) -> Result<(), Failure> {
    if server.saving.is_running() {
        saving::drive(server);
    }
    if !saves {
        return Ok(());
    }
    let mut db = Db::new(&server.keyspace, Locked::None, 0, env);
    match saving::save_to_load(server, &mut db) {
        Ok(true) => Ok(()),
        _ => Err(Failure::NotSaved),
    }
}

fn changes_of(server: &Server) -> u64 {
    server.dirty().saturating_sub(server.dirty_at_last_save.load(Relaxed))
}

/// Empties everything.
fn empty(server: &'static Server, env: Env<'_>) -> Result<(), Failure> {
    let mut db = Db::new(&server.keyspace, Locked::None, 0, env);
    if db.lock_all_or_give_up().is_err() {
        return Err(Failure::Stopped);
    }
    for index in 0..server.keyspace.databases() {
        db.clear(index);
    }
    if server.tracking.clients() > 0 {
        server.invalidate_everything(0);
    }
    db.unlock();
    crate::commands::function::forget_all(server);
    Ok(())
}
