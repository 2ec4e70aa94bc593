//! Finds hosts that the configuration doesn't distinguish, so that one `ssh -G` answers for all of them.
//!
//! Only `ssh` knows what a configuration means. This module reads only its outline: which `Host` lines match a host,
//! and which values depend on its name. Two hosts share an answer if they match the same lines and no value in these
//! depends on the name. In case of doubt (`Match exec`, canonical names, a line that can't be parsed, a file that
//! `ssh` read and this module didn't), `ssh -G` runs for each host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::tokens::words;
use super::transport::LISTS;
use crate::known_hosts::glob;

/// The maximum depth of `Include`, as in `ssh`.
const DEPTH: usize = 16;

/// Keywords whose values `ssh -G` prints as written. In all others it may have replaced a token.
const AS_WRITTEN: [&str; 4] = ["proxycommand", "identityfile", "certificatefile", "knownhostscommand"];

/// Tokens with the same value for all hosts with the same user and port.
const THE_SAME: &str = "%diLlpruT";

#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) file: PathBuf,
    /// The directory for relative names in `Include`.
    pub(super) base: PathBuf,
}

/// The `Host` lines that enclose a line, as indexes. It applies if all of them match.
type Below = Vec<usize>;

/// Where a line or an included file is.
#[derive(Debug, Clone, Default)]
struct Place {
    below: Below,
    /// Below `Match final`: evaluated only when the final host name is known.
    late: bool,
    depth: usize,
}

#[derive(Debug, Default)]
pub(super) struct Outline {
    files: BTreeSet<PathBuf>,
    home: PathBuf,
    hosts: Vec<String>,
    /// `HostName` lines.
    names: Vec<Below>,
    dependent: Vec<Below>,
    /// Lines whose value names the host by a token, with their keyword. `ssh -G` must print that token as written.
    tokens: Vec<(String, Below)>,
    /// Whether the configuration contains something that this module can't judge.
    doubtful: bool,
    pub(super) algorithms: bool,
    /// Lists of file names with blanks, which `ssh -G` prints without their quotes.
    pub(super) quoted: Vec<Vec<String>>,
}

/// Hosts of the same class get the same answer from `ssh -G`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Class {
    matched: Vec<bool>,
    /// Whether the configuration sets their `HostName`.
    pub(super) renamed: bool,
}

impl Outline {
    pub(super) fn read(starts: &[Start], home: &Path) -> Self {
        let mut outline = Self { home: home.to_owned(), ..Self::default() };
        for start in starts {
            outline.file(&start.file, &start.base, &Place::default());
        }
        outline
    }

    pub(super) fn doubtful() -> Self {
        Self { doubtful: true, ..Self::default() }
    }

    /// Adds a file that `ssh` will report as read.
    pub(super) fn with(mut self, file: &str) -> Self {
        self.files.insert(file.into());
        self
    }

    /// The class of a host. `None` if `ssh -G` must run for this host alone.
    pub(super) fn class(&self, host: &str) -> Option<Class> {
        // `ssh` turns names into lower case between two passes over its files.
        let plain = !host.bytes().any(|byte| byte.is_ascii_uppercase());
        let matched: Vec<bool> = self.hosts.iter().map(|patterns| matches(patterns, host)).collect();
        let holds = |below: &Below| below.iter().all(|line| matched.get(*line) == Some(&true));
        if self.doubtful || !plain || self.dependent.iter().any(holds) {
            return None;
        }
        let renamed = self.names.iter().any(holds);
        Some(Class { matched, renamed })
    }

    /// Whether the answer for one host of a class holds for the others. `said` is the output of its `ssh -v`.
    pub(super) fn vouches(&self, class: &Class, pairs: &super::Pairs, said: &str) -> bool {
        let read = said.lines().filter_map(|line| line.strip_prefix("debug1: Reading configuration data "));
        let known = read.into_iter().all(|file| self.files.contains(Path::new(file.trim_end())));
        let holds = |below: &Below| below.iter().all(|line| class.matched.get(*line) == Some(&true));
        let mut tokens = self.tokens.iter().filter(|(_, below)| holds(below));
        known && tokens.all(|(key, _)| pairs.all(key).any(|value| value.contains('%')))
    }

