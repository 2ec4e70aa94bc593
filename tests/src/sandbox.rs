//! The sandbox in tests: leasing servers, and running commands on them.
//!
//! [`Server::run`] needs neither SSH nor the code under test. [`Server::ssh`] connects as a deploy does.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, TryLockError};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, Index};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::docker::{again, docker};

#[derive(Clone, Debug)]
pub struct Ran {
    /// The command as it would be typed.
    pub command: String,
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ran {
    fn of(command: String, started: Instant, output: Output) -> Self {
        Self {
            command,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            took: started.elapsed(),
        }
    }

    /// Its standard output, trimmed. Panics with all output unless it exited with 0.
    #[track_caller]
    pub fn ok(&self) -> &str {
        self.exits(0);
        self.stdout.trim()
    }

    /// Panics with all output unless it exited with this code.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert!(self.code == Some(code), "expected exit code {code}\n{self}");
        self
    }

    /// Panics with all output unless `text` is part of it.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "expected it to say {text:?}\n{self}"
        );
        self
    }

    /// Panics with all output if `text` is part of it.
    #[track_caller]
    pub fn never_says(&self, text: &str) -> &Self {
        assert!(
            !self.stdout.contains(text) && !self.stderr.contains(text),
            "it must not say {text:?}\n{self}"
        );
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, code, stdout, stderr, took } = self;
        write!(
            f,
            "$ {command}\nexit code {code:?} after {} ms\n--- stdout\n{stdout}\n--- stderr\n{stderr}",
            took.as_millis()
        )
    }
}

/// Runs a command and waits for its end.
///
/// # Panics
/// When it can't be started.
#[must_use]
pub fn run(command: &mut Command) -> Ran {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    let shown = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let started = Instant::now();
    let output = command.output().unwrap_or_else(|error| panic!("can't start {shown}: {error}"));
    Ran::of(shown, started, output)
}

/// Checks every 50 ms whether `done`, and panics after `deadline`.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !done() {
        assert!(Instant::now() < end, "waited {} ms for {what}", deadline.as_millis());
        sleep(Duration::from_millis(50));
    }
}

#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// A running sandbox. The fields come from the variables of its env file.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The prefix of the names of its containers and images.
    pub name: String,
    /// Sorted by the number in their names.
    pub servers: Vec<Server>,
    /// The private key that every server accepts for `root` and `deploy`.
    pub ssh_key: PathBuf,
    /// The servers' host keys, by address and by name.
    pub known_hosts: PathBuf,
    /// `HOST:PORT`.
    pub registry: String,
    pub registry_user: String,
    pub registry_password: String,
    pub traefik_image: String,
    /// The base image of the sample app, in this machine's Docker.
    pub app_base: String,
    pub app_context: PathBuf,
    /// The directory with its keys and locks.
    pub state: PathBuf,
    pub kamal: PathBuf,
    pub buildx: PathBuf,
}

/// A server: a container with sshd and its own Docker Engine.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its container's name and its host name.
    pub name: String,
    pub address: String,
    ssh_config: PathBuf,
    /// Exists if the last lease has emptied the server.
    clean: PathBuf,
}

