//! Saving the data to a file: when, by whom, and what came of it.
//!
//! All of it is one thing, a snapshot ([`kinovar_command::keyspace::snapshot`]) on its way to a file. `BGSAVE`, the `save` rules and
//! `SAVE` differ in who drives it: each reactor walks through its own partitions, for a slice of every turn, and whoever waits for
//! the file (`SAVE`, a shutdown) walks through all of them besides. A thread of its own writes what they give it.
//!
//! A snapshot [begins](begin) while everything is locked, which is no time to make a file or to start a thread. So whoever began
//! it [launches](launch) that thread when nothing is locked any more; every reactor looks at the end of its turn whether there
//! is one to be launched.

mod file;
pub mod parking;

use crate::config::Config;
use crate::log;
use crate::server::Server;
pub use file::{Base, Outcome, VERSION_MIN};
use file::{FileSink, Purpose, Work};
use kinovar_command::Flags;
use kinovar_command::keyspace::snapshot::{Sink, Step};
use kinovar_command::keyspace::{Db, Trash};
use kinovar_command::registry::Entry;
use kinovar_io::clock::{self, Ticks};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Bytes written between two looks at the clock.
const SLICE_BYTES: usize = 16 << 10;
/// The same for those who do nothing else.
const LARGE_SLICE_BYTES: usize = 256 << 10;
/// Time that values take of a turn which somebody waits for, us.
const HURRY_SLICE_US: u64 = 250;
/// After a failure the `save` rules wait so long, s.
const RETRY_S: u64 = 5;

/// The error of commands that write while the data cannot be saved.
pub const MISCONF: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands \
                           that may modify the data set are disabled, because this instance is configured to report errors \
                           during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis \
                           logs for details about the RDB error.";

/// What is known of saving.
pub struct Saving {
    /// A snapshot is under way.
    active: AtomicBool,
    /// There is something to be [launched](launch).
    is_unlaunched: AtomicBool,
    /// Which one it is, counted from 1.
    number: AtomicU64,
    state: Mutex<State>,
    /// The state has changed.
    changed: Condvar,
    /// The last one failed, and commands that write are refused for that.
    refuses_writes: AtomicBool,
    /// When the data was last saved, Unix seconds; 0 for never.
    last_save_s: AtomicU64,
    /// How many files were written.
    saves: AtomicU64,
    /// How long the last one took, s; -1 for never.
    last_duration_s: AtomicI64,
}

#[derive(Default)]
struct State {
    running: Option<Arc<Running>>,
    /// What its thread has to do, which has not been started.
    work: Option<Work>,
    /// Why it could not be started. The walk has to come to its end nevertheless.
    unstarted: Option<String>,
    /// Another one is to follow.
    scheduled: bool,
    last_failed: bool,
    /// When the last one was tried, Unix seconds.
    last_try_s: u64,
}

/// A snapshot on its way to a file.
struct Running {
    sink: Arc<FileSink>,
    started_ms: u64,
    /// [`Server::dirty`] at the cut.
    dirty: u64,
    /// Somebody waits for it.
    foreground: bool,
    purpose: Purpose,
}

/// What `INFO` says.
pub struct Report {
    /// A snapshot is under way in the background.
    pub in_progress: bool,
    /// When it began, Unix ms.
    pub started_ms: Option<u64>,
    /// Keys written, and keys to be written.
    pub keys: (u64, u64),
    /// The last one was written.
    pub last_ok: bool,
    /// How long the last one took, s; -1 for never.
    pub last_duration_s: i64,
    /// How many files were written.
    pub saves: u64,
}

/// Why a snapshot was not begun.
#[derive(Debug)]
pub enum Refusal {
    /// One is under way.
    Running,
    /// Data is being loaded, or a script has what is to be saved.
    Failed,
}

impl Default for Saving {
    fn default() -> Self {
        Saving {
            active: AtomicBool::new(false),
            is_unlaunched: AtomicBool::new(false),
            number: AtomicU64::new(0),
            state: Mutex::default(),
            changed: Condvar::new(),
            refuses_writes: AtomicBool::new(false),
            last_save_s: AtomicU64::new(0),
            saves: AtomicU64::new(0),
            last_duration_s: AtomicI64::new(-1),
        }
    }
}

