//! The thread that writes the journal to its file.

use super::gather::Gather;
use super::writer::{Trouble, Writer};
use super::{Journal, NOBODY, Pause, rewrite};
use crate::config::AppendFsync;
use crate::log;
use crate::server::Server;
use kinovar_io::net::error_text;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{Duration, Instant};

/// Time between two syncs of `everysec`, and between two attempts after a failure.
const PERIOD: Duration = Duration::from_secs(1);
/// A sync that takes longer is told of.
const SLOW_SYNC: Duration = Duration::from_secs(2);
/// The log says again after this time that nothing can be written.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// The life of the thread.
pub fn run(server: &'static Server) {
    // Pauses are shorter than what waits are rounded up to.
    let _ = kinovar_io::process::wait_exactly();
    let journal = &server.journal;
    let mut writer = Writer::default();
    let mut troubles = Troubles::default();
    let mut last_sync: Option<Instant> = None;
    let mut gather = Gather::default();
    // Whether the last round had something to do.
    let mut was_busy = false;
    loop {
        let since = last_sync.map_or(PERIOD, |at| at.elapsed());
        let pause = if troubles.since.is_some() {
            // Work does not make it shorter.
            Pause::Gather { wake_at: NOBODY, at_most: PERIOD }
        } else if was_busy {
            gather.pause(policy(server))
        } else {
            let at_most = match policy(server) {
                AppendFsync::EverySec if writer.has_unsynced() && syncs_now(server) => {
                    Some(PERIOD.saturating_sub(since))
                }
                // Until the snapshot is complete.
                AppendFsync::EverySec if writer.has_unsynced() => Some(PERIOD),
                _ => None,
            };
            Pause::UntilWork { at_most, is_unsynced: writer.has_unsynced() }
        };
        let mut used = std::mem::take(&mut writer.used);
        let (pieces, is_last, units) = journal.wait(&mut used, pause);
        gather.took(units);
        was_busy = !pieces.is_empty();
        writer.add(pieces);
        if troubles.since.is_some() {
            writer.forget_ended();
        }
        let policy = policy(server);
        let mut outcome = writer.write();
        journal.note_written(&writer);
        let is_due = match policy {
            AppendFsync::Always => true,
            AppendFsync::EverySec => last_sync.is_none_or(|at| at.elapsed() >= PERIOD) && syncs_now(server),
            AppendFsync::No => false,
        };
        if outcome.is_ok() && (is_due || is_last) && writer.has_unsynced() {
            let begun = Instant::now();
            journal.is_syncing.store(true, Relaxed);
            outcome = writer.sync();
            journal.is_syncing.store(false, Relaxed);
            gather.synced(begun.elapsed(), journal.units.load(Relaxed));
            if policy == AppendFsync::Always {
                // Clients have waited for it.
                server.note_latency("aof-fsync-always", begun.elapsed());
            }
            if begun.elapsed() > SLOW_SYNC {
                journal.slow_syncs.fetch_add(1, Relaxed);
                log::notice(
                    "Asynchronous AOF fsync is taking too long (disk is busy?). What is written meanwhile waits in memory.",
                );
            }
            last_sync = Some(Instant::now());
        } else if outcome.is_ok() && !writer.has_unsynced() {
            outcome = writer.sync();
        }
        if outcome.as_ref().is_err_and(Trouble::is_sync) {
            journal.doubts.fetch_add(1, SeqCst);
        }
        journal.note_progress(server, &writer);
        match outcome {
            Ok(()) => troubles.none(server),
            Err(trouble) => troubles.some(server, &trouble, policy),
        }
        if is_last {
            return;
        }
    }
}

/// When syncs are due. What clients have been promised counts from the moment on from which it holds for their replies.
fn policy(server: &Server) -> AppendFsync {
    if server.journal.is_always() { AppendFsync::Always } else { server.config().appendfsync }
}

/// Whether `everysec` syncs at present (`no-appendfsync-on-rewrite`).
fn syncs_now(server: &Server) -> bool {
    !(server.config().no_appendfsync_on_rewrite && server.saving.current().is_some())
}

/// What has gone wrong, and when the log said so.
#[derive(Default)]
struct Troubles {
    /// When the log last said so.
    since: Option<Instant>,
    is_sync: bool,
    reason: String,
}

impl Troubles {
    fn none(&mut self, server: &Server) {
        if self.since.take().is_none() {
            return;
        }
        if !self.is_sync {
            log::warning("AOF write error looks solved, Redis can write again.");
        }
        self.reason.clear();
        set(server, None);
        if server.journal.is_doubtful() && server.journal.is_wanted() {
            // A system that could not write some of it may have dropped that, and forgotten about it.
            log::warning(
                "The AOF file can be synced again, but what could not be is not sure to be on disk. A rewrite is scheduled.",
            );
            rewrite::schedule(server);
        }
    }

    fn some(&mut self, server: &Server, trouble: &Trouble, policy: AppendFsync) {
        let reason = error_text(&trouble.error());
        let is_always = policy == AppendFsync::Always;
        let is_new = self.reason != reason || self.is_sync != trouble.is_sync();
        if is_new || is_always || self.since.is_none_or(|since| since.elapsed() > SAY_AGAIN) {
            self.since = Some(Instant::now());
            say(trouble, &reason, is_always);
        }
        if is_always {
            // Replies that wait for this must never be sent, and what they are about can be seen by no other client.
            if !trouble.is_sync() {
                log::warning("Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting...");
            }
            std::process::exit(1);
        }
        self.is_sync = trouble.is_sync();
        set(server, Some(reason.clone()));
        self.reason = reason;
    }
}

fn say(trouble: &Trouble, reason: &str, is_always: bool) {
    match trouble {
        Trouble::Write(_) => log::warning(&format!("Error writing to the AOF file: {reason}")),
        Trouble::Short { written, wanted, stays } => {
            log::warning(&format!(
                "Short write while writing to the AOF file: (nwritten={written}, expected={wanted})"
            ));
            if let Some(error) = stays {
                log::warning(&format!(
                    "Could not remove short write from the append-only file.  Redis may refuse to load the AOF the next \
                     time it starts.  ftruncate: {}",
                    error_text(error)
                ));
            }
        }
        Trouble::Sync(_) if is_always => log::warning(&format!(
            "Can't persist AOF for fsync error when the AOF fsync policy is 'always': {reason}. Exiting..."
        )),
        Trouble::Sync(_) => log::warning(&format!("Fail to fsync the AOF file: {reason}")),
    }
}

fn set(server: &Server, trouble: Option<String>) {
    let journal = &server.journal;
    let refuses = trouble.is_some();
    journal.state().trouble = trouble;
    journal.refuses_writes.store(refuses, Relaxed);
    server.look_for_alerts();
}

impl Journal {
    fn note_written(&self, writer: &Writer) {
        self.written.store(writer.written(), SeqCst);
        self.sizes.current.store(writer.bytes(), Relaxed);
    }

    /// Tells those who wait how far the file is.
    fn note_progress(&self, server: &Server, writer: &Writer) {
        if !writer.has_file() {
            // Nobody relies on it.
            self.settle_doubts(self.doubts.load(SeqCst));
        }
        if !self.is_doubtful() {
            self.synced.store(writer.synced(), SeqCst);
        }
        let Some(mailboxes) = server.mailboxes.get() else { return };
        for (waiting, mailbox) in self.waiting.iter().zip(mailboxes) {
            if waiting.load(SeqCst) && waiting.swap(false, SeqCst) {
                mailbox.wake();
            }
        }
    }
}
