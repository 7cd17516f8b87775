//! The few system calls that std does not offer: file limits, CPU affinity and epoll. The only unsafe code of the tools.
#![allow(unsafe_code, reason = "system calls; see above")]

use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use anyhow::{Context, Result};

/// Raises the limit on open files to what is permitted and returns it.
pub fn raise_file_limit() -> Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit of this frame.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(Error::last_os_error()).context("getrlimit");
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above; the call only reads it.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        return Err(Error::last_os_error()).context("setrlimit");
    }
    Ok(limit.rlim_cur)
}

/// Pins a thread (0: the calling one) to one CPU.
pub fn pin(tid: i32, cpu: usize) -> Result<()> {
    // SAFETY: a cpu_set_t is a plain bit field for which all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: CPU_SET checks the index against the size of the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the pointer and the size describe the set above.
    let rc = unsafe { libc::sched_setaffinity(tid, size_of::<libc::cpu_set_t>(), &set) };
    if rc == 0 { Ok(()) } else { Err(Error::last_os_error()).with_context(|| format!("pin to cpu {cpu}")) }
}

/// Lets the calling thread run on all CPUs again.
pub fn unpin(cpus: usize) -> Result<()> {
    // SAFETY: as in `pin`.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in 0..cpus {
        // SAFETY: as in `pin`.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: as in `pin`.
    let rc = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    if rc == 0 { Ok(()) } else { Err(Error::last_os_error()).context("unpin") }
}

/// An epoll instance that watches descriptors for input.
pub struct Poll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poll {
    /// A new instance.
    pub fn new() -> Result<Poll> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(Error::last_os_error()).context("epoll_create1");
        }
        // SAFETY: the descriptor was just made and has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Poll { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; 256] })
    }

    /// Watches `fd` for input; ready events carry `token`.
    pub fn add(&self, fd: RawFd, token: u64) -> Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: the event lives for the call; the kernel copies it.
        let rc = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
        if rc == 0 { Ok(()) } else { Err(Error::last_os_error()).context("epoll_ctl") }
    }

    /// Waits up to `timeout_ms` and returns the tokens that are ready.
    pub fn wait(&mut self, timeout_ms: i32, ready: &mut Vec<u64>) -> Result<()> {
        ready.clear();
        let room = self.events.len() as i32;
        // SAFETY: the buffer holds `room` events and outlives the call.
        let count = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), room, timeout_ms) };
        if count < 0 {
            let error = Error::last_os_error();
            return if error.kind() == std::io::ErrorKind::Interrupted {
                Ok(())
            } else {
                Err(error).context("epoll_wait")
            };
        }
        ready.extend(self.events[..count as usize].iter().map(|event| event.u64));
        Ok(())
    }
}