    fn file(&mut self, file: &Path, base: &Path, place: &Place) {
        self.files.insert(file.to_owned());
        let text = match std::fs::read(file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return,
            Err(_) => {
                self.doubtful = true;
                return;
            }
        };
        let mut here = place.clone();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let Some((key, value)) = split(line) else {
                self.doubtful = true;
                continue;
            };
            match key.as_str() {
                "host" => {
                    self.doubtful |= value.contains(['"', '\'', '\\', '#']);
                    here = place.clone();
                    here.below.push(self.hosts.len());
                    self.hosts.push(value.to_owned());
                }
                "match" => match value.to_ascii_lowercase().as_str() {
                    "all" => here = place.clone(),
                    "final" | "final all" => here = Place { late: true, ..place.clone() },
                    _ => self.doubtful = true,
                },
                "include" if here.depth < DEPTH => self.include(value, base, &here),
                "include" => self.doubtful = true,
                "canonicalizehostname" => self.doubtful |= !value.eq_ignore_ascii_case("no"),
                "hostname" if here.late => self.doubtful = true,
                _ => self.setting(&key, value, &here.below),
            }
        }
    }

    fn setting(&mut self, key: &str, value: &str, here: &Below) {
        if key == "hostname" {
            self.names.push(here.clone());
        }
        self.algorithms |= LISTS.contains(&key);
        if matches!(key, "userknownhostsfile" | "globalknownhostsfile") && value.contains(['"', '\'', '\\']) {
            self.quoted.extend(words(value));
        }
        if names_the_host(value) {
            match AS_WRITTEN.contains(&key) {
                true => self.tokens.push((key.to_owned(), here.clone())),
                false => self.dependent.push(here.clone()),
            }
        }
    }

    fn include(&mut self, value: &str, base: &Path, here: &Place) {
        let inside = Place { depth: here.depth + 1, ..here.clone() };
        for pattern in value.split_ascii_whitespace() {
            match self.included(pattern, base) {
                Some(files) => files.iter().for_each(|file| self.file(file, base, &inside)),
                None => self.doubtful = true,
            }
        }
    }

    /// The files that a word of `Include` matches. `None` if this module can't tell.
    fn included(&self, pattern: &str, base: &Path) -> Option<Vec<PathBuf>> {
        let path = match pattern.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None if pattern.contains(['"', '\'', '\\', '#', '%', '$', '~', '[', '{']) => return None,
            None => base.join(pattern),
        };
        let wild = |text: &str| text.contains(['*', '?', '[', '{', '%', '$', '"', '\'', '\\']);
        let (directory, name) = (path.parent()?, path.file_name()?.to_str()?);
        if wild(directory.to_str()?) {
            return None;
        }
        if !wild(name) {
            return Some(vec![path.clone()]);
        }
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let fitting = names.filter(|file| !file.starts_with('.') && glob(name.as_bytes(), file.as_bytes()));
        Some(fitting.map(|file| directory.join(file)).collect())
    }
}

fn split(line: &str) -> Option<(String, &str)> {
    let end = line.find(|c: char| c.is_ascii_whitespace() || c == '=')?;
    let value = line[end..].trim_start();
    let value = value.strip_prefix('=').unwrap_or(value).trim_start();
    (!value.is_empty()).then(|| (line[..end].to_ascii_lowercase(), value))
}

fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

fn matches(patterns: &str, host: &str) -> bool {
    let mut matched = false;
    for pattern in patterns.split_ascii_whitespace().map(unquote) {
        match pattern.strip_prefix('!') {
            Some(not) if glob(not.as_bytes(), host.as_bytes()) => return false,
            Some(_) => {}
            None => matched |= glob(pattern.as_bytes(), host.as_bytes()),
        }
    }
    matched
}

