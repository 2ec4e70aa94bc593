//! The part of `bin/demo` that deploys: it writes a project, makes a first deploy, then deploys more versions under
//! load, and prints the counts.
//!
//! Readers can continue with the project it writes, and it runs exactly the commands that it prints.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "it is there to be watched, and ends with what went wrong"
)]

use std::fs;
use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use bowline_tests::load::{Mode, Options};
use bowline_tests::project::{wait_for_version, write_home};
use bowline_tests::rollout::{Rollout, Visitors, under_load};
use bowline_tests::sandbox::{Lease, Sandbox, root, run, wait_until};
use bowline_tests::streams::Streams;
use bowline_tests::tls::write_certificate;

/// The least number of requests of each kind of client in each run.
const EACH: u64 = 20_000;
/// The app's host name with TLS.
const HOST: &str = "demo.test";
/// How long streams may stay open after their version was replaced, in seconds.
const STREAMS_S: u64 = 3;
/// Between two requests of a client.
const PAUSE: Duration = Duration::from_millis(1);

/// What routes requests to the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Front {
    /// Our own proxy, as in a project of Kamal 2.
    Proxy,
    /// The same with TLS, with a WebSocket and an event stream open during each deploy.
    Tls,
    /// Traefik, as in a project of Kamal 1.
    Traefik,
}

/// A version and its app's behaviour. `retry` only matters to Traefik: the proxy never retries a request.
struct Version {
    name: &'static str,
    on_term: &'static str,
    retry: bool,
}

/// Each version replaces the one before. The old version's behaviour decides what happens to open requests.
const VERSIONS: [Version; 6] = [
    Version { name: "v1", on_term: "drain", retry: true },
    Version { name: "v2", on_term: "exit", retry: true },
    Version { name: "v3", on_term: "exit", retry: true },
    Version { name: "v4", on_term: "drain", retry: false },
    Version { name: "v5", on_term: "exit", retry: false },
    Version { name: "v6", on_term: "drain", retry: false },
];

fn main() -> ExitCode {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(3);
    let given = |option: &str| std::env::args().any(|word| word == option);
    let front = match (given("--traefik"), given("--tls")) {
        (true, _) => Front::Traefik,
        (false, true) => Front::Tls,
        (false, false) => Front::Proxy,
    };
    let demo = Demo::new(sandbox, &lease, front);
    // The servers stay as they are, for the reader to use. The lease ends with this process.
    let clean = demo.run();
    std::mem::forget(lease);
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Demo<'a> {
    sandbox: &'a Sandbox,
    servers: &'a Lease,
    front: Front,
    project: PathBuf,
}

impl<'a> Demo<'a> {
    fn new(sandbox: &'a Sandbox, servers: &'a Lease, front: Front) -> Self {
        let project = sandbox.state.join("demo");
        let _ = fs::remove_dir_all(&project);
        Self { sandbox, servers, front, project }
    }

    /// The project's path relative to the repository, where the demo was started.
    fn shown(&self) -> String {
        self.project.strip_prefix(root()).unwrap_or(&self.project).display().to_string()
    }

    fn run(&self) -> bool {
        title("4. A project");
        self.write_project(&VERSIONS[0]);
        println!("{}/config/deploy.yml:\n", self.shown());
        for line in self.read("config/deploy.yml").lines() {
            println!("    {line}");
        }

        title("5. The first deploy");
        if !self.deploy_shown(VERSIONS[0].name) {
            return false;
        }
        for server in self.servers.iter().take(2) {
            if self.front == Front::Tls {
                wait_until("the redirect to https", Duration::from_secs(30), || {
                    server.ask(HOST, "/").0 == 301
                });
                println!("http://{} redirects to https", server.address);
                continue;
            }
            wait_for_version(server, VERSIONS[0].name);
            println!("http://{}/version answers {}", server.address, VERSIONS[0].name);
        }

        title("6. The next versions, under load");
        self.explain_load();
        let (mut rollouts, mut streams_well) = (Vec::new(), true);
        for pair in VERSIONS.windows(2) {
            let (old, new) = (&pair[0], &pair[1]);
            println!("{}", bold(&describe(old, new, self.front)));
            println!("  $ ./bowline deploy --version {}", new.name);
            self.write_project(new);
            let streams = (self.front == Front::Tls).then(|| Streams::open(&self.stream_options()));
            let rollout = self.under_load(old, new);
            tell(&rollout, new);
            streams_well &= streams.is_none_or(|streams| tell_streams(streams, old));
            rollouts.push(rollout);
        }

        title("7. Total");
        let clean = summary(&rollouts) && streams_well;
        // Leaves the reader a project without special behaviour.
        self.write_project(&Version { retry: true, ..VERSIONS[5] });
        self.how_to_play();
        clean
    }

