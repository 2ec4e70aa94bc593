//! Bad input: each fault gives one clear message with the place or server and what to do, the documented exit code,
//! and changes nothing.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Ran, Sandbox, run};

fn project(name: &str) -> (Project, Lease) {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    (Project::new(sandbox, &lease, name), lease)
}

/// Asserts that the run failed with this code and one error message, and left the servers alone.
#[track_caller]
fn refused(project: &Project, lease: &Lease, ran: &Ran, code: i32, says: &[&str]) {
    ran.exits(code);
    for text in says {
        ran.says(text);
    }
    assert_eq!(
        ran.stderr.matches("error:").count() + ran.stderr.matches("error[").count(),
        1,
        "one message\n{ran}"
    );
    ran.never_says("panicked").never_says(&Sandbox::get().registry_password);
    for server in lease.iter() {
        expect::untouched(project, server);
    }
}

#[test]
fn a_missing_configuration_file_is_named() {
    let (project, lease) = project("no-file");
    let ran = project.run_as_is(&["deploy", "--version", "v1"]);
    refused(&project, &lease, &ran, 2, &["config/deploy.yml"]);
    project.write_config();
    let ran = project.run_as_is(&["deploy", "--version", "v1", "-d", "staging"]);
    refused(&project, &lease, &ran, 2, &["config/deploy.staging.yml"]);
}

#[test]
fn a_yaml_error_shows_the_line() {
    let (project, lease) = project("no-yaml");
    project.write_config();
    let text = std::fs::read_to_string(project.path().join("config/deploy.yml")).unwrap();
    let lines = text.lines().count();
    project.write("config/deploy.yml", &format!("{text}labels: [a, b\nvolumes: {{\n"));
    let ran = project.run_as_is(&["deploy", "--version", "v1"]);
    refused(&project, &lease, &ran, 2, &["config/deploy.yml:", "help:"]);
    let place = |n: usize| ran.stderr.contains(&format!("config/deploy.yml:{n}:"));
    assert!((lines + 1..=lines + 3).any(place), "{ran}");
}

#[test]
fn an_unknown_key_shows_its_line_and_what_was_meant() {
    let (mut project, lease) = project("no-key");
    project.set("healthcheck", "\n  path: /up\n  intervall: 2s");
    let ran = project.bowline(&["deploy", "--version", "v1"]);
    let text = std::fs::read_to_string(project.path().join("config/deploy.yml")).unwrap();
    let line = text.lines().position(|line| line.contains("intervall")).unwrap() + 1;
    refused(&project, &lease, &ran, 2, &[&format!("config/deploy.yml:{line}:"), "intervall", "`interval`"]);
}

#[test]
fn a_wrong_type_shows_its_line_and_what_is_wanted() {
    let (mut project, lease) = project("no-type");
    project.set("retain_containers", "many");
    let ran = project.bowline(&["deploy", "--version", "v1"]);
    refused(&project, &lease, &ran, 2, &["config/deploy.yml:", "retain_containers", "many"]);
}

#[test]
fn a_host_that_does_not_exist_is_named() {
    let (mut project, lease) = project("no-host");
    project.set("servers", "\n  - no-such-host.invalid");
    let ran = project.bowline(&["deploy", "--version", "v1"]);
    refused(&project, &lease, &ran, 4, &["no-such-host.invalid", "hint:"]);
}

#[test]
fn a_refused_connection_is_told_with_the_server_and_the_port() {
    let (mut project, lease) = project("refused");
    let key = Sandbox::get().ssh_key.display();
    project.set("ssh", &format!("\n  port: 2\n  keys_only: true\n  keys:\n    - {key}"));
    let ran = project.bowline(&["deploy", "--version", "v1"]);
    refused(&project, &lease, &ran, 4, &[&lease[0].address, "refused", "hint:"]);
}

#[test]
fn a_wrong_key_is_told_with_the_server_and_the_user() {
    let (mut project, lease) = project("wrong-key");
    let key = project.path().join("wrong");
    run(std::process::Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key))
        .ok();
    project.set("ssh", &format!("\n  user: root\n  keys_only: true\n  keys:\n    - {}", key.display()));
    let ran = project.bowline(&["deploy", "--version", "v1"]);
    refused(&project, &lease, &ran, 4, &[&lease[0].address, "root", "hint:"]);
}

