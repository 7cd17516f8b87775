//! The process's allocator: jemalloc with size classes eight bytes apart.
//!
//! Built with a quantum of eight (`.cargo/config.toml`), jemalloc aligns some classes to eight bytes only, where the usual binding
//! takes sixteen for granted. So [`Jemalloc`] is a binding of our own: it names every alignment beyond eight. Code in other
//! languages goes on with the allocator of the C library, whose alignment it counts on.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_int;
use std::io;
use std::ptr::null_mut;
use tikv_jemalloc_sys as ffi;

/// What every size class guarantees, whatever the quantum.
const ALIGN_GUARANTEED: usize = 8;

/// The allocator, for `#[global_allocator]`.
pub struct Jemalloc;

/// What to ask the extended interface for. A request for less than its alignment may come from a class below it.
#[inline(always)]
fn flags(layout: Layout) -> c_int {
    if layout.align() <= ALIGN_GUARANTEED && layout.align() <= layout.size() {
        0
    } else {
        ffi::MALLOCX_ALIGN(layout.align())
    }
}

// SAFETY: jemalloc's extended interface returns memory of at least the size and the alignment asked for, or null. Every layout
// gets the same flags when it is freed as when it was made, as `sdallocx` demands. Sizes are not zero, says `GlobalAlloc`.
unsafe impl GlobalAlloc for Jemalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let flags = flags(layout);
        // SAFETY: the size is not zero. `malloc` is the same with no flags, and has a shorter way.
        unsafe { if flags == 0 { ffi::malloc(layout.size()) } else { ffi::mallocx(layout.size(), flags) } }.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let flags = flags(layout);
        // SAFETY: the size is not zero.
        unsafe {
            if flags == 0 {
                ffi::calloc(1, layout.size())
            } else {
                ffi::mallocx(layout.size(), flags | ffi::MALLOCX_ZERO)
            }
        }
        .cast()
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise: allocated here with this layout.
        unsafe { ffi::sdallocx(ptr.cast(), layout.size(), flags(layout)) };
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // The new size may be below the alignment where the old one was not: the flags are those of the new layout.
        // SAFETY: the caller promises that the new size is valid with the alignment.
        let flags = flags(unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) });
        // SAFETY: the caller's promise: allocated here, and the new size is not zero.
        unsafe {
            if flags == 0 { ffi::realloc(ptr.cast(), new_size) } else { ffi::rallocx(ptr.cast(), new_size, flags) }
        }
        .cast()
    }
}

/// Gives unused pages of all arenas back to the operating system.
///
/// # Errors
/// What the allocator's control interface answers.
pub fn purge() -> io::Result<()> {
    // MALLCTL_ARENAS_ALL of jemalloc(3).
    let name = c"arena.4096.purge";
    // SAFETY: the name is a C string; this control reads and writes no value, so the other pointers are null.
    let code = unsafe { ffi::mallctl(name.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes and alignments that meet classes which are no multiple of the alignment.
    #[test]
    fn every_alignment_is_kept() {
        for align in [1usize, 2, 4, 8, 16, 32, 64, 4096] {
            for size in 1..300 {
                let layout = Layout::from_size_align(size, align).expect("valid");
                let mut held = Vec::new();
                for round in 0..8usize {
                    // SAFETY: the size is not zero; what is allocated is filled within its size and freed once with its layout.
                    unsafe {
                        let ptr = if round % 2 == 0 { Jemalloc.alloc(layout) } else { Jemalloc.alloc_zeroed(layout) };
                        assert!(!ptr.is_null() && ptr.addr().is_multiple_of(align), "{size} bytes, alignment {align}");
                        if round % 2 == 1 {
                            assert!(std::slice::from_raw_parts(ptr, size).iter().all(|&byte| byte == 0));
                        }
                        ptr.write_bytes(round as u8, size);
                        let grown = Jemalloc.realloc(ptr, layout, size + 24);
                        assert!(grown.addr().is_multiple_of(align));
                        assert!(std::slice::from_raw_parts(grown, size).iter().all(|&byte| byte == round as u8));
                        held.push(grown);
                    }
                }
                let grown = Layout::from_size_align(size + 24, align).expect("valid");
                // SAFETY: reallocated to this layout above.
                held.into_iter().for_each(|ptr| unsafe { Jemalloc.dealloc(ptr, grown) });
            }
        }
    }
}
