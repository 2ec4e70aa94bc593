//! Boot groups: how a failure in one affects the groups after and before it.

use std::collections::BTreeMap;

use super::*;
use crate::testing::{Behaviour, FakeLocal};

const GROUPS: &str = "service: app
image: app
servers:
  web: {hosts: [a, b, c]}
healthcheck: {cmd: 'true'}
";

async fn three(boot: &str) -> (Scripted, Project) {
    let scripted = Scripted::new(&HOSTS);
    deploy(&scripted, &project(GROUPS), "v1").await.unwrap();
    (scripted, project(&format!("{GROUPS}boot: {{limit: 1{boot}}}\n")))
}

fn breaks(scripted: &Scripted, host: &str, role: &str) {
    let key = (host.into(), role.into(), "v2".into());
    scripted.network.faults().behaviour.insert(key, Behaviour::Exits(1));
}

fn running(scripted: &Scripted) -> Vec<String> {
    HOSTS.map(|host| scripted.network.machine(host).running().join(" ")).into()
}

fn latest(scripted: &Scripted, host: &str) -> String {
    scripted.network.machine(host).latest["r.test/app:latest"].clone()
}

fn standing_of(error: &RunError) -> Vec<String> {
    match error {
        RunError::Servers { standing, .. } | RunError::Local { standing, .. } => standing.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_stops_the_groups_after_it_and_those_before_it_keep_the_new_version() {
    let (scripted, project) = three("").await;
    breaks(&scripted, "b", "web");
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(running(&scripted), ["app-web-v2", "app-web-v1", "app-web-v1"]);
    assert_eq!(standing_of(&error), ["a (web): v2", "b (web): v1", "c (web): v1"]);
    assert_eq!(scripted.losses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn with_rollback_servers_switched_before_go_back_to_the_very_container_they_had() {
    let (scripted, project) = three(", on_failure: rollback").await;
    let had: Vec<String> = HOSTS
        .iter()
        .flat_map(|host| {
            scripted.network.machine(host).containers.last().map(|container| container.id.clone())
        })
        .collect();
    breaks(&scripted, "b", "web");
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(failures_of(&error).len(), 1, "{error:?}");
    assert_eq!(standing_of(&error), ["a (web): v1", "b (web): v1", "c (web): v1"]);
    for (host, had) in HOSTS.iter().zip(had) {
        let machine = scripted.network.machine(host);
        let now: Vec<&str> = machine.containers.iter().filter(|c| c.running).map(|c| c.id.as_str()).collect();
        assert_eq!(now, [had]);
    }
    assert_only_web(&scripted, "v1");
    // The servers are in their previous state, so the next deploy and a rollback after it know what served.
    scripted.network.faults().behaviour.clear();
    deploy(&scripted, &project, "v3").await.unwrap();
    assert_only_web(&scripted, "v3");
    deploy::rollback(scripted.call(&project, &Options::default()), None).await.unwrap();
    assert_only_web(&scripted, "v1");
}

fn assert_only_web(scripted: &Scripted, version: &str) {
    assert_eq!(running(scripted), [(); 3].map(|()| format!("app-web-{version}")));
    for host in HOSTS {
        assert_eq!(latest(scripted, host), format!("r.test/app:{version}"));
        let machine = scripted.network.machine(host);
        let serving = &machine.containers.iter().find(|container| container.running).unwrap().cord;
        let tied: Vec<_> = machine.cords.iter().filter(|(_, tied)| **tied).map(|(cord, _)| cord).collect();
        assert_eq!(tied, serving.iter().collect::<Vec<_>>(), "on {host}");
        assert!(machine.lock.is_none());
    }
    assert_eq!(scripted.losses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn with_rollback_a_role_that_came_up_goes_back_when_another_on_its_server_did_not() {
    let config = "service: app\nimage: app\nservers: {web: {hosts: [a]}, workers: {hosts: [a], cmd: work}}\n\
        readiness_delay: 1\nhealthcheck: {cmd: 'true'}\nboot: {on_failure: rollback}\n";
    let scripted = Scripted::new(&["a"]);
    let project = project(config);
    deploy(&scripted, &project, "v1").await.unwrap();
    breaks(&scripted, "a", "workers");
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(standing_of(&error), ["a (web): v1", "a (workers): v1"]);
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v1", "app-workers-v1"]);
    assert_eq!(latest(&scripted, "a"), "r.test/app:v1");
    assert_eq!(scripted.losses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn with_rollback_nothing_is_begun_when_a_server_cannot_take_part() {
    let (scripted, project) = three(", on_failure: rollback").await;
    scripted.network.faults().no_pull.insert("c".into());
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(failures_of(&error).len(), 1);
    assert_eq!(standing_of(&error), ["a (web): v1", "b (web): v1", "c (web): v1"]);
    let machine = scripted.network.machine("a");
    assert!(!machine.changes.iter().any(|change| change == "run app-web-v2"), "{:?}", machine.changes);
}

#[tokio::test(start_paused = true)]
async fn with_rollback_a_first_deploy_has_nothing_to_go_back_to_and_says_so() {
    let scripted = Scripted::new(&HOSTS);
    let project = project(&format!("{GROUPS}boot: {{limit: 1, on_failure: rollback}}\n"));
    breaks(&scripted, "b", "web");
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(standing_of(&error), ["a (web): v2", "b (web): nothing", "c (web): nothing"]);
    let told = scripted.recorder.events().into_iter().any(|event| {
        matches!(event, Event::Note { text, .. } if text == "web had no version to go back to; it keeps v2")
    });
    assert!(told);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_come_back_leaves_the_new_one_serving() {
    let (scripted, project) = three(", on_failure: rollback").await;
    let key = ("a".to_string(), "web".to_string(), "v1".to_string());
    scripted.network.faults().behaviour.insert(key, Behaviour::Exits(1));
    breaks(&scripted, "b", "web");
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    let failures = failures_of(&error);
    assert_eq!(failures.iter().map(|(host, _)| host.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v2"]);
    assert_eq!(standing_of(&error), ["a (web): v2", "b (web): v1", "c (web): v1"]);
    assert_eq!(latest(&scripted, "a"), "r.test/app:v2");
    assert_eq!(scripted.losses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_between_groups_stops_those_after_it_and_the_report_says_who_has_what() {
    for (boot, standing) in [
        ("", ["a (web): v2", "b (web): v1", "c (web): v1"]),
        (", on_failure: rollback", ["a (web): v1", "b (web): v1", "c (web): v1"]),
    ] {
        let (first, project) = three(boot).await;
        let programs: BTreeMap<String, u32> = [(".kamal/hooks/post-app-boot".to_string(), 1)].into();
        let scripted = Scripted::on(first.network.clone(), FakeLocal { programs, ..FakeLocal::default() });
        let error = deploy(&scripted, &project, "v2").await.unwrap_err();
        assert!(matches!(&error, RunError::Local { what, .. } if what == "hook post-app-boot"), "{error:?}");
        assert_eq!(standing_of(&error), standing);
        assert_eq!(scripted.losses(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_between_groups_is_no_failure_and_rolls_nothing_back() {
    let (scripted, project) = three(", wait: 30, on_failure: rollback").await;
    let run = deploy(&scripted, &project, "v2");
    let interrupt = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        scripted.trigger.stop();
    };
    let (ended, ()) = tokio::join!(run, interrupt);
    let RunError::Interrupted { standing } = ended.unwrap_err() else { panic!() };
    assert_eq!(standing, ["a (web): v2", "b (web): v1", "c (web): v1"]);
}

#[tokio::test(start_paused = true)]
async fn roles_of_a_server_boot_one_after_the_other_where_that_is_wanted() {
    for (parallel, side_by_side) in [("true", true), ("false", false)] {
        let config = format!(
            "service: app\nimage: app\nservers: {{workers: {{hosts: [a], cmd: work}}, web: {{hosts: [a]}}}}\n\
             primary_role: web\nreadiness_delay: 1\nhealthcheck: {{cmd: 'true'}}\nboot: {{parallel_roles: {parallel}}}\n"
        );
        let scripted = Scripted::new(&["a"]);
        deploy(&scripted, &project(&config), "v1").await.unwrap();
        deploy(&scripted, &project(&config), "v2").await.unwrap();
        let events = scripted.recorder.events();
        let second = events.iter().rposition(|event| matches!(event, Event::Planned(_))).unwrap();
        let booted = position(&events[second..], started("a", "boot app-workers-v2")).unwrap();
        let done = position(
            &events[second..],
            |event| matches!(event, Event::RoleDone { role, .. } if role == "web"),
        );
        assert_eq!(booted < done.unwrap(), side_by_side);
        assert_eq!(scripted.network.machine("a").running().len(), 2);
    }
}
