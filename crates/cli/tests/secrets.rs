//! `bowline secrets …` and `bowline config` in a project without servers, with a stub of a vendor's command.

#![allow(clippy::unwrap_used, reason = "a helper of tests stops the test")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use assert_cmd::Command;
use common::Ran;
use tempfile::TempDir;

/// Every character that was ever mangled on the way.
const NASTY: &str = "pa$1wor$D # ' \" \\ \\n `x` $(touch x) {a,b} * é \u{1f511}\nsecond line";

const CONFIG: &str = "service: app\nimage: app\nservers: [192.0.2.1]\nregistry: {username: u, password: [PW]}\n\
                      env: {secret: [DATABASE_URI, 'TOKEN:PW']}\n";

fn project(secrets: &str) -> TempDir {
    common::project(&[("config/deploy.yml", CONFIG), (".kamal/secrets", secrets)])
}

/// Creates a program that records its arguments in `log` and prints the file `answer` next to it.
fn stand_in(directory: &Path, name: &str, answer: &str) {
    let bin = directory.join("bin");
    fs::create_dir_all(&bin).unwrap();
    fs::write(bin.join("answer"), answer).unwrap();
    let text = format!(
        "#!/bin/sh\nhere=${{0%/*}}\necho \"{name} $*\" >> \"$here/log\"\nread -r line && echo \"stdin: $line\" >> \"$here/log\"\ncat \"$here/answer\"\n"
    );
    fs::write(bin.join(name), text).unwrap();
    fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

fn log(directory: &Path) -> String {
    fs::read_to_string(directory.join("bin/log")).unwrap_or_default()
}

fn bowline(directory: &Path, words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bowline"));
    command.args(words).current_dir(directory).env("PATH", path(directory)).env("HOME", directory);
    common::ran(command.write_stdin("standard input of the caller\n"))
}

/// The search path, with the stand-ins first.
fn path(directory: &Path) -> String {
    format!("{}:{}", directory.join("bin").display(), std::env::var("PATH").unwrap())
}

#[test]
fn fetch_and_extract_hand_every_character_on() {
    let directory = project("");
    let here = directory.path();
    let value = serde_json::Value::from(NASTY);
    stand_in(here, "op", &format!(r#"{{"label":"a","reference":"op://V/I/a","value":{value}}}"#));
    let (status, json, err) =
        bowline(here, &["secrets", "fetch", "-a", "1password", "--account", "acc", "--from", "V/I", "a"]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert_eq!(json, format!("{{\"V/I/a\":{value}}}\n"));
    assert_eq!(
        log(here),
        "op --version\nop account get --account acc\nop item get I --vault V --format json --account acc --fields label=a\n",
        "and nothing of our standard input"
    );
    assert_eq!(bowline(here, &["secrets", "extract", "a", &json]), (0, format!("{NASTY}\n"), String::new()));
    let (status, out, err) = bowline(here, &["secrets", "extract", "b", &json]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains("secret `b` was not fetched") && err.contains("fetched: V/I/a"), "{err}");
    let (status, out, _) = bowline(here, &["secrets", "extract", "a", &json, "--json"]);
    assert!(status == 0 && out.contains(&format!("\n{{\"event\":\"result\",\"text\":{value}}}\n")), "{out}");
}

#[test]
fn extract_reads_standard_input() {
    let output = Command::new(env!("CARGO_BIN_EXE_bowline"))
        .args(["secrets", "extract", "A", "-"])
        .write_stdin("{\"x/A\":\"v\\n\"}\n")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "v\n");
}

#[test]
fn wrong_words_are_usage_errors() {
    let directory = project("");
    let cases: &[(&[&str], &str)] = &[
        (&["secrets", "fetch", "A"], "--adapter"),
        (&["secrets", "fetch", "-a", "1password", "A"], "`--account`"),
        (&["secrets", "fetch", "-a", "vault", "A"], "no adapter `vault`"),
        (&["secrets", "fetch", "-a", "doppler", "A"], "--from PROJECT/CONFIG"),
        (&["secrets", "extract", "A"], "JSON"),
        (&["secrets", "extract", "A", "x"], "isn't a JSON object"),
    ];
    for (words, says) in cases {
        let (status, out, err) = bowline(directory.path(), words);
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(says), "{words:?}: {err}");
    }
    let (status, _, err) =
        bowline(directory.path(), &["secrets", "fetch", "-a", "lastpass", "--account", "a", "A"]);
    assert!(
        status == 1 && err.contains("lpass is not installed") && err.contains("https://"),
        "{status} {err}"
    );
}

#[test]
fn print_shows_what_can_be_had() {
    let directory = project(
        "PW='a # b'\nS=$(kamal secrets fetch -a test --account x foo 'b c')\nT=$(kamal secrets extract 'b c' $S)\nU=$NOT_SET_ANYWHERE\nV=$(cat; echo 1)\n",
    );
    let (status, out, err) = bowline(directory.path(), &["secrets", "print"]);
    assert_eq!(out, "PW=a # b\nS={\"foo\":\"oof\",\"b c\":\"c b\"}\nT=c b\nV=1\n");
    assert_eq!(status, 1);
    assert!(err.contains(".kamal/secrets:4:3") && err.contains("$NOT_SET_ANYWHERE"), "{err}");
}

#[test]
fn config_runs_nothing_and_tells_what_is_missing() {
    let directory = project("PW=$(touch ran; echo x)\nDATABASE_URL=hunter2 # a\nnot a line\n");
    let (status, out, err) = bowline(directory.path(), &["config"]);
    assert_eq!(status, 0);
    assert!(out.contains("secret PW") && !directory.path().join("ran").exists(), "{out}");
    insta::assert_snapshot!(err);
    assert_eq!(bowline(directory.path(), &["config", "-q"]).2, "");
}

#[test]
fn a_deploy_without_its_secrets_does_not_begin() {
    let deploy = |secrets: &str| {
        let (status, _, err) = bowline(project(secrets).path(), &["deploy", "--version", "v1"]);
        (status, err)
    };
    let (status, err) = deploy("PW=x\n");
    assert_eq!(status, 2);
    insta::assert_snapshot!(err);
    let fails = "PW=$(echo oops hunter2 >&2; exit 3)\n";
    let (status, err) = deploy(&format!("{fails}DATABASE_URI=1\n"));
    assert_eq!(status, 1);
    let failed = |err: &str| err.contains(".kamal/secrets:1:4") && err.contains("exit code 3");
    assert!(failed(&err), "{err}");
    // Everything that is wrong is in one report.
    let (status, err) = deploy(fails);
    assert_eq!(status, 2);
    assert!(failed(&err) && err.contains("no secrets file defines `DATABASE_URI`"), "{err}");
}

/// `script` provides a terminal. Its standard input is what the user types.
#[test]
fn a_vault_that_asks_has_the_terminal() {
    if !Path::new("/usr/bin/script").exists() {
        assert!(std::env::var_os("CI").is_none(), "the tests want `script` of util-linux");
        return;
    }
    let directory = project("");
    let here = directory.path();
    fs::create_dir_all(here.join("bin")).unwrap();
    let op = "#!/bin/sh\ncase \"$1 $2\" in\n'account get') exit 1;;\nsignin*) printf 'Password? ' >&2; stty -echo; read -r answer; stty echo; [ \"$answer\" = sesame ] && echo token;;\n\
        'item get') echo '{\"label\":\"a\",\"reference\":\"op://V/I/a\",\"value\":\"'\"$*\"'\"}';;\nesac\n";
    fs::write(here.join("bin/op"), op).unwrap();
    fs::set_permissions(here.join("bin/op"), fs::Permissions::from_mode(0o755)).unwrap();
    let bowline = env!("CARGO_BIN_EXE_bowline");
    let line = format!("{bowline} secrets fetch -a 1password --account acc V/I/a");
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(here)
        .env("PATH", path(here))
        .write_stdin("sesame\n")
        .timeout(std::time::Duration::from_secs(20))
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("Password? ") && shown.contains("--session token"), "{shown}");
    assert!(output.status.success(), "{shown}");
}