impl Saving {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the snapshot that is under way.
    #[inline]
    pub fn current(&self) -> Option<u64> {
        self.active.load(Relaxed).then(|| self.number.load(Relaxed))
    }

    /// Whether a snapshot may have something left to write: asked for every command that writes.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    /// Whether a snapshot is under way, for whatever it is.
    pub fn is_running(&self) -> bool {
        self.state().running.is_some()
    }

    /// Whether one is under way for the append-only file.
    pub fn is_rewriting(&self) -> bool {
        self.state().running.as_ref().is_some_and(|running| running.purpose != Purpose::Save)
    }

    /// Whether commands that write are refused, since the data cannot be saved.
    #[inline]
    pub fn refuses_writes(&self) -> bool {
        self.refuses_writes.load(Relaxed)
    }

    /// Whether a command is refused, since the data cannot be saved.
    pub fn refuses(&self, entry: &Entry) -> bool {
        self.refuses_writes() && entry.command.flags.has(Flags::WRITE)
    }

    /// When the data was last saved, Unix seconds.
    pub fn last_save_s(&self) -> Option<u64> {
        Some(self.last_save_s.load(Relaxed)).filter(|&at_s| at_s != 0)
    }

    /// Has a snapshot follow the one that is under way.
    pub fn schedule(&self) {
        self.state().scheduled = true;
    }

    /// For `INFO`.
    pub fn report(&self) -> Report {
        let state = self.state();
        let is_reported = |running: &&Arc<Running>| !running.foreground && running.purpose == Purpose::Save;
        let running = state.running.as_ref().filter(is_reported);
        Report {
            in_progress: running.is_some(),
            started_ms: running.map(|running| running.started_ms),
            keys: running.map_or((0, 0), |running| running.sink.keys()),
            last_ok: !state.last_failed,
            last_duration_s: self.last_duration_s.load(Relaxed),
            saves: self.saves.load(Relaxed),
        }
    }

    /// The parameters have changed.
    pub fn reconsider(&self, config: &Config) {
        let refuses = self.state().last_failed && config.stop_writes_on_bgsave_error && !config.save.is_empty();
        self.refuses_writes.store(refuses, Relaxed);
    }
}

/// Begins a snapshot; `db` has everything locked. When nothing is locked any more, it is to be [launched](launch). That its
/// file cannot be made is found out only then.
///
/// # Errors
/// One is under way, or data is being loaded.
pub fn begin(server: &'static Server, db: &mut Db<'_>, foreground: bool) -> Result<(), Refusal> {
    begin_for(server, db, foreground, Purpose::Save)
}

/// Begins a snapshot for the append-only file; `db` has everything locked.
///
/// # Errors
/// As [`begin`].
pub fn begin_rewrite(server: &'static Server, db: &mut Db<'_>) -> Result<(), Refusal> {
    let base = Base::of(&server.config());
    begin_for(server, db, false, Purpose::Rewrite(base))
}

fn begin_for(server: &'static Server, db: &mut Db<'_>, foreground: bool, purpose: Purpose) -> Result<(), Refusal> {
    if server.loading.is_on() {
        // What is there is a part of the data.
        return Err(Refusal::Failed);
    }
    begin_in_any_case(server, db, foreground, purpose)
}

fn begin_in_any_case(
    server: &'static Server,
    db: &mut Db<'_>,
    foreground: bool,
    purpose: Purpose,
) -> Result<(), Refusal> {
    let saving = &server.saving;
    let mut state = saving.state();
    if state.running.is_some() {
        return Err(Refusal::Running);
    }
    let config = server.config();
    let now_ms = clock::unix_ms();
    if purpose == Purpose::Save {
        state.last_try_s = now_ms / 1000;
    }
    let databases = server.keyspace.databases();
    let sizes: Vec<file::Size> = (0..databases).map(|number| file::Size::of(db, number)).collect();
    let (sink, work) = FileSink::new(server, &config, purpose, sizes, now_ms);
    let sink = Arc::new(sink);
    state.work = Some(work);
    let running =
        Arc::new(Running { sink: sink.clone(), started_ms: now_ms, dirty: server.dirty(), foreground, purpose });
    state.running = Some(running);
    let shared: Arc<dyn Sink> = sink.clone();
    sink.expect(db.begin_snapshot(&shared));
    saving.number.fetch_add(1, Relaxed);
    saving.active.store(true, Relaxed);
    saving.is_unlaunched.store(true, Relaxed);
    Ok(())
}

