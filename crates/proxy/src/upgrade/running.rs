//! Finds the running proxy's binary, which commands use. After an upgrade, it differs from the one on their PATH.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::net::sockopt::socket_peercred;

/// The binary of the proxy behind a socket, if it differs from `own` and can be trusted as much.
pub fn other_binary(own: &Path, socket: &Path) -> Option<PathBuf> {
    let stream = UnixStream::connect(socket).ok()?;
    let peer = socket_peercred(&stream).ok()?;
    // A binary that was replaced has no path any more, but this link still leads to it.
    let running = PathBuf::from(format!("/proc/{}/exe", peer.pid.as_raw_nonzero()));
    differs(&fs::metadata(own).ok()?, &fs::metadata(&running).ok()?).then_some(running)
}

/// Another user's binary is not run, because the caller may be root.
fn differs(own: &Metadata, running: &Metadata) -> bool {
    let is_same = (own.dev(), own.ino()) == (running.dev(), running.ino());
    let is_trusted = [0, own.uid()].contains(&running.uid()) && running.mode() & 0o022 == 0;
    !is_same && is_trusted
}
