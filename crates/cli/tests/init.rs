//! `bowline init` and the project that it creates.

#![allow(clippy::unwrap_used, reason = "a helper of tests stops the test")]

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{bowline, project};

#[test]
fn a_new_project_is_accepted_at_once() {
    let directory = project(&[("My App/Dockerfile", "FROM scratch\nEXPOSE 8080\n")]);
    let place = directory.path().join("My App");
    let (status, out, err) = bowline(&place, &[], &["init", "--bundle"]);
    assert_eq!(status, 0, "{err}");
    insta::assert_snapshot!("init", format!("{out}{err}"));
    let hook = place.join(".kamal/hooks/pre-connect.sample");
    assert_eq!(std::fs::metadata(hook).unwrap().permissions().mode() & 0o100, 0o100);
    let (status, out, err) = bowline(&place, &[], &["config"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.starts_with("service: my-app\n") && out.contains("\nrepository: my-app\n"), "{out}");
    assert!(out.contains("app_port: 8080"), "{out}");
}

#[test]
fn a_new_project_can_have_traefik() {
    let directory = project(&[("Dockerfile", "FROM scratch\nEXPOSE 8080\n")]);
    let (status, out, err) = bowline(directory.path(), &[], &["init", "--traefik"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.contains(".kamal/hooks/pre-traefik-reboot.sample"), "{out}");
    let (status, out, err) = bowline(directory.path(), &[], &["config"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.contains("http://localhost:8080/up"), "{out}");
}

#[test]
fn what_is_there_is_left_as_it_is_each_file_by_itself() {
    let directory = project(&[("config/deploy.yml", "mine"), (".kamal/hooks/pre-build", "#!/bin/sh\n")]);
    let read = |path: &str| std::fs::read_to_string(directory.path().join(path)).ok();
    let (status, out, _) = bowline(directory.path(), &[], &["init"]);
    assert_eq!(status, 0);
    insta::assert_snapshot!("init_kept", out);
    assert_eq!(read("config/deploy.yml").unwrap(), "mine");
    assert!(read(".kamal/secrets").unwrap().contains("\n#KAMAL_REGISTRY_PASSWORD="));
    assert_eq!(read(".kamal/hooks/pre-connect.sample"), None);
    let (status, out, err) = bowline(directory.path(), &[], &["init", "-q", "-c", "other/app.yml"]);
    assert_eq!((status, out + &err), (0, String::new()));
    assert!(read("other/app.yml").unwrap().contains("\nservice: "));
}

#[test]
fn what_cannot_be_written_is_told() {
    let directory = project(&[("config", "a file")]);
    let (status, _, err) = bowline(directory.path(), &[], &["init"]);
    assert_eq!(status, 1);
    assert!(
        err.starts_with("error: writing config/deploy.yml failed\n  can't write config/deploy.yml: "),
        "{err}"
    );
}
