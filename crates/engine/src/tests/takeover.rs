//! `upgrade` and `downgrade`: obstacles are reported before anything changes, and after a failure the previous proxy
//! serves.

use super::*;
use crate::takeover::{How, downgrade, upgrade};
use crate::testing::Behaviour;

const ALL_AT_ONCE: How = How { rolling: false, force: false };
const ROLLING: How = How { rolling: true, force: false };

async fn to_upgrade() -> (Scripted, Project) {
    let (scripted, _) = fleet_behind(By::Traefik).await;
    (scripted, project(&By::Kamal.serves(CONFIG)))
}

async fn upgraded(scripted: &Scripted, project: &Project, how: How) -> Result<(), RunError> {
    timeout(Duration::from_secs(600), upgrade(scripted.call(project, &Options::default()), how))
        .await
        .unwrap()
}

/// Asserts which proxy a server has, and that only `v1` runs there.
fn is_behind(scripted: &Scripted, host: &str, proxy: &str) {
    let machine = scripted.network.machine(host);
    assert!(machine.proxies.keys().eq([proxy]) && machine.waits.is_empty(), "{host}: {:?}", machine.proxies);
    assert_eq!(machine.running(), ["app-web-v1"], "on {host}");
    assert!(machine.lock.is_none());
}

fn said(error: RunError) -> String {
    match error {
        RunError::Usage { message, hint } => format!("{message}: {}", hint.unwrap_or_default()),
        other => other.to_string(),
    }
}

#[tokio::test(start_paused = true)]
async fn p6_a_role_without_a_proxy_is_left_alone_and_the_gap_is_told() {
    let (scripted, project) = to_upgrade().await;
    scripted.network.machine("c").changes.clear();
    upgraded(&scripted, &project, ALL_AT_ONCE).await.unwrap();
    ["a", "b"].iter().for_each(|host| is_behind(&scripted, host, "kamal-proxy"));
    assert_eq!(scripted.network.machine("c").changes, [""; 0]);
    assert_eq!(scripted.losses(), [""; 0]);
    let told = "kamal-proxy has replaced Traefik; the server was down for at most 0.3 s";
    let is_told = |event: &Event| matches!(event, Event::Note { text, .. } if text == told);
    assert_eq!(scripted.recorder.events().into_iter().filter(is_told).count(), 2);
    deploy(&scripted, &project, "v2").await.unwrap();
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v2"]);
}

#[tokio::test(start_paused = true)]
async fn p6_a_version_that_does_not_fit_leaves_the_proxy_before_serving_there() {
    for how in [ALL_AT_ONCE, ROLLING] {
        let (scripted, project) = to_upgrade().await;
        let broken = ("a".into(), "web".into(), "v1".into());
        scripted.network.faults().behaviour.insert(broken, Behaviour::NeverHealthy);
        let failed = failures_of(&upgraded(&scripted, &project, how).await.unwrap_err());
        assert!(failed.iter().all(|(host, _)| host == "a") && !failed.is_empty(), "{failed:?}");
        {
            let machine = scripted.network.machine("a");
            assert!(machine.proxies.keys().eq(["traefik"]), "{:?}", machine.proxies);
            assert_eq!(machine.running().len(), 1, "the new one is stopped");
            assert!(machine.losses.is_empty() && machine.serving("web").len() == 1);
        }
        if how.rolling {
            assert!(scripted.network.machine("b").proxies.keys().eq(["traefik"]), "its turn does not come");
        } else {
            is_behind(&scripted, "b", "kamal-proxy");
        }
        scripted.network.faults().behaviour.clear();
        upgraded(&scripted, &project, how).await.unwrap();
        ["a", "b"].iter().for_each(|host| is_behind(&scripted, host, "kamal-proxy"));
    }
}

/// When Traefik turns out to get nothing from Docker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deaf {
    Waiting,
    Serving,
}

#[tokio::test(start_paused = true)]
async fn p6_a_traefik_that_hears_nothing_does_not_keep_the_ports() {
    for deaf in [Deaf::Waiting, Deaf::Serving] {
        let (scripted, _) = fleet_behind(By::Kamal).await;
        let project = project(CONFIG);
        let options = Options::default();
        let policies = [("kamal-proxy".to_owned(), "always".to_owned())].into();
        scripted.network.machine("b").policies = policies;
        let becomes_deaf = async {
            while deaf == Deaf::Serving && !scripted.network.machine("b").waits.contains("traefik") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            scripted.network.machine("b").next_is_deaf = true;
        };
        let run = downgrade(scripted.call(&project, &options), ALL_AT_ONCE);
        let (ended, ()) = tokio::join!(timeout(Duration::from_secs(600), run), becomes_deaf);
        let failed = failures_of(&ended.unwrap().unwrap_err());
        assert!(failed.iter().all(|(host, _)| host == "b") && !failed.is_empty(), "{deaf:?}: {failed:?}");
        is_behind(&scripted, "a", "traefik");
        let machine = scripted.network.machine("b");
        let took = machine.changes.iter().any(|change| change == "Traefik takes the ports");
        assert_eq!(took, deaf == Deaf::Serving);
        assert!(machine.proxies.keys().eq(["kamal-proxy"]), "{deaf:?}: {:?}", machine.proxies);
        assert!(machine.has_ports("kamal-proxy"), "{deaf:?}");
        assert_eq!(machine.policies.get("kamal-proxy").map(String::as_str), Some("always"), "{deaf:?}");
        assert_eq!((machine.running().len(), machine.losses.len()), (1, 0), "{deaf:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn p6_other_apps_and_roles_that_stay_are_told_before_anything_changes() {
    let (scripted, project_) = to_upgrade().await;
    scripted.network.machine("b").neighbours = vec!["blog-web-1".into()];
    let refused = said(upgraded(&scripted, &project_, ALL_AT_ONCE).await.unwrap_err());
    assert!(
        refused.contains("Traefik also serves blog-web-1 on b") && refused.contains("--force"),
        "{refused}"
    );
    ["a", "b"].iter().for_each(|host| is_behind(&scripted, host, "traefik"));
    upgraded(&scripted, &project_, How { force: true, ..ALL_AT_ONCE }).await.unwrap();
    ["a", "b"].iter().for_each(|host| is_behind(&scripted, host, "kamal-proxy"));

    let (scripted, _) = to_upgrade().await;
    let refused = said(upgraded(&scripted, &project(CONFIG), ALL_AT_ONCE).await.unwrap_err());
    assert!(refused.contains("still puts the app behind Traefik"), "{refused}");
    let roles = Options {
        filters: bowline_core::selection::Filters { roles: vec!["web".into()], ..Default::default() },
        ..Options::default()
    };
    let refused = said(upgrade(scripted.call(&project_, &roles), ALL_AT_ONCE).await.unwrap_err());
    assert!(refused.contains("whole servers"), "{refused}");
    ["a", "b"].iter().for_each(|host| is_behind(&scripted, host, "traefik"));
}
