//! Rewriting: a new base has what the files of before held.
//!
//! 1. A thread makes the next increment and names it in the manifest. ([`begin`])
//! 2. Reactor 0 locks everything for an instant: from there on changes go to the new increment, and a snapshot of that moment is
//!    on its way to a file. ([`cut`])
//! 3. When the file is complete, it becomes the base, and whatever is older is deleted. ([`finished`])
//!
//! A rewrite that fails leaves an increment more and nothing else. While the file is being turned on there is no manifest to be
//! relied on before step 3: the new increment is named together with the base.

use super::manifest::{Layout, Manifest};
use super::{Files, Journal, State, disk};
use crate::config::Config;
use crate::log;
use crate::saving::{self, Base, Outcome, Refusal};
use crate::server::Server;
use kinovar_command::keyspace::Db;
use kinovar_io::clock;
use kinovar_io::net::error_text;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// So many failures in a row beyond which automatic rewrites come more seldom.
const FAILURES_MAX: u64 = 3;
/// Longest pause after failures, minutes.
const PAUSE_MAX_MIN: u64 = 60;

/// What is known of rewrites.
#[derive(Default)]
pub(super) struct Rewrite {
    phase: Phase,
    /// One is to follow when nothing else is under way.
    is_scheduled: bool,
    /// Changes are kept, but there is no base for them yet.
    lacks_base: bool,
    /// Who was turned off meanwhile has no use for the outcome.
    is_cancelled: bool,
    /// When it was begun, Unix ms.
    started_ms: u64,
    last_failed: bool,
    /// How long the last one took, s.
    last_duration_s: Option<u64>,
    /// How many have been begun.
    count: u64,
    failures_in_a_row: u64,
    /// No automatic one is begun before, Unix ms.
    not_before_ms: u64,
    /// The pause after the next failure, minutes.
    pause_min: u64,
    /// Increments that no manifest names.
    orphans: Vec<PathBuf>,
}

impl Rewrite {
    /// Whether what was there when the file was turned on is in it.
    pub(super) fn has_base(&self) -> bool {
        !self.lacks_base
    }
}

/// How far a rewrite is.
#[derive(Default)]
enum Phase {
    /// None is under way.
    #[default]
    None,
    /// The next increment is being made.
    Preparing,
    /// It is there.
    Ready(Next),
    /// The snapshot is under way.
    Running,
}

/// An increment to come.
struct Next {
    disk: Box<dyn disk::Disk>,
    /// The manifest with it.
    manifest: Manifest,
    /// The manifest that is stored has it.
    is_named: bool,
    path: PathBuf,
}

/// What became of the wish for a rewrite.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begun {
    /// It is under way.
    Started,
    /// It will follow.
    Scheduled,
    /// There is one already.
    Running,
}

/// What `INFO` says.
pub struct Report {
    /// Whether one is under way.
    pub in_progress: bool,
    /// Whether one will follow.
    pub is_scheduled: bool,
    /// How long the one that is under way has taken, s.
    pub current_s: Option<u64>,
    /// How long the last one took, s.
    pub last_s: Option<u64>,
    /// Whether the last one has failed.
    pub last_failed: bool,
    /// How many there were.
    pub count: u64,
    /// How many have failed in a row.
    pub failures_in_a_row: u64,
}

impl Journal {
    /// For `INFO`.
    pub fn rewrites(&self) -> Report {
        let state = self.state();
        let rewrite = &state.rewrite;
        let in_progress = !matches!(rewrite.phase, Phase::None);
        Report {
            in_progress,
            is_scheduled: rewrite.is_scheduled,
            current_s: in_progress.then(|| clock::unix_ms().saturating_sub(rewrite.started_ms) / 1000),
            last_s: rewrite.last_duration_s,
            last_failed: rewrite.last_failed,
            count: rewrite.count,
            failures_in_a_row: rewrite.failures_in_a_row,
        }
    }
}

