//! Reports a panic, a bug in Bowline, like any other error, with its location and what to do.
//!
//! In a separate task (a connection or a channel), a panic ends only that task. Tasks that wait for it get an error,
//! and the other servers finish. In the run itself, it unwinds and drops the connections. So the lock's keeper on the
//! server marks the lock as orphaned, and the next run takes it over and repairs the unfinished changes.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};

use crate::exit::{self, Ended};
use crate::hints;
use crate::ui::{clean, out, terminal};

pub fn report_panics() {
    set_hook(Box::new(|panic| {
        terminal::restore();
        out::stderr([describe(panic)]);
        // Captured only if RUST_BACKTRACE asks for it.
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            out::stderr([clean::lines(&trace.to_string())]);
        }
    }));
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let place = panic.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
    format!(
        "bowline: a bug in Bowline{place}: {}",
        without_values(panic.payload_as_str().unwrap_or("a panic"))
    )
}

/// The message of a panic up to the first quoted value, which may be a secret or text from a server.
fn without_values(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.find(['`', '"', '\'']) {
        Some(at) => format!("{}…", clean::line(&line[..at])),
        None => clean::line(line),
    }
}

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
