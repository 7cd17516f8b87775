//! A script that runs for longer than `busy-reply-threshold` keeps everybody waiting: from then on they are told so.
//!
//! The script's locks stay held. Who would have to wait for one of them gives up ([`kinovar_command::keyspace::set_giving_up`])
//! and answers `-BUSY`; only commands that may help to end the script are run. What must be done under a lock nevertheless, for
//! connections that end meanwhile, is left for later ([`Leftover`]).

use crate::server::Server;
use kinovar_command::CommandError;
use kinovar_command::keyspace::{Db, Env, Key, Locked, Ready, Waiter, Watch, set_giving_up};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8};
use std::sync::{Arc, Mutex, PoisonError};

/// What keeps everybody waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runs {
    /// A script of `EVAL`.
    Script,
    /// A function of `FCALL`.
    Function,
}

/// Whether something keeps everybody waiting.
#[derive(Default)]
pub struct Busy {
    /// 0, or what it is.
    what: AtomicU8,
    leftovers: Mutex<Vec<Leftover>>,
    unserved: Mutex<Vec<Ready>>,
    has_leftovers: AtomicBool,
}

/// An interest in a key of a client that has none any more.
pub struct Leftover {
    /// The key's database.
    pub db: u32,
    /// The key.
    pub name: Box<[u8]>,
    /// What is to be removed.
    pub interest: Interest,
}

/// What a client wanted to know of a key.
pub enum Interest {
    /// Whether it changes.
    Watch(Arc<Watch>),
    /// When it has something.
    Wait(Arc<Waiter>),
}

impl Interest {
    /// Removes it from `key` of the selected database, which is locked.
    pub fn remove(&self, db: &mut Db<'_>, key: &Key<'_>) {
        match self {
            Interest::Watch(watch) => db.unwatch(key, watch),
            Interest::Wait(waiter) => db.stop_waiting_for(key, waiter),
        }
    }
}

impl Busy {
    /// Whether somebody keeps everybody waiting: asked for every command.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.what.load(Relaxed) != 0
    }

    /// Whether it is a function that does.
    pub fn runs_function(&self) -> bool {
        self.what.load(Acquire) == 2
    }

    /// From now on everybody is told.
    fn begin(&self, what: Runs) {
        self.what.store(if what == Runs::Script { 1 } else { 2 }, Release);
        set_giving_up(true);
    }

    /// It is over.
    fn end(&self) {
        set_giving_up(false);
        self.what.store(0, Release);
    }

    /// What clients are told.
    #[cold]
    pub fn error(&self) -> CommandError {
        if self.what.load(Acquire) == 2 {
            return CommandError::text(
                "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
            );
        }
        CommandError::Busy
    }

    /// Leaves something to be done when the locks are free again.
    pub fn leave(&self, leftover: Leftover) {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner).push(leftover);
        self.has_leftovers.store(true, Release);
    }

    /// Leaves the queue of a key to be served when the locks are free again.
    pub fn serve_later(&self, ready: Ready) {
        self.unserved.lock().unwrap_or_else(PoisonError::into_inner).push(ready);
        self.has_leftovers.store(true, Release);
    }

    /// Does what was left. No partition is locked.
    pub fn clean_up(&self, server: &Server, env: Env<'_>) {
        if self.is_on() || !self.has_leftovers.swap(false, Acquire) {
            return;
        }
        let leftovers = std::mem::take(&mut *self.leftovers.lock().unwrap_or_else(PoisonError::into_inner));
        let mut db = Db::new(&server.keyspace, Locked::None, 0, env);
        for leftover in leftovers {
            forget(server, &mut db, leftover);
        }
        db.unlock();
        let unserved = std::mem::take(&mut *self.unserved.lock().unwrap_or_else(PoisonError::into_inner));
        env.work.ready.borrow_mut().extend(unserved);
        crate::waiting::serve(server, db, &env);
    }
}

impl Server {
    /// From now on everybody is told that something keeps them waiting.
    pub fn begin_busy(&self, what: Runs) {
        self.busy.begin(what);
        self.look_for_alerts();
    }

    /// It is over.
    pub fn end_busy(&self) {
        self.busy.end();
        self.look_for_alerts();
    }
}

/// Removes an interest; locks its partition if it is not locked, or leaves it for later if that cannot be had.
pub fn forget(server: &Server, db: &mut Db<'_>, leftover: Leftover) {
    let key = Key::new(&leftover.name);
    if !db.is_locked(&key) && db.visit(server.keyspace.partition_of(&key)).is_err() {
        server.busy.leave(leftover);
        return;
    }
    db.select(leftover.db);
    leftover.interest.remove(db, &key);
}
