//! Writes the files that the proxy reads, under each shell.

#![allow(clippy::unwrap_used)] // A panic fails the test.

#[path = "common/run.rs"]
mod run;
#[path = "common/shells.rs"]
mod shells;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bowline_config::secret::Secret;
use bowline_core::commands::Scope;
use bowline_core::names::Names;
use bowline_core::proxy::kamal::files::{Files, Shelf};
use bowline_core::request::Pages;

const KEY: &str = ".kamal/proxy/apps-config/app/tls/web/key.pem";

/// Writes a key on a server with this `chown`. Returns the modes of the key and of the directory above the mounted one.
fn modes(chown: &str) -> (u32, u32) {
    let home = tempfile::tempdir().unwrap();
    let at = home.path();
    shells::link(&at.join("bin"));
    fs::create_dir_all(at.join(".kamal/apps/app")).unwrap();
    fs::write(at.join(".kamal/apps/app/run"), "f00d\n").unwrap();
    fs::write(at.join("bin/chown"), format!("#!/bin/sh\n{chown}\n")).unwrap();
    fs::set_permissions(at.join("bin/chown"), fs::Permissions::from_mode(0o755)).unwrap();
    let files = Files {
        scope: Scope { names: Names::new("app", None), run: "f00d".into(), performer: "me".into() },
        private: vec![("tls/web/key.pem".into(), Secret::new("the key"))],
        pages: Pages::new(),
        shelf: Shelf::Accessory("app-db".into()),
    };
    let output = run::run(at, &files.script());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(at.join(KEY)).unwrap(), "the key");
    let mode = |path: &str| fs::metadata(at.join(Path::new(path))).unwrap().permissions().mode() & 0o777;
    (mode(KEY), mode(".kamal/proxy"))
}

#[test]
fn only_the_proxy_can_read_a_key() {
    shells::each(|| {
        assert_eq!(modes("exit 0"), (0o600, 0o755));
        // If the SSH user isn't root, the proxy's user can't own the key.
        assert_eq!(modes("echo 'Operation not permitted' >&2; exit 1"), (0o644, 0o700));
    });
}
