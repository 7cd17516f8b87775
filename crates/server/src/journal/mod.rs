//! The journal: every change, in order, for those who keep what this server holds.
//!
//! | module | what it is |
//! |---|---|
//! | [`log`](mod@log) | what was recorded and is not written yet |
//! | [`writer`], [`disk`] | the file that it is written to |
//! | [`gather`] | how long it waits for more before it writes |
//! | [`thread`] | when that is written and synced, and what happens when it cannot be |
//! | [`manifest`] | which files there are |
//! | [`rewrite`] | fewer and smaller files |
//! | [`units`] | messages about what is not recorded yet |
//!
//! # Positions
//! Whoever changes data records a unit under the locks of what it is about. Its place in the journal is a *position*: how many
//! bytes were recorded up to its end. The keyspace knows the newest position that a key or a partition depends on
//! (`keyspace/newest`), so each command knows that of what it has read or written.
//!
//! # `appendfsync always`
//! A connection keeps a reply back until the file is synced up to the newest position that its commands depend on; the replies
//! behind it wait as well, as they have an order. Nobody else waits. One sync serves all that gathered while the one before it
//! was under way.

pub mod disk;
mod gather;
pub mod log;
pub mod manifest;
pub mod rewrite;
pub mod thread;
pub mod units;
pub mod writer;

use crate::config::{AppendFsync, Config};
use crate::log as messages;
use crate::server::Server;
use kinovar_command::keyspace::{self, Unit};
use kinovar_command::registry::Entry;
use kinovar_command::{CommandError, Flags};
use kinovar_io::clock;
use kinovar_io::net::error_text;
use kinovar_rdb::file::{Facts, Writer as RdbWriter};
use log::{Begin, Log, Piece};
use manifest::{Layout, Manifest};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// So much is not written yet beyond which reactors stop to serve, bytes.
const BEHIND_BYTES: u64 = 64 << 20;
/// More units than there ever are.
const NOBODY: u64 = u64::MAX;

/// All changes in order.
pub struct Journal {
    /// There is to be an append-only file.
    is_wanted: AtomicBool,
    /// Changes are recorded.
    is_on: AtomicBool,
    /// A rewrite waits for its snapshot to begin.
    is_cut_due: AtomicBool,
    /// Replies wait for the sync of what they depend on.
    is_always: AtomicBool,
    /// Times are written.
    annotates: AtomicBool,
    /// Commands that write are refused, as the file cannot be written.
    refuses_writes: AtomicBool,
    log: Mutex<Log>,
    /// There is something in the log, or the thread is to end.
    work: Condvar,
    /// How many units were recorded.
    units: AtomicU64,
    /// The thread waits until so many units were recorded, and wants to be woken then; `NOBODY` while it does not wait for that.
    wake_at: AtomicU64,
    /// The thread is to look at everything again, whatever it waits for.
    looks_again: AtomicBool,
    /// The thread is to write what there is and end.
    is_closing: AtomicBool,
    /// The position up to which everything was recorded.
    recorded: AtomicU64,
    /// What the log takes up, bytes.
    buffered: AtomicU64,
    /// The position up to which everything is written.
    written: AtomicU64,
    /// The position up to which everything is written and synced.
    synced: AtomicU64,
    /// How often a sync has failed. What it was about is not sure to be in the file, whatever later ones say.
    doubts: AtomicU64,
    /// So many of those do not matter any more: a new base has what they were about. Else `synced` stays.
    settled_doubts: AtomicU64,
    /// Reactors that wait for progress.
    waiting: Box<[AtomicBool]>,
    /// Nothing is recorded for a while, and then again.
    is_suspended: AtomicBool,
    open_units: Box<[units::Unit]>,
    is_syncing: AtomicBool,
    slow_syncs: AtomicU64,
    state: Mutex<State>,
    /// The increment of a rewrite has been named, or not.
    named: Condvar,
    /// What the files have, bytes.
    pub(crate) sizes: Sizes,
}

/// How large the files are, bytes.
#[derive(Default)]
pub(crate) struct Sizes {
    /// The one that is written to.
    pub(crate) current: AtomicU64,
    /// All others together.
    pub(crate) others: AtomicU64,
    /// All of them together after the last rewrite, or at the start.
    pub(crate) base: AtomicU64,
}

#[derive(Default)]
struct State {
    files: Option<Files>,
    thread: Option<JoinHandle<()>>,
    /// Why the file cannot be written.
    trouble: Option<String>,
    rewrite: rewrite::Rewrite,
}

/// The files.
struct Files {
    layout: Layout,
    manifest: Manifest,
}

