//! What a handler can reach.

use crate::{CommandError, Db, Outcome, Registry, Reply};
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
}

impl Ctx<'_> {
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
