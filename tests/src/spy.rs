//! Looks for secrets that others can read: in the command lines of every process, here and on servers, and in every
//! file that isn't only readable by its owner.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use crate::docker::{again, docker};
use crate::sandbox::{Server, run};

/// Searches until it is stopped. Servers are containers on this machine, so `/proc` here has their processes too.
#[derive(Debug)]
pub struct Spy {
    mark: String,
    servers: Vec<Server>,
    directory: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<BTreeSet<String>>>,
}

impl Spy {
    /// Starts to look for words that begin with `mark`, in files below `directory` and in servers' home and temporary
    /// directories. Skips files whose names are in `known`.
    ///
    /// # Panics
    /// When a server can't be looked at.
    #[must_use]
    pub fn on(mark: &str, servers: &[Server], directory: &Path, known: &'static [&'static str]) -> Self {
        for server in servers {
            // The brackets keep the pattern from matching its own command line.
            let pattern = format!("[{}]{}[a-z0-9-]*", &mark[..1], &mark[1..]);
            let script = format!(
                "rm -f /run/spied /run/spied.stop
                 (while [ ! -e /run/spied.stop ]; do
                   find /root /home /tmp /var/tmp -xdev -type f -perm /044 -exec grep -aoHe '{pattern}' {{}} + 2>/dev/null
                   sleep 0.03
                 done) >/run/spied 2>&1 &"
            );
            docker(&["exec", "-d", &server.name, "bash", "-c", &script]).ok();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (mark, stopped, at) = (mark.to_owned(), Arc::clone(&stop), directory.to_owned());
        let wanted = mark.clone();
        let thread = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            while !stopped.load(Ordering::SeqCst) {
                command_lines(&wanted, &mut seen);
                files(&at, known, &wanted, &mut seen);
                // Shorter than the lifetime of any Docker command.
                sleep(Duration::from_millis(8));
            }
            seen
        });
        Self { mark, servers: servers.to_vec(), directory: directory.to_owned(), stop, thread: Some(thread) }
    }

    /// Stops, and returns each word it found and where. First it plants decoys and checks that it finds them.
    ///
    /// # Panics
    /// When it overlooked a decoy.
    #[must_use]
    pub fn stop(mut self) -> Vec<String> {
        let word = format!("{}decoy", self.mark);
        for server in &self.servers {
            server
                .run(&format!("bash -c 'exec -a {word} sleep 0.3'; echo {word} >/tmp/decoy; sleep 0.3"))
                .ok();
        }
        let file = self.directory.join(&word);
        fs::write(&file, &word).expect("a decoy");
        sleep(Duration::from_millis(100));
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.take().expect("it is stopped once");
        let mut seen: Vec<String> = thread.join().expect("it looks to its end").into_iter().collect();
        fs::remove_file(file).expect("the decoy is there");
        for server in &self.servers {
            let script = "touch /run/spied.stop; sleep 0.2; sort -u /run/spied; rm -f /run/spied* /tmp/decoy";
            seen.extend(server.run(script).ok().lines().map(|line| format!("{}: {line}", server.name)));
        }
        for shown in
            [format!("command line: {word} 0.3"), "a file here: ".into(), format!("/tmp/decoy:{word}")]
        {
            let found = seen.iter().any(|line| line.contains(&word) && line.contains(&shown));
            assert!(found || (self.servers.is_empty() && !shown.contains("here")), "no {shown} in {seen:?}");
        }
        seen.retain(|line| !line.contains(&word));
        seen
    }
}

impl Drop for Spy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if self.thread.is_some() {
            for server in &self.servers {
                let _ = server.run("touch /run/spied.stop");
            }
        }
    }
}

fn command_lines(mark: &str, seen: &mut BTreeSet<String>) {
    let Ok(processes) = fs::read_dir("/proc") else { return };
    for process in processes.flatten() {
        if !process.file_name().as_encoded_bytes()[0].is_ascii_digit() {
            continue;
        }
        let Ok(line) = fs::read(process.path().join("cmdline")) else { continue };
        if holds(&line, mark) {
            seen.insert(format!("a command line: {}", String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
}

/// Finds files that contain the mark and that others than their owner can read.
fn files(directory: &Path, known: &[&str], mark: &str, seen: &mut BTreeSet<String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let Ok(about) = entry.metadata() else { continue };
        let path = entry.path();
        if about.is_dir() {
            files(&path, known, mark, seen);
            continue;
        }
        let others_can =
            about.permissions().mode() & 0o044 != 0 && !known.iter().any(|name| path.ends_with(name));
        if others_can && fs::read(&path).is_ok_and(|bytes| holds(&bytes, mark)) {
            seen.insert(format!("a file here: {}", path.display()));
        }
    }
}

fn holds(bytes: &[u8], mark: &str) -> bool {
    bytes.windows(mark.len()).any(|window| window == mark.as_bytes())
}

/// Everything that Docker shows about containers and images on a server or here, except containers' environments.
#[must_use]
pub fn told_by_docker(server: Option<&Server>, containers: &str, images: &str) -> String {
    let script = format!(
        "for id in $(docker ps -aq --filter '{containers}'); do docker inspect --format \
         '{{{{json .Config.Labels}}}} {{{{json .Path}}}} {{{{json .Args}}}} {{{{json .Config.Cmd}}}} {{{{json .Config.Entrypoint}}}} \
         {{{{json .Config.Healthcheck}}}} {{{{json .HostConfig}}}} {{{{json .Mounts}}}} {{{{json .State}}}} {{{{json .Name}}}}' $id || exit; done
         for id in $(docker images -q '{images}' | sort -u); do docker image inspect $id && docker history --no-trunc $id || exit; done"
    );
    match server {
        Some(server) => server.run(&script).ok().to_owned(),
        None => again(|| run(Command::new("sh").args(["-c", &script]))).ok().to_owned(),
    }
}
