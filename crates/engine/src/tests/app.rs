//! The app's containers outside a deploy: stop, start, stale ones, prune, remove.

use super::*;
use crate::change::plan;
use crate::world::Gathered;
use bowline_core::commands::Action;
use bowline_core::plan::step::Step;

fn said(gathered: &Gathered) -> Vec<String> {
    let line =
        |output: &crate::world::HostOutput| format!("{}: {}", output.host, output.output.stdout.trim());
    gathered.outputs.iter().map(line).collect()
}

fn everywhere(scripted: &Scripted, check: impl Fn(&crate::testing::Machine)) {
    for host in HOSTS {
        let machine = scripted.network.machine(host);
        assert!(machine.lock.is_none(), "{host} is unlocked");
        check(&machine);
    }
}

#[tokio::test(start_paused = true)]
async fn stopped_gently_and_started_again_it_is_the_same_container() {
    let (scripted, project) = fleet().await;
    let options = Options::default();
    let gathered = change(scripted.call(&project, &options), &Intent::Stop).await.unwrap();
    assert_eq!(
        said(&gathered),
        ["a: stopped app-web-v1", "b: stopped app-web-v1", "c: stopped app-workers-v1"]
    );
    everywhere(&scripted, |machine| {
        assert_eq!(machine.running(), [""; 0]);
        let unrouted = |loss: &String| loss.ends_with("was stopped while requests went to it");
        assert!(!machine.losses.iter().any(unrouted), "{:?}", machine.losses);
    });
    let again = change(scripted.call(&project, &options), &Intent::Stop).await.unwrap();
    assert_eq!(
        said(&again),
        ["a: no container is running", "b: no container is running", "c: no container is running"]
    );
    let gathered = change(scripted.call(&project, &options), &Intent::Start(None)).await.unwrap();
    assert_eq!(gathered.failures, []);
    everywhere(&scripted, |machine| assert_eq!(machine.containers.len(), 1));
    let again = change(scripted.call(&project, &options), &Intent::Start(None)).await.unwrap();
    assert_eq!(said(&again)[0], "a: app-web-v1 is already running");
    for host in HOSTS {
        scripted.network.machine(host).losses.clear();
    }
    assert_only(&scripted, "v1");
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_a_change_names_the_steps_that_it_then_takes_and_changes_nothing() {
    use life::Act::*;
    let pause = Intent::Pause(Page { message: None, retry_after: 60, drain_timeout: None });
    for by in [By::Traefik, By::Kamal] {
        let (scripted, project) = fleet_behind(by).await;
        let options = Options::default();
        let call = scripted.call(&project, &options);
        let kind = if by == By::Kamal { ProxyKind::Kamal } else { ProxyKind::Traefik };
        let act = |act| proxies(kind, act, true);
        let on_app = [pause.clone(), Intent::Resume, Intent::Stop, Intent::Start(None)];
        let on_proxy = [Boot, Reboot, Upgrade, Power(Action::Stop), Power(Action::Start), Remove].map(act);
        for intent in on_app.iter().chain(&on_proxy) {
            let picture = || HOSTS.map(|host| scripted.network.machine(host).changes.clone());
            let before = picture();
            let planned = plan(call, intent).await.unwrap();
            assert!(planned.wrong.is_none());
            assert_eq!(picture(), before, "{intent:?} {by:?}");
            let earlier = scripted.recorder.events().len();
            change(call, intent).await.unwrap();
            let events = scripted.recorder.events().split_off(earlier);
            for piece in planned.plan.pieces() {
                for what in piece.work.steps().iter().map(Step::describe) {
                    let begins = position(&events, started(&piece.host, &what));
                    assert!(begins.is_some(), "{intent:?} {by:?}: {what}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_cannot_be_carried_out_says_why() {
    let (scripted, project) = fleet().await;
    let planned =
        plan(scripted.call(&project, &Options::default()), &Intent::Start(Some("v9".into()))).await.unwrap();
    let wrong = failures_of(&planned.wrong.unwrap());
    assert_eq!(wrong.len(), 3);
    assert_eq!(wrong[0], ("a".into(), "there is no container of version v9 to start".into()));
}

#[tokio::test(start_paused = true)]
async fn a_version_without_a_container_cannot_be_started() {
    let (scripted, project) = fleet().await;
    let options = Options::default();
    let start = Intent::Start(Some("v9".into()));
    let gathered = change(scripted.call(&project, &options), &start).await.unwrap();
    assert_eq!(gathered.failures.len(), 3);
    assert_eq!(gathered.failures[0].cause.to_string(), "there is no container of version v9 to start");
    assert_only(&scripted, "v1");
}

#[tokio::test(start_paused = true)]
async fn what_runs_beside_the_serving_container_is_stale() {
    let (scripted, project) = fleet().await;
    deploy(&scripted, &project, "v2").await.unwrap();
    {
        let mut machine = scripted.network.machine("a");
        machine.containers[0].running = true;
        machine.containers[0].healthy = Some(true);
    }
    let options = Options::default();
    let listed = crate::app::stale(scripted.call(&project, &options)).await.unwrap();
    assert_eq!(
        said(&listed),
        [
            "a: app-web-v1 (version v1)\n`app stale-containers --stop` stops them",
            "b: no stale containers",
            "c: no stale containers"
        ]
    );
    let stopped = change(scripted.call(&project, &options), &Intent::StopStale).await.unwrap();
    assert_eq!(said(&stopped), ["a: stopped app-web-v1", "b: no stale containers", "c: no stale containers"]);
    assert_only(&scripted, "v2");
}

#[tokio::test(start_paused = true)]
async fn removing_the_app_leaves_nothing_of_it_and_is_safe_to_repeat() {
    for (removal, traefik) in [(Removal::App, true), (Removal::Everything, false)] {
        let (scripted, project) = fleet().await;
        let options = Options::default();
        let gathered =
            change(scripted.call(&project, &options), &Intent::Remove(removal.clone())).await.unwrap();
        assert_eq!(gathered.failures, []);
        everywhere(&scripted, |machine| {
            assert_eq!(machine.containers, []);
            assert!(machine.images.is_empty() && machine.history.is_empty() && machine.mark.is_none());
        });
        assert_eq!(scripted.network.machine("a").routes(), traefik);
        let again =
            change(scripted.call(&project, &options), &Intent::Remove(removal.clone())).await.unwrap();
        assert_eq!(again.failures, []);
    }
}

#[tokio::test(start_paused = true)]
async fn images_stay_while_another_role_of_the_server_is_left_out() {
    let config = "service: app\nimage: app\nservers: {web: {hosts: [a]}, workers: {hosts: [a], cmd: work}}\n\
        readiness_delay: 1\nhealthcheck: {cmd: 'true'}\n";
    let scripted = Scripted::new(&["a"]);
    let project = project(config);
    deploy(&scripted, &project, "v1").await.unwrap();
    let filters = bowline_core::selection::Filters { roles: vec!["web".into()], ..Default::default() };
    let options = Options { filters, ..Options::default() };
    change(scripted.call(&project, &options), &Intent::Remove(Removal::App)).await.unwrap();
    let machine = scripted.network.machine("a");
    assert_eq!(machine.running(), ["app-workers-v1"]);
    assert!(!machine.images.is_empty() && !machine.history.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_running_container_is_not_removed_by_its_version() {
    let (scripted, project) = fleet().await;
    deploy(&scripted, &project, "v2").await.unwrap();
    let one = |version: &str| Removal::Container(version.into());
    let options = Options::default();
    let gathered = change(scripted.call(&project, &options), &Intent::Remove(one("v2"))).await.unwrap();
    assert_eq!(gathered.failures.len(), 3);
    let gathered = change(scripted.call(&project, &options), &Intent::Remove(one("v1"))).await.unwrap();
    assert_eq!(said(&gathered)[0], "a: removed app-web-v1");
    everywhere(&scripted, |machine| assert_eq!(machine.containers.len(), 1));
    let gathered = change(scripted.call(&project, &options), &Intent::Remove(one("v1"))).await.unwrap();
    assert_eq!(said(&gathered)[0], "a: no container of version v1");
}

#[tokio::test(start_paused = true)]
async fn pruning_by_hand_keeps_as_many_as_it_is_told() {
    let (scripted, project) = fleet().await;
    for version in ["v2", "v3", "v4"] {
        deploy(&scripted, &project, version).await.unwrap();
    }
    let options = Options::default();
    change(scripted.call(&project, &options), &Intent::Prune(Parts::Containers, Some(1))).await.unwrap();
    everywhere(&scripted, |machine| assert_eq!(machine.containers.len(), 2));
    assert_only(&scripted, "v4");
}

#[tokio::test(start_paused = true)]
async fn a_lock_by_hand_keeps_all_of_them_out() {
    let (scripted, project) = fleet().await;
    scripted.network.machine("a").lock =
        Some(crate::testing::FakeLock { owner: None, orphaned: false, details: "maintenance".into() });
    let options = Options::default();
    let ended = [
        change(scripted.call(&project, &options), &Intent::Stop).await,
        change(scripted.call(&project, &options), &Intent::Remove(Removal::Everything)).await,
        change(scripted.call(&project, &options), &Intent::Prune(Parts::All, None)).await,
    ];
    for ended in ended {
        assert!(matches!(ended, Err(RunError::Locked { .. })), "{ended:?}");
    }
    assert_eq!(scripted.network.machine("b").running(), ["app-web-v1"]);
}
