//! The thread that frees large values.

use crate::eviction::meter::Meter;
use kinovar_command::keyspace::Trash;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

/// Sends detached values to the thread that frees them.
#[derive(Clone)]
pub struct Background {
    sender: Sender<Load>,
    counters: Arc<Counters>,
}

/// What is to be freed, and how much of that was evicted, bytes.
type Load = (Vec<Trash>, u64);

#[derive(Default)]
struct Counters {
    pending: AtomicU64,
    freed: AtomicU64,
    meter: OnceLock<&'static Meter>,
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

    /// Hands values over.
    pub fn free(&self, trash: Vec<Trash>) {
        self.counters.pending.fetch_add(trash.len() as u64, Relaxed);
        // The thread lives as long as the process; were it gone, the values would simply be freed here.
        let _ = self.sender.send((trash, 0));
    }

    /// Hands values over that were evicted, so many bytes.
    pub fn free_evicted(&self, trash: Vec<Trash>, bytes: u64) {
        self.counters.pending.fetch_add(trash.len() as u64, Relaxed);
        let _ = self.sender.send((trash, bytes));
    }

    /// Has the thread tell a meter what it frees, once there is one.
    pub fn report_to(&self, meter: &'static Meter) {
        let _ = self.counters.meter.set(meter);
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
    while let Ok((batch, evicted_bytes)) = receiver.recv() {
        for value in batch {
            let units = match &value {
                Trash::Db(db) => db.len() as u64,
                Trash::Entry(_) | Trash::Object(_) => 1,
            };
            drop(value);
            counters.pending.fetch_sub(1, Relaxed);
            counters.freed.fetch_add(units, Relaxed);
            if let Some(meter) = counters.meter.get() {
                meter.publish_background();
            }
        }
        if let Some(meter) = counters.meter.get() {
            meter.freed(evicted_bytes);
        }
    }
}
