//! Runs Docker commands on this machine, and repeats them after transient errors.
//!
//! A busy machine makes Docker fail at random: a freezer loses a race with new processes, or a daemon takes too long.
//! Without repeating, such an error would fail an unrelated test.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::sandbox::{Ran, run};

/// How long a command is repeated.
const DEADLINE: Duration = Duration::from_secs(30);

/// Error messages of Docker, runc and crun after a lost race or a timeout.
const PASSING: &[&str] = &[
    "unable to freeze",
    "unable to thaw",
    "device or resource busy",
    "resource temporarily unavailable",
    "context deadline exceeded",
    "context canceled",
    "i/o timeout",
    "TLS handshake timeout",
    "connection refused",
    "connection reset",
    "unexpected EOF",
    "Cannot connect to the Docker daemon",
    "error during connect",
    "toomanyrequests",
];

/// Runs `docker` with these arguments, and repeats it after transient errors.
#[must_use]
pub fn docker(args: &[&str]) -> Ran {
    again(|| run(Command::new("docker").args(args)))
}

/// Runs a Docker command, and repeats it after transient errors.
#[must_use]
pub fn again(mut ask: impl FnMut() -> Ran) -> Ran {
    let end = Instant::now() + DEADLINE;
    loop {
        let ran = ask();
        if ran.code == Some(0) || !passes(&ran.stderr) || Instant::now() >= end {
            return ran;
        }
        sleep(Duration::from_millis(100));
    }
}

fn passes(stderr: &str) -> bool {
    let said = stderr.to_lowercase();
    PASSING.iter().any(|words| said.contains(&words.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a command that prints these lines, one per attempt, and fails until the last.
    fn attempts(said: &[&str]) -> (Ran, usize) {
        let mut made = 0;
        let ran = again(|| {
            let (line, code) = (said[made], u8::from(made + 1 < said.len()));
            made += 1;
            run(Command::new("sh").args(["-c", "echo \"$1\" >&2; exit $2", "sh", line, &code.to_string()]))
        });
        (ran, made)
    }

    #[test]
    fn a_lost_race_is_run_again_and_a_verdict_is_not() {
        let freezer = "Error response from daemon: Cannot pause container x: runc: unable to freeze: unknown";
        let (ran, made) =
            attempts(&[freezer, "dial unix /var/run/docker.sock: connect: connection refused", "done"]);
        assert_eq!((ran.code, made), (Some(0), 3));
        let (ran, made) = attempts(&["Error response from daemon: No such container: x", "never"]);
        assert_eq!((ran.code, made), (Some(1), 1));
    }
}
