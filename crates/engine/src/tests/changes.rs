//! Changes outside a deploy, killed, interrupted and cut off at every step: containers that serve keep serving, nothing
//! is left behind, and running the same command again completes it.

use std::collections::BTreeSet;

use bowline_core::proxy::traefik::labels::Protocol;

use super::garbled::garble;
use super::killed::killed_at;
use super::*;
use crate::image::pull;
use crate::image::registry::{Where, log_in, log_out};
use crate::listing::{self, Listing};
use crate::run::lock;
use crate::takeover;
use crate::testing::{
    FakeLocal, FakeProgram, Garbled, How, Machine, Scripted as World, Silent, Upgrades, project_with,
};
use crate::world::Gathered;
use crate::{accessory, audit};

/// Two web servers, a worker, and accessories on all of them.
const CONFIG: &str = "service: app
image: app
servers:
  web: {hosts: [a, b]}
  workers: {hosts: [c], cmd: work}
readiness_delay: 1
retain_containers: 1
healthcheck: {cmd: 'true'}
env: {secret: [TOKEN]}
accessories:
  db:
    image: mysql:8
    hosts: [b, c]
    files: ['config/my.cnf:/etc/my.cnf']
    directories: ['data:/var/lib/mysql']
  cache: {image: redis, host: a}
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    AccessoryBoot,
    AccessoryReboot { rolling: bool },
    AccessoryRemove,
    TraefikBoot,
    TraefikReboot { rolling: bool },
    ProxyReboot { rolling: bool },
    ProxyUpgrade { rolling: bool },
    AppStop,
    AppStart,
    AppBoot,
    AppRemove,
    Maintenance,
    Live,
    Prune,
    RemoveAll,
    EnvPush,
    Upgrade { rolling: bool },
    Downgrade { rolling: bool },
}

use Act::*;

const ALL: [Act; 24] = [
    AccessoryBoot,
    AccessoryReboot { rolling: false },
    AccessoryReboot { rolling: true },
    AccessoryRemove,
    TraefikBoot,
    TraefikReboot { rolling: false },
    TraefikReboot { rolling: true },
    ProxyReboot { rolling: false },
    ProxyReboot { rolling: true },
    ProxyUpgrade { rolling: false },
    ProxyUpgrade { rolling: true },
    AppStop,
    AppStart,
    AppBoot,
    AppRemove,
    Maintenance,
    Live,
    Prune,
    RemoveAll,
    EnvPush,
    Upgrade { rolling: false },
    Upgrade { rolling: true },
    Downgrade { rolling: false },
    Downgrade { rolling: true },
];

fn all() -> impl Iterator<Item = (Act, By)> {
    let fits = |(act, by): &(Act, By)| match act {
        TraefikBoot | TraefikReboot { .. } | Downgrade { .. } => *by == By::Traefik,
        ProxyReboot { .. } | ProxyUpgrade { .. } | Upgrade { .. } => *by == By::Kamal,
        Maintenance | Live => *by != By::Nothing,
        _ => true,
    };
    ALL.into_iter().flat_map(|act| By::ALL.map(|by| (act, by))).filter(fits)
}

fn page() -> Page {
    Page { message: None, retry_after: 60, drain_timeout: None }
}

fn whole(gathered: Result<Gathered, RunError>) -> Result<(), RunError> {
    gathered?.error().map_or(Ok(()), Err)
}

fn local() -> FakeLocal {
    let files = [("config/my.cnf".to_string(), "[mysqld]\n".to_string())];
    FakeLocal { files: files.into(), ..FakeLocal::default() }
}

