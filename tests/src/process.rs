//! What the kernel tells of a process.

use std::fs;
use std::time::Duration;

/// The unit of CPU time in `/proc/PID/stat`.
const TICK: Duration = Duration::from_millis(10);

/// The CPU time of a process and the children it waited for, and whether the process has ended. It is still known
/// until its parent has waited for it.
#[must_use]
pub fn processor(pid: u32) -> (Duration, bool) {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ended = matches!(fields.first(), None | Some(&"Z"));
    (fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u32>().ok()).sum::<u32>() * TICK, ended)
}

/// The peak memory of a process, in bytes. `None` once it has ended.
#[must_use]
pub fn most_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
