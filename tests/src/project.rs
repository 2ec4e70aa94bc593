//! A project directory with `config/deploy.yml`, `.kamal/secrets` and an app to build, and the `bowline` binary run
//! in it with its own home directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::docker::docker;
use crate::process;
use crate::sandbox::{Lease, Ran, Sandbox, run, wait_until};

/// No command in a test may take longer.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// A project in a temporary directory. Dropping it removes the directory and the images built from it.
#[derive(Debug)]
pub struct Project {
    /// The service's name, unique among all tests.
    pub service: String,
    directory: TempDir,
    sections: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    build_args: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    pub(crate) registry: String,
    kamal: PathBuf,
    buildx: PathBuf,
    /// The image of another proxy, for tests that run with it.
    pub(crate) other_proxy: Option<(String, String)>,
}

impl Project {
    /// A project that deploys the sample app to the leased servers in the role `web`. Its service's name starts with
    /// `name`.
    ///
    /// # Panics
    /// When its files can't be written.
    #[must_use]
    pub fn new(sandbox: &Sandbox, lease: &Lease, name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let service = format!("{name}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::SeqCst));
        let directory = TempDir::with_prefix("bowline-test-").expect("a temporary directory");
        let mut project = Self {
            service: service.clone(),
            directory,
            sections: BTreeMap::new(),
            secrets: BTreeMap::new(),
            build_args: BTreeMap::new(),
            environment: BTreeMap::new(),
            registry: sandbox.registry.clone(),
            kamal: sandbox.kamal.clone(),
            buildx: sandbox.buildx.clone(),
            other_proxy: sandbox.push_other_proxy(),
        };
        let servers: String = lease.addresses().iter().map(|address| format!("\n  - {address}")).collect();
        project.set("service", &service);
        project.set("image", &service);
        project.set("servers", &servers);
        project.set(
            "registry",
            &format!(
                "\n  server: {}\n  username: {}\n  password:\n    - KAMAL_REGISTRY_PASSWORD",
                sandbox.registry, sandbox.registry_user
            ),
        );
        project.set(
            "ssh",
            &format!("\n  user: root\n  keys_only: true\n  keys:\n    - {}", sandbox.ssh_key.display()),
        );
        project.set("traefik", &format!("\n  image: {}", sandbox.traefik_image));
        project.set(
            "healthcheck",
            "\n  cmd: wget -q -O /dev/null http://localhost:3000/up || exit 1\n  interval: 2s",
        );
        project.secret("KAMAL_REGISTRY_PASSWORD", &sandbox.registry_password);
        project.write_app(sandbox);
        write_home(sandbox, &project.home());
        project
    }

    fn write_app(&self, sandbox: &Sandbox) {
        let dockerfile =
            fs::read_to_string(sandbox.app_context.join("Dockerfile")).expect("the app's Dockerfile");
        let from = "ARG BASE=bowline-sandbox/app-base:latest";
        assert!(dockerfile.contains(from), "the app's Dockerfile names its base");
        self.write("app/Dockerfile", &dockerfile.replace(from, &format!("ARG BASE={}", sandbox.app_base)));
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The home directory for `bowline`. Its `.ssh/known_hosts` has the servers' host keys.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.path().join("home")
    }

    /// Sets a top-level key of `deploy.yml` to the text after the colon. A block starts with a line break.
    pub fn set(&mut self, key: &str, yaml: &str) -> &mut Self {
        self.sections.insert(key.to_owned(), yaml.to_owned());
        self
    }

    /// Sets `servers`: each role's name, its addresses, and more lines of YAML for it (`cmd: …`).
    pub fn roles(&mut self, roles: &[(&str, &[&str], &str)]) -> &mut Self {
        let mut text = String::new();
        for (name, hosts, more) in roles {
            text.push_str(&format!("\n  {name}:\n    hosts: [{}]", hosts.join(", ")));
            for line in more.lines() {
                text.push_str(&format!("\n    {line}"));
            }
        }
        self.set("servers", &text).set("readiness_delay", "1")
    }

    #[must_use]
    pub fn container(&self, role: &str, version: &str) -> String {
        format!("{}-{role}-{version}", self.service)
    }

    /// The reference of a version's image, as servers know it.
    #[must_use]
    pub fn image(&self, tag: &str) -> String {
        match self.registry.as_str() {
            "" => format!("{}:{tag}", self.service),
            server => format!("{server}/{}:{tag}", self.service),
        }
    }

    /// Removes the registry from the project. Servers get the image from the deploying machine.
    pub fn without_registry(&mut self) -> &mut Self {
        self.registry.clear();
        self.unset("registry").forget_secret("KAMAL_REGISTRY_PASSWORD")
    }

    /// Uses a registry on the deploying machine, like Kamal's local registry.
    pub fn with_local_registry(&mut self, port: u16) -> &mut Self {
        self.registry = format!("localhost:{port}");
        self.forget_secret("KAMAL_REGISTRY_PASSWORD")
            .set("registry", &format!("{{server: 'localhost:{port}'}}"))
    }

    /// The value of a top-level key of `deploy.yml`.
    #[must_use]
    pub fn section(&self, key: &str) -> &str {
        self.sections.get(key).map_or("", String::as_str)
    }

    pub fn unset(&mut self, key: &str) -> &mut Self {
        self.sections.remove(key);
        self
    }

    pub fn secret(&mut self, name: &str, value: &str) -> &mut Self {
        self.secrets.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn forget_secret(&mut self, name: &str) -> &mut Self {
        self.secrets.remove(name);
        self
    }

    /// Sets a build argument (`EXIT_AT_BOOT`, `HEALTH`, …), which changes the app's behaviour in the versions built
    /// from now on. An empty value restores the default.
    pub fn build_arg(&mut self, name: &str, value: &str) -> &mut Self {
        self.build_args.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn env(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Writes a file of the project, and creates its parent directories.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a directory"))
            .expect("a directory of the project");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Installs the real buildx in the project's home directory.
    ///
    /// # Panics
    /// When there is none, or it can't be put there.
    pub fn with_buildx(&mut self) -> &mut Self {
        assert!(self.buildx.is_file(), "buildx is not there: see what bin/setup says");
        let plugins = self.home().join(".docker/cli-plugins");
        fs::create_dir_all(&plugins).expect("a directory below home");
        std::os::unix::fs::symlink(&self.buildx, plugins.join("docker-buildx"))
            .expect("a link to the plugin");
        self
    }

    /// Writes an executable hook.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn hook(&self, name: &str, script: &str) {
        let path = format!(".kamal/hooks/{name}");
        self.write(&path, script);
        fs::set_permissions(self.path().join(&path), fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    /// Writes `config/deploy.yml` and `.kamal/secrets`. Every run does this first, except [`Project::run_as_is`].
    pub fn write_config(&self) {
        let mut text = String::new();
        for (key, yaml) in &self.sections {
            let space = if yaml.starts_with('\n') { "" } else { " " };
            text.push_str(&format!("{key}:{space}{yaml}\n"));
        }
        if !self.sections.contains_key("builder") {
            text.push_str("builder:\n  context: app\n  dockerfile: app/Dockerfile\n");
            // Kamal 2 requires the servers' architecture.
            text.push_str(if self.sections.contains_key("proxy") { "  arch: amd64\n" } else { "" });
            text.push_str("  args:\n");
            let version = BTreeMap::from([("VERSION".to_owned(), "dev".to_owned())]);
            for (name, value) in version.iter().chain(&self.build_args).collect::<BTreeMap<_, _>>() {
                text.push_str(&format!("    {name}: {value:?}\n"));
            }
        }
        self.write("config/deploy.yml", &text);
        let secrets: String = self.secrets.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        self.write(".kamal/secrets", &secrets);
    }

    /// Makes the project a git repository and commits everything.
    pub fn commit(&self) {
        self.write_config();
        self.write(".gitignore", "/home\n/.kamal/secrets\n");
        for words in
            [&["init", "-q"][..], &["add", "-A"], &["commit", "-q", "--allow-empty", "-m", "A version"]]
        {
            let mut git = Command::new("git");
            git.current_dir(self.path()).env("HOME", self.home());
            git.args(["-c", "user.name=Sandbox", "-c", "user.email=sandbox@example.com"]);
            run(git.args(words)).ok();
        }
    }

    /// Runs `bowline` with these arguments and waits for its end.
    ///
    /// # Panics
    /// When it doesn't end within [`DEADLINE`].
    pub fn bowline(&self, args: &[&str]) -> Ran {
        self.spawn(args).wait(DEADLINE)
    }

    pub fn kamal(&self, args: &[&str]) -> Ran {
        self.spawn_kamal(args).wait(DEADLINE)
    }

    #[must_use]
    pub fn spawn_kamal(&self, args: &[&str]) -> Running {
        assert!(self.kamal.is_file(), "Kamal is not installed: see what bin/setup says");
        self.write_config();
        let command = self.prepared(Command::new(&self.kamal), args);
        Running::start(command, format!("kamal {}", args.join(" ")))
    }

    /// Builds and deploys a version: `bowline deploy --version VERSION` with `VERSION` baked into the image.
    pub fn deploy(&mut self, version: &str) -> Ran {
        self.start_deploy(version).wait(DEADLINE)
    }

    /// Like [`Project::deploy`], but doesn't wait for the end.
    pub fn start_deploy(&mut self, version: &str) -> Running {
        self.build_arg("VERSION", version);
        self.spawn(&["deploy", "--version", version])
    }

    #[must_use]
    pub fn spawn(&self, args: &[&str]) -> Running {
        self.write_config();
        self.start(args)
    }

    /// Runs `bowline` without writing the configuration first, for deliberately broken files.
    pub fn run_as_is(&self, args: &[&str]) -> Ran {
        self.start(args).wait(DEADLINE)
    }

    fn start(&self, args: &[&str]) -> Running {
        Running::start(self.command(args), format!("bowline {}", args.join(" ")))
    }

    /// The command for `bowline` with these arguments. It uses the configuration as it was last written.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let program = self.environment.get("BOWLINE_BIN").map_or_else(binary, PathBuf::from);
        self.prepared(Command::new(program), args)
    }

    fn prepared(&self, mut command: Command, args: &[&str]) -> Command {
        command.args(args).current_dir(self.path()).env("HOME", self.home());
        command.envs(&self.environment);
        for name in ["SSH_AUTH_SOCK", "DOCKER_CONFIG", "DOCKER_HOST", "KAMAL_REGISTRY_PASSWORD", "VERSION"] {
            if !self.environment.contains_key(name) {
                command.env_remove(name);
            }
        }
        command
    }
}

/// Writes a home directory for `bowline`: a `known_hosts` with the servers' host keys, and an SSH configuration that
/// keeps new names readable, whatever this machine's configuration says.
///
/// # Panics
/// When it can't be written.
pub fn write_home(sandbox: &Sandbox, home: &Path) {
    let write = |path: &str, text: &str, mode: u32| {
        let path = home.join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a directory"))
            .expect("a directory below home");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    };
    let keys = fs::read_to_string(&sandbox.known_hosts).expect("the servers' host keys");
    write(".ssh/known_hosts", &keys, 0o600);
    write(".ssh/config", "GlobalKnownHostsFile /dev/null\nHashKnownHosts no\n", 0o600);
}

impl Drop for Project {
    fn drop(&mut self) {
        let reference = format!("{}/{}", self.registry, self.service);
        let images = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", &reference]);
        let names: Vec<&str> = images.stdout.lines().collect();
        if !names.is_empty() {
            // The parent images stay for the next test that builds the same. `sandbox/down` removes them.
            let _ = run(Command::new("docker").args(["rmi", "-f", "--no-prune"]).args(names));
        }
    }
}

/// The binary under test: `BOWLINE_BIN` (a test may set its own with [`Project::env`]), or the one that Cargo built
/// next to this test.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("BOWLINE_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the path of this test");
    let beside = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("bowline"))
        .find(|path| path.is_file());
    beside.unwrap_or_else(|| panic!("no bowline beside {}: cargo build -p bowline-cli", test.display()))
}

#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
    started: Instant,
    stdout: Heard,
    stderr: Heard,
}

#[derive(Debug)]
struct Heard {
    text: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Heard {
    fn listen(mut from: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let heard = text.clone();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n) = from.read(&mut buffer) {
                if n == 0 {
                    return;
                }
                heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..n]);
            }
        });
        Self { text, thread: Some(thread) }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// All output, once the command has ended. Waits for at most 2 s, because a grandchild may hold the pipe open.
    fn whole(&mut self) -> String {
        if let Some(thread) = self.thread.take() {
            let end = Instant::now() + Duration::from_secs(2);
            while !thread.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.so_far()
    }
}

