//! Docker on this machine, asked again where its error says that another moment would have done.
//!
//! A busy machine makes Docker fail by chance: a freezer that loses a race with new processes, a daemon that takes too
//! long. A helper that takes such an error for a verdict fails a test that has nothing to do with it.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::sandbox::{Ran, run};

/// How long it is asked.
const DEADLINE: Duration = Duration::from_secs(30);

/// What Docker, runc and crun say when they lost a race or had no time.
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

/// Runs `docker` with these arguments, again while its error is one that passes.
#[must_use]
pub fn docker(args: &[&str]) -> Ran {
    again(|| run(Command::new("docker").args(args)))
}

/// Runs a command of Docker, again while its error is one that passes.
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

/// Whether this is an error that another attempt may not meet.
fn passes(stderr: &str) -> bool {
    let said = stderr.to_lowercase();
    PASSING.iter().any(|words| said.contains(&words.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prints the next line of a file that has one for each attempt, and fails but for the last.
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
