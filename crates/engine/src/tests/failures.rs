//! Servers that fail: all others finish, and the error names each failed one.

use super::*;

#[tokio::test(start_paused = true)]
async fn s05_a_server_that_cannot_be_reached_stops_nobody() {
    let (scripted, project) = fleet().await;
    scripted.network.faults().unreachable.insert("a".into());
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(failures_of(&error), [("a".into(), "connection refused".into())]);
    assert_eq!(scripted.network.machine("b").running(), ["app-web-v2"]);
    assert_eq!(scripted.network.machine("c").running(), ["app-workers-v2"]);
    assert!(
        scripted.network.machine("b").lock.is_none(),
        "the lock was taken on the next server, and given back"
    );
}

#[tokio::test(start_paused = true)]
async fn s05_without_any_primary_server_nothing_is_begun() {
    let (scripted, project) = fleet().await;
    scripted.network.faults().unreachable.extend(["a".into(), "b".into()]);
    let before = scripted.network.machine("c").changes.clone();
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(failures_of(&error).len(), 2);
    assert_eq!(scripted.network.machine("c").changes, before);
}

#[tokio::test(start_paused = true)]
async fn s05_a_failed_pull_leaves_that_server_as_it_was() {
    let (scripted, project) = fleet().await;
    scripted.network.faults().no_pull.insert("b".into());
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    let failures = failures_of(&error);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].1, "the image could not be pulled: manifest unknown");
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v2"]);
    assert_eq!(scripted.network.machine("b").running(), ["app-web-v1"]);
    let RunError::Servers { standing, .. } = error else { panic!() };
    assert_eq!(standing, ["a (web): v2", "b (web): v1", "c (workers): v2"]);
}

#[tokio::test(start_paused = true)]
async fn s05_an_image_nobody_can_pull_changes_nothing() {
    let (scripted, project) = fleet().await;
    scripted.network.faults().no_pull.extend(HOSTS.map(String::from));
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(failures_of(&error).len(), 3);
    assert_only(&scripted, "v1");
}

#[tokio::test(start_paused = true)]
async fn the_same_version_again_renames_what_is_there() {
    let (scripted, project) = fleet().await;
    deploy(&scripted, &project, "v1").await.unwrap();
    assert_only(&scripted, "v1");
    let machine = scripted.network.machine("a");
    assert!(machine.containers.iter().any(|c| c.name.starts_with("app-web-v1_replaced_") && !c.running));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_goes_to_the_version_before_and_then_further_back() {
    let (scripted, project) = fleet().await;
    deploy(&scripted, &project, "v2").await.unwrap();
    deploy(&scripted, &project, "v3").await.unwrap();
    for version in ["v2", "v1"] {
        let options = Options { command: "rollback".into(), ..Options::default() };
        deploy::rollback(scripted.call(&project, &options), None).await.unwrap();
        assert_only(&scripted, version);
    }
    let options = Options::default();
    let error = deploy::rollback(scripted.call(&project, &options), Some("v9".into())).await.unwrap_err();
    let RunError::Usage { message, hint } = error else { panic!("{error:?}") };
    assert_eq!(message, "version v9 is not on a (web), b (web), c (workers)");
    assert!(hint.unwrap().contains("v2"));
    assert_only(&scripted, "v1");
}

#[tokio::test(start_paused = true)]
async fn a_plan_changes_nothing_and_is_what_the_deploy_does() {
    let (scripted, project) = fleet().await;
    let before: Vec<Vec<String>> = HOSTS.map(|host| scripted.network.machine(host).changes.clone()).into();
    let planned = deploy::plan(scripted.call(&project, &options("v2")), DeployKind::Deploy).await.unwrap();
    let after: Vec<Vec<String>> = HOSTS.map(|host| scripted.network.machine(host).changes.clone()).into();
    assert_eq!(before, after);
    let marks: Vec<bool> = HOSTS.map(|host| scripted.network.machine(host).mark.is_some()).into();
    assert_eq!(marks, [true; 3], "the deploy before left its mark");
    deploy(&scripted, &project, "v2").await.unwrap();
    let carried_out = scripted.recorder.events().into_iter().rev().find_map(|event| match event {
        Event::Planned(plan) => Some(plan),
        _ => None,
    });
    let text = bowline_core::plan::show::text(&planned.plan);
    assert_eq!(planned.unseen, None);
    assert_eq!(text, bowline_core::plan::show::text(&carried_out.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_plan_leaves_a_server_out_that_can_t_be_asked_and_says_so() {
    let (scripted, project) = fleet().await;
    let plan = async |down: &[&str]| {
        scripted.network.faults().unreachable = down.iter().map(|host| (*host).into()).collect();
        deploy::plan(scripted.call(&project, &options("v2")), DeployKind::Deploy).await
    };
    let planned = plan(&["b"]).await.unwrap();
    let hosts: Vec<&str> = planned.plan.servers.iter().map(|server| server.host.as_str()).collect();
    assert_eq!(hosts, ["a", "c"]);
    assert_eq!(failures_of(&planned.unseen.unwrap())[0].0, "b");
    let error = plan(&["a", "b"]).await.err().unwrap();
    assert_eq!(failures_of(&error).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn s05_losing_the_server_that_holds_the_lock_stops_nobody_else() {
    let (scripted, project) = fleet().await;
    for host in ["a", "b"] {
        let key = (host.to_string(), "web".to_string(), "v2".to_string());
        scripted.network.faults().behaviour.insert(key, crate::testing::Behaviour::Healthy(10_000));
    }
    let run = deploy(&scripted, &project, "v2");
    let cut = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        scripted.network.faults().unreachable.insert("a".into());
    };
    let (ended, ()) = tokio::join!(run, cut);
    let error = ended.unwrap_err();
    assert!(failures_of(&error).iter().all(|(host, _)| host == "a"), "{error:?}");
    assert_eq!(scripted.network.machine("b").running(), ["app-web-v2"]);
    assert_eq!(scripted.network.machine("c").running(), ["app-workers-v2"]);
}
