//! What becomes of the keys that a target has.

use super::{Item, Job, ROUNDS, ROUNDS_MAX, Trouble};
use crate::busy::{self, Interest, Leftover};
use crate::server::Server;
use kinovar_command::Key;
use kinovar_command::keyspace::{self, Db, Env, Locked, Watch};
use std::sync::Arc;
use std::time::Duration;

/// What is to be done next.
pub enum Next {
    /// Send what is left.
    Send,
    /// Look again a little later: the data is not there, or not to be changed.
    Wait,
    /// Answer.
    Answer,
}

/// Serialises a key of the selected database, which is locked; an absent one has no payload.
pub fn item(db: &mut Db<'_>, name: &[u8]) -> Item {
    let key = Key::new(name);
    let settings = db.settings();
    let found = db.read(&key);
    let expire_at_ms = found.and_then(|entry| entry.expire_at_ms());
    let payload = found.map(|entry| kinovar_commands::dump::serialized(entry, settings));
    let watch = Arc::default();
    Item { name: name.into(), payload, expire_at_ms, watch, is_acknowledged: false, is_known: false }
}

/// Removes what the target has acknowledged and nobody has changed. All keys are locked.
pub fn remove(db: &mut Db<'_>, items: &[Item]) {
    let mut removed: Vec<&[u8]> = vec![b"DEL"];
    for item in items.iter().filter(|item| item.is_acknowledged) {
        if db.delete(&Key::new(&item.name)) {
            removed.push(&item.name);
        }
    }
    let teller = db.env().work.effects.teller(db.index());
    match removed.len() {
        1 => teller.none(),
        _ => teller.instead(&removed),
    }
}

impl Job {
    /// After something was sent: removes keys, and finds out what to do next. No lock is held.
    pub fn settle(&mut self, server: &Server, env: Env<'_>) -> Next {
        if self.request.copies {
            return Next::Answer;
        }
        let is_paused = server.pause.by_clients().is_some();
        if server.loading.is_on() || server.busy.is_on() || is_paused {
            return Next::Wait;
        }
        let mut db = Db::new(&server.keyspace, Locked::None, self.db, env);
        let partition = |item: &Item| server.keyspace.partition_of(&Key::new(&item.name));
        if db.lock_or_give_up(&mut self.items.iter().map(partition).collect()).is_err() {
            return Next::Wait;
        }
        env.work.effects.begin();
        let (mut done, mut stale) = (Vec::new(), Vec::new());
        for item in std::mem::take(&mut self.items) {
            let key = Key::new(&item.name);
            // One whose time has come is gone, which is a change.
            db.exists(&key);
            db.unwatch(&key, &item.watch);
            let is_stale = item.is_acknowledged && item.watch.is_touched();
            if is_stale { stale.push(item) } else { done.push(item) }
        }
        remove(&mut db, &done);
        for mut old in stale {
            if self.rounds >= ROUNDS_MAX {
                self.trouble.get_or_insert(Trouble::Unsteady);
                break;
            }
            let key = Key::new(&old.name);
            old.watch = Arc::new(Watch::default());
            db.watch(&key, &old.watch);
            let now = item(&mut db, &old.name);
            self.items.push(Item { watch: old.watch, is_known: true, ..now });
        }
        self.position = self.position.max(keyspace::effects::dependency());
        if env.work.ready.borrow().is_empty() {
            db.unlock();
        } else {
            db.tell_journal();
            crate::waiting::serve(server, db, &env);
        }
        self.position = self.position.max(keyspace::effects::take_dependency());
        if self.items.is_empty() { Next::Answer } else { Next::Send }
    }

    /// Has writers wait if the keys do not hold still, or not any more.
    pub fn pause_writers(&mut self, server: &Server, next: &Next) {
        /// Longest pause, in case that nobody ends it.
        const PAUSE_MAX: Duration = Duration::from_secs(60);
        let wants = match next {
            Next::Send => self.rounds >= ROUNDS,
            Next::Wait => self.pauses,
            Next::Answer => false,
        };
        if wants {
            let timeout = self.request.timeout.saturating_mul(2).min(PAUSE_MAX);
            let until_ms = kinovar_io::clock::unix_ms() + timeout.as_millis() as u64;
            server.pause.begin_for_migration(until_ms, !self.pauses);
            server.look_for_alerts();
        }
        if !wants && self.pauses {
            server.pause.end_for_migration();
            server.look_for_alerts();
        }
        self.pauses = wants;
    }

    /// Answers. No lock is held.
    pub fn answer(mut self, server: &Server, env: Env<'_>, after: u64) {
        self.forget(server, env);
        let error = self.trouble.as_ref().map(Trouble::error);
        let outcome = error.as_ref().map_or(Ok("OK"), Err);
        self.origin.answer(server, outcome, self.position, after);
    }

    /// Forgets that the keys are watched.
    fn forget(&mut self, server: &Server, env: Env<'_>) {
        let mut db = Db::new(&server.keyspace, Locked::None, self.db, env);
        for item in self.items.drain(..).filter(|_| !self.request.copies) {
            let interest = Interest::Watch(item.watch);
            busy::forget(server, &mut db, Leftover { db: self.db, name: item.name, interest });
        }
    }
}
