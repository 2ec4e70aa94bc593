//! Deploys the projects in `crates/config/tests/projects`, which are modelled on public ones, unchanged. An added
//! destination replaces their servers, registry and app with the sandbox's.
//!
//! Left out: `accessories-only` has no app; `jump-host` needs another machine (see tests/ssh.rs); `ecr` gets its
//! password from a cloud's program; `traefik-tls` gets its certificate from Let's Encrypt; `local-registry` has its
//! registry on the deploying machine (see tests/images.rs); `large` has a hundred servers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::collections::BTreeSet;
use std::fs;

use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Sandbox, root};
use bowline_tests::tls::write_certificate;

const WORKER: &str = "cmd: /app/server worker";
/// Replaces Kamal 1's check with `curl`, which the sandbox's app lacks.
const CHECK: &str = "healthcheck: {port: 3000, path: /up, cmd: 'wget -q -O /dev/null http://localhost:3000/up || exit 1', interval: 2s}\n";

/// A project, and what the destination changes.
#[derive(Default)]
struct Shape<'a> {
    name: &'a str,
    service: &'a str,
    /// Each role's name, the numbers of its servers, and more lines of YAML for it.
    roles: &'a [(&'a str, &'a [usize], &'a str)],
    /// More keys of the destination.
    more: String,
    /// A host name and path to request, and the expected status.
    answers: Option<(&'a str, &'a str, u16)>,
}

/// Makes the app listen on the port of the project's own app.
fn port(port: u16) -> String {
    format!("env: {{clear: {{PORT: {port}}}}}\n")
}

/// Deploys the project twice, and checks what runs and responds.
fn deploy(sandbox: &Sandbox, lease: &Lease, shape: &Shape<'_>) {
    lease.empty();
    let mut project = Project::new(sandbox, lease, shape.name);
    let image = project.service.clone();
    project.service = shape.service.into();
    write(sandbox, lease, &project, shape, &image);
    for version in ["v1", "v2"] {
        sandbox.push_version(&image, shape.service, version, &[]);
        let ran = project.run_as_is(&["deploy", "-d", "sandbox", "--skip-push", "--version", version]);
        assert_eq!(ran.code, Some(0), "{}: {ran}", shape.name);
        for (number, server) in lease.iter().enumerate() {
            let here = shape.roles.iter().filter(|(_, hosts, _)| hosts.contains(&number));
            let wanted: BTreeSet<String> =
                here.map(|(role, ..)| format!("{}-{role}-sandbox-{version}", shape.service)).collect();
            let runs: BTreeSet<String> = server.running(shape.service).into_iter().collect();
            assert_eq!(runs, wanted, "{} on {}: {ran}", shape.name, server.name);
        }
        let Some((host, path, status)) = shape.answers else { continue };
        let (found, body) = lease[shape.roles[0].1[0]].ask(host, path);
        assert_eq!(found, status, "{}: {host}{path}: {body}\n{ran}", shape.name);
        assert!(status != 200 || body == version, "{}: {host}{path}: {body}", shape.name);
    }
}

/// Writes the unchanged project and its destination.
fn write(sandbox: &Sandbox, lease: &Lease, project: &Project, shape: &Shape<'_>, image: &str) {
    let directory = root().join("crates/config/tests/projects").join(shape.name);
    let text = fs::read_to_string(directory.join("deploy.yml")).unwrap();
    project.write("config/deploy.yml", &text);
    let mut servers = String::new();
    for (role, hosts, more) in shape.roles {
        let hosts: Vec<&str> = hosts.iter().map(|number| lease[*number].address.as_str()).collect();
        servers.push_str(&format!("  {role}:\n    hosts: [{}]\n", hosts.join(", ")));
        more.lines().for_each(|line| servers.push_str(&format!("    {line}\n")));
    }
    let destination = format!(
        "image: {image}\nservers:\n{servers}registry: {{server: '{}', username: {}, password: [SANDBOX_PASSWORD]}}\n\
         ssh: {{user: root, port: 22, keys_only: true, keys: [{}]}}\n{}",
        sandbox.registry,
        sandbox.registry_user,
        sandbox.ssh_key.display(),
        shape.more,
    );
    project.write("config/deploy.sandbox.yml", &destination);
    // Every word that looks like a secret's name gets a value.
    let words = text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
    let names: BTreeSet<&str> =
        words.filter(|word| word.len() > 2 && word.starts_with(|c: char| c.is_ascii_uppercase())).collect();
    let value = |name: &str| match name {
        "CERTIFICATE" | "BANK_CERT" => "$(cat certificate.pem)".to_owned(),
        "CERTIFICATE_KEY" | "BANK_KEY" => "$(cat key.pem)".to_owned(),
        name => format!("a-{}", name.to_lowercase()),
    };
    let mut secrets: String = names.iter().map(|name| format!("{name}={}\n", value(name))).collect();
    secrets.push_str(&format!("SANDBOX_PASSWORD={}\n", sandbox.registry_password));
    project.write(".kamal/secrets-common", &secrets);
    write_certificate(project.path(), &["forum.example.com", "bank.example.com", "www.bank.example.com"]);
}