impl Act {
    /// Servers in a state in which the change has work to do.
    async fn fleet(self, by: By) -> (World, Project) {
        let network = std::sync::Arc::new(crate::testing::FakeNetwork::new(&HOSTS));
        let before = match self {
            Upgrade { .. } => By::Traefik,
            Downgrade { .. } => By::Kamal,
            _ => by,
        };
        let (scripted, project) =
            (World::on(network, local()), project_with(&before.serves(CONFIG), "TOKEN=x\n"));
        let options = Options::default();
        let call = scripted.call(&project, &options);
        let versions: &[&str] = if self == Prune { &["v1", "v2", "v3"] } else { &["v1"] };
        for version in versions {
            deploy(&scripted, &project, version).await.unwrap();
        }
        if self != AccessoryBoot {
            whole(change(call, &accessory_to("all", Deed::Boot, false)).await).unwrap();
        }
        match self {
            AppStart => whole(change(call, &Intent::Stop).await).unwrap(),
            Live => whole(change(call, &Intent::Pause(page())).await).unwrap(),
            TraefikBoot => HOSTS.iter().for_each(|host| scripted.network.machine(host).proxies.clear()),
            Prune => scripted.network.machine("a").containers[0].running = false,
            // On one of the two, the upgrade needs a reboot.
            ProxyUpgrade { .. } => {
                for (host, takes) in [("a", Upgrades::Work), ("b", Upgrades::NoFiles)] {
                    let mut machine = scripted.network.machine(host);
                    (machine.program, machine.takes) = (FakeProgram::of("0.0.9"), takes);
                    machine.images.clear();
                }
            }
            _ => {}
        }
        for host in HOSTS {
            let mut machine = scripted.network.machine(host);
            machine.losses.clear();
            machine.changes.clear();
        }
        scripted.network.take_boundaries();
        let project = if before == by { project } else { project_with(&by.serves(CONFIG), "TOKEN=x\n") };
        (scripted, project)
    }

    async fn on(self, scripted: &World, project: &Project) -> Result<(), RunError> {
        let run = self.run(scripted, project);
        timeout(Duration::from_secs(24 * 3600), run).await.expect("the run ends")
    }

    async fn run(self, scripted: &World, project: &Project) -> Result<(), RunError> {
        let options = Options::default();
        let call = scripted.call(project, &options);
        whole(match self {
            AccessoryBoot => change(call, &accessory_to("all", Deed::Boot, false)).await,
            AccessoryReboot { rolling } => change(call, &accessory_to("db", Deed::Reboot, rolling)).await,
            AccessoryRemove => change(call, &accessory_to("all", Deed::Remove, false)).await,
            TraefikBoot => change(call, &proxies(ProxyKind::Traefik, life::Act::Boot, false)).await,
            TraefikReboot { rolling } => {
                change(call, &proxies(ProxyKind::Traefik, life::Act::Reboot, rolling)).await
            }
            ProxyReboot { rolling } => {
                change(call, &proxies(ProxyKind::Kamal, life::Act::Reboot, rolling)).await
            }
            ProxyUpgrade { rolling } => {
                change(call, &proxies(ProxyKind::Kamal, life::Act::Upgrade, rolling)).await
            }
            AppStop => change(call, &Intent::Stop).await,
            AppStart => change(call, &Intent::Start(None)).await,
            AppBoot => {
                return deploy::deploy(scripted.call(project, &super::options("v1")), DeployKind::Boot).await;
            }
            AppRemove => change(call, &Intent::Remove(Removal::App)).await,
            Maintenance => change(call, &Intent::Pause(page())).await,
            Live => change(call, &Intent::Resume).await,
            Prune => change(call, &Intent::Prune(Parts::All, None)).await,
            RemoveAll => change(call, &Intent::Remove(Removal::Everything)).await,
            EnvPush => change(call, &Intent::PushEnv).await,
            Upgrade { rolling } => {
                return takeover::upgrade(call, takeover::How { rolling, force: false }).await;
            }
            Downgrade { rolling } => {
                return takeover::downgrade(call, takeover::How { rolling, force: false }).await;
            }
        })
    }

    /// Whether the app must serve all the time.
    fn serves(self) -> bool {
        !matches!(self, AppStop | AppStart | AppRemove | RemoveAll)
    }

    /// Asserts what holds at any time, wherever the change stopped.
    fn holds(self, scripted: &World, when: &str) {
        for (host, role) in [("a", "web"), ("b", "web"), ("c", "workers")] {
            let machine = scripted.network.machine(host);
            if self.serves() {
                assert!(!machine.serving(role).is_empty(), "{host} serves {when}");
                assert_eq!(machine.losses, [""; 0], "{host} {when}");
            }
            let cut_off = |loss: &&String| loss.ends_with("while requests went to it");
            assert_eq!(machine.losses.iter().find(cut_off), None, "{host} {when}");
            if matches!(self, Maintenance | Live) && role == "web" {
                let told = machine.services.contains_key("app-web");
                let somebody = told || machine.services(Protocol::Http).contains("http://");
                assert!(somebody, "somebody answers on {host} {when}");
            }
        }
    }