    fn explain_load(&self) {
        println!(
            "Eight clients send requests the whole time: four keep their connection, four open a new one for each request.
No request is repeated. A request fails if it gets no complete answer with status 200 within 5 s. An answer has the
wrong version if the old version gives it to a request that began after `bowline deploy` had ended.

They send to {}\n",
            self.urls().join(" and ")
        );
        if self.front == Front::Tls {
            println!(
                "They use TLS and the host name {HOST}. A WebSocket and an event stream to each server are open before a deploy
begins. The proxy ends them {STREAMS_S} s after it has sent new requests to the new version (`stream_timeout`).\n"
            );
        }
    }

    fn urls(&self) -> Vec<String> {
        let scheme = if self.front == Front::Tls { "https" } else { "http" };
        self.servers.iter().take(2).map(|server| format!("{scheme}://{}/version", server.address)).collect()
    }

    fn host(&self) -> Option<String> {
        (self.front == Front::Tls).then(|| HOST.to_owned())
    }

    /// The certificate that the clients trust.
    fn certificate(&self) -> Option<Vec<u8>> {
        (self.front == Front::Tls)
            .then(|| fs::read(self.project.join("certificate.der")).expect("a certificate"))
    }

    fn stream_options(&self) -> Options {
        let first = self.urls().first().cloned().unwrap_or_default();
        Options {
            urls: self.urls(),
            host: self.host(),
            certificate: self.certificate(),
            ..Options::new(first, Mode::KeepAlive)
        }
    }

    /// Writes a self-signed certificate for the host name.
    fn write_certificate(&self) {
        if self.front != Front::Tls || self.project.join("certificate.der").exists() {
            return;
        }
        write_certificate(&self.project, &["demo.test"]);
        let mut der = Command::new("openssl");
        der.args(["x509", "-in", "certificate.pem", "-outform", "DER", "-out", "certificate.der"]);
        run(der.current_dir(&self.project)).ok();
    }

    fn under_load(&self, old: &Version, new: &Version) -> Rollout {
        let (host, certificate) = (self.host(), self.certificate());
        let visitors =
            Visitors { urls: self.urls(), host, certificate, clients: 4, pause: PAUSE, each: EACH };
        under_load(&visitors, old.name, new.name, || {
            run(Command::new(self.project.join("bowline"))
                .args(["deploy", "--version", new.name])
                .current_dir(&self.project))
        })
    }

    fn deploy_shown(&self, version: &str) -> bool {
        println!("$ ./bowline deploy --version {version}");
        let ended = Command::new(self.project.join("bowline"))
            .args(["deploy", "--version", version])
            .current_dir(&self.project)
            .status()
            .expect("the project's bowline");
        println!();
        ended.success()
    }

    fn how_to_play(&self) {
        let (first, worker) = (&self.servers[0].address, &self.servers[2].address);
        println!(
            "\nThe servers stay up. Try for yourself:

    cd {}
    ./bowline plan --version v7              what a deploy would do; changes nothing
    sed -i 's/VERSION=v6/VERSION=v7/' Dockerfile
    ./bowline deploy --version v7            build, push, deploy; -v shows every command
    {curl}
    ./bowline rollback                       back to the previous version
    ./bowline app version                    which version serves where
    ./bowline app logs -n 5                  the last lines of every server
    ./bowline app exec --reuse -r web env    a command in the containers that serve
    ./bowline audit -n 10                    who did what
    ./bowline lock acquire -m 'not now'      then a deploy refuses; ./bowline lock release
    ssh -F ../ssh_config {worker}       look at a server yourself

bin/demo --down removes everything.",
            self.shown(),
            curl = match self.front {
                Front::Tls => {
                    format!(
                        "curl --cacert certificate.pem --resolve {HOST}:443:{first} https://{HOST}/version"
                    )
                }
                Front::Proxy | Front::Traefik => format!("curl http://{first}/version"),
            },
        );
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.project.join(path)).expect("a file of the project")
    }

    fn write(&self, path: &str, text: &str, mode: u32) {
        let path = self.project.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&self.project)).expect("a directory of the project");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    /// Writes all of the project's files, for one version of the app.
    fn write_project(&self, version: &Version) {
        let sandbox = self.sandbox;
        self.write("config/deploy.yml", &self.deploy_yml(version), 0o644);
        let mut secrets = format!("KAMAL_REGISTRY_PASSWORD={}\n", sandbox.registry_password);
        if self.front == Front::Tls {
            secrets.push_str("CERTIFICATE=$(cat certificate.pem)\nKEY=$(cat key.pem)\n");
        }
        self.write(".kamal/secrets", &secrets, 0o600);
        self.write_certificate();
        let dockerfile = format!(
            "FROM {}\n# What /version answers.\nENV VERSION={}\nRUN /app/bake \"$VERSION\"\nEXPOSE 3000\nCMD [\"/app/server\"]\n",
            sandbox.app_base, version.name
        );
        self.write("Dockerfile", &dockerfile, 0o644);
        write_home(sandbox, &self.project.join("home"));
        let binary = std::env::var("BOWLINE_BIN").expect("BOWLINE_BIN, which bin/demo sets");
        let wrapper = format!(
            "#!/bin/sh\n# bowline with a home of its own, so that the sandbox's host keys and logins stay out of yours.\n\
             HOME='{home}' exec '{binary}' \"$@\"\n",
            home = self.project.join("home").display()
        );
        self.write("bowline", &wrapper, 0o755);
    }

    fn deploy_yml(&self, version: &Version) -> String {
        let sandbox = self.sandbox;
        let servers = self.servers.addresses();
        let labels = if version.retry || self.front != Front::Traefik {
            ""
        } else {
            "    # Another middleware instead of the one that tries a failed request again.\n    labels:\n      \
             traefik.http.routers.demo-web.middlewares: demo-web-plain@docker\n      \
             traefik.http.middlewares.demo-web-plain.headers.customresponseheaders.X-Retry: none\n"
        };
        format!(
            "service: demo
image: demo

servers:
  web:
    hosts:
      - {web1}
      - {web2}
{labels}  worker:
    hosts:
      - {worker}
    cmd: /app/server worker

registry:
  server: {registry}
  username: {user}
  password:
    - KAMAL_REGISTRY_PASSWORD   # from .kamal/secrets

env:
  clear:
    ON_TERM: {on_term}   # on SIGTERM the app {behaviour}

{front}readiness_delay: 2   # seconds a worker has to run to count as ready

builder:
  context: .
{arch}
ssh:
  keys:
    - {key}
  keys_only: true
",
            web1 = servers[0],
            web2 = servers[1],
            worker = servers[2],
            registry = sandbox.registry,
            user = sandbox.registry_user,
            on_term = version.on_term,
            behaviour = behaviour(version),
            front = match self.front {
                Front::Proxy => "proxy:   # every host name; the app is asked for /up until it answers 200\n  app_port: 3000\n\n".to_owned(),
                Front::Tls => format!(
                    "proxy:\n  host: {HOST}\n  app_port: 3000\n  ssl:\n    certificate_pem: CERTIFICATE   # from .kamal/secrets\n    \
                     private_key_pem: KEY\n  buffering:\n    responses: false   # events are passed on as they come\n  \
                     stream_timeout: {STREAMS_S}   # seconds that WebSockets and event streams may go on after a deploy\n\n"
                ),
                Front::Traefik => format!(
                    "healthcheck:\n  cmd: wget -q -O /dev/null http://localhost:3000/up || exit 1\n\ntraefik:\n  image: {}\n\n",
                    sandbox.traefik_image
                ),
            },
            arch = if self.front == Front::Traefik { "" } else { "  arch: amd64\n" },
            key = sandbox.ssh_key.display(),
        )
    }
}

