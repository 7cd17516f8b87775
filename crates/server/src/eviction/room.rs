//! Making room: what a reactor does before a request, and at the end of a turn.

use super::budget_us;
use crate::exec::Executor;
use crate::notify::Notifier;
use crate::server::Server;
use crate::waiting;
use kinovar_command::keyspace::evict::{Evictor, Outcome};
use kinovar_command::keyspace::{self, Db, Env, Locked, Observer};
use kinovar_io::clock::{self, Ticks};

/// Evictions between two looks at the clock.
const CLOCK_EVERY: u32 = 8;
/// Of what `maxmemory` allows, the share that may wait in the background to be freed.
const PENDING_SHARE: u64 = 64;

/// What a reactor knows of memory.
#[derive(Default)]
pub struct Room {
    /// `maxmemory`, bytes; 0 is no limit.
    limit_bytes: u64,
    evictor: Evictor,
    /// The last slice has left something to do.
    pub is_due: bool,
}

/// What came of making room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// There is room.
    Enough,
    /// Time is up.
    Some,
    /// No key may go.
    None,
}

impl Room {
    /// For a limit of so many bytes.
    pub fn new(limit_bytes: u64) -> Room {
        Room { limit_bytes, ..Room::default() }
    }

    /// There is a new limit, or a new way to hold to it.
    pub fn reconsider(&mut self, limit_bytes: u64) {
        self.is_due = limit_bytes > 0;
        self.limit_bytes = limit_bytes;
    }

    /// Whether there is a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.limit_bytes > 0
    }
}

impl Executor {
    /// Evicts keys while too much memory is in use. Whether commands that need more of it are to be refused. No lock
    /// may be held.
    #[inline]
    pub fn make_room(&mut self, server: &Server, now_ms: u64) -> bool {
        server.eviction.meter.publish(self.reactor);
        if self.over(server) <= 0 {
            server.eviction.note(false);
            return false;
        }
        self.make_more_room(server, now_ms) == Made::None
    }

    /// Goes on with what the last slice has left, or looks whether there is anything to do.
    pub fn go_on_making_room(&mut self, server: &Server) {
        self.room.is_due = false;
        if self.room.is_limited() {
            self.make_room(server, clock::unix_ms());
            self.free_trash(server);
        }
    }

    #[cold]
    fn make_more_room(&mut self, server: &Server, now_ms: u64) -> Made {
        if self.excess(server) <= 0 {
            server.eviction.note(false);
            return Made::Enough;
        }
        if server.loading.is_on() || server.busy.is_on() || server.pause.is_on() && server.pause.now().is_some() {
            return Made::Enough;
        }
        let start = Ticks::now();
        let made = self.evict(server, now_ms, start);
        self.room.is_due = made == Made::Some;
        server.eviction.note(made != Made::Enough);
        // What was removed concerns nobody's reply.
        keyspace::effects::take_dependency();
        self.note_latency(server, "eviction-cycle", start);
        made
    }

    fn evict(&mut self, server: &Server, now_ms: u64, start: Ticks) -> Made {
        let Some(policy) = super::policy(&self.config) else { return Made::None };
        let budget_us = budget_us(&self.config);
        let times_each = self.config.latency_monitor_threshold_ms > 0;
        let mut evictor = std::mem::take(&mut self.room.evictor);
        let mut evicted = 0;
        let made = loop {
            let began = Ticks::now();
            match self.evict_one(server, &mut evictor, policy, now_ms) {
                Outcome::Evicted(later) => self.free_evicted(server, later as u64),
                Outcome::Nothing => break Made::None,
                Outcome::Unavailable => break Made::Some,
            }
            if times_each {
                self.note_latency(server, "eviction-del", began);
            }
            server.eviction.meter.publish(self.reactor);
            if self.excess(server) <= 0 {
                break Made::Enough;
            }
            evicted += 1;
            if evicted % CLOCK_EVERY == 0 && Ticks::now().us_since(start) >= budget_us {
                break Made::Some;
            }
        };
        self.room.evictor = evictor;
        made
    }

    fn evict_one(
        &self,
        server: &Server,
        evictor: &mut Evictor,
        policy: keyspace::evict::Policy,
        now_ms: u64,
    ) -> Outcome {
        let notifier = Notifier::new(server, &self.config);
        let observer = notifier.as_ref().map(|notifier| notifier as &dyn Observer);
        let env = Env { observer, ..self.env(server, now_ms) };
        let mut db = Db::new(&server.keyspace, Locked::None, 0, env);
        let outcome = evictor.evict(&mut db, policy);
        if !self.work.ready.borrow().is_empty() {
            waiting::serve(server, db, &env);
        }
        outcome
    }

    /// Frees what was evicted, of which so many bytes are large: in the background unless too much waits there already.
    fn free_evicted(&self, server: &Server, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let is_full = server.eviction.meter.promised() > self.room.limit_bytes / PENDING_SHARE;
        if is_full && !self.config.lazyfree_lazy_eviction {
            drop(self.work.trash.take());
        } else {
            server.eviction.meter.promise(bytes);
            server.background.free(self.work.trash.take(), bytes);
        }
    }

    /// How many bytes too many are in use.
    fn excess(&self, server: &Server) -> i64 {
        self.over(server) - not_counted(server) as i64
    }

    /// The same, with what no eviction could do anything about.
    #[inline]
    fn over(&self, server: &Server) -> i64 {
        server.eviction.meter.used() + server.eviction.reserve() as i64 - self.room.limit_bytes as i64
    }

    fn note_latency(&self, server: &Server, event: &'static str, start: Ticks) {
        let threshold_ms = self.config.latency_monitor_threshold_ms;
        let ms = Ticks::now().us_since(start) / 1000;
        if threshold_ms > 0 && ms >= threshold_ms {
            server.latency.record(event, clock::unix_ms() / 1000, ms);
        }
    }
}

/// Bytes in use that no eviction could do anything about: what waits to be written to the append-only file.
pub fn not_counted(server: &Server) -> u64 {
    if server.journal.is_on() { server.journal.buffered() } else { 0 }
}
