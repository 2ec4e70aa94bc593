//! Runs the scripts of `app exec` under a real `sh`, with a `docker` that records how it was called.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic fails the test.

#[path = "common/shells.rs"]
mod shells;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use bowline_config::secret::Secret;
use bowline_config::{Logging, OptionValue};
use bowline_core::commands::env::SecretEnv;
use bowline_core::commands::exec::{Exec, Missing, Mode, Of, Place};
use bowline_core::commands::status::Status;
use bowline_core::commands::{FAMILY, Scope, app, registry};
use bowline_core::names::Names;
use bowline_core::shell::{Input, Script};
use tempfile::TempDir;

/// `images` prints an id if the file `image` exists. `login` saves its input. `pull` fails if the file `empty` exists.
/// `run` and `exec` last as long as the file `busy` exists, which `stop` removes, and exit with 7.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>calls
case $1 in
images) [ ! -e image ] || echo 1234 ;;
login) cat >password ;;
pull) [ ! -e empty ] ;;
run|exec) while [ -e busy ]; do sleep 0.05; done; cat; exit 7 ;;
stop) rm busy ;;
esac
"#;
const ENV_FILE: &str = ".kamal/apps/app/env/roles/web.exec-f00dca.env";

fn exec(mode: Mode) -> Exec {
    let environment = app::Environment {
        host: "10.0.0.1".into(),
        clear: vec![("CLEAR".into(), "a b".into())],
        secret: SecretEnv::new(vec![
            ("KEY".into(), Secret::new("sentinel secret")),
            ("LINES".into(), Secret::new("one\ntwo")),
        ])
        .unwrap(),
        volumes: vec!["$PWD/data:/data".into()],
        options: vec![
            ("memory".into(), OptionValue::Value("64m".into())),
            ("publish".into(), OptionValue::Value("80:80".into())),
            ("restart".into(), OptionValue::Value("always".into())),
        ],
        logging: Logging::default(),
    };
    let login = registry::Login {
        server: Some("r.test".into()),
        username: Secret::new("u"),
        password: Secret::new("pass word"),
    };
    Exec {
        scope: Scope {
            names: Names::new("app", None),
            run: "f00dcafef00dcafef00dcafef00dcafe".into(),
            performer: "ada".into(),
        },
        of: Of::Role { name: "web".into(), version: "v1".into() },
        place: Place::New {
            image: "r.test/app:v1".into(),
            environment: Box::new(environment),
            missing: Missing::Pull(Some(login)),
        },
        env: vec![("MORE".into(), "1 2".into())],
        words: vec!["echo".into(), "x y".into()],
        mode,
    }
}

fn serving(mode: Mode) -> Exec {
    Exec { place: Place::Serving("app-web-v1".into()), ..exec(mode) }
}

fn server() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let docker = home.path().join("bin/docker");
    shells::link(docker.parent().unwrap());
    std::fs::write(&docker, DOCKER).unwrap();
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
    home
}