fn behaviour(version: &Version) -> &'static str {
    if version.on_term == "drain" { "finishes open requests" } else { "exits at once" }
}

fn describe(old: &Version, new: &Version, front: Front) -> String {
    let retries = match (front, old.retry, new.retry) {
        (Front::Proxy | Front::Tls, ..) => "",
        (Front::Traefik, true, true) => "; Traefik would retry",
        (Front::Traefik, false, false) => "; Traefik never retries",
        (Front::Traefik, true, false) => "; the routing labels change: retries are taken away",
        (Front::Traefik, false, true) => "; the routing labels change: retries come back",
    };
    format!("{} -> {}: on SIGTERM the old app {}{retries}", old.name, new.name, behaviour(old))
}

fn tell(rollout: &Rollout, new: &Version) {
    let took = rollout.ran.took.as_secs_f64();
    if rollout.ran.code == Some(0) {
        println!("  deployed {} in {took:.1} s", new.name);
    } else {
        println!("  the deploy of {} failed:\n{}", new.name, rollout.ran);
    }
    for (mode, report) in rollout.reports() {
        println!("  {:<16}{report}", mode.to_string());
        for sample in &report.samples {
            println!("      {sample}");
        }
    }
    println!();
}

/// Prints what happened to the streams that were open to the old version. Returns whether all stayed open until the
/// proxy ended them.
fn tell_streams(streams: Streams, old: &Version) -> bool {
    let mut well = true;
    for story in streams.end() {
        match story {
            Ok(story) => {
                well &= story.version == old.name && story.messages > 0;
                println!("  {story}");
            }
            Err(reason) => {
                well = false;
                println!("  {reason}");
            }
        }
    }
    println!();
    well
}

/// Prints the totals. Returns whether every deploy and request succeeded.
fn summary(rollouts: &[Rollout]) -> bool {
    let reports = || rollouts.iter().flat_map(|rollout| rollout.reports().map(|(_, report)| report));
    let sum = |count: fn(&bowline_tests::load::Report) -> u64| reports().map(count).sum::<u64>();
    let (sent, failed, wrong) = (sum(|r| r.sent), sum(|r| r.failed), sum(|r| r.wrong_version));
    let clean = rollouts.iter().all(|rollout| rollout.is_clean(EACH));
    println!("{} deploys under load", rollouts.len());
    println!("{}", bold(&format!("sent: {sent}  failed: {failed}  wrong version: {wrong}")));
    if !clean {
        println!("A request or a deploy failed: see above.");
    }
    clean
}

fn bold(text: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}

fn title(text: &str) {
    println!("\n{}\n", bold(text));
}
