//! Pinning threads to processors, with Redis's list syntax.

use std::fmt;
use std::io;
use std::mem;

use crate::sys::check;

/// A list of processors that cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CpuListError(String);

impl fmt::Display for CpuListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid CPU list near '{}'", self.0)
    }
}

impl std::error::Error for CpuListError {}

/// Reads a list such as `0-3`, `0,2` or `0-10:2` (every second one): numbers and ranges separated by
/// commas, a range with an optional stride. Sorted, each number once.
///
/// # Errors
/// Anything else, a range backwards, a stride of 0, or a number from 1024 on.
pub fn parse_cpu_list(list: &str) -> Result<Vec<usize>, CpuListError> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        cpus.extend(parse_part(part.trim()).ok_or_else(|| CpuListError(part.to_owned()))?);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

fn parse_part(part: &str) -> Option<impl Iterator<Item = usize> + use<>> {
    let number = |text: &str| text.parse::<usize>().ok().filter(|&cpu| cpu < libc::CPU_SETSIZE as usize);
    let (range, stride) = match part.split_once(':') {
        Some((range, stride)) => (range, number(stride).filter(|&stride| stride > 0)?),
        None => (part, 1),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        // A stride needs a range to step through.
        None if range.len() < part.len() => return None,
        None => (number(range)?, number(range)?),
    };
    (first <= last).then(|| (first..=last).step_by(stride))
}

/// Lets the calling thread run on these processors only.
///
/// # Errors
/// The kernel's: `EINVAL` if none of them exists.
pub fn pin_thread(cpus: &[usize]) -> io::Result<()> {
    // SAFETY: all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    for &cpu in cpus {
        if cpu < libc::CPU_SETSIZE as usize {
            // SAFETY: the set is live and the number in its range.
            unsafe { libc::CPU_SET(cpu, &mut set) };
        }
    }
    // SAFETY: pointer and size describe the set; 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let check = |list: &str, expected: &[usize]| assert_eq!(parse_cpu_list(list).unwrap(), expected, "{list}");
        check("0", &[0]);
        check("0-3", &[0, 1, 2, 3]);
        check("0,2", &[0, 2]);
        check("0-10:2", &[0, 2, 4, 6, 8, 10]);
        check("1-6:4", &[1, 5]);
        check("3, 1 ,1-2", &[1, 2, 3]);
        check("1023", &[1023]);
        for wrong in ["", ",", "a", "1-", "-1", "3-1", "0-4:0", "1:2", "1024", "0-3:", "0--3", "1;2"] {
            assert!(parse_cpu_list(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_thread_can_be_pinned() {
        let allowed = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).unwrap();
            parse_cpu_list(line.split_whitespace().nth(1).unwrap()).unwrap()
        };
        std::thread::spawn(move || {
            let last = *allowed().last().unwrap();
            pin_thread(&[last]).unwrap();
            assert_eq!(allowed(), [last]);
            assert!(pin_thread(&[]).is_err());
            assert!(pin_thread(&[1_000_000]).is_err());
        })
        .join()
        .unwrap();
    }
}
