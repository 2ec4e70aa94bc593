//! What servers do by themselves, at every step: containers exit, flap and become healthy again, Docker's daemon
//! restarts, an API fails once. Before a run stops or detaches an old container, it checks the state at that moment.

use super::*;
use crate::testing::{Addresses, Behaviour, FakeLocal, Happens, Scripted as World, What};

/// The events to test. `-v1` is the old container, `-v2` the new one.
const ALL: [What; 11] = [
    What::Ends("-v1"),
    What::Ends("-v2"),
    What::Restarts("-v1"),
    What::Restarts("-v2"),
    What::Flaps("-v1"),
    What::Flaps("-v2"),
    What::Sickens("-v1"),
    What::Sickens("-v2"),
    What::DockerRestarts(Addresses::Same),
    What::DockerRestarts(Addresses::Other),
    What::ApiFails,
];

fn role_on(host: &str) -> &'static str {
    if host == "c" { "workers" } else { "web" }
}

/// Waits until all consequences of an event are over.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(120)).await;
}

/// Lets an event happen at a boundary of a server, and checks the result. Returns whether the run got that far.
async fn happened(host: &str, by: By, what: What, after: usize) -> bool {
    let (scripted, project) = fleet_behind(by).await;
    HOSTS.iter().for_each(|host| scripted.network.machine(host).changes.clear());
    scripted.network.faults().happens = Some(Happens { host: host.into(), after, what });
    let options = options("v2");
    let run = deploy::deploy(scripted.call(&project, &options), DeployKind::Deploy);
    let ended = timeout(Duration::from_secs(3600), run).await.expect("the run ends");
    let reached = scripted.network.faults().happens.take().is_none();
    let when = format!("{what:?} on {host} by {by:?} after {after}: {ended:?}");
    // The event came after the version was tagged, when the run no longer checks the container.
    let too_late = scripted.network.happened_after("tag r.test/app:latest");
    settle().await;
    assert_eq!(scripted.losses(), [""; 0], "{when}");
    for other in HOSTS {
        let (machine, role) = (scripted.network.machine(other), role_on(other));
        let serving = machine.serving(role);
        let spared = other != host || too_late;
        match &ended {
            Ok(()) if spared && other == host => {}
            Ok(()) => assert_eq!(
                (serving, machine.running()),
                (vec!["r.test/app:v2"], vec![format!("app-{role}-v2").as_str()]),
                "{other}, {when}"
            ),
            // The new container exited after the old one was gone. The run can only report that.
            Err(error) if serving.is_empty() => {
                assert!(!spared && what.ends_for_good("-v2"), "nothing serves on {other}, {when}");
                let RunError::Servers { standing, .. } = error else { panic!("{when}") };
                let nothing = format!("{host} ({role}): nothing");
                assert!(standing.iter().any(|line| line.starts_with(&nothing)), "{when}");
            }
            Err(_) => assert_eq!(machine.running().len(), 1, "{other}, {when}: {:?}", machine.running()),
        }
        assert!(machine.lock.is_none(), "{other}, {when}");
    }
    if let Err(error) = &ended
        && let RunError::Servers { failures, .. } = error
    {
        let halted = |cause: &crate::error::Cause| matches!(cause, crate::error::Cause::Halted(_));
        assert!(failures.iter().all(|failure| failure.host == host || halted(&failure.cause)), "{when}");
    }
    // In all cases, a second deploy leaves only the new version running.
    let again = deploy(&World::on(scripted.network.clone(), FakeLocal::default()), &project, "v2").await;
    assert_eq!(again, Ok(()), "{when}");
    for host in HOSTS {
        let machine = scripted.network.machine(host);
        assert_eq!(machine.running(), [format!("app-{}-v2", role_on(host))], "{when}");
        assert_eq!((&machine.lock, machine.losses.len()), (&None, 0), "{when}");
    }
    reached
}

/// Tests every boundary of a server. Returns the number of boundaries.
async fn at_every_boundary(host: &str, by: By, what: What) -> usize {
    let mut after = 0;
    while happened(host, by, what, after).await {
        after += 1;
    }
    after
}

