//! A real OpenSSH server on this machine for one test, with its own directory, keys, port and configuration. It runs
//! as the current user, accepts the key [`Sshd::key`], and ends with the test.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bowline_config::secret::Secret;
use bowline_config::ssh::{Jump, Ssh};
use bowline_core::plan::step::Step;
use bowline_core::shell::Script;
use bowline_engine::ports::{Limit, Network, Output, Server, ServerError};
use bowline_remote::{NoPrompt, Options, Prompt, SshNetwork, UserConfig};
use tempfile::TempDir;

pub const SOON: Limit = Limit { time: Duration::from_secs(20), setting: "command" };

const SSHD: &str = "/usr/sbin/sshd";

/// Whether this machine can run these tests. CI must be able to.
pub fn possible() -> bool {
    let there = Path::new(SSHD).exists();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{SSHD} is missing (Debian: openssh-server)");
        eprintln!("SKIPPED: {SSHD} is missing (Debian: openssh-server)");
    }
    there
}

macro_rules! skip_without_sshd {
    () => {
        if !possible() {
            return;
        }
    };
}
pub(crate) use skip_without_sshd;

pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub struct Sshd {
    pub directory: TempDir,
    pub port: u16,
    config: PathBuf,
    child: Option<Child>,
}

impl Sshd {
    pub fn start() -> Self {
        Self::with("")
    }

