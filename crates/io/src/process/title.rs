//! Names that `ps` and `top` show: of the process and of its threads.
//!
//! Linux shows as command line whatever lies in the memory that held the arguments at the start. To
//! have room for a title of any reasonable length, [`prepare`] moves the environment, which lies right
//! behind, to the heap; [`set`] then writes over both:
//!
//! ```text
//!   arg_start            arg_end = env_start                  env_end
//!   | kinovar\0server\0... | PATH=...\0HOME=...\0               |
//!   | kinovar *:6379\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0 |
//! ```
//!
//! `prepare` insists on a single thread, because another one might be reading the environment.
//! Afterwards `std::env::args` returns pieces of the title: read the arguments before.

use std::ffi::{CString, c_char};
use std::io;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use super::require_single_thread;
use crate::sys::check;

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// The memory that the title may fill.
struct Region {
    start: usize,
    /// Up to here the kernel shows the bytes as they are.
    arguments_end: usize,
    end: usize,
}

static REGION: Mutex<Option<Region>> = Mutex::new(None);

/// Makes room for a title. Call it once, early, after reading the arguments.
///
/// # Errors
/// If the process already has more than one thread, or `/proc` does not tell where the arguments are.
pub fn prepare() -> io::Result<()> {
    require_single_thread()?;
    let mut region = REGION.lock().unwrap_or_else(PoisonError::into_inner);
    if region.is_none() {
        let found = find_region()?;
        move_environment();
        *region = Some(found);
    }
    Ok(())
}

/// Sets the process's title; longer ones than there is room for are cut. Without [`prepare`] it does
/// nothing.
pub fn set(title: &str) {
    let region = REGION.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(region) = &*region else { return };
    let room = region.end - region.start - 1;
    let text = &title.as_bytes()[..title.len().min(room)];
    // SAFETY: the region is the process's own argument and environment strings, in its writable stack.
    // Nothing else refers to it any more but `argv`, whose strings stay terminated: the last byte is
    // always zero. The mutex keeps writers apart.
    unsafe {
        let start = region.start as *mut u8;
        ptr::write_bytes(start, 0, region.end - region.start);
        ptr::copy_nonoverlapping(text.as_ptr(), start, text.len());
        // A non-zero byte at the arguments' end tells the kernel that the title goes on behind it. A
        // shorter one is shown with trailing zeroes, which readers strip.
        if text.len() < region.arguments_end - region.start {
            *(region.arguments_end as *mut u8).sub(1) = 0;
        }
    }
}

/// Names the calling thread (15 bytes at most are kept).
///
/// # Errors
/// `InvalidInput` for a name with a zero byte.
pub fn set_thread_name(name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: a live C string; the kernel copies what it needs.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) })?;
    Ok(())
}

/// Reads where the arguments and the environment are from fields 48 to 51 of `/proc/self/stat`.
fn find_region() -> io::Result<Region> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The second field, the name in parentheses, may hold anything; count from the third.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let address = |number: usize| {
        let field = fields.split_whitespace().nth(number - 3)?;
        field.parse::<usize>().ok().filter(|&address| address != 0)
    };
    let region = (|| {
        let (start, arguments_end) = (address(48)?, address(49)?);
        let (environment, end) = (address(50)?, address(51)?);
        let adjacent = arguments_end == environment && end >= environment;
        let end = if adjacent { end } else { arguments_end };
        (start < arguments_end).then_some(Region { start, arguments_end, end })
    })();
    region.ok_or_else(|| io::Error::other("/proc/self/stat does not tell where the arguments are"))
}

/// Copies the environment's array and strings to memory that is never freed.
fn move_environment() {
    // SAFETY: there is one thread (checked by the caller), so nobody reads or changes the environment
    // meanwhile. It is a null-terminated array of C strings, and so is what replaces it.
    unsafe {
        if environ.is_null() {
            return;
        }
        let mut copies = Vec::new();
        let mut entry = environ;
        while !(*entry).is_null() {
            let copy = libc::strdup(*entry);
            if copy.is_null() {
                // Out of memory at the start: leave the environment, half copied, where it was.
                std::process::abort();
            }
            copies.push(copy);
            entry = entry.add(1);
        }
        copies.push(ptr::null_mut());
        environ = copies.leak().as_mut_ptr();
    }
}
