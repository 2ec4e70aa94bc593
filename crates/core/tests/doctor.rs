//! The script that examines a server, under each shell that servers have for `sh`: what it says, and that it leaves nothing.

#![allow(clippy::unwrap_used, clippy::panic)] // A test that can't go on has failed.

#[path = "common/run.rs"]
mod run;
#[path = "common/shells.rs"]
mod shells;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bowline_config::secret::Secret;
use bowline_core::commands::Scope;
use bowline_core::commands::doctor::{Checkup, Docker, Examine, Holder};
use bowline_core::commands::registry::Login;
use bowline_core::names::Names;
use bowline_core::observed::Observed;
use tempfile::TempDir;

/// Docker, as far as the script asks it. It writes down how it was asked to log in, and with what.
const DOCKER: &str = r#"#!/bin/sh
case "$1 $2" in
'version --format')
    [ ! -e denied ] || { echo 'permission denied while trying to connect' >&2; exit 1; }
    case $3 in *Arch*) echo 26.1.5 amd64 ;; *) echo 26.1.5 ;; esac ;;
'info --format') case $3 in *Driver*) echo '@store overlay2 true' ;; *) pwd ;; esac ;;
'container inspect') [ -e "$3" ] ;;
'container ls') case "$*" in *publish=80*) echo web ;; esac ;;
'cp kamal-proxy:/home/kamal-proxy/.config/kamal-proxy/certs') cd volume && tar -cf - certs ;;
'cp kamal-proxy:/home/kamal-proxy/.config/kamal-proxy/certs/'*) cd "volume/$(dirname "${2##*/kamal-proxy/}")" && tar -cf - "${2##*/}" ;;
--config*) cat "$2/config.json"; echo "$*" | sed "s|$2|DIR|" >&2; cat >&2; echo 'WARNING! no helper'; exit 1 ;;
esac
"#;

fn server(files: &[(&str, &str)]) -> TempDir {
    let server = TempDir::new().unwrap();
    shells::link(&server.path().join("bin"));
    for (name, text) in [("bin/docker", DOCKER)].iter().chain(files) {
        let path = server.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    server
}

fn examine() -> Examine {
    Examine {
        scope: Scope { names: Names::new("app", None), run: "0".repeat(32), performer: String::new() },
        repository: "r.test/app".into(),
        ports: vec![80],
        login: Some(Login {
            server: Some("r.test".into()),
            username: Secret::new("me"),
            password: Secret::new("it's $secret"),
        }),
    }
}

fn asked(server: &TempDir) -> (Checkup, String) {
    let output = run::run(server.path(), &examine().script());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    (text.parse().unwrap_or_else(|error| panic!("{error}: {text}")), text)
}

/// The files below a directory.
fn all(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.display().to_string());
        if path.is_dir() && !path.is_symlink() {
            found.extend(all(&path));
        }
    }
    found.sort();
    found
}

#[test]
fn a_server_says_what_it_is_like_and_stays_as_it_is() {
    const PEM: &str = "KEY\n-----BEGIN CERTIFICATE-----\nMIIB\nAAAA\n-----END CERTIFICATE-----\n\
        -----BEGIN CERTIFICATE-----\nCHAIN\n-----END CERTIFICATE-----\n";
    shells::each(|| {
        let server = server(&[
            ("volume/certs/0a/shop.example.com", PEM),
            ("volume/certs/0a/acme_account+key", "SECRET"),
            ("kamal-proxy_old", ""),
            (".kamal/lock-app/details", "TG9ja2Vk\n"),
            (".kamal/lock-app.takeover/x", ""),
        ]);
        let before = all(server.path());
        let (checkup, text) = asked(&server);
        assert_eq!(all(server.path()), before);
        assert!(!text.contains("SECRET") && !text.contains("KEY") && !text.contains("CHAIN"), "{text}");
        assert_eq!(checkup.docker, Docker::Runs { version: "26.1.5".into(), arch: "amd64".into() });
        assert_eq!(checkup.store.as_deref(), Some("overlay2 true"));
        assert_eq!(checkup.ports, [(80, Some("the container web".into()))]);
        assert_eq!(checkup.certificates, [("shop.example.com".into(), "MIIBAAAA".into())]);
        assert_eq!(checkup.left, ["the container kamal-proxy_old", "the directory .kamal/lock-app.takeover"]);
        assert_eq!(checkup.holder, Some(Holder::Person));
        assert_eq!(checkup.disks.len(), 2);
        assert!(checkup.disks.iter().all(|disk| disk.room.is_some()), "{:?}", checkup.disks);
        assert!(checkup.clock > 1_700_000_000);
        let login = checkup.login.unwrap().unwrap_err();
        assert_eq!(
            login,
            r#"{"auths":{"bowline.invalid":{}}} --config DIR login --username me --password-stdin r.test it's $secret"#
        );
        // What Docker has comes in the same answer.
        assert_eq!(Observed::parse(&text).unwrap().docker, "26.1.5");
    });
}

#[test]
fn a_lock_of_a_run_is_told_from_one_that_is_gone() {
    shells::each(|| {
        let lock = |more: &[(&str, &str)]| {
            let files = [&[(".kamal/lock-app/owner", "1"), (".kamal/lock-app/lease", "")][..], more].concat();
            asked(&server(&files)).0.holder
        };
        assert_eq!(lock(&[]), Some(Holder::Run));
        assert_eq!(lock(&[(".kamal/lock-app/orphaned", "")]), Some(Holder::Gone));
    });
}

#[test]
fn a_docker_that_refuses_is_quoted() {
    let (checkup, text) = asked(&server(&[("denied", "")]));
    assert_eq!(checkup.docker, Docker::Denied("permission denied while trying to connect".into()));
    assert!(checkup.login.is_none() && Observed::parse(&text).is_err());
}
