//! Deploys behind the proxy that `proxy:` describes, as in Kamal 2: P1, P2 and P4, on servers that had none.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::process::Command;
use std::time::Duration;

use bowline_tests::browsers::Browsers;
use bowline_tests::expect;
use bowline_tests::load::{Load, Mode, Options};
use bowline_tests::project::Project;
use bowline_tests::proxy::CONTAINER;
use bowline_tests::sandbox::{Lease, Ran, Sandbox, Server, run};
use bowline_tests::watch::{Watch, ever, told, when};

const WORKER: &str = "cmd: /app/server worker";

/// Asserts that the service's only target on a server is the container of this version.
#[track_caller]
fn registered(project: &Project, server: &Server, role: &str, version: &str) {
    let id = server.short_id(&project.container(role, version));
    assert_eq!(server.targets(&project.route(role)), [format!("{id}:3000")], "on {}", server.name);
}

#[test]
fn p1_p2_six_deploys_behind_our_proxy_lose_no_request_no_asset_and_leave_no_old_version() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::proxied(sandbox, &lease, "behind");
    let host = project.host();
    project.set("asset_path", "/app/public/assets");
    // The first deploy sends the proxy's image.
    lease[0].forget_proxy_image();
    let ran = project.deploy("v0");
    ran.never_says("failed after").ok();
    if project.has_own_proxy() {
        ran.says("needs its image first");
    }
    for server in lease.iter() {
        assert!(server.serves(&host, "v0"), "{:?} on {}", server.ask(&host, "/version"), server.name);
        assert_eq!(server.ask("another.test", "/version").0, 404, "on {}", server.name);
        let image = expect::inspect(server, CONTAINER, "{{.Config.Image}}");
        assert_eq!(image.starts_with("bowline-proxy:v10."), project.has_own_proxy(), "{image}");
        registered(&project, server, "web", "v0");
    }

    let urls = |path: &str| lease.iter().map(|server| server.url(path)).collect::<Vec<_>>();
    let visit = |mode| {
        Load::start(Options {
            urls: urls("/version"),
            host: Some(host.clone()),
            clients: 2,
            pause: Duration::from_millis(10),
            at_most: Duration::from_secs(400),
            ..Options::new(lease[0].url("/version"), mode)
        })
    };
    let loads = [Mode::KeepAlive, Mode::NewConnection].map(visit);
    let browsers = Browsers::open_as(1, &urls("/"), Some(&host));
    browsers.wait_for("v0", 2);
    for number in 1..=6 {
        let [old, new] = [number - 1, number].map(|number| format!("v{number}"));
        loads.iter().for_each(|load| load.allow_from_now_on(&[&old, &new]));
        // Visitors must not notice how the old app ends its connections.
        project.build_arg("ON_TERM", if number % 2 == 0 { "drain" } else { "exit" });
        project.deploy(&new).ok();
        loads.iter().for_each(|load| load.expect_from_now_on(&new));
        browsers.wait_for(&new, 2);
    }
    let report = browsers.close();
    assert_eq!(report.failed, 0, "{report}");
    assert!(report.assets["v0"] > 0 && report.bridged > 0, "{report}");
    for load in loads {
        load.wait_for(200);
        load.stop().assert_clean(2_000);
    }
    for server in lease.iter() {
        expect::runs(&project, server, &[("web", "v6")]);
        expect::unlocked(&project, server);
        registered(&project, server, "web", "v6");
    }
}

/// Asserts that the deploy failed, the old version runs and serves everywhere, and the new containers are stopped.
#[track_caller]
fn all_as_before(project: &Project, lease: &Lease, ran: &Ran, versions: [&str; 2]) {
    expect::all_as_before(project, lease, ran, versions);
    for server in lease.iter() {
        assert!(server.serves(&project.host(), versions[0]), "{ran}");
        registered(project, server, "web", versions[0]);
    }
}