impl Journal {
    /// A journal that nobody wants yet, for so many reactors.
    pub fn new(reactors: usize) -> Journal {
        Journal {
            is_wanted: AtomicBool::new(false),
            is_on: AtomicBool::new(false),
            is_cut_due: AtomicBool::new(false),
            is_always: AtomicBool::new(false),
            annotates: AtomicBool::new(false),
            refuses_writes: AtomicBool::new(false),
            log: Mutex::default(),
            work: Condvar::new(),
            units: AtomicU64::new(0),
            wake_at: AtomicU64::new(NOBODY),
            looks_again: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            recorded: AtomicU64::new(0),
            buffered: AtomicU64::new(0),
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            doubts: AtomicU64::new(0),
            settled_doubts: AtomicU64::new(0),
            waiting: (0..reactors).map(|_| AtomicBool::new(false)).collect(),
            is_suspended: AtomicBool::new(false),
            open_units: (0..reactors).map(|_| units::Unit::default()).collect(),
            is_syncing: AtomicBool::new(false),
            slow_syncs: AtomicU64::new(0),
            state: Mutex::default(),
            named: Condvar::new(),
            sizes: Sizes::default(),
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody wants to know of changes.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Whether there is to be an append-only file.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted.load(Relaxed)
    }

    /// Whether a rewrite waits for [`rewrite::cut`].
    #[inline]
    pub fn is_cut_due(&self) -> bool {
        self.is_cut_due.load(Relaxed)
    }

    /// How large all files are together, bytes.
    pub fn size(&self) -> u64 {
        self.sizes.current.load(Relaxed) + self.sizes.others.load(Relaxed)
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.is_syncing.load(Relaxed)
    }

    /// How many syncs have kept what was to be written waiting for long.
    pub fn slow_syncs(&self) -> u64 {
        self.slow_syncs.load(Relaxed)
    }

    /// Records nothing, while what is in the files is run again. Whether that makes a difference.
    pub fn suspend(&self) -> bool {
        // In this order, so that being turned off meanwhile counts.
        self.is_suspended.store(true, SeqCst);
        let was_on = self.is_on.swap(false, SeqCst);
        if !was_on {
            self.is_suspended.store(false, SeqCst);
        }
        was_on
    }

    /// Records again, unless that was turned off meanwhile.
    pub fn resume(&self) {
        if self.is_suspended.swap(false, SeqCst) {
            self.is_on.store(true, SeqCst);
        }
    }

    /// Whether anybody wants to know of changes, to be looked at for every command.
    pub fn switch(&self) -> &AtomicBool {
        &self.is_on
    }

    /// The position up to which everything was recorded.
    pub fn recorded(&self) -> u64 {
        self.recorded.load(Relaxed)
    }

    /// Whether what depends on this position must not be shown yet.
    #[inline]
    pub fn holds(&self, position: u64) -> bool {
        position != 0 && self.is_always.load(Relaxed) && position > self.synced.load(SeqCst)
    }

    /// Whether a sync has failed, and no rewrite has been completed since.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubts.load(SeqCst) != self.settled_doubts.load(SeqCst)
    }

    fn settle_doubts(&self, count: u64) {
        self.settled_doubts.store(count, SeqCst);
    }

    /// Whether a crash can take nothing back up to this position.
    pub fn is_durable(&self, position: u64) -> bool {
        self.is_on() && position <= self.synced.load(SeqCst) && self.state().rewrite.has_base()
    }

    /// Whether replies may have to wait.
    #[inline]
    pub fn is_always(&self) -> bool {
        self.is_always.load(Relaxed)
    }

    /// Whether so much is waiting to be written that nothing should be added.
    #[inline]
    pub fn is_behind(&self) -> bool {
        self.is_on() && self.behind() > BEHIND_BYTES
    }

    /// How many bytes are recorded and not written.
    pub fn behind(&self) -> u64 {
        self.recorded.load(Relaxed).saturating_sub(self.written.load(SeqCst))
    }

    /// How many bytes that takes up.
    pub fn buffered(&self) -> u64 {
        self.buffered.load(Relaxed)
    }

    /// Has reactor `index` woken when there is progress. To be followed by another look at what it waits for.
    pub fn expect_progress(&self, index: usize) {
        self.waiting[index].store(true, SeqCst);
    }

    /// Wakes the thread if there is something to be written. To be called when no lock is held.
    #[inline]
    pub fn nudge(&self) {
        if self.units.load(Relaxed) >= self.wake_at.load(Relaxed) {
            self.wake();
        }
    }