    /// Asserts the state after the change is complete.
    fn is_done(self, by: By, scripted: &World, when: &str) {
        self.holds(scripted, when);
        for host in HOSTS {
            let machine = scripted.network.machine(host);
            assert_eq!(machine.lock, None, "{host} {when}");
            self.is_done_on(by, host, &machine, when);
        }
    }

    fn is_done_on(self, by: By, host: &str, machine: &Machine, when: &str) {
        let role = if host == "c" { "workers" } else { "web" };
        let routed = role == "web" && by != By::Nothing;
        let (proxy, corded) = if by == By::Kamal { ("kamal-proxy", false) } else { ("traefik", routed) };
        let runs = match self {
            AppStop | AppRemove | RemoveAll => vec![],
            Prune => vec![format!("app-{role}-v3")],
            _ => vec![format!("app-{role}-v1")],
        };
        assert_eq!(machine.running(), runs, "{host} {when}");
        let accessory = if host == "a" { "app-cache" } else { "app-db" };
        let accessories: &[&str] =
            if matches!(self, AccessoryRemove | RemoveAll) { &[] } else { &[accessory] };
        let all_run = |present: &crate::testing::Present| present.values().all(|runs| *runs);
        assert!(machine.accessories.keys().eq(accessories), "{host} {when}: {:?}", machine.accessories);
        assert!(all_run(&machine.accessories), "{host} {when}: {:?}", machine.accessories);
        let proxies: &[&str] = if routed && self != RemoveAll { &[proxy] } else { &[] };
        assert!(machine.proxies.keys().eq(proxies), "{host} {when}: {:?}", machine.proxies);
        assert!(all_run(&machine.proxies), "{host} {when}: {:?}", machine.proxies);
        let pages = usize::from(self == Maintenance && routed);
        assert_eq!(machine.pages.len() + machine.paused.len(), pages, "{host} {when}: {:?}", machine.pages);
        let tied = machine.cords.values().filter(|tied| **tied).count();
        assert_eq!(tied, if corded { runs.len() } else { 0 }, "{host} {when}: {:?}", machine.cords);
        match self {
            AppRemove | RemoveAll => assert!(
                machine.containers.is_empty() && machine.images.is_empty() && machine.mark.is_none(),
                "{host} {when}"
            ),
            ProxyUpgrade { .. } if routed => {
                let FakeProgram { runs, keeps, .. } = &machine.program;
                assert_eq!((runs.as_str(), keeps.as_str()), ("0.1.0", "0.1.0"), "{host} {when}");
            }
            Prune => assert_eq!(machine.containers.len(), 2, "{host} {when}"),
            EnvPush => assert!(
                machine.changes.iter().any(|change| change.contains("env")),
                "{host} {when}: {:?}",
                machine.changes
            ),
            _ => {}
        }
    }

    async fn again(self, by: By, first: &World, project: &Project, when: &str) {
        let second = World::on(first.network.clone(), local());
        let ended = self.on(&second, project).await;
        assert_eq!(ended, Ok(()), "the second run {when}");
        self.is_done(by, &second, when);
    }
}

/// Kills a change at each boundary. Returns the number of boundaries.
async fn killed_everywhere(act: Act, by: By) -> usize {
    let mut boundary = 0;
    loop {
        let (first, project) = act.fleet(by).await;
        let reached = killed_at(&first, act.on(&first, &project), boundary).await;
        let when = format!("after a kill at boundary {boundary} of {act:?} by {by:?}");
        act.holds(&first, &when);
        act.again(by, &first, &project, &when).await;
        if !reached {
            return boundary;
        }
        boundary += 1;
    }
}

