//! The io_uring back end: multishot receives into shared buffers, batched sends, one system call per
//! turn.
//!
//! - Every connection has one armed multishot receive, so reading costs no submission at all. It ends
//!   when the buffers run out (`ENOBUFS`), at the end of the stream, and when the completion queue
//!   overflowed; the first and last only mean that it is armed again at the next flush.
//! - One send per connection is in flight; its buffer is the slot's `front`.
//! - `DEFER_TASKRUN` keeps the kernel's completion work inside our own `io_uring_enter` instead of
//!   interrupting the thread. It ties the ring to one thread, which is why the ring is created
//!   disabled and enabled by the first turn.
//! - Wake-ups are a multishot poll of the waker's eventfd; listeners have a multishot accept.
//!
//! The user data of a request is its kind (top byte) and the slot's index. No generation is needed:
//! a slot is not reused before all its requests have completed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};

use super::buffer_ring::BufferRing;
use super::listeners::{AcceptFailure, classify};
use super::net::{Net, Phase, flag, write_queue};
use super::{Drive, Handler, Waker, sys};

const SUBMISSIONS: u32 = 1024;
const COMPLETIONS: u32 = 8192;
/// Input of up to so many bytes is previewed; longer input brings work of its own to hide cache misses behind.
const PREVIEW_BYTES_MAX: i32 = 256;
/// Completions that are previewed together: their cache lines must not push each other out.
const PREVIEW_COMPLETIONS: usize = 32;
/// The most one send submits; the length field has 32 bits and the result 31.
const SEND_BYTES_MAX: usize = 1 << 30;

const KIND_SHIFT: u32 = 56;
const RECV: u64 = 1 << KIND_SHIFT;
const SEND: u64 = 2 << KIND_SHIFT;
const ACCEPT: u64 = 3 << KIND_SHIFT;
const WAKE: u64 = 4 << KIND_SHIFT;
const CANCEL: u64 = 5 << KIND_SHIFT;
const KIND: u64 = 0xff << KIND_SHIFT;

struct Completion {
    user_data: u64,
    result: i32,
    flags: u32,
}

pub(super) struct Uring {
    // Before the buffers: the ring is closed first.
    ring: IoUring,
    buffers: BufferRing,
    completions: Vec<Completion>,
    /// The kernel ran out of buffers in this turn.
    starved: bool,
    waker: Waker,
    wake_armed: bool,
    enabled: bool,
}