    fn wake(&self) {
        if self.wake_at.swap(NOBODY, SeqCst) != NOBODY {
            // The thread may be about to wait, and must not miss this.
            drop(self.log());
            self.work.notify_one();
        }
    }

    /// Whether commands that write are refused, since the file cannot be written.
    #[inline]
    pub fn refuses_writes(&self) -> bool {
        self.refuses_writes.load(Relaxed)
    }

    /// The error of a command that is refused for that.
    ///
    /// # Errors
    /// It is.
    pub fn admit(&self, entry: &Entry) -> Result<(), CommandError> {
        if !self.refuses_writes() || !entry.command.flags.has(Flags::WRITE) {
            return Ok(());
        }
        Err(self.misconf())
    }

    /// The error of commands that write while the file cannot be written.
    pub fn misconf(&self) -> CommandError {
        let reason = self.state().trouble.clone().unwrap_or_default();
        CommandError::owned(format!("MISCONF Errors writing to the AOF file: {reason}"))
    }

    /// The parameters have changed.
    pub fn reconsider(&self, config: &Config) {
        self.annotates.store(config.aof_timestamp_enabled, Relaxed);
        self.is_always.store(config.appendfsync == AppendFsync::Always, Relaxed);
        // What was not to be synced at once may be now.
        self.look_again();
    }

    /// Has the thread look at everything again, even if it waits for the end of a failure.
    fn look_again(&self) {
        self.looks_again.store(true, SeqCst);
        self.wake_at.store(NOBODY, SeqCst);
        drop(self.log());
        self.work.notify_one();
    }

    /// Begins to record, at the end of the files of a manifest, which have been loaded; an empty one has none. Called before anything
    /// can change.
    ///
    /// # Errors
    /// What the log is to say.
    pub fn begin(&self, server: &'static Server, layout: Layout, mut manifest: Manifest) -> Result<(), String> {
        let config = server.config();
        layout.make_dir()?;
        if manifest.is_empty() {
            let part = manifest.next_base(&layout.prefix, config.aof_use_rdb_preamble);
            messages::notice(&format!("Creating AOF base file {} on server start", part.name.display()));
            let path = layout.path(part);
            let made = match config.aof_use_rdb_preamble {
                true => make_empty_base(&path),
                false => make_empty(&path, config.aof_timestamp_enabled),
            };
            made.map_err(|error| format!("Can't create the AOF base file {}: {}", path.display(), error_text(&error)))?;
        }
        let is_new = manifest.incr.is_empty();
        if is_new {
            manifest.next_incr(&layout.prefix);
        }
        let part = manifest.incr.last().expect("it has one now");
        let what = if is_new { "Creating" } else { "Opening" };
        messages::notice(&format!("{what} AOF incr file {} on server start", part.name.display()));
        let name = part.name.display().to_string();
        let (mut disk, bytes) = disk::open(&layout.path(part), is_new)
            .map_err(|error| format!("Can't open the append-only file {name}: {}", error_text(&error)))?;
        let history = std::mem::take(&mut manifest.history);
        if is_new || !history.is_empty() {
            layout.store(&manifest)?;
            layout.delete(&history);
        }
        if !is_new && let Err(error) = disk.sync().and_then(|()| manifest::sync_dir(&layout.dir)) {
            // What was loaded may never have been synced by the process before, and is about to be shown.
            let reason = error_text(&error);
            if config.appendfsync == AppendFsync::Always {
                return Err(format!("Can't sync the append-only file {name}: {reason}"));
            }
            messages::warning(&format!("Fail to fsync the AOF file: {reason}"));
        }
        self.note_sizes(&layout, &manifest, bytes);
        let mut state = self.state();
        state.files = Some(Files { layout, manifest });
        self.log().begin(Begin { disk, bytes, name: None });
        self.start_thread(server, &mut state)?;
        drop(state);
        self.reconsider(&config);
        self.is_wanted.store(true, Relaxed);
        self.is_on.store(true, Relaxed);
        Ok(())
    }

    fn start_thread(&self, server: &'static Server, state: &mut State) -> Result<(), String> {
        if state.thread.is_none() {
            let thread = std::thread::Builder::new().name("kinovar-journal".into());
            let handle = thread.spawn(move || thread::run(server));
            let handle = handle.map_err(|error| format!("Can't start a thread: {error}"))?;
            state.thread = Some(handle);
        }
        Ok(())
    }

    fn note_sizes(&self, layout: &Layout, manifest: &Manifest, current: u64) {
        let all = layout.size_of(manifest);
        self.sizes.current.store(current, Relaxed);
        self.sizes.others.store(all.saturating_sub(current), Relaxed);
        self.sizes.base.store(all, Relaxed);
    }

