//! Commands that wait until a snapshot has written the large values that they are going to change.
//!
//! To write a value of millions of elements takes hundreds of milliseconds. Whoever changes one that the snapshot has not come to
//! would have to do that first, its partition locked. Instead the request stays where it is, in the input of its connection,
//! and the connection is *parked*. Its reactor has the snapshot go on with that value in every turn, in pieces, and looks at the
//! request again when nothing is left to wait for. All others go on meanwhile.
//!
//! - What is asked for is asked before the command has done anything, and an `EXEC` or a script with its keys waits as a whole: so
//!   what is one moment stays one, and the order of a client's requests does too.
//! - A parked connection holds no lock, and its own reactor does what it waits for: whatever becomes of the snapshot's file, nobody
//!   else has to wake it. A snapshot that fails has nothing more to write, so nothing to wait for.
//! - It is an offer. A value that somebody changes without having asked is written at once: by a script that changes keys which
//!   it was not called with; or when a snapshot begins, or a client begins to wait, between the question and the command.

use crate::pause;
use crate::server::Server;
use crate::session::Session;
use crate::waiting;
use kinovar_command::keyspace::{Db, Env, Key, Locked};
use kinovar_command::registry::Entry;
use kinovar_command::{Access, Args, Flags, Group, KeyAt, Lock, number};
use std::sync::atomic::Ordering::Relaxed;

/// The partition of a large value that a request should wait for, if there is one. `args` is all of its words; nothing is locked.
#[cold]
pub fn awaited(server: &Server, session: &Session, entry: &Entry, args: &Args<'_>, env: Env<'_>) -> Option<usize> {
    let (selected, keys) = (session.db, Vec::new());
    let mut question = Question { server, db: None, env, selected, keys, partition: None };
    if entry.command.name == "exec" && entry.command.is_never_queued {
        if let Some(queue) = &session.queue {
            queue.commands(server).for_each(|(entry, args)| question.ask(entry, &args));
        }
    } else {
        question.ask(entry, args);
    }
    question.partition
}

struct Question<'a> {
    server: &'a Server,
    /// The data, with the partition locked that was last looked at.
    db: Option<Db<'a>>,
    env: Env<'a>,
    selected: u32,
    keys: Vec<KeyAt>,
    partition: Option<usize>,
}

impl<'a> Question<'a> {
    /// Asks for the keys of one command.
    fn ask(&mut self, entry: &Entry, args: &Args<'_>) {
        if entry.command.name == "select" {
            // In a transaction it holds for what follows.
            self.selected = number::parse_i64(args.at(1)).and_then(|n| u32::try_from(n).ok()).unwrap_or(self.selected);
            return;
        }
        let has_keys = entry.command.lock == Lock::Keys || crate::scripting::runs_code(entry);
        if !has_keys || !pause::may_write(self.server, entry, args) {
            return;
        }
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        entry.keys(*args, &mut keys);
        for key in &keys {
            let name = args.key_at(key.index as usize);
            if changes(entry, key.access) {
                self.look(self.selected, &name);
            }
            if self.server.waits.with_other_keys.load(Relaxed) > 0 {
                self.look_at_waiters(&name);
            }
        }
        self.keys = keys;
    }

    /// Locks the partition of a key; not when a script has it, which everybody is told elsewhere.
    fn visit(&mut self, key: &Key<'_>) -> Option<&mut Db<'a>> {
        let keyspace = &self.server.keyspace;
        let (env, selected) = (self.env, self.selected);
        let db = self.db.get_or_insert_with(|| Db::new(keyspace, Locked::None, selected, env));
        db.visit(keyspace.partition_of(key)).ok()?;
        Some(db)
    }

    /// Looks at the value of a key.
    fn look(&mut self, number: u32, key: &Key<'_>) {
        if !self.server.keyspace.may_be_walked(self.server.keyspace.partition_of(key)) {
            return;
        }
        let Some(db) = self.visit(key) else { return };
        db.select(number);
        if db.hurry_snapshot(key) {
            self.partition = Some(self.server.keyspace.partition_of(key));
        }
    }

    /// Whoever changes a key serves those that wait for it, and so may change what they name besides.
    fn look_at_waiters(&mut self, key: &Key<'_>) {
        let selected = self.selected;
        let Some(db) = self.visit(key) else { return };
        db.select(selected);
        for waiter in db.waiters(key) {
            waiting::other_keys(&waiter, |number, other| self.look(number, other));
        }
    }
}

/// Whether a command that may write changes what is in a key. What it removes or overwrites is left to the snapshot as it is.
fn changes(entry: &Entry, access: Access) -> bool {
    // Who reads from a group of a stream changes the group.
    entry.command.group == Group::Stream || access.has(Access::RW)
}

/// Whether a request may have to wait: asked for every request while a snapshot is under way. `args` is all of its words.
#[inline]
pub fn concerns(server: &Server, entry: &Entry, args: &Args<'_>) -> bool {
    let writes = entry.command.flags.has(Flags::WRITE);
    match args.hashed() {
        [only] => {
            writes
                && (server.keyspace.may_be_walked(server.keyspace.partition_of_slot(only.slot))
                    || server.waits.with_other_keys.load(Relaxed) > 0)
        }
        // A transaction or a script, maybe.
        [] => true,
        _ => writes,
    }
}
