//! The scripts as a real `sh` reads them: every one is well-formed, whatever the configuration holds, and the
//! lock's keeper, which needs no Docker, does what it says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test that can't go on has failed.

#[path = "scripts/secrets.rs"]
mod secrets;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use bowline_config::secret::{Secret, SecretBytes};
use bowline_config::{AssetPath, Logging, OptionValue, Traefik};
use bowline_core::commands::env::{self, SecretEnv};
use bowline_core::commands::exec::{Exec, Mode, Of, Place};
use bowline_core::commands::serving::{Check, Serving};
use bowline_core::commands::{
    Action, Scope, accessory, app, assets, lock, network, observe, prune, registry, remove, server,
};
use bowline_core::names::Names;
use bowline_core::plan::step::Step;
use bowline_core::proxy::traefik::{self, container, trouble};
use bowline_core::proxy::{self, cord};
use bowline_core::shell::{Input, Script};

/// Text that would do harm wherever a shell took it for code.
const HOSTILE: &str = "a'b\"c$(touch hacked)`touch hacked`;touch hacked #\\";

fn scope(run: &str) -> Scope {
    Scope { names: Names::new("app", Some("staging")), run: run.into(), performer: HOSTILE.into() }
}

/// One that an env file can hold, and one that it can't.
fn secrets() -> SecretEnv {
    let secret = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
    SecretEnv::new(vec![secret("KEY", "sentinel-secret"), secret("PEM", "sentinel-secret\nline two")])
        .unwrap()
}

fn environment() -> app::Environment {
    app::Environment {
        host: "10.0.0.1".into(),
        clear: vec![("CLEAR".into(), HOSTILE.into())],
        secret: secrets(),
        volumes: vec!["$PWD/data:/data".into(), HOSTILE.into()],
        options: vec![
            ("memory".into(), OptionValue::Value("512m".into())),
            ("init".into(), OptionValue::Flag),
            ("dns".into(), OptionValue::List(vec!["1.1.1.1".into(), HOSTILE.into()])),
        ],
        logging: Logging {
            driver: Some("json-file".into()),
            options: vec![("max-size".into(), "1m".into())],
        },
    }
}

fn boot() -> app::Boot {
    app::Boot {
        scope: scope("0123456789abcdef0123456789abcdef"),
        role: "web".into(),
        version: "v1".into(),
        image: "r.test/app:v1".into(),
        environment: environment(),
        labels: vec![
            ("service".into(), "app".into()),
            ("destination".into(), String::new()),
            ("x".into(), HOSTILE.into()),
        ],
        made: Secret::new("bowline.config=sentinel-secret"),
        cmd: Some("bin/server --name 'a b' $(touch hacked)".into()),
        health: Some(app::HealthFlags { cmd: HOSTILE.into(), interval_ms: 1000, quick_start_s: Some(30) }),
        cord: Some("/tmp/kamal-cord".into()),
        assets: Some(AssetPath { path: "/app/public/assets".into(), mount_options: Some("ro".into()) }),
        timeout: 30,
        readiness_delay: 7,
    }
}

fn serving() -> Serving {
    Serving { id: HOSTILE.into(), restarts: Some(0) }
}

