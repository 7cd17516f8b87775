//! What a reactor does with TLS connections.
//!
//! A handshake costs as much as thousands of commands. So only so many of them are gone on with in a turn
//! (`max-new-tls-connections-per-cycle`); what comes for the others is held, and they are not read from meanwhile, until their turn
//! comes, first come first.

use crate::clients::{ClientInfo, add};
use crate::cmdstats::bump;
use crate::connection::Connection;
use crate::reactor::{PROTECTED_MODE_DENIAL, Reactor};
use kinovar_io::engine::{Close, ConnId, Net};
use kinovar_io::net;
use std::collections::VecDeque;

/// Plaintext of one turn and connection, kept for reuse up to this size, bytes.
const PLAIN_KEEP: usize = 256 << 10;

/// What a reactor knows of handshakes.
#[derive(Default)]
pub struct Handshakes {
    /// Connections whose handshake waits for its turn.
    queue: VecDeque<ConnId>,
    /// How many were gone on with in this turn.
    done: u32,
    /// Plaintext of the connection that is being served.
    plain: Vec<u8>,
}

impl Handshakes {
    /// A turn is over.
    pub fn end_turn(&mut self) {
        self.done = 0;
    }

    /// Whether any of them waits.
    pub fn any_waiting(&self) -> bool {
        !self.queue.is_empty()
    }
}

/// A line about a connection that could not be accepted.
fn refused(info: &ClientInfo, reason: &str) {
    let (addr, laddr) = (&info.addr, &info.laddr);
    crate::log::warning(&format!("Error accepting a client connection: {reason} (addr={addr} laddr={laddr})"));
}

impl Reactor {
    /// Takes in records of a TLS connection.
    pub(crate) fn receive_records(&mut self, net: &mut Net, conn: &mut Connection, bytes: &[u8]) {
        let Some(link) = &mut conn.tls else { return };
        if link.is_closing() {
            return;
        }
        let is_full = self.handshakes.done >= self.executor.config.max_new_tls_connections_per_cycle;
        if !link.is_handshaking() || !is_full && !self.handshakes.any_waiting() {
            self.open_records(net, conn, bytes);
            return;
        }
        if link.held.is_empty() {
            self.handshakes.queue.push_back(conn.id);
            net.pause_read(conn.id);
        }
        link.held.extend_from_slice(bytes);
    }

    /// Goes on with handshakes that wait for their turn.
    pub(crate) fn go_on_with_handshakes(&mut self, net: &mut Net) {
        while self.handshakes.done < self.executor.config.max_new_tls_connections_per_cycle
            && let Some(id) = self.handshakes.queue.pop_front()
        {
            self.with(id, |reactor, conn| {
                let bytes = conn.tls.as_mut().map(|link| std::mem::take(&mut link.held)).unwrap_or_default();
                net.resume_read(id);
                reactor.open_records(net, conn, &bytes);
            });
        }
    }

    fn open_records(&mut self, net: &mut Net, conn: &mut Connection, bytes: &[u8]) {
        let Some(link) = &mut conn.tls else { return };
        let id = conn.id;
        let was_handshaking = link.is_handshaking();
        let mut plain = std::mem::take(&mut self.handshakes.plain);
        let received = link.receive(bytes, &mut plain);
        let has_spoken = link.flush(net, id);
        if was_handshaking {
            let is_established = !link.is_handshaking();
            self.handshakes.done += u32::from(has_spoken || is_established);
            if is_established && received.error.is_none() {
                self.greet(net, conn);
            }
        }
        if !plain.is_empty() && conn.tls.as_ref().is_some_and(|link| !link.is_closing()) {
            add(&self.stats().net_in, plain.len() as u64);
            add(&conn.session.info.net_in, plain.len() as u64);
            self.feed(net, conn, &plain);
        }
        plain.clear();
        if plain.capacity() <= PLAIN_KEEP {
            self.handshakes.plain = plain;
        }
        if let Some(error) = received.error {
            let info = &conn.session.info;
            if was_handshaking {
                refused(info, &error.to_string());
            } else {
                crate::log::verbose(&format!("Reading from client: {error} (id={} addr={})", info.id, info.addr));
            }
            if let Some(link) = &mut conn.tls {
                link.abort(net, id);
            }
        } else if received.is_end {
            self.close_when_answered(net, conn);
        }
    }

    /// The client says that it will send nothing more.
    fn close_when_answered(&mut self, net: &mut Net, conn: &mut Connection) {
        if conn.unsynced.is_empty() {
            self.close(net, conn, Close::AfterSend);
        } else {
            conn.session.close_after_reply = true;
        }
    }

    /// A client has come through its handshake.
    fn greet(&mut self, net: &mut Net, conn: &mut Connection) {
        let is_open = self.server.acl.users().default_user().needs_no_password();
        if is_open && self.server.config().protects_from(&conn.session.info) {
            bump(&self.stats().rejected_connections, 1);
            self.transmit(net, conn, PROTECTED_MODE_DENIAL.as_bytes().to_vec());
            self.close(net, conn, Close::AfterSend);
            return;
        }
        bump(&self.stats().connections, 1);
    }

    /// Hands a reply to the engine, encrypted where the connection is.
    #[inline]
    pub(crate) fn transmit(&mut self, net: &mut Net, conn: &mut Connection, reply: Vec<u8>) {
        match &mut conn.tls {
            None => net.send(conn.id, reply),
            Some(link) => link.send(net, conn.id, reply, &mut self.spare),
        }
    }

    /// Closes a connection.
    pub(crate) fn close(&mut self, net: &mut Net, conn: &mut Connection, how: Close) {
        match &mut conn.tls {
            None => net.close(conn.id, how),
            Some(link) => link.close(net, conn.id, how),
        }
    }

    /// Ends a handshake that takes too long.
    pub(crate) fn check_handshake(&self, net: &mut Net, conn: &Connection, now_ms: u64) {
        let limit_ms = u64::from(self.executor.config.tls_handshake_timeout_s) * 1000;
        let info = &conn.session.info;
        if limit_ms > 0 && now_ms.saturating_sub(info.created_ms) > limit_ms && net.is_open(conn.id) {
            refused(info, "the handshake took too long");
            net.close(conn.id, Close::Now);
        }
    }

    /// A connection has ended before its handshake did.
    pub(crate) fn handshake_broke_off(&self, conn: &Connection, error: Option<&std::io::Error>) {
        let reason = error.map_or_else(|| "the peer closed it during the handshake".to_owned(), net::error_text);
        refused(&conn.session.info, &reason);
    }
}
