//! The connections of one reactor as its handler sees them: what to send, what to close.
//!
//! [`Net`] is plain bookkeeping and makes no system call. Whatever a handler asks for is recorded in
//! the connection's slot, the slot is put on the *dirty* list once, and the back end acts on that
//! list at its next flush. This is what lets a handler call `send` and `close` from inside its own
//! callbacks, and what batches all sends of a turn.
//!
//! Life of a slot:
//!
//! ```text
//!   Free -> Open -> Draining (close after send) -> Closed -> Free
//!              \        |                            ^
//!               +-------+-> Failed (end, error, -----+   `closed` is delivered on this step and
//!                                   close now)           the id becomes stale
//! ```
//!
//! `Closed` lasts as long as the kernel may still touch the slot's buffer (io_uring only).
//!
//! Invariant for the back ends: while `IN_FLIGHT` is set, `front` is neither moved out, freed nor
//! written to, because the kernel reads from it.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::Handler;
use super::listeners::Listeners;

/// Names one connection of one engine. Stale after `closed`: calls with it then do nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ConnId {
    index: u32,
    generation: u32,
}

impl ConnId {
    /// Position in the engine's table: small, dense, reused after the connection has ended.
    #[inline]
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// Both parts in one integer, for maps and messages.
    #[inline]
    pub fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The reverse of [`ConnId::to_bits`].
    #[inline]
    pub fn from_bits(bits: u64) -> ConnId {
        ConnId { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

/// When a close takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// After everything queued so far was written; incoming data is discarded meanwhile.
    AfterSend,
    /// At the next flush, after one attempt to write what is queued.
    AfterAttempt,
    /// At the next flush; what is still queued is dropped.
    Now,
}

/// Buffers up to this size are appended to one that waits already instead of queued behind it.
const COALESCE_BYTES: usize = 16 * 1024;

/// Generations stay below this bit, so that a back end can mark other events with it.
pub(super) const GENERATION_MASK: u32 = 0x7fff_ffff;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Free,
    Open,
    Draining,
    Failed,
    Closed,
}

/// Bits of [`Conn::flags`].
pub(super) mod flag {
    /// On the dirty list.
    pub const DIRTY: u16 = 1;
    /// The handler does not want data.
    pub const PAUSED: u16 = 1 << 1;
    /// The kernel holds a pointer into `front` (io_uring).
    pub const IN_FLIGHT: u16 = 1 << 2;
    /// A receive is armed (io_uring).
    pub const RECEIVING: u16 = 1 << 3;
    /// The armed receive is being cancelled (io_uring).
    pub const CANCELLING: u16 = 1 << 4;
    /// The socket's buffer is full (epoll).
    pub const BLOCKED: u16 = 1 << 5;
    /// The stream ended while data waits in `stash`; it fails once that is delivered.
    pub const ENDED: u16 = 1 << 6;
    /// One attempt to write what is queued is due before the close.
    pub const LAST_SEND: u16 = 1 << 7;
    /// The socket's blocking mode is as the back end needs it (io_uring).
    pub const PREPARED: u16 = 1 << 8;
}

pub(super) struct Conn {
    pub fd: Option<OwnedFd>,
    generation: u32,
    pub phase: Phase,
    flags: u16,
    /// Events that epoll watches for this connection now.
    pub watched: u32,
    /// The buffer being written, and how much of it is.
    pub front: Vec<u8>,
    pub sent: usize,
    /// Buffers behind it, and their bytes.
    queue: VecDeque<Vec<u8>>,
    queued_bytes: usize,
    /// Data that came in after the handler paused reading.
    stash: Vec<u8>,
    error: Option<io::Error>,
}

impl Conn {
    fn vacant() -> Conn {
        Conn {
            fd: None,
            generation: 0,
            phase: Phase::Free,
            flags: 0,
            watched: 0,
            front: Vec::new(),
            sent: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            stash: Vec::new(),
            error: None,
        }
    }

    #[inline]
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    #[inline]
    pub fn set(&mut self, flag: u16) {
        self.flags |= flag;
    }

    #[inline]
    pub fn clear(&mut self, flag: u16) {
        self.flags &= !flag;
    }

    /// The part of the front buffer that is still to be written.
    #[inline]
    pub fn unsent(&self) -> &[u8] {
        &self.front[self.sent..]
    }

