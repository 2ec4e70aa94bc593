//! Every value reaches its place unchanged: scripts with generated strings in all places, run by real shells, with a
//! `docker` that records its arguments.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic fails the test.

#[path = "common/shells.rs"]
mod shells;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use bowline_config::secret::Secret;
use bowline_config::{Logging, OptionValue, SourceFile, Traefik, load};
use bowline_core::commands::env::{SecretEnv, Unfit};
use bowline_core::commands::{Scope, app, exec};
use bowline_core::names::Names;
use bowline_core::proxy::traefik::container as traefik;
use bowline_core::shell::{Input, Script};
use proptest::prelude::*;

/// Records its arguments and environment when it runs a container, and the env file at that moment.
const DOCKER: &str = r#"#!/bin/sh
case $1 in run|exec|create) ;; images) echo id; exit ;; container) [ "$2" = ls ]; exit ;; *) exit 1 ;; esac
printf '%s\0' "$@" > args
env -0 > env
for word; do [ "$before" != --env-file ] || cat "$word" > env-file; before=$word; done
echo id
"#;

/// Strings with a special meaning in shells and in Docker, and common mistakes.
const PIECES: &[&str] = &[
    "$(touch hacked)",
    "`touch hacked`",
    "; touch hacked #",
    "&& touch hacked",
    "\n",
    "\r",
    "\t",
    " ",
    "'",
    "\"",
    "\\",
    "\\n",
    "$",
    "$HOME",
    "$1",
    "${",
    "}",
    "-",
    "--env",
    "=",
    ":",
    "#",
    "!",
    "!!",
    "~/",
    "*",
    "?",
    "[a]",
    "{a,b}",
    "<EOF",
    "|",
    "é",
    "日本",
    "\u{1F600}",
    "\u{feff}",
    "\u{7f}",
    "\u{1b}[31m",
    "\u{2028}",
    "%s",
    "%",
    "@id",
    "EOF",
];

fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(PIECES).prop_map(str::to_owned),
        1 => "[^\0]{1,4}",
        1 => "[a-z]{1,3}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// A value in the configuration, without `${NAME}`, which the server would expand.
fn value() -> impl Strategy<Value = String> {
    any_text().prop_map(|text| text.replace("${", "$ {"))
}

/// The path of a file, without other characters that are special in paths: variables, `~/` and colons.
fn path() -> impl Strategy<Value = String> {
    any_text().prop_map(|text| format!("/srv/{}", text.replace(['$', ':'], "_")))
}

#[derive(Debug, Clone)]
struct Case {
    clear: Vec<String>,
    secret: Vec<String>,
    labels: Vec<String>,
    options: Vec<String>,
    volumes: Vec<String>,
    words: Vec<String>,
}

fn case() -> impl Strategy<Value = Case> {
    let several = || prop::collection::vec(value(), 1..6);
    let secrets = prop::collection::vec(any_text(), 0..6);
    (several(), secrets, several(), several(), prop::collection::vec(path(), 1..4), several()).prop_map(
        |(clear, secret, labels, options, volumes, words)| Case {
            clear,
            secret,
            labels,
            options,
            volumes,
            words,
        },
    )
}

fn named(prefix: &str, values: &[String]) -> Vec<(String, String)> {
    values.iter().enumerate().map(|(n, value)| (format!("{prefix}{n}"), value.clone())).collect()
}

fn secrets(prefix: &str, values: &[String]) -> SecretEnv {
    let secret = |(name, value): (String, String)| (name, Secret::new(value));
    SecretEnv::new(named(prefix, values).into_iter().map(secret).collect()).unwrap()
}

impl Case {
    fn scope(&self) -> Scope {
        Scope { names: Names::new("app", None), run: "f00d".repeat(8), performer: self.clear[0].clone() }
    }

    fn environment(&self) -> app::Environment {
        app::Environment {
            host: "h".into(),
            clear: named("CLEAR", &self.clear),
            secret: secrets("SECRET", &self.secret),
            volumes: self.volumes.clone(),
            options: vec![("label".into(), OptionValue::List(self.options.clone()))],
            logging: Logging::default(),
        }
    }

    fn boot(&self) -> app::Boot {
        app::Boot {
            ready: bowline_core::commands::ready::Ready::Healthy,
            scope: self.scope(),
            role: "web".into(),
            version: "v1".into(),
            image: "image".into(),
            environment: self.environment(),
            labels: named("label", &self.labels),
            made: Default::default(),
            cmd: Some(shlex::try_join(self.words.iter().map(String::as_str)).unwrap()),
            health: None,
            cord: None,
            assets: None,
            timeout: 1,
            readiness_delay: 0,
        }
    }

