//! `proxy upgrade` of every kind of proxy that may run.

use super::*;
use crate::testing::{FakeProgram, Machine, Upgrades};
use crate::world::Gathered;

/// Servers behind kamal-proxy, after this change to both web servers.
async fn with(change: impl Fn(&mut Machine)) -> (Scripted, Project) {
    let (scripted, project) = fleet_behind(By::Kamal).await;
    for host in ["a", "b"] {
        change(&mut scripted.network.machine(host));
    }
    (scripted, project)
}

async fn upgrade(scripted: &Scripted, project: &Project, rolling: bool) -> Gathered {
    let options = Options::default();
    let upgrade = proxies(ProxyKind::Kamal, life::Act::Upgrade, rolling);
    let run = change(scripted.call(project, &options), &upgrade);
    timeout(Duration::from_secs(3600), run).await.expect("the run ends").unwrap()
}

fn told(gathered: &Gathered) -> Vec<&str> {
    gathered.outputs.iter().map(|output| output.output.stdout.trim_end()).collect()
}

fn of_image(image: &str) -> FakeProgram {
    FakeProgram { image: image.into(), ..FakeProgram::default() }
}

#[tokio::test(start_paused = true)]
async fn an_older_one_of_ours_is_upgraded_in_its_container_and_only_once() {
    let (scripted, project) = with(|machine| machine.program = FakeProgram::of("0.0.9")).await;
    let first = upgrade(&scripted, &project, false).await;
    let text = "upgraded kamal-proxy from bowline-proxy 0.0.9 to 0.1.0 without delaying requests";
    assert_eq!((told(&first), first.failures.len()), (vec![text; 2], 0));
    let again = upgrade(&scripted, &project, false).await;
    assert_eq!(told(&again), ["kamal-proxy is already bowline-proxy 0.1.0"; 2]);
    assert_eq!(scripted.losses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn any_other_one_gives_way_to_a_new_container_and_the_gap_is_told() {
    let kamals = "basecamp/kamal-proxy:v0.9.2";
    let (scripted, project) = with(|machine| machine.program = of_image(kamals)).await;
    let gathered = upgrade(&scripted, &project, false).await;
    let text =
        "upgraded kamal-proxy from basecamp/kamal-proxy:v0.9.2 to bowline-proxy:v10.0.1.0, down for 0.2 s";
    assert_eq!(told(&gathered), [text; 2]);

    let read_only = |machine: &mut Machine| {
        (machine.program, machine.takes) = (FakeProgram::of("0.0.9"), Upgrades::NoFiles);
    };
    let (scripted, project) = with(read_only).await;
    let gathered = upgrade(&scripted, &project, false).await;
    let text = "upgraded kamal-proxy from bowline-proxy:v10.0.0.9 to bowline-proxy:v10.0.1.0, down for 0.2 s";
    assert_eq!(told(&gathered), [text; 2]);
    let why = "its container can't take the new version: container rootfs is marked read-only";
    let noted = |event: &Event| matches!(event, Event::Note { text, .. } if text.contains(why));
    assert!(position(&scripted.recorder.events(), noted).is_some());
}

#[tokio::test(start_paused = true)]
async fn one_that_is_newer_stays_and_one_that_does_not_run_is_booted() {
    let (scripted, project) = with(|machine| machine.program = FakeProgram::of("0.2.0")).await;
    let gathered = upgrade(&scripted, &project, false).await;
    let text = "kamal-proxy is bowline-proxy 0.2.0, which is newer than bowline-proxy 0.1.0";
    assert_eq!(told(&gathered), [text; 2]);
    let (scripted, project) = with(|machine| machine.proxies.clear()).await;
    assert_eq!(
        told(&upgrade(&scripted, &project, false).await),
        ["booted kamal-proxy, which was not running"; 2]
    );
}

#[tokio::test(start_paused = true)]
async fn where_the_new_one_does_not_come_up_the_old_one_goes_on_and_no_further_server_begins() {
    let (scripted, project) = with(|machine| {
        (machine.program, machine.takes) = (FakeProgram::of("0.0.9"), Upgrades::Fail);
    })
    .await;
    let gathered = upgrade(&scripted, &project, true).await;
    let failures: Vec<(&str, String)> =
        gathered.failures.iter().map(|failure| (failure.host.as_str(), failure.cause.to_string())).collect();
    let reason = "it was not upgraded; bowline-proxy 0.0.9 keeps running: it ended before it was ready";
    assert_eq!(failures, [("a", reason.to_owned())]);
    for host in ["a", "b"] {
        let machine = scripted.network.machine(host);
        assert_eq!(machine.program, FakeProgram::of("0.0.9"), "{host}");
        assert_eq!(machine.proxies.keys().collect::<Vec<_>>(), ["kamal-proxy"], "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_that_loses_its_proxy_gives_its_service_back_once_the_new_container_runs() {
    let (scripted, _) = fleet_behind(By::Kamal).await;
    let bare = project(&By::Nothing.serves(CONFIG));
    deploy(&scripted, &bare, "v2").await.unwrap();
    assert_only(&scripted, "v2");
    for host in ["a", "b"] {
        assert!(scripted.network.machine(host).services.is_empty(), "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn servers_with_accessories_alone_have_their_proxy_looked_after() {
    let accessories = "accessories:\n  tool: {image: tool, host: c, proxy: {host: tool.test}}\n  db: {image: db, host: b}\n";
    let servers = "web: {hosts: [a]}\n  workers: {hosts: [b], cmd: work, proxy: false}";
    let config =
        By::Kamal.serves(CONFIG).replace("web: {hosts: [a, b]}\n  workers: {hosts: [c], cmd: work}", servers);
    let (scripted, project) = (Scripted::new(&HOSTS), project(&format!("{config}{accessories}")));
    let options = Options::default();
    let gathered =
        change(scripted.call(&project, &options), &proxies(ProxyKind::Kamal, life::Act::Boot, false))
            .await
            .unwrap();
    let hosts: Vec<&str> = gathered.outputs.iter().map(|output| output.host.as_str()).collect();
    assert_eq!(hosts, ["a", "c"]);
    let booted = |host: &str| scripted.network.machine(host).proxies.contains_key("kamal-proxy");
    assert_eq!(HOSTS.map(booted), [true, false, true]);
    let details =
        crate::proxy::life::details(scripted.call(&project, &options), ProxyKind::Kamal).await.unwrap();
    assert_eq!(details.total, 2);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_gone_gives_its_service_back_when_its_container_has_stopped() {
    let both = By::Kamal.serves(CONFIG).replace(
        "workers: {hosts: [c], cmd: work}",
        "workers: {hosts: [c], cmd: work}\n  shop: {hosts: [a], proxy: {host: shop.test}}",
    );
    let (scripted, with_shop) = (Scripted::new(&HOSTS), project(&both));
    deploy(&scripted, &with_shop, "v1").await.unwrap();
    let services =
        |scripted: &Scripted| scripted.network.machine("a").services.keys().cloned().collect::<Vec<_>>();
    assert_eq!(services(&scripted), ["app-shop", "app-web"]);
    let without = project(&By::Kamal.serves(CONFIG));
    deploy(&scripted, &without, "v2").await.unwrap();
    assert_eq!(services(&scripted), ["app-shop", "app-web"], "its container still runs");
    let text = "app-shop-v1 is still running, but the configuration has no role shop here";
    let noted = |event: &Event| matches!(event, Event::Note { text: said, .. } if said.contains(text));
    assert!(position(&scripted.recorder.events(), noted).is_some());
    let options = Options::default();
    let listed = crate::app::stale(scripted.call(&without, &options)).await.unwrap();
    assert!(told(&listed).iter().any(|text| text.starts_with("app-shop-v1")), "{:?}", told(&listed));
    change(scripted.call(&without, &options), &Intent::StopStale).await.unwrap();
    assert_eq!(services(&scripted), ["app-web"]);
    assert!(!scripted.network.machine("a").running().contains(&"app-shop-v1"));

    // If the container was stopped by hand, the next deploy removes its service.
    let (scripted, with_shop) = (Scripted::new(&HOSTS), project(&both));
    deploy(&scripted, &with_shop, "v1").await.unwrap();
    {
        let mut machine = scripted.network.machine("a");
        let shop = machine.containers.iter_mut().find(|container| container.role == "shop").unwrap();
        (shop.running, shop.stopped) = (false, true);
    }
    deploy(&scripted, &without, "v2").await.unwrap();
    assert_eq!(services(&scripted), ["app-web"]);
}

/// A deploy that dies after its switch leaves two containers running, and the old one has the latest image.
#[tokio::test(start_paused = true)]
async fn the_container_with_the_route_is_the_one_that_serves_and_never_stale() {
    let (scripted, project) = fleet_behind(By::Kamal).await;
    deploy(&scripted, &project, "v1").await.unwrap();
    let before = scripted.network.machine("a").latest.clone();
    deploy(&scripted, &project, "v2").await.unwrap();
    {
        let mut machine = scripted.network.machine("a");
        machine.latest = before;
        let old = machine.containers.iter_mut().find(|old| old.name == "app-web-v1").unwrap();
        (old.running, old.stopped) = (true, false);
    }
    let options = Options::default();
    let listed = crate::app::stale(scripted.call(&project, &options)).await.unwrap();
    assert!(told(&listed)[0].starts_with("app-web-v1 (version v1)"), "{:?}", told(&listed));
    let route = || scripted.network.machine("a").services.clone();
    let routed = route();
    change(scripted.call(&project, &options), &Intent::StopStale).await.unwrap();
    assert_eq!(route(), routed);
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v2"]);

    scripted.network.machine("a").services.clear();
    change(scripted.call(&project, &options), &Intent::Start(None)).await.unwrap();
    assert_eq!(route(), routed, "a start brings a lost route back");
    assert_eq!(scripted.losses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_server_is_let_into_the_registry_of_an_image_that_is_in_ours() {
    for (registry, times) in [("r.test", 2), ("other.test", 0)] {
        let run = format!("{{registry: {registry}, repository: proxy, version: v1.0.0}}");
        let (scripted, config) = (Scripted::new(&HOSTS), By::Kamal.serves(CONFIG));
        let project = project(&config.replace("proxy: {", &format!("proxy: {{run: {run}, ")));
        change(
            scripted.call(&project, &Options::default()),
            &proxies(ProxyKind::Kamal, life::Act::Boot, false),
        )
        .await
        .unwrap();
        let log_in = |event: &&Event| matches!(event, Event::StepStarted { what, .. } if what == "log in to the registry");
        assert_eq!(scripted.recorder.events().iter().filter(log_in).count(), times, "{registry}");
    }
}