#[tokio::test(start_paused = true)]
async fn whatever_a_server_with_the_primary_role_does_at_any_step_nothing_is_lost_and_no_success_is_false() {
    for (what, by) in ALL.into_iter().flat_map(|what| By::ALL.map(|by| (what, by))) {
        assert!(at_every_boundary("b", by, what).await > 10, "{what:?} by {by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_a_server_does_that_waits_at_the_barrier_the_same_holds() {
    for (what, by) in ALL.into_iter().flat_map(|what| By::ALL.map(|by| (what, by))) {
        assert!(at_every_boundary("c", by, what).await > 10, "{what:?} by {by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_the_server_does_that_holds_the_lock_the_same_holds() {
    for (what, by) in ALL.into_iter().flat_map(|what| By::ALL.map(|by| (what, by))) {
        assert!(at_every_boundary("a", by, what).await > 10, "{what:?} by {by:?}");
    }
}

async fn later(scripted: &Scripted, host: &str, seconds: u64, what: What) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    scripted.network.faults().happens = Some(Happens { host: host.into(), after: 0, what });
    scripted.network.let_happen(host);
}

fn slow_web(scripted: &Scripted, milliseconds: u64) {
    for host in ["a", "b"] {
        let key = (host.to_owned(), "web".to_owned(), "v2".to_owned());
        scripted.network.faults().behaviour.insert(key, Behaviour::Healthy(milliseconds));
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_was_unhealthy_when_it_was_observed_is_let_go_gently_if_it_serves_now() {
    let (scripted, project) = fleet().await;
    slow_web(&scripted, 10_000);
    scripted.network.faults().happens =
        Some(Happens { host: "a".into(), after: 0, what: What::Sickens("web-v1") });
    deploy(&scripted, &project, "v2").await.unwrap();
    let events = scripted.recorder.events();
    let cut = position(&events, started("a", "cut the cord of app-web-v1")).unwrap();
    assert!(cut < position(&events, started("a", "stop app-web-v1")).unwrap());
    assert_only(&scripted, "v2");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ended_while_it_waited_at_the_barrier_takes_nobodys_place() {
    for (what, why) in [
        (What::Ends("workers-v2"), "the container exited with code 1"),
        (What::Restarts("workers-v2"), "the container keeps exiting, last with code 1"),
        (What::Flaps("workers-v2"), "the container keeps exiting, last with code 1"),
    ] {
        let (scripted, project) = fleet().await;
        slow_web(&scripted, 20_000);
        let (ended, ()) = tokio::join!(deploy(&scripted, &project, "v2"), later(&scripted, "c", 10, what));
        assert_eq!(failures_of(&ended.unwrap_err()), [("c".to_owned(), why.to_owned())], "{what:?}");
        settle().await;
        assert_eq!(scripted.network.machine("c").running(), ["app-workers-v1"], "{what:?}");
        assert_eq!(scripted.network.machine("a").running(), ["app-web-v2"], "{what:?}");
        assert_eq!(scripted.losses(), [""; 0], "{what:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_deploy_whose_container_ended_does_not_say_that_it_serves() {
    let scripted = Scripted::new(&HOSTS);
    slow_web(&scripted, 20_000);
    let project = project(CONFIG);
    let ends = later(&scripted, "c", 10, What::Ends("workers-v2"));
    let (ended, ()) = tokio::join!(deploy(&scripted, &project, "v2"), ends);
    assert_eq!(failures_of(&ended.unwrap_err()), [("c".into(), "the container exited with code 1".into())]);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ends_after_it_took_over_is_no_success() {
    let (scripted, project) = fleet().await;
    slow_web(&scripted, 20_000);
    // The worker waits for web, so the stop of the old worker comes after this.
    let at = Duration::from_secs(10);
    let ended = async {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let stopped = |change: &String| change == "stop app-workers-v1";
            if scripted.network.machine("c").changes.iter().any(stopped) {
                scripted.network.faults().happens =
                    Some(Happens { host: "c".into(), after: 0, what: What::Ends("workers-v2") });
                scripted.network.let_happen("c");
                return;
            }
        }
    };
    let (run, ()) = tokio::join!(deploy(&scripted, &project, "v2"), async {
        tokio::time::sleep(at).await;
        ended.await;
    });
    let RunError::Servers { standing, .. } = run.unwrap_err() else { panic!("an error of servers") };
    assert!(standing.contains(&"c (workers): nothing".to_owned()), "{standing:?}");
    assert_eq!(scripted.network.machine("c").latest["r.test/app:latest"], "r.test/app:v1");
}

#[tokio::test(start_paused = true)]
async fn a_boot_whose_time_is_up_before_it_named_its_container_leaves_none_that_turns_up_later() {
    // While the run looks for the container, and long after.
    for seconds in [190, 1000] {
        let (scripted, project) = fleet().await;
        let key = ("a".to_owned(), "web".to_owned(), "v2".to_owned());
        scripted.network.faults().behaviour.insert(key, Behaviour::Late(seconds));
        let options = options("v2");
        let run = deploy::deploy(scripted.call(&project, &options), DeployKind::Deploy);
        let error = timeout(Duration::from_secs(3600), run).await.expect("it ends").unwrap_err();
        assert_eq!(failures_of(&error).len(), 1, "{error:?}");
        tokio::time::sleep(Duration::from_secs(2 * seconds)).await;
        let machine = scripted.network.machine("a");
        assert!(machine.containers.iter().any(|container| container.image.ends_with(":v2")), "it turned up");
        assert_eq!(machine.running(), ["app-web-v1"], "after {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_retired_stays_down_when_docker_restarts_and_gets_its_policy_back_when_it_is_started() {
    let (scripted, _) = fleet().await;
    let config = CONFIG.replace("cmd: work}", "cmd: work, options: {restart: always}}");
    let project = project(&config);
    for version in ["v2", "v3", "v4"] {
        deploy(&scripted, &project, version).await.unwrap();
    }
    later(&scripted, "c", 0, What::DockerRestarts(Addresses::Other)).await;
    settle().await;
    let policy = |version: &str| {
        let machine = scripted.network.machine("c");
        let container = machine.containers.iter().find(|container| container.name.ends_with(version));
        container.map(|container| container.policy.clone())
    };
    assert_eq!(scripted.network.machine("c").running(), ["app-workers-v4"]);
    assert_eq!([policy("v3"), policy("v4")], [Some("unless-stopped".into()), Some("always".into())]);
    change(scripted.call(&project, &Options::default()), &Intent::Stop).await.unwrap();
    assert_eq!(policy("v4"), Some("unless-stopped".into()));
    let start = Intent::Start(Some("v3".into()));
    change(scripted.call(&project, &Options::default()), &start).await.unwrap();
    assert_eq!(policy("v3"), Some("always".into()));
}
