//! Running the commands of an append-only file.
//!
//! The first reactor alone does it, since their order matters, in slices between turns as all of loading. The reader has found the
//! commands and hashed their keys. No time passes for them: see [`Env::expiry_ms`]. Nobody is told of what they change.

use super::Failure;
use super::run::Run;
use crate::clients::ClientInfo;
use crate::log;
use crate::scripting::fiber::Progress;
use crate::server::Server;
use crate::session::Session;
use kinovar_command::dispatch::{self, KeyScratch};
use kinovar_command::keyspace::{Db, Env};
use kinovar_command::{Args, Ctx, Flags, HashedKey, Protocol, Reply};
use kinovar_resp::Span;
use std::sync::Arc;

/// Commands whose keys are loaded ahead together.
const AHEAD: usize = 32;

/// Some commands in their order.
#[derive(Default)]
pub struct Commands {
    /// What was read.
    pub bytes: Vec<u8>,
    /// Where the words are among it.
    pub spans: Vec<Span>,
    /// The commands.
    pub calls: Vec<Call>,
    /// Their keys.
    pub hashed: Vec<HashedKey>,
    /// They are the first ones of a file: database 0 is selected.
    pub is_first: bool,
}

/// A command.
#[derive(Clone, Copy)]
pub struct Call {
    /// Its registry id.
    pub command: u32,
    /// Its first word among all.
    pub first: u32,
    /// Number of words.
    pub argc: u32,
    /// Its first key among all.
    pub keys_from: u32,
    /// Where its keys end.
    pub keys_to: u32,
}

impl Commands {
    /// Bytes in it.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn args(&self, call: &Call, passed: usize) -> Args<'_> {
        let spans = &self.spans[call.first as usize..(call.first + call.argc) as usize];
        Args::new(&self.bytes, spans, passed).with_hashed(self.keys(call))
    }

    fn keys(&self, call: &Call) -> &[HashedKey] {
        &self.hashed[call.keys_from as usize..call.keys_to as usize]
    }
}

/// What runs them.
#[derive(Default)]
pub struct Replayer {
    /// The commands, and how many of them are done.
    commands: Option<(Commands, usize)>,
    session: Option<Box<Session>>,
    scratch: KeyScratch,
    reply: Vec<u8>,
}

impl Replayer {
    /// Whether there are commands.
    pub fn is_busy(&self) -> bool {
        self.commands.as_ref().is_some_and(|(commands, done)| *done < commands.calls.len())
    }

    /// Takes some.
    pub fn take(&mut self, commands: Commands) {
        let session = self.session.get_or_insert_with(|| Box::new(Session::new(Arc::new(ClientInfo::nobody()))));
        if commands.is_first {
            session.select(0);
        }
        self.commands = Some((commands, 0));
    }

    /// Gives up what it has.
    pub fn forget(&mut self, run: &Run) {
        if self.commands.take().is_some() {
            run.portion_done();
        }
    }

    /// Runs a few.
    ///
    /// # Errors
    /// What follows would not be what it was.
    pub fn run_some(&mut self, server: &'static Server, env: Env<'_>) -> Result<(), Failure> {
        let (Some((commands, done)), Some(session)) = (&mut self.commands, &mut self.session) else { return Ok(()) };
        let env = Env { expiry_ms: 0, no_touch: false, observer: None, ..env };
        let next = &commands.calls[*done..commands.calls.len().min(*done + AHEAD)];
        *done += next.len();
        for call in next {
            let args = commands.args(call, 0);
            commands.keys(call).iter().for_each(|key| server.keyspace.prefetch(&key.of(&args)));
        }
        for call in next {
            let args = commands.args(call, 0);
            commands.keys(call).iter().for_each(|key| server.keyspace.prefetch_entry(&key.of(&args), session.db));
        }
        for call in next {
            let entry = &server.registry.entries()[call.command as usize];
            let args = commands.args(call, entry.name_words());
            self.reply.clear();
            let locked = dispatch::lock(entry, &args, &server.keyspace, &mut self.scratch);
            // Scripts run neither while data is loaded nor when it begins.
            let Ok(locked) = locked else { return Err(Failure::Stopped) };
            let db = session.db;
            let outcome = {
                let mut ctx = Ctx {
                    db: Db::new(&server.keyspace, locked, db, env),
                    reply: Reply::new(&mut self.reply, Protocol::Resp2),
                    registry: &server.registry,
                    session: &mut **session,
                    server,
                    may_wait: false,
                    reaches_every_key: true,
                    waiting: None,
                };
                (entry.command.handler)(&mut ctx, args)
            };
            // A script that takes long is left in the middle now and then.
            while let Some(task) = session.task.take() {
                match task.resume() {
                    Progress::Done(_, done) => {
                        **session = done.session;
                        self.reply = done.reply;
                    }
                    Progress::Left(task) => session.task = Some(Box::new(task)),
                }
            }
            env.work.ready.borrow_mut().clear();
            if let Err(error) = outcome {
                self.reply.clear();
                Reply::new(&mut self.reply, Protocol::Resp2).error(&error.message());
            }
            if let [b'-', text @ ..] = &self.reply[..] {
                if entry.command.name == "select" {
                    return Err(Failure::Databases { here: server.keyspace.databases(), offset: 0 });
                }
                let text = String::from_utf8_lossy(text.trim_ascii_end());
                let name = &entry.full_name;
                log::warning(&format!(
                    "== CRITICAL == This server is sending an error to its AOF-loading-client: '{text}' after \
                     processing the command '{name}'"
                ));
            }
        }
        Ok(())
    }
}

/// Whether a command of the file is to be run: those that only look are not.
pub fn has_effect(entry: &kinovar_command::registry::Entry) -> bool {
    let flags = entry.command.flags;
    flags.has(Flags::WRITE)
        || flags.has(Flags::MAY_REPLICATE) && entry.has_keys()
        || crate::scripting::runs_code(entry)
        || entry.full_name == "select"
        || entry.full_name == "script|load"
        || entry.full_name == "script|flush"
}
