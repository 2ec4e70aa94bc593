//! Secrets in the scripts, on a server whose umask makes every new file readable for all users. Each script gets its
//! input slowly, while a watcher checks all files.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bowline_core::commands::accessory;
use bowline_core::proxy::traefik::container;

use super::*;

const SECRET: &str = "sentinel-secret";

/// A server without containers. Its `docker` runs them, and records command lines that contain a secret.
const DOCKER: &str = "#!/bin/sh
case $* in *sentinel\"-\"secret*) echo \"$*\" >> \"$HOME/bin/told\" ;; esac
case $* in 'container inspect'*) exit 1 ;; *--password-stdin*) cat > /dev/null ;; esac
exit 0
";

/// Looks for files that contain the secret, until it is dropped.
struct Watcher {
    seen: Arc<Mutex<BTreeSet<(String, u32)>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    fn on(home: &Path) -> Self {
        let (seen, stop) = (Arc::<Mutex<BTreeSet<_>>>::default(), Arc::<AtomicBool>::default());
        let (home, into, stopped) = (home.to_owned(), Arc::clone(&seen), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                look(&home, &into);
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    fn has_seen(&self) -> bool {
        !self.seen.lock().unwrap().is_empty()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn look(directory: &Path, seen: &Mutex<BTreeSet<(String, u32)>>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(about) = entry.metadata() else { continue };
        if about.is_dir() {
            look(&entry.path(), seen);
        } else if fs::read_to_string(entry.path()).is_ok_and(|text| text.contains(SECRET)) {
            let name = entry.path().to_string_lossy().into_owned();
            seen.lock().unwrap().insert((name, about.permissions().mode() & 0o777));
        }
    }
}

/// Whether a step writes a secret to a file rather than only passing it to a program.
fn is_kept(step: &Step) -> bool {
    match step {
        Step::Accessory(act) => !matches!(act.what, accessory::What::Pull { .. }),
        // Docker's client reads the login for a pull from a private directory, which this test doesn't watch.
        step => !matches!(step, Step::Pull(_) | Step::Receive(_) | Step::Run(..)),
    }
}

/// Runs a script whose input pauses just after the last secret in it.
fn run_slowly(home: &Path, script: &Script, watcher: &Watcher, kept: bool) {
    let line = format!("umask 000; exec timeout 5 {}", &script.sent()["exec ".len()..]);
    let mut command = sh(home, &line);
    command.env("HOME", home).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = script.input.expose();
    let last = input.windows(SECRET.len()).rposition(|window| window == SECRET.as_bytes()).unwrap();
    let (before, after) = input.split_at(last + SECRET.len());
    // The watcher's results show if a script ended without reading.
    let _ = stdin.write_all(before);
    let until = Instant::now() + Duration::from_secs(if kept { 3 } else { 0 });
    while !watcher.has_seen() && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    let _ = stdin.write_all(after);
    drop(stdin);
    child.wait().unwrap();
}

#[test]
fn a_secret_in_a_file_is_its_owners_alone_from_the_first_byte_on() {
    shells::each(|| {
        let mut number = 0;
        for step in all_steps() {
            let script = step.script();
            if !script.input.expose().windows(SECRET.len()).any(|window| window == SECRET.as_bytes()) {
                continue;
            }
            let home = server();
            fs::write(home.path().join("bin/docker"), DOCKER).unwrap();
            let run = if matches!(step, Step::Boot(_)) { boot().scope.run } else { "f00d".into() };
            assert!(sh(home.path(), &scope(&run).claim()).status().unwrap().success());
            let watcher = Watcher::on(home.path());
            run_slowly(home.path(), &script, &watcher, is_kept(&step));
            let seen = watcher.seen.lock().unwrap().clone();
            assert_eq!(!seen.is_empty(), is_kept(&step), "{}: {seen:?}", step.describe());
            for (file, mode) in seen {
                assert_eq!(mode & 0o077, 0, "{}: {file} has the mode {mode:o}", step.describe());
            }
            let told = fs::read_to_string(home.path().join("bin/told")).unwrap_or_default();
            assert_eq!(told, "", "{}", step.describe());
            number += 1;
        }
        assert!(number >= 8, "only {number} steps have secrets");
    });
}

#[test]
fn what_removes_traefik_removes_its_secrets() {
    shells::each(|| {
        let home = server();
        let file = home.path().join(".kamal/env/traefik/traefik.env");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, SECRET).unwrap();
        let scope = scope("f00d");
        assert!(sh(home.path(), &scope.claim()).status().unwrap().success());
        let script = container::Remove { scope }.script();
        assert!(sh(home.path(), &script.text).status().unwrap().success());
        assert!(!file.exists());
    });
}

#[test]
fn no_formatting_of_a_step_shows_a_secret() {
    shells::each(|| {
        for step in all_steps() {
            let script = step.script();
            for told in [format!("{step:?}"), format!("{script:#?}"), script.shown(), step.describe()] {
                assert!(!told.contains(SECRET), "{told}");
            }
        }
    });
}
