//! Measures how long a deploy takes, near and far, and how fast the command starts. `bin/bench` runs it.
//!
//! To measure Bowline and not a build or a download, every deploy goes to two servers and uses an image that they and
//! the registry already have, with the default health interval. The table shows the median of each series.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "it prints figures, and ends with what went wrong"
)]

mod images;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use bowline_tests::delay::Delay;
use bowline_tests::fleet::{Fleet, Took};
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Ran, Sandbox, run};

/// The number of measured deploys of each kind, after two that don't count.
const ROUNDS: usize = 5;
/// The number of measured deploys to each simulated fleet, after one that doesn't count.
const FLEET_ROUNDS: usize = 3;
/// How often the command is started.
const STARTS: usize = 50;
/// The one-way delay to servers that are far away.
const ONE_WAY: Duration = Duration::from_millis(50);

/// A series of times, and what was measured.
struct Figure {
    what: String,
    times: Vec<Duration>,
}

fn main() {
    if std::env::args().any(|argument| argument == "--fleet") {
        return fleets();
    }
    if std::env::args().any(|argument| argument == "--images") {
        return images::images(ONE_WAY);
    }
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let lines = delay_lines(&lease);
    let mut figures = vec![start()];
    let kamal = std::env::var("BENCH_KAMAL").ok();
    for front in [Front::Proxy, Front::Cord, Front::Nothing] {
        let tools = [Tool::Bowline]
            .into_iter()
            .chain(kamal.as_deref().filter(|_| front != Front::Cord).map(Tool::Kamal));
        for tool in tools {
            for far in [false, true] {
                figures.push(deploys(sandbox, &lease, &lines, front, tool, far));
            }
        }
    }
    print(&figures);
}

/// What routes requests to the app.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Front {
    /// Our own proxy, for both tools.
    Proxy,
    /// Traefik, with the cord.
    Cord,
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool<'a> {
    Bowline,
    /// The path of the real Kamal.
    Kamal(&'a str),
}

/// Measures deploys to many simulated servers, near and far. Docker's time is simulated too: 0.4 s to run a
/// container, and 0.3 s to stop one or to pull.
fn fleets() {
    let bowline = PathBuf::from(std::env::var("BOWLINE_BIN").expect("BOWLINE_BIN, which bin/bench sets"));
    let servers = bowline.with_file_name("fleet");
    println!("\nservers   between      time   processor   descriptors");
    for one_way in [Duration::ZERO, ONE_WAY] {
        for count in [20, 100, 250] {
            let fleet = Fleet::start(&servers, count, one_way);
            // The first deploy records the host keys.
            let mut took: Vec<Took> =
                (0..=FLEET_ROUNDS).map(|_| fleet.deploy(&bowline, None)).skip(1).collect();
            took.sort_by_key(|took| took.time);
            let Some(median) = took.get(FLEET_ROUNDS / 2) else { return };
            let whole = |took: &Took| took.good && took.started as u64 == count;
            assert!(took.iter().all(whole), "{}", median.said);
            println!(
                "{count:>7}  {:>5} ms   {:>7}   {:>9}   {:>11}",
                (one_way * 2).as_millis(),
                seconds(median.time),
                seconds(median.processor),
                took.iter().map(|took| took.descriptors).max().unwrap_or_default()
            );
        }
    }
}

/// Starts a delay line in front of each server's sshd, all on the same port of different addresses.
fn delay_lines(lease: &Lease) -> Vec<Delay> {
    let mut port = 0;
    lease
        .iter()
        .enumerate()
        .map(|(number, server)| {
            let listen = format!("127.0.0.{}:{port}", number + 2).parse().expect("an address");
            let target = format!("{}:22", server.address).parse().expect("an address");
            let line = Delay::start(listen, target, ONE_WAY).expect("a delay line");
            port = line.address().port();
            line
        })
        .collect()
}

fn start() -> Figure {
    let binary = std::env::var("BOWLINE_BIN").expect("BOWLINE_BIN, which bin/bench sets");
    let times = (0..STARTS).map(|_| timed(run(Command::new(&binary).arg("version")))).collect();
    Figure { what: "bowline version".into(), times }
}

