//! The priority of a thread.

use std::io;

use crate::sys::check;

/// The weakest claim to a processor that the kernel knows: the thread still gets a share, but gives way at once to any thread
/// of ordinary priority that has something to do.
const LOWEST: libc::c_int = 19;

/// Lets the calling thread run behind all others, and for a short time once it runs: a kernel that finishes slices would
/// otherwise keep others waiting for milliseconds.
///
/// # Errors
/// The kernel's; a thread may always lower its own priority.
pub fn lower_priority() -> io::Result<()> {
    let _ = run_in_short_slices();
    // On Linux "process" 0 means the calling thread (setpriority(2), "C library/kernel differences").
    // SAFETY: no memory is involved.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LOWEST) }).map(drop)
}

/// The shortest slice that Linux grants.
const SHORT_SLICE_NS: u64 = 100_000;

/// Has the calling thread run soon after it is woken, for a short time: on Linux 6.12 and later it need not wait until the thread
/// that has the processor gives it up or has used up its own slice, which is milliseconds long. It gets no larger share.
///
/// # Errors
/// The kernel's. Older ones know no slices, and leave everything as it was.
fn run_in_short_slices() -> io::Result<()> {
    // SAFETY: `sched_attr` is plain numbers, for which zero is a value.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>() as u32;
    // SAFETY: the kernel writes at most `size` bytes.
    check(unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) } as i32)?;
    attributes.size = size;
    attributes.sched_runtime = SHORT_SLICE_NS;
    // SAFETY: the kernel reads `size` bytes.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } as i32).map(drop)
}

/// Has timed waits of the calling thread end within a microsecond of their time, rather than fifty.
///
/// # Errors
/// The kernel's.
pub fn wait_exactly() -> io::Result<()> {
    const SLACK_NS: libc::c_ulong = 1000;
    // SAFETY: no memory is involved.
    check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, SLACK_NS, 0, 0, 0) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_is_lowered() {
        // SAFETY: no memory is involved.
        let priority = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = priority();
        let lowered = std::thread::spawn(move || {
            lower_priority().expect("lowering is always allowed");
            priority()
        });
        assert_eq!(lowered.join().expect("the thread does not panic"), LOWEST);
        assert_eq!(priority(), before);
    }
}
