//! Several apps on the same servers: two destinations of one service, and another service whose name starts with the
//! first one's. They deploy at the same time and don't affect each other.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::load::{Load, Mode, Options};
use bowline_tests::project::{Project, Running};
use bowline_tests::sandbox::{Lease, Ran, Sandbox, Server, run, wait_until};

/// A project of a service with or without a destination, and its host name.
struct App {
    project: Project,
    destination: Option<&'static str>,
    host: String,
}

impl App {
    /// A separate project for `service`, whose web role gets the requests for one host name.
    fn new(sandbox: &Sandbox, lease: &Lease, service: &str, destination: Option<&'static str>) -> Self {
        let mut project = Project::new(sandbox, lease, "several");
        service.clone_into(&mut project.service);
        let prefix = match destination {
            Some(destination) => format!("{service}-web-{destination}"),
            None => format!("{service}-web"),
        };
        let host = format!("{prefix}.test");
        project.set("service", service).set("image", service).set("retain_containers", "1");
        project.set("asset_path", "/app/public/assets");
        let label = format!("traefik.http.routers.{prefix}.rule: Host(`{host}`)");
        match destination {
            Some(name) => {
                project.write(&format!("config/deploy.{name}.yml"), &format!("labels:\n  {label}\n"));
                let login = format!("KAMAL_REGISTRY_PASSWORD={}\n", sandbox.registry_password);
                project.write(&format!(".kamal/secrets.{name}"), &login);
            }
            None => {
                project.set("labels", &format!("\n  {label}"));
            }
        }
        Self { project, destination, host }
    }

    /// `SERVICE[-DESTINATION]`.
    fn name(&self) -> String {
        let ending = self.destination.map(|name| format!("-{name}")).unwrap_or_default();
        format!("{}{ending}", self.project.service)
    }

    fn container(&self, version: &str) -> String {
        let ending = self.destination.map(|name| format!("-{name}")).unwrap_or_default();
        format!("{}-web{ending}-{version}", self.project.service)
    }

    fn start(&mut self, words: &[&str]) -> Running {
        let destination = self.destination.map(|name| ["-d", name]).into_iter().flatten();
        self.project.spawn(&words.iter().copied().chain(destination).collect::<Vec<_>>())
    }

    fn start_deploy(&mut self, version: &str) -> Running {
        self.project.build_arg("VERSION", version);
        self.start(&["deploy", "--version", version])
    }

    fn run(&mut self, words: &[&str]) -> Ran {
        self.start(words).wait(bowline_tests::project::DEADLINE)
    }

    fn deploy(&mut self, version: &str) {
        self.start_deploy(version).wait(bowline_tests::project::DEADLINE).ok();
    }

    /// The version that answers requests for its host name.
    fn served(&self, server: &Server) -> String {
        let header = format!("Host: {}", self.host);
        let mut curl = std::process::Command::new("curl");
        run(curl.args(["-sf", "--noproxy", "*", "--max-time", "5", "-H", &header, &server.url("/version")]))
            .stdout
    }

    /// Its state on a server: containers with ids and states, the image of its latest tag, its files.
    fn picture(&self, server: &Server) -> String {
        let (name, destination) = (self.name(), self.destination.unwrap_or_default());
        let tag = self.destination.map_or("latest".into(), |name| format!("latest-{name}"));
        let seen = server.run(&format!(
            "docker ps -a --no-trunc --filter label=service={service} --filter label=destination={destination} \
             --format '{{{{.ID}}}} {{{{.Names}}}} {{{{.State}}}}' | sort
             docker images --no-trunc --format '{{{{.ID}}}} {{{{.Tag}}}}' '*/{service}' | grep -E ' ({tag}|{destination}v[0-9]+)$' | sort
             find .kamal/apps/{name} .kamal/{name}-audit.log -type f -exec sha256sum {{}} + | sort -k 2
             ls -d .kamal/lock-{name} 2>/dev/null; true",
            service = self.project.service,
        ));
        seen.ok().to_owned()
    }

    fn containers(&self, server: &Server) -> Vec<String> {
        let destination = self.destination.unwrap_or_default();
        let seen = server.run(&format!(
            "docker ps -a --filter label=service={} --filter label=destination={destination} --format '{{{{.Names}}}}' | sort",
            self.project.service
        ));
        seen.ok().lines().map(str::to_owned).collect()
    }

    /// The version whose image has its latest tag.
    fn latest(&self, server: &Server, versions: &[&str]) -> Option<String> {
        let tag = self.destination.map_or("latest".into(), |name| format!("latest-{name}"));
        let latest = expect::image_id(&self.project, server, &tag);
        let same = |version: &&&str| expect::image_id(&self.project, server, version) == latest;
        versions.iter().find(same).map(|version| (*version).to_owned())
    }

    #[track_caller]
    fn serves(&self, lease: &Lease, version: &str) {
        for server in lease.iter() {
            wait_until(
                &format!("{version} of {} on {}", self.name(), server.name),
                Duration::from_secs(5),
                || self.served(server) == version,
            );
        }
    }
}

