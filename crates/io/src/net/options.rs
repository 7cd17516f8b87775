//! Options of connected sockets, and the process's limit of descriptors.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::sys::check;

pub(super) fn set_int(fd: BorrowedFd<'_>, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer and size describe a live integer.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const value).cast(), size_of::<i32>() as libc::socklen_t)
    })?;
    Ok(())
}

/// Turns Nagle's algorithm off (or on). On a listener, its connections inherit it.
///
/// # Errors
/// The kernel's; `EOPNOTSUPP` for a Unix socket.
pub fn set_nodelay(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    set_int(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, i32::from(on))
}

/// Turns keep-alive probes on: the first after `interval_s` seconds of silence, then three at a third
/// of that (at least a second), so that a dead peer is noticed after about twice the interval. 0 does
/// nothing.
///
/// # Errors
/// The kernel's.
pub fn set_keepalive(fd: BorrowedFd<'_>, interval_s: u32) -> io::Result<()> {
    if interval_s == 0 {
        return Ok(());
    }
    let seconds = i32::try_from(interval_s).unwrap_or(i32::MAX);
    set_int(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set_int(fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, seconds)?;
    set_int(fd, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, (seconds / 3).max(1))?;
    set_int(fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3)
}

/// Sets the firewall mark of a socket's packets (`socket-mark-id`); 0 does nothing.
///
/// # Errors
/// The kernel's; `EPERM` without `CAP_NET_ADMIN`.
pub fn set_mark(fd: BorrowedFd<'_>, mark: u32) -> io::Result<()> {
    if mark == 0 {
        return Ok(());
    }
    set_int(fd, libc::SOL_SOCKET, libc::SO_MARK, mark.cast_signed())
}

/// Takes a socket's pending error (`SO_ERROR`).
///
/// # Errors
/// The kernel's, for asking.
pub fn socket_error(fd: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    let mut code: i32 = 0;
    let mut size = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the pointers are to a live integer and its size.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut code).cast(), &raw mut size)
    })?;
    Ok((code != 0).then(|| io::Error::from_raw_os_error(code)))
}

/// What came of asking for more descriptors.
#[derive(Debug)]
pub struct OpenFiles {
    /// The soft limit found.
    pub before: u64,
    /// The soft limit now in force, at least `before`.
    pub now: u64,
    /// Why it is less than what was asked for, if it is.
    pub refusal: Option<io::Error>,
}

/// Raises the soft limit of open files to `wanted`, the hard one too where that is allowed, or as
/// near to it as the system lets.
///
/// # Errors
/// The kernel's, for reading the limit.
pub fn raise_open_files(wanted: u64) -> io::Result<OpenFiles> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live structure.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    let before = limit.rlim_cur;
    if before >= wanted {
        return Ok(OpenFiles { before, now: before, refusal: None });
    }
    match set_open_files(wanted, limit.rlim_max.max(wanted)) {
        Ok(()) => Ok(OpenFiles { before, now: wanted, refusal: None }),
        Err(error) => {
            // The hard limit is out of reach, so it is the most that can be had.
            let most = limit.rlim_max.min(wanted);
            let now = if set_open_files(most, limit.rlim_max).is_ok() { most.max(before) } else { before };
            let refusal = (now < wanted).then_some(error);
            Ok(OpenFiles { before, now, refusal })
        }
    }
}

fn set_open_files(soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the pointer is to a live structure.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(())
}