    #[inline]
    pub fn pending_bytes(&self) -> usize {
        self.front.len() - self.sent + self.queued_bytes
    }

    /// Takes the front buffer, which is written whole, and moves the next one up.
    #[inline]
    pub fn advance(&mut self) -> Vec<u8> {
        debug_assert!(!self.has(flag::IN_FLIGHT) && self.sent == self.front.len());
        let next = self.queue.pop_front().unwrap_or_default();
        self.queued_bytes -= next.len();
        self.sent = 0;
        mem::replace(&mut self.front, next)
    }

    fn enqueue(&mut self, buffer: Vec<u8>) {
        if self.front.is_empty() {
            self.front = buffer;
            return;
        }
        let small = |waiting: &Vec<u8>| waiting.len() + buffer.len() <= COALESCE_BYTES;
        if self.queue.is_empty() && self.sent == 0 && !self.has(flag::IN_FLIGHT) && small(&self.front) {
            self.front.extend_from_slice(&buffer);
            return;
        }
        self.queued_bytes += buffer.len();
        match self.queue.back_mut() {
            Some(last) if small(last) => last.extend_from_slice(&buffer),
            _ => self.queue.push_back(buffer),
        }
    }
}

/// The connections and listeners of one engine. See the module text for how requests take effect.
pub struct Net {
    conns: Vec<Conn>,
    free: Vec<u32>,
    dirty: Vec<u32>,
    spare: Vec<u32>,
    resumed: Vec<u32>,
    open: usize,
    pub(super) listeners: Listeners,
}

impl Net {
    pub(super) fn new() -> Net {
        Net {
            conns: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            spare: Vec::new(),
            resumed: Vec::new(),
            open: 0,
            listeners: Listeners::default(),
        }
    }