    fn exec(&self) -> exec::Exec {
        exec::Exec {
            scope: self.scope(),
            of: exec::Of::Role { name: "web".into(), version: "v1".into() },
            place: exec::Place::New {
                image: "image".into(),
                environment: Box::new(self.environment()),
                missing: exec::Missing::Pull(None),
            },
            env: named("EXTRA", &self.clear),
            words: self.words.clone(),
            mode: exec::Mode::Gathered,
        }
    }

    fn variables(&self) -> BTreeMap<String, String> {
        named("CLEAR", &self.clear).into_iter().chain(named("SECRET", &self.secret)).collect()
    }
}

struct Given {
    args: Vec<String>,
    variables: BTreeMap<String, String>,
}

impl Given {
    fn to(home: &Path, script: &Script) -> Self {
        let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap());
        let mut child = Command::new("sh")
            .args(["-c", &script.sent()])
            .current_dir(home)
            .env_clear()
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        if let Input::Secret(input) = &script.input {
            stdin.write_all(input.expose().as_bytes()).unwrap();
        }
        drop(stdin);
        let said = child.wait_with_output().unwrap().stderr;
        let read = |name: &str| match fs::read(home.join(name)) {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(_) => panic!("docker was not run: {}", String::from_utf8_lossy(&said)),
        };
        let args = read("args").split_terminator('\0').map(str::to_owned).collect::<Vec<_>>();
        let environment = read("env");
        let environment: BTreeMap<&str, &str> =
            environment.split_terminator('\0').filter_map(|line| line.split_once('=')).collect();
        let variables = variables(&args, &environment, &read("env-file"));
        Self { args, variables }
    }

    fn all(&self, flag: &str) -> Vec<&str> {
        docker_s(&self.args).windows(2).filter(|pair| pair[0] == flag).map(|pair| pair[1].as_str()).collect()
    }

    fn after(&self, word: &str) -> &[String] {
        let at = self.args.iter().position(|known| known == word).unwrap();
        &self.args[at + 1..]
    }
}

/// Docker's own arguments. Those after the image are the app's, and may look the same.
fn docker_s(args: &[String]) -> &[String] {
    args.iter().position(|arg| arg == "image").map_or(args, |at| &args[..at])
}

/// The variables that Docker derives from its arguments: first the env file's lines, then `--env`, which it looks up in
/// the environment if there is no value.
fn variables(args: &[String], environment: &BTreeMap<&str, &str>, file: &str) -> BTreeMap<String, String> {
    let lines = file.split_terminator('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).trim_start());
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut variables: BTreeMap<String, String> = lines
        .map(|line| line.split_once('=').unwrap())
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    for pair in docker_s(args).windows(2).filter(|pair| pair[0] == "--env") {
        let (name, value) =
            pair[1].split_once('=').unwrap_or_else(|| (&pair[1], environment[pair[1].as_str()]));
        variables.insert(name.into(), value.into());
    }
    variables.retain(|name, _| !name.starts_with("KAMAL_"));
    variables
}

fn server() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    shells::link(&home.path().join("bin"));
    for (program, text) in [("docker", DOCKER), ("sleep", "#!/bin/sh\n")] {
        let program = home.path().join("bin").join(program);
        fs::write(&program, text).unwrap();
        assert!(Command::new("chmod").arg("+x").arg(&program).status().unwrap().success());
    }
    home
}

