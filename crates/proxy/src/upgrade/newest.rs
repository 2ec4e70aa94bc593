//! Chooses the binary that process 1 starts: its own, or a newer one from an upgrade.
//!
//! A container that restarts begins with the binary of its image. An upgrade puts its binary on a volume that the
//! proxy mounts read-only, so that a restart doesn't fall back to the older one.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use semver::Version;
use tokio::process::Command;
use tokio::time::timeout;

use crate::log;

/// The default path of a newer binary.
pub const DEFAULT: &str = "/opt/bowline-proxy/bowline-proxy";
/// How long a binary may take to print its version.
const PATIENCE: Duration = Duration::from_secs(5);

/// The binary at `path`, if it is newer and can be trusted as much as our own.
pub(super) async fn newer_than(own: &Path, path: &Path) -> Option<PathBuf> {
    if !path.exists() {
        return None;
    }
    let found = match check(own, path) {
        Ok(()) => version_of(path).await,
        Err(why) => Err(why),
    };
    let ours = Version::parse(env!("CARGO_PKG_VERSION")).ok()?;
    match found {
        Ok(found) => (found > ours).then(|| path.to_owned()),
        Err(why) => {
            log::warn(
                "Ignoring the binary of a former upgrade",
                &[("path", &path.display()), ("error", &why)],
            );
            None
        }
    }
}

/// Refuses a binary that the proxy's user can write, so that an attacker in the proxy doesn't survive its restart.
fn check(own: &Path, path: &Path) -> Result<(), String> {
    let owner = |path: &Path| fs::metadata(path).map(|data| data.uid()).map_err(|error| error.to_string());
    let trusted = owner(own)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    for place in [directory, path] {
        let data = fs::symlink_metadata(place).map_err(|error| error.to_string())?;
        if data.file_type().is_symlink() {
            return Err(format!("{} is a symbolic link", place.display()));
        }
        if data.uid() != 0 && data.uid() != trusted {
            return Err(format!("{} belongs to user {}", place.display(), data.uid()));
        }
        if data.mode() & 0o022 != 0 {
            return Err(format!("{} is writable by users other than its owner", place.display()));
        }
    }
    Ok(())
}

async fn version_of(path: &Path) -> Result<Version, String> {
    let mut command = Command::new(path);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output())
        .await
        .map_err(|_| format!("it did not print its version within {} s", PATIENCE.as_secs()))?
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version =
        text.trim_end().strip_prefix("bowline-proxy ").and_then(|version| Version::parse(version).ok());
    version.ok_or_else(|| {
        let printed: String = text.chars().take(80).collect();
        format!("--version printed {printed:?}, which is not a version")
    })
}

/// Copies this program to `path` atomically. Only the copy's owner can change it.
pub fn install(path: &Path) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::copy(std::env::current_exe()?, &temporary)?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o755))?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A program that prints this as its version.
    fn program(directory: &Path, says: &str) -> PathBuf {
        let path = directory.join("bowline-proxy");
        fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn only_a_newer_binary_is_taken() {
        let own = std::env::current_exe().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let ours = format!("bowline-proxy {}", env!("CARGO_PKG_VERSION"));
        for (says, taken) in [
            ("bowline-proxy 9999.0.0", true),
            (&*ours, false),
            ("bowline-proxy 0.0.0", false),
            ("nginx 9999.0.0", false),
        ] {
            let path = program(directory.path(), says);
            assert_eq!(newer_than(&own, &path).await.is_some(), taken, "{says}");
        }
        assert_eq!(newer_than(&own, &directory.path().join("missing")).await, None);
    }

    #[tokio::test]
    async fn a_binary_that_others_can_write_is_not_taken() {
        let own = std::env::current_exe().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = program(directory.path(), "bowline-proxy 9999.0.0");
        for (place, mode) in [(&*path, 0o775), (&*path, 0o757), (directory.path(), 0o777)] {
            let before = fs::metadata(place).unwrap().permissions();
            fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
            assert_eq!(newer_than(&own, &path).await, None, "{} {mode:o}", place.display());
            fs::set_permissions(place, before).unwrap();
        }
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(newer_than(&own, &link).await, None);
        assert!(newer_than(&own, &path).await.is_some());
    }
}
