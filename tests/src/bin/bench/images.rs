//! Compares ways to bring an image to servers without a registry: Bowline, `docker save | ssh docker load`, and a
//! registry on this machine that servers pull from through `ssh -R`. All start with `docker build` on a full cache
//! and end when every server has the image. All go through a delay line, which counts the bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bowline_tests::delay::Delay;
use bowline_tests::docker::docker;
use bowline_tests::process;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Sandbox};

use super::seconds;

const MIB: u64 = 1024 * 1024;
const ROUNDS: [&str; 2] = ["first", "one layer changed"];

/// What it took to bring an image to the servers.
struct Took {
    time: Duration,
    /// Bytes sent to all servers together.
    bytes: u64,
    /// CPU time on this machine, including Docker's.
    processor: Duration,
    /// The sum of the peak memory of all programs started for it, in bytes.
    memory: u64,
}

/// A way to bring an image to servers.
trait Way {
    fn name(&self) -> &'static str;
    /// Starts bringing the image. `build` is the command that builds it.
    fn bring(&self, image: &str, version: &str, build: &str) -> Child;
    /// A long-running program whose CPU time counts too.
    fn pid(&self) -> Option<u32> {
        None
    }
}

pub(crate) fn images(far: Duration) {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(3);
    println!(
        "\n  MiB  servers  between   round               way                        time      sent   processor   memory"
    );
    for mib in sizes() {
        for count in [1, 3] {
            for one_way in [Duration::ZERO, far] {
                compare(sandbox, &lease, mib, count, one_way);
            }
        }
    }
}

/// The sizes of images in MiB: `BENCH_MIB`, or 50 and 200.
fn sizes() -> Vec<u64> {
    let given = std::env::var("BENCH_MIB").unwrap_or_else(|_| "50 200".into());
    given.split_whitespace().filter_map(|mib| mib.parse().ok()).collect()
}

fn compare(sandbox: &Sandbox, lease: &Lease, mib: u64, count: usize, one_way: Duration) {
    let lines = lines(lease, count, one_way);
    let mut project = Project::proxied(sandbox, lease, "bench-images");
    project.without_registry();
    let hosts: Vec<String> = lines.iter().map(|line| line.address().ip().to_string()).collect();
    let port = lines.first().map_or(22, |line| line.address().port());
    let key = sandbox.ssh_key.display();
    project.set("servers", &format!("[{}]", hosts.join(", ")));
    project.set("ssh", &format!("\n  user: root\n  port: {port}\n  keys_only: true\n  keys:\n    - {key}"));
    let dockerfile = format!("FROM {}\nCOPY large /large\nCOPY small /small\n", sandbox.app_base);
    project.write("app/Dockerfile", &dockerfile);
    noise(&project, "app/large", mib);
    let ssh = Ssh { key: sandbox.ssh_key.display().to_string(), port, hosts };
    let registry = Tunnel::start(sandbox, &ssh);
    let ways: [&dyn Way; 3] = [&Ours(&project), &SaveAndLoad(&ssh), &registry];
    for way in ways {
        forget(lease, &project.service);
        for (version, round) in ROUNDS.into_iter().enumerate() {
            noise(&project, "app/small", 1);
            let version = format!("v{version}");
            let image = project.image(&version);
            let context = project.path().join("app");
            let label = format!("service={}", project.service);
            let build =
                ["build", "-q", "-t", &image, "--label", &label, context.to_str().unwrap_or_default()];
            docker(&build).ok();
            let build = format!("docker {} >/dev/null 2>&1", build.join(" "));
            let took = measure(way, &lines, || way.bring(&image, &version, &build));
            println!(
                "{mib:>5}  {count:>7}  {:>4} ms   {round:<18}  {:<24} {:>7}  {:>5.0} MB  {:>8}   {:>3} MiB",
                (one_way * 2).as_millis(),
                way.name(),
                seconds(took.time),
                megabytes(took.bytes),
                seconds(took.processor),
                took.memory / MIB,
            );
        }
    }
    forget(lease, &project.service);
}

#[allow(clippy::cast_precision_loss, reason = "no decimals are shown")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Removes the service's images from the servers.
fn forget(lease: &Lease, service: &str) {
    for server in lease.iter() {
        server
            .run(&format!(
                "docker image ls -q --filter label=service={service} | sort -u | xargs -r docker rmi -f"
            ))
            .ok();
    }
}

fn lines(lease: &Lease, count: usize, one_way: Duration) -> Vec<Delay> {
    let mut port = 0;
    let line = |(number, server): (usize, &bowline_tests::sandbox::Server)| {
        let listen = format!("127.0.8.{}:{port}", number + 2).parse().expect("an address");
        let target = format!("{}:22", server.address).parse().expect("an address");
        let line = Delay::start(listen, target, one_way).expect("a delay line");
        port = line.address().port();
        line
    };
    lease.iter().take(count).enumerate().map(line).collect()
}

/// Writes a file that can't be compressed.
fn noise(project: &Project, path: &str, mib: u64) {
    let mut random = fs::File::open("/dev/urandom").expect("noise");
    let mut file = fs::File::create(project.path().join(path)).expect("a file of the project");
    std::io::copy(&mut std::io::Read::take(&mut random, mib * MIB), &mut file).expect("noise");
}