impl State {
    /// An increment will not be written to. It stays where the manifest names it: empty, and others may follow it.
    fn give_up(&mut self, next: Next) {
        if !next.is_named {
            self.rewrite.orphans.push(next.path);
        } else if let Some(files) = &mut self.files {
            files.manifest = next.manifest;
        }
    }
}

/// The name of a new base before it is complete.
pub fn temp_name() -> PathBuf {
    PathBuf::from(format!("temp-rewriteaof-bg-{}.aof", std::process::id()))
}

/// Begins a rewrite, or has it follow.
pub fn begin(server: &'static Server) -> Begun {
    let journal = &server.journal;
    let mut state = journal.state();
    if !matches!(state.rewrite.phase, Phase::None) {
        return Begun::Running;
    }
    if server.saving.is_running() || server.loading.is_on() {
        state.rewrite.is_scheduled = true;
        return Begun::Scheduled;
    }
    let rewrite = &mut state.rewrite;
    rewrite.is_scheduled = false;
    rewrite.is_cancelled = false;
    rewrite.phase = Phase::Preparing;
    rewrite.started_ms = clock::unix_ms();
    rewrite.count += 1;
    drop(state);
    let thread = std::thread::Builder::new().name("kinovar-rewrite".into());
    if let Err(error) = thread.spawn(move || prepare(server)) {
        end(server, Err(format!("Can't rewrite append only file in background: {error}")));
    }
    Begun::Started
}

/// Makes the next increment.
fn prepare(server: &'static Server) {
    let journal = &server.journal;
    let (layout, mut manifest, lacks_base) = {
        let mut state = journal.state();
        let files = match files(&mut state.files, &server.config()) {
            Ok(files) => files,
            Err(reason) => {
                drop(state);
                return end(server, Err(reason));
            }
        };
        let (layout, manifest) = (files.layout.clone(), files.manifest.clone());
        (layout, manifest, state.rewrite.lacks_base)
    };
    let made = layout.make_dir().and_then(|()| {
        let part = manifest.next_incr(&layout.prefix);
        log::notice(&format!("Creating AOF incr file {} on background rewrite", part.name.display()));
        let path = layout.path(part);
        let (disk, _) = disk::open(&path, true)
            .map_err(|error| format!("Can't open the append-only file {}: {}", path.display(), error_text(&error)))?;
        // A file that no manifest names is nothing to those who load.
        let is_named = !lacks_base;
        if is_named {
            layout.store(&manifest)?;
        }
        Ok((disk, path, is_named))
    });
    match made {
        Ok((disk, path, is_named)) => {
            let mut state = journal.state();
            state.rewrite.phase = Phase::Ready(Next { disk, manifest, is_named, path });
            drop(state);
            journal.is_cut_due.store(true, SeqCst);
            server.mailbox(0).wake();
        }
        Err(reason) => end(server, Err(reason)),
    }
}

/// The files, and the manifest that is there.
fn files<'s>(files: &'s mut Option<Files>, config: &Config) -> Result<&'s mut Files, String> {
    let taken = match files.take() {
        Some(files) => files,
        None => {
            let layout = Layout::of(config);
            let manifest = layout.load()?;
            Files { layout, manifest }
        }
    };
    Ok(files.insert(taken))
}

/// Begins the snapshot of a rewrite that is ready for it; nothing is locked by the caller.
pub fn cut(server: &'static Server, db: &mut Db<'_>) {
    let journal = &server.journal;
    if server.saving.is_running() || db.lock_all_or_give_up().is_err() {
        return;
    }
    journal.is_cut_due.store(false, SeqCst);
    let begun = cut_locked(server, db);
    db.unlock();
    // The thread has the new file now, or has to go on as before.
    journal.wake();
    match begun {
        Ok(()) => {
            log::notice(&format!("Background append only file rewriting started by pid {}", std::process::id()));
        }
        Err(reason) => end(server, Err(reason)),
    }
}

