//! Control of the allocator that no safe interface offers.

use std::io;
use std::ptr::null_mut;

/// Gives unused pages of all arenas back to the operating system.
///
/// # Errors
/// What the allocator's control interface answers.
pub fn purge() -> io::Result<()> {
    // MALLCTL_ARENAS_ALL of jemalloc(3).
    let name = c"arena.4096.purge";
    // SAFETY: the name is a C string; this control reads and writes no value, so the other pointers are null.
    let code = unsafe { tikv_jemalloc_sys::mallctl(name.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}