/// All files that the script left, inside and outside of `.kamal`.
fn left(home: &Path) -> String {
    let found = Command::new("find").args([".", "-type", "f"]).current_dir(home).output().unwrap().stdout;
    let mut files: Vec<String> = String::from_utf8(found).unwrap().lines().map(str::to_owned).collect();
    files.retain(|file| {
        !["./args", "./env", "./env-file"].contains(&file.as_str()) && !file.starts_with("./bin/")
    });
    files.sort();
    files.join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn a_container_is_run_with_every_value_as_it_is(case in case()) {
        for _ in shells::all() {
            let home = server();
            assert!(Command::new("sh").args(["-c", &case.scope().claim()]).current_dir(&home).status().unwrap().success());
            let given = Given::to(home.path(), &case.boot().script());
            prop_assert_eq!(&given.variables, &case.variables());
            let labels = named("label", &case.labels).into_iter().map(|(key, value)| match value.as_str() {
                "" => key,
                value => format!("{key}={value}"),
            });
            prop_assert_eq!(given.all("--label"), labels.collect::<Vec<_>>());
            let options: Vec<&str> = given.args.iter().filter_map(|word| word.strip_prefix("--label=")).collect();
            prop_assert_eq!(options, case.options.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(given.all("--volume"), case.volumes.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(given.after("image"), &case.words);
            let left = left(home.path());
            prop_assert_eq!(left, "./.kamal/app-audit.log ./.kamal/apps/app/env/roles/web.env ./.kamal/apps/app/run");
        }
    }

    #[test]
    fn a_command_is_run_with_every_value_as_it_is(case in case()) {
        for _ in shells::all() {
            let home = server();
            let prepare = case.exec().prepare();
            // This `docker` fails to create networks, and doesn't run anything yet.
            let script = Script {
                text: format!("{}\n{}", prepare.text.replace("docker network", "true network"), case.exec().script().text),
                ..prepare
            };
            let given = Given::to(home.path(), &script);
            let mut expected = case.variables();
            expected.extend(named("EXTRA", &case.clear));
            prop_assert_eq!(&given.variables, &expected);
            prop_assert_eq!(given.after("image"), &case.words);
            prop_assert_eq!(left(home.path()), "./.kamal/app-audit.log", "no env file stays");
        }
    }

    #[test]
    fn traefik_gets_its_secrets_as_they_are(values in prop::collection::vec(any_text(), 0..4)) {
        for _ in shells::all() {
        let home = server();
        let scope = Scope { names: Names::new("app", None), run: "f00d".into(), performer: "me".into() };
        assert!(Command::new("sh").args(["-c", &scope.claim()]).current_dir(&home).status().unwrap().success());
        let ensure = traefik::Ensure {
            scope,
            traefik: Traefik::default(),
            secret: secrets("S", &values),
            logging: Logging::default(),
        };
        for script in [ensure.script(), traefik::Replace { ensure: ensure.clone() }.script()] {
            // This `docker` fails to create networks.
            let script = Script { text: script.text.replace("docker network", "true network"), ..script };
            let given = Given::to(home.path(), &script);
            prop_assert_eq!(given.variables, named("S", &values).into_iter().collect::<BTreeMap<_, _>>());
            let left = left(home.path()).replace("./.kamal/app-audit.log ", "");
            prop_assert_eq!(left, "./.kamal/apps/app/run ./.kamal/env/traefik/traefik.env");
        }
        }
    }

    /// From the text of the file, with common quoting, to the words of the command.
    #[test]
    fn a_value_in_the_file_is_the_value_in_the_configuration(value in any_text()) {
        let quoted = value.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect::<String>();
        let text = format!("service: a\nimage: i\nservers: [h]\nregistry: {{username: u, password: p}}\nenv: {{A: \"{quoted}\"}}\n");
        let config = load(SourceFile::new("f", text), None).unwrap().config;
        prop_assert_eq!(config.env.clear().collect::<Vec<_>>(), [("A", value.as_str())]);
    }
}

#[test]
fn a_secret_that_a_line_can_not_hold_never_becomes_the_servers_variable() {
    shells::each(|| {
        let home = server();
        let values = ["line one\nline two".to_owned(), "plain".into()];
        let case = Case {
            clear: vec!["${SECRET0} ${HOME_OF_NOBODY}".into(), "${SECRET1}".into()],
            secret: values.to_vec(),
            labels: vec!["${SECRET0}".into()],
            options: vec!["${SECRET0}".into()],
            volumes: vec!["$SECRET0:/x".into()],
            words: vec!["sh".into()],
        };
        assert!(
            Command::new("sh")
                .args(["-c", &case.scope().claim()])
                .current_dir(&home)
                .status()
                .unwrap()
                .success()
        );
        let given = Given::to(home.path(), &case.boot().script());
        assert_eq!(given.variables["SECRET0"], values[0]);
        assert!(given.args.iter().all(|word| !word.contains("line one")), "{:?}", given.args);
    });
}

#[test]
fn what_can_not_reach_a_container_is_told() {
    let unfit =
        |name: &str, value: &str| SecretEnv::new(vec![(name.into(), Secret::new(value))]).unwrap_err();
    assert_eq!(unfit("A", "a\0b"), Unfit::Nul("A".into()));
    assert_eq!(unfit("A", &"x".repeat(128 * 1024 - 2)), Unfit::Long("A".into()));
    for name in ["a.b", "A-B", "1A", "PATH", "HOME", "DOCKER_HOST", "LD_PRELOAD", "IFS", "BASH_ENV", "é"] {
        assert_eq!(unfit(name, "a\nb"), Unfit::Name(name.into()));
        assert!(SecretEnv::new(vec![(name.into(), Secret::new("a b"))]).is_ok(), "a line can hold it");
    }
    assert!(SecretEnv::new(vec![("A".into(), Secret::new("x".repeat(128 * 1024 - 3)))]).is_ok());
}
