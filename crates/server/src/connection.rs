//! A connection from its first byte to its last: what it has sent, what it is to be sent.

use crate::journal::units::Open;
use crate::session::Session;
use crate::tls::link::Link;
use kinovar_command::Registry;
use kinovar_io::engine::Net;
use kinovar_resp::Parser;
use std::collections::VecDeque;

/// Output that is kept back.
pub struct Unsynced {
    /// The position up to which the journal is to be synced.
    pub position: u64,
    /// It may be about these, whose positions are not known yet.
    pub unclear: Option<Open>,
    /// The output.
    pub bytes: Vec<u8>,
}

/// One connection of a reactor.
pub struct Connection {
    /// What its commands see.
    pub session: Session,
    /// The engine's id for it.
    pub id: kinovar_io::engine::ConnId,
    /// What encrypts it, if anything does.
    pub tls: Option<Box<Link>>,
    /// State of an unfinished request.
    pub parser: Parser,
    /// Bytes received and not yet consumed: an unfinished request, or requests held back while `stalled`.
    pub input: Vec<u8>,
    /// Replies of this turn, not yet handed to the engine.
    pub output: Vec<u8>,
    /// What must not be sent before the journal is synced further, in order.
    pub unsynced: VecDeque<Unsynced>,
    /// How long they are.
    pub unsynced_bytes: usize,
    /// What is in `output` may be about these, too.
    pub unclear: Option<Open>,
    /// It reads its replies too slowly: no more of its requests are executed until it has caught up.
    pub stalled: bool,
    /// What it was last found to take up, bytes.
    pub counted_bytes: u64,
    /// It is on its reactor's list of those with output from elsewhere.
    pub dirty: bool,
    /// The engine was told not to read from it.
    pub paused: bool,
    /// When its pending output first exceeded the soft limit, Unix ms; 0 when it does not.
    pub soft_limit_since_ms: u64,
}

impl Connection {
    /// A new connection.
    pub fn new(session: Session, id: kinovar_io::engine::ConnId) -> Connection {
        Connection {
            session,
            id,
            tls: None,
            parser: Parser::default(),
            input: Vec::new(),
            output: Vec::new(),
            unsynced: VecDeque::new(),
            unsynced_bytes: 0,
            unclear: None,
            stalled: false,
            counted_bytes: 0,
            dirty: false,
            paused: false,
            soft_limit_since_ms: 0,
        }
    }
}

impl Connection {
    /// Output that the kernel has not taken yet, bytes: records, replies that are not encrypted yet, and what is kept back.
    #[inline]
    pub fn pending_bytes(&self, net: &Net) -> usize {
        let unencrypted = self.tls.as_ref().map_or(0, |link| link.waiting_bytes());
        net.pending_bytes(self.id) + unencrypted + self.unsynced_bytes
    }

    /// Which of the limits of `client-output-buffer-limit` holds for it.
    pub fn limit_class(&self) -> usize {
        if self.session.subscriptions.is_some() { 2 } else { 0 }
    }
}

/// The name of a command by registry id plus one, as `CLIENT LIST` shows it.
pub fn command_name(registry: &Registry, id_plus_one: usize) -> &str {
    match id_plus_one {
        0 => "NULL",
        id => &registry.entries()[id - 1].full_name,
    }
}
