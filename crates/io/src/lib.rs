//! Sockets, event loops, clocks and process control of Kinovar.
//!
//! | module | what is in it |
//! |---|---|
//! | [`engine`] | the event loop of a reactor: io_uring or epoll behind one [`engine::Handler`] |
//! | [`net`] | listeners, socket options, addresses as text |
//! | [`allocator`] | control of the allocator |
//! | [`fiber`] | functions on a stack of their own, to be left and gone on with |
//! | [`clock`] | wall clock, cheap monotonic ticks |
//! | [`process`] | daemon, signals, title, affinity, usage, supervisors, syslog |
//!
//! This is one of the two crates with `unsafe` (the other is `ds`): every system call of the data
//! plane is wrapped here, in small modules with a safe surface. It knows nothing of the protocol.

pub mod allocator;
pub mod clock;
pub mod engine;
pub mod fiber;
pub mod net;
pub mod process;
mod sys;