fn all(shapes: &[Shape<'_>]) {
    let sandbox = Sandbox::get();
    let count = shapes.iter().flat_map(|shape| shape.roles.iter().flat_map(|(_, hosts, _)| *hosts)).max();
    let lease = sandbox.lease(count.map_or(1, |most| most + 1));
    shapes.iter().for_each(|shape| deploy(sandbox, &lease, shape));
}

#[test]
fn projects_of_kamal_2_deploy_as_they_are() {
    let up = |port_: u16| format!("{}proxy: {{healthcheck: {{path: /up, interval: 1}}}}\n", port(port_));
    all(&[
        Shape {
            name: "rails-kamal-2",
            service: "journal",
            roles: &[("web", &[0], ""), ("job", &[0], WORKER)],
            more: format!("{}asset_path: /app/public/assets\nreadiness_delay: 1\n", up(80)),
            // Redirects to HTTPS.
            answers: Some(("journal.example.com", "/", 301)),
        },
        Shape {
            name: "go-api",
            service: "api",
            roles: &[("web", &[0], ""), ("admin", &[0], "cmd: /app/server\nenv: {clear: {PORT: 9090}}")],
            more: up(8080),
            // The path keeps its prefix, and the app has no such page.
            answers: Some(("api.example.org", "/v1/version", 404)),
        },
        Shape {
            name: "node",
            service: "chat",
            roles: &[("web", &[0, 1], "")],
            more: "proxy: {healthcheck: {path: /up, interval: 1}}\n".into(),
            answers: Some(("chat.example.com", "/version", 200)),
        },
        Shape {
            name: "otel",
            service: "ledger",
            roles: &[("web", &[0], "")],
            more: up(80),
            answers: Some(("ledger.example.com", "/version", 200)),
        },
        Shape {
            name: "pack",
            service: "wiki",
            roles: &[("web", &[0], "")],
            more: up(8080),
            answers: Some(("wiki.example.com", "/", 301)),
        },
        Shape {
            name: "remote-builder",
            service: "editor",
            roles: &[("web", &[0], "")],
            more: up(80),
            answers: Some(("editor.example.com", "/version", 200)),
        },
    ]);
}

#[test]
fn projects_of_kamal_2_with_certificates_tags_and_several_roles_deploy_as_they_are() {
    let (repository, tag) = Sandbox::get().push_proxy();
    let registry = &Sandbox::get().registry;
    all(&[
        Shape {
            name: "phoenix",
            service: "forum",
            roles: &[("web", &[0, 1], "proxy: {healthcheck: {interval: 1}}")],
            more: port(4000),
            answers: Some(("forum.example.com", "/", 301)),
        },
        Shape {
            name: "proxy-tls",
            service: "bank",
            roles: &[("web", &[0], ""), ("partners", &[1], "")],
            more: format!(
                "{}proxy: {{run: {{registry: '{registry}', repository: {repository}, version: {tag}}}}}\n",
                port(80)
            ),
            answers: None,
        },
        Shape {
            name: "workers",
            service: "crawler",
            roles: &[("crawl", &[0, 1], WORKER), ("index", &[0], WORKER)],
            more: "readiness_delay: 1\nstop_timeout: 10\n".into(),
            answers: None,
        },
        Shape {
            name: "cloud-builder",
            service: "maps",
            roles: &[("web", &[0], ""), ("tiles", &[1], WORKER)],
            more: "readiness_delay: 1\n".into(),
            answers: None,
        },
    ]);
}

#[test]
fn projects_of_kamal_1_deploy_as_they_are() {
    let traefik = format!("traefik: {{image: {}}}\n", Sandbox::get().traefik_image);
    let front = format!("{CHECK}{traefik}readiness_delay: 1\n");
    let any = Some(("any.test", "/version", 200));
    all(&[
        Shape {
            name: "rails-kamal-1",
            service: "shop",
            roles: &[("web", &[0, 1], ""), ("job", &[1], WORKER)],
            more: format!("{front}asset_path: /app/public/assets\n"),
            answers: any,
        },
        Shape {
            name: "destinations",
            service: "crm",
            roles: &[("web", &[0], ""), ("worker", &[1], WORKER)],
            more: format!("{front}boot: {{wait: 0}}\n"),
            answers: Some(("crm.example.com", "/version", 200)),
        },
        Shape {
            name: "tags-kamal-1",
            service: "tracker",
            roles: &[("web", &[0, 1], ""), ("worker", &[1], WORKER)],
            more: front.clone(),
            answers: any,
        },
        Shape {
            name: "static-site",
            service: "docs",
            roles: &[("web", &[0], "")],
            more: front.clone(),
            answers: any,
        },
        Shape {
            name: "go-static",
            service: "quotes",
            roles: &[("web", &[0], "")],
            more: format!(
                "healthcheck: {{cmd: 'wget -q -O /dev/null http://localhost:3000/up || exit 1'}}\n{traefik}"
            ),
            answers: any,
        },
        Shape {
            name: "builders-kamal-1",
            service: "desk",
            roles: &[("web", &[0], "")],
            more: front.clone(),
            answers: any,
        },
    ]);
}

#[test]
fn projects_of_kamal_1_with_options_groups_and_old_words_deploy_as_they_are() {
    let image = &Sandbox::get().traefik_image;
    let traefik = format!("traefik: {{image: {image}}}\n");
    let front = format!("{CHECK}{traefik}readiness_delay: 1\n");
    let any = Some(("any.test", "/version", 200));
    let check = "healthcheck: {cmd: 'true', interval: 2s}";
    all(&[
        Shape {
            name: "django-celery",
            service: "gallery",
            roles: &[
                ("web", &[0, 1], "cmd: /app/server"),
                ("celery", &[1], &format!("{WORKER}\n{check}\noptions: {{memory: 64m}}")),
                ("beat", &[1], &format!("{WORKER}\noptions: {{init: false}}")),
            ],
            more: format!("{front}asset_path: /app/public/assets\n"),
            answers: any,
        },
        Shape {
            name: "laravel",
            service: "helpdesk",
            roles: &[("web", &[0], ""), ("queue", &[1], WORKER), ("scheduler", &[1], WORKER)],
            more: front.clone(),
            answers: any,
        },
        Shape {
            name: "anchors",
            service: "reports",
            roles: &[("web", &[0, 1], ""), ("render", &[1], WORKER), ("mail", &[0], WORKER)],
            more: front.clone(),
            answers: any,
        },
        Shape {
            name: "cron",
            service: "feeds",
            roles: &[("web", &[0], ""), ("cron", &[0], &format!("{WORKER}\nlogging: {{driver: json-file}}"))],
            more: front.clone(),
            answers: any,
        },
        Shape {
            name: "groups",
            service: "fleet",
            roles: &[("web", &[0, 1], ""), ("worker", &[1], WORKER)],
            more: format!("{front}boot: {{limit: 1, wait: 0}}\n"),
            answers: any,
        },
        Shape {
            name: "old-words",
            service: "legacy",
            roles: &[("web", &[0], "")],
            // Traefik has another port here.
            more: front.clone(),
            answers: None,
        },
    ]);
}
