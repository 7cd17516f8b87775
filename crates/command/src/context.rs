//! What a handler can reach.

use crate::{Args, CommandError, Db, Outcome, Registry, Reply};
use kinovar_keyspace::{Effects, Teller};
use std::any::Any;

/// Largest reply to a command that repeats elements as often as it is asked to, bytes.
pub const REPLY_BYTES_MAX: usize = 1 << 30;

/// The surroundings of one command.
///
/// The fields are public so that a handler can borrow the database and the reply at the same time.
pub struct Ctx<'a> {
    /// The selected database, through the partitions locked for this command.
    pub db: Db<'a>,
    /// Where the reply goes, in the connection's protocol.
    pub reply: Reply<'a>,
    /// Every command there is.
    pub registry: &'a Registry,
    /// The connection, for commands declared by the server crate; the data types do not need it.
    pub session: &'a mut dyn Any,
    /// The server, for commands declared by the server crate.
    pub server: &'a dyn Any,
    /// Whether the command's client may be made to wait; not inside transactions and scripts.
    pub may_wait: bool,
    /// Whether the command's client may read every key there is: what is needed for keys that only the data names.
    pub reaches_every_key: bool,
    /// Set by [`Ctx::wait`].
    pub waiting: Option<Box<Wait>>,
}

/// What a command waits for that has nothing to answer yet.
///
/// The command is run again, with the same arguments, when one of the keys has changed: under the locks of some of its keys only,
/// perhaps. So a handler that waits looks at those keys alone that are [locked](Db::is_locked); the others cannot have
/// anything for it, or it would have been run for their sake. It may find nothing once more, and wait again; only the `keys` of
/// its first [`Wait`] count.
pub struct Wait {
    /// Which arguments, counted from the command's name, are the keys waited for.
    pub keys: Vec<u32>,
    /// How long, ms; 0 for ever.
    pub timeout_ms: u64,
    /// What to answer where waiting is not possible. (When the time is over it is [`Absent::NullArray`], whatever the command.)
    pub absent: Absent,
    /// Whether the command is to be run again, and answer with an error, when a key is gone or holds another type. Otherwise it
    /// goes on waiting.
    pub heeds_loss: bool,
    /// Arguments to be replaced when the command is run again: what they stood for when it was run first.
    pub resolved: Vec<(u32, Vec<u8>)>,
}

/// How "nothing" is spelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Absent {
    /// [`Reply::null`].
    Null,
    /// [`Reply::null_array`].
    NullArray,
}

impl<'a> Ctx<'a> {
    /// To say what the command comes to where that is not its own words: see [`kinovar_keyspace::effects`].
    #[inline]
    pub fn effects(&self) -> Teller<'a> {
        self.db.env().work.effects.teller(self.db.index())
    }

    /// A command begins whose effects will be [noted](Ctx::note_effect).
    #[inline]
    pub fn begin_effect(&self) -> Begun<'a> {
        let effects = self.db.effects();
        effects.begin();
        Begun { effects, db: self.db.index(), dirty: self.db.dirty() }
    }

    /// The command with the words `args` is over. Its partitions are still locked.
    #[inline]
    pub fn note_effect(&self, begun: Begun<'_>, args: &Args<'_>) {
        if begun.effects.is_on() {
            let changed = self.db.dirty() != begun.dirty;
            // A copy, so that the caller's own need not stand in memory.
            let args = *args;
            let words = (0..args.argc()).map(|index| args.at(index));
            begun.effects.end(begun.db, changed, args.argc(), words);
        }
    }

    /// Tells the journal of everything that was noted, as one. What it is about is still locked.
    #[inline]
    pub fn hand_effects_over(&self) {
        if self.db.effects().is_on() {
            self.db.tell_journal();
        }
    }
}

/// What was known when a command began.
pub struct Begun<'a> {
    effects: &'a Effects,
    db: u32,
    dirty: u64,
}

impl Ctx<'_> {
    /// Lets the client wait, or answers at once that there is nothing where waiting is not possible. To be called last.
    pub fn wait(&mut self, wait: Wait) {
        if self.may_wait {
            self.waiting = Some(Box::new(wait));
        } else {
            wait.absent.write(&mut self.reply);
        }
    }

    /// What was to expire before this has expired, Unix ms; see [`kinovar_keyspace::Env::expiry_ms`].
    #[inline]
    pub fn expiry_ms(&self) -> u64 {
        self.db.expiry_ms()
    }

    /// Whether the command is an effect that is run again: it was accepted before.
    pub fn is_replay(&self) -> bool {
        self.expiry_ms() == 0
    }

    /// Unix time at which the command started, in milliseconds.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        self.db.now_ms()
    }
}

/// An error once a reply has grown beyond [`REPLY_BYTES_MAX`].
#[inline]
pub fn check_reply_size(reply: &Reply<'_>) -> Outcome {
    if reply.position() > REPLY_BYTES_MAX { Err(CommandError::ReplyTooLarge) } else { Ok(()) }
}

impl Absent {
    /// Writes it.
    pub fn write(self, reply: &mut Reply<'_>) {
        match self {
            Absent::Null => reply.null(),
            Absent::NullArray => reply.null_array(),
        }
    }
}
