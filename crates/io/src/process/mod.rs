//! The process itself: daemon, signals, title, CPU affinity, usage figures, supervisors, syslog.
//!
//! Order in a server's start, because some of it must happen while there is one thread:
//! [`daemonize`], [`title::prepare`], [`signal::install`], then threads.

mod affinity;
mod daemon;
mod priority;
pub mod signal;
mod supervise;
pub mod syslog;
mod system;
pub mod title;
mod usage;

pub use affinity::{CpuListError, parse_cpu_list, pin_thread};
pub use daemon::daemonize;
pub use priority::{lower_priority, wait_exactly};
pub use supervise::{notify_systemd, stop_for_upstart};
pub use system::{SystemName, disable_huge_pages, resident_bytes, system_name, total_memory_bytes};
pub use usage::{CpuUsage, UsageOf, cpu_usage};

use std::io;

/// Refuses what is only sound or sensible while the process has one thread.
fn require_single_thread() -> io::Result<()> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads == 1 { Ok(()) } else { Err(io::Error::other(format!("the process already has {threads} threads"))) }
}
