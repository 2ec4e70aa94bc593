//! Asset bridging across servers: no version boots anywhere before every server that takes part is prepared. (The
//! simulated servers record a loss when a container that serves lacks assets.)

use super::*;
use bowline_core::commands::status::Status;

fn assets_of(scripted: &Scripted, host: &str) -> Vec<String> {
    let machine = scripted.network.machine(host);
    let names = machine.volumes.keys().filter_map(|volume| volume.rsplit('/').next());
    names.map(Into::into).collect()
}

#[tokio::test(start_paused = true)]
async fn s15_nothing_boots_before_the_slowest_server_is_prepared() {
    for groups in ["", "boot: {limit: 1}\n"] {
        let (scripted, _) = fleet().await;
        let project = project(&format!("{CONFIG}{groups}"));
        scripted.network.faults().slow_assets.insert("b".into(), Duration::from_secs(60));
        deploy(&scripted, &project, "v2").await.unwrap();
        let events = scripted.recorder.events();
        let prepared = events.iter().rposition(
            |event| matches!(event, Event::StepEnded { what, .. } if what == "prepare the assets of web"),
        );
        let boots = |event: &Event| matches!(event, Event::StepStarted { what, .. } if what.starts_with("boot ") && what.ends_with("-v2"));
        let booted = position(&events, boots);
        assert!(prepared.unwrap() < booted.unwrap());
        assert_only(&scripted, "v2");
    }
}

#[tokio::test(start_paused = true)]
async fn s15_a_server_that_cannot_be_prepared_is_left_out_and_reported() {
    let (scripted, project) = fleet().await;
    scripted.network.faults().no_assets.insert("a".into(), (1, "no space left on device".into()));
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(failures_of(&error), [("a".into(), "no space left on device (exit code 1)".into())]);
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v1"]);
    assert_eq!(scripted.network.machine("b").running(), ["app-web-v2"]);
    assert_eq!(scripted.network.machine("c").running(), ["app-workers-v2"]);
    assert_eq!(scripted.losses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn s15_nothing_boots_when_no_server_of_the_primary_role_could_be_prepared() {
    let (scripted, project) = fleet().await;
    for host in ["a", "b"] {
        scripted.network.faults().no_assets.insert(host.into(), (1, "no space left on device".into()));
    }
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(failures_of(&error).len(), 2);
    assert_only(&scripted, "v1");
}

#[tokio::test(start_paused = true)]
async fn s13_an_image_without_the_directory_boots_nowhere_and_the_error_names_it() {
    let (scripted, project) = fleet().await;
    let fault = (Status::NoAssets.code(), "there is no such path".to_string());
    scripted.network.faults().no_assets.insert("b".into(), fault);
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    let text = "the image r.test/app:v2 has no directory /assets: there is no such path";
    assert_eq!(failures_of(&error), [("b".into(), text.into())]);
    let RunError::Servers { failures, .. } = error else { panic!() };
    assert!(failures[0].hint().unwrap().contains("`asset_path:`"));
    assert_only(&scripted, "v1");
}

#[tokio::test(start_paused = true)]
async fn s14_every_way_of_deploying_leaves_the_current_and_the_previous_versions_volumes() {
    let (scripted, project) = fleet().await;
    assert_eq!(assets_of(&scripted, "a"), ["web-v1"]);
    for version in ["v2", "v3", "v3"] {
        deploy(&scripted, &project, version).await.unwrap();
    }
    assert_eq!(assets_of(&scripted, "a"), ["web-v2", "web-v3"]);
    let options = Options { command: "rollback".into(), ..Options::default() };
    deploy::rollback(scripted.call(&project, &options), Some("v1".into())).await.unwrap();
    assert_eq!(assets_of(&scripted, "b"), ["web-v1", "web-v3"]);
    let versions = scripted.network.machine("b").volumes.values().next().unwrap().clone();
    assert!(versions.contains("v1") && versions.contains("v3"), "{versions:?}");
    assert_eq!(scripted.losses(), [""; 0]);

    // Without an asset path, only the assets of the previous version are kept.
    let without = super::project(&CONFIG.replace("asset_path: /assets\n", ""));
    deploy(&scripted, &without, "v4").await.unwrap();
    assert_eq!(assets_of(&scripted, "a"), ["web-v1"]);
    deploy(&scripted, &without, "v5").await.unwrap();
    assert_eq!(assets_of(&scripted, "a"), [""; 0]);
    assert_eq!(assets_of(&scripted, "c"), [""; 0]);
}
