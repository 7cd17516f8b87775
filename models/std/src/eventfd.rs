//! Event descriptors that are watched edge-triggered: each write is an edge, and a wait ends with the next one.

use std::sync::Arc;
use std::sync::Mutex as Plain;

use loom::sync::{Condvar, Mutex};

/// As in `libc`.
pub const EFD_CLOEXEC: i32 = 1;
/// As in `libc`.
pub const EFD_NONBLOCK: i32 = 2;

#[derive(Default)]
struct EventFd {
    edge: Mutex<bool>,
    changed: Condvar,
}

loom::lazy_static! {
    /// Those of one execution, by number. The plain mutex is never held where threads switch.
    static ref ALL: Plain<Vec<Arc<EventFd>>> = Plain::new(Vec::new());
}

fn find(fd: i32) -> Arc<EventFd> {
    ALL.lock().expect("not poisoned")[fd as usize].clone()
}

/// A new one.
///
/// # Safety
/// Always safe; the signature is that of `libc`.
pub unsafe fn eventfd(_count: u32, _flags: i32) -> i32 {
    let new = Arc::new(EventFd { edge: Mutex::new(false), changed: Condvar::new() });
    let mut all = ALL.lock().expect("not poisoned");
    all.push(new);
    all.len() as i32 - 1
}

/// Makes an edge.
///
/// # Safety
/// Always safe: the bytes are not looked at. The signature is that of `libc`.
pub unsafe fn write(fd: i32, _bytes: *const u8, count: usize) -> isize {
    let fd = find(fd);
    *fd.edge.lock().expect("not poisoned") = true;
    fd.changed.notify_one();
    count as isize
}

/// Takes the edge, if there is one; with `block` not before there is one. That it never comes is a deadlock, which loom finds.
pub fn wait(fd: i32, block: bool) {
    let fd = find(fd);
    let mut edge = fd.edge.lock().expect("not poisoned");
    while block && !*edge {
        edge = fd.changed.wait(edge).expect("not poisoned");
    }
    *edge = false;
}
