//! Docker on the model of a server: there, missing, or not for this user.

use super::machine::Machine;

/// How Docker is on a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum FakeDocker {
    /// There, and usable.
    #[default]
    Runs,
    /// Missing; root may install it.
    Missing,
    /// Missing; a user with sudo may install it, and use it from the next login on.
    MissingForUser,
    /// Missing, and this is why it can't be installed.
    Refused(&'static str),
    /// There, and for nobody but root until the next login.
    Joined,
}

impl Machine {
    /// The answer of the bootstrapping script: status and output.
    pub(super) fn bootstrap(&mut self) -> (u32, String) {
        let before = self.docker;
        self.changes.push("bootstrap".into());
        self.docker = match before {
            FakeDocker::Missing => FakeDocker::Runs,
            FakeDocker::MissingForUser => FakeDocker::Joined,
            other => other,
        };
        match before {
            FakeDocker::Runs => (0, "@docker 26.1.5\n".into()),
            FakeDocker::Missing => (0, "@installing\n@installed\n@network\n@docker 26.1.5\n".into()),
            FakeDocker::MissingForUser => (0, "@installing\n@installed\n@joined ada\n".into()),
            FakeDocker::Joined => (0, "@joined ada\n".into()),
            FakeDocker::Refused(why) => (73, format!("@installing\n@refused {why}\n")),
        }
    }

    /// Every connection to it ends, and with them the lock's keeper.
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
