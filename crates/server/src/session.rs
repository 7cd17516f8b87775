//! The state of a connection that its commands see and change.

use crate::acl::Acl;
use crate::acl::enforce::Expelled;
use crate::acl::selector::is_channel_among;
use crate::acl::user::User;
use crate::acl::users::Users;
use crate::clients::ClientInfo;
use crate::commands::waitaof::Wanted;
use crate::errand::Errand;
use crate::pubsub::subscriptions::Subscriptions;
use crate::pubsub::{KINDS, Kind};
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
    /// Who its commands are checked as; `None` for the server itself, which may do everything.
    pub user: Option<Arc<User>>,
    /// The version of the users at which it last looked.
    pub users_version: u64,
    /// It has authenticated, or did not have to when it began.
    pub authenticated: bool,
    /// It may do no more than AUTH and HELLO.
    pub needs_auth: bool,
    /// Its user may do everything.
    pub is_unrestricted: bool,
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
    /// A new connection, without a user: it may do everything.
    pub fn new(info: Arc<ClientInfo>) -> Session {
        Session {
            info,
            is_plain: false,
            db: 0,
            protocol: Protocol::Resp2,
            user: None,
            users_version: 0,
            authenticated: true,
            needs_auth: false,
            is_unrestricted: true,
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
        self.is_plain = self.is_unrestricted
            && !self.needs_auth
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

/// Whose connection it is.
impl Session {
    /// It is this user's from now on.
    pub fn enter_as(&mut self, users: &Users, user: Arc<User>, authenticated: bool) {
        self.is_plain = false;
        self.info.user.store(user.id, Relaxed);
        self.info.rename(|names| names.user = user.name.to_vec());
        self.user = Some(user);
        self.authenticated = authenticated;
        self.derive_rights(users);
    }

    /// It is as connections begin: the default user's, who may have to authenticate.
    pub fn begin_as_default(&mut self, users: &Users) {
        self.enter_as(users, users.default_user().clone(), !users.must_authenticate());
    }

    fn derive_rights(&mut self, users: &Users) {
        self.users_version = users.version;
        self.needs_auth = !self.authenticated && users.must_authenticate();
        self.is_unrestricted = self.user.as_ref().is_none_or(|user| user.is_unrestricted());
    }

    /// Looks at the users again if they have changed.
    #[inline]
    pub fn follow_users(&mut self, acl: &Acl) {
        if self.users_version != acl.version() {
            self.look_at_users(&acl.users());
        }
    }

    #[cold]
    fn look_at_users(&mut self, users: &Users) {
        let Some(old) = self.user.take() else { return self.derive_rights(users) };
        self.is_plain = false;
        match users.now(&old) {
            Some(now) => {
                // A file that is loaded takes nothing away from those who listen as the default user; so does the reference.
                let is_default = Arc::ptr_eq(now, users.default_user());
                let left = now.channels_left(&old).filter(|_| !is_default);
                if left.is_some_and(|left| self.listens_beyond(&left)) {
                    self.close_after_reply = true;
                }
                self.user = Some(now.clone());
                self.derive_rights(users);
            }
            // Its end has been ordered.
            None => {
                self.close_after_reply = true;
                self.enter_as(users, users.default_user().clone(), false);
            }
        }
    }

    /// Whether it belongs to a user who is gone or lost channels.
    pub fn is_of(&self, expelled: &Expelled) -> bool {
        self.info.user.load(Relaxed) == expelled.user
    }

    /// Whether it has to end if its user does, or loses channels.
    pub fn loses_by(&self, expelled: &Expelled) -> bool {
        expelled.channels.as_ref().is_none_or(|left| self.listens_beyond(left))
    }

    /// Whether it listens to a channel or a pattern besides these.
    fn listens_beyond(&self, left: &[Box<[u8]>]) -> bool {
        let Some(subscriptions) = &self.subscriptions else { return false };
        let is_beyond = |kind: Kind| {
            subscriptions.of(kind).iter().any(|name| !is_channel_among(left, name, matches!(kind, Kind::Pattern)))
        };
        KINDS.into_iter().any(is_beyond)
    }
}