impl Uring {
    pub fn new(waker: &Waker) -> io::Result<Uring> {
        let ring = build_ring()?;
        if !ring.params().is_feature_ext_arg() || !ring.params().is_feature_nodrop() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "io_uring of this kernel is too old"));
        }
        let buffers = BufferRing::new()?;
        buffers.register(&ring.submitter())?;
        Ok(Uring {
            ring,
            buffers,
            completions: Vec::with_capacity(256),
            starved: false,
            waker: waker.clone(),
            wake_armed: false,
            enabled: false,
        })
    }

    /// Puts a request on the submission queue, making room with a system call if it is full.
    ///
    /// # Safety
    /// Memory that the entry points to must stay as it is until the request has completed.
    #[inline]
    unsafe fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: the caller's promise is the one that `push` asks for.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.submit()?;
        }
    }

    /// Submits without waiting.
    pub fn submit(&mut self) -> io::Result<()> {
        self.enable()?;
        loop {
            match self.ring.submit() {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The completion queue is full: collect what is there, which makes room.
                Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                    self.collect();
                    self.enter(0)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn enable(&mut self) -> io::Result<()> {
        if !self.enabled {
            self.ring.submitter().register_enable_rings()?;
            self.enabled = true;
        }
        Ok(())
    }

    fn cancel(&mut self, user_data: u64) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(user_data).build().user_data(CANCEL);
        // SAFETY: the entry points to no memory.
        unsafe { self.push(&entry) }
    }

    fn flush_conn<H: Handler>(&mut self, net: &mut Net, index: u32, handler: &mut H) -> io::Result<()> {
        let conn = net.conn(index);
        conn.clear(flag::DIRTY);
        match conn.phase {
            Phase::Failed => {
                if conn.has(flag::LAST_SEND) && !conn.has(flag::IN_FLIGHT) {
                    write_queue(net, index, handler);
                }
                self.finish(net, index, handler)
            }
            Phase::Draining if conn.front.is_empty() => self.finish(net, index, handler),
            Phase::Open | Phase::Draining => {
                self.start_send(net, index)?;
                self.adjust_receive(net, index)
            }
            Phase::Free | Phase::Closed => Ok(()),
        }
    }

    fn start_send(&mut self, net: &mut Net, index: u32) -> io::Result<()> {
        let conn = net.conn(index);
        if conn.front.is_empty() || conn.has(flag::IN_FLIGHT) {
            return Ok(());
        }
        let fd = Fd(conn.fd.as_ref().expect("an open connection has its socket").as_raw_fd());
        let unsent = conn.unsent();
        let len = unsent.len().min(SEND_BYTES_MAX) as u32;
        let entry = opcode::Send::new(fd, unsent.as_ptr(), len)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data(SEND | u64::from(index));
        // SAFETY: IN_FLIGHT, set next, protects `front` until the completion (invariant of `net`).
        unsafe { self.push(&entry)? };
        net.conn(index).set(flag::IN_FLIGHT);
        Ok(())
    }

    /// Arms the receive, or cancels it for a paused connection.
    fn adjust_receive(&mut self, net: &mut Net, index: u32) -> io::Result<()> {
        let conn = net.conn(index);
        let armed = conn.has(flag::RECEIVING);
        let wanted = !conn.has(flag::PAUSED | flag::ENDED);
        if wanted && !armed {
            let fd = conn.fd.as_ref().expect("an open connection has its socket");
            if !conn.has(flag::PREPARED) {
                // A request on a non-blocking socket would fail instead of waiting.
                if let Err(error) = sys::set_nonblocking(fd.as_fd(), false) {
                    net.fail(index, Some(error));
                    return Ok(());
                }
            }
            let entry = opcode::RecvMulti::new(Fd(fd.as_raw_fd()), BufferRing::GROUP)
                .build()
                .user_data(RECV | u64::from(index));
            let conn = net.conn(index);
            conn.set(flag::RECEIVING | flag::PREPARED);
            // SAFETY: it receives into the buffer ring, which outlives the ring's requests.
            unsafe { self.push(&entry)? };
        } else if !wanted && armed && !conn.has(flag::CANCELLING) {
            conn.set(flag::CANCELLING);
            self.cancel(RECV | u64::from(index))?;
        }
        Ok(())
    }

    fn finish<H: Handler>(&mut self, net: &mut Net, index: u32, handler: &mut H) -> io::Result<()> {
        let conn = net.conn(index);
        let (receiving, in_flight) = (conn.has(flag::RECEIVING), conn.has(flag::IN_FLIGHT));
        let cancelling = conn.has(flag::CANCELLING);
        // The requests hold the socket, so it closes for the peer once they are cancelled: with the
        // next system call, which is this turn's.
        if receiving && !cancelling {
            self.cancel(RECV | u64::from(index))?;
        }
        if in_flight {
            self.cancel(SEND | u64::from(index))?;
        }
        net.finish(index, handler);
        if !receiving && !in_flight {
            net.release(index);
        }
        Ok(())
    }

    fn flush_listeners(&mut self, net: &mut Net) -> io::Result<()> {
        net.listeners.changed = false;
        for slot in 0..net.listeners.slots.len() {
            let Some(listener) = &mut net.listeners.slots[slot] else { continue };
            if listener.removing {
                if listener.armed {
                    self.cancel(ACCEPT | slot as u64)?;
                } else {
                    net.listeners.slots[slot] = None;
                }
            } else if !listener.armed && listener.retry_at.is_none() {
                sys::set_nonblocking(listener.fd.as_fd(), false)?;
                listener.armed = true;
                let entry = opcode::AcceptMulti::new(Fd(listener.fd.as_raw_fd()))
                    .flags(libc::SOCK_CLOEXEC)
                    .build()
                    .user_data(ACCEPT | slot as u64);
                // SAFETY: the entry points to no memory (no peer address is asked for).
                unsafe { self.push(&entry)? };
            }
        }
        Ok(())
    }

    fn arm_wake(&mut self) -> io::Result<()> {
        if !self.wake_armed {
            self.wake_armed = true;
            let fd = Fd(self.waker.eventfd().as_raw_fd());
            let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(true).build().user_data(WAKE);
            // SAFETY: the entry points to no memory.
            unsafe { self.push(&entry)? };
        }
        Ok(())
    }

    /// Submits and runs the kernel's deferred work, without waiting if `want` is 0.
    fn enter(&mut self, want: u32) -> io::Result<usize> {
        let queued = self.ring.submission().len() as u32;
        // SAFETY: no argument structure is passed.
        unsafe { self.ring.submitter().enter::<libc::sigset_t>(queued, want, EnterFlags::GETEVENTS.bits(), None) }
    }

    fn collect(&mut self) {
        self.completions.extend(self.ring.completion().map(|entry| Completion {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }

    fn preview<H: Handler>(&self, group: &[Completion], handler: &mut H) {
        let is_short = |completion: &&Completion| {
            completion.user_data & KIND == RECV && (1..=PREVIEW_BYTES_MAX).contains(&completion.result)
        };
        if group.iter().filter(is_short).nth(1).is_none() {
            return; // Nothing to overlap with.
        }
        for completion in group.iter().filter(is_short) {
            if let Some(buffer) = cqueue::buffer_select(completion.flags) {
                // SAFETY: this completion hands us the buffer with that many bytes; it is recycled when it is delivered.
                handler.preview(unsafe { self.buffers.bytes(buffer, completion.result as usize) });
            }
        }
        handler.previewed();
    }

    fn received<H: Handler>(&mut self, net: &mut Net, completion: &Completion, handler: &mut H) {
        let index = completion.user_data as u32;
        if !cqueue::more(completion.flags) {
            net.conn(index).clear(flag::RECEIVING | flag::CANCELLING);
        }
        if let Some(buffer) = cqueue::buffer_select(completion.flags) {
            if completion.result > 0 {
                // SAFETY: this completion hands us the buffer with that many bytes; it is recycled
                // below, and only there.
                let bytes = unsafe { self.buffers.bytes(buffer, completion.result as usize) };
                net.deliver(index, bytes, handler);
            }
            self.buffers.recycle(buffer);
        }
        match -completion.result {
            0 => net.ended(index, None),
            // The receive is armed again at the flush, like after the other codes here.
            libc::ENOBUFS => self.starved = true,
            ..0 | libc::ECANCELED | libc::EAGAIN | libc::EINTR => {}
            code => net.ended(index, Some(io::Error::from_raw_os_error(code))),
        }
        if !cqueue::more(completion.flags) {
            settle(net, index);
        }
    }

    fn wrote<H: Handler>(net: &mut Net, completion: &Completion, handler: &mut H) {
        let index = completion.user_data as u32;
        let conn = net.conn(index);
        conn.clear(flag::IN_FLIGHT);
        if conn.phase != Phase::Closed {
            match completion.result {
                count @ 0.. => {
                    conn.sent += count as usize;
                    if conn.sent == conn.front.len() {
                        let buffer = conn.advance();
                        let idle = conn.front.is_empty() && conn.phase == Phase::Open;
                        let id = net.id(index);
                        handler.sent(net, id, buffer);
                        if idle {
                            return; // Nothing to do at the flush, unless `sent` asked for it.
                        }
                    }
                }
                code if matches!(-code, libc::EINTR | libc::EAGAIN) => {}
                code => net.fail(index, Some(io::Error::from_raw_os_error(-code))),
            }
        }
        settle(net, index);
    }

    fn accepted<H: Handler>(net: &mut Net, completion: &Completion, handler: &mut H) {
        let slot = completion.user_data as u32 as usize;
        // SAFETY: a non-negative result of an accept is a descriptor made for us.
        let socket = (completion.result >= 0).then(|| unsafe { sys::own(completion.result) });
        let Some(listener) = net.listeners.slots.get_mut(slot).and_then(Option::as_mut) else { return };
        if !cqueue::more(completion.flags) {
            listener.armed = false;
            net.listeners.changed = true;
        }
        // A connection accepted by a listener that is being removed is closed by dropping it.
        let Some(listener) = net.listeners.active(slot) else { return };
        let token = listener.token;
        match socket {
            Some(socket) => handler.accepted(net, token, socket),
            None => {
                let error = io::Error::from_raw_os_error(-completion.result);
                if let AcceptFailure::Resources = classify(&error) {
                    net.listeners.back_off(slot);
                    handler.accept_failed(net, token, error);
                }
            }
        }
    }

    /// Ends all requests, so that no memory of ours is used any more. False if that cannot be had.
    pub fn quiesce(&mut self) -> bool {
        if !self.enabled {
            return true; // Nothing was ever submitted.
        }
        let limit = Timespec::new().sec(1);
        match self.ring.submitter().register_sync_cancel(Some(limit), CancelBuilder::any().all()) {
            Ok(()) => true,
            Err(error) => error.raw_os_error() == Some(libc::ENOENT),
        }
    }

    pub fn leak_buffers(&mut self) {
        self.buffers.leak();
    }
}

/// After a request of the slot has completed: frees it if that was the last one of a closed
/// connection, else has the flush look at it.
fn settle(net: &mut Net, index: u32) {
    let conn = net.conn(index);
    if conn.phase != Phase::Closed {
        net.mark_dirty(index);
    } else if !conn.has(flag::RECEIVING) && !conn.has(flag::IN_FLIGHT) {
        net.release(index);
    }
}

impl Drive for Uring {
    fn flush<H: Handler>(&mut self, net: &mut Net, handler: &mut H) -> io::Result<()> {
        self.arm_wake()?;
        if net.listeners.is_due() {
            self.flush_listeners(net)?;
        }
        let dirty = net.take_dirty();
        for &index in &dirty {
            self.flush_conn(net, index, handler)?;
        }
        net.dirty_done(dirty);
        Ok(())
    }

    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.enable()?;
        // The flush had to make room and already collected some: they must not wait.
        let timeout = if self.completions.is_empty() { timeout } else { Some(Duration::ZERO) };
        let result = match timeout {
            None => self.enter(1),
            Some(Duration::ZERO) => self.enter(0),
            Some(time) => {
                let time = Timespec::from(time);
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&time))
            }
        };
        if let Err(error) = result
            && !matches!(error.raw_os_error(), Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN))
        {
            return Err(error);
        }
        self.collect();
        Ok(())
    }

    fn deliver<H: Handler>(&mut self, net: &mut Net, handler: &mut H) -> io::Result<()> {
        let mut completions = std::mem::take(&mut self.completions);
        for group in completions.chunks(PREVIEW_COMPLETIONS) {
            self.preview(group, handler);
            for completion in group {
                match completion.user_data & KIND {
                    RECV => self.received(net, completion, handler),
                    SEND => Uring::wrote(net, completion, handler),
                    ACCEPT => Uring::accepted(net, completion, handler),
                    WAKE => self.wake_armed = cqueue::more(completion.flags),
                    _ => {}
                }
            }
        }
        completions.clear();
        self.completions = completions;
        // Once a turn, however many connections went without.
        if std::mem::take(&mut self.starved) {
            self.buffers.grow();
        }
        self.buffers.publish();
        Ok(())
    }
}

