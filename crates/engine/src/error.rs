//! The errors of a run. Each says what failed, where, why, and what to do.

use std::collections::BTreeSet;

use bowline_config::Diagnostics;
use bowline_core::commands::answer::{Explanation, Unreadable};
pub use bowline_core::commands::ready::NotReady;
use bowline_core::commands::status::{Status, missing_helper};
use bowline_core::error::PlanError;
use bowline_core::selection::NoMatch;

use crate::ports::{Output, ServerError};

/// Something that went wrong on one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub host: String,
    pub role: Option<String>,
    pub doing: String,
    pub cause: Cause,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// The server couldn't be reached, or the connection was lost.
    #[error("{0}")]
    Server(#[from] ServerError),
    /// A step's script ended with a status other than 0.
    #[error("{}", command_text(.0))]
    Command(Output),
    #[error("{}", .0.summary)]
    NotReady(Box<NotReady>),
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    /// The barrier is closed: no container of the primary role became healthy.
    #[error("halted at the barrier: no {0} container became healthy; the old container keeps serving")]
    Halted(String),
    /// `why` is the proxy's last message.
    #[error("{proxy} did not route to {container} within {waited_s} s: {why}")]
    NotRouted { proxy: &'static str, container: String, waited_s: u64, why: String, hint: String },
    #[error("interrupted before the new container took over")]
    Interrupted,
    /// `why` is who has the servers or released the lock.
    #[error("{why}; this run makes no more changes")]
    LockLost { why: String },
    /// The image lacks its assets directory (`path`, as configured). That is the same on every server.
    #[error("the image {image} has no directory {path}: {found}")]
    NoAssets { image: String, path: String, found: String },
    #[error("{reason}")]
    Other { reason: String, hint: Option<String> },
}

impl Cause {
    /// The cause from the output of a script that ended at its fence.
    pub(crate) fn fenced(output: &Output) -> Self {
        let why = match output.stderr.trim() {
            "" => "another run has taken over this server",
            why => why,
        };
        Cause::LockLost { why: why.into() }
    }
}

impl Failure {
    pub(crate) fn new(host: &str, role: Option<&str>, doing: impl Into<String>, cause: Cause) -> Self {
        Self { host: host.into(), role: role.map(Into::into), doing: doing.into(), cause }
    }

    pub fn hint(&self) -> Option<String> {
        match &self.cause {
            Cause::Server(ServerError::Unreachable { hint, .. }) => hint.clone(),
            Cause::Other { reason, hint } => hint_to(reason).or_else(|| hint.clone()),
            Cause::NotReady(not_ready) => not_ready.hint.clone(),
            Cause::NoAssets { .. } => Some(
                "`asset_path:` (the role's, or else the root's) is a directory in the image; without it, no assets are bridged"
                    .into(),
            ),
            Cause::NotRouted { hint, .. } => Some(hint.clone()),
            Cause::Server(ServerError::Lost { .. }) => Some(
                "is the server up? The step may or may not have finished: run the command again to complete it".into(),
            ),
            Cause::Server(ServerError::NotForwarded { .. }) => {
                Some("AllowTcpForwarding in its sshd_config must be `yes` or `local`; or install curl there".into())
            }
            Cause::Server(ServerError::TooMuchTogether { .. }) => {
                Some("ask fewer servers (`--hosts`, `--roles`), or for fewer lines (`--lines`, `--since`)".into())
            }
            Cause::Server(ServerError::Deadline { setting, .. }) => {
                Some(format!("is the server overloaded, or its Docker stuck? `timeouts: {{{setting}: SECONDS}}` raises the limit"))
            }
            Cause::Command(output) => hint_to(&output.stderr).or_else(|| hint_to(&output.stdout)),
            _ => None,
        }
    }

    pub(crate) fn has_status(&self, status: Status) -> bool {
        matches!(&self.cause, Cause::Command(output) if output.status() == Some(status))
    }

    /// Replaces the cause with the meaning of the script's status, if it has one.
    pub(crate) fn explained(mut self) -> Self {
        if let Cause::Command(output) = &self.cause
            && let Some(status) = output.status()
            && let Some(explanation) = status.explain(&output.stderr)
        {
            self.cause = explanation.into();
        }
        self
    }

    /// Whether the server couldn't be reached or stopped responding.
    pub fn is_unreachable(&self) -> bool {
        use ServerError::{Deadline, Lost, Unreachable};
        matches!(self.cause, Cause::Server(Unreachable { .. } | Lost { .. } | Deadline { .. }))
    }
}

/// A hint for common mistakes, by a program's output on a server.
pub(crate) fn hint_to(said: &str) -> Option<String> {
    if let Some(helper) = missing_helper(said) {
        return Some(format!(
            "Docker's configuration there (`credsStore` or `credHelpers` in ~/.docker/config.json) names the program \
             {helper}: install it, or remove that entry"
        ));
    }
    if is_kept_out_by_snap(said) {
        return Some(
            "a Docker that was installed with snap may not read hidden directories such as `.kamal`: remove it \
             (`snap remove docker`) and install Docker's own packages (`bowline server bootstrap`)"
                .into(),
        );
    }
    let usual = [
        (
            "no space left on device",
            "its disk is full: `df -h; df -i` and `docker system df` show what uses it; `docker system prune` frees space",
        ),
        ("read-only file system", "the system mounts a disk read-only when it fails: `dmesg` there says why"),
    ];
    let said = said.to_lowercase();
    usual.iter().find(|(words, _)| said.contains(words)).map(|(_, hint)| (*hint).to_owned())
}

/// Whether Docker's client couldn't read a file that this user has just written, as happens with Docker from snap.
fn is_kept_out_by_snap(said: &str) -> bool {
    // A shell would say "Permission denied".
    said.lines().any(|line| {
        line.contains("open ") && line.contains(".kamal/") && line.contains(": permission denied")
    })
}

fn command_text(output: &Output) -> String {
    let how = output.exit.to_string();
    let said = if output.stderr.trim().is_empty() { output.stdout.trim() } else { output.stderr.trim() };
    let tail: Vec<&str> = said.lines().rev().take(5).collect();
    if tail.is_empty() {
        return how;
    }
    format!("{} ({how})", tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
}

impl From<Explanation> for Cause {
    fn from(Explanation { reason, hint }: Explanation) -> Self {
        Cause::Other { reason, hint }
    }
}

pub type Result<T, E = RunError> = std::result::Result<T, E>;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Wrong usage or configuration. Nothing was changed.
    #[error("{message}")]
    Usage { message: String, hint: Option<String> },
    #[error("{0}")]
    Invalid(Box<Diagnostics>),
    #[error("{0}")]
    Secrets(Box<Diagnostics>),
    /// Another run holds the lock. `details` is the text of its file: who took it, when and why.
    #[error("the deploy lock is held on {host}")]
    Locked { host: String, details: String },
    /// Something on this machine failed: the build, a hook. `standing`: what the servers serve now, a line each.
    #[error("{what} failed: {reason}")]
    Local { what: String, reason: String, hint: Option<String>, standing: Vec<String> },
    /// Some of `total` servers failed. `standing`: what the servers serve now, if that changed.
    #[error("{}", failed_on(.failures, *.total))]
    Servers { failures: Vec<Failure>, total: usize, standing: Vec<String> },
    /// Interrupted by a signal. Unfinished steps were undone if possible. `standing`: what the servers serve now.
    #[error("interrupted")]
    Interrupted { standing: Vec<String> },
}

/// Says on how many servers something failed. Servers that were only held back don't count.
fn failed_on(failures: &[Failure], total: usize) -> String {
    let hosts = |halted: bool| {
        let of = failures.iter().filter(|failure| matches!(failure.cause, Cause::Halted(_)) == halted);
        of.map(|failure| failure.host.as_str()).collect::<BTreeSet<_>>()
    };
    let failed = hosts(false);
    let held_back = hosts(true).difference(&failed).count();
    let held_back = if held_back == 0 { String::new() } else { format!(", {held_back} held back") };
    match (failed.first(), total) {
        (Some(only), 1) => format!("failed on {only}"),
        _ => format!("failed on {} of {total} servers{held_back}", failed.len()),
    }
}

impl RunError {
    /// An interrupt before anything was booted.
    pub fn interrupted() -> Self {
        RunError::Interrupted { standing: Vec::new() }
    }

    pub fn servers(failures: Vec<Failure>, total: usize) -> Self {
        RunError::Servers { failures, total, standing: Vec::new() }
    }

    pub fn local(what: impl Into<String>, reason: impl Into<String>, hint: Option<String>) -> Self {
        RunError::Local { what: what.into(), reason: reason.into(), hint, standing: Vec::new() }
    }
}

impl From<NoMatch> for RunError {
    fn from(error: NoMatch) -> Self {
        RunError::Usage { message: error.to_string(), hint: None }
    }
}

impl From<PlanError> for RunError {
    fn from(error: PlanError) -> Self {
        let hint = match &error {
            PlanError::NoSuchVersion { choices, .. } if choices.is_empty() => {
                Some("no version is on all servers".to_string())
            }
            PlanError::NoSuchVersion { choices, .. } => {
                Some(format!("the versions on all servers are: {}", choices.join(", ")))
            }
            PlanError::NoneBefore { choices } if choices.is_empty() => {
                Some("there is no other version on the servers".to_string())
            }
            PlanError::NoneBefore { choices } => Some(format!(
                "`bowline rollback VERSION` goes to any version that all servers have, even to one that never served: {}",
                choices.join(", ")
            )),
            PlanError::UnfitSecret(unfit) => Some(unfit.hint().into()),
            PlanError::WrongSecret { hint, .. } => Some(hint.clone()),
            PlanError::Proxy(refusal) => Some(refusal.hint.clone()),
            PlanError::MissingSecret(_) => None,
        };
        RunError::Usage { message: error.to_string(), hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_mishaps_have_a_hint_of_their_own() {
        let helper = "Error saving credentials: error storing credentials - err: exec: \"docker-credential-ecr-login\": \
                      executable file not found in $PATH, out: ``";
        assert_eq!(missing_helper(helper), Some("docker-credential-ecr-login"));
        assert_eq!(missing_helper("unauthorized: incorrect username or password"), None);
        for (said, advice) in [
            (helper, "docker-credential-ecr-login"),
            ("docker: open .kamal/apps/shop/env/web.env: permission denied.", "snap"),
            ("write x: no space left on device", "df -h"),
        ] {
            assert!(hint_to(said).is_some_and(|hint| hint.contains(advice)), "{said}");
        }
        assert_eq!(hint_to("sh: 1: cannot create .kamal/run: Permission denied"), None);
    }

    #[test]
    fn servers_that_were_held_back_did_not_fail() {
        let failure = |host: &str, cause| Failure::new(host, None, "boot", cause);
        let lost = |host| failure(host, Cause::LockLost { why: "x".into() });
        let halted = |host| failure(host, Cause::Halted("web".into()));
        let said = |failures: &[Failure], total| RunError::servers(failures.to_vec(), total).to_string();
        assert_eq!(said(&[lost("a"), halted("b"), halted("c")], 4), "failed on 1 of 4 servers, 2 held back");
        assert_eq!(said(&[lost("a"), halted("a")], 2), "failed on 1 of 2 servers");
        assert_eq!(said(&[lost("a")], 1), "failed on a");
    }
}