/// Interrupts a change at each boundary. Returns the number of boundaries.
async fn interrupted_everywhere(act: Act, by: By) -> usize {
    let mut boundary = 0;
    loop {
        let (first, project) = act.fleet(by).await;
        first.network.faults().notify_at = Some(boundary);
        let running = act.on(&first, &project);
        tokio::pin!(running);
        let (reached, ended) = tokio::select! {
            biased;
            () = first.network.reached.notified() => {
                first.trigger.stop();
                (true, running.await)
            }
            ended = &mut running => (false, ended),
        };
        first.network.faults().notify_at = None;
        let when = format!("after an interrupt at boundary {boundary} of {act:?} by {by:?}");
        act.holds(&first, &when);
        for host in HOSTS {
            assert_eq!(first.network.machine(host).lock, None, "the lock is given back {when}");
        }
        if !reached {
            assert_eq!(ended, Ok(()));
            act.is_done(by, &first, &when);
            return boundary;
        }
        match ended {
            Err(RunError::Interrupted { .. }) => {}
            Ok(()) => act.is_done(by, &first, &when),
            Err(error) => panic!("{when}: {error:?}"),
        }
        act.again(by, &first, &project, &when).await;
        boundary += 1;
    }
}

/// Cuts the connections to a server, or lets it vanish, at each of its boundaries. Returns the number of boundaries.
async fn cut_off_everywhere(act: Act, by: By, host: &str, how: How) -> usize {
    let mut after = 0;
    loop {
        let (first, project) = act.fleet(by).await;
        first.network.faults().silent = Some(Silent { host: host.into(), after, how });
        let ended = act.on(&first, &project).await;
        let when = format!("when {host} has {how:?} after {after} of {act:?} by {by:?}");
        if !first.network.fell_silent() {
            assert_eq!(ended, Ok(()), "{when}");
            act.is_done(by, &first, &when);
            return after;
        }
        first.network.faults().silent = None;
        act.holds(&first, &when);
        if let Err(error) = ended {
            let named: BTreeSet<String> = failures_of(&error).into_iter().map(|(host, _)| host).collect();
            assert_eq!(named, BTreeSet::from([host.to_owned()]), "{when}: {error:?}");
        }
        // A lock that is left is marked as orphaned.
        for host in HOSTS {
            let machine = first.network.machine(host);
            assert!(machine.lock.as_ref().is_none_or(|lock| lock.orphaned), "{host} {when}");
        }
        first.network.take_boundaries();
        act.again(by, &first, &project, &when).await;
        after += 1;
    }
}

/// The least number of boundaries of a change: the lock, an observation of each of three servers, and an effect.
const SOME: usize = 6;

