//! Signals, without unsafe code for the caller.
//!
//! `SIGTERM` and `SIGINT` ask for a shutdown: the handler notes it and wakes a reactor, which calls
//! [`shutdown_request`] in its own time. A `SIGINT` while a request is pending means that somebody
//! insists: the process ends at once with status 1. `SIGPIPE` and `SIGHUP` are ignored.
//!
//! The handler uses atomics, `write`, `unlink` and `_exit` only, all async-signal-safe, and keeps
//! `errno`. What it points to is leaked on purpose: a handler may run until the process ends. Setting
//! it anew costs the old value's bytes, which happens a few times in a process's life.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};

use crate::engine::Waker;
use crate::sys::check;

/// The signal that asked for a shutdown, 0 for none.
static REQUESTED: AtomicI32 = AtomicI32::new(0);
static INSISTENCE: AtomicPtr<Insistence> = AtomicPtr::new(ptr::null_mut());
static WAKER: AtomicPtr<Waker> = AtomicPtr::new(ptr::null_mut());
static REMOVED_FILE: AtomicPtr<CString> = AtomicPtr::new(ptr::null_mut());

struct Insistence {
    message: String,
    log: File,
}

/// A shutdown that was asked for by a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShutdownSignal {
    /// `SIGTERM`.
    Terminate,
    /// `SIGINT`.
    Interrupt,
}

/// Installs the handlers. `insist_message` (a whole line) is written to `log` when a second `SIGINT`
/// ends the process. May be called again to change any of them.
///
/// # Errors
/// The kernel's.
pub fn install(waker: &Waker, insist_message: String, log: File) -> io::Result<()> {
    leak_into(&WAKER, waker.clone());
    leak_into(&INSISTENCE, Insistence { message: insist_message, log });
    set_action(libc::SIGPIPE, libc::SIG_IGN)?;
    set_action(libc::SIGHUP, libc::SIG_IGN)?;
    let handler = on_shutdown as extern "C" fn(libc::c_int) as libc::sighandler_t;
    set_action(libc::SIGTERM, handler)?;
    set_action(libc::SIGINT, handler)
}

/// The pending request, if any. It stays pending until [`clear_shutdown_request`].
pub fn shutdown_request() -> Option<ShutdownSignal> {
    match REQUESTED.load(Ordering::Acquire) {
        0 => None,
        libc::SIGINT => Some(ShutdownSignal::Interrupt),
        _ => Some(ShutdownSignal::Terminate),
    }
}

/// Forgets the request, after a shutdown that failed; the next signal asks again.
pub fn clear_shutdown_request() {
    REQUESTED.store(0, Ordering::Release);
}

/// Names a file (a snapshot being written) that an insisting `SIGINT` removes; `None` for none.
///
/// # Errors
/// `InvalidInput` for a path with a zero byte.
pub fn set_removed_on_insistence(path: Option<&Path>) -> io::Result<()> {
    match path {
        Some(path) => leak_into(&REMOVED_FILE, CString::new(path.as_os_str().as_bytes())?),
        None => REMOVED_FILE.store(ptr::null_mut(), Ordering::Release),
    }
    Ok(())
}

fn leak_into<T>(slot: &AtomicPtr<T>, value: T) {
    slot.store(Box::into_raw(Box::new(value)), Ordering::Release);
}

fn leaked<T>(slot: &AtomicPtr<T>) -> Option<&'static T> {
    // SAFETY: null, or a box leaked by `leak_into` and never freed or written to.
    unsafe { slot.load(Ordering::Acquire).as_ref() }
}

fn set_action(signal: i32, handler: libc::sighandler_t) -> io::Result<()> {
    // SAFETY: all zeroes is a valid action, with an empty mask.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is a live structure and the handler async-signal-safe.
    check(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) })?;
    Ok(())
}

extern "C" fn on_shutdown(signal: libc::c_int) {
    // SAFETY: the address of this thread's errno, which the interrupted code may be about to read.
    let errno = unsafe { &mut *libc::__errno_location() };
    let saved = *errno;
    if REQUESTED.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire).is_err() && signal == libc::SIGINT {
        exit_at_once();
    }
    if let Some(waker) = leaked(&WAKER) {
        waker.wake();
    }
    *errno = saved;
}

fn exit_at_once() -> ! {
    if let Some(Insistence { message, log }) = leaked(&INSISTENCE) {
        // SAFETY: a live string and an open file. A failure leaves nothing to be done.
        unsafe { libc::write(log.as_raw_fd(), message.as_ptr().cast(), message.len()) };
    }
    if let Some(path) = leaked(&REMOVED_FILE) {
        // SAFETY: a live C string.
        unsafe { libc::unlink(path.as_ptr()) };
    }
    // SAFETY: ends the process; takes no pointer.
    unsafe { libc::_exit(1) }
}