    /// Adds these lines to its configuration. `{}` is its directory.
    pub fn with(lines: &str) -> Self {
        if user() == "root" {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).display().to_string();
        let lines = lines.replace("{}", &directory.path().display().to_string());
        keygen(&directory.path().join("host"), "ed25519", "");
        keygen(&directory.path().join("id"), "ed25519", "");
        std::fs::copy(at("id.pub"), at("authorized_keys")).unwrap();
        let port = free_port();
        let config = directory.path().join("sshd_config");
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\n\
             UsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nSetEnv HOME={}\n{lines}\n",
            at("host"),
            at("authorized_keys"),
            // A separate home directory keeps the start-up files of the user's shell out of the test.
            directory.path().display(),
        );
        std::fs::write(&config, text).unwrap();
        let mut sshd = Self { directory, port, config, child: None };
        sshd.boot();
        sshd
    }

    pub fn boot(&mut self) {
        let log = std::fs::File::create(self.path("log")).unwrap();
        let mut command = Command::new(SSHD);
        command.args(["-D", "-e", "-f"]).arg(&self.config);
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let until = Instant::now() + Duration::from_secs(10);
        // Reading its log, as another program could answer on that port.
        while !self.log().contains("Server listening on") {
            assert!(Instant::now() < until, "{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Kills its processes first. Otherwise, a shell would still report that they were killed.
            let pids = descendants(child.id()).iter().map(u32::to_string).collect::<Vec<_>>();
            let _ = Command::new("kill").arg("-9").args(pids).stderr(Stdio::null()).status();
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn key(&self) -> String {
        self.path("id").display().to_string()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn known_hosts(&self) -> String {
        std::fs::read_to_string(self.path("known_hosts")).unwrap_or_default()
    }

    pub fn authorize(&self, public: &Path) {
        let mut keys = std::fs::read_to_string(self.path("authorized_keys")).unwrap();
        keys.push_str(&std::fs::read_to_string(public).unwrap());
        std::fs::write(self.path("authorized_keys"), keys).unwrap();
    }

    pub fn ssh(&self) -> Ssh {
        Ssh { user: user(), port: self.port, keys: vec![self.key()], keys_only: true, ..Ssh::default() }
    }

    pub fn as_jump(&self) -> Jump {
        Jump { user: user(), host: "127.0.0.1".into(), port: self.port }
    }

    pub fn options(&self) -> Options {
        Options {
            home: Some(self.directory.path().to_owned()),
            agent: None,
            user_config: UserConfig::None,
            known_hosts: Some(vec![self.path("known_hosts")]),
            ..Options::from_env()
        }
    }

    pub fn network(&self) -> SshNetwork {
        network(self.ssh(), self.options())
    }

    pub async fn connect(&self) -> Arc<dyn Server> {
        match self.network().connect("127.0.0.1").await {
            Ok(server) => server,
            Err(error) => panic!("{error}\n{}", self.log()),
        }
    }

    pub fn logins(&self) -> usize {
        self.log().matches("Accepted publickey").count()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn network(ssh: Ssh, options: Options) -> SshNetwork {
    SshNetwork::new(ssh, options, Arc::new(NoPrompt))
}

fn descendants(of: u32) -> Vec<u32> {
    let output = Command::new("ps").args(["-o", "pid=", "--ppid", &of.to_string()]).output().unwrap();
    let children = String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect::<Vec<u32>>();
    children.into_iter().flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

pub fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"]).arg(path);
    assert!(command.status().unwrap().success());
}

/// A free port. It is below the kernel's ephemeral ports, and each process (each test is one) starts at a different
/// number, so that no other test takes it before it is used.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 1500 * 8).unwrap();
    let mut ports =
        std::iter::repeat_with(|| 20_000 + (first + TAKEN.fetch_add(1, Ordering::SeqCst)) % 12_000);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

pub fn step(text: &str) -> Step {
    Step::Run("test", Script::new(text))
}

pub fn step_with(text: &str, input: &str) -> Step {
    Step::Run("test", Script::new(text).with_input(Secret::new(input)))
}

pub async fn run(server: &Arc<dyn Server>, text: &str) -> Result<Output, ServerError> {
    server.run(&step(text), None, &|_| {}).await
}

pub async fn unreached(network: &SshNetwork, host: &str) -> (String, String) {
    match network.connect(host).await {
        Err(ServerError::Unreachable { reason, hint }) => (reason, hint.unwrap_or_default()),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("connected"),
    }
}

/// Types a passphrase, and records the keys it was asked for.
pub struct Typist {
    pub passphrase: &'static str,
    pub asked: Mutex<Vec<PathBuf>>,
}

impl Typist {
    pub fn new(passphrase: &'static str) -> Arc<Self> {
        Arc::new(Self { passphrase, asked: Mutex::default() })
    }
}

impl Prompt for Typist {
    fn passphrase(&self, key: &Path) -> Option<Secret> {
        self.asked.lock().unwrap().push(key.to_owned());
        Some(Secret::new(self.passphrase))
    }
}

pub struct SshAgent {
    child: Child,
    pub socket: PathBuf,
}

impl SshAgent {
    pub fn start(directory: &Path, keys: &[&Path]) -> Self {
        Self::with(Command::new("ssh-agent"), directory, keys, &[])
    }

    /// An agent that runs this program for confirmation before it signs.
    pub fn asking(program: &Path, directory: &Path, keys: &[&Path]) -> Self {
        let mut agent = Command::new("ssh-agent");
        agent.env("SSH_ASKPASS", program).env("SSH_ASKPASS_REQUIRE", "force");
        Self::with(agent, directory, keys, &["-c"])
    }

    fn with(mut agent: Command, directory: &Path, keys: &[&Path], how: &[&str]) -> Self {
        let socket = directory.join("agent");
        let child = agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn();
        let agent = Self { child: child.unwrap(), socket };
        let until = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(&agent.socket).is_err() {
            assert!(Instant::now() < until);
            std::thread::sleep(Duration::from_millis(10));
        }
        for key in keys {
            let mut command = Command::new("ssh-add");
            command.arg("-q").args(how).arg(key).env("SSH_AUTH_SOCK", &agent.socket);
            assert!(command.status().unwrap().success());
        }
        agent
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A small HTTP server. `answer` turns the path into the whole response.
pub fn http(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> SocketAddr {
    use std::io::{Read, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let _ = stream.write_all(&answer(&path));
        }
    });
    address
}

/// A slow TCP proxy in front of a local port. It can fall silent without closing.
pub struct Wire {
    pub port: u16,
    frozen: Arc<AtomicBool>,
}

impl Wire {
    pub fn to(port: u16, delay: Duration) -> Self {
        Self::through(port, delay, Duration::MAX)
    }

    /// Forgets a connection that was idle for `after`, as gateways do: no further byte gets through.
    pub fn forgetful(port: u16, after: Duration) -> Self {
        Self::through(port, Duration::ZERO, after)
    }

    fn through(port: u16, delay: Duration, forgets: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self { port: listener.local_addr().unwrap().port(), frozen: Arc::default() };
        let frozen = Arc::clone(&wire.frozen);
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(("127.0.0.1", port)).unwrap());
                for stream in [&near, &far] {
                    stream.set_nodelay(true).unwrap();
                }
                let memory = Arc::new(Memory { last: Mutex::new(Some(Instant::now())), forgets });
                carry(near.try_clone().unwrap(), far.try_clone().unwrap(), delay, &frozen, &memory);
                carry(far, near, delay, &frozen, &memory);
            }
        });
        wire
    }

    pub fn freeze(&self) {
        self.frozen.store(true, Ordering::Relaxed);
    }
}

/// When the connection last carried something. `None` once it is forgotten.
struct Memory {
    last: Mutex<Option<Instant>>,
    forgets: Duration,
}

impl Memory {
    fn passes(&self) -> bool {
        let mut last = self.last.lock().unwrap();
        *last = last.filter(|last| last.elapsed() < self.forgets).map(|_| Instant::now());
        last.is_some()
    }
}

fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    delay: Duration,
    frozen: &Arc<AtomicBool>,
    memory: &Arc<Memory>,
) {
    use std::io::{Read, Write};
    let (sender, receiver) = std::sync::mpsc::sync_channel::<(Instant, Vec<u8>)>(64);
    let (frozen, memory) = (Arc::clone(frozen), Arc::clone(memory));
    std::thread::spawn(move || {
        for (due, bytes) in receiver {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            while frozen.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
            }
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if memory.passes() && sender.send((Instant::now() + delay, buffer[..count].to_vec())).is_err() {
                return;
            }
        }
    });
}
