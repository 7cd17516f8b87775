//! The thread that frees large values, and gives memory back.

use crate::defrag::Defrag;
use crate::eviction::meter::Meter;
use kinovar_command::keyspace::Trash;
use kinovar_io::clock::{self, Ticks};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

/// Sends detached values to the thread that frees them.
#[derive(Clone)]
pub struct Background {
    sender: Sender<Load>,
    counters: Arc<Counters>,
}

/// What the thread is given.
enum Load {
    /// Values to be freed, and how many bytes of that have been promised.
    Trash(Vec<Trash>, u64),
    /// Pages that hold nothing are to go back.
    Purge,
}

/// Whom the thread tells what it does.
#[derive(Clone, Copy)]
struct Told {
    meter: &'static Meter,
    defrag: &'static Defrag,
}

#[derive(Default)]
struct Counters {
    pending: AtomicU64,
    freed: AtomicU64,
    told: OnceLock<Told>,
}

impl Background {
    /// Starts the thread. It runs at the lowest priority: freeing can always wait, a request cannot.
    pub fn start() -> std::io::Result<Background> {
        let (sender, receiver) = channel();
        let counters = Arc::new(Counters::default());
        let theirs = counters.clone();
        std::thread::Builder::new().name("kinovar-lazyfree".into()).spawn(move || run(&receiver, &theirs))?;
        Ok(Background { sender, counters })
    }

    /// Hands values over whose bytes, so many, count as free already.
    pub fn free(&self, trash: Vec<Trash>, bytes: u64) {
        self.counters.pending.fetch_add(trash.len() as u64, Relaxed);
        // The thread lives as long as the process; were it gone, the values would simply be freed here.
        let _ = self.sender.send(Load::Trash(trash, bytes));
    }

    /// Gives pages that hold nothing back.
    pub fn purge(&self) {
        let _ = self.sender.send(Load::Purge);
    }

    /// Has the thread tell of what it does, once there is somebody to be told.
    pub fn report_to(&self, meter: &'static Meter, defrag: &'static Defrag) {
        let _ = self.counters.told.set(Told { meter, defrag });
    }

    /// Values waiting to be freed.
    pub fn pending(&self) -> u64 {
        self.counters.pending.load(Relaxed)
    }

    /// Values freed so far.
    pub fn freed(&self) -> u64 {
        self.counters.freed.load(Relaxed)
    }

    /// Starts counting the freed values from 0 again.
    pub fn reset_freed(&self) {
        self.counters.freed.store(0, Relaxed);
    }
}

fn run(receiver: &Receiver<Load>, counters: &Counters) {
    // Not worth refusing to start for: freeing then merely competes with the reactors.
    let _ = kinovar_io::process::lower_priority();
    while let Ok(load) = receiver.recv() {
        let told = counters.told.get();
        let (batch, mut promised) = match load {
            Load::Trash(batch, promised) => (batch, promised),
            Load::Purge => {
                let start = Ticks::now();
                crate::memory::purge();
                if let Some(told) = told {
                    told.defrag.done(Ticks::now().us_since(start), clock::unix_us());
                }
                continue;
            }
        };
        for value in batch {
            let units = match &value {
                Trash::Db(db) => db.len() as u64,
                Trash::Entry(_) | Trash::Object(_) => 1,
            };
            drop(value);
            counters.pending.fetch_sub(1, Relaxed);
            counters.freed.fetch_add(units, Relaxed);
            if let Some(told) = told {
                // As far as it is free it counts as such by itself.
                let kept = told.meter.publish_background().min(promised);
                promised -= kept;
                told.meter.keep_promise(kept);
            }
        }
        if let Some(told) = told {
            told.meter.keep_promise(promised);
        }
    }
}