/// Starts the thread of a snapshot that was begun, unless it has been started. Nothing is locked.
#[inline]
pub fn launch(server: &'static Server) {
    if server.saving.is_unlaunched.load(Relaxed) {
        start(server);
    }
}

#[cold]
fn start(server: &'static Server) {
    let saving = &server.saving;
    let mut state = saving.state();
    let Some(running) = state.running.clone() else { return };
    if let Some(work) = state.work.take() {
        // Before the thread can be done, and the next snapshot be begun.
        saving.is_unlaunched.store(false, Relaxed);
        drop(state);
        let is_lazy = !running.foreground;
        let started = std::thread::Builder::new().name("kinovar-save".into()).spawn(move || {
            if is_lazy {
                // Not worth refusing to save for: the file then merely competes with the reactors.
                let _ = kinovar_io::process::lower_priority();
            }
            finished(server, work.run());
        });
        if let Err(error) = started {
            running.sink.give_up();
            saving.state().unstarted = Some(format!("Can't save in background: {error}"));
            saving.is_unlaunched.store(true, Relaxed);
        }
        // All of them have something to do.
        server.mailboxes.get().into_iter().flatten().for_each(crate::mailbox::Mailbox::wake);
    } else if running.sink.is_over()
        && let Some(reason) = state.unstarted.take()
    {
        saving.is_unlaunched.store(false, Relaxed);
        drop(state);
        finished(server, Err(reason));
    }
}

/// What has become of the file, told by the thread that wrote it. All partitions have been walked through.
fn finished(server: &'static Server, outcome: Outcome) {
    let now_ms = clock::unix_ms();
    let saving = &server.saving;
    let Some(running) = saving.state().running.clone() else { return };
    let ok = outcome.is_ok();
    if let Purpose::Rewrite(base) = running.purpose {
        crate::journal::rewrite::finished(server, outcome, base);
        saving.active.store(false, Relaxed);
        settle(server, None);
        return;
    }
    match outcome {
        Ok(()) => {
            log::notice("DB saved on disk");
            server.dirty_at_last_save.store(running.dirty, Relaxed);
            saving.last_save_s.store(now_ms / 1000, Relaxed);
            // What is saved to be loaded again is not counted.
            if !server.loading.is_on() {
                saving.saves.fetch_add(1, Relaxed);
            }
        }
        Err(reason) => log::warning(&reason),
    }
    if !running.foreground {
        saving.last_duration_s.store((now_ms.saturating_sub(running.started_ms) / 1000) as i64, Relaxed);
        match ok {
            true => log::notice("Background saving terminated with success"),
            false => log::warning("Background saving error"),
        }
    }
    saving.active.store(false, Relaxed);
    settle(server, Some(ok));
}

/// Nothing is under way any more. `ok`: whether the data was saved, if that was tried.
fn settle(server: &Server, ok: Option<bool>) {
    let saving = &server.saving;
    let mut state = saving.state();
    state.last_failed = ok.map_or(state.last_failed, |ok| !ok);
    state.running = None;
    drop(state);
    saving.reconsider(&server.config());
    server.look_for_alerts();
    saving.changed.notify_all();
}

/// Goes on with a snapshot in the partitions of a reactor, from number `next` among those on, for about `budget_us`. Whether
/// anything is left to do there.
pub fn step(server: &Server, reactor: usize, next: &mut usize, budget_us: u64, trash: &RefCell<Vec<Trash>>) -> bool {
    let start = Ticks::now();
    let reactors = server.reactors.len();
    loop {
        let index = reactor + *next * reactors;
        if index >= server.keyspace.partitions() {
            return false;
        }
        match server.keyspace.snapshot_step(index, SLICE_BYTES, trash) {
            Step::Done => *next += 1,
            Step::More => {}
            Step::Locked => return true,
        }
        if Ticks::now().us_since(start) >= budget_us {
            return true;
        }
    }
}

