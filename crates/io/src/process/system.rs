//! Facts about the machine and this process's memory.

use std::ffi::{CStr, c_char};
use std::io;
use std::mem;

use crate::sys::check;

/// Resident memory of this process in bytes.
///
/// # Errors
/// If `/proc/self/statm` cannot be read.
pub fn resident_bytes() -> io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split_whitespace().nth(1).and_then(|field| field.parse::<u64>().ok());
    pages
        .map(|pages| pages * page_bytes())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/self/statm has no second number"))
}

/// Memory of the whole machine in bytes; 0 if it cannot be told.
pub fn total_memory_bytes() -> u64 {
    // SAFETY: no pointers.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    u64::try_from(pages).unwrap_or(0) * page_bytes()
}

fn page_bytes() -> u64 {
    // SAFETY: no pointers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

/// Keeps the kernel from backing this process's memory with transparent huge pages.
///
/// # Errors
/// The kernel's.
pub fn disable_huge_pages() -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) })?;
    Ok(())
}

/// What `uname` says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SystemName {
    /// Such as `Linux`.
    pub system: String,
    /// The kernel's release.
    pub release: String,
    /// Such as `x86_64`.
    pub machine: String,
    /// The host's name.
    pub node: String,
}

/// Names of the system and the host.
///
/// # Errors
/// The kernel's; none is expected.
pub fn system_name() -> io::Result<SystemName> {
    // SAFETY: all zeroes is a valid value of this plain structure.
    let mut raw: libc::utsname = unsafe { mem::zeroed() };
    // SAFETY: the pointer is to a live structure.
    check(unsafe { libc::uname(&raw mut raw) })?;
    Ok(SystemName {
        system: text(&raw.sysname),
        release: text(&raw.release),
        machine: text(&raw.machine),
        node: text(&raw.nodename),
    })
}

fn text(field: &[c_char]) -> String {
    let bytes: Vec<u8> = field.iter().map(|&c| c.cast_unsigned()).collect();
    CStr::from_bytes_until_nul(&bytes).unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_figures_are_plausible() {
        let (resident, total) = (resident_bytes().unwrap(), total_memory_bytes());
        assert!(resident > 100_000 && resident < total, "{resident} of {total}");
        let ballast = vec![1u8; 32 << 20];
        let grown = resident_bytes().unwrap();
        assert!(grown > resident + ((ballast.len() / 2) as u64), "{resident} -> {grown}");
    }

    #[test]
    fn names() {
        let name = system_name().unwrap();
        assert_eq!(name.system, "Linux");
        assert!(name.release.contains('.'));
        assert!(!name.machine.is_empty());
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(name.node, host.trim_end());
    }
}
