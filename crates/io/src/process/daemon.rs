//! Going into the background.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;

use super::require_single_thread;
use crate::sys::check;

/// Detaches from the terminal: the calling process exits with status 0 and a grandchild, in a session
/// of its own that it does not lead, returns from this with its standard streams on `/dev/null`. The
/// working directory and umask stay as they are.
///
/// # Errors
/// If the process already has more than one thread (only the calling one would survive); the
/// kernel's.
pub fn daemonize() -> io::Result<()> {
    require_single_thread()?;
    fork_and_exit_parent()?;
    // SAFETY: no pointers.
    check(unsafe { libc::setsid() })?;
    // A second time, so that no terminal opened later becomes ours.
    fork_and_exit_parent()?;
    detach_streams()
}

fn fork_and_exit_parent() -> io::Result<()> {
    // SAFETY: there is one thread, so the child's memory is as consistent as ours.
    if check(unsafe { libc::fork() })? != 0 {
        // SAFETY: no pointers. Not `exit`: handlers and buffers belong to the child now.
        unsafe { libc::_exit(0) };
    }
    Ok(())
}

fn detach_streams() -> io::Result<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for stream in 0..=2 {
        // SAFETY: no pointers; the standard streams are everybody's to redirect.
        check(unsafe { libc::dup2(null.as_raw_fd(), stream) })?;
    }
    Ok(())
}