    /// Takes over a connected stream socket. Its data is delivered from the next turn on; a socket
    /// that cannot be watched is reported by `closed`.
    pub fn register(&mut self, fd: OwnedFd) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.conns.push(Conn::vacant());
            u32::try_from(self.conns.len() - 1).expect("fewer connections than descriptors")
        });
        let conn = &mut self.conns[index as usize];
        debug_assert!(conn.phase == Phase::Free && conn.flags == 0 && conn.front.is_empty());
        conn.fd = Some(fd);
        conn.phase = Phase::Open;
        let generation = conn.generation;
        self.open += 1;
        self.mark_dirty(index);
        ConnId { index, generation }
    }

    /// Queues a buffer behind everything queued before. It comes back through `sent` once written
    /// whole, unless it was small enough to be appended to one that waited. Ignored when the
    /// connection is closing or gone, or the buffer is empty.
    #[inline]
    pub fn send(&mut self, id: ConnId, buffer: Vec<u8>) {
        if buffer.is_empty() {
            return;
        }
        if let Some(conn) = self.lookup(id).filter(|conn| conn.phase == Phase::Open) {
            conn.enqueue(buffer);
            self.mark_dirty(id.index);
        }
    }

    /// Bytes handed to `send` that the kernel has not taken yet; 0 for a stale id. O(1).
    #[inline]
    pub fn pending_bytes(&self, id: ConnId) -> usize {
        self.find(id).map_or(0, Conn::pending_bytes)
    }

    /// Whether the connection still takes sends: neither closing nor gone.
    #[inline]
    pub fn is_open(&self, id: ConnId) -> bool {
        self.find(id).is_some_and(|conn| conn.phase == Phase::Open)
    }

    /// The connection's socket, to read addresses or set options; none for a stale id.
    pub fn socket(&self, id: ConnId) -> Option<BorrowedFd<'_>> {
        self.find(id)?.fd.as_ref().map(AsFd::as_fd)
    }

    /// Number of connections that have not been reported `closed`.
    pub fn connection_count(&self) -> usize {
        self.open
    }

    /// No `data` (nor the end of the stream) is delivered until [`Net::resume_read`]. A paused peer
    /// that vanishes is noticed when a send to it fails, or on resuming.
    pub fn pause_read(&mut self, id: ConnId) {
        if let Some(conn) = self.lookup(id).filter(|conn| conn.phase == Phase::Open) {
            conn.set(flag::PAUSED);
            self.mark_dirty(id.index);
        }
    }

    /// Undoes [`Net::pause_read`].
    pub fn resume_read(&mut self, id: ConnId) {
        let Some(conn) = self.lookup(id).filter(|conn| conn.has(flag::PAUSED)) else { return };
        conn.clear(flag::PAUSED);
        if !conn.stash.is_empty() || conn.has(flag::ENDED) {
            self.resumed.push(id.index);
        }
        self.mark_dirty(id.index);
    }

    /// Ends a connection. `closed` follows in a later flush, never inside this call.
    pub fn close(&mut self, id: ConnId, when: Close) {
        let Some(conn) = self.lookup(id) else { return };
        match (when, conn.phase) {
            (Close::AfterSend, Phase::Open) => {
                conn.phase = Phase::Draining;
                conn.clear(flag::PAUSED);
            }
            (Close::AfterAttempt, Phase::Open | Phase::Draining) => {
                conn.phase = Phase::Failed;
                conn.set(flag::LAST_SEND);
            }
            (Close::Now, Phase::Open | Phase::Draining) => conn.phase = Phase::Failed,
            // Its end is on the way; a close at once only forgoes the last attempt to send.
            (Close::Now, _) => conn.clear(flag::LAST_SEND),
            _ => return,
        }
        self.mark_dirty(id.index);
    }

    /// Starts accepting from a listening socket; `token` comes back with each
    /// [`accepted`](Handler::accepted). The engine sets the blocking mode that it needs, so all
    /// engines that share a listener (`try_clone`) must be of one kind.
    pub fn listen(&mut self, listener: OwnedFd, token: usize) {
        self.listeners.add(listener, token);
    }

    /// Stops accepting from the listeners with this token and closes them.
    pub fn unlisten(&mut self, token: usize) {
        self.listeners.remove(token);
    }

    #[inline]
    fn lookup(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(id.index()).filter(|conn| conn.generation == id.generation)
    }

    #[inline]
    fn find(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(id.index()).filter(|conn| conn.generation == id.generation)
    }

    // ---- for the back ends -------------------------------------------------------------------

    #[inline]
    pub(super) fn conn(&mut self, index: u32) -> &mut Conn {
        &mut self.conns[index as usize]
    }

    #[inline]
    pub(super) fn id(&self, index: u32) -> ConnId {
        ConnId { index, generation: self.conns[index as usize].generation }
    }

    /// Whether an event that was asked for under this id is still about the same connection.
    #[inline]
    pub(super) fn is_current(&self, id: ConnId) -> bool {
        self.find(id).is_some()
    }

    #[inline]
    pub(super) fn mark_dirty(&mut self, index: u32) {
        let conn = &mut self.conns[index as usize];
        if !conn.has(flag::DIRTY) {
            conn.set(flag::DIRTY);
            self.dirty.push(index);
        }
    }

    /// Takes the dirty list; give its memory back with [`Net::dirty_done`].
    pub(super) fn take_dirty(&mut self) -> Vec<u32> {
        mem::replace(&mut self.dirty, mem::take(&mut self.spare))
    }

    pub(super) fn dirty_done(&mut self, mut list: Vec<u32>) {
        list.clear();
        self.spare = list;
    }

    /// Work is due at once, so the reactor must not wait.
    pub(super) fn is_busy(&self) -> bool {
        !self.dirty.is_empty() || !self.resumed.is_empty()
    }

    /// Hands received bytes to the handler, or keeps or drops them as the connection's state says.
    #[inline]
    pub(super) fn deliver<H: Handler>(&mut self, index: u32, bytes: &[u8], handler: &mut H) {
        let conn = &mut self.conns[index as usize];
        if conn.phase != Phase::Open {
            return;
        }
        if conn.has(flag::PAUSED) || !conn.stash.is_empty() {
            conn.stash.extend_from_slice(bytes);
            return;
        }
        let id = ConnId { index, generation: conn.generation };
        handler.data(self, id, bytes);
    }

    /// Delivers what came in while paused, for connections resumed since.
    pub(super) fn deliver_resumed<H: Handler>(&mut self, handler: &mut H) {
        if self.resumed.is_empty() {
            return;
        }
        for index in mem::take(&mut self.resumed) {
            let conn = &mut self.conns[index as usize];
            if conn.phase != Phase::Open || conn.has(flag::PAUSED) {
                continue;
            }
            let bytes = mem::take(&mut conn.stash);
            if !bytes.is_empty() {
                self.deliver(index, &bytes, handler);
            }
            let conn = &mut self.conns[index as usize];
            if conn.has(flag::ENDED) && !conn.has(flag::PAUSED) {
                let error = conn.error.take();
                self.ended(index, error);
            }
        }
    }

    /// The peer ended the stream (no error) or receiving failed. What is queued gets one more
    /// attempt: a peer that closed only its sending side still reads its replies.
    pub(super) fn ended(&mut self, index: u32, error: Option<io::Error>) {
        let conn = &mut self.conns[index as usize];
        if !matches!(conn.phase, Phase::Open | Phase::Draining) {
            return;
        }
        if conn.phase == Phase::Open && (conn.has(flag::PAUSED) || !conn.stash.is_empty()) {
            conn.set(flag::ENDED);
            conn.error = error;
            return;
        }
        if error.is_none() {
            conn.set(flag::LAST_SEND);
        }
        self.fail(index, error);
    }

    /// Ends the connection at the next flush.
    pub(super) fn fail(&mut self, index: u32, error: Option<io::Error>) {
        let conn = &mut self.conns[index as usize];
        if matches!(conn.phase, Phase::Open | Phase::Draining) {
            conn.phase = Phase::Failed;
            conn.error = error;
            self.mark_dirty(index);
        }
    }

    /// Closes the socket, makes the id stale and reports `closed`. The slot stays taken until
    /// [`Net::release`].
    pub(super) fn finish<H: Handler>(&mut self, index: u32, handler: &mut H) {
        let conn = &mut self.conns[index as usize];
        debug_assert!(matches!(conn.phase, Phase::Failed | Phase::Draining));
        let id = ConnId { index, generation: conn.generation };
        conn.phase = Phase::Closed;
        conn.generation = (conn.generation + 1) & GENERATION_MASK;
        conn.fd = None;
        conn.queue = VecDeque::new();
        conn.queued_bytes = 0;
        conn.stash = Vec::new();
        let error = conn.error.take();
        self.open -= 1;
        handler.closed(self, id, error);
    }

    /// Makes the slot of a finished connection available; the kernel must be done with it.
    pub(super) fn release(&mut self, index: u32) {
        let conn = &mut self.conns[index as usize];
        debug_assert!(conn.phase == Phase::Closed && !conn.has(flag::IN_FLIGHT | flag::RECEIVING));
        let generation = conn.generation;
        *conn = Conn { generation, ..Conn::vacant() };
        self.free.push(index);
    }

    /// Gives up the memory of all buffers that the kernel may still read, for an engine that could
    /// not stop its ring.
    pub(super) fn leak_in_flight(&mut self) {
        for conn in &mut self.conns {
            if conn.has(flag::IN_FLIGHT) {
                mem::forget(mem::take(&mut conn.front));
            }
        }
    }
}