/// Runs `bring` and measures it until the end.
fn measure(way: &dyn Way, lines: &[Delay], bring: impl FnOnce() -> Child) -> Took {
    let daemon = fs::read_to_string("/var/run/docker.pid").ok().and_then(|pid| pid.trim().parse().ok());
    let others: Vec<u32> = daemon.into_iter().chain(way.pid()).collect();
    let theirs = || -> Duration { others.iter().map(|pid| process::processor(*pid).0).sum() };
    let sent = || -> u64 { lines.iter().map(Delay::sent).sum() };
    let (before, bytes, started) = (theirs(), sent(), Instant::now());
    let mut child = bring();
    let mut memory = BTreeMap::new();
    let own = loop {
        std::thread::sleep(Duration::from_millis(20));
        let (processor, ended) = process::processor(child.id());
        for pid in family(child.id()) {
            let most: &mut u64 = memory.entry(pid).or_default();
            *most = process::most_memory(pid).unwrap_or_default().max(*most);
        }
        if ended {
            break processor;
        }
    };
    let time = started.elapsed();
    assert!(child.wait().is_ok_and(|status| status.success()), "{} failed", way.name());
    let processor = own + theirs() - before;
    Took { time, bytes: sent() - bytes, processor, memory: memory.into_values().sum() }
}

/// A process and all its descendants.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(children.flat_map(family).collect::<Vec<_>>()).collect()
}

/// `bowline build deliver`, whose build finds everything cached.
struct Ours<'a>(&'a Project);

impl Way for Ours<'_> {
    fn name(&self) -> &'static str {
        "bowline"
    }

    fn bring(&self, _: &str, version: &str, _: &str) -> Child {
        self.0.write_config();
        let mut command = self.0.command(&["build", "deliver", "--version", version, "--quiet"]);
        command.stdout(Stdio::null()).spawn().expect("bowline starts")
    }
}

/// How the other programs connect to the servers.
struct Ssh {
    key: String,
    port: u16,
    hosts: Vec<String>,
}

impl Ssh {
    fn line(&self, host: &str, more: &str) -> String {
        format!(
            "ssh -q -i {} -p {} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes {more} root@{host}",
            self.key, self.port
        )
    }
}

/// Runs `build`, then all of `all` in parallel, then `then`.
fn sh(build: &str, all: impl Iterator<Item = String>, then: &str) -> Child {
    let all: String = all.map(|one| format!("{one} & all+=($!)\n")).collect();
    let script = format!("{build}\n{all}for one in \"${{all[@]}}\"; do wait $one; done\n{then}");
    Command::new("bash")
        .args(["-c", &format!("set -eo pipefail; all=()\n{script}")])
        .spawn()
        .expect("bash starts")
}

struct SaveAndLoad<'a>(&'a Ssh);

impl Way for SaveAndLoad<'_> {
    fn name(&self) -> &'static str {
        "save | ssh docker load"
    }

    fn bring(&self, image: &str, _: &str, build: &str) -> Child {
        let one = |host: &String| {
            format!("docker save {image} | {} docker load -q >/dev/null", self.0.line(host, ""))
        };
        sh(build, self.0.hosts.iter().map(one), "")
    }
}

/// A registry on this machine without TLS or logins, as Kamal starts one.
struct Tunnel<'a> {
    ssh: &'a Ssh,
    name: String,
    pid: u32,
    _files: tempfile::TempDir,
}

const PORT: u16 = 5987;

impl<'a> Tunnel<'a> {
    fn start(sandbox: &Sandbox, ssh: &'a Ssh) -> Self {
        let files = tempfile::TempDir::new().expect("a directory");
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: /var/lib/docker/bench}}}}\nhttp: {{addr: 'localhost:{PORT}'}}\nlog: {{level: error}}\n"
        );
        let path = files.path().join("registry.yml");
        fs::write(&path, config).expect("a file");
        let of = format!("{}-registry", sandbox.name);
        let image = docker(&["inspect", "-f", "{{.Image}}", &of]);
        let name = format!("{}-bench-registry", sandbox.name);
        let _ = docker(&["rm", "-f", "-v", &name]);
        let volume = format!("{}:/registry.yml", path.display());
        let run = [
            "run",
            "-d",
            "--network",
            "host",
            "--name",
            &name,
            "-v",
            &volume,
            "--entrypoint",
            "docker-registry",
        ];
        docker(&[&run[..], &[image.ok(), "serve", "/registry.yml"]].concat()).ok();
        let pid = docker(&["inspect", "-f", "{{.State.Pid}}", &name]).ok().parse().expect("a process");
        let end = Instant::now() + Duration::from_secs(20);
        while !Path::new(&format!("/proc/{pid}")).exists()
            || std::net::TcpStream::connect(("127.0.0.1", PORT)).is_err()
        {
            assert!(Instant::now() < end, "the registry doesn't listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { ssh, name, pid, _files: files }
    }
}

impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        let _ = docker(&["rm", "-f", "-v", &self.name]);
    }
}

impl Way for Tunnel<'_> {
    fn name(&self) -> &'static str {
        "registry and ssh -R"
    }

    fn bring(&self, image: &str, _: &str, build: &str) -> Child {
        let there = format!("localhost:{PORT}/{image}");
        let pull = |host: &String| {
            let ssh = self.ssh.line(host, &format!("-R {PORT}:localhost:{PORT}"));
            format!("{ssh} 'docker pull -q {there} >/dev/null && docker tag {there} {image}'")
        };
        let push = format!("{build}\ndocker tag {image} {there}\ndocker push -q {there} >/dev/null");
        sh(&push, self.ssh.hosts.iter().map(pull), &format!("docker rmi {there} >/dev/null"))
    }

    fn pid(&self) -> Option<u32> {
        Some(self.pid)
    }
}
