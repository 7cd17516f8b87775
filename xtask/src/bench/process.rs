//! What the kernel knows of a server process: CPU time.

use std::fs;

use anyhow::{Context, Result};

/// CPU time of all threads of a process in nanoseconds. `schedstat` counts to the nanosecond where `stat` counts ticks;
/// threads that have ended are not in it, which servers at work do not have.
pub fn cpu_ns(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("list the server's threads")? {
        let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        sum += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}
