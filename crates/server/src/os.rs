//! What the operating system says about the process, read from `/proc`.

use std::fs::read_to_string;

/// Clock ticks per second in `/proc/…/stat`: the kernel's interface constant, 100 on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// Processor time, seconds.
#[derive(Clone, Copy, Default, Debug)]
pub struct CpuTimes {
    /// In the program.
    pub user: f64,
    /// In the kernel on its behalf.
    pub sys: f64,
    /// Of ended child processes, in the program.
    pub user_children: f64,
    /// Of ended child processes, in the kernel.
    pub sys_children: f64,
}

/// Processor time of the process.
pub fn process_cpu() -> CpuTimes {
    cpu_of("/proc/self/stat")
}

/// Processor time of the process's first thread.
pub fn main_thread_cpu() -> CpuTimes {
    cpu_of(&format!("/proc/self/task/{}/stat", std::process::id()))
}

fn cpu_of(path: &str) -> CpuTimes {
    let text = read_to_string(path).unwrap_or_default();
    // The program's name, in parentheses, may hold anything: the numbers start after it. See proc(5).
    let fields: Vec<f64> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    let seconds = |index: usize| fields.get(index).copied().unwrap_or(0.0) / TICKS_PER_S;
    CpuTimes { user: seconds(11), sys: seconds(12), user_children: seconds(13), sys_children: seconds(14) }
}

/// Memory of the process that is in RAM, bytes.
pub fn resident_bytes() -> u64 {
    const PAGE: u64 = 4096;
    let text = read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE
}

/// Memory of the machine, bytes.
pub fn total_memory_bytes() -> u64 {
    let text = read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Name and release of the system, and the processor's architecture: `Linux 6.1.0 x86_64`.
pub fn name() -> String {
    let read = |what: &str| read_to_string(format!("/proc/sys/kernel/{what}")).unwrap_or_default().trim().to_owned();
    format!("{} {} {}", read("ostype"), read("osrelease"), std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_answers() {
        assert!(resident_bytes() > 100_000);
        assert!(total_memory_bytes() > resident_bytes());
        assert!(name().starts_with("Linux "));
        // Work until the clock has ticked.
        let start = std::time::Instant::now();
        while process_cpu().user + process_cpu().sys == 0.0 {
            assert!(start.elapsed().as_secs() < 30, "processor time never advanced");
        }
    }
}
