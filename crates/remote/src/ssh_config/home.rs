//! Handles a `HOME` that is not the home directory of the passwd entry, as in CI containers (`HOME=/github/home`).
//!
//! `ssh` uses only the passwd entry, so it would read the `~/.ssh/config` and `known_hosts` of another home directory
//! than we do. So we give it a configuration that includes the two files it reads by default, `~/.ssh/config` and the
//! system's: in `Include`, `~` is `HOME`. `ssh` demands that both belong to us or to root.
//!
//! Paths in its output that are below the passwd entry's home directory are moved below `HOME`: known hosts (its
//! defaults, and those given with `~` or `%d`) and the agent's socket. A path that was written out in full looks the
//! same in the output, so it is moved too. `ssh` prints key files as they were given.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::alike::Start;
use crate::options::{Options, UserConfig};

/// The files that `ssh` reads by default, in this order.
#[cfg(target_os = "linux")]
const FILES: &[u8] = b"Include ~/.ssh/config\nInclude /etc/ssh/ssh_config\n";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elsewhere {
    passwd: PathBuf,
    home: PathBuf,
}

impl Elsewhere {
    /// `None` if the directories are the same or unknown, or the caller chose a configuration file.
    pub(super) fn of(options: &Options) -> Option<Self> {
        let home = options.home.as_ref().filter(|_| options.user_config == UserConfig::Default)?;
        let text = std::fs::read("/etc/passwd").ok()?;
        let uid = rustix::process::getuid().as_raw();
        Self::new(passwd_home(&String::from_utf8_lossy(&text), uid)?, home.clone())
    }

    fn new(passwd: PathBuf, home: PathBuf) -> Option<Self> {
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        (real(&passwd) != real(&home)).then_some(Self { passwd, home })
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// The configuration files. Both look for relative includes in `~/.ssh`.
    pub(super) fn starts(&self) -> Vec<Start> {
        let base = self.home.join(".ssh");
        let start = |file: PathBuf| Start { file, base: base.clone() };
        vec![start(base.join("config")), start(PathBuf::from("/etc/ssh/ssh_config"))]
    }

    /// A file for `ssh -F /dev/stdin`. It is not a pipe, because `Match final` makes `ssh` open it twice.
    #[cfg(target_os = "linux")]
    pub(super) fn config() -> io::Result<File> {
        use std::io::Write;

        use rustix::fs::{MemfdFlags, memfd_create};

        let mut file = File::from(memfd_create("bowline-ssh-config", MemfdFlags::CLOEXEC)?);
        file.write_all(FILES)?;
        Ok(file)
    }

    /// Never called on macOS: its `/etc/passwd` has only system accounts, so no second home directory is known.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn config() -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Replaces the passwd entry's home directory with `~`.
    pub(super) fn moved(&self, (key, value): (String, String)) -> (String, String) {
        let value = match key.as_str() {
            "userknownhostsfile" => {
                value.split(' ').map(|path| self.path(path)).collect::<Vec<_>>().join(" ")
            }
            "identityagent" => self.path(&value),
            _ => value,
        };
        (key, value)
    }

    fn path(&self, text: &str) -> String {
        let path = Path::new(text);
        let below = path.strip_prefix(&self.passwd).ok().filter(|below| {
            // Everything is below `/`, the home directory of some users.
            let within = self.passwd.parent().is_some() || below.starts_with(".ssh");
            within && !path.starts_with(&self.home)
        });
        below.map_or_else(|| text.to_owned(), |below| format!("~/{}", below.display()))
    }
}

/// The name of the current user in `/etc/passwd`.
pub(super) fn user() -> Option<String> {
    let text = std::fs::read("/etc/passwd").ok()?;
    let text = String::from_utf8_lossy(&text);
    let (name, _) = text.lines().find_map(|line| entry(line, rustix::process::getuid().as_raw()))?;
    Some(name.to_owned())
}

fn passwd_home(text: &str, uid: u32) -> Option<PathBuf> {
    text.lines().find_map(|line| entry(line, uid)).map(|(_, home)| PathBuf::from(home))
}

/// The name and home directory in this line, if it is this user's.
fn entry(line: &str, uid: u32) -> Option<(&str, &str)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let number = fields.nth(1)?;
    let home = fields.nth(2).filter(|home| !home.is_empty())?;
    (number.parse() == Ok(uid)).then_some((name, home))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# a comment\n+::::::\nme:x:1000:1000:Me,,:/home/me:\n\
                          also:x:1000:1000::/other:/bin/sh\nnowhere:x:7:7:::/bin/sh\n";

    #[test]
    fn the_first_entry_of_a_user_counts() {
        let home = |uid| passwd_home(PASSWD, uid).map(|home| home.display().to_string());
        assert_eq!(home(0).as_deref(), Some("/root"));
        assert_eq!(home(1000).as_deref(), Some("/home/me"));
        assert_eq!((home(7), home(99)), (None, None));
    }

    #[test]
    fn one_directory_in_two_spellings_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("real"), directory.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert_eq!(Elsewhere::new(real, link), None);
        assert_eq!(Elsewhere::new("/no/such".into(), "/no/such/".into()), None);
        assert!(Elsewhere::new("/no/such".into(), "/no/other".into()).is_some());
    }

    #[test]
    fn only_a_configuration_left_to_ssh_is_replaced() {
        let options =
            |user_config| Options { home: Some("/no/such".into()), user_config, ..Options::from_env() };
        assert_eq!(Elsewhere::of(&options(UserConfig::File("/x".into()))), None);
        assert_eq!(Elsewhere::of(&options(UserConfig::None)), None);
        assert_eq!(Elsewhere::of(&Options { home: None, ..options(UserConfig::Default) }), None);
    }

    #[test]
    fn paths_move_from_one_home_to_the_other() {
        let moved = |passwd: &str, home: &str, key: &str, value: &str| {
            let homes = Elsewhere::new(passwd.into(), home.into()).unwrap();
            homes.moved((key.into(), value.into())).1
        };
        let hosts = "userknownhostsfile";
        assert_eq!(
            moved("/no/me", "/ci", hosts, "/no/me/.ssh/known_hosts /etc/known /no/mean /ci/k"),
            "~/.ssh/known_hosts /etc/known /no/mean /ci/k"
        );
        assert_eq!(moved("/no/me", "/ci", "identityagent", "/no/me/my agent"), "~/my agent");
        assert_eq!(moved("/no/me", "/ci", "identityfile", "/no/me/.ssh/id"), "/no/me/.ssh/id");
        // One directory inside the other, and `/` as a home directory.
        assert_eq!(moved("/no/me", "/no/me/ci", hosts, "/no/me/ci/k /no/me/k"), "/no/me/ci/k ~/k");
        assert_eq!(moved("/", "/ci", hosts, "/.ssh/known_hosts /etc/known"), "~/.ssh/known_hosts /etc/known");
    }
}