impl Running {
    fn start(mut command: Command, shown: String) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("can't start {shown}: {error}"));
        let stdout = Heard::listen(child.stdout.take().expect("its standard output"));
        let stderr = Heard::listen(child.stderr.take().expect("its standard error"));
        Self { command: shown, child, started, stdout, stderr }
    }

    /// Its output so far, standard output first.
    #[must_use]
    pub fn so_far(&self) -> String {
        self.stdout.so_far() + &self.stderr.so_far()
    }

    /// Waits until `text` appears in its output.
    ///
    /// # Panics
    /// When it hasn't by the deadline, or has ended without saying it.
    pub fn wait_for(&mut self, text: &str, deadline: Duration) {
        let end = Instant::now() + deadline;
        while !self.so_far().contains(text) {
            let ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if ended && (self.stdout.whole() + &self.stderr.whole()).contains(text) {
                return;
            }
            assert!(
                !ended && Instant::now() < end,
                "{} never said {text:?}:\n{}",
                self.command,
                self.so_far()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The peak of its memory use so far, in bytes.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn most_memory(&self) -> u64 {
        process::most_memory(self.child.id()).expect("it still runs")
    }

    pub fn signal(&self, name: &str) {
        run(Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()])).ok();
    }

    ///
    /// # Panics
    /// When it doesn't come within the deadline; it is killed then, and the message has all it said.
    #[must_use]
    pub fn wait(mut self, deadline: Duration) -> Ran {
        let end = Instant::now() + deadline;
        let status = loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                break status;
            }
            if Instant::now() >= end {
                let _ = self.child.kill();
                panic!("{} did not end within {} s:\n{}", self.command, deadline.as_secs(), self.so_far());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ran {
            took: self.started.elapsed(),
            command: self.command.clone(),
            code: status.code(),
            stdout: self.stdout.whole(),
            stderr: self.stderr.whole(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits until `/version` on a server returns this version.
#[track_caller]
pub fn wait_for_version(server: &crate::sandbox::Server, version: &str) {
    wait_until(&format!("version {version} on {}", server.name), Duration::from_secs(30), || {
        server.get("/version").as_deref() == Some(version)
    });
}
