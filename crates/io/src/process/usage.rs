//! Processor time used.

use std::io;
use std::mem;
use std::time::Duration;

use crate::sys::check;

/// Whose processor time to report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UsageOf {
    /// All threads of this process.
    Process,
    /// Children that have ended and were waited for.
    Children,
    /// The calling thread.
    Thread,
    /// The thread that the process started with, asked by any other; in ticks of 10 ms.
    MainThread,
}

/// Processor time.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct CpuUsage {
    /// Spent in the program.
    pub user: Duration,
    /// Spent in the kernel on its behalf.
    pub system: Duration,
}

/// Processor time used so far.
///
/// # Errors
/// The kernel's; none is expected while `/proc` is mounted.
pub fn cpu_usage(of: UsageOf) -> io::Result<CpuUsage> {
    let who = match of {
        UsageOf::Process => libc::RUSAGE_SELF,
        UsageOf::Children => libc::RUSAGE_CHILDREN,
        UsageOf::Thread => libc::RUSAGE_THREAD,
        UsageOf::MainThread => return main_thread_usage(),
    };
    // SAFETY: all zeroes is a valid value of this plain structure.
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: the pointer is to a live structure.
    check(unsafe { libc::getrusage(who, &raw mut usage) })?;
    Ok(CpuUsage { user: duration(usage.ru_utime), system: duration(usage.ru_stime) })
}

fn main_thread_usage() -> io::Result<CpuUsage> {
    /// The unit of the kernel's interface, the same on every Linux.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/self/task/{}/stat", std::process::id()))?;
    // The program's name, in parentheses, may hold anything: the numbers start after it. See proc(5).
    let mut numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let mut ticks = || numbers.next().and_then(|field| field.parse::<u32>().ok());
    match (ticks(), ticks()) {
        (Some(user), Some(system)) => Ok(CpuUsage { user: TICK * user, system: TICK * system }),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "/proc/self/task/…/stat is too short")),
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::new(time.tv_sec.max(0) as u64, time.tv_usec.clamp(0, 999_999) as u32 * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_up_in_the_thread_and_the_process() {
        let total = |of| cpu_usage(of).map(|usage| usage.user + usage.system).unwrap();
        let (thread, process) = (total(UsageOf::Thread), total(UsageOf::Process));
        while total(UsageOf::Thread) < thread + Duration::from_millis(10) {
            std::hint::spin_loop();
        }
        assert!(total(UsageOf::Process) >= process + Duration::from_millis(9));
        assert!(total(UsageOf::Children) < Duration::from_secs(1000));
        let tick = Duration::from_millis(10);
        assert!(total(UsageOf::MainThread) <= total(UsageOf::Process) + 2 * tick);
    }
}