fn all_steps() -> Vec<Step> {
    let scope = scope("f00d");
    let names = scope.names.clone();
    let run = |script| Step::Run("a script", script);
    let remove = |what| Step::Remove(remove::Remove { scope: scope.clone(), what });
    let mut steps = vec![
        Step::Observe(observe::Observe { scope: scope.clone(), repository: HOSTILE.into(), claim: true }),
        Step::Lock(lock::Keep { scope: scope.clone(), details: HOSTILE.into() }),
        Step::Pull(registry::Pull {
            scope: scope.clone(),
            locked: true,
            login: Some(login()),
            image: HOSTILE.into(),
            version: HOSTILE.into(),
        }),
        run(registry::login(&login())),
        run(registry::logout(Some(HOSTILE))),
        run(registry::mirror()),
        of_traefik(traefik::Step::Ensure(Box::new(container::Ensure {
            scope: scope.clone(),
            traefik: Traefik { labels: vec![(HOSTILE.into(), HOSTILE.into())], ..Traefik::default() },
            secret: secrets(),
            logging: Logging::default(),
            host: "10.0.0.1".into(),
        }))),
        of_traefik(traefik::Step::Settle(container::Settle {
            scope: scope.clone(),
            verdict: container::Verdict::Stays,
            restart: None,
        })),
        of_traefik(traefik::Step::Settle(container::Settle {
            scope: scope.clone(),
            verdict: container::Verdict::GivesWay,
            restart: Some(HOSTILE.into()),
        })),
        run(trouble::explain()),
        Step::Network(network::Network { scope: scope.clone() }),
        Step::Assets(assets::Prepare {
            scope: scope.clone(),
            role: "web".into(),
            image: HOSTILE.into(),
            version: "v2".into(),
            path: AssetPath { path: HOSTILE.into(), mount_options: None },
            running: vec![assets::Running {
                image: HOSTILE.into(),
                volume: Some(assets::Volume { directory: HOSTILE.into(), at: HOSTILE.into() }),
            }],
            in_use: true,
        }),
        Step::Boot(Box::new(boot())),
        Step::Find(boot().find()),
        of_traefik(traefik::Step::Cut(cord::Cut {
            scope: scope.clone(),
            name: HOSTILE.into(),
            id: HOSTILE.into(),
            directory: HOSTILE.into(),
            timeout: 9,
            instead: Some(serving()),
        })),
        Step::Check(Check {
            scope: scope.clone(),
            name: HOSTILE.into(),
            serving: serving(),
            network: HOSTILE.into(),
            timeout: 1,
            readiness_delay: 1,
        }),
        Step::Stop(app::Stop {
            scope: scope.clone(),
            role: "web".into(),
            name: HOSTILE.into(),
            id: HOSTILE.into(),
            drain: Some(30),
            stop_wait: Some(5),
            cord: Some(HOSTILE.into()),
            if_healthy: app::IfHealthy::Leave,
            instead: Some(serving()),
        }),
        Step::Tag(app::Tag {
            scope: scope.clone(),
            image: HOSTILE.into(),
            latest: HOSTILE.into(),
            version: HOSTILE.into(),
            kind: Some("deploy"),
            serving: vec![serving()],
        }),
        Step::Prune(prune::Prune {
            scope: scope.clone(),
            roles: vec![HOSTILE.into()],
            retain: 5,
            repository: HOSTILE.into(),
            assets: vec![assets::Clean {
                role: "web".into(),
                keep: vec!["v1".into(), HOSTILE.into()],
                siblings: vec!["web-api".into()],
                elsewhere: vec![HOSTILE.into()],
                helper: true,
            }],
            parts: Some(prune::Parts::All),
        }),
        Step::Start(Box::new(app::Start {
            scope: scope.clone(),
            role: HOSTILE.into(),
            version: HOSTILE.into(),
            name: HOSTILE.into(),
            id: HOSTILE.into(),
            attach: Default::default(),
            network: Default::default(),
            cord: Some(HOSTILE.into()),
            assets: Some(".".into()),
            restart: Some(HOSTILE.into()),
            timeout: 1,
            readiness_delay: 1,
        })),
        remove(remove::What::Container { role: HOSTILE.into(), name: HOSTILE.into() }),
        remove(remove::What::Containers(HOSTILE.into())),
        remove(remove::What::Images { repository: HOSTILE.into(), latest: HOSTILE.into() }),
        remove(remove::What::Directory),
        of_traefik(traefik::Step::Remove(container::Remove { scope: scope.clone() })),
        run(lock::status(&names)),
        run(lock::acquire(&names, HOSTILE)),
        run(lock::release(&names)),
        Step::Bootstrap(server::Bootstrap),
    ];
    for secret in [None, Some(secrets())] {
        let (scope, role, path) = (scope.clone(), Some(HOSTILE.into()), names.env_file(HOSTILE));
        steps.push(Step::Env(env::EnvFile { scope, role, path, secret }));
    }
    steps.extend(of_accessories(&scope));
    let modes = [Mode::Gathered, Mode::Raw, Mode::Piped, Mode::Terminal, Mode::Detached];
    for mode in modes {
        let (scope, host, command) = (scope.clone(), HOSTILE.into(), HOSTILE.into());
        let command = server::OnServer { scope, host, command, mode };
        steps.push(run(command.end()));
        steps.push(Step::OnServer(command));
    }
    for exec in modes.into_iter().flat_map(|mode| [in_new(mode), in_serving(mode)]) {
        steps.push(Step::Prepare(Box::new(exec.clone())));
        steps.push(run(exec.end(5)));
        steps.push(Step::Exec(Box::new(exec)));
    }
    steps
}

