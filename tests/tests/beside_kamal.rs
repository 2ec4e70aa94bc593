//! Runs Kamal and Bowline into the same fault and compares the results. The table "Compared with Kamal" in
//! tests/README.md has the results word for word. A test fails if the table is outdated.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::time::Duration;

use bowline_tests::project::{DEADLINE, Project, Running};
use bowline_tests::sandbox::{Lease, Ran, Sandbox, root};
use bowline_tests::watch::Watch;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool {
    Kamal,
    Bowline,
}

/// One tool's project on the leased servers, with all roles on each server and `v1` running.
struct Side<'a> {
    tool: Tool,
    project: Project,
    lease: &'a Lease,
}

impl<'a> Side<'a> {
    fn new(tool: Tool, lease: &'a Lease, name: &str) -> Self {
        let sandbox = Sandbox::get();
        let mut project = Project::new(sandbox, lease, name);
        let hosts = lease.addresses().join(", ");
        // Kamal's own proxy isn't available here, so no role has one.
        let servers = format!(
            "\n  web: {{hosts: [{hosts}], proxy: false}}\n  worker: {{hosts: [{hosts}], proxy: false, cmd: /app/server worker}}"
        );
        project.set("servers", &servers).set("builder", "\n  arch: amd64\n  context: app");
        project.set("readiness_delay", "2").unset("healthcheck").unset("traefik");
        let side = Self { tool, project, lease };
        side.push("v1");
        side.run(&side.deploy("v1", &[])).ok();
        side
    }

    fn push(&self, version: &str) {
        Sandbox::get().push_version(&self.project.service, &self.project.service, version, &[]);
    }

    fn deploy(&self, version: &str, more: &[&str]) -> Vec<String> {
        let words = ["deploy", "--skip-push", "--version", version];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect()
    }

    fn start(&self, words: &[String]) -> Running {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match self.tool {
            Tool::Kamal => self.project.spawn_kamal(&words),
            Tool::Bowline => self.project.spawn(&words),
        }
    }

    fn run(&self, words: &[String]) -> Ran {
        self.start(words).wait(DEADLINE)
    }

    /// Sends a signal to a deploy of `v2` as soon as the new web container has started.
    fn signalled(&self, signal: &str) -> String {
        self.push("v2");
        let new = self.project.container("web", "v2");
        let watch = Watch::on(&self.lease[0]);
        let running = self.start(&self.deploy("v2", &[]));
        watch.wait_for("the new container's start", Duration::from_secs(60), |event| event.is("start", &new));
        running.signal(signal);
        let ran = running.wait(DEADLINE);
        // Commands already running on the server continue for a moment.
        std::thread::sleep(Duration::from_secs(2));
        drop(watch);
        self.told(&ran)
    }

    /// How a run ended, what it left, and how the same deploy ends when it runs again.
    fn told(&self, ran: &Ran) -> String {
        let before = format!("{}; {}; {}", ended(ran), self.runs(), self.lock());
        let again = self.run(&self.deploy("v2", &[]));
        let after = if again.code == Some(0) { self.runs() } else { self.lock().into() };
        format!("{before}; again: {}, {after}", ended(&again))
    }

    /// The running versions of each role. Servers are listed separately where they differ.
    fn runs(&self) -> String {
        let of = |server: &bowline_tests::sandbox::Server| {
            let running = server.running(&self.project.service);
            let roles = ["web", "worker"].map(|role| {
                let prefix = self.project.container(role, "");
                let versions = running.iter().filter_map(|name| name.strip_prefix(&prefix));
                let versions: Vec<&str> = versions.map(|name| name.split('_').next().unwrap()).collect();
                format!("{role} {}", if versions.is_empty() { "none".into() } else { versions.join("+") })
            });
            roles.join(", ")
        };
        let mut all: Vec<String> = self.lease.iter().map(of).collect();
        all.dedup();
        all.join(" / ")
    }

    fn lock(&self) -> &'static str {
        let lock = format!(".kamal/lock-{}", self.project.service);
        if self.lease.iter().any(|server| server.has(&lock)) { "lock held" } else { "no lock" }
    }
}

fn ended(ran: &Ran) -> String {
    ran.code.map_or_else(|| "killed".into(), |code| format!("exit {code}"))
}

#[track_caller]
fn beside(fault: &str, servers: usize, name: &str, given: impl Fn(&Side) -> String) {
    let lease = Sandbox::get().lease(servers);
    let came = [Tool::Kamal, Tool::Bowline].map(|tool| given(&Side::new(tool, &lease, name)));
    let row = format!("| {fault} | {} | {} |", came[0], came[1]);
    let readme = std::fs::read_to_string(root().join("tests/README.md")).unwrap();
    assert!(readme.lines().any(|line| line == row), "tests/README.md should say:\n{row}");
}

#[test]
fn an_interrupt_beside_kamal() {
    beside("SIGINT as the new containers boot", 1, "beside-int", |side| side.signalled("INT"));
}

#[test]
fn a_kill_beside_kamal() {
    beside("SIGKILL as the new containers boot", 1, "beside-kill", |side| side.signalled("KILL"));
}

#[test]
fn a_dead_server_beside_kamal() {
    beside("one server of two is down, and comes back for the second run", 2, "beside-dead", |side| {
        side.push("v2");
        let broken = side.lease[1].without_sshd();
        let ran = side.run(&side.deploy("v2", &[]));
        drop(broken);
        side.told(&ran)
    });
}

#[test]
fn a_filter_without_the_primary_role_beside_kamal() {
    beside("`--roles worker`, without the primary role", 1, "beside-role", |side| {
        side.push("v2");
        let ran = side.run(&side.deploy("v2", &["--roles", "worker"]));
        side.told(&ran)
    });
}
