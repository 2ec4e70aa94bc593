//! The real Kamal with our proxy: compares what it and Bowline make of the same files, and switches between them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails with a panic")]

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::inspect::{differences, inspected};
use bowline_tests::load::{Load, Mode, Options};
use bowline_tests::project::Project;
use bowline_tests::proxy::CONTAINER;
use bowline_tests::sandbox::{Lease, Ran, Sandbox, Server, run};
use bowline_tests::tls::write_certificate;

/// A project with three roles that uses most keys of `proxy:`.
fn project(sandbox: &Sandbox, lease: &Lease, name: &str) -> Project {
    let mut project = Project::proxied(sandbox, lease, name);
    let (repository, tag) = sandbox.push_proxy();
    // Kamal 2.11 reports a conflict if all roles inherit this from the root.
    let run = format!(
        "{{registry: '{}', repository: {repository}, version: {tag}, debug: true, metrics_port: 9090, \
         log_max_size: 5m, options: {{memory: 256m, label: [kind=proxy]}}}}",
        sandbox.registry
    );
    let (host, hosts) = (project.host(), lease.addresses().join(", "));
    project
        .without_run()
        .set(
            "servers",
            &format!(
                "
  web:
    hosts: [{hosts}]
    proxy: {{run: {run}}}
  api:
    hosts: [{hosts}]
    proxy:
      host: api.{host}
      path_prefix: /v1
      strip_path_prefix: false
      response_timeout: 20
      healthcheck: {{path: /up, interval: 2, timeout: 3}}
      buffering: {{requests: true, responses: false, max_request_body: 40000000, memory: 2000000}}
      logging: {{request_headers: [Accept], response_headers: [X-Version]}}
  shop:
    hosts: [{hosts}]
    proxy:
      host: shop.{host},www.shop.{host}
      forward_headers: true
      ssl_redirect: false
  worker:
    hosts: [{hosts}]
    cmd: /app/server worker"
            ),
        )
        .set("readiness_delay", "0")
        .set("drain_timeout", "10")
        .set("retain_containers", "20");
    for version in ["v1", "v2", "v3"] {
        sandbox.push_version(&project.service, &project.service, version, &[]);
    }
    project
}

/// Adds a certificate for the role `shop`, error pages, and an accessory with a proxy.
fn with_files(sandbox: &Sandbox, lease: &Lease, project: &mut Project) {
    let (host, hosts) = (project.host(), lease.addresses().join(", "));
    let service = project.service.clone();
    sandbox.push_version(&service, &service, "tool", &[]);
    project.set("error_pages_path", "public").set(
        "accessories",
        &format!(
            "
  tool:
    image: {service}:tool
    hosts: [{hosts}]
    registry: {{server: '{}', username: {}, password: [KAMAL_REGISTRY_PASSWORD]}}
    proxy: {{host: tool.{host}, app_port: 3000, healthcheck: {{interval: 1}}}}",
            sandbox.registry, sandbox.registry_user
        ),
    );
    project.write("public/404.html", "<h1>lost</h1>");
    project.write("public/503.html", "<h1>{{ .Message }}</h1>");
    write_certificate(project.path(), &[&format!("shop.{host}"), &format!("www.shop.{host}")]);
    project.secret("CERTIFICATE", "$(cat certificate.pem)").secret("KEY", "$(cat key.pem)");
    let ssl = "      ssl: {certificate_pem: CERTIFICATE, private_key_pem: KEY}\n      ssl_redirect: false";
    let servers = project.section("servers").replace("      ssl_redirect: false", ssl);
    project.set("servers", &servers);
}

fn deploy<'a>(version: &'a str, server: &'a Server) -> [&'a str; 6] {
    ["deploy", "--skip-push", "--version", version, "-h", &server.address]
}

/// The services in the proxy's state file, with container names instead of ids.
fn routes(project: &Project, server: &Server) -> BTreeMap<String, String> {
    let listed = server.run("docker ps -a --format '{{.ID}} {{.Names}}'");
    let names = listed.ok().lines().filter_map(|line| line.split_once(' '));
    let names: Vec<(&str, &str)> = names.collect();
    let named = |text: String| names.iter().fold(text, |text, (id, name)| text.replace(id, name));
    let state = server.proxy_state().into_iter();
    let state: BTreeMap<_, _> =
        state.map(|(name, service)| (name, named(serde_json::to_string_pretty(&service).unwrap()))).collect();
    assert!(state.contains_key(&project.route("web")), "{state:?}");
    state
}

