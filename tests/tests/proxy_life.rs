//! Operations on an app behind the proxy, other than deploys, and what happens when a deploy or the proxy is killed.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::load::{Load, Mode, Options};
use bowline_tests::project::{DEADLINE, Project};
use bowline_tests::proxy::CONTAINER;
use bowline_tests::sandbox::{Sandbox, wait_until};
use bowline_tests::watch::Watch;

const SOON: Duration = Duration::from_secs(60);

#[test]
fn p5_behind_the_proxy_an_app_goes_back_is_paused_stopped_and_removed() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::proxied(sandbox, &lease, "behind-life");
    let host = project.host();
    project.deploy("v1").ok();
    project.deploy("v2").ok();
    let visits = Load::start(Options {
        host: Some(host.clone()),
        clients: 2,
        pause: Duration::from_millis(4),
        ..Options::new(server.url("/version"), Mode::KeepAlive)
    });
    visits.allow_from_now_on(&["v1", "v2", "v3"]);
    visits.wait_for(50);
    project.bowline(&["rollback"]).ok();
    visits.expect_from_now_on("v1");
    expect::runs(&project, server, &[("web", "v1")]);
    visits.wait_for(50);
    visits.allow_from_now_on(&["v1", "v3"]);
    project.build_arg("VERSION", "v3");
    project.bowline(&["redeploy", "--version", "v3"]).ok();
    visits.expect_from_now_on("v3");
    visits.wait_for(50);
    visits.stop().assert_clean(150);
    expect::runs(&project, server, &[("web", "v3")]);

    // An open request is completed during a pause, and a deploy doesn't end the pause.
    let url = server.url("/slow?ms=2000");
    let slow = Load::start(Options {
        host: Some(host.clone()),
        clients: 1,
        count: Some(1),
        ..Options::new(url, Mode::KeepAlive)
    });
    wait_until("the slow request", SOON, || slow.begun() == 1);
    project.bowline(&["app", "maintenance", "-m", "Back at <noon>."]).ok();
    slow.finish().assert_clean(1);
    let (status, page) = server.ask(&host, "/version");
    assert!(status == 503 && page.contains("Back at &lt;noon&gt;."), "{status} {page}");
    project.deploy("v4").ok();
    assert_eq!(server.ask(&host, "/version").0, 503);
    project.bowline(&["app", "live"]).ok();
    assert!(server.serves(&host, "v4"));

    project.bowline(&["app", "stop"]).ok();
    assert_eq!(server.ask(&host, "/version").0, 404);
    project.bowline(&["app", "start"]).ok();
    assert!(server.serves(&host, "v4"));
    project.bowline(&["app", "details"]).says(&project.container("web", "v4")).ok();
    project.bowline(&["app", "remove", "-y"]).ok();
    expect::runs(&project, server, &[]);
    assert_eq!(server.ask(&host, "/version").0, 404);
}

#[test]
fn p5_the_proxy_itself_is_stopped_rebooted_shown_and_kept_for_as_long_as_an_app_needs_it() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::proxied(sandbox, &lease, "proxy-life");
    let host = project.host();
    server.forget_proxy_image();
    project.bowline(&["proxy", "boot"]).ok();
    project.bowline(&["proxy", "boot"]).ok();
    project.deploy("v1").ok();
    project.bowline(&["proxy", "details"]).says(CONTAINER).says(&project.route("web")).ok();
    project.bowline(&["proxy", "logs", "-n", "5"]).says("Deployed").ok();
    project.bowline(&["proxy", "stop"]).ok();
    assert_eq!(server.ask(&host, "/version").0, 0);
    project.bowline(&["proxy", "start"]).ok();
    assert!(server.serves(&host, "v1"));
    project.bowline(&["proxy", "restart"]).ok();
    assert!(server.serves(&host, "v1"));

    // A stopped proxy can't list its routes, and has them again after a reboot.
    project.bowline(&["proxy", "stop"]).ok();
    project.bowline(&["proxy", "reboot", "-y"]).ok();
    assert!(server.serves(&host, "v1"));

    // The new proxy has the old one's routes and the current configuration.
    let before = expect::inspect(server, CONTAINER, "{{.Id}}");
    project.set_proxy("healthcheck: {interval: 1}\nrun: {http_port: 80, https_port: 443, log_max_size: 3m}");
    project.bowline(&["proxy", "reboot", "-y"]).ok();
    assert!(server.serves(&host, "v1"));
    assert_ne!(expect::inspect(server, CONTAINER, "{{.Id}}"), before, "it is a new container");
    let log = expect::inspect(server, CONTAINER, "{{index .HostConfig.LogConfig.Config \"max-size\"}}");
    assert_eq!(log, "3m");

    // A port conflict is found before the running proxy is stopped.
    let started = expect::inspect(server, CONTAINER, "{{.Id}} {{.State.StartedAt}}");
    project.set_proxy("healthcheck: {interval: 1}\nrun: {http_port: 80, https_port: 22}");
    project.bowline(&["proxy", "reboot", "-y"]).says("port 22").exits(1);
    assert_eq!(expect::inspect(server, CONTAINER, "{{.Id}} {{.State.StartedAt}}"), started);
    project.set_proxy("healthcheck: {interval: 1}");

    project.bowline(&["proxy", "remove", "-y"]).says(&format!("kept {CONTAINER}")).ok();
    assert!(server.serves(&host, "v1"));
    project.bowline(&["app", "remove", "-y"]).ok();
    project.bowline(&["proxy", "remove", "-y"]).ok();
    assert_eq!(server.run(&format!("docker ps -aq --filter name={CONTAINER}")).ok(), "");
    expect::unlocked(&project, server);
}