#[test]
fn two_destinations_and_another_service_deploy_at_once_and_leave_each_other_alone() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let service = format!("shop-{}", std::process::id());
    let mut live = App::new(sandbox, &lease, &service, Some("live"));
    let mut staging = App::new(sandbox, &lease, &service, Some("staging"));
    let mut other = App::new(sandbox, &lease, &format!("{service}-web"), None);

    // All three deploy at once to bare servers, and each finds neither network nor Traefik.
    let first = [live.start_deploy("livev1"), staging.start_deploy("stagingv1"), other.start_deploy("v1")];
    first.into_iter().for_each(|deploy| {
        deploy.wait(bowline_tests::project::DEADLINE).ok();
    });
    live.serves(&lease, "livev1");
    staging.serves(&lease, "stagingv1");
    other.serves(&lease, "v1");
    let files = lease[0].run("ls .kamal/env/traefik; ls .kamal | grep -c takeover");
    assert_eq!(files.stdout, "traefik.env\n0\n", "one env file, whoever ran Traefik");

    // Two of them deploy at the same time until images are pruned. The third is locked and gets requests throughout.
    live.run(&["lock", "acquire", "-m", "do not touch"]).ok();
    let before: Vec<String> = lease.iter().map(|server| live.picture(server)).collect();
    let visits = Load::start(Options {
        host: Some(live.host.clone()),
        pause: Duration::from_millis(2),
        clients: 2,
        ..Options::new(lease[0].url("/version"), Mode::NewConnection)
    });
    visits.allow_from_now_on(&["livev1"]);
    std::thread::scope(|scope| {
        let (staging, other) = (&mut staging, &mut other);
        scope.spawn(|| ["stagingv2", "stagingv3"].map(|version| staging.deploy(version)));
        scope.spawn(|| ["v2", "v3"].map(|version| other.deploy(version)));
    });
    for (server, before) in lease.iter().zip(&before) {
        assert_eq!(&live.picture(server), before, "{} on {}", live.name(), server.name);
        assert_eq!(
            staging.containers(server),
            [staging.container("stagingv2"), staging.container("stagingv3")]
        );
        assert_eq!(other.containers(server), [other.container("v2"), other.container("v3")]);
        let versions = ["livev1", "stagingv2", "stagingv3"];
        assert_eq!(live.latest(server, &versions).as_deref(), Some("livev1"));
        assert_eq!(staging.latest(server, &versions).as_deref(), Some("stagingv3"));
        assert_eq!(other.latest(server, &["v2", "v3"]).as_deref(), Some("v3"));
        let tags = server.run(&format!("docker images --format '{{{{.Tag}}}}' '*/{service}' | sort"));
        assert_eq!(tags.ok(), "latest-live\nlatest-staging\nlivev1\nstagingv2\nstagingv3");
    }

    // One rolls back, and the others don't change.
    let others: Vec<String> = lease.iter().map(|server| other.picture(server)).collect();
    staging.run(&["rollback"]).ok();
    staging.serves(&lease, "stagingv2");
    other.serves(&lease, "v3");
    for ((server, before), other_before) in lease.iter().zip(&before).zip(&others) {
        assert_eq!(&live.picture(server), before, "{} on {}", live.name(), server.name);
        assert_eq!(&other.picture(server), other_before, "{} on {}", other.name(), server.name);
    }
    let report = visits.stop();
    assert!(report.sent > 1000 && report.sent == report.right, "the third app's visitors\n{report:#}");
    live.run(&["lock", "release"]).ok();
}

#[test]
fn names_that_come_out_the_same_are_told_and_harm_nobody() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let service = format!("mall-{}", std::process::id());
    let mut staging = App::new(sandbox, &lease, &service, Some("staging"));
    let mut namesake = App::new(sandbox, &lease, &format!("{service}-staging"), None);
    for app in [&mut staging, &mut namesake] {
        app.project.unset("asset_path");
    }

    // Destination `staging` of `mall` and the service `mall-staging` share a directory, which has both apps' cords.
    namesake.deploy("v1");
    let untouched = namesake.picture(server).lines().next().map(str::to_owned);
    staging.run(&["plan", "--version", "v1"]).says("has the same directory").exits(0);
    staging.deploy("v1");
    assert_eq!(namesake.picture(server).lines().next().map(str::to_owned), untouched);
    let health = "{{.State.Status}} {{.State.Health.Status}}";
    assert_eq!(expect::inspect(server, &namesake.container("v1"), health), "running healthy");
    assert_eq!(namesake.served(server), "v1");
    assert_eq!(staging.served(server), "v1");

    // Role `web-staging` of `mall` would have the same names as `web` of its destination. A deploy must refuse the
    // same version, and different requests for the same router.
    let mut twin = App::new(sandbox, &lease, &service, None);
    let address = server.address.clone();
    let role = format!(
        "traefik: true\nlabels: {{traefik.http.routers.{service}-web-staging.rule: Host(`twin.test`)}}"
    );
    twin.project.set("primary_role", "web-staging").unset("labels").unset("asset_path");
    twin.project.roles(&[("web-staging", &[&address], &role)]);
    let before = staging.picture(server);
    let refused = twin.start_deploy("v1").wait(bowline_tests::project::DEADLINE);
    refused.exits(2).says(&format!("traefik.http.routers.{service}-web-staging")).says("hint:");
    twin.project.roles(&[("web-staging", &[&address], "traefik: false")]);
    let refused = twin.start_deploy("v1").wait(bowline_tests::project::DEADLINE);
    refused
        .exits(1)
        .says(&format!("{service}-web-staging-v1 is taken by a container of another app"))
        .says("hint:");
    assert_eq!(staging.picture(server), before);
    assert_eq!(staging.served(server), "v1");

    // Removing the destination leaves the service `mall-staging` alone.
    staging.run(&["remove", "-y"]).exits(0).says("kept the app's directory").says("kept Traefik");
    assert_eq!(expect::inspect(server, &namesake.container("v1"), health), "running healthy");
    assert_eq!(namesake.served(server), "v1");
}
