//! Runs the script that examines a server under each shell: what it reports, and that it leaves no files.

#![allow(clippy::unwrap_used, clippy::panic)] // A panic fails the test.

#[path = "common/run.rs"]
mod run;
#[path = "common/shells.rs"]
mod shells;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bowline_config::secret::Secret;
use bowline_core::commands::Scope;
use bowline_core::commands::doctor::{Checkup, Contents, Docker, Examine, Holder, Issued, Storage};
use bowline_core::commands::registry::Login;
use bowline_core::names::Names;
use bowline_core::observed::Observed;
use tempfile::TempDir;

/// A `docker` with the commands that the script uses. It records the arguments and input of a login.
const DOCKER: &str = r#"#!/bin/sh
case "$1 $2" in
'version --format')
    [ ! -e denied ] || { echo 'permission denied while trying to connect' >&2; exit 1; }
    case $3 in *Arch*) echo 26.1.5 amd64 ;; *) echo 26.1.5 ;; esac ;;
'info --format') case $3 in *Driver*) echo '@store overlay2 true' ;; *) pwd ;; esac ;;
'container inspect') if [ "$5" = traefik ]; then [ ! -e arguments ] || cat arguments; else [ -e "$3" ]; fi ;;
'container ls') case "$*" in *publish=80*) echo web ;; esac ;;
'cp kamal-proxy:/home/kamal-proxy/.config/kamal-proxy/certs') cd volume && tar -cf - certs ;;
'cp kamal-proxy:/home/kamal-proxy/.config/kamal-proxy/certs/'*) cd "volume/$(dirname "${2##*/kamal-proxy/}")" && tar -cf - "${2##*/}" ;;
'cp --follow-link') cd "volume$(dirname "${3#traefik:}")" && tar -cf - "${3##*/}" ;;
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
        // Docker's state is in the same answer.
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

/// Traefik's ACME storage: an account with a key, and certificates with their keys.
fn acme(indented: bool) -> String {
    let pem = |body: &str| {
        let text = format!(
            "-----BEGIN CERTIFICATE-----\n{body}\n{body}\n-----END CERTIFICATE-----\n\
             -----BEGIN CERTIFICATE-----\nCHAIN\n-----END CERTIFICATE-----\n"
        );
        BASE64_STANDARD.encode(text)
    };
    let key =
        BASE64_STANDARD.encode("-----BEGIN RSA PRIVATE KEY-----\nSECRET\n-----END RSA PRIVATE KEY-----\n");
    let text = format!(
        r#"{{
  "le": {{
    "Account": {{
      "Email": "a\\\"b\\\\@x.test",
      "Registration": {{"body": {{"status": "valid", "contact": ["mailto:a@x.test"]}}, "uri": "https://ca.test/1"}},
      "PrivateKey": "{key}",
      "KeyType": "4096"
    }},
    "Certificates": [
      {{
        "domain": {{"main": "shop.test", "sans": ["www.shop.test", "*.shop.test"]}},
        "certificate": "{one}",
        "key": "{key}",
        "Store": "default"
      }},
      {{"key": "{key}", "Store": "default", "certificate": "{two}", "domain": {{"main": "b.test", "sans": null}}}},
      {{"domain": {{"main": "no.test"}}, "certificate": "{key}", "key": "{key}", "Store": "default"}}
    ]
  }},
  "other": {{"Account": null, "Certificates": [{{"domain": {{"main": "c.test"}}, "certificate": "{one}", "key": "{key}"}}]}},
  "new": {{"Account": null, "Certificates": null}}
}}
"#,
        one = pem("MIIB"),
        two = pem("MIIC"),
    );
    if indented { text } else { text.lines().map(str::trim).collect::<String>().replace(": ", ":") }
}

#[test]
fn the_certificates_of_traefik_are_read_where_its_arguments_say_and_no_key_leaves_the_server() {
    let arguments = "\n--providers.docker\n--certificatesResolvers.LE.acme.email=a@x.test\n\
        --certificatesResolvers.LE.acme.storage=/my certs/acme.json\n--certificatesresolvers.new.acme.storage=/my certs/acme.json\n\
        --certificatesresolvers.lost.acme.tlschallenge\n--certificatesresolvers.odd.acme.storage=/odd\n\
        --certificatesresolvers.tail.tailscale=true\n--entrypoints.http.address=:80\n";
    for indented in [true, false] {
        shells::each(|| {
            let server = server(&[
                ("arguments", arguments),
                ("volume/my certs/acme.json", &acme(indented)),
                ("volume/odd", "KEY"),
            ]);
            let before = all(server.path());
            let (checkup, text) = asked(&server);
            assert_eq!(all(server.path()), before);
            let secret = BASE64_STANDARD.encode("-----BEGIN RSA PRIVATE KEY-----\nSECRET");
            for word in ["SECRET", "KEY", "CHAIN", &secret[..40]] {
                assert!(!text.contains(word), "{word} is in {text}");
            }
            let storage = |resolver: &str, holds, file: &str| Storage {
                resolver: resolver.into(),
                holds,
                file: file.into(),
            };
            assert_eq!(
                checkup.storages,
                [
                    storage("le", Contents::Read, "/my certs/acme.json"),
                    storage("lost", Contents::Empty, "/acme.json"),
                    storage("new", Contents::Read, "/my certs/acme.json"),
                    storage("odd", Contents::Unreadable, "/odd"),
                ]
            );
            let issued = |names: &[&str], text: &str| Issued {
                resolver: "le".into(),
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                text: text.into(),
            };
            assert_eq!(
                checkup.issued,
                [
                    issued(&["shop.test", "www.shop.test", "*.shop.test"], "MIIBMIIB"),
                    issued(&["b.test"], "MIICMIIC"),
                ]
            );
        });
    }
}