fn names_the_host(value: &str) -> bool {
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        if letter == '%' && !letters.next().is_some_and(|token| THE_SAME.contains(token)) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(text: &str) -> Outline {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(&file, text).unwrap();
        Outline::read(&[Start { file, base: directory.path().to_owned() }], directory.path())
    }

    fn alike(text: &str, one: &str, other: &str) -> bool {
        let outline = outline(text);
        let class = outline.class(one);
        class.is_some() && class == outline.class(other)
    }

    #[test]
    fn hosts_that_match_the_same_lines_are_alike() {
        assert!(alike("", "a", "b"));
        let text = "Host web*\n  User deploy\nHost web1 db1\n  Port 2222\nHost *\n  ProxyCommand nc %h %p\n";
        assert!(alike(text, "web2", "web3"));
        assert!(!alike(text, "web1", "web2"));
        assert!(!alike(text, "web2", "db2"));
        assert!(!alike(text, "WEB2", "web3"));
        let debian = "Host *\n  SendEnv LANG LC_*\n  HashKnownHosts yes\nMatch final all\n  \
                      Include /etc/crypto-policies/back-ends/openssh.config\n  GSSAPIAuthentication yes\n";
        assert!(alike(debian, "a", "b"));
    }

    #[test]
    fn where_the_name_decides_each_is_asked_for() {
        for text in [
            "HostName %h.example.com\n",
            "UserKnownHostsFile ~/.ssh/known_%n\n",
            "IdentityAgent ~/agent-%C\n",
            "Match exec \"test %h = a\"\n  User other\n",
            "Match host a\n  User other\n",
            "Match final host a\n  User other\n",
            "Match final all\n  HostName 10.0.0.1\n",
            "CanonicalizeHostname yes\n",
            "Include $HOME/x\n",
            "Host \"a b\"\n",
            "nonsense\n",
        ] {
            assert!(!alike(text, "a", "b"), "{text}");
        }
        // In the section of other hosts it doesn't matter.
        assert!(alike("Host c\n  HostName %h.example.com\n", "a", "b"));
        assert!(alike("UserKnownHostsFile %d/known\nControlPath ~/%%\n", "a", "b"));
    }

    #[test]
    fn a_name_of_their_own_or_one_in_common() {
        let outline = outline("Host a b\n  HostName a\n");
        assert_eq!(outline.class("a").map(|class| class.renamed), Some(true));
        assert_eq!(outline.class("c").map(|class| class.renamed), Some(false));
    }

    #[test]
    fn what_is_included_counts_below_its_host_line() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("config.d")).unwrap();
        std::fs::write(at("config.d/one"), "Host a\n  User x\n").unwrap();
        std::fs::write(at("config.d/.hidden"), "Match exec x\n").unwrap();
        std::fs::write(at("config"), "Include config.d/*\nHost c\n  Include deeper\n").unwrap();
        std::fs::write(at("deeper"), "HostName %h.example.com\n").unwrap();
        let start = Start { file: at("config"), base: directory.path().to_owned() };
        let outline = Outline::read(&[start], directory.path());
        assert_ne!(outline.class("a"), outline.class("b"));
        assert!(outline.class("b").is_some() && outline.class("b") == outline.class("d"));
        assert_eq!(outline.class("c"), None);
    }

    #[test]
    fn an_answer_is_shared_only_if_all_that_was_read_is_known() {
        let outline = outline("ProxyCommand nc %h %p\n");
        let class = outline.class("a").unwrap();
        let file = outline.files.first().unwrap().display().to_string();
        let pairs = |value: &str| super::super::Pairs(vec![("proxycommand".into(), value.into())]);
        let said = |file: &str| format!("OpenSSH_9.2\ndebug1: Reading configuration data {file}\n");
        assert!(outline.vouches(&class, &pairs("nc %h %p"), &said(&file)));
        assert!(!outline.vouches(&class, &pairs("nc %h %p"), &said("/elsewhere")));
        // If `ssh` replaces the tokens itself, its answer holds for one host only.
        assert!(!outline.vouches(&class, &pairs("nc a 22"), &said(&file)));
    }
}
