//! The exit statuses of `bowline`, for scripts.

use bowline_engine::error::{Cause, Failure, RunError};
use bowline_engine::ports::Exit;

use crate::load::LoadError;

pub const DONE: u8 = 0;
pub const FAILED: u8 = 1;
/// Wrong usage or configuration. Nothing was changed.
pub const USAGE: u8 = 2;
pub const LOCKED: u8 = 3;
/// A server could not be reached, or the connection was lost, and nothing else was wrong.
pub const UNREACHABLE: u8 = 4;
pub const INTERRUPTED: u8 = 130;

/// In order. Commands that run a program exit with that program's status.
pub const ALL: [u8; 6] = [DONE, FAILED, USAGE, LOCKED, UNREACHABLE, INTERRUPTED];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Run(#[from] RunError),
}

pub(crate) fn usage(message: impl Into<String>, hint: impl Into<Option<String>>) -> RunError {
    RunError::Usage { message: message.into(), hint: hint.into() }
}

/// A failure on this machine, before anything changed.
pub(crate) fn failed_here(
    what: &str,
    reason: impl Into<String>,
    hint: impl Into<Option<String>>,
) -> RunError {
    RunError::Local { what: what.into(), reason: reason.into(), hint: hint.into(), standing: Vec::new() }
}

pub fn status(ended: &Ended) -> u8 {
    match ended {
        Ended::Load(_) | Ended::Run(RunError::Usage { .. } | RunError::Invalid(_)) => USAGE,
        Ended::Run(RunError::Locked { .. }) => LOCKED,
        Ended::Run(RunError::Local { .. } | RunError::Secrets(_)) => FAILED,
        Ended::Run(RunError::Interrupted { .. }) => INTERRUPTED,
        Ended::Run(RunError::Servers { failures, .. }) => of_failures(failures),
    }
}

/// Ignores roles that were halted at the barrier: they follow from another failure.
fn of_failures(failures: &[Failure]) -> u8 {
    let mut causes = failures.iter().filter(|failure| !matches!(failure.cause, Cause::Halted(_))).peekable();
    if causes.peek().is_some() && causes.all(Failure::is_unreachable) { UNREACHABLE } else { FAILED }
}

/// The exit status for a program that ran for us: its own (at most 255), or 128 plus the signal's number.
pub fn of_program(exit: &Exit) -> u8 {
    match exit {
        Exit::Status(status) => u8::try_from(*status).unwrap_or(u8::MAX),
        Exit::Signal(name) => 128 + signal_number(name),
    }
}

fn signal_number(name: &str) -> u8 {
    match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "ABRT" => 6,
        "KILL" => 9,
        "SEGV" => 11,
        "PIPE" => 13,
        _ => 15,
    }
}

#[cfg(test)]
mod tests {
    use bowline_engine::ports::{Output, ServerError};

    use super::*;

    fn failed(cause: Cause) -> Failure {
        Failure { host: "10.0.0.1".into(), role: None, doing: "connect".into(), cause }
    }

    fn servers(causes: Vec<Cause>) -> Ended {
        let failures = causes.into_iter().map(failed).collect();
        Ended::Run(RunError::Servers { failures, total: 3, standing: Vec::new() })
    }

    #[test]
    fn every_error_has_its_status() {
        let gone = || Cause::Server(ServerError::Unreachable { reason: "refused".into(), hint: None });
        let lost = || Cause::Server(ServerError::Lost { reason: "reset".into() });
        let halted = || Cause::Halted("web".into());
        let usage = RunError::Usage { message: "no".into(), hint: None };
        let locked = RunError::Locked { host: "a".into(), details: "b".into() };
        let local =
            RunError::Local { what: "build".into(), reason: "c".into(), hint: None, standing: Vec::new() };
        let table = [
            (Ended::Load(LoadError { text: "bad".into() }), 2),
            (usage.into(), 2),
            (locked.into(), 3),
            (local.into(), 1),
            (RunError::interrupted().into(), 130),
            (servers(vec![gone()]), 4),
            (servers(vec![gone(), gone(), halted()]), 4),
            (servers(vec![gone(), lost()]), 4),
            (servers(vec![halted()]), 1),
            (servers(vec![lost()]), 4),
            (servers(vec![Cause::Command(Output::default())]), 1),
        ];
        for (ended, expected) in table {
            assert_eq!(status(&ended), expected, "{ended:?}");
        }
    }

    #[test]
    fn a_programs_status_is_passed_on() {
        let exit = |exit| of_program(&exit);
        assert_eq!(exit(Exit::Status(0)), 0);
        assert_eq!(exit(Exit::Status(7)), 7);
        assert_eq!(exit(Exit::Status(256)), 255);
        assert_eq!(exit(Exit::Signal("KILL".into())), 137);
        assert_eq!(exit(Exit::Signal("TERM".into())), 143);
    }
}
