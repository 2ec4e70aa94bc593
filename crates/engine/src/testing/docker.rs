//! Docker on a simulated server: installed, missing, or not usable by this user.

use bowline_core::commands::server::{Answer, Refusal};
use bowline_core::commands::status::Status;

use super::machine::Machine;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FakeDocker {
    #[default]
    Runs,
    /// Missing. Root may install it.
    Missing,
    /// Missing. A user with sudo may install it, and can use it after the next login.
    MissingForUser,
    /// Missing, and can't be installed for this reason.
    Refused(Refusal),
    /// Installed, and usable only by root until the next login.
    Joined,
}

impl Machine {
    pub(super) fn bootstrap(&mut self) -> (u32, Answer) {
        let before = self.docker;
        self.changes.push("bootstrap".into());
        self.docker = match before {
            FakeDocker::Missing => FakeDocker::Runs,
            FakeDocker::MissingForUser => FakeDocker::Joined,
            other => other,
        };
        let missing = Answer { installing: true, ..Answer::default() };
        let (docker, joined) = (Some("26.1.5".to_owned()), Some("ada".to_owned()));
        match before {
            FakeDocker::Runs => (0, Answer { docker, ..Answer::default() }),
            FakeDocker::Missing => (0, Answer { installed: true, network: true, docker, ..missing }),
            FakeDocker::MissingForUser => (0, Answer { installed: true, joined, ..missing }),
            FakeDocker::Joined => (0, Answer { joined, ..Answer::default() }),
            FakeDocker::Refused(why) => (Status::Refused.code(), Answer { refused: Some(why), ..missing }),
        }
    }

    /// Ends every connection to the server, including that of the lock's keeper.
    pub(super) fn log_in_again(&mut self) {
        self.changes.push("log in again".into());
        if self.docker == FakeDocker::Joined {
            self.docker = FakeDocker::Runs;
        }
        if let Some(lock) = self.lock.as_mut() {
            lock.orphaned = true;
        }
    }
}