/// What one attempt to write a connection's queue came to.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Written {
    All,
    Some,
    Failed,
}

/// Writes queued buffers straight to the socket until it is full, all is written, or as many buffers
/// are done as there were: a handler that answers each `sent` with a further `send` gets its next
/// chance in the next turn.
pub(super) fn write_queue<H: Handler>(net: &mut Net, index: u32, handler: &mut H) -> Written {
    let mut budget = 1 + net.conn(index).queue.len();
    loop {
        let conn = net.conn(index);
        if conn.front.is_empty() {
            return Written::All;
        }
        if budget == 0 {
            net.mark_dirty(index);
            return Written::Some;
        }
        let fd = conn.fd.as_ref().expect("a connection has its socket until it is finished");
        match super::sys::send(fd.as_fd(), conn.unsent()) {
            Ok(count) => {
                conn.sent += count;
                if conn.sent < conn.front.len() {
                    conn.set(flag::BLOCKED);
                    return Written::Some;
                }
            }
            Err(error) if super::sys::would_block(&error) => {
                conn.set(flag::BLOCKED);
                return Written::Some;
            }
            Err(error) => {
                net.fail(index, Some(error));
                return Written::Failed;
            }
        }
        let id = ConnId { index, generation: conn.generation };
        let buffer = conn.advance();
        budget -= 1;
        handler.sent(net, id, buffer);
    }
}
