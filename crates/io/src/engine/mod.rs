//! The event loop of one reactor thread: sockets in, callbacks out, with two interchangeable back
//! ends.
//!
//! ```text
//!            +------------------------- Engine::turn -------------------------+
//!            |  flush: act on the dirty list        (sends, closes, re-arms)  |
//!            |  wait:  one system call, at most the time that the caller gave |
//!            |  deliver: turn_start; accepted / data / sent / closed / woken  |
//!            |  turn_end                                                      |
//!            +----------------------------------------------------------------+
//!   io_uring: flush fills the submission queue, wait submits and waits in one io_uring_enter
//!   epoll:    flush is one send() per dirty connection, wait is epoll_wait
//! ```
//!
//! Callbacks get the [`Net`], in which they may do anything (send, close, register, pause …): it only
//! takes notes, and the next flush acts on them. What was asked for in one turn, or between two, is
//! carried out at the start of the next; so a caller that will be busy for long after a turn calls
//! [`Engine::flush`] first.
//!
//! Guarantees to the handler:
//! - Every registered connection gets exactly one `closed`, whoever ended it, and nothing after it.
//! - No callback comes from inside a call to `Net`.
//! - No `data` while reading is paused or after `close`.
//! - Buffers of one connection are written in the order of `send`.

mod buffer_ring;
mod epoll;
mod listeners;
mod net;
mod uring;
mod waker;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

pub use net::{Close, ConnId, Net};
pub use waker::Waker;

use crate::sys;

/// What a reactor does with the events of its engine.
pub trait Handler {
    /// A connection came in on the listener with this token. [`Net::register`] it, hand it to
    /// another thread, or drop it.
    fn accepted(&mut self, net: &mut Net, listener: usize, socket: OwnedFd);

    /// Accepting failed for want of descriptors or memory; the engine tries again by itself after a
    /// short rest.
    fn accept_failed(&mut self, net: &mut Net, listener: usize, error: io::Error) {
        let _ = (net, listener, error);
    }

    /// The wait is over; what has happened is delivered next.
    fn turn_start(&mut self) {}

    /// A look at what a coming call of [`data`](Handler::data) brings, so that memory can start loading. Short input of
    /// several connections is shown before that of the first is delivered, by back ends that have it at hand.
    fn preview(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// The last preview was shown; the data comes next.
    fn previewed(&mut self) {}

    /// Bytes came in, at least one. They are only valid during the call.
    fn data(&mut self, net: &mut Net, conn: ConnId, bytes: &[u8]);

    /// A buffer was written whole and may be used again (its content is what was sent).
    fn sent(&mut self, net: &mut Net, conn: ConnId, buffer: Vec<u8>) {
        let _ = (net, conn, buffer);
    }

    /// The connection is over and the id stale. No error: the peer ended the stream, or the handler
    /// asked for it.
    fn closed(&mut self, net: &mut Net, conn: ConnId, error: Option<io::Error>);

    /// [`Waker::wake`] was called since the last time.
    fn woken(&mut self, net: &mut Net) {
        let _ = net;
    }

    /// All events of this turn were delivered.
    fn turn_end(&mut self, net: &mut Net) {
        let _ = net;
    }
}

/// Which back end to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineKind {
    /// io_uring where it works, else epoll.
    Auto,
    /// io_uring, or an error.
    IoUring,
    /// epoll.
    Epoll,
}

impl EngineKind {
    /// The name used in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Auto => "auto",
            EngineKind::IoUring => "io_uring",
            EngineKind::Epoll => "epoll",
        }
    }
}

/// One reactor's event loop. It may be created on any thread, but after its first
/// [`turn`](Engine::turn) it stays on the thread that called it.
pub struct Engine {
    net: Net,
    waker: Waker,
    // Dropped first where it matters: see `Drop`.
    backend: Backend,
}

enum Backend {
    Epoll(epoll::Epoll),
    Uring(Box<uring::Uring>),
}

impl Engine {
    /// Creates an engine. `Auto` falls back to epoll when [`io_uring_refusal`] has a reason.
    ///
    /// # Errors
    /// Out of descriptors or memory; or `IoUring` was asked for and does not work here.
    pub fn new(kind: EngineKind) -> io::Result<Engine> {
        match kind {
            EngineKind::Epoll => Engine::with_epoll(),
            EngineKind::IoUring => Engine::with_uring(),
            EngineKind::Auto if io_uring_refusal().is_some() => Engine::with_epoll(),
            // Between the probe and now a limit may have been reached.
            EngineKind::Auto => Engine::with_uring().or_else(|_| Engine::with_epoll()),
        }
    }