impl Sandbox {
    /// The sandbox named by `SANDBOX_NAME` (default: `bowline`). Starts it, or repairs it if a server doesn't
    /// respond.
    ///
    /// # Panics
    /// When it can't be booted; the message has what `sandbox/up` said.
    pub fn get() -> &'static Self {
        static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
        SANDBOX.get_or_init(|| {
            let name = std::env::var("SANDBOX_NAME").unwrap_or_else(|_| "bowline".into());
            let state = root().join("sandbox/.cache").join(&name);
            match Self::read(&state) {
                Some(sandbox) if sandbox.answers() => sandbox,
                _ => {
                    let _ = run(Command::new(root().join("sandbox/up")).env("SANDBOX_NAME", &name)).ok();
                    Self::read(&state).expect("sandbox/up writes an env file")
                }
            }
        })
    }

    /// Reads the env file that `sandbox/up` wrote: `NAME="VALUE"` lines.
    fn read(state: &Path) -> Option<Self> {
        let text = fs::read_to_string(state.join("env")).ok()?;
        let vars: HashMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name, value.trim_matches('"')))
            .collect();
        let var = |name: &str| vars.get(name).map(|value| (*value).to_owned());
        let ssh_config = PathBuf::from(var("SANDBOX_SSH_CONFIG")?);
        let (addresses, names) = (var("SANDBOX_SERVERS")?, var("SANDBOX_SERVER_NAMES")?);
        Some(Self {
            name: var("SANDBOX_NAME")?,
            servers: names
                .split(' ')
                .zip(addresses.split(' '))
                .map(|(name, address)| Server {
                    name: name.to_owned(),
                    address: address.to_owned(),
                    clean: state.join(format!("{name}.clean")),
                    ssh_config: ssh_config.clone(),
                })
                .collect(),
            ssh_key: var("SANDBOX_SSH_KEY")?.into(),
            known_hosts: var("SANDBOX_KNOWN_HOSTS")?.into(),
            registry: var("SANDBOX_REGISTRY")?,
            registry_user: var("SANDBOX_REGISTRY_USER")?,
            registry_password: var("SANDBOX_REGISTRY_PASSWORD")?,
            traefik_image: var("SANDBOX_TRAEFIK_IMAGE")?,
            app_base: var("SANDBOX_APP_BASE")?,
            app_context: var("SANDBOX_APP_CONTEXT")?.into(),
            state: var("SANDBOX_STATE")?.into(),
            kamal: var("SANDBOX_KAMAL")?.into(),
            buildx: var("SANDBOX_BUILDX")?.into(),
        })
    }

    /// Whether every server accepts connections. Skips leased ones, which their tests may have broken.
    fn answers(&self) -> bool {
        let reached = |address: &str| {
            let address: SocketAddr = address.parse().expect("an address in the env file");
            TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
        };
        let leased = |server: &&Server| {
            let file = self.lock_file(&server.name);
            matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
        };
        self.servers.iter().all(|server| leased(&server) || reached(&format!("{}:22", server.address)))
    }

    pub(crate) fn lock_file(&self, name: &str) -> File {
        let path = self.state.join(format!("{name}.lease"));
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Takes `count` servers for this test alone, empties them, and waits for free ones if needed. Dropping the lease
    /// repairs and empties them again, unless `BOWLINE_KEEP=1` leaves them for inspection.
    ///
    /// A waiting test blocks those after it, so that one that wants three servers isn't starved by many that want
    /// one.
    ///
    /// # Panics
    /// When the sandbox has fewer servers, or one can't be emptied.
    #[must_use]
    pub fn lease(&self, count: usize) -> Lease {
        assert!(
            count <= self.servers.len(),
            "{count} servers asked for, the sandbox has {}",
            self.servers.len()
        );
        let queue = self.lock_file("queue");
        queue.lock().expect("the queue's lock");
        let mut taken = Vec::new();
        while taken.len() < count {
            for server in &self.servers {
                if taken.len() == count
                    || taken.iter().any(|(have, _): &(Server, File)| have.name == server.name)
                {
                    continue;
                }
                let file = self.lock_file(&server.name);
                if file.try_lock().is_ok() {
                    taken.push((server.clone(), file));
                }
            }
            if taken.len() < count {
                sleep(Duration::from_millis(50));
            }
        }
        taken.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        let (servers, locks) = taken.into_iter().unzip();
        let lease = Lease { servers, _locks: locks };
        drop(queue);
        let used: Vec<&Server> =
            lease.iter().filter(|server| fs::remove_file(&server.clean).is_err()).collect();
        empty(&used);
        crate::proxy::forget_other_builds(&lease, self);
        lease
    }

    /// Builds a version of the sample app and pushes it as `REGISTRY/IMAGE:VERSION`, for deploys that skip the push.
    /// `args` are build arguments (see `sandbox/README.md`).
    ///
    /// # Panics
    /// When Docker or the registry refuses.
    pub fn push_version(&self, image: &str, service: &str, version: &str, args: &[(&str, &str)]) {
        let name = format!("{}/{image}:{version}", self.registry);
        let mut build = Command::new("docker");
        build.env("DOCKER_BUILDKIT", "0").args([
            "build",
            "-q",
            "-t",
            &name,
            "--label",
            &format!("service={service}"),
        ]);
        build.args([
            "--build-arg",
            &format!("BASE={}", self.app_base),
            "--build-arg",
            &format!("VERSION={version}"),
        ]);
        for (key, value) in args {
            build.args(["--build-arg", &format!("{key}={value}")]);
        }
        build.arg(&self.app_context);
        again(|| run(&mut build)).ok();
        let config = self.state.join("docker");
        let mut push = Command::new("docker");
        push.arg("--config").arg(config).args(["push", "-q", &name]);
        again(|| run(&mut push)).ok();
        docker(&["rmi", "--no-prune", &name]).ok();
    }
}

