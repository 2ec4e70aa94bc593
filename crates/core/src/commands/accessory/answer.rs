//! The answers of the scripts for accessories, and explanations of their failures.

use std::fmt;
use std::str::FromStr;

use bowline_config::Accessory;

use crate::commands::answer::{Explanation, Unreadable};
use crate::commands::policy::Returns;
use crate::commands::ready::{self, NotReady, Why};
use crate::commands::status::Status;
use crate::commands::{published, ready::is_port_taken};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The uploaded file differs from the previous one.
    pub changed: bool,
    pub runs: bool,
    pub started: bool,
    /// There is no container.
    pub none: bool,
    /// The old container was restored after the new one failed.
    pub back: bool,
    /// The new container's image differs from the old one's.
    pub newer: bool,
    /// The image was kept, because something else uses it.
    pub kept: bool,
    /// The restart policy of a stopped container that will run again when Docker restarts.
    pub returns: Returns,
    /// The state in which the container came up, if the script waited for that.
    pub came_up: ready::Answer,
}

impl Answer {
    /// Whether the container runs, but its health check doesn't succeed yet.
    pub fn is_starting(&self) -> bool {
        self.came_up.failed.as_ref().is_some_and(|failed| failed.why == Why::Timeout)
    }

    fn flags(&mut self) -> [(&'static str, &mut bool); 7] {
        [
            ("changed", &mut self.changed),
            ("runs", &mut self.runs),
            ("started", &mut self.started),
            ("none", &mut self.none),
            ("newer", &mut self.newer),
            ("back", &mut self.back),
            ("kept", &mut self.kept),
        ]
    }

    pub fn not_ready(self, accessory: &Accessory) -> Result<NotReady, Unreadable> {
        let restored = self.restored();
        // A missed deadline is not a failure here, so the 0 is never shown.
        let mut found = self.came_up.not_ready(&accessory.service, 0)?;
        found.summary.push_str(restored);
        Ok(found)
    }

    fn restored(&self) -> &'static str {
        if self.back { "; the old container runs again" } else { "" }
    }

    pub fn explain(
        &self,
        accessory: &Accessory,
        status: Option<Status>,
        stdout: &str,
        stderr: &str,
    ) -> Option<Explanation> {
        let name = &accessory.name;
        let (reason, hint) = match status {
            Some(Status::PortTaken) => (
                stdout.parse::<published::Taken>().ok()?.describe(),
                format!("stop it first, or see `accessories: {name}: port:`, and `publish` in its `options:`"),
            ),
            Some(Status::NotStarted) if is_port_taken(stderr) => (
                "Docker could not run the container".into(),
                format!("the port is in use: see `accessories: {name}: port:`"),
            ),
            Some(Status::NotStarted) => (
                "Docker could not run the container".into(),
                format!("see `accessories: {name}:` in the configuration"),
            ),
            Some(Status::NameTaken) => (
                format!("the name {} is taken by a container that doesn't belong to this accessory", accessory.service),
                format!(
                    "remove that container, or give the accessory another name with `accessories: {name}: service:`"
                ),
            ),
            Some(Status::LoginRefused) => (
                "the registry refused the login".into(),
                "see `registry:` (the accessory's own, else the one at the root): server, username, password"
                    .into(),
            ),
            Some(Status::PullFailed) => (
                format!("the image {} could not be pulled", accessory.image),
                format!(
                    "see `accessories: {name}: image:`; an image from a private registry needs a login for that server in `registry:`"
                ),
            ),
            Some(Status::ProxyFailed) => (
                "could not create the Docker network `kamal`".into(),
                "run `docker network create kamal` on the server to see why".into(),
            ),
            _ if ["Permission denied", "not permitted"].iter().any(|said| stderr.contains(said)) => (
                "the SSH user has no permission for this".into(),
                "only root can change a file's owner or remove files that a container created: do it there with sudo, or set `ssh: user:`"
                    .into(),
            ),
            _ => return None,
        };
        let Explanation { reason, hint } = Explanation::new(reason, hint).saying(stderr);
        Some(Explanation { reason: reason + self.restored(), hint })
    }
}

impl FromStr for Answer {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (lines, _) = ready::without_log(text);
        let mut answer = Self {
            returns: Returns::among(lines.iter().copied())?,
            came_up: text.parse()?,
            ..Self::default()
        };
        for (word, flag) in answer.flags() {
            *flag = lines.iter().any(|line| line.word == word);
        }
        Ok(answer)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.clone();
        let mut said = said.flags().into_iter().filter(|(_, said)| **said);
        said.try_for_each(|(word, _)| writeln!(f, "@{word}"))?;
        self.returns.fmt(f)?;
        self.came_up.fmt(f)
    }
}
