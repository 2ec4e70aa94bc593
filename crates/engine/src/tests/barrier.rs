//! The barrier across roles and servers, and groups that boot one after the other.

use super::*;
use crate::testing::Behaviour;

fn behaves(scripted: &Scripted, host: &str, role: &str, version: &str, behaviour: Behaviour) {
    scripted.network.faults().behaviour.insert((host.into(), role.into(), version.into()), behaviour);
}

#[tokio::test(start_paused = true)]
async fn s02_all_roles_boot_at_once_and_hold_their_old_containers() {
    let (scripted, project) = fleet().await;
    for host in ["a", "b"] {
        behaves(&scripted, host, "web", "v2", Behaviour::Healthy(20_000));
    }
    deploy(&scripted, &project, "v2").await.unwrap();
    let events = scripted.recorder.events();
    let booted = position(&events, started("c", "boot app-workers-v2")).unwrap();
    let opened = position(&events, |event| matches!(event, Event::BarrierOpened { .. })).map(|at| at + 1);
    let opened = opened.into_iter().chain([0]).max().unwrap();
    let stopped = position(&events, started("c", "stop app-workers-v1")).unwrap();
    let healthy = events
        .iter()
        .rposition(|event| matches!(event, Event::BarrierOpened { host, .. } if host == "a" || host == "b"))
        .unwrap();
    assert!(booted < healthy, "the worker boots before web is healthy");
    assert!(healthy < stopped && opened > 0, "its old container stops after");
    assert_only(&scripted, "v2");
}

#[tokio::test(start_paused = true)]
async fn s02_one_healthy_primary_of_two_opens_it() {
    let (scripted, project) = fleet().await;
    behaves(&scripted, "a", "web", "v2", Behaviour::Exits(1));
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(failures_of(&error), [("a".into(), "the container keeps exiting, last with code 1".into())]);
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v1"]);
    assert_eq!(scripted.network.machine("b").running(), ["app-web-v2"]);
    assert_eq!(scripted.network.machine("c").running(), ["app-workers-v2"]);
    assert_eq!(scripted.losses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn s03_a_failing_primary_role_closes_it_and_the_workers_go_on_as_they_were() {
    let (scripted, project) = fleet().await;
    behaves(&scripted, "a", "web", "v2", Behaviour::NeverHealthy);
    behaves(&scripted, "b", "web", "v2", Behaviour::Exits(7));
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    let causes = failures_of(&error);
    assert!(causes[0].1.starts_with("not healthy within 30 s"), "{causes:?}");
    assert_eq!(causes[1].1, "the container keeps exiting, last with code 7");
    assert!(causes[2].1.starts_with("halted at the barrier"), "{causes:?}");
    let events = scripted.recorder.events();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::BarrierClosed { .. })).count(), 1);
    for (host, old) in [("a", "app-web-v1"), ("b", "app-web-v1"), ("c", "app-workers-v1")] {
        let machine = scripted.network.machine(host);
        assert_eq!(machine.running(), [old]);
        assert!(machine.containers.iter().any(|c| c.name.ends_with("v2") && !c.running), "kept, stopped");
        assert!(machine.lock.is_none());
    }
    assert_eq!(scripted.losses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_run_without_the_primary_role_does_not_wait_for_it() {
    let (scripted, project) = fleet().await;
    let mut options = options("v2");
    options.filters.roles = vec!["work*".into()];
    let run = deploy::deploy(scripted.call(&project, &options), DeployKind::Deploy);
    timeout(Duration::from_secs(60), run).await.expect("the run ends").unwrap();
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v1"]);
    assert_eq!(scripted.network.machine("c").running(), ["app-workers-v2"]);
}

#[tokio::test(start_paused = true)]
async fn before_boot_makes_the_other_roles_boot_after_it_opened() {
    let (scripted, _) = fleet().await;
    let project = project(&format!("{CONFIG}boot: {{barrier: before_boot}}\n"));
    deploy(&scripted, &project, "v2").await.unwrap();
    let events = scripted.recorder.events();
    let opened = events.iter().rposition(|event| matches!(event, Event::BarrierOpened { .. })).unwrap();
    let booted = position(&events, started("c", "boot app-workers-v2")).unwrap();
    assert!(opened < booted);
    assert_only(&scripted, "v2");
}

#[tokio::test(start_paused = true)]
async fn groups_boot_one_after_the_other_and_a_failure_stops_the_rest() {
    let (scripted, _) = fleet().await;
    let project = project(&format!("{CONFIG}boot: {{limit: 1, wait: 2}}\n"));
    deploy(&scripted, &project, "v2").await.unwrap();
    let events = scripted.recorder.events();
    let done = position(
        &events,
        |event| matches!(event, Event::RoleDone { host, version, .. } if host == "a" && version == "v2"),
    );
    assert!(done.unwrap() < position(&events, started("b", "boot app-web-v2")).unwrap());
    assert_only(&scripted, "v2");

    behaves(&scripted, "a", "web", "v3", Behaviour::Exits(1));
    let error = deploy(&scripted, &project, "v3").await.unwrap_err();
    assert_eq!(failures_of(&error).len(), 1, "nobody waits at a barrier that no one can open: {error:?}");
    assert!(position(&scripted.recorder.events(), started("b", "boot app-web-v3")).is_none());
    assert_only(&scripted, "v2");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_failed_before_it_booted_says_nothing_about_the_next() {
    let (scripted, _) = fleet().await;
    let project = project(&format!("{CONFIG}boot: {{limit: 1}}\n"));
    scripted.network.faults().no_pull.insert("a".into());
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(failures_of(&error).len(), 1, "{error:?}");
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v1"]);
    assert_eq!(scripted.network.machine("b").running(), ["app-web-v2"]);
    assert_eq!(scripted.network.machine("c").running(), ["app-workers-v2"]);
}