#[test]
fn p7_the_proxy_is_upgraded_under_load_without_a_gap_and_stays_so_when_it_is_restarted() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::proxied(sandbox, &lease, "proxy-up");
    let host = project.host();
    let older = server.load_older_proxy();
    let set = ["proxy", "boot-config", "set", "--repository", "bowline-proxy", "--image-version", &older];
    project.bowline(&set).ok();
    project.bowline(&["proxy", "boot"]).ok();
    project.bowline(&["proxy", "boot-config", "reset"]).ok();
    project.deploy("v1").ok();
    let version = || server.run(&format!("docker exec {CONTAINER} kamal-proxy version")).ok().to_owned();
    let container = || expect::inspect(server, CONTAINER, "{{.Id}} {{.State.StartedAt}}");
    assert_eq!(version(), "bowline-proxy 0.0.0");

    let before = container();
    let visits = |mode| {
        Load::start(Options {
            host: Some(host.clone()),
            clients: 2,
            pause: Duration::from_millis(4),
            ..Options::new(server.url("/version"), mode)
        })
    };
    let visits = [Mode::KeepAlive, Mode::NewConnection].map(visits);
    visits.iter().for_each(|visits| visits.expect_from_now_on("v1"));
    let slow = Load::start(Options {
        host: Some(host.clone()),
        clients: 1,
        count: Some(1),
        ..Options::new(server.url("/slow?ms=3000"), Mode::KeepAlive)
    });
    wait_until("the slow request", SOON, || slow.begun() == 1);
    visits.iter().for_each(|visits| visits.wait_for(50));
    let now = env!("CARGO_PKG_VERSION");
    let hint = format!("`bowline proxy upgrade` upgrades it to {now} without downtime");
    project.bowline(&["plan", "--version", "v1"]).says(&hint).ok();
    let text = format!("upgraded {CONTAINER} from bowline-proxy 0.0.0 to {now} without delaying requests");
    project.bowline(&["proxy", "upgrade", "-y"]).says(&text).ok();
    visits.iter().for_each(|visits| visits.wait_for(50));
    slow.finish().assert_clean(1);
    for visits in visits {
        visits.stop().assert_clean(100);
    }
    assert_eq!((version(), container()), (format!("bowline-proxy {now}"), before));
    project.deploy("v2").never_says(&hint).ok();
    assert!(server.serves(&host, "v2"));

    server.run(&format!("docker restart -t 5 {CONTAINER}")).ok();
    wait_until("the proxy is back", SOON, || server.serves(&host, "v2"));
    assert_eq!(version(), format!("bowline-proxy {now}"));
    project.bowline(&["proxy", "upgrade", "-y"]).says("already").ok();
}

#[test]
fn p7_another_image_comes_by_a_reboot_whose_gap_is_printed() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::proxied(sandbox, &lease, "proxy-other");
    let host = project.host();
    project.deploy("v1").ok();
    let image = || expect::inspect(server, CONTAINER, "{{.Config.Image}}");
    let own = image();
    server.run(&format!("docker tag {own} basecamp/kamal-proxy:v0.9.2")).ok();
    project.set_proxy("healthcheck: {interval: 1}\nrun: {version: v0.9.2}");
    project.bowline(&["proxy", "upgrade", "-y"]).says(", down for ").ok();
    assert_eq!(image(), "basecamp/kamal-proxy:v0.9.2");
    assert!(server.serves(&host, "v1"));
    project.bowline(&["proxy", "upgrade", "-y"]).says("already").ok();
    project.set_proxy("healthcheck: {interval: 1}");
    project.bowline(&["proxy", "upgrade", "--rolling", "-y"]).says(", down for ").ok();
    assert_eq!(image(), own);
    assert!(server.serves(&host, "v1"));
    // A container with a read-only file system is rebooted too.
    let older = server.load_older_proxy();
    let options = "{read-only: true, tmpfs: /tmp}";
    let run = |tag: &str| {
        format!(
            "healthcheck: {{interval: 1}}\nrun: {{repository: bowline-proxy, version: {tag}, options: {options}}}"
        )
    };
    project.set_proxy(&run(&older));
    project.bowline(&["proxy", "reboot", "-y"]).ok();
    project.set_proxy(&run(own.strip_prefix("bowline-proxy:").unwrap()));
    project.bowline(&["proxy", "upgrade", "-y"]).says("can't take the new version").says(", down for ").ok();
    assert_eq!(image(), own);
    assert!(server.serves(&host, "v1"));
    server.run("docker rmi basecamp/kamal-proxy:v0.9.2").ok();
}