fn cut_locked(server: &'static Server, db: &mut Db<'_>) -> Outcome {
    let journal = &server.journal;
    let mut state = journal.state();
    let Phase::Ready(next) = std::mem::replace(&mut state.rewrite.phase, Phase::Running) else {
        return Err("A rewrite was to begin that is not prepared".into());
    };
    if state.rewrite.is_cancelled {
        state.give_up(next);
        return Err("The append-only file was turned off".into());
    }
    if let Err(refusal) = saving::begin_rewrite(server, db) {
        // What is recorded goes on where it was.
        state.give_up(next);
        return Err(match refusal {
            Refusal::Running => "Another snapshot is under way".into(),
            Refusal::Failed => "The new base cannot be written".into(),
        });
    }
    if !next.is_named {
        state.rewrite.orphans.push(next.path);
    }
    if let Some(files) = &mut state.files {
        files.manifest = next.manifest;
    }
    let others = journal.sizes.others.load(Relaxed) + journal.sizes.current.load(Relaxed) + journal.behind();
    journal.sizes.others.store(others, Relaxed);
    journal.log().begin(next.disk, 0);
    journal.is_on.store(true, Relaxed);
    Ok(())
}

/// The snapshot of a rewrite is complete, or has failed.
pub fn finished(server: &'static Server, outcome: Outcome, base: Base) {
    let outcome = outcome.and_then(|()| put_in_place(server, base));
    if outcome.is_err() {
        let _ = fs::remove_file(temp_name());
    }
    end(server, outcome);
}

/// Makes the new base the one that counts.
fn put_in_place(server: &'static Server, base: Base) -> Outcome {
    let journal = &server.journal;
    let mut state = journal.state();
    if state.rewrite.is_cancelled {
        return Err("The append-only file was turned off".into());
    }
    let Some(files) = &mut state.files else { return Err("There is no append-only file".into()) };
    let mut manifest = files.manifest.clone();
    let layout = files.layout.clone();
    // The state can be looked at meanwhile; nobody else changes the manifest while a rewrite is under way.
    drop(state);
    let temp = temp_name();
    let part = manifest.next_base(&layout.prefix, base == Base::Rdb);
    let (name, path) = (part.name.clone(), layout.path(part));
    fs::rename(&temp, &path).map_err(|error| {
        format!(
            "Error trying to rename the temporary AOF base file {} into {}: {}",
            temp.display(),
            name.display(),
            error_text(&error)
        )
    })?;
    log::notice(&format!(
        "Successfully renamed the temporary AOF base file {} into {}",
        temp.display(),
        name.display()
    ));
    manifest.retire_incr(1);
    if let Err(reason) = layout.store(&manifest) {
        let _ = fs::remove_file(&path);
        return Err(reason);
    }
    let mut state = journal.state();
    let last = manifest.incr.last().map(|part| layout.path(part));
    state.rewrite.orphans.retain(|path| Some(path) != last.as_ref());
    state.rewrite.lacks_base = false;
    let orphans = std::mem::take(&mut state.rewrite.orphans);
    drop(state);
    let history = std::mem::take(&mut manifest.history);
    layout.delete(&history);
    orphans.iter().for_each(|path| drop(fs::remove_file(path)));
    if let Err(reason) = layout.store(&manifest) {
        // What it names besides is gone, which is no harm.
        log::warning(&reason);
    }
    let size = |path: PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let all: u64 = manifest.parts().map(|part| size(layout.path(part))).sum();
    let last = last.map_or(0, size);
    journal.sizes.others.store(all.saturating_sub(last), Relaxed);
    journal.sizes.base.store(all, Relaxed);
    if let Some(files) = &mut journal.state().files {
        files.manifest = manifest;
    }
    Ok(())
}