#[test]
fn p4_a_broken_image_behind_the_proxy_leaves_the_old_version_and_shows_what_the_check_saw() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::proxied(sandbox, &lease, "refused");
    let (first, second) = (lease[0].address.as_str(), lease[1].address.as_str());
    project.roles(&[("web", &[first, second], ""), ("worker", &[second], WORKER)]);
    project.deploy("v1").ok();

    project.build_arg("EXIT_AT_BOOT", "7");
    let ran = project.deploy("v2");
    all_as_before(&project, &lease, &ran, ["v1", "v2"]);
    ran.says("cannot boot: EXIT_AT_BOOT=7 asks version v2 to exit at once").says("code 7");
    // Once fixed, the same version can be deployed over the failed containers.
    project.build_arg("EXIT_AT_BOOT", "");
    project.deploy("v2").ok();
    expect::runs(&project, &lease[1], &[("web", "v2"), ("worker", "v2")]);

    project.set("deploy_timeout", "4");
    project.set("drain_timeout", "2").build_arg("HEALTH", "fail").build_arg("ON_TERM", "ignore");
    let ran = project.deploy("v3");
    all_as_before(&project, &lease, &ran, ["v2", "v3"]);
    ran.says(":3000/up").says("503").says("version v3 listening");
    project.build_arg("HEALTH", "").build_arg("ON_TERM", "");

    let proxy = project.section("proxy").replace("3000", "3001");
    project.set("proxy", &proxy);
    let ran = project.deploy("v4");
    all_as_before(&project, &lease, &ran, ["v2", "v4"]);
    ran.says(":3001/up").says("refused").says("version v4 listening on [::]:3000");

    project.set_proxy("healthcheck: {path: /nowhere, interval: 1}");
    let ran = project.deploy("v5");
    all_as_before(&project, &lease, &ran, ["v2", "v5"]);
    ran.says(":3000/nowhere").says("404");
}

#[test]
fn p1_two_roles_have_the_proxy_and_they_and_a_worker_wait_at_the_barrier() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::proxied(sandbox, &lease, "two-roles");
    let (address, host) = (server.address.as_str(), project.host());
    let api_host = format!("api.{host}");
    let api = format!("proxy: {{host: {api_host}, healthcheck: {{interval: 2}}}}");
    let plain = format!("{WORKER}\nproxy: false");
    project.roles(&[("web", &[address], ""), ("api", &[address], &api), ("worker", &[address], &plain)]);
    project.deploy("v1").ok();
    let every = |version: &'static str| [("web", version), ("api", version), ("worker", version)];
    expect::runs(&project, server, &every("v1"));
    for (role, host) in [("web", &host), ("api", &api_host)] {
        assert!(server.serves(host, "v1"), "{role}: {:?}", server.ask(host, "/version"));
        registered(&project, server, role, "v1");
    }
    let state = server.proxy_state();
    assert_eq!(state.len(), 2, "{state:?}");
    // A role's own keys are merged with those of the root.
    let interval =
        |role: &str| &state[&project.route(role)]["target_options"]["health_check_config"]["interval"];
    assert_eq!(
        (interval("web").as_u64(), interval("api").as_u64()),
        (Some(1_000_000_000), Some(2_000_000_000))
    );

    let slow = "env: {clear: {START_DELAY_MS: 3000}}";
    project.roles(&[("web", &[address], slow), ("api", &[address], &api), ("worker", &[address], &plain)]);
    let watch = Watch::on(server);
    project.deploy("v2").ok();
    let all = watch.stop();
    let begun = when(&all, "start", &project.container("web", "v2"));
    for role in ["api", "worker"] {
        let stopped = when(&all, "kill", &project.container(role, "v1"));
        assert!(stopped > begun + 3_000_000_000, "the old {role} waits\n{}", told(&all));
    }
    expect::runs(&project, server, &every("v2"));
    assert!(server.serves(&host, "v2") && server.serves(&api_host, "v2"));

    let sick = "env: {clear: {HEALTH: fail}}";
    project.set("deploy_timeout", "3");
    project.roles(&[("web", &[address], sick), ("api", &[address], &api), ("worker", &[address], &plain)]);
    let watch = Watch::on(server);
    project.deploy("v3").exits(1);
    let all = watch.stop();
    for role in ["web", "api", "worker"] {
        let old = project.container(role, "v2");
        assert!(!ever(&all, "kill", &old) && !ever(&all, "die", &old), "{role} is untouched\n{}", told(&all));
    }
    expect::runs(&project, server, &every("v2"));
    assert!(server.serves(&host, "v2") && server.serves(&api_host, "v2"));

    // A role that fails behind the barrier keeps its old version, and the others finish.
    let broken = format!("{api}\nenv: {{clear: {{EXIT_AT_BOOT: 5}}}}");
    project.roles(&[("web", &[address], ""), ("api", &[address], &broken), ("worker", &[address], &plain)]);
    project.deploy("v4").says("code 5").exits(1);
    expect::runs(&project, server, &[("web", "v4"), ("api", "v2"), ("worker", "v4")]);
    assert!(server.serves(&host, "v4") && server.serves(&api_host, "v2"));
    expect::unlocked(&project, server);
}