    fn with_epoll() -> io::Result<Engine> {
        let waker = Waker::new()?;
        let backend = Backend::Epoll(epoll::Epoll::new(&waker)?);
        Ok(Engine { net: Net::new(), waker, backend })
    }

    fn with_uring() -> io::Result<Engine> {
        let waker = Waker::new()?;
        let backend = Backend::Uring(Box::new(uring::Uring::new(&waker)?));
        Ok(Engine { net: Net::new(), waker, backend })
    }

    /// The back end in use: never `Auto`.
    pub fn kind(&self) -> EngineKind {
        match self.backend {
            Backend::Epoll(_) => EngineKind::Epoll,
            Backend::Uring(_) => EngineKind::IoUring,
        }
    }

    /// The connections, for use between turns.
    pub fn net(&mut self) -> &mut Net {
        &mut self.net
    }

    /// A handle with which other threads wake this reactor.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Carries out what was asked for, waits for events for at most `timeout` (`None`: until one
    /// comes), and delivers them. Returns early, and possibly without any event, on signals.
    ///
    /// # Errors
    /// Only what makes the loop itself unusable; trouble of one connection goes to `closed`.
    pub fn turn<H: Handler>(&mut self, timeout: Option<Duration>, handler: &mut H) -> io::Result<()> {
        let Engine { net, waker, backend } = self;
        match backend {
            Backend::Epoll(epoll) => turn(epoll, net, waker, timeout, handler),
            Backend::Uring(ring) => turn(&mut **ring, net, waker, timeout, handler),
        }
    }

    /// Carries out what was asked for without waiting or delivering data; `sent` and `closed` may be
    /// called. For a caller that will not turn for a while, or never again.
    ///
    /// # Errors
    /// As [`Engine::turn`].
    pub fn flush<H: Handler>(&mut self, handler: &mut H) -> io::Result<()> {
        let Engine { net, backend, .. } = self;
        match backend {
            Backend::Epoll(epoll) => epoll.flush(net, handler),
            Backend::Uring(ring) => {
                ring.flush(net, handler)?;
                ring.submit()
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Backend::Uring(ring) = &mut self.backend
            && !ring.quiesce()
        {
            // The kernel may still read from buffers and write into the ring's; their memory must
            // outlive it. This happens only when an engine is dropped on a foreign thread.
            self.net.leak_in_flight();
            ring.leak_buffers();
        }
    }
}

/// What a back end does in a turn, in this order.
trait Drive {
    fn flush<H: Handler>(&mut self, net: &mut Net, handler: &mut H) -> io::Result<()>;
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()>;
    fn deliver<H: Handler>(&mut self, net: &mut Net, handler: &mut H) -> io::Result<()>;
}

fn turn<D: Drive, H: Handler>(
    backend: &mut D,
    net: &mut Net,
    waker: &Waker,
    timeout: Option<Duration>,
    handler: &mut H,
) -> io::Result<()> {
    backend.flush(net, handler)?;
    let timeout = match (timeout, net.listeners.rest_left()) {
        (Some(asked), Some(rest)) => Some(asked.min(rest)),
        (asked, rest) => asked.or(rest),
    };
    let must_not_wait = net.is_busy() || timeout == Some(Duration::ZERO) || !waker.try_sleep();
    let waited = backend.wait(if must_not_wait { Some(Duration::ZERO) } else { timeout });
    // Awake again whatever the wait came to, or wakers would go on writing to the eventfd.
    let mut woken = waker.take();
    waited?;
    handler.turn_start();
    net.deliver_resumed(handler);
    backend.deliver(net, handler)?;
    woken |= waker.take();
    if woken {
        handler.woken(net);
    }
    handler.turn_end(net);
    Ok(())
}

/// Why io_uring cannot be used here, found out once by really moving bytes through a ring; `None` if
/// it works.
pub fn io_uring_refusal() -> Option<&'static str> {
    static REFUSAL: OnceLock<Option<String>> = OnceLock::new();
    REFUSAL.get_or_init(|| uring::probe().err()).as_deref()
}
