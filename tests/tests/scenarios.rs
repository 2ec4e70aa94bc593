//! Runs the scenarios of Kamal's integration tests with Kamal and with Bowline, each on its own server. The table
//! "Kamal's scenarios" in tests/README.md has the results word for word. The test fails if the table is outdated.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::fmt::Write as _;

use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Ran, Sandbox, Server, root};

/// Run in sequence. Each starts from what the one before left.
const SCENARIOS: &[&str] = &[
    "deploy --skip-push --version v1",
    "deploy --skip-push --version v2",
    "redeploy --skip-push --version v2",
    "rollback v1",
    "details",
    "audit",
    "info",
    "app version",
    "app containers",
    "app images",
    "app logs",
    "app exec --reuse pwd",
    "app exec --reuse ls /nowhere",
    "app maintenance --message Soon",
    "app live",
    "app stop",
    "app start --version v1",
    "deploy --skip-push --version broken",
    "lock acquire -m test",
    "deploy --skip-push --version v2",
    "lock status",
    "lock release",
    "proxy details",
    "proxy logs",
    "proxy restart",
    "proxy reboot -y",
    "proxy stop",
    "proxy start",
    "accessory boot tool",
    "accessory details tool",
    "accessory logs tool",
    "accessory stop tool",
    "accessory start tool",
    "accessory restart tool",
    "accessory reboot tool",
    "accessory remove tool -y",
    "prune all",
    "remove -y",
];

struct Side<'a> {
    kamal: bool,
    project: Project,
    server: &'a Server,
}

impl<'a> Side<'a> {
    fn new(kamal: bool, sandbox: &Sandbox, lease: &'a Lease) -> Self {
        let mut project = Project::proxied(sandbox, lease, if kamal { "theirs" } else { "ours" });
        let server = &lease[0];
        let (repository, tag) = sandbox.push_proxy();
        let (host, address, service) = (project.host(), server.address.clone(), project.service.clone());
        project.set_proxy(&format!(
            "healthcheck: {{interval: 1}}\nrun: {{registry: '{}', repository: {repository}, version: {tag}}}",
            sandbox.registry
        ));
        let servers =
            format!("\n  web: [{address}]\n  worker: {{hosts: [{address}], cmd: /app/server worker}}");
        let login = format!(
            "{{server: '{}', username: {}, password: [KAMAL_REGISTRY_PASSWORD]}}",
            sandbox.registry, sandbox.registry_user
        );
        let tool = format!(
            "\n  tool:\n    image: {service}:v1\n    host: {address}\n    registry: {login}\n    \
             proxy: {{host: tool.{host}, app_port: 3000, healthcheck: {{interval: 1}}}}"
        );
        project.set("servers", &servers).set("accessories", &tool).set("aliases", "\n  info: details");
        project.set("builder", "\n  arch: amd64\n  context: app");
        project.set("readiness_delay", "0").set("drain_timeout", "5").set("deploy_timeout", "4");
        for version in ["v1", "v2"] {
            sandbox.push_version(&service, &service, version, &[]);
        }
        sandbox.push_version(&service, &service, "broken", &[("HEALTH", "fail")]);
        project.commit();
        Self { kamal, project, server }
    }

    /// The result of each scenario: how it ended and what it left.
    fn told(&self) -> Vec<String> {
        SCENARIOS.iter().map(|line| self.one(line)).collect()
    }

    /// Repeats a refused prune: Kamal prunes for all roles in parallel, and Docker allows one prune at a time.
    fn kamal(&self, words: &[&str]) -> Ran {
        let refused = |ran: &Ran| format!("{ran}").contains("a prune operation is already running");
        let mut ran = self.project.kamal(words);
        for _ in 0..5 {
            if !refused(&ran) {
                break;
            }
            ran = self.project.kamal(words);
        }
        ran
    }

    fn one(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = if self.kamal { self.kamal(&words) } else { self.project.bowline(&words) };
        let mut told = ended(&ran);
        for role in ["web", "worker"] {
            let prefix = self.project.container(role, "");
            let running = self.server.running(&self.project.service);
            let versions: Vec<&str> = running.iter().filter_map(|name| name.strip_prefix(&prefix)).collect();
            let _ = write!(
                told,
                ", {role} {}",
                if versions.is_empty() { "none".into() } else { versions.join("+") }
            );
        }
        let host = self.project.host();
        let asked = |host: &str| match self.server.ask(host, "/version") {
            (200, version) => version,
            (0, _) => "nothing".into(),
            (status, _) => status.to_string(),
        };
        let _ = write!(told, ", answers {}", asked(&host));
        if line.starts_with("accessory") {
            let _ = write!(told, ", tool {}", asked(&format!("tool.{host}")));
        }
        let lock = format!(".kamal/lock-{}", self.project.service);
        told + if self.server.has(&lock) { ", locked" } else { "" }
    }
}

fn ended(ran: &Ran) -> String {
    ran.code.map_or_else(|| "killed".into(), |code| format!("exit {code}"))
}

#[test]
fn kamals_scenarios_end_the_same_with_bowline() {
    let sandbox = Sandbox::get();
    let leases = [sandbox.lease(1), sandbox.lease(1)];
    let sides = [Side::new(true, sandbox, &leases[0]), Side::new(false, sandbox, &leases[1])];
    let [theirs, ours] = std::thread::scope(|scope| {
        sides.each_ref().map(|side| scope.spawn(|| side.told())).map(|told| told.join().unwrap())
    });
    let rows = SCENARIOS.iter().zip(theirs.iter().zip(&ours)).map(|(line, (theirs, ours))| {
        let ours = if ours == theirs { "the same" } else { ours };
        format!("| `{line}` | {theirs} | {ours} |")
    });
    let rows: Vec<String> = rows.collect();
    let readme = std::fs::read_to_string(root().join("tests/README.md")).unwrap();
    assert!(readme.contains(&rows.join("\n")), "tests/README.md should say:\n{}", rows.join("\n"));
}
