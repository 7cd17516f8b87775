//! The priority of a thread.

use std::io;

use crate::sys::check;

/// The weakest claim to a processor that the kernel knows: the thread still gets a share, but gives way at once to any thread
/// of ordinary priority that has something to do.
const LOWEST: libc::c_int = 19;

/// Lets the calling thread run behind all others.
///
/// # Errors
/// The kernel's; a thread may always lower its own priority.
pub fn lower_priority() -> io::Result<()> {
    // On Linux "process" 0 means the calling thread (setpriority(2), "C library/kernel differences").
    // SAFETY: no memory is involved.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LOWEST) }).map(drop)
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