/// The output of `kamal-proxy list`, with container names instead of ids.
fn listed(server: &Server) -> String {
    let ids = "docker ps -a --format 's/{{.ID}}/{{.Names}}/' >/tmp/names.sed";
    let ran = server.run(&format!("{ids}; docker exec {CONTAINER} kamal-proxy list | sed -f /tmp/names.sed"));
    // The columns are still padded for ids.
    ran.ok().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn p1_the_same_files_make_the_same_containers_and_routes_behind_the_proxy_as_with_kamal() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = project(sandbox, &lease, "peer-proxy");
    with_files(sandbox, &lease, &mut project);
    let (theirs, ours) = (&lease[0], &lease[1]);
    project.kamal(&deploy("v1", theirs)).ok();
    project.bowline(&deploy("v1", ours)).ok();
    // Kamal gives an accessory the error pages of the version in `--version`.
    let boot = ["accessory", "boot", "tool", "--version", "v1", "-h"];
    project.kamal(&[&boot[..], &[&theirs.address]].concat()).ok();
    project.bowline(&[&boot[..], &[&ours.address]].concat()).ok();

    for role in ["web", "api", "shop", "worker"] {
        let container = project.container(role, "v1");
        let found = differences(&inspected(theirs, &container), &inspected(ours, &container));
        // Bowline hides containers without a route from a Traefik that may run on the same server.
        let unrouted = "/Config/Labels/traefik.enable: nothing -> \"false\"";
        let own = expect::inspect(ours, &container, "{{json (index .Config.Labels \"bowline.config\")}}");
        let own = format!("/Config/Labels/bowline.config: nothing -> {own}");
        let listed = [own.as_str(), unrouted];
        assert_eq!(found, listed[..if role == "worker" { 2 } else { 1 }], "{role}");
    }
    let tool = format!("{}-tool", project.service);
    assert_eq!(differences(&inspected(theirs, &tool), &inspected(ours, &tool)), [""; 0], "the accessory");
    // `docker create` and `docker run --detach` record this differently. Nothing was attached to either container.
    let attached = ["/Config/AttachStderr: false -> true", "/Config/AttachStdout: false -> true"];
    let proxies = differences(&inspected(theirs, CONTAINER), &inspected(ours, CONTAINER));
    assert_eq!(proxies, attached, "the proxy's own container");
    let [kamals, bowlines] = [theirs, ours].map(|server| routes(&project, server));
    for (service, route) in kamals.iter().filter(|(service, _)| **service != tool) {
        assert_eq!(bowlines.get(service), Some(route), "{service}");
    }
    assert!(kamals.keys().eq(bowlines.keys()) && kamals.contains_key(&tool), "{kamals:?}\n{bowlines:?}");
    // The accessory outlives the version whose error pages it got.
    let pages = format!(".kamal/proxy/apps-config/{}/accessory_error_pages/{tool}", project.service);
    assert!(ours.has(&format!("{pages}/404.html")) && bowlines[&tool].contains("accessory_error_pages"));
    ours.run(&format!("rm -r {pages}")).ok();
    let files = "cd .kamal && find proxy -type f -exec sha256sum {} + | sort -k 2";
    assert_eq!(theirs.run(files).ok(), ours.run(files).ok(), "error pages and certificates");
    assert_eq!(listed(theirs), listed(ours));
    for server in lease.iter() {
        let host = project.host();
        assert!(server.serves(&host, "v1"));
        assert_eq!(server.ask(&format!("api.{host}"), "/version").0, 404);
        assert_eq!(server.ask(&format!("tool.{host}"), "/version"), (200, "tool".into()));
        let shop = format!("shop.{host}");
        let to = format!("{shop}:443:{}", server.address);
        let mut curl = Command::new("curl");
        curl.args(["-s", "--noproxy", "*", "--cacert", "certificate.pem", "--resolve", &to]);
        let answer = run(curl.arg(format!("https://{shop}/version")).current_dir(project.path()));
        assert_eq!(answer.ok(), "v1", "over HTTPS from {}", server.name);
    }
}

#[test]
fn p1_kamal_and_bowline_take_turns_behind_one_proxy_and_no_request_is_lost() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let project = project(sandbox, &lease, "turns-proxy");
    project.commit();
    let host = project.host();
    project.kamal(&deploy("v1", server)).ok();
    let visits = |mode| {
        Load::start(Options {
            host: Some(host.clone()),
            clients: 2,
            pause: Duration::from_millis(5),
            at_most: Duration::from_secs(170),
            ..Options::new(server.url("/version"), mode)
        })
    };
    let visits = [Mode::KeepAlive, Mode::NewConnection].map(visits);
    let turn = |from: &str, to: &str, kamal: bool, words: &[&str]| {
        visits.iter().for_each(|visits| visits.allow_from_now_on(&[from, to]));
        if kamal { project.kamal(words) } else { project.bowline(words) }.ok();
        visits.iter().for_each(|visits| visits.expect_from_now_on(to));
        expect::runs(&project, server, &[("api", to), ("shop", to), ("web", to), ("worker", to)]);
        expect::unlocked(&project, server);
    };
    turn("v1", "v2", false, &deploy("v2", server));
    turn("v2", "v3", true, &deploy("v3", server));
    turn("v3", "v2", false, &["rollback", "v2"]);
    turn("v2", "v1", true, &["rollback", "v1"]);
    for visits in visits {
        visits.wait_for(200);
        visits.stop().assert_clean(1_000);
    }

    // Either tool ends maintenance that the other began. Bowline also works with a proxy that Kamal rebooted.
    let either = |kamal: bool, words: &[&str]| {
        if kamal { project.kamal(words) } else { project.bowline(words) }.ok();
    };
    for kamal in [true, false] {
        either(kamal, &["app", "maintenance", "--message", "Soon."]);
        let (status, page) = server.ask(&host, "/version");
        assert!(status == 503 && page.contains("Soon."), "{kamal}: {status} {page}");
        either(!kamal, &["app", "live"]);
        assert!(server.serves(&host, "v1"), "{kamal}");
    }
    either(true, &["proxy", "reboot", "-y"]);
    assert!(server.serves(&host, "v1"));
    either(false, &deploy("v2", server));
    assert!(server.serves(&host, "v2"));
    // Kamal prunes for its roles in parallel, and Docker allows one prune at a time per server.
    let refused = |ran: &Ran| format!("{ran}").contains("a prune operation is already running");
    let removed = (0..5).map(|_| project.kamal(&["remove", "-y"])).find(|ran| !refused(ran));
    removed.expect("Kamal removes it").ok();
    assert_eq!(server.run(&format!("docker ps -aq --filter name={CONTAINER}")).ok(), "");
    expect::runs(&project, server, &[]);
}
