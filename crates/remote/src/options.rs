//! What connecting takes from the user and their environment. Tests and CI jobs can provide their own.

use std::path::{Path, PathBuf};

use bowline_config::secret::Secret;
use bowline_config::{Ssh, SshConfig, Timeouts};

use crate::descriptors;

pub trait Prompt: Send + Sync {
    /// Asks for the passphrase of a private key. Returns `None` if there is no user to ask. May block: it runs on a
    /// separate thread, and never twice at once.
    fn passphrase(&self, key: &Path) -> Option<Secret>;
}

/// No user to ask: skips encrypted keys that no agent holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPrompt;

impl Prompt for NoPrompt {
    fn passphrase(&self, _key: &Path) -> Option<Secret> {
        None
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum UserConfig {
    /// The user's, in [`Options::home`], and the system's.
    #[default]
    Default,
    File(PathBuf),
    None,
}

/// What to do with the key of a new server, unless the SSH configuration rejects new servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NewHosts {
    #[default]
    Remember,
    /// Accept it without recording it.
    Accept,
}

/// How to connect. [`Options::from_env`] has the defaults.
#[derive(Debug, Clone)]
pub struct Options {
    /// Time in which the user types a passphrase, or the agent waits for confirmation, does not count as connecting.
    pub timeouts: Timeouts,
    /// The home directory: `~` in paths, `~/.ssh/config`, the default key files, `known_hosts`. It may differ from
    /// the passwd entry, which `ssh` uses.
    pub home: Option<PathBuf>,
    pub agent: Option<PathBuf>,
    pub user_config: UserConfig,
    /// The known_hosts files, in place of those in `ssh_config` or the defaults. New keys go into the first one.
    pub known_hosts: Option<Vec<PathBuf>>,
    pub new_hosts: NewHosts,
    /// The maximum number of logins in progress at one address: sshd accepts only a few connections that have not
    /// logged in yet (`MaxStartups`).
    pub starts: usize,
    /// The maximum number of open connections. Each uses a file descriptor.
    pub connections: usize,
    /// The maximum number of concurrent steps per server. OpenSSH allows ten sessions per connection (`MaxSessions`).
    pub channels: usize,
}

impl Options {
    /// Reads `HOME` and `SSH_AUTH_SOCK`, and raises the limit of open files as far as possible.
    pub fn from_env() -> Self {
        let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            timeouts: Timeouts::default(),
            home: path("HOME"),
            agent: path("SSH_AUTH_SOCK"),
            user_config: UserConfig::Default,
            known_hosts: None,
            new_hosts: NewHosts::Remember,
            starts: 8,
            connections: descriptors::raise(),
            channels: 8,
        }
    }

    pub fn with(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    pub(crate) fn for_project(self, ssh: &Ssh) -> Self {
        let user_config = match &ssh.config {
            SshConfig::Default => self.user_config,
            SshConfig::Off => UserConfig::None,
            SshConfig::File(file) => UserConfig::File(self.expand(file)),
        };
        Self { user_config, ..self }
    }

    /// Expands `~/` to the home directory.
    pub(crate) fn expand(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_ssh_config_takes_the_place_of_the_users() {
        let options = Options { home: Some("/home/me".into()), ..Options::from_env() };
        let config = |config| options.clone().for_project(&Ssh { config, ..Ssh::default() }).user_config;
        assert_eq!(config(SshConfig::Default), UserConfig::Default);
        assert_eq!(config(SshConfig::Off), UserConfig::None);
        assert_eq!(config(SshConfig::File("~/one".into())), UserConfig::File("/home/me/one".into()));
        assert_eq!(config(SshConfig::File("ssh/config".into())), UserConfig::File("ssh/config".into()));
    }
}
