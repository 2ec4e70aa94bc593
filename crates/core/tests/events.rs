//! Waiting for Docker's events, under each shell, with a `docker` that reports an event when a test asks for it.

#![allow(clippy::unwrap_used)] // A panic fails the test.

#[path = "common/shells.rs"]
mod shells;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bowline_core::commands::Scope;
use bowline_core::commands::ready::Ready;
use bowline_core::commands::serving::{Check, Serving};
use bowline_core::names::Names;
use bowline_core::proxy::cord;

/// Records each inspection, and the process that prints events.
const DOCKER: &str = r#"#!/bin/sh
case "$1" in
container) echo look >>looks; cat state ;;
events) case "$*" in *'--until 0s'*) exit ;; esac
[ ! -e broken ] || exit 1
echo $$ >telling
told=0; i=0
while [ $((i += 1)) -lt 1000 ]; do
while [ $told -lt "$(wc -l <tell)" ]; do told=$((told + 1)); sed -n "${told}p" tell; done
sleep 0.05
done ;;
esac
"#;

fn cut(timeout: u64) -> String {
    let scope = Scope { names: Names::new("app", None), run: "f00d".into(), performer: "me".into() };
    let (name, directory) = ("app-web-1".into(), ".kamal/apps/app/cords/one".into());
    cord::Cut { scope, name, id: "abc".into(), directory, timeout, protocols: [].into(), instead: None }
        .script()
        .sent()
}

fn start(home: &Path, script: &str) -> Child {
    start_in("running healthy", home, script)
}

/// Runs a script while Docker describes the container in these words.
fn start_in(state: &str, home: &Path, script: &str) -> Child {
    shells::link(&home.join("bin"));
    fs::create_dir_all(home.join(".kamal/apps/app/cords/one")).unwrap();
    fs::write(home.join(".kamal/apps/app/run"), "f00d\n").unwrap();
    fs::write(home.join("state"), format!("{state}\n")).unwrap();
    fs::write(home.join("tell"), "").unwrap();
    let docker = home.join("bin/docker");
    fs::write(&docker, DOCKER).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(home).env("PATH", path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Docker restarts the container, so it is running again. Only the events say how it ended.
#[test]
fn the_end_of_a_container_that_waited_long_is_looked_for_far_back() {
    const RESTARTED: &str = "#!/bin/sh\ncase $1 in container) echo running none 0 1 false ;; events) echo \"$3\" >since; echo die=3 ;; esac\n";
    shells::each(|| {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let scope = Scope { names: Names::new("app", None), run: "f00d".into(), performer: "me".into() };
        let serving = Serving { id: "abc".into(), restarts: Some(0), ready: Ready::Healthy };
        let (name, network) = ("app-web-1".into(), "kamal".into());
        let check = Check { scope, name, serving, network, timeout: 1, readiness_delay: 0 };
        shells::link(&home.join("bin"));
        fs::create_dir_all(home.join(".kamal/apps/app")).unwrap();
        fs::write(home.join(".kamal/apps/app/run"), "f00d\n").unwrap();
        let docker = home.join("bin/docker");
        fs::write(&docker, RESTARTED).unwrap();
        fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let mut command = Command::new("sh");
        command.args(["-c", &check.script().sent()]).current_dir(home).env("PATH", path);
        let said = String::from_utf8(command.stdin(Stdio::null()).output().unwrap().stdout).unwrap();
        assert!(said.contains("@ended die=3"), "{said}");
        let since: u64 = fs::read_to_string(home.join("since")).unwrap().trim().parse().unwrap();
        assert!(since + 3000 < now, "{since}, and it is {now}");
    });
}

/// It is ready once it runs again, and has failed once it has ended too often, also if a proxy checks the rest.
#[test]
fn a_container_that_is_restarting_is_neither_ready_nor_failed() {
    let check = |ready| {
        let scope = Scope { names: Names::new("app", None), run: "f00d".into(), performer: "me".into() };
        let serving = Serving { id: "abc".into(), restarts: None, ready };
        let (name, network) = ("app-web-1".into(), "kamal".into());
        Check { scope, name, serving, network, timeout: 60, readiness_delay: 0 }.script().sent()
    };
    shells::each(|| {
        for ready in [Ready::Started, Ready::Healthy] {
            for (then, line) in [
                ("running healthy 0 2 false 10.0.0.9", "@ready 10.0.0.9"),
                ("restarting none 7 3 false", "@failed restarting"),
            ] {
                let home = tempfile::tempdir().unwrap();
                let mut script = start_in("restarting none 7 1 false", home.path(), &check(ready));
                until(|| home.path().join("telling").exists());
                fs::write(home.path().join("state"), format!("{then}\n")).unwrap();
                happens(home.path(), "start");
                let said = said(&mut script);
                assert!(said.iter().any(|said| said == line), "{ready:?}, {then}: {said:?}");
                script.wait().unwrap();
            }
        }
    });
}

fn happens(home: &Path, event: &str) {
    writeln!(File::options().append(true).open(home.join("tell")).unwrap(), "{event}").unwrap();
}

fn looks(home: &Path) -> usize {
    fs::read_to_string(home.join("looks")).unwrap_or_default().lines().count()
}

fn until(mut what: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn said(child: &mut Child) -> Vec<String> {
    BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap).collect()
}

#[test]
fn a_container_is_looked_at_when_something_happened_and_nobody_stays_behind() {
    shells::each(|| {
        let home = tempfile::tempdir().unwrap();
        let mut script = start(home.path(), &cut(60));
        until(|| home.path().join("telling").exists());
        // This event changes nothing.
        happens(home.path(), "oom");
        until(|| looks(home.path()) == 2);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(looks(home.path()), 2, "it looks without a cause");
        fs::write(home.path().join("state"), "running unhealthy\n").unwrap();
        happens(home.path(), "destroy");
        assert_eq!(said(&mut script), ["@healthy", "@unhealthy"]);
        assert!(script.wait().unwrap().success());
        let teller = fs::read_to_string(home.path().join("telling")).unwrap();
        until(|| !Path::new("/proc").join(teller.trim()).exists());
    });
}

#[test]
fn an_event_that_tells_what_is_waited_for_needs_no_look() {
    let tells = |event: &str| {
        let home = tempfile::tempdir().unwrap();
        let mut script = start(home.path(), &cut(60));
        until(|| home.path().join("telling").exists());
        happens(home.path(), "health_status: healthy");
        happens(home.path(), event);
        assert_eq!(said(&mut script), ["@healthy", "@unhealthy"], "{event}");
        assert_eq!(looks(home.path()), 2, "one at the beginning, one for what tells nothing");
    };
    shells::each(|| ["health_status: unhealthy", "die"].into_iter().for_each(tells));
}

#[test]
fn when_nobody_listens_any_more_all_of_it_ends() {
    shells::each(|| {
        let home = tempfile::tempdir().unwrap();
        let mut script = start(home.path(), &cut(60));
        until(|| home.path().join("telling").exists());
        drop(script.stdout.take());
        fs::write(home.path().join("state"), "running unhealthy\n").unwrap();
        happens(home.path(), "health_status: unhealthy");
        until(|| script.try_wait().unwrap().is_some());
    });
}

#[test]
fn without_events_it_is_looked_at_again_and_again_until_its_time_is_up() {
    shells::each(|| {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("broken"), "").unwrap();
        // The script counts whole seconds, so of two at least one passes.
        let mut script = start(home.path(), &cut(2));
        assert_eq!(said(&mut script), ["@healthy", "@still-healthy"]);
        assert!(script.wait().unwrap().success());
        assert!(looks(home.path()) > 2);
    });
}
