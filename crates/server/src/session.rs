//! The state of a connection that its commands see and change.

use crate::clients::ClientInfo;
use crate::commands::waitaof::Wanted;
use crate::errand::Errand;
use crate::pubsub::subscriptions::Subscriptions;
use crate::scripting::fiber::Task;
use crate::tracking::session::Tracked;
use crate::transaction::{Queue, Watching};
use crate::waiting::Pending;
use kinovar_command::{Ctx, Protocol, keyspace};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// One connection, as its own commands see it.
pub struct Session {
    /// What other threads see of it.
    pub info: Arc<ClientInfo>,
    /// Nothing here concerns the next command: it is just to be run. What most connections are at most times, so it is asked
    /// once for everything else. Whoever gets the session [of](Session::of) a command may change that, and unsets it.
    pub is_plain: bool,
    /// Selected database.
    pub db: u32,
    /// How replies are spelled.
    pub protocol: Protocol,
    /// Whether it may do more than AUTH and HELLO.
    pub authenticated: bool,
    /// Which replies it wants.
    pub replies: Replies,
    /// What it listens to.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// It listens in RESP2, where nothing tells messages from replies: so it may call few commands.
    pub only_listens: bool,
    /// Messages may come for it.
    pub takes_pushes: bool,
    /// What it has asked to be told of keys that it has read.
    pub tracked: Option<Box<Tracked>>,
    /// The keys that its commands read are remembered.
    pub tracks_reads: bool,
    /// `CLIENT CACHING` holds for the next command.
    pub caching: bool,
    /// Messages are on their way for it, whatever it listens to by now.
    pub has_mail: bool,
    /// Messages that a command has for its own client, which does not want its reply.
    pub pushes: Vec<u8>,
    /// The newest position in the journal that its replies depend on.
    pub position: u64,
    /// It waits for a sync of the append-only file.
    pub awaits_sync: Option<Wanted>,
    /// Close once the replies so far are out.
    pub close_after_reply: bool,
    /// It waits for keys, and executes no request meanwhile.
    pub pending: Option<Pending>,
    /// Its command goes on elsewhere; it executes no request meanwhile.
    pub errand: Option<Box<Errand>>,
    /// Its next request waits for the end of a pause.
    pub held: bool,
    /// Its next request waits for a snapshot to write a value in this partition.
    pub parked: Option<usize>,
    /// Its request runs code that takes long, and was left in the middle; it executes no other meanwhile. What this session
    /// was is there.
    pub task: Option<Box<Task>>,
    /// No key could give way when its last request was about to run, as far as memory was limited then.
    pub out_of_memory: bool,
    /// The commands queued since `MULTI`.
    pub queue: Option<Box<Queue>>,
    /// The memory of the last transaction.
    pub spare_queue: Option<Box<Queue>>,
    /// The keys watched for the next transaction.
    pub watching: Option<Box<Watching>>,
    /// Leave no trace in the access clock (`CLIENT NO-TOUCH`).
    pub no_touch: bool,
}

/// `CLIENT REPLY`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replies {
    /// All.
    On,
    /// None.
    Off,
    /// Not the next command's; this one's neither.
    SkipNext,
    /// Not this command's.
    Skip,
}

impl Replies {
    /// Whether what is written now is not sent.
    pub fn is_silent(self) -> bool {
        matches!(self, Replies::Off | Replies::Skip)
    }
}

impl Session {
    /// A new connection.
    pub fn new(info: Arc<ClientInfo>, authenticated: bool) -> Session {
        Session {
            info,
            is_plain: false,
            db: 0,
            protocol: Protocol::Resp2,
            authenticated,
            replies: Replies::On,
            subscriptions: None,
            only_listens: false,
            takes_pushes: false,
            tracked: None,
            tracks_reads: false,
            caching: false,
            has_mail: false,
            pushes: Vec::new(),
            position: 0,
            awaits_sync: None,
            close_after_reply: false,
            pending: None,
            errand: None,
            held: false,
            parked: None,
            task: None,
            out_of_memory: false,
            queue: None,
            spare_queue: None,
            watching: None,
            no_touch: false,
        }
    }

    /// The session behind a command.
    ///
    /// # Panics
    /// When the command was not called by a connection.
    pub fn of<'a>(ctx: &'a mut Ctx<'_>) -> &'a mut Session {
        let session: &mut Session =
            ctx.session.downcast_mut().expect("commands of the server crate are called by connections");
        session.is_plain = false;
        session
    }

    /// Finds out anew whether it [is plain](Session::is_plain).
    pub fn look_again(&mut self) {
        self.is_plain = self.authenticated
            && self.replies == Replies::On
            && !self.only_listens
            && !self.takes_pushes
            && self.tracked.is_none()
            && !self.has_mail
            && self.pushes.is_empty()
            && !self.close_after_reply
            && !self.held
            && self.parked.is_none()
            && self.pending.is_none()
            && self.errand.is_none()
            && self.task.is_none()
            && self.queue.is_none();
    }

    /// What this thread has read or written since the last such call concerns its replies.
    #[inline]
    pub fn take_dependency(&mut self) {
        let position = keyspace::effects::take_dependency();
        if position > self.position {
            self.position = position;
        }
    }

    /// Whether its next request has to wait for something.
    #[inline]
    pub fn waits(&self) -> bool {
        self.pending.is_some() || self.errand.is_some() || self.held || self.parked.is_some() || self.task.is_some()
    }

    /// Selects a database.
    pub fn select(&mut self, db: u32) {
        self.db = db;
        self.info.db.store(db, Relaxed);
    }

    /// Changes the protocol.
    pub fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.info.resp.store(if protocol == Protocol::Resp3 { 3 } else { 2 }, Relaxed);
        self.listening_changed();
    }
}