#[test]
fn p1_two_apps_and_two_destinations_share_one_proxy_and_a_host_name_that_is_taken_is_refused() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut shop = Project::proxied(sandbox, &lease, "shop");
    let mut blog = Project::proxied(sandbox, &lease, "blog");
    let (host, staging) = (shop.host(), format!("staging.{}", shop.host()));
    shop.write("config/deploy.staging.yml", &format!("proxy: {{host: {staging}}}\n"));
    let login = format!("KAMAL_REGISTRY_PASSWORD={}\n", sandbox.registry_password);
    shop.write(".kamal/secrets.staging", &login);
    shop.deploy("v1").ok();
    let proxy = expect::inspect(server, CONTAINER, "{{.Id}}");
    shop.build_arg("VERSION", "s1");
    shop.bowline(&["deploy", "-d", "staging", "--version", "s1"]).ok();
    blog.deploy("b1").ok();
    let answers = |expected: &[(&str, &str)]| {
        for (host, version) in expected {
            assert!(server.serves(host, version), "{host}: {:?}", server.ask(host, "/version"));
        }
    };
    answers(&[(&host, "v1"), (&staging, "s1"), (&blog.host(), "b1")]);
    assert_eq!(expect::inspect(server, CONTAINER, "{{.Id}}"), proxy, "there is one proxy");
    let routes: Vec<String> = server.proxy_state().into_keys().collect();
    let mut expected = [blog.route("web"), shop.route("web"), format!("{}-staging", shop.route("web"))];
    expected.sort();
    assert_eq!(routes, expected);

    // Another app's host name is refused, and neither app changes.
    let own = blog.section("proxy").to_owned();
    blog.set("proxy", &own.replace(&blog.host(), &host));
    let refused = blog.deploy("b2");
    refused
        .exits(2)
        .says(&format!("can't use {host}"))
        .says(&shop.route("web"))
        .says("give one of them another");
    answers(&[(&host, "v1"), (&blog.host(), "b1")]);
    expect::runs(&blog, server, &[("web", "b1")]);
    blog.set("proxy", &own);

    // Removing an app removes only what belongs to it. Removing the last one also removes the proxy.
    shop.bowline(&["remove", "-d", "staging", "-y"]).ok();
    blog.bowline(&["remove", "-y"]).ok();
    answers(&[(&host, "v1")]);
    assert_eq!(server.ask(&staging, "/version").0, 404);
    assert_eq!(server.proxy_state().into_keys().collect::<Vec<_>>(), [shop.route("web")]);
    shop.bowline(&["remove", "-y"]).ok();
    assert_eq!(server.run(&format!("docker ps -aq --filter name={CONTAINER}")).ok(), "");
}