fn timed(ran: Ran) -> Duration {
    ran.exits(0);
    ran.took
}

/// The servers' addresses and their SSH port.
fn hosts(lease: &Lease, lines: &[Delay], far: bool) -> (Vec<String>, u16) {
    if far {
        let port = lines.first().map_or(22, |line| line.address().port());
        return (lines.iter().map(|line| line.address().ip().to_string()).collect(), port);
    }
    (lease.addresses().iter().map(|address| (*address).to_owned()).collect(), 22)
}

fn place(far: bool) -> String {
    if far { format!("{} ms between", (ONE_WAY * 2).as_millis()) } else { "side by side".into() }
}

fn project(sandbox: &Sandbox, lease: &Lease, lines: &[Delay], name: &str, far: bool) -> Project {
    let mut project = Project::new(sandbox, lease, name);
    let (hosts, port) = hosts(lease, lines, far);
    let servers: String = hosts.iter().map(|host| format!("\n  - {host}")).collect();
    project.set("servers", &servers);
    let key = sandbox.ssh_key.display();
    project.set("ssh", &format!("\n  user: root\n  port: {port}\n  keys_only: true\n  keys:\n    - {key}"));
    for version in ["v1", "v2"] {
        sandbox.push_version(&project.service, &project.service, version, &[]);
    }
    project
}

/// Deploys two versions in turn, after deploying both once.
fn series(what: String, mut deploy: impl FnMut(&str) -> Ran) -> Figure {
    for version in ["v1", "v2"] {
        deploy(version).exits(0);
    }
    let times = (0..ROUNDS).map(|round| timed(deploy(["v1", "v2"][round % 2]))).collect();
    Figure { what, times }
}

fn deploys(
    sandbox: &Sandbox,
    lease: &Lease,
    lines: &[Delay],
    front: Front,
    tool: Tool<'_>,
    far: bool,
) -> Figure {
    lease.empty();
    let mut project = project(sandbox, lease, lines, "bench", far);
    let servers = hosts(lease, lines, far).0.join(", ");
    let kind = match front {
        Front::Proxy => {
            // Kamal pulls the proxy's image from the registry, so Bowline does too.
            let (repository, tag) = sandbox.push_proxy();
            let run =
                format!("{{registry: '{}', repository: {repository}, version: {tag}}}", sandbox.registry);
            let web = format!("\n  web:\n    hosts: [{servers}]\n    proxy: {{run: {run}}}");
            project.unset("traefik").unset("healthcheck").set_proxy("healthcheck: {interval: 1}");
            project.set("servers", &web).set("builder", "\n  arch: amd64\n  context: app");
            "Bowline's proxy"
        }
        Front::Cord => {
            project.set("healthcheck", "\n  cmd: wget -q -O /dev/null http://localhost:3000/up || exit 1");
            "Traefik and the cord"
        }
        Front::Nothing => {
            let none = if tool == Tool::Bowline { "traefik: false" } else { "proxy: false" };
            project.set("servers", &format!("\n  web:\n    hosts: [{servers}]\n    {none}"));
            project.set("readiness_delay", "1").unset("healthcheck");
            if tool != Tool::Bowline {
                project.set("builder", "\n  arch: amd64\n  context: app").unset("traefik");
            }
            "no proxy, ready after 1 s"
        }
    };
    let name = match tool {
        Tool::Bowline => "bowline",
        Tool::Kamal(kamal) => {
            project.env("BOWLINE_BIN", kamal);
            "kamal 2.11"
        }
    };
    series(format!("{name} deploy, {kind}, {}", place(far)), |version| {
        project.bowline(&["deploy", "--skip-push", "--version", version])
    })
}

fn print(figures: &[Figure]) {
    let width = figures.iter().map(|figure| figure.what.len()).max().unwrap_or_default();
    println!("\n{:width$}   median   fastest   slowest   of", "");
    for Figure { what, times } in figures {
        let mut times = times.clone();
        times.sort();
        let at = |n: usize| seconds(times.get(n).copied().unwrap_or_default());
        let last = times.len().saturating_sub(1);
        println!("{what:width$}  {:>7}  {:>8}  {:>8}  {:>3}", at(last / 2), at(0), at(last), times.len());
    }
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_millis(100) {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}
