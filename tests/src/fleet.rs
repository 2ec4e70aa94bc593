//! Deploys to many simulated servers (`src/bin/fleet.rs`) and measures what that takes of this machine.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process;

/// The file in which the servers record that they started a container.
pub const STARTED: &str = "started";
/// A deploy that takes longer is killed.
const LONGEST: Duration = Duration::from_secs(60);

#[must_use]
pub fn address(number: u64) -> Ipv4Addr {
    let byte = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 1, byte(number / 250), byte(number % 250 + 1))
}

pub struct Fleet {
    servers: Child,
    directory: TempDir,
}

#[derive(Debug, Clone)]
pub struct Took {
    pub time: Duration,
    /// CPU time of the deploy and the programs it ran.
    pub processor: Duration,
    /// The most file descriptors that were seen open at once.
    pub descriptors: usize,
    pub started: usize,
    pub good: bool,
    pub said: String,
}

impl Fleet {
    /// Starts `count` servers with a network delay of `one_way`.
    ///
    /// # Panics
    /// When they can't be started.
    #[must_use]
    pub fn start(program: &Path, count: u64, one_way: Duration) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut servers = Command::new(program)
            .current_dir(directory.path())
            .args([count.to_string(), one_way.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulated servers");
        let mut port = String::new();
        let out = servers.stdout.take().expect("their standard output");
        BufReader::new(out).read_line(&mut port).expect("their port");
        project(directory.path(), count, port.trim());
        Self { servers, directory }
    }

    /// Deploys, with a limit on open files if one is given.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn deploy(&self, bowline: &Path, open_files: Option<u32>) -> Took {
        let limit = open_files.map(|files| format!("ulimit -n {files} && ")).unwrap_or_default();
        let (out, err, started) = (self.at("out"), self.at("err"), self.at(STARTED));
        let _ = std::fs::remove_file(&started);
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("{limit}exec \"$0\" deploy --skip-push --version v2 --no-color >\"$1\" 2>\"$2\""))
            .args([bowline, out.as_path(), err.as_path()])
            .current_dir(self.directory.path())
            .env("HOME", self.directory.path())
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .spawn()
            .expect("bowline");
        let began = Instant::now();
        let descriptors_of = format!("/proc/{}/fd", child.id());
        let mut descriptors = 0;
        let processor = loop {
            let (processor, ended) = process::processor(child.id());
            if ended {
                break processor;
            }
            let open = std::fs::read_dir(&descriptors_of).map_or(0, Iterator::count);
            descriptors = descriptors.max(open);
            if began.elapsed() > LONGEST {
                let _ = child.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let time = began.elapsed();
        let good = child.wait().is_ok_and(|status| status.success());
        let read = |file: PathBuf| std::fs::read_to_string(file).unwrap_or_default();
        let started = read(started).lines().collect::<BTreeSet<_>>().len();
        let said = [out, err].map(read).concat();
        Took { time, processor, descriptors, started, good, said }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.servers.kill();
        let _ = self.servers.wait();
    }
}

fn project(directory: &Path, count: u64, port: &str) {
    let write = |path: &str, text: &str| {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(path, text).expect("a file of the project");
    };
    let key = directory.join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.is_ok_and(|status| status.success()), "ssh-keygen");
    let hosts: Vec<String> = (0..count).map(|number| address(number).to_string()).collect();
    write(
        "config/deploy.yml",
        &format!(
            "service: fleet\nimage: acme/fleet\nservers:\n  web:\n    hosts: [{}]\n    traefik: false\n\
             registry:\n  username: acme\n  password: [REGISTRY_PASSWORD]\nreadiness_delay: 0\n\
             ssh:\n  port: {port}\n  keys_only: true\n  keys: [{}]\n",
            hosts.join(", "),
            key.display()
        ),
    );
    write(".kamal/secrets", "REGISTRY_PASSWORD=secret\n");
    // As on Debian, where `known_hosts` has hashed host names.
    write(".ssh/config", "Host *\n  HashKnownHosts yes\n");
    use std::os::unix::fs::PermissionsExt;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(directory.join(".ssh/config"), private).expect("a mode");
}