#[test]
fn our_proxy_does_what_kamal_has_no_keys_for() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::proxied(sandbox, &lease, "beyond");
    let host = project.host();
    let service = project.service.clone();
    sandbox.push_version(&service, &service, "tool", &[]);
    let old = format!(
        "
  hosts: [{host}, old.{host}]
  app_port: 3000
  canonical_host: {host}
  healthcheck: {{interval: 1, host: {host}}}
  exclude_metrics_paths: [/up]
  compress: true
  stream_timeout: 1
  response_headers: {{Cache-Control: \"private, max-age=7\"}}"
    );
    let login = "registry: {server: '%', username: %, password: [KAMAL_REGISTRY_PASSWORD]}";
    let login = login.replacen('%', &sandbox.registry, 1).replacen('%', &sandbox.registry_user, 1);
    project.set("proxy", &old).secret("LOGIN", "'ann:it s a secret'").secret("OTHER", "no-login").set(
        "accessories",
        &format!(
            "
  tool:
    image: {service}:tool
    host: {}
    {login}
    proxy: {{host: tool.{host}, app_port: 3000, healthcheck: {{interval: 1}}, basic_auth: [LOGIN], allow_ips: [0.0.0.0/0]}}",
            server.address
        ),
    );
    project.deploy("v1").ok();
    project.bowline(&["accessory", "boot", "tool"]).ok();
    let asked = |host: &str, more: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--noproxy", "*", "--max-time", "5", "-D", "-", "-H", &format!("Host: {host}")]);
        run(curl.args(more).arg(server.url("/version"))).stdout.to_lowercase()
    };
    let answer = asked(&host, &[]);
    assert!(answer.contains("200 ok") && answer.contains("cache-control: private, max-age=7"), "{answer}");
    let moved = asked(&format!("old.{host}"), &[]);
    assert!(
        moved.contains(" 301 ") && moved.contains(&format!("location: http://{host}/version")),
        "{moved}"
    );
    let tool = format!("tool.{host}");
    let closed = asked(&tool, &[]);
    assert!(closed.contains(" 401 ") && closed.contains("www-authenticate: basic"), "{closed}");
    let open = asked(&tool, &["-u", "ann:it s a secret"]);
    assert!(open.contains("200 ok") && open.ends_with("tool"), "{open}");
    // Only the proxy can read the file with the login.
    let file =
        server.run(&format!("stat -c '%a %u' .kamal/proxy/apps-config/{service}/auth/{service}-tool/logins"));
    assert_eq!(file.ok(), "600 1001");

    // Another proxy would ignore the login.
    project.set_proxy("healthcheck: {interval: 1}\nrun: {version: v0.9.2}");
    let refused = project.bowline(&["proxy", "reboot", "-y"]);
    refused.exits(1).says("needs Bowline's own proxy").says("deploy first");
    assert!(asked(&tool, &[]).contains(" 401 "), "it still asks");

    project.set_proxy("basic_auth: [OTHER]");
    project.deploy("v2").exits(2).says("the secret OTHER of `basic_auth` is not a login");
    project.set_proxy("canonical_host: elsewhere.test");
    project.deploy("v2").exits(2).says("should be one of the hosts");
    expect::runs(&project, server, &[("web", "v1")]);

    // A login that was removed from the configuration is removed from the server.
    let logins = format!(".kamal/proxy/apps-config/{service}/auth/web/logins");
    project.set_proxy("healthcheck: {interval: 1}\nbasic_auth: [LOGIN]");
    project.deploy("v2").ok();
    assert!(server.has(&logins) && server.ask(&host, "/version").0 == 401);
    project.set_proxy("healthcheck: {interval: 1}");
    project.deploy("v3").ok();
    assert!(!server.has(&logins) && server.serves(&host, "v3"));
}

#[test]
fn p1_a_host_name_that_another_app_has_is_refused_in_the_plan_until_that_app_gives_it_back() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut first = Project::proxied(sandbox, &lease, "host-first");
    let mut second = Project::proxied(sandbox, &lease, "host-second");
    let host = first.host();
    second.set("proxy", &format!("\n  host: {host}\n  app_port: 3000\n  healthcheck: {{interval: 1}}"));
    first.deploy("v1").ok();
    let refused = format!(
        "{} can't use {host} on {}: kamal-proxy already routes it to {}",
        second.route("web"),
        server.address,
        first.route("web")
    );
    second.bowline(&["plan", "--version", "v1"]).says(&refused).exits(2);
    second.deploy("v1").says(&refused).exits(2);
    expect::runs(&second, server, &[]);
    expect::unlocked(&second, server);
    assert!(server.serves(&host, "v1"));

    first.roles(&[("web", &[&server.address], "proxy: false")]);
    first.deploy("v2").ok();
    expect::runs(&first, server, &[("web", "v2")]);
    assert!(!server.proxy_state().contains_key(&first.route("web")));
    second.deploy("v1").ok();
    assert!(server.serves(&host, "v1"));
}
