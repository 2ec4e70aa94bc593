//! How a server gets an image from the run itself: by a login of that pull alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use bowline_config::secret::Secret;
use bowline_core::commands::registry::{Receive, Served, Way};
use bowline_core::commands::status::Status;

use super::*;

/// Says what it is asked, and keeps the configuration that a pull is done with. `fails` is a file.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>asked
case $* in
"--config "*) cat "$2/config.json" >config; stat -c %a "$2" "$2/config.json" >modes; ls "$2/contexts" >contexts; [ ! -e fails ] ;;
"context inspect"*) echo rootless ;;
"image ls"*) echo localhost:1/bowline/app-app-staging:v0; echo localhost:40000/bowline/app-app-staging:v1 ;;
"image inspect --format"*) echo sha256:1f app ;;
esac
"#;

fn receive(home: &Path, way: Way) -> Output {
    let receive =
        Receive { scope: scope("f00d"), locked: true, image: "me/app:v1".into(), version: "v1".into(), way };
    fs::write(home.join("bin/docker"), DOCKER).unwrap();
    fs::create_dir_all(home.join(".docker/contexts/meta")).unwrap();
    assert!(sh(home, &scope("f00d").claim()).status().unwrap().success());
    let script = receive.script();
    let mut command = sh(home, &script.sent());
    command.env("HOME", home).env_remove("DOCKER_CONFIG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.input.expose()).unwrap();
    child.wait_with_output().unwrap()
}

fn pull() -> Way {
    Way::Pull(Served { port: 40_000, auth: Secret::new("c2VjcmV0") })
}

#[test]
fn a_pull_has_a_login_of_its_own_and_leaves_no_name_but_the_images() {
    shells::each(|| {
        let home = server();
        let read = |name: &str| fs::read_to_string(home.path().join(name)).unwrap_or_default();
        let ended = receive(home.path(), pull());
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(ended.status.success() && said.contains("@image sha256:1f\n"), "{ended:?}");
        let config = r#"{"auths":{"localhost:40000":{"auth":"c2VjcmV0"}},"currentContext":"rootless"}"#;
        assert_eq!(read("config").trim_end(), config);
        assert_eq!(read("modes"), "700\n600\n");
        assert_eq!(read("contexts"), "meta\n");
        let asked = read("asked");
        let directory = asked.split_once("--config ").and_then(|(_, rest)| rest.split_once(' ')).unwrap().0;
        assert!(!Path::new(directory).exists(), "{directory} is left");
        let expected = format!(
            "context inspect --format {{{{.Name}}}}\n\
             --config {directory} pull --quiet localhost:40000/bowline/app-app-staging:v1\n\
             tag localhost:40000/bowline/app-app-staging:v1 me/app:v1\n\
             image ls --filter reference=localhost:*/bowline/app-app-staging --format {{{{.Repository}}}}:{{{{.Tag}}}}\n\
             rmi localhost:1/bowline/app-app-staging:v0 localhost:40000/bowline/app-app-staging:v1\n\
             image inspect --format {{{{.ID}}}} {{{{.Config.Labels.service}}}} me/app:v1\n"
        );
        assert_eq!(asked, expected);
        assert_eq!(read(".kamal/apps/app-staging/pulled"), "me/app:v1\n");
        assert!(fs::metadata(home.path().join(".docker")).unwrap().permissions().mode() & 0o700 == 0o700);
        assert!(!home.path().join(".docker/config.json").exists(), "it is no login of this user");
    });
}

#[test]
fn a_pull_that_fails_leaves_nothing_either() {
    shells::each(|| {
        let home = server();
        fs::write(home.path().join("fails"), "").unwrap();
        let ended = receive(home.path(), pull());
        assert_eq!(
            ended.status.code(),
            Some(i32::try_from(Status::NotReceived.code()).unwrap()),
            "{ended:?}"
        );
        let asked = fs::read_to_string(home.path().join("asked")).unwrap();
        let directory = asked.split_once("--config ").and_then(|(_, rest)| rest.split_once(' ')).unwrap().0;
        assert!(!Path::new(directory).exists(), "{directory} is left");
        assert!(asked.lines().all(|line| !line.starts_with("tag")), "{asked}");
    });
}
