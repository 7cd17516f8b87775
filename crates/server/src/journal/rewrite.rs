//! Rewriting: a new base has what the files of before held.
//!
//! 1. A thread makes the next increment. ([`begin`])
//! 2. Reactor 0 locks everything for an instant: from there on changes go to the new increment, and a snapshot of that moment is
//!    on its way to a file. ([`cut`])
//! 3. The journal's thread syncs the old increment and names the new one in the manifest before it writes to it: so the last file
//!    of a manifest is always the one that is written to. If it cannot, it goes on with the old one, and the rewrite fails.
//! 4. When the snapshot is complete, it becomes the base, and whatever is older is deleted. ([`finished`])
//!
//! A rewrite that fails leaves an increment more at most. While the file is being turned on there is no manifest to be relied on
//! before step 4: the new increment is named together with the base.

use super::log::Begin;
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
use std::sync::PoisonError;
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
    /// Whether the new increment is in the manifest.
    naming: Naming,
    /// How many syncs had failed when the snapshot began.
    doubts: u64,
}

/// Whether a new increment is in the manifest.
#[derive(Default)]
enum Naming {
    /// That is nobody's business, or has been done.
    #[default]
    Done,
    /// The journal's thread will do it.
    Due,
    /// It could not.
    Failed(String),
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
    /// It is to be in the manifest from when it is written to.
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
        Ok((disk, path))
    });
    match made {
        Ok((disk, path)) => {
            let mut state = journal.state();
            // A file that no manifest names is nothing to those who load.
            let is_named = !lacks_base;
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
    // What is loaded is complete later.
    if server.saving.is_running() || server.loading.is_on() || db.lock_all_or_give_up().is_err() {
        return;
    }
    journal.is_cut_due.store(false, SeqCst);
    let begun = cut_locked(server, db);
    db.unlock();
    // The thread has the new file now, or has to go on as before.
    journal.wake();
    saving::launch(server);
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
        state.rewrite.orphans.push(next.path);
        return Err("The append-only file was turned off".into());
    }
    if let Err(refusal) = saving::begin_rewrite(server, db) {
        // What is recorded goes on where it was.
        state.rewrite.orphans.push(next.path);
        return Err(match refusal {
            Refusal::Running => "Another snapshot is under way".into(),
            Refusal::Failed => "Data is being loaded".into(),
        });
    }
    let Next { disk, manifest, is_named, path } = next;
    state.rewrite.doubts = journal.doubts.load(SeqCst);
    let name = if is_named {
        state.rewrite.naming = Naming::Due;
        let new = manifest.clone();
        Some(Box::new(move || name_increment(server, &new, path)) as Box<dyn FnOnce() -> bool + Send>)
    } else {
        state.rewrite.orphans.push(path);
        if let Some(files) = &mut state.files {
            files.manifest = manifest;
        }
        None
    };
    let others = journal.sizes.others.load(Relaxed) + journal.sizes.current.load(Relaxed) + journal.behind();
    journal.sizes.others.store(others, Relaxed);
    journal.log().begin(Begin { disk, bytes: 0, name });
    journal.is_on.store(true, Relaxed);
    Ok(())
}

/// Puts a new increment into the manifest, as the last file. Whether that is done and will stay.
fn name_increment(server: &'static Server, new: &Manifest, path: PathBuf) -> bool {
    let journal = &server.journal;
    let files = journal.state().files.as_ref().map(|files| (files.layout.clone(), files.manifest.clone()));
    let Some((layout, old)) = files else { return false };
    let stored = layout.store(new);
    if stored.is_err() && layout.has_stored(new) {
        // It is there, but may be gone after a crash; whoever loads it should not be told of a file that is not gone on with.
        if let Err(reason) = layout.store(&old) {
            log::warning(&reason);
        }
    }
    let mut state = journal.state();
    let is_named = stored.is_ok();
    state.rewrite.naming = match stored {
        Ok(()) => Naming::Done,
        Err(reason) => Naming::Failed(reason),
    };
    if !is_named {
        state.rewrite.orphans.push(path);
        let all = layout.size_of(&old);
        journal.sizes.others.store(all.saturating_sub(journal.sizes.current.load(Relaxed)), Relaxed);
    } else if let Some(files) = &mut state.files {
        files.manifest = new.clone();
    }
    drop(state);
    journal.named.notify_all();
    is_named
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
    let is_due = |state: &mut State| matches!(state.rewrite.naming, Naming::Due) && !state.rewrite.is_cancelled;
    // The snapshot may be complete before the journal's thread has come to the new increment.
    let mut state = journal.named.wait_while(journal.state(), is_due).unwrap_or_else(PoisonError::into_inner);
    if state.rewrite.is_cancelled {
        return Err("The append-only file was turned off".into());
    }
    if let Naming::Failed(reason) = std::mem::take(&mut state.rewrite.naming) {
        return Err(reason);
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
        if !layout.has_stored(&manifest) {
            let _ = fs::remove_file(&path);
        } else {
            // After a crash it may be this one or the one before: so what either names has to stay.
            let mut state = journal.state();
            state.rewrite.orphans.retain(|path| !manifest.parts().any(|part| layout.path(part) == *path));
            if let Some(files) = &mut state.files {
                files.manifest = manifest;
            }
        }
        return Err(reason);
    }
    let mut state = journal.state();
    let last = manifest.incr.last().map(|part| layout.path(part));
    state.rewrite.orphans.retain(|path| !manifest.parts().any(|part| layout.path(part) == *path));
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
    let all = layout.size_of(&manifest);
    let last = last.map_or(0, |path| fs::metadata(path).map_or(0, |metadata| metadata.len()));
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
    rewrite.naming = Naming::Done;
    let is_cancelled = std::mem::take(&mut rewrite.is_cancelled);
    let journal = &server.journal;
    if outcome.is_ok() {
        journal.settle_doubts(rewrite.doubts);
    }
    if journal.is_doubtful() && !journal.refuses_writes() && !is_cancelled {
        rewrite.is_scheduled = true;
        rewrite.not_before_ms = now_ms + 1000;
    }
    match outcome {
        Ok(()) => {
            rewrite.last_failed = false;
            rewrite.failures_in_a_row = 0;
            rewrite.pause_min = 0;
            if !rewrite.is_scheduled {
                rewrite.not_before_ms = 0;
            }
            drop(state);
            log::notice("Background AOF rewrite finished successfully");
            // What is synced counts again if that was in doubt.
            journal.look_again();
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

/// Has a rewrite follow.
pub(super) fn schedule(server: &Server) {
    server.journal.state().rewrite.is_scheduled = true;
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
    journal.is_suspended.store(false, SeqCst);
    let mut state = journal.state();
    // Within, as a rewrite turns it on.
    journal.is_on.store(false, Relaxed);
    state.rewrite.is_scheduled = false;
    state.rewrite.lacks_base = false;
    state.rewrite.not_before_ms = 0;
    if !matches!(state.rewrite.phase, Phase::None) {
        log::notice(&format!("Killing running AOF rewrite child: {}", std::process::id()));
        state.rewrite.is_cancelled = true;
    }
    journal.log().end();
    drop(state);
    journal.named.notify_all();
    journal.look_again();
}