fn of_traefik(step: traefik::Step) -> Step {
    Step::Proxy(proxy::Step::Traefik(step))
}

fn of_accessories(scope: &Scope) -> Vec<Step> {
    let directory = accessory::Directory {
        path: HOSTILE.into(),
        mode: Some(HOSTILE.into()),
        owner: Some(HOSTILE.into()),
    };
    let upload = accessory::Upload {
        path: format!("/{HOSTILE}"),
        mode: None,
        owner: Some(HOSTILE.into()),
        content: SecretBytes::new(*b"sentinel-secret"),
    };
    let container = || {
        Box::new(accessory::Container {
            image: HOSTILE.into(),
            environment: environment(),
            port: Some(HOSTILE.into()),
            network: HOSTILE.into(),
            labels: vec![("x".into(), HOSTILE.into())],
            cmd: Some("run --name 'a b' $(touch hacked)".into()),
            login: Some(login()),
            timeout: 1,
        })
    };
    let done = [
        accessory::What::Directories(vec![directory]),
        accessory::What::Upload(upload),
        accessory::What::Boot(container()),
        accessory::What::Replace(container()),
        accessory::What::Pull { image: HOSTILE.into(), login: Some(login()) },
        accessory::What::Power { action: Action::Restart, restart: Some(HOSTILE.into()) },
        accessory::What::Remove { image: HOSTILE.into() },
    ];
    let act = |what| {
        let (scope, name, service) = (scope.clone(), HOSTILE.into(), HOSTILE.into());
        Step::Accessory(Box::new(accessory::Act { scope, name, service, what }))
    };
    done.into_iter().map(act).collect()
}

/// A command in a new container.
fn in_new(mode: Mode) -> Exec {
    Exec {
        scope: scope("0123456789abcdef0123456789abcdef"),
        of: Of::Role { name: "web".into(), version: HOSTILE.into() },
        place: Place::New {
            image: HOSTILE.into(),
            environment: Box::new(environment()),
            login: Some(login()),
        },
        env: vec![("A".into(), HOSTILE.into())],
        words: vec![HOSTILE.into()],
        mode,
    }
}

/// A command in the container that serves.
fn in_serving(mode: Mode) -> Exec {
    Exec { place: Place::Serving(HOSTILE.into()), ..in_new(mode) }
}

fn login() -> registry::Login {
    registry::Login {
        server: Some(HOSTILE.into()),
        username: Secret::new(HOSTILE),
        password: Secret::new("sentinel-secret"),
    }
}

/// A directory with a `docker` that says yes to everything and does nothing.
fn server() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let docker = home.path().join("bin/docker");
    std::fs::create_dir(docker.parent().unwrap()).unwrap();
    std::fs::write(&docker, "#!/bin/sh\nexit 0\n").unwrap();
    std::process::Command::new("chmod").arg("+x").arg(&docker).status().unwrap();
    home
}

fn sh(home: &Path, line: &str) -> Command {
    let mut command = Command::new("sh");
    let path = format!("{}/bin:{}", home.display(), std::env::var("PATH").unwrap());
    command.args(["-c", line]).current_dir(home).env("PATH", path);
    command
}

#[test]
fn nothing_in_a_value_becomes_code() {
    for step in all_steps() {
        let home = server();
        let checked =
            sh(home.path(), &format!("sh -n -c {}", bowline_core::shell::quote(&step.script().text)))
                .output()
                .unwrap();
        assert!(
            checked.status.success(),
            "{}: {}",
            step.describe(),
            String::from_utf8_lossy(&checked.stderr)
        );
        // For real, too, with everything it would change fenced off by nothing: the mark is this run's.
        let claim = sh(home.path(), &scope("f00d").claim()).status().unwrap();
        assert!(claim.success());
        let mut child =
            sh(home.path(), &format!("exec timeout 2 {}", &step.script().sent()["exec ".len()..]))
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
        // One that ends without reading it is fine.
        let _ = child.stdin.take().unwrap().write_all(step.script().input.expose());
        child.wait().unwrap();
        assert!(!home.path().join("hacked").exists(), "{} ran a value", step.describe());
    }
}

#[test]
fn a_secret_is_in_no_command_line() {
    for step in all_steps() {
        let script = step.script();
        assert!(!script.sent().contains("sentinel-secret"), "{}", step.describe());
        assert!(!script.shown().contains("sentinel-secret"), "{}", step.describe());
    }
}

