//! The epoll back end: level-triggered, one receive and one send per ready connection and turn.
//!
//! All connections share one read buffer. A connection whose data filled it is simply reported again
//! in the next turn, after the others had theirs. Sends go straight to the socket at the flush;
//! writability is watched only after a short write. A connection that is paused and has nothing to
//! write is taken out of the set, so that a hang-up of its peer does not wake the loop for nothing.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use super::listeners::{AcceptFailure, classify};
use super::net::{ConnId, GENERATION_MASK, Net, Phase, Written, flag, write_queue};
use super::{Drive, Handler, Waker, sys};

const EVENTS_PER_TURN: usize = 1024;
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Connections taken from one listener in one turn, so that a storm does not starve the others.
const ACCEPTS_PER_TURN: usize = 256;

/// What an event is about, when not a connection (whose generation leaves the top bit clear).
const LISTENER: u64 = 1 << 63;
const WAKE: u64 = u64::MAX;
const _: () = assert!(GENERATION_MASK >> 31 == 0);

pub(super) struct Epoll {
    set: OwnedFd,
    events: Vec<libc::epoll_event>,
    buffer: Box<[u8]>,
}

impl Epoll {
    pub fn new(waker: &Waker) -> io::Result<Epoll> {
        // SAFETY: no pointers; the call creates a descriptor or fails.
        let fd = sys::check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just made this descriptor for us.
        let set = unsafe { sys::own(fd) };
        let epoll = Epoll {
            set,
            events: Vec::with_capacity(EVENTS_PER_TURN),
            buffer: vec![0; READ_BUFFER_BYTES].into_boxed_slice(),
        };
        let edge = (libc::EPOLLIN | libc::EPOLLET) as u32;
        epoll.control(libc::EPOLL_CTL_ADD, waker.eventfd().as_raw_fd(), edge, WAKE)?;
        Ok(epoll)
    }

