//! One TLS connection, without a socket: records in and plaintext out, replies in and records out.
//!
//! ```text
//!   engine ── records ──> receive ──> plaintext ──> the connection's input
//!   engine <── records ── pump <── waiting <── send <── replies
//! ```
//!
//! Replies are encrypted when the engine can use them: at most [`AHEAD`] bytes of records wait for the kernel, the rest waits as
//! it is. So a large reply neither takes up its memory twice nor keeps the reactor from its other connections, and what the
//! journal holds back is not touched before it may be sent.

use kinovar_io::engine::{Close, ConnId, Net};
use rustls::{Error, ServerConfig, ServerConnection};
use std::collections::VecDeque;
use std::io::{BufRead, Write};
use std::sync::Arc;

/// Records that may wait for the kernel before more are made, bytes.
const AHEAD: usize = 256 << 10;
/// Plaintext that is encrypted into one buffer: three full records, which fit into a buffer that is reused.
const PIECE: usize = 48 << 10;
/// More than a record takes beside its content, in any suite.
const RECORD_OVERHEAD: usize = 64;
/// The most that a record holds.
const RECORD: usize = 16 << 10;
/// The TLS part of a connection.
pub struct Link {
    tls: ServerConnection,
    /// What the client has sent while its handshake waits for its turn; no more is read meanwhile.
    pub held: Vec<u8>,
    /// Replies that are not encrypted yet, and how much of the first one is.
    waiting: VecDeque<Vec<u8>>,
    at: usize,
    waiting_bytes: usize,
    /// The connection is to be closed when all is sent.
    closing: bool,
}

/// What came of received bytes.
pub struct Received {
    /// The peer will send nothing more.
    pub is_end: bool,
    /// Why the connection cannot go on.
    pub error: Option<Error>,
}

impl Link {
    /// A connection whose handshake has not begun.
    ///
    /// # Errors
    /// Those of rustls.
    pub fn new(config: Arc<ServerConfig>) -> Result<Link, Error> {
        Ok(Link {
            tls: ServerConnection::new(config)?,
            held: Vec::new(),
            waiting: VecDeque::new(),
            at: 0,
            waiting_bytes: 0,
            closing: false,
        })
    }

    /// Whether nothing can be said yet.
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether it takes nothing more, neither from the peer nor for it.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Plaintext that is not encrypted yet, bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Takes in what the peer has sent; what it says is appended to `plain`.
    pub fn receive(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Received {
        while !bytes.is_empty() {
            // Nothing more is taken after the peer has said goodbye.
            match self.tls.read_tls(&mut bytes) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Received { is_end: false, error: Some(Error::General(error.to_string())) },
            }
            let state = match self.tls.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    self.take_plaintext(plain);
                    return Received { is_end: false, error: Some(error) };
                }
            };
            if state.plaintext_bytes_to_read() > 0 {
                self.take_plaintext(plain);
            }
            if state.peer_has_closed() {
                return Received { is_end: true, error: None };
            }
        }
        Received { is_end: false, error: None }
    }

    fn take_plaintext(&mut self, plain: &mut Vec<u8>) {
        let mut reader = self.tls.reader();
        while let Ok(chunk) = reader.fill_buf()
            && !chunk.is_empty()
        {
            plain.extend_from_slice(chunk);
            let len = chunk.len();
            reader.consume(len);
        }
    }

    /// Sends what the protocol itself has to say: the handshake, alerts, new keys. Whether there was any.
    pub fn flush(&mut self, net: &mut Net, id: ConnId) -> bool {
        let mut records = Vec::new();
        self.take_records(&mut records);
        let any = !records.is_empty();
        net.send(id, records);
        any
    }

    fn take_records(&mut self, records: &mut Vec<u8>) {
        while self.tls.wants_write() {
            self.tls.write_tls(records).expect("memory takes everything");
        }
    }

    /// Sends a reply. Buffers that are done with go to `spare`.
    pub fn send(&mut self, net: &mut Net, id: ConnId, reply: Vec<u8>, spare: &mut Vec<Vec<u8>>) {
        if self.closing || reply.is_empty() {
            return;
        }
        self.waiting_bytes += reply.len();
        self.waiting.push_back(reply);
        self.pump(net, id, spare);
    }

    /// Encrypts as much of what waits as the engine should have.
    pub fn pump(&mut self, net: &mut Net, id: ConnId, spare: &mut Vec<Vec<u8>>) {
        while let Some(first) = self.waiting.front()
            && net.pending_bytes(id) < AHEAD
        {
            let piece = &first[self.at..first.len().min(self.at + PIECE)];
            let mut records = spare.pop().unwrap_or_default();
            records.reserve(piece.len() + (piece.len() / RECORD + 1) * RECORD_OVERHEAD);
            // It is less than what rustls buffers. What it still refuses, after a fatal alert say, nobody would get.
            if self.tls.writer().write_all(piece).is_err() {
                return self.abort(net, id);
            }
            self.at += piece.len();
            self.waiting_bytes -= piece.len();
            self.take_records(&mut records);
            net.send(id, records);
            if self.at == self.waiting[0].len() {
                self.at = 0;
                let done = self.waiting.pop_front().expect("it was looked at a moment ago");
                crate::reactor::keep_spare(spare, done);
            }
        }
        if self.closing && self.waiting.is_empty() {
            self.say_goodbye(net, id, Close::AfterSend);
        }
    }

    fn say_goodbye(&mut self, net: &mut Net, id: ConnId, how: Close) {
        self.tls.send_close_notify();
        self.flush(net, id);
        net.close(id, how);
    }

    /// Ends the connection after a fatal alert, which is on its way; nothing may follow it.
    pub fn abort(&mut self, net: &mut Net, id: ConnId) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.closing = true;
        net.close(id, Close::AfterAttempt);
    }

    /// Closes the connection.
    pub fn close(&mut self, net: &mut Net, id: ConnId, how: Close) {
        if how == Close::AfterSend && !self.waiting.is_empty() {
            // What is left of it is sent by `pump`.
            self.closing = true;
            return;
        }
        // A peer that is behind does not get the alert either; it would have to come after what is dropped.
        let reads_on = net.pending_bytes(id) == 0 && self.waiting.is_empty();
        match how {
            Close::AfterSend => self.say_goodbye(net, id, how),
            _ if reads_on && !self.tls.is_handshaking() => self.say_goodbye(net, id, Close::AfterAttempt),
            _ => net.close(id, how),
        }
        self.closing = true;
    }
}