#[tokio::test(start_paused = true)]
async fn a_change_killed_anywhere_is_finished_by_the_next_and_leaves_nothing() {
    for (act, by) in all() {
        let boundaries = killed_everywhere(act, by).await;
        assert!(boundaries >= SOME, "{boundaries} of {act:?} by {by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_interrupted_anywhere_unlocks_and_leaves_nothing() {
    for (act, by) in all() {
        let boundaries = interrupted_everywhere(act, by).await;
        assert!(boundaries >= SOME, "{boundaries} of {act:?} by {by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_connections_are_cut_anywhere_names_that_server_and_the_next_finishes_it() {
    for (act, by) in all() {
        for host in ["a", "b"] {
            let boundaries = cut_off_everywhere(act, by, host, How::Cut).await;
            assert!(boundaries >= 1, "{act:?} by {by:?} on {host}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_vanishes_anywhere_in_a_change_is_named_and_the_next_finishes_it() {
    for (act, by) in all() {
        for host in ["a", "b"] {
            let boundaries = cut_off_everywhere(act, by, host, How::Vanishes).await;
            assert!(boundaries >= 1, "{act:?} by {by:?} on {host}");
        }
    }
}

/// The number of texts into which each answer is garbled.
const TEXTS: u64 = 3;

/// Garbles each answer of each server while something runs. The run must end, with any result, and the next run must
/// succeed. Returns the number of answers.
async fn garbled_everywhere(
    what: &str,
    fleet: impl AsyncFn() -> (World, Project),
    run: impl AsyncFn(&World, &Project) -> Result<(), RunError>,
    done: impl Fn(&World, &str),
) -> usize {
    let mut answers = 0;
    for (host, number) in HOSTS.iter().flat_map(|host| (1..=TEXTS).map(move |number| (*host, number))) {
        for after in 0.. {
            let (first, project) = fleet().await;
            let number = number + TEXTS * u64::try_from(answers).unwrap();
            let into = |number, said: &str| garble::text(number, &[said]);
            first.network.faults().garbled = Some(Garbled { host: host.into(), after, into, number });
            let when = format!("after answer {after} of {host} to {what} came as text {number}");
            let first_run = timeout(Duration::from_secs(24 * 3600), run(&first, &project)).await;
            assert!(first_run.is_ok(), "it hangs {when}");
            let never = first.network.faults().garbled.take().is_some();
            // A garbled answer may leave a lock behind. It was released or has expired by the next run.
            tokio::time::sleep(Duration::from_secs(120)).await;
            let second = World::on(first.network.clone(), local());
            let again = timeout(Duration::from_secs(24 * 3600), run(&second, &project)).await;
            assert_eq!(again.expect("it ends"), Ok(()), "the second run {when}, which said {first_run:?}");
            done(&second, &when);
            if never {
                assert_eq!(first_run, Ok(Ok(())));
                break;
            }
            answers += 1;
        }
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_makes_no_sense_hangs_no_change_and_the_next_sets_all_right() {
    for (act, by) in all() {
        let answers = garbled_everywhere(
            &format!("{act:?} by {by:?}"),
            async || act.fleet(by).await,
            async |scripted: &World, project: &Project| act.run(scripted, project).await,
            |scripted, when| {
                for host in HOSTS {
                    // Bowline trusts a server's wrong answer, so neither losses nor a cord that the answer left out
                    // count here.
                    let mut machine = scripted.network.machine(host);
                    machine.losses.clear();
                    let serves = !machine.running().is_empty();
                    machine.cords.retain(|_, _| serves);
                }
                act.is_done(by, scripted, when);
            },
        )
        .await;
        assert!(answers >= SOME, "{answers} of {act:?} by {by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_makes_no_sense_hangs_no_deploy_or_rollback() {
    for back in [false, true] {
        let answers = garbled_everywhere(
            if back { "rollback" } else { "deploy" },
            async || {
                let (scripted, project) = fleet().await;
                if back {
                    deploy(&scripted, &project, "v2").await.unwrap();
                    deploy(&scripted, &project, "v3").await.unwrap();
                }
                (scripted, project)
            },
            async |scripted: &World, project: &Project| {
                if !back {
                    return deploy(scripted, project, "v2").await;
                }
                let options = Options { command: "rollback".into(), ..Options::default() };
                deploy::rollback(scripted.call(project, &options), Some("v2".into())).await
            },
            |scripted, when| {
                for (host, role) in [("a", "web"), ("b", "web"), ("c", "workers")] {
                    let machine = scripted.network.machine(host);
                    assert_eq!(machine.running(), [format!("app-{role}-v2")], "{host} {when}");
                    assert_eq!(machine.lock, None, "{host} {when}");
                }
            },
        )
        .await;
        assert!(answers > 10, "{answers}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_makes_no_sense_hangs_no_query() {
    let place = Where { here: false, servers: true };
    for look in 0..10 {
        let answers = garbled_everywhere(
            &format!("look {look}"),
            async || Act::AppBoot.fleet(By::Traefik).await,
            async |scripted: &World, project: &Project| {
                let options = Options::default();
                let call = scripted.call(project, &options);
                whole(match look {
                    0 => audit::audit(call, 100).await,
                    1 => lock::status(call).await,
                    2 => listing::list(call, Listing::Everything).await,
                    3 => listing::versions(call).await,
                    4 => crate::app::stale(call).await,
                    5 => accessory::details(call, "all").await,
                    6 => crate::proxy::life::details(call, ProxyKind::Traefik).await,
                    7 => log_in(call, place).await,
                    8 => log_out(call, place).await,
                    _ => pull::pull(scripted.call(project, &super::options("v1"))).await,
                })
            },
            |_, _| {},
        )
        .await;
        assert!(answers >= 1, "{answers} of look {look}");
    }
}