    fn control(&self, operation: i32, fd: i32, events: u32, data: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: data };
        // SAFETY: `event` lives through the call; the kernel copies it.
        sys::check(unsafe { libc::epoll_ctl(self.set.as_raw_fd(), operation, fd, &mut event) })?;
        Ok(())
    }

    fn flush_conn<H: Handler>(&self, net: &mut Net, index: u32, handler: &mut H) {
        let conn = net.conn(index);
        conn.clear(flag::DIRTY);
        if conn.phase == Phase::Failed {
            if conn.has(flag::LAST_SEND) {
                write_queue(net, index, handler);
            }
            return self.finish(net, index, handler);
        }
        if !conn.front.is_empty() && !conn.has(flag::BLOCKED) {
            // A failure has put the connection on the dirty list again.
            if write_queue(net, index, handler) == Written::Failed {
                return;
            }
        }
        let conn = net.conn(index);
        match conn.phase {
            Phase::Draining if conn.front.is_empty() => self.finish(net, index, handler),
            Phase::Open | Phase::Draining => {
                if let Err(error) = self.watch(net, index) {
                    net.fail(index, Some(error));
                }
            }
            _ => {}
        }
    }

    /// Brings what epoll watches for a connection in line with what it needs.
    fn watch(&self, net: &mut Net, index: u32) -> io::Result<()> {
        let id = net.id(index);
        let conn = net.conn(index);
        let mut wanted = 0;
        if !conn.has(flag::PAUSED) {
            wanted |= libc::EPOLLIN as u32;
        }
        if conn.has(flag::BLOCKED) {
            wanted |= libc::EPOLLOUT as u32;
        }
        if wanted == conn.watched {
            return Ok(());
        }
        let operation = match (conn.watched, wanted) {
            (0, _) => libc::EPOLL_CTL_ADD,
            (_, 0) => libc::EPOLL_CTL_DEL,
            _ => libc::EPOLL_CTL_MOD,
        };
        let fd = conn.fd.as_ref().expect("an open connection has its socket").as_raw_fd();
        self.control(operation, fd, wanted, id.to_bits())?;
        net.conn(index).watched = wanted;
        Ok(())
    }

    fn finish<H: Handler>(&self, net: &mut Net, index: u32, handler: &mut H) {
        let conn = net.conn(index);
        if conn.watched != 0
            && let Some(fd) = &conn.fd
        {
            // Closing would do, were it not for duplicates that a caller may have made.
            let _ = self.control(libc::EPOLL_CTL_DEL, fd.as_raw_fd(), 0, 0);
        }
        net.finish(index, handler);
        net.release(index);
    }

    fn flush_listeners<H: Handler>(&self, net: &mut Net, handler: &mut H) {
        net.listeners.changed = false;
        for slot in 0..net.listeners.slots.len() {
            let Some(listener) = &mut net.listeners.slots[slot] else { continue };
            let fd = listener.fd.as_raw_fd();
            let wanted = !listener.removing && listener.retry_at.is_none();
            let result = match (listener.armed, wanted) {
                (false, true) => {
                    let exclusive = (libc::EPOLLIN | libc::EPOLLEXCLUSIVE) as u32;
                    sys::set_nonblocking(listener.fd.as_fd(), true)
                        .and_then(|()| self.control(libc::EPOLL_CTL_ADD, fd, exclusive, LISTENER | slot as u64))
                }
                (true, false) => self.control(libc::EPOLL_CTL_DEL, fd, 0, 0),
                _ => Ok(()),
            };
            let token = listener.token;
            if listener.removing {
                net.listeners.slots[slot] = None;
            } else if let Err(error) = result {
                net.listeners.back_off(slot);
                handler.accept_failed(net, token, error);
            } else {
                listener.armed = wanted;
            }
        }
    }

    fn accept<H: Handler>(net: &mut Net, slot: usize, handler: &mut H) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = net.listeners.active(slot) else { return };
            let token = listener.token;
            match sys::accept(listener.fd.as_fd()) {
                Ok(socket) => handler.accepted(net, token, socket),
                Err(error) if sys::would_block(&error) => return,
                Err(error) => {
                    if let AcceptFailure::Resources = classify(&error) {
                        net.listeners.back_off(slot);
                        return handler.accept_failed(net, token, error);
                    }
                }
            }
        }
    }

    fn ready<H: Handler>(&mut self, net: &mut Net, index: u32, events: u32, handler: &mut H) {
        let conn = net.conn(index);
        if conn.has(flag::BLOCKED) && events & !(libc::EPOLLIN as u32) != 0 {
            // Writable, or broken: the flush tries and finds out.
            conn.clear(flag::BLOCKED);
            net.mark_dirty(index);
        }
        let conn = net.conn(index);
        if conn.has(flag::PAUSED) || events & !(libc::EPOLLOUT as u32) == 0 {
            return;
        }
        let Some(fd) = &conn.fd else { return };
        match sys::recv(fd.as_fd(), &mut self.buffer) {
            Ok(0) => net.ended(index, None),
            Ok(count) => net.deliver(index, &self.buffer[..count], handler),
            Err(error) if sys::would_block(&error) => {}
            Err(error) => net.ended(index, Some(error)),
        }
    }
}

impl Drive for Epoll {
    fn flush<H: Handler>(&mut self, net: &mut Net, handler: &mut H) -> io::Result<()> {
        if net.listeners.is_due() {
            self.flush_listeners(net, handler);
        }
        let dirty = net.take_dirty();
        for &index in &dirty {
            self.flush_conn(net, index, handler);
        }
        net.dirty_done(dirty);
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.events.clear();
        // Rounded up: waking too early would turn the rest of the wait into a spin.
        let ms = timeout.map_or(-1, |time| i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
        // SAFETY: the vector has room for EVENTS_PER_TURN events.
        let result = sys::check(unsafe {
            libc::epoll_wait(self.set.as_raw_fd(), self.events.as_mut_ptr(), EVENTS_PER_TURN as i32, ms)
        });
        match result {
            // SAFETY: the kernel has filled in that many, at most EVENTS_PER_TURN.
            Ok(count) => unsafe { self.events.set_len(count as usize) },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn deliver<H: Handler>(&mut self, net: &mut Net, handler: &mut H) -> io::Result<()> {
        for position in 0..self.events.len() {
            let libc::epoll_event { events, u64: data } = self.events[position];
            let id = ConnId::from_bits(data);
            if data == WAKE {
                continue;
            } else if data & LISTENER != 0 {
                Epoll::accept(net, (data ^ LISTENER) as usize, handler);
            } else if net.is_current(id) {
                self.ready(net, id.index() as u32, events, handler);
            }
        }
        Ok(())
    }
}
