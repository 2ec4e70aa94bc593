//! A panic: a bug in Bowline, reported like any other error, with its place and what to do.
//!
//! In a task of its own (a connection, one of its channels) it ends that task alone, and what waits for it learns that
//! it is gone: the other servers finish. In the run itself it unwinds. The connections end with it, so the lock's keeper
//! on the server marks the lock as orphaned, and the next run takes it over and puts right what was begun.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};

use crate::exit::{self, Ended};
use crate::hints;
use crate::ui::{clean, out, terminal};

/// Tells panics from now on, once the terminal is as it was.
pub fn tell_panics() {
    set_hook(Box::new(|panic| {
        terminal::restore();
        out::stderr([told(panic)]);
        // Captured only where RUST_BACKTRACE asks for it.
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            out::stderr([clean::lines(&trace.to_string())]);
        }
    }));
}

fn told(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    format!(
        "bowline: a bug in Bowline{place}: {}",
        without_values(panic.payload_as_str().unwrap_or("a panic"))
    )
}

/// The words of a panic up to the first value in it: what Rust's own ones quote may be a secret, or a server's words.
fn without_values(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.find(['`', '"', '\'']) {
        Some(at) => format!("{}…", clean::line(&line[..at])),
        None => clean::line(line),
    }
}

/// Does the work of a run; a panic in it is an error.
///
/// # Errors
/// The work's own, or that.
pub fn caught<T>(work: impl FnOnce() -> Result<T, Ended>) -> Result<T, Ended> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let reason = "a bug ended the run (see above)";
        let hint = format!("please report it; {}", hints::AGAIN);
        Err(exit::failed_here("bowline itself", reason, hint).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_the_run() {
        let ended = caught(|| -> Result<u8, Ended> { panic!("tested: this is told") }).unwrap_err();
        assert_eq!(exit::status(&ended), exit::FAILED);
        assert_eq!(ended.to_string(), "bowline itself failed: a bug ended the run (see above)");
        assert_eq!(caught(|| Ok(3)), Ok(3));
    }

    #[test]
    fn no_value_is_told() {
        let cases = [
            (
                "index out of bounds: the len is 3 but the index is 5",
                "index out of bounds: the len is 3 but the index is 5",
            ),
            ("byte index 9 is out of bounds of `hunter2`", "byte index 9 is out of bounds of …"),
            ("called `Result::unwrap()` on an `Err` value: Bad(\"hunter2\")", "called …"),
            ("two\nlines", "two"),
            ("\u{1b}[2Jred", "red"),
        ];
        for (message, told) in cases {
            assert_eq!(without_values(message), told);
        }
    }
}
