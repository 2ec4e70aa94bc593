//! Removes the app's containers, images and files from a server. Running containers are stopped by an earlier step.

use std::str::FromStr;

use super::answer::{self, Unreadable};
use super::{Scope, listing, prune};
use crate::names::ALL_PULLED;
use crate::proxy;
use crate::shell::{Line, Script, function, quote};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    pub scope: Scope,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// One stopped container.
    Container { role: String, name: String },
    /// All stopped containers of a role.
    Containers(String),
    /// The app's unused images in `repository` (`[SERVER/]IMAGE`), including its tag `latest[-DEST]`. Images that are the
    /// latest of another destination stay.
    Images { repository: String, latest: String },
    /// The app's directory (env files, assets, cords, history) and its files for the proxy. This is the last step on a
    /// server, because the directory holds the mark of this run. The directory stays if a container of another app mounts
    /// part of it, as destination `staging` of `app` and the service `app-staging` share one: see [`Removed::shared`].
    Directory,
}

impl Remove {
    pub fn script(&self) -> Script {
        let (scope, docker) = (&self.scope, || Line::new("docker"));
        let mut text = scope.fence();
        match &self.what {
            What::Container { role, name } => {
                let line = docker().words(["container", "rm", name]);
                text.push_str(&format!("{line} >/dev/null || exit\n"));
                text.push_str(&scope.audit(Some(role), &format!("Removed app container {name}")));
            }
            What::Containers(role) => {
                let prune =
                    prune::in_turn("container", |line| listing::filters(line, &scope.names, Some(role)));
                text.push_str(&format!("{prune} || exit\n"));
                text.push_str(&scope.audit(Some(role), "Removed all app containers"));
            }
            What::Images { repository, latest } => {
                text.push_str(&images(scope, repository, latest));
                text.push_str(&scope.audit(None, "Removed all app images"));
            }
            What::Directory => text.push_str(&directory(scope)),
        }
        Script::new(text)
    }

    pub fn describe(&self) -> String {
        match &self.what {
            What::Container { name, .. } => format!("remove {name}"),
            What::Containers(role) => format!("remove the stopped containers of {role}"),
            What::Images { .. } => "remove the app's images".into(),
            What::Directory => "remove the app's directory".into(),
        }
    }

    /// What the script keeps if it finds a use for it on the server, for display.
    pub(crate) fn keeps(&self) -> Option<&'static str> {
        match &self.what {
            What::Images { .. } => {
                Some("keep those that a container, another destination or another app uses")
            }
            What::Directory => Some("keep it if a container of another app uses files in it"),
            What::Container { .. } | What::Containers(_) => None,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// The containers that mount files of the app's directory, which is why it was not removed.
    pub shared: Option<String>,
}

impl FromStr for Removed {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let line = answer::lines(text).find(|line| line.word == "shared");
        Ok(Self { shared: line.map(|line| line.some().map(Into::into)).transpose()? })
    }
}

fn directory(scope: &Scope) -> String {
    format!(
        "bowline_directory={directory} bowline_proxied={proxied}\n{sweep}{note}{remove}",
        directory = quote(&scope.names.directory()),
        proxied = quote(&proxy::kamal::files::directory(&scope.names)),
        sweep = function("sweep", &proxy::maintenance::sweep(&scope.names)),
        note = function("note", &scope.audit(None, "Removed app directory")),
        remove = answer::sent(include_str!("remove/directory.sh")),
    )
}

fn images(scope: &Scope, repository: &str, latest: &str) -> String {
    format!(
        "bowline_repository={repository} bowline_latest={latest} bowline_pulled={pulled} bowline_all_pulled={all}\n{remove}{nameless}\n",
        all = quote(ALL_PULLED),
        repository = quote(repository),
        latest = quote(&format!("{repository}:{latest}")),
        pulled = quote(&scope.names.pulled()),
        remove = answer::sent(include_str!("remove/images.sh")),
        nameless = prune::nameless(&format!("label=service={}", scope.names.service())),
    )
}
