//! Running a deploy again that succeeded only on some servers: it continues where work is left, and reports the servers
//! that it skips.

use super::*;
use crate::testing::{Behaviour, FakeLocal, Scripted as World};

/// The changes on each server since the last call, without pulls.
fn changes(scripted: &Scripted) -> Vec<Vec<String>> {
    let of = |host| std::mem::take(&mut scripted.network.machine(host).changes);
    let pulls = |change: &String| change.starts_with("pull ");
    HOSTS.map(|host| of(host).into_iter().filter(|change| !pulls(change)).collect()).into()
}

fn nothing() -> Vec<String> {
    Vec::new()
}

fn notes(scripted: &Scripted) -> Vec<String> {
    let note = |event: Event| match event {
        Event::Note { host: None, text } => Some(text),
        _ => None,
    };
    scripted.recorder.events().into_iter().filter_map(note).collect()
}

fn breaks(scripted: &Scripted, host: &str, role: &str) {
    let key = (host.into(), role.into(), "v2".into());
    scripted.network.faults().behaviour.insert(key, Behaviour::Exits(1));
}

/// Servers with `v2` everywhere except on `b`, where it failed. The cause is fixed.
async fn failed_on_b() -> (Scripted, Project) {
    let (scripted, project) = fleet().await;
    breaks(&scripted, "b", "web");
    assert_eq!(failures_of(&deploy(&scripted, &project, "v2").await.unwrap_err())[0].0, "b");
    scripted.network.faults().behaviour.clear();
    changes(&scripted);
    let again = World::on(scripted.network.clone(), FakeLocal::default());
    (again, project)
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_on_one_server_only_that_one_is_touched_and_the_rest_is_named() {
    let (scripted, project) = failed_on_b().await;
    let planned = deploy::plan(scripted.call(&project, &options("v2")), DeployKind::Deploy).await.unwrap();
    insta::assert_snapshot!(bowline_core::plan::show::text(&planned.plan));
    deploy(&scripted, &project, "v2").await.unwrap();
    let [a, b, c] = changes(&scripted).try_into().unwrap();
    assert_eq!((a, c), (nothing(), nothing()));
    assert!(b.contains(&"run app-web-v2".to_owned()), "{b:?}");
    let told = "a, c already run v2: nothing to do there; `redeploy` boots it again everywhere";
    assert_eq!(notes(&scripted), [told]);
    assert_only(&scripted, "v2");
    // Everything is up to date. A deploy of the same version then boots it again.
    deploy(&scripted, &project, "v2").await.unwrap();
    assert!(changes(&scripted).iter().all(|all| all.iter().any(|change| change.starts_with("run app-"))));
    assert_only(&scripted, "v2");
}

#[tokio::test(start_paused = true)]
async fn while_a_server_cannot_be_reached_the_others_are_left_alone() {
    let (scripted, project) = fleet().await;
    scripted.network.faults().unreachable.insert("b".into());
    deploy(&scripted, &project, "v2").await.unwrap_err();
    changes(&scripted);
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(failures_of(&error).len(), 1);
    let RunError::Servers { standing, .. } = error else { panic!() };
    assert_eq!(standing, ["a (web): v2", "c (workers): v2"]);
    assert_eq!(changes(&scripted).concat(), nothing());
    scripted.network.faults().unreachable.clear();
    deploy(&scripted, &project, "v2").await.unwrap();
    assert_eq!(changes(&scripted)[0], nothing());
    assert_only(&scripted, "v2");
}

#[tokio::test(start_paused = true)]
async fn what_is_made_of_something_else_by_now_is_booted_anew() {
    let changed = [
        ("env: {CLEAR: new}\n", ""),
        ("env: {secret: [TOKEN]}\n", "TOKEN=new\n"),
        ("labels: {team: new}\n", ""),
        ("volumes: ['/data:/data']\n", ""),
    ];
    for (config, secrets) in changed {
        let (scripted, _) = failed_on_b().await;
        let project = crate::testing::project_with(&format!("{CONFIG}{config}"), secrets);
        deploy(&scripted, &project, "v2").await.unwrap();
        let all = changes(&scripted);
        assert!(all[0].contains(&"run app-web-v2".to_owned()), "{config}: {all:?}");
        assert!(all[2].contains(&"run app-workers-v2".to_owned()), "{config}: {all:?}");
        assert_only(&scripted, "v2");
    }
}

#[tokio::test(start_paused = true)]
async fn another_value_of_a_secret_counts_too() {
    let config = format!("{CONFIG}env: {{secret: [TOKEN]}}\n");
    let with = |value: &str| crate::testing::project_with(&config, &format!("TOKEN={value}\n"));
    for (value, touched) in [("one", false), ("two", true)] {
        let (scripted, _) = fleet().await;
        breaks(&scripted, "b", "web");
        deploy(&scripted, &with("one"), "v2").await.unwrap_err();
        scripted.network.faults().behaviour.clear();
        changes(&scripted);
        deploy(&scripted, &with(value), "v2").await.unwrap();
        assert_eq!(changes(&scripted)[0] != nothing(), touched, "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_was_built_again_is_booted_everywhere() {
    let (scripted, project) = failed_on_b().await;
    for host in HOSTS {
        scripted.network.machine(host).builds.insert("r.test/app:v2".into(), 1);
    }
    deploy(&scripted, &project, "v2").await.unwrap();
    let all = changes(&scripted);
    assert!(all[0].contains(&"run app-web-v2".to_owned()), "{all:?}");
    assert_eq!(notes(&scripted), [""; 0], "nothing was left alone");
    assert_only(&scripted, "v2");
}

#[tokio::test(start_paused = true)]
async fn a_redeploy_boots_it_on_every_server() {
    let (scripted, project) = failed_on_b().await;
    deploy::deploy(scripted.call(&project, &options("v2")), DeployKind::Redeploy).await.unwrap();
    assert!(changes(&scripted).iter().all(|all| all.iter().any(|change| change.starts_with("run app-"))));
    assert_only(&scripted, "v2");
}

#[tokio::test(start_paused = true)]
async fn a_primary_role_that_serves_already_holds_nobody_at_the_barrier() {
    let (scripted, project) = fleet().await;
    breaks(&scripted, "c", "workers");
    deploy(&scripted, &project, "v2").await.unwrap_err();
    scripted.network.faults().behaviour.clear();
    changes(&scripted);
    deploy(&scripted, &project, "v2").await.unwrap();
    let [a, b, c] = changes(&scripted).try_into().unwrap();
    assert_eq!((a, b), (nothing(), nothing()));
    assert!(c.contains(&"run app-workers-v2".to_owned()), "{c:?}");
    assert_only(&scripted, "v2");
}

#[tokio::test(start_paused = true)]
async fn of_two_roles_on_a_server_only_the_one_that_failed_is_booted_and_the_server_tagged() {
    let config = "service: app\nimage: app\nservers: {web: {hosts: [a]}, workers: {hosts: [a], cmd: work}}\n\
        readiness_delay: 1\nhealthcheck: {cmd: 'true'}\n";
    let (scripted, project) = (Scripted::new(&["a"]), project(config));
    deploy(&scripted, &project, "v1").await.unwrap();
    breaks(&scripted, "a", "workers");
    deploy(&scripted, &project, "v2").await.unwrap_err();
    scripted.network.faults().behaviour.clear();
    scripted.network.machine("a").changes.clear();
    deploy(&scripted, &project, "v2").await.unwrap();
    let machine = scripted.network.machine("a");
    assert_eq!(machine.changes.iter().filter(|change| change.starts_with("run ")).count(), 1);
    assert_eq!(machine.running().len(), 2);
    assert_eq!(machine.latest["r.test/app:latest"], "r.test/app:v2");
    drop(machine);
    assert!(notes(&scripted).iter().any(|note| note.starts_with("web on a already runs v2: ")));
}

#[tokio::test(start_paused = true)]
async fn groups_without_work_are_left_out_with_their_hooks() {
    let (first, _) = failed_on_b().await;
    let project = project(&format!("{CONFIG}boot: {{limit: 1, wait: 100}}\n"));
    let programs = [(".kamal/hooks/pre-app-boot".to_string(), 0)].into();
    let scripted = World::on(first.network.clone(), FakeLocal { programs, ..FakeLocal::default() });
    let started = tokio::time::Instant::now();
    deploy(&scripted, &project, "v2").await.unwrap();
    let hooks = scripted.local.ran().into_iter().filter(|(program, _)| program.contains("app-boot"));
    let hosts: Vec<String> = hooks.map(|(_, env)| env["KAMAL_HOSTS"].clone()).collect();
    assert_eq!(hosts, ["b"]);
    assert!(started.elapsed() < Duration::from_secs(150), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_rollback_goes_on_too_and_not_further_back() {
    let (first, project) = fleet().await;
    for version in ["v2", "v3"] {
        deploy(&first, &project, version).await.unwrap();
    }
    first.network.faults().unreachable.insert("b".into());
    let back = async |scripted: &Scripted| {
        let options = Options { command: "rollback".into(), ..Options::default() };
        deploy::rollback(scripted.call(&project, &options), None).await
    };
    back(&first).await.unwrap_err();
    first.network.faults().unreachable.clear();
    changes(&first);
    let second = World::on(first.network.clone(), FakeLocal::default());
    back(&second).await.unwrap();
    assert_eq!(changes(&second)[0], nothing());
    assert_eq!(notes(&second), ["a, c already run v2: nothing to do there"]);
    assert_only(&second, "v2");
}