#[test]
fn a_missing_key_file_is_named() {
    let (mut project, lease) = project("no-key-file");
    project.set("ssh", "\n  user: root\n  keys_only: true\n  keys:\n    - /nowhere/id_ed25519");
    let ran = project.bowline(&["deploy", "--version", "v1"]);
    ran.says("/nowhere/id_ed25519");
    assert!(matches!(ran.code, Some(2 | 4)), "{ran}");
    expect::untouched(&project, &lease[0]);
}

#[test]
fn a_missing_secret_is_named_with_the_file_it_belongs_in() {
    let (mut project, lease) = project("no-secret");
    project.set("env", "\n  secret:\n    - API_TOKEN");
    let ran = project.bowline(&["deploy", "--version", "v1"]);
    refused(&project, &lease, &ran, 2, &["API_TOKEN", "config/deploy.yml:", ".kamal/secrets", "help:"]);
    project.unset("env").forget_secret("KAMAL_REGISTRY_PASSWORD");
    let ran = project.bowline(&["deploy", "--version", "v1"]);
    refused(&project, &lease, &ran, 2, &["KAMAL_REGISTRY_PASSWORD", ".kamal/secrets"]);
}

#[test]
fn a_missing_image_is_told_with_the_server_and_nothing_is_booted() {
    let (project, lease) = project("no-image");
    let ran = project.bowline(&["deploy", "--skip-push", "--version", "v9"]);
    ran.exits(1).says(&lease[0].address).says("v9").says("hint:").says("--skip-push");
    assert_eq!(lease[0].run("docker ps -aq").stdout, "", "{ran}");
    expect::unlocked(&project, &lease[0]);
}

#[test]
fn a_refused_registry_login_is_told_here_and_on_the_servers() {
    let (mut project, lease) = project("no-login");
    project.secret("KAMAL_REGISTRY_PASSWORD", "not-the-password");
    let ran = project.bowline(&["deploy", "--version", "v1"]);
    ran.never_says("not-the-password");
    refused(&project, &lease, &ran, 1, &["login", &Sandbox::get().registry, "hint:"]);
    let ran = project.bowline(&["deploy", "--skip-push", "--version", "v1"]);
    ran.exits(1).says(&lease[0].address).says("login").says("hint:").never_says("not-the-password");
    assert_eq!(lease[0].run("docker ps -aq").stdout, "", "{ran}");
    expect::unlocked(&project, &lease[0]);
}

#[test]
fn a_build_that_fails_shows_why_and_touches_no_server() {
    let (project, lease) = project("no-build");
    project.write_config();
    project.write("app/Dockerfile", "FROM scratch\nCOPY no-such-file /\n");
    let ran = project.run_as_is(&["deploy", "--version", "v1"]);
    refused(&project, &lease, &ran, 1, &["build failed", "no-such-file"]);
}

#[test]
fn a_hook_that_fails_ends_the_deploy_before_anything_is_booted() {
    let (mut project, lease) = project("no-hook");
    project.deploy("v1").ok();
    project
        .hook("pre-deploy", "#!/bin/sh\necho \"not on a Friday: $KAMAL_VERSION to $KAMAL_HOSTS\"\nexit 1\n");
    let ran = project.deploy("v2");
    ran.exits(1).says("pre-deploy").says(&format!("not on a Friday: v2 to {}", lease[0].address));
    expect::runs(&project, &lease[0], &[("web", "v1")]);
    assert_eq!(lease[0].containers(&project.service).len(), 1, "{ran}");
    expect::unlocked(&project, &lease[0]);
    project.build_arg("VERSION", "v2");
    project.bowline(&["deploy", "-H", "--version", "v2"]).ok();
    expect::runs(&project, &lease[0], &[("web", "v2")]);
}

#[test]
fn no_version_and_an_impossible_version_are_told() {
    let (project, lease) = project("no-version");
    let ran = project.bowline(&["deploy"]);
    refused(&project, &lease, &ran, 2, &["version", "--version"]);
    let ran = project.bowline(&["deploy", "--version", "a b"]);
    refused(&project, &lease, &ran, 2, &["`a b`"]);
}

#[test]
fn wrong_words_on_the_command_line_are_told() {
    let (project, lease) = project("no-such-word");
    let ran = project.bowline(&["deply"]);
    refused(&project, &lease, &ran, 2, &["deply", "deploy"]);
    let ran = project.bowline(&["deploy", "--hosts", "10.9.9.9", "--version", "v1"]);
    refused(&project, &lease, &ran, 2, &["10.9.9.9"]);
}