/// Builds the ring, disabled, with the best set of flags that the kernel has.
fn build_ring() -> io::Result<IoUring> {
    let mut best = IoUring::builder();
    best.setup_single_issuer().setup_defer_taskrun();
    let mut plain = IoUring::builder();
    plain.setup_coop_taskrun();
    let mut result = Err(io::Error::from(io::ErrorKind::Unsupported));
    for mut builder in [best, plain] {
        builder.setup_cqsize(COMPLETIONS).setup_submit_all().setup_r_disabled().dontfork();
        result = builder.build(SUBMISSIONS);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Moves bytes through a throwaway engine: the answer to whether io_uring works here.
pub(super) fn probe() -> Result<(), String> {
    probe_steps().map_err(|(step, error)| format!("{step}: {error}"))
}

fn probe_steps() -> Result<(), (&'static str, io::Error)> {
    let step = |name: &'static str| move |error| (name, error);
    let mut engine = super::Engine::with_uring().map_err(step("io_uring_setup"))?;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(step("socketpair"))?;
    let message = b"probe";
    sys::send(theirs.as_fd(), message).map_err(step("send"))?;
    let mut echo = Echo { answered: false };
    engine.net().register(ours.into());
    for _ in 0..4 {
        engine.turn(Some(Duration::from_millis(250)), &mut echo).map_err(step("io_uring_enter"))?;
        if echo.answered {
            break;
        }
    }
    check_answer(theirs.as_fd(), message).map_err(step("io_uring receive and send"))
}

fn check_answer(peer: BorrowedFd<'_>, message: &[u8]) -> io::Result<()> {
    let mut answer = [0; 16];
    let count = sys::recv(peer, &mut answer)?;
    if &answer[..count] == message { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

struct Echo {
    answered: bool,
}

impl Handler for Echo {
    fn accepted(&mut self, _: &mut Net, _: usize, _: std::os::fd::OwnedFd) {}

    fn data(&mut self, net: &mut Net, conn: super::ConnId, bytes: &[u8]) {
        net.send(conn, bytes.to_vec());
    }

    fn sent(&mut self, _: &mut Net, _: super::ConnId, _: Vec<u8>) {
        self.answered = true;
    }

    fn closed(&mut self, _: &mut Net, _: super::ConnId, _: Option<io::Error>) {
        self.answered = true;
    }
}