/// Goes on with what connections wait for in a partition, until [`HURRY_SLICE_US`] after `start`. Whether they may go on.
pub fn hurry(server: &Server, partition: usize, start: Ticks) -> bool {
    loop {
        let is_late = Ticks::now().us_since(start) >= HURRY_SLICE_US;
        match server.keyspace.hurry_step(partition, if is_late { 0 } else { SLICE_BYTES }) {
            Step::Done => return true,
            // They are told that a script keeps everybody waiting.
            Step::Locked => return server.busy.is_on(),
            Step::More if is_late => return false,
            Step::More => {}
        }
    }
}

/// Whether the file cannot keep up with what it is given.
pub fn is_behind(server: &Server) -> bool {
    server.saving.state().running.as_ref().is_some_and(|running| running.sink.is_behind())
}

/// Saves everything and waits for that; nothing is locked by the caller. Whether it was saved.
///
/// # Errors
/// A snapshot is under way in the background.
pub fn save(server: &'static Server, db: &mut Db<'_>) -> Result<bool, Refusal> {
    if server.saving.is_rewriting() {
        drive(server);
    }
    save_as(server, db, |db| begin(server, db, true))
}

/// Saves everything at the beginning of a load, before anything has come or gone; nothing is locked by the caller. Whether it was
/// saved.
///
/// # Errors
/// A snapshot is under way in the background.
pub fn save_to_load(server: &'static Server, db: &mut Db<'_>) -> Result<bool, Refusal> {
    save_as(server, db, |db| begin_in_any_case(server, db, true, Purpose::Save))
}

/// Has a snapshot begun with everything locked, and waits for it.
fn save_as<'d>(
    server: &'static Server,
    db: &mut Db<'d>,
    begin: impl FnOnce(&mut Db<'d>) -> Result<(), Refusal>,
) -> Result<bool, Refusal> {
    db.lock_all_or_give_up().map_err(|_| Refusal::Failed)?;
    let begun = begin(db);
    db.unlock();
    begun?;
    drive(server);
    Ok(!server.saving.state().last_failed)
}

/// Walks through all partitions until the snapshot that is under way is in its file, or has failed.
pub fn drive(server: &'static Server) {
    launch(server);
    let trash = RefCell::new(Vec::new());
    let mut left: Vec<usize> = (0..server.keyspace.partitions()).collect();
    while !left.is_empty() {
        let mut moved = false;
        left.retain(|&index| {
            match server.keyspace.snapshot_step(index, LARGE_SLICE_BYTES, &trash) {
                Step::Done => {
                    moved = true;
                    return false;
                }
                Step::More => moved = true,
                Step::Locked => {}
            }
            true
        });
        if !moved || is_behind(server) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    server.free(trash.take());
    launch(server);
    let mut state = server.saving.state();
    while state.running.is_some() {
        state = server.saving.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Begins a snapshot if a rule asks for one, or somebody has. Asked several times a second.
pub fn look_at_rules(server: &'static Server, db: &mut Db<'_>) {
    if server.loading.is_on() {
        return;
    }
    let config = server.config();
    let now_s = clock::unix_ms() / 1000;
    {
        let mut state = server.saving.state();
        if state.running.is_some() {
            return;
        }
        let changes = server.dirty().saturating_sub(server.dirty_at_last_save.load(Relaxed));
        let since_s = now_s.saturating_sub(server.last_save_s());
        let rule = config
            .save
            .iter()
            .find(|rule| changes >= rule.changes as u64 && since_s > rule.seconds as u64)
            .filter(|_| !state.last_failed || now_s.saturating_sub(state.last_try_s) > RETRY_S);
        match rule {
            Some(rule) => log::notice(&format!("{} changes in {} seconds. Saving...", rule.changes, rule.seconds)),
            None if state.scheduled => {}
            None => return,
        }
        state.scheduled = false;
    }
    // Where a script has some of it, the next look will do.
    if db.lock_all_or_give_up().is_ok() {
        if begin(server, db, false).is_ok() {
            log::notice(&format!("Background saving started by pid {}", std::process::id()));
        }
        db.unlock();
        launch(server);
    }
}