#[test]
fn a_later_run_fences_an_earlier_one_off() {
    for step in all_steps() {
        if matches!(
            step,
            Step::Observe(_)
                | Step::Lock(_)
                | Step::Prepare(_)
                | Step::Exec(_)
                | Step::OnServer(_)
                | Step::Bootstrap(_)
                | Step::Run(..)
                | Step::Boot(_)
        ) {
            continue;
        }
        let home = server();
        assert!(sh(home.path(), &scope("later").claim()).status().unwrap().success());
        let status = sh(home.path(), &step.script().sent()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(75), "{}", step.describe());
    }
}

#[test]
fn an_env_file_is_pushed_whole_and_for_its_owner_alone_and_deleted_with_all_beside_it() {
    let home = server();
    let scope = scope("f00d");
    assert!(sh(home.path(), &scope.claim()).status().unwrap().success());
    let path = scope.names.env_file("web");
    let at = home.path().join(&path);
    let run = |secret| {
        let script =
            env::EnvFile { scope: scope.clone(), role: Some("web".into()), path: path.clone(), secret };
        let Script { text, input, .. } = script.script();
        let mut child = sh(home.path(), &text).stdin(Stdio::piped()).spawn().unwrap();
        if let Input::Secret(secret) = input {
            child.stdin.as_mut().unwrap().write_all(secret.expose().as_bytes()).unwrap();
        }
        assert!(child.wait().unwrap().success());
    };
    let there = || {
        let mut names: Vec<String> = std::fs::read_dir(at.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    run(Some(secrets()));
    assert_eq!(std::fs::read_to_string(&at).unwrap(), "KEY=sentinel-secret\n");
    assert_eq!(std::fs::metadata(&at).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!((there(), secrets().left_out()), (vec!["web.env".to_owned()], vec!["PEM"]));
    std::fs::write(at.with_extension("env.export"), "left by a run that was killed").unwrap();
    run(None);
    assert_eq!(there(), [""; 0]);
}

#[test]
fn the_run_line_is_the_one_kamal_would_send() {
    insta::assert_snapshot!(boot().run_line().as_str().replace(" --", "\n--"));
    let ensure = container::Ensure {
        scope: scope("f00d"),
        traefik: Traefik::default(),
        secret: SecretEnv::default(),
        logging: Logging::default(),
        host: "10.0.0.1".into(),
    };
    insta::assert_snapshot!(ensure.run_line().as_str().replace(" --", "\n--"));
}

/// A keeper of the lock that runs.
struct Keeper {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Keeper {
    fn start(home: &Path, run: &str) -> Self {
        let keep = lock::Keep { scope: scope(run), details: format!("Locked by: {run}") };
        let mut child = sh(home, &keep.script().sent())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.split_whitespace().next().unwrap_or("").to_string()
    }

    fn send(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Its connection ends, as when the deploying process is killed.
    fn hang_up(mut self) {
        drop(self.input.take());
        self.child.wait().unwrap();
    }
}

const LOCK: &str = ".kamal/lock-app-staging";

#[test]
fn the_lock_is_taken_kept_and_given_back() {
    let home = server();
    let mut first = Keeper::start(home.path(), "one");
    assert_eq!(first.line(), "@locked");
    // As Kamal writes it: base64 of the details.
    let details = std::fs::read_to_string(home.path().join(LOCK).join("details")).unwrap();
    assert_eq!(bowline_core::observed::base64_text(&details), "Locked by: one");
    assert_eq!(Keeper::start(home.path(), "two").line(), "@held");
    first.send("renew");
    first.send("release");
    assert_eq!(first.line(), "@released");
    first.hang_up();
    assert!(!home.path().join(LOCK).exists());
    assert_eq!(
        std::fs::read_dir(home.path().join(".kamal")).unwrap().count(),
        0,
        "nothing is left beside it"
    );
}

#[test]
fn a_dead_owners_lock_is_taken_over_and_only_that() {
    let home = server();
    let mut first = Keeper::start(home.path(), "one");
    assert_eq!(first.line(), "@locked");
    first.hang_up();
    assert!(home.path().join(LOCK).join("orphaned").exists());
    let mut second = Keeper::start(home.path(), "two");
    assert_eq!(second.line(), "@taken");
    assert!(!home.path().join(LOCK).join("orphaned").exists());
    assert_eq!(Keeper::start(home.path(), "three").line(), "@held");
    second.send("release");
    assert_eq!(second.line(), "@released");

    // Kamal's own lock has no owner: however old, it is never taken.
    std::fs::create_dir_all(home.path().join(LOCK)).unwrap();
    assert_eq!(Keeper::start(home.path(), "four").line(), "@held");
}

#[test]
fn a_lease_that_ran_out_is_taken_over_and_its_owner_learns_it() {
    let home = server();
    let mut first = Keeper::start(home.path(), "one");
    assert_eq!(first.line(), "@locked");
    let lease = std::fs::File::options().write(true).open(home.path().join(LOCK).join("lease")).unwrap();
    lease.set_modified(SystemTime::now() - Duration::from_secs(lock::LEASE_S + 5)).unwrap();
    let mut second = Keeper::start(home.path(), "two");
    assert_eq!(second.line(), "@taken");
    first.send("renew");
    assert_eq!(first.line(), "@lost");
    first.hang_up();
    assert!(!home.path().join(LOCK).join("orphaned").exists(), "it is the second's now");
    second.send("release");
    assert_eq!(second.line(), "@released");
}

#[test]
fn a_run_that_is_killed_before_it_hears_that_it_has_the_lock_leaves_it_orphaned() {
    for shell in [&["sh"] as &[&str], &["bash"], &["busybox", "sh"]] {
        if Command::new(shell[0]).arg("--help").output().is_err() {
            continue;
        }
        let home = server();
        let keep = |run: &str| lock::Keep { scope: scope(run), details: String::new() }.script().sent();
        for run in ["one", "two"] {
            let (nobody, output) = std::io::pipe().unwrap();
            drop(nobody);
            let mut keeper = Command::new(shell[0]);
            keeper.args(&shell[1..]).args(["-c", &keep(run)]).current_dir(home.path());
            keeper.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).status().unwrap();
            assert_eq!(std::fs::read_to_string(home.path().join(LOCK).join("owner")).unwrap().trim(), run);
            assert!(home.path().join(LOCK).join("orphaned").exists(), "{shell:?} {run}");
        }
    }
}

#[test]
fn a_lock_whose_server_stopped_before_its_owner_was_written_is_taken_over_after_the_lease() {
    let past = || SystemTime::now() - Duration::from_secs(lock::LEASE_S + 5);
    let made = |mode: u32, files: &[&str], made: SystemTime| {
        let home = server();
        let lock = home.path().join(LOCK);
        std::fs::create_dir_all(&lock).unwrap();
        std::fs::set_permissions(&lock, std::fs::Permissions::from_mode(mode)).unwrap();
        for file in files {
            std::fs::write(lock.join(file), "").unwrap();
        }
        std::fs::File::open(&lock).unwrap().set_modified(made).unwrap();
        home
    };
    // What a keeper's directory looks like from its first moment on.
    let home = server();
    assert_eq!(Keeper::start(home.path(), "one").line(), "@locked");
    let mode = std::fs::metadata(home.path().join(LOCK)).unwrap().permissions().mode() & 0o7777;
    for (files, word) in [(&[] as &[&str], "@taken"), (&["lease"], "@taken"), (&["details"], "@held")] {
        let home = made(mode, files, past());
        assert_eq!(Keeper::start(home.path(), "two").line(), word, "{files:?}");
    }
    assert_eq!(Keeper::start(made(mode, &[], SystemTime::now()).path(), "two").line(), "@held");
    // A directory that Kamal or a person made is never taken.
    for mode in [0o755, 0o700, 0o775] {
        assert_eq!(Keeper::start(made(mode, &[], past()).path(), "two").line(), "@held", "{mode:o}");
    }
}

/// The holder gives the lock back between another's `mkdir` and its look.
const GIVEN_BACK: &str = "#!/bin/sh\n[ \"$1\" != -p ] && [ ! -e once ] || exec /bin/mkdir \"$@\"\n\
    : > once; echo \"mkdir: cannot create directory: File exists\" >&2; exit 1\n";

#[test]
fn a_lock_that_is_given_back_at_that_moment_is_taken_with_an_owner() {
    let home = server();
    let mkdir = home.path().join("bin/mkdir");
    std::fs::write(&mkdir, GIVEN_BACK).unwrap();
    std::fs::set_permissions(&mkdir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut keeper = Keeper::start(home.path(), "one");
    assert_eq!(keeper.line(), "@locked");
    assert_eq!(std::fs::read_to_string(home.path().join(LOCK).join("owner")).unwrap(), "one\n");
    keeper.send("release");
    assert_eq!(keeper.line(), "@released");
    std::fs::remove_file(home.path().join("once")).unwrap();
    let by_hand = lock::acquire(&scope("two").names, "by hand").sent();
    assert!(sh(home.path(), &by_hand).status().unwrap().success());
    assert!(home.path().join(LOCK).join("details").exists());
}

#[test]
fn keepers_in_a_loop_leave_no_lock_without_an_owner() {
    let home = server();
    let path = home.path();
    let worker = |name: usize| {
        let mut got = 0;
        for turn in 0..60 {
            let mut keeper = Keeper::start(path, &format!("run{name}x{turn}"));
            match keeper.line().as_str() {
                "@locked" => {
                    got += 1;
                    keeper.send("release");
                    assert_eq!(keeper.line(), "@released");
                }
                "@held" => {}
                said => panic!("a keeper said {said}"),
            }
            keeper.hang_up();
        }
        got
    };
    let got: Vec<usize> = std::thread::scope(|threads| {
        let workers: Vec<_> = (0..3).map(|name| threads.spawn(move || worker(name))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert!(got.iter().sum::<usize>() > 0, "{got:?}");
    assert!(!path.join(LOCK).exists(), "a lock that nobody holds is left: {got:?}");
}

#[test]
fn a_lock_that_cannot_be_given_back_is_not_said_to_be() {
    let home = server();
    let mv = home.path().join("bin/mv");
    std::fs::write(&mv, "#!/bin/sh\necho 'mv: Read-only file system' >&2; exit 1\n").unwrap();
    std::fs::set_permissions(&mv, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut keeper = Keeper::start(home.path(), "one");
    assert_eq!(keeper.line(), "@locked");
    keeper.send("release");
    assert_eq!(keeper.line(), "mv:");
    assert_eq!(keeper.line(), "");
}

/// Variables of a shell that a script may set for one command, or for all.
const NOT_OURS: [&str; 2] = ["IFS", "LC_ALL"];

#[test]
fn variables_of_scripts_have_a_name_that_no_user_gives_one() {
    // At the beginning of a command, and not among the words of one.
    let begins = [
        "\n", "; ", "&& ", "|| ", "| ", "{ ", "( ", "(", "do ", "then ", "else ", ") ", "if ", "until ",
        "while ",
    ];
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let mut seen = 0;
    for step in all_steps() {
        let text = format!("\n{}", step.script().text);
        let mut names: Vec<&str> = Vec::new();
        for (at, _) in text.match_indices('=') {
            let before = &text[..at];
            let start =
                before.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).map_or(0, |at| at + 1);
            let (head, name) = before.split_at(start);
            if is_name(name) && begins.iter().any(|begin| head.ends_with(begin)) {
                names.push(name);
            }
        }
        for word in ["read -r ", "\nfor ", "; for "] {
            for (at, _) in text.match_indices(word) {
                let rest = text[at + word.len()..].split([';', '\n']).next().unwrap_or_default();
                names.extend(rest.split(' ').take_while(|name| is_name(name) && *name != "in"));
            }
        }
        for name in names {
            seen += 1;
            let ours =
                name.starts_with("bowline_") || name.starts_with("BOWLINE_") || NOT_OURS.contains(&name);
            assert!(ours, "{}: `{name}`", step.describe());
        }
    }
    assert!(seen > 100, "only {seen} were found");
}

#[test]
fn of_many_at_the_same_instant_exactly_one_gets_it() {
    for orphaned in [false, true] {
        let home = server();
        if orphaned {
            let mut dead = Keeper::start(home.path(), "dead");
            assert_eq!(dead.line(), "@locked");
            dead.hang_up();
        }
        let mut keepers: Vec<Keeper> =
            (0..20).map(|number| Keeper::start(home.path(), &format!("run{number}"))).collect();
        let lines: Vec<String> = keepers.iter_mut().map(Keeper::line).collect();
        let won = lines.iter().filter(|line| *line == "@locked" || *line == "@taken").count();
        assert_eq!(won, 1, "{lines:?}");
        assert_eq!(lines.iter().filter(|line| *line == "@held").count(), 19, "{lines:?}");
    }
}