#[test]
fn p7_an_upgrade_that_fails_leaves_the_proxy_as_it_was_under_load_and_after_a_restart() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::proxied(sandbox, &lease, "proxy-not-up");
    let host = project.host();
    // An older proxy runs, and the next one's image has a program that does nothing.
    project.deploy("v1").ok();
    let own = expect::inspect(server, CONTAINER, "{{.Config.Image}}");
    let older = server.load_older_proxy();
    project.set_proxy(&format!(
        "healthcheck: {{interval: 1}}\nrun: {{repository: bowline-proxy, version: {older}}}"
    ));
    project.bowline(&["proxy", "reboot", "-y"]).ok();
    project.set_proxy("healthcheck: {interval: 1}");
    server
        .run(&format!(
            "docker create --name broken {own} && docker cp /bin/true broken:/usr/local/bin/bowline-proxy && \
             docker commit broken {own} && docker rm broken"
        ))
        .ok();
    let container = || expect::inspect(server, CONTAINER, "{{.Id}} {{.State.StartedAt}}");
    let version = || server.run(&format!("docker exec {CONTAINER} kamal-proxy version")).ok().to_owned();
    let before = (container(), version());
    let visits = Load::start(Options {
        host: Some(host.clone()),
        clients: 2,
        pause: Duration::from_millis(4),
        ..Options::new(server.url("/version"), Mode::KeepAlive)
    });
    visits.expect_from_now_on("v1");
    visits.wait_for(50);
    project.bowline(&["proxy", "upgrade", "-y"]).says("it was not upgraded").exits(1);
    visits.wait_for(50);
    visits.stop().assert_clean(100);
    assert_eq!((container(), version()), before);
    expect::unlocked(&project, server);
    server.run(&format!("docker restart -t 5 {CONTAINER}")).ok();
    wait_until("the proxy is back", SOON, || server.serves(&host, "v1"));
    assert_eq!(version(), before.1);
    server.run(&format!("docker rmi -f {own}")).ok();
    project.bowline(&["proxy", "upgrade", "-y"]).says("without delaying requests").ok();
    assert!(server.serves(&host, "v1"));
}

/// A fault during a deploy, just after the new container has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Killed,
    Interrupted,
    /// Docker doesn't restart a container after `docker kill`.
    ProxyKilled,
    /// The volume remains.
    ProxyRemoved,
    ProxyRestarted,
}

#[test]
fn p4_a_deploy_or_its_proxy_is_killed_in_the_middle_and_the_same_again_finishes() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::proxied(sandbox, &lease, "behind-kill");
    let host = project.host();
    let (first, second) = (lease[0].address.as_str(), lease[1].address.as_str());
    project.roles(&[("web", &[first, second], ""), ("worker", &[second], "cmd: /app/server worker")]);
    project.deploy("v0").ok();
    project.build_arg("START_DELAY_MS", "2500");
    let blows =
        [Blow::Killed, Blow::Interrupted, Blow::ProxyKilled, Blow::ProxyRemoved, Blow::ProxyRestarted];
    for (number, blow) in blows.into_iter().enumerate() {
        let [old, new] = [number, number + 1].map(|number| format!("v{number}"));
        let watch = Watch::on(&lease[1]);
        let running = project.start_deploy(&new);
        let container = project.container("web", &new);
        watch.wait_for("the new container's start", SOON, |event| event.is("start", &container));
        drop(watch);
        match blow {
            Blow::Killed => running.signal("KILL"),
            Blow::Interrupted => running.signal("INT"),
            Blow::ProxyKilled => drop(lease[1].run(&format!("docker kill {CONTAINER}"))),
            Blow::ProxyRemoved => drop(lease[1].run(&format!("docker rm -f {CONTAINER}"))),
            Blow::ProxyRestarted => drop(lease[1].run(&format!("docker restart -t 0 {CONTAINER}"))),
        }
        let ran = running.wait(DEADLINE);
        let proxy_is_there = !matches!(blow, Blow::ProxyKilled | Blow::ProxyRemoved);
        for server in lease.iter().take(if proxy_is_there { 2 } else { 1 }) {
            let serves = server.ask(&host, "/version");
            let right = serves.0 == 200 && (serves.1 == old || serves.1 == new);
            assert!(right, "{blow:?}: {} serves {serves:?}\n{ran}", server.name);
        }
        project.deploy(&new).ok();
        expect::runs(&project, &lease[0], &[("web", &new)]);
        expect::runs(&project, &lease[1], &[("web", &new), ("worker", &new)]);
        for server in lease.iter() {
            wait_until(&format!("{new} on {} after {blow:?}", server.name), Duration::from_secs(5), || {
                server.serves(&host, &new)
            });
            expect::unlocked(&project, server);
            let latest = expect::image_id(&project, server, "latest");
            assert_eq!(latest, expect::image_id(&project, server, &new), "latest on {}", server.name);
        }
    }
}
