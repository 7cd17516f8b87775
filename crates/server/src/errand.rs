//! Commands that go on elsewhere: another thread has to wait for something, or all reactors have to do something first.
//!
//! The handler returns without a reply and leaves an [`Errand`] in its session. The connection executes no further request, its
//! reactor goes on with others. No lock is held when the errand begins. At its end the [`Origin`] is told the reply, which goes
//! to the reactor that has the connection, if that is still there. Nobody else can end such a wait; what an errand does, it does
//! whether its client is there or not.

use crate::clients::ClientInfo;
use crate::message::Message;
use crate::server::Server;
use crate::session::{Replies, Session};
use kinovar_command::{CommandError, Ctx, Protocol, Reply};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What begins an errand.
pub type Start = Box<dyn FnOnce(&'static Server, Origin) + Send>;

/// What a connection waits for.
pub struct Errand {
    /// Not begun yet.
    start: Option<(Start, Origin)>,
}

/// Whose command it is.
pub struct Origin {
    /// The client.
    pub client: Arc<ClientInfo>,
    protocol: Protocol,
    is_silent: bool,
    /// Registry id of the command.
    command: usize,
}

/// The end of an errand, for the reactor that has the connection.
pub struct Answer {
    /// The client.
    pub client: Arc<ClientInfo>,
    /// Registry id of the command.
    pub command: usize,
    /// The reply.
    pub reply: Vec<u8>,
    /// The code of the error that it is.
    pub error: Option<String>,
    /// The position in the journal that the reply depends on.
    pub position: u64,
    /// Messages with numbers below this come before the reply.
    pub after: u64,
}

impl Errand {
    /// Has the command that runs go on as `start` says, when its locks are released.
    pub fn leave(ctx: &mut Ctx<'_>, start: Start) {
        let session = Session::of(ctx);
        let origin = Origin {
            client: session.info.clone(),
            protocol: session.protocol,
            is_silent: session.replies != Replies::On,
            command: session.info.command.load(Relaxed).saturating_sub(1),
        };
        session.errand = Some(Box::new(Errand { start: Some((start, origin)) }));
    }

    /// Begins, if it has not. No lock is held.
    pub fn begin(&mut self, server: &'static Server) {
        if let Some((start, origin)) = self.start.take() {
            start(server, origin);
        }
    }
}

impl Origin {
    /// Answers. No lock is held.
    pub fn answer(self, server: &Server, outcome: Result<&str, &CommandError>, position: u64, after: u64) {
        let (mut bytes, mut code) = (Vec::new(), None);
        let mut reply = Reply::new(&mut bytes, self.protocol);
        match outcome {
            Ok(text) => reply.simple(text),
            Err(error) => {
                reply.error(&error.message());
                code = Some(error.code());
            }
        }
        if self.is_silent {
            bytes.clear();
        }
        let (reactor, client, command) = (self.client.reactor, self.client, self.command);
        let answer = Answer { client, command, reply: bytes, error: code, position, after };
        server.mailbox(reactor).send(Message::Answer(Box::new(answer)));
    }
}