fn sh(home: &Path, line: &str) -> Command {
    let mut command = Command::new("sh");
    let path = format!("{}/bin:{}", home.display(), std::env::var("PATH").unwrap());
    command.args(["-c", line]).current_dir(home).env("PATH", path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a script with its own input or, if it has none, with `input`.
fn run(home: &Path, script: &Script, input: &str) -> Output {
    let mut child = sh(home, &script.sent()).spawn().unwrap();
    let input = match &script.input {
        Input::None => input.as_bytes(),
        input => input.expose(),
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn calls(home: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(home.join("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn prepared() -> TempDir {
    let home = server();
    std::fs::write(home.path().join("image"), "").unwrap();
    assert!(run(home.path(), &exec(Mode::Gathered).prepare(), "").status.success());
    home
}

#[test]
fn the_env_file_is_there_before_the_command_and_gone_after_it() {
    shells::each(|| {
        let home = prepared();
        let file = home.path().join(ENV_FILE);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "KEY=sentinel secret\n");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let called = ["images --quiet r.test/app:v1", "network inspect kamal"];
        assert_eq!(calls(home.path()), called, "the image is there");
        assert_eq!(run(home.path(), &exec(Mode::Gathered).script(), "").status.code(), Some(7));
        assert!(!file.exists());
        let audit = std::fs::read_to_string(home.path().join(".kamal/app-audit.log")).unwrap();
        assert!(audit.ends_with("[ada] Executed cmd 'echo x y' on app version v1\n"), "{audit}");
    });
}

#[test]
fn an_image_that_is_not_there_is_pulled_with_a_login() {
    shells::each(|| {
        let home = server();
        let script = exec(Mode::Gathered).prepare();
        assert!(run(home.path(), &script, "").status.success());
        assert_eq!(
            calls(home.path())[1..3],
            ["login --username u --password-stdin r.test", "pull --quiet r.test/app:v1"]
        );
        assert_eq!(std::fs::read_to_string(home.path().join("password")).unwrap(), "pass word\n");
        assert_eq!(std::fs::read_to_string(home.path().join(ENV_FILE)).unwrap(), "KEY=sentinel secret\n");
    });
}

#[test]
fn without_the_image_no_secret_is_left() {
    shells::each(|| {
        let home = server();
        std::fs::write(home.path().join("empty"), "").unwrap();
        let output = run(home.path(), &exec(Mode::Gathered).prepare(), "");
        assert_eq!(output.status.code(), Some(i32::try_from(Status::PullFailed.code()).unwrap()));
        assert!(!home.path().join(ENV_FILE).exists());
    });
}

#[test]
fn only_a_command_that_shall_read_does() {
    shells::each(|| {
        for (mode, read) in [
            (Mode::Gathered, ""),
            (Mode::Raw, ""),
            (Mode::Detached, ""),
            (Mode::Piped, "in\0put"),
            (Mode::Terminal, "in\0put"),
        ] {
            let home = prepared();
            for exec in [exec(mode), serving(mode)] {
                let output = run(home.path(), &exec.script(), "in\0put");
                assert_eq!(String::from_utf8_lossy(&output.stdout), read, "{mode:?}");
                assert_eq!(output.status.code(), Some(7), "{mode:?}");
            }
        }
    });
}

#[test]
fn the_lines_are_those_kamal_would_send() {
    let modes = [Mode::Gathered, Mode::Raw, Mode::Piped, Mode::Terminal, Mode::Detached];
    let commands = modes.map(exec).into_iter().chain([Mode::Gathered, Mode::Terminal].map(serving));
    let lines = commands.map(|exec| {
        let text = exec.script().text;
        let runs = |line: &&str| {
            line.contains("docker run") || line.contains("docker)\" run") || line.starts_with("docker exec -")
        };
        let line = text.lines().rfind(runs).unwrap().replace(" --", "\n  --");
        format!("{:?}\n{line}", exec.mode)
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n\n"));
}

#[test]
fn a_lost_connection_ends_the_new_container() {
    shells::each(|| {
        let home = prepared();
        let home = home.path();
        std::fs::write(home.join("busy"), "").unwrap();
        std::fs::remove_file(home.join("calls")).unwrap();
        // The shell above the script plays the role of sshd's process.
        let sent = exec(Mode::Raw).script().sent();
        let line = format!("{} & wait", sent.strip_prefix("exec ").unwrap());
        let mut sshd = sh(home, &line).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        let wait_for = |what: &str, done: &dyn Fn() -> bool| {
            while !done() {
                assert!(Instant::now() < until, "{what}: {:?}", calls(home));
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        wait_for("the command begins", &|| !calls(home).is_empty());
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(calls(home).len(), 1, "the guard is patient");
        sshd.kill().unwrap();
        sshd.wait().unwrap();
        let name = "app-web-exec-v1-f00dca";
        let hang_up = [format!("kill --signal HUP {name}"), format!("stop -t 5 {name}")];
        wait_for("the command is ended", &|| calls(home).len() >= 3);
        assert_eq!(calls(home)[1..3], hang_up);
        wait_for("no secret is left", &|| !home.join(ENV_FILE).exists());
    });
}

#[test]
fn what_was_started_in_a_container_is_found_by_its_mark_and_ended() {
    shells::each(|| {
        let home = server();
        let exec = serving(Mode::Gathered);
        // `setsid`: children in another session are found as well.
        let mut marked = Command::new("sh")
            .args(["-c", "trap '' HUP; setsid sleep 100 & sleep 100"])
            .env("BOWLINE_EXEC", &exec.scope.run)
            .spawn()
            .unwrap();
        let mut other = Command::new("sleep").arg("100").env("BOWLINE_EXEC", "other").spawn().unwrap();
        run(home.path(), &exec.end(0), "");
        // As root, the script finds the processes from outside. Otherwise it looks inside, through Docker.
        match calls(home.path()).as_slice() {
            [] => assert!(marked.wait().unwrap().code().is_none()),
            [call] => assert!(call.starts_with("exec app-web-v1 sh -c found()"), "{call}"),
            calls => panic!("{calls:?}"),
        }
        assert!(other.try_wait().unwrap().is_none(), "nothing else is ended");
        let _ = (marked.kill(), other.kill(), marked.wait(), other.wait());
    });
}

#[test]
fn commands_that_one_hook_runs_at_once_have_their_own_names() {
    let [one, other] = ["1", "2"].map(|digit| {
        let mut exec = exec(Mode::Gathered);
        exec.scope.run.replace_range(FAMILY.., &digit.repeat(FAMILY));
        exec
    });
    assert_eq!(one.scope.family(), other.scope.family());
    assert_ne!(one.container(), other.container());
    assert_ne!(one.prepare().sent(), other.prepare().sent(), "nor do they share an env file");
}

#[test]
fn an_accessorys_command_has_its_own_names_and_network() {
    shells::each(|| {
        let of = Of::Accessory { name: "db".into(), service: "app-db".into(), network: "data".into() };
        let new = Exec { of: of.clone(), ..exec(Mode::Gathered) };
        assert_eq!(new.container(), "app-db-exec-f00dca");
        let home = server();
        std::fs::write(home.path().join("image"), "").unwrap();
        assert!(run(home.path(), &new.prepare(), "").status.success());
        let file = ".kamal/apps/app/env/accessories/db.exec-f00dca.env";
        assert!(home.path().join(file).exists());
        run(home.path(), &new.script(), "");
        let line = calls(home.path()).into_iter().find(|call| call.starts_with("run")).unwrap();
        assert!(line.starts_with("run --rm --name app-db-exec-f00dca --network data "), "{line}");
        assert!(!line.contains("publish") && !line.contains("restart"), "{line}");
        assert!(!home.path().join(file).exists());

        let serving = Exec { of, ..serving(Mode::Gathered) };
        run(home.path(), &serving.script(), "");
        let audit = std::fs::read_to_string(home.path().join(".kamal/app-audit.log")).unwrap();
        assert_eq!(audit.matches("Executed cmd 'echo x y' on db accessory").count(), 2, "{audit}");
    });
}
