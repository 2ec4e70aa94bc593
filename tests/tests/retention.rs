//! What remains after many deploys: exactly what the configuration retains, for each role and destination.

use std::collections::BTreeSet;

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Sandbox, Server};

const ROLES: [&str; 5] = ["web", "api", "jobs", "mail", "cron"];
const DESTINATIONS: [&str; 2] = ["production", "staging"];

/// A project with five roles with secrets, one of them with assets and a cord, on one server, for two destinations.
/// Two stopped containers are kept.
fn project(sandbox: &Sandbox, lease: &Lease) -> Project {
    let mut project = Project::new(sandbox, lease, "keep");
    let address = &lease[0].address;
    let role = |name: &str| {
        let routed = if name == "web" { "asset_path: /app/public/assets" } else { "traefik: false" };
        format!("\n  {name}: {{hosts: [{address}], {routed}, env: {{secret: [TOKEN]}}}}")
    };
    project
        .set("servers", &ROLES.map(role).concat())
        .set("readiness_delay", "0")
        .set("retain_containers", "2")
        .set("require_destination", "true");
    for destination in DESTINATIONS {
        let router = format!("traefik.http.routers.{}-web-{destination}.rule", project.service);
        let labels = format!("labels:\n  {router}: Host(`{destination}.test`)\n");
        project.write(&format!("config/deploy.{destination}.yml"), &labels);
        let secrets = format!("KAMAL_REGISTRY_PASSWORD={}\nTOKEN=t\n", sandbox.registry_password);
        project.write(&format!(".kamal/secrets.{destination}"), &secrets);
    }
    project
}

/// Runs the command for both destinations in parallel.
fn at_once(project: &Project, words: &[&str]) {
    project.write_config();
    std::thread::scope(|scope| {
        for destination in DESTINATIONS {
            scope.spawn(move || {
                drop(project.run_as_is(&[words, &["-d", destination]].concat()).ok().to_owned())
            });
        }
    });
}

fn lines(server: &Server, command: &str) -> BTreeSet<String> {
    server.run(command).ok().lines().map(str::to_owned).collect()
}

fn names<const N: usize>(versions: [&str; N], ending: impl Fn(&str) -> String) -> BTreeSet<String> {
    versions.iter().map(|version| ending(version)).collect()
}

#[test]
fn six_deploys_of_two_destinations_leave_what_is_configured_and_each_version_kept_comes_back() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let project = project(sandbox, &lease);
    let service = &project.service;
    for version in ["v1", "v2", "v3", "v4", "v5", "v6"] {
        sandbox.push_version(service, service, version, &[]);
        at_once(&project, &["deploy", "--skip-push", "--version", version]);
    }
    for destination in DESTINATIONS {
        for role in ROLES {
            let filter = format!(
                "--filter label=service={service} --filter label=role={role} --filter label=destination={destination}"
            );
            let containers = |state: &str| {
                lines(
                    server,
                    &format!("docker ps -a {filter} --filter status={state} --format '{{{{.Names}}}}'"),
                )
            };
            let container = |version: &str| format!("{service}-{role}-{destination}-{version}");
            assert_eq!(containers("running"), names(["v6"], container));
            assert_eq!(containers("exited"), names(["v4", "v5"], container));
        }
        let app = format!(".kamal/apps/{service}-{destination}");
        // A version keeps its assets as long as it can be rolled back to.
        let volumes = lines(server, &format!("ls {app}/assets/volumes"));
        let kept = names(["v4", "v5", "v6"], |version| format!("web-{version}"));
        assert!(volumes.is_subset(&kept) && volumes.len() >= 2, "{volumes:?}");
        let files = lines(server, &format!("ls {app}/env/roles | grep -c '\\.env$'"));
        assert_eq!(files, names(["5"], str::to_owned));
    }
    let tags = lines(server, &format!("docker image ls '*/{service}' --format '{{{{.Tag}}}}'"));
    let expected = ["v4", "v5", "v6", "latest-production", "latest-staging"];
    assert_eq!(tags, expected.map(str::to_owned).into());
    expect::no_loose_cords(&project, server);

    for version in ["v4", "v5"] {
        at_once(&project, &["rollback", version]);
    }
    let running: BTreeSet<String> = server.running(service).into_iter().collect();
    let each = DESTINATIONS
        .iter()
        .flat_map(|destination| ROLES.map(|role| format!("{service}-{role}-{destination}-v5")));
    assert_eq!(running, each.collect());
    expect::no_loose_cords(&project, server);
    expect::unlocked(&project, server);
}