    /// Waits until everything recorded so far is written and synced, for a while. Whether it is.
    pub fn settle(&self) -> bool {
        self.wait_for(&self.synced)
    }

    /// The same, where it need not be synced.
    pub fn settle_written(&self) -> bool {
        self.wait_for(&self.written)
    }

    fn wait_for(&self, position: &AtomicU64) -> bool {
        /// Longest wait, ms.
        const WAIT_MS: u32 = 10_000;
        let until = self.recorded.load(SeqCst);
        for _ in 0..WAIT_MS {
            if position.load(SeqCst) >= until {
                return true;
            }
            self.wake();
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    /// Writes and syncs what there is, for the last time. Nobody records any more.
    pub fn finish(&self) {
        let Some(thread) = self.state().thread.take() else { return };
        if self.is_on() {
            messages::notice("Calling fsync() on the AOF file.");
        }
        let log = self.log();
        self.is_closing.store(true, SeqCst);
        self.wake_at.store(NOBODY, SeqCst);
        drop(log);
        self.work.notify_one();
        let _ = thread.join();
        // Of a rewrite that was under way.
        let _ = fs::remove_file(rewrite::temp_name());
    }

    /// Waits as `pause` says; what there is to do then, whether it is the last time, and how many units there
    /// were.
    fn wait(&self, used: &mut Vec<Vec<u8>>, pause: Pause) -> (VecDeque<Piece>, bool, u64) {
        let mut log = self.log();
        let is_closing = || self.is_closing.load(SeqCst);
        let looks_again = self.looks_again.swap(false, SeqCst);
        if !looks_again && !is_closing() {
            // Stored under the lock that recording takes: whoever records next sees it.
            let units = self.units.load(Relaxed);
            let (wake_at, at_most) = match pause {
                Pause::UntilWork { at_most, is_unsynced } => {
                    let is_idle = log.is_empty() && !(is_unsynced && self.is_always());
                    (if is_idle { units + 1 } else { units }, at_most)
                }
                Pause::Gather { wake_at, at_most } => (wake_at, Some(at_most)),
            };
            if units < wake_at {
                self.wake_at.store(wake_at, SeqCst);
                log = match at_most {
                    Some(at_most) => self.work.wait_timeout(log, at_most).unwrap_or_else(PoisonError::into_inner).0,
                    None => self.work.wait(log).unwrap_or_else(PoisonError::into_inner),
                };
                self.wake_at.store(NOBODY, SeqCst);
            }
        }
        let pieces = log.take(used);
        self.buffered.store(log.capacity() as u64, Relaxed);
        (pieces, is_closing(), self.units.load(Relaxed))
    }
}

/// What the thread waits for before it writes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// Something to do, or a time.
    UntilWork {
        /// Its longest.
        at_most: Option<Duration>,
        /// Something is written and not synced: to be done when somebody waits for that.
        is_unsynced: bool,
    },
    /// So many units, or a time: meanwhile more gathers.
    Gather {
        /// The number of units since the start at which it ends.
        wake_at: u64,
        /// Its longest.
        at_most: Duration,
    },
}

/// Makes a snapshot of nothing.
fn make_empty_base(path: &Path) -> io::Result<()> {
    let facts = Facts {
        created_s: clock::unix_ms() / 1000,
        used_memory: crate::memory::used(),
        aof_base: true,
        ..Facts::default()
    };
    let mut writer = RdbWriter::new(File::create(path)?, crate::saving::VERSION_MIN, true, false);
    writer.facts(&facts)?;
    writer.finish()?.sync_all()
}

/// Makes a base without commands, which begins with the time if `annotates`.
fn make_empty(path: &Path, annotates: bool) -> io::Result<()> {
    let mut file = File::create(path)?;
    if annotates {
        io::Write::write_all(&mut file, format!("#TS:{}\r\n", clock::unix_ms() / 1000).as_bytes())?;
    }
    file.sync_all()
}

impl keyspace::Journal for Journal {
    fn record(&self, unit: &Unit) -> u64 {
        let now_s = self.annotates.load(Relaxed).then(|| clock::unix_ms() / 1000);
        let mut log = self.log();
        let position = log.push(unit, now_s);
        self.recorded.store(position, Relaxed);
        self.buffered.store(log.capacity() as u64, Relaxed);
        // Nobody else writes to it: the lock is held.
        self.units.store(self.units.load(Relaxed) + 1, Relaxed);
        position
    }
}