fn end(server: &'static Server, outcome: Outcome) {
    let now_ms = clock::unix_ms();
    let mut state = server.journal.state();
    let rewrite = &mut state.rewrite;
    rewrite.phase = Phase::None;
    rewrite.last_duration_s = Some(now_ms.saturating_sub(rewrite.started_ms) / 1000);
    let is_cancelled = std::mem::take(&mut rewrite.is_cancelled);
    match outcome {
        Ok(()) => {
            rewrite.last_failed = false;
            rewrite.failures_in_a_row = 0;
            rewrite.pause_min = 0;
            rewrite.not_before_ms = 0;
            drop(state);
            log::notice("Background AOF rewrite finished successfully");
        }
        Err(_) if is_cancelled => {
            let orphans = std::mem::take(&mut rewrite.orphans);
            drop(state);
            orphans.iter().for_each(|path| drop(fs::remove_file(path)));
        }
        Err(reason) => {
            rewrite.last_failed = true;
            rewrite.failures_in_a_row += 1;
            let mut pause_min = 0;
            if rewrite.failures_in_a_row >= FAILURES_MAX {
                rewrite.pause_min = (rewrite.pause_min * 2).clamp(1, PAUSE_MAX_MIN);
                pause_min = rewrite.pause_min;
                rewrite.not_before_ms = now_ms + pause_min * 60_000;
            }
            if rewrite.lacks_base {
                rewrite.is_scheduled = true;
                rewrite.not_before_ms = rewrite.not_before_ms.max(now_ms + 1000);
            }
            drop(state);
            log::warning(&reason);
            log::warning("Background AOF rewrite terminated with error");
            if pause_min > 0 {
                log::warning(&format!(
                    "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {pause_min} minutes"
                ));
            }
        }
    }
}

/// Begins a rewrite if one was scheduled or the files have grown enough. Asked several times a second.
pub fn look_at_growth(server: &'static Server, config: &Config, now_ms: u64) {
    let journal = &server.journal;
    if server.saving.is_running() || server.loading.is_on() {
        return;
    }
    {
        let state = journal.state();
        let rewrite = &state.rewrite;
        if !matches!(rewrite.phase, Phase::None) || now_ms < rewrite.not_before_ms {
            return;
        }
        if !rewrite.is_scheduled {
            let (size, base) = (journal.size(), journal.sizes.base.load(Relaxed).max(1));
            let growth = (size * 100 / base).saturating_sub(100);
            let percentage = config.auto_aof_rewrite_percentage;
            let is_due = journal.is_on()
                && percentage > 0
                && size > config.auto_aof_rewrite_min_size_bytes
                && growth >= percentage;
            if !is_due {
                return;
            }
            log::notice(&format!("Starting automatic rewriting of AOF on {growth}% growth"));
        }
    }
    begin(server);
}

/// Begins to keep an append-only file while the server runs.
///
/// # Errors
/// What the client is told; the log has said more.
pub fn turn_on(server: &'static Server) -> Outcome {
    let journal = &server.journal;
    if journal.is_wanted() {
        return Ok(());
    }
    let refused = |reason: String| {
        log::warning(&reason);
        "Unable to turn on AOF. Check server logs.".to_owned()
    };
    let mut state = journal.state();
    let layout = files(&mut state.files, &server.config()).map_err(refused)?.layout.clone();
    layout.make_dir().map_err(refused)?;
    journal.start_thread(server, &mut state).map_err(refused)?;
    state.rewrite.lacks_base = true;
    let is_under_way = !matches!(state.rewrite.phase, Phase::None);
    if is_under_way {
        state.rewrite.is_scheduled = true;
    }
    drop(state);
    journal.reconsider(&server.config());
    journal.is_wanted.store(true, Relaxed);
    if is_under_way || begin(server) != Begun::Started {
        log::warning(
            "AOF was enabled but there is already another background operation. An AOF background was scheduled to start \
             when possible.",
        );
    }
    Ok(())
}

/// Keeps no append-only file any more. What there is stays.
pub fn turn_off(server: &'static Server) {
    let journal = &server.journal;
    if !journal.is_wanted.swap(false, Relaxed) {
        return;
    }
    journal.is_on.store(false, Relaxed);
    let mut state = journal.state();
    state.rewrite.is_scheduled = false;
    state.rewrite.lacks_base = false;
    state.rewrite.not_before_ms = 0;
    if !matches!(state.rewrite.phase, Phase::None) {
        log::notice(&format!("Killing running AOF rewrite child: {}", std::process::id()));
        state.rewrite.is_cancelled = true;
    }
    drop(state);
    journal.log().end();
    journal.wake();
}
