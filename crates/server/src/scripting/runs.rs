//! Which reactor runs what, and ending it from another one (or from its own, while the run waits to be resumed).

use crate::busy::Runs as What;
use crate::server::Server;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
use std::sync::{Mutex, PoisonError};

/// What all reactors run.
pub struct Runs {
    runs: Vec<Run>,
    /// How many of them keep everybody waiting.
    slow: AtomicUsize,
}

/// What one reactor runs. Cheap to fill: who looks at it wants a run that takes long.
#[derive(Default)]
pub struct Run {
    /// 0 for nothing, or what.
    what: AtomicU8,
    /// When it began, Unix ms.
    started_ms: AtomicU64,
    /// A command of it has written.
    pub wrote: AtomicBool,
    is_killed: AtomicBool,
    /// What is known once it keeps everybody waiting.
    details: Mutex<Option<Details>>,
}

/// What `FUNCTION STATS` shows of a run.
#[derive(Clone, Debug)]
pub struct Details {
    /// The function's name.
    pub name: String,
    /// The command that runs it.
    pub command: Vec<Vec<u8>>,
}

/// A run, for as long as it lasts.
pub struct Running<'a> {
    runs: &'a Runs,
    /// What is known about it.
    pub run: &'a Run,
}

/// What came of asking for an end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Killed {
    /// It will end.
    Yes,
    /// It has written: ending it would leave half of it.
    HasWritten,
    /// What runs is of another kind.
    RunsOther,
    /// Nothing runs.
    NothingRuns,
}

impl Runs {
    /// Nothing, for so many reactors.
    pub fn new(reactors: usize) -> Runs {
        Runs { runs: (0..reactors).map(|_| Run::default()).collect(), slow: AtomicUsize::new(0) }
    }

    /// A run begins on a reactor, whose last one is over.
    pub fn begin(&self, reactor: usize, what: What, now_ms: u64) -> Running<'_> {
        let run = &self.runs[reactor];
        run.wrote.store(false, Relaxed);
        run.is_killed.store(false, Relaxed);
        run.started_ms.store(now_ms, Relaxed);
        run.what.store(code(what), Release);
        Running { runs: self, run }
    }

    /// Ends what runs of a kind, wherever that is, unless it has written.
    pub fn kill(&self, what: What) -> Killed {
        let mut outcome = Killed::NothingRuns;
        for run in &self.runs {
            match run.what.load(Acquire) {
                0 => {}
                // Of whatever kind it is.
                _ if run.wrote.load(Acquire) => {
                    if outcome != Killed::Yes {
                        outcome = Killed::HasWritten;
                    }
                }
                code_of_run if code_of_run != code(what) => {
                    if outcome == Killed::NothingRuns {
                        outcome = Killed::RunsOther;
                    }
                }
                _ => {
                    run.is_killed.store(true, Release);
                    outcome = Killed::Yes;
                }
            }
        }
        outcome
    }

    /// What keeps everybody waiting, and for how long it has been running by now, ms.
    pub fn slow(&self, now_ms: u64) -> Option<(Details, u64)> {
        self.runs.iter().find_map(|run| {
            let details = run.details.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
            Some((details, now_ms.saturating_sub(run.started_ms.load(Relaxed))))
        })
    }
}

fn code(what: What) -> u8 {
    if what == What::Script { 1 } else { 2 }
}

impl Run {
    /// Whether it is to end.
    pub fn is_killed(&self) -> bool {
        self.is_killed.load(Acquire)
    }

    fn details(&self) -> std::sync::MutexGuard<'_, Option<Details>> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running<'_> {
    /// From now on it keeps everybody waiting.
    pub fn becomes_slow(&self, server: &Server, what: What, details: Details) {
        *self.run.details() = Some(details);
        if self.runs.slow.fetch_add(1, Relaxed) == 0 {
            server.begin_busy(what);
        }
    }

    /// It is over.
    pub fn end(self, server: &Server) {
        self.run.what.store(0, Release);
        if self.run.details().take().is_some() && self.runs.slow.fetch_sub(1, Relaxed) == 1 {
            server.end_busy();
        }
    }
}