/// Servers that belong to one test until this is dropped.
#[derive(Debug)]
pub struct Lease {
    servers: Vec<Server>,
    _locks: Vec<File>,
}

impl Lease {
    /// Repairs and empties every server: containers, networks, volumes, logins, `.kamal` directories. Images stay.
    ///
    /// # Panics
    /// When one can't be emptied.
    pub fn empty(&self) {
        empty(&self.servers.iter().collect::<Vec<_>>());
    }

    #[must_use]
    pub fn addresses(&self) -> Vec<&str> {
        self.servers.iter().map(|server| server.address.as_str()).collect()
    }
}

impl Deref for Lease {
    type Target = [Server];

    fn deref(&self) -> &[Server] {
        &self.servers
    }
}

impl Index<usize> for Lease {
    type Output = Server;

    fn index(&self, number: usize) -> &Server {
        &self.servers[number]
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if std::env::var_os("BOWLINE_KEEP").is_some() {
            eprintln!("left as they are: {}", self.addresses().join(" "));
        } else if std::thread::panicking() {
            // A second panic would abort and hide the first. The next lease empties the servers anyway.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.empty()));
        } else {
            self.empty();
            for server in &self.servers {
                // Without this mark the next lease empties it again.
                let _ = File::create(&server.clean);
            }
        }
    }
}

fn empty(servers: &[&Server]) {
    std::thread::scope(|scope| {
        for server in servers {
            scope.spawn(|| server.empty());
        }
    });
}

impl Server {
    /// Runs a shell command as root, without SSH.
    #[must_use]
    pub fn run(&self, command: &str) -> Ran {
        if !rustix::process::geteuid().is_root() {
            return run(
                Command::new("docker").args(["exec", "-w", "/root", &self.name, "bash", "-c", command])
            );
        }
        // Does the same as `docker exec`, for a tenth of the cost.
        let mut enter = Command::new("nsenter");
        enter.args([
            "--target",
            &self.process(),
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "bash",
            "-c",
        ]);
        enter.arg(format!("cd /root\n{command}")).env_clear();
        enter.envs([
            ("HOME", "/root"),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ]);
        run(&mut enter)
    }

    /// The container's first process, as a PID on this machine.
    fn process(&self) -> String {
        static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let ask = || docker(&["inspect", "-f", "{{.State.Pid}}", &self.name]).ok().to_owned();
        known.entry(self.name.clone()).or_insert_with(ask).clone()
    }

    /// Runs a shell command as root over SSH, as a deploy does.
    #[must_use]
    pub fn ssh(&self, command: &str) -> Ran {
        run(Command::new("ssh").arg("-F").arg(&self.ssh_config).args([&self.address, command]))
    }

    /// The names of a service's running containers, sorted.
    #[must_use]
    pub fn running(&self, service: &str) -> Vec<String> {
        self.names(&format!(
            "ids=$(docker ps -aq --filter label=service={service}) || exit; \
             [ -z \"$ids\" ] || docker inspect --format '{{{{if .State.Running}}}}{{{{.Name}}}}{{{{end}}}}' $ids | sed -n s,^/,,p"
        ))
    }

    /// The names of all of a service's containers, running or not, sorted.
    #[must_use]
    pub fn containers(&self, service: &str) -> Vec<String> {
        self.names(&format!("docker ps -a --filter label=service={service} --format '{{{{.Names}}}}'"))
    }

    fn names(&self, command: &str) -> Vec<String> {
        let mut names: Vec<String> = self.run(command).ok().lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Whether a path exists. Relative paths start in root's home directory, where deploys keep their files.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.run(&format!("test -e '{path}'")).code == Some(0)
    }

    /// The URL of a path on port 80, which the proxy publishes.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Requests a path with `curl`. Returns the body if the response is complete and has status 200.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<String> {
        let ran =
            run(Command::new("curl").args(["-sf", "--noproxy", "*", "--max-time", "5", &self.url(path)]));
        (ran.code == Some(0)).then_some(ran.stdout)
    }

    pub(crate) fn sshd_greets(&self) -> bool {
        let Ok(address) = format!("{}:22", self.address).parse() else { return false };
        let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
            return false;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-"
    }

    fn empty(&self) {
        self.mend();
        self.run("/sandbox/reset").ok();
    }
}
