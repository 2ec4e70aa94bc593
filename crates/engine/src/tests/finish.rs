//! The end of a deploy on a server: stopping the old container, tagging the latest version and pruning share a round
//! trip if possible.

use super::*;

/// How many commands ran one after the other on each server in the last run.
fn commands(scripted: &Scripted) -> Vec<(String, usize)> {
    let mut counts = scripted.recorder.events().into_iter().rev().find_map(|event| match event {
        Event::Finished { commands, .. } => Some(commands),
        _ => None,
    });
    let counts = counts.as_mut().expect("the run ended");
    counts.sort();
    counts.clone()
}

async fn bare(by: By) -> (Scripted, Project) {
    let config = by.serves(CONFIG).replace("asset_path: /assets\n", "");
    let (scripted, project) = (Scripted::new(&HOSTS), project(&config));
    deploy(&scripted, &project, "v1").await.unwrap();
    (scripted, project)
}

#[tokio::test(start_paused = true)]
async fn a_deploy_is_six_commands_in_sequence_with_the_lock() {
    // Lock, observe, pull, boot, route or cut, finish.
    for by in [By::Kamal, By::Traefik] {
        let (scripted, project) = bare(by).await;
        deploy(&scripted, &project, "v2").await.unwrap();
        let counts = commands(&scripted);
        assert_eq!(counts[..2], [("a".to_owned(), 6), ("b".to_owned(), 5)], "{by:?}");
        assert_only(&scripted, "v2");
    }
}

#[tokio::test(start_paused = true)]
async fn several_roles_of_a_server_stop_by_themselves_before_it_is_tagged() {
    let config = By::Kamal.serves(CONFIG).replace("asset_path: /assets\n", "");
    let both = config.replace("workers: {hosts: [c], cmd: work}", "workers: {hosts: [a, c], cmd: work}");
    let (scripted, project) = (Scripted::new(&HOSTS), project(&both));
    deploy(&scripted, &project, "v1").await.unwrap();
    let before = scripted.recorder.events().len();
    deploy(&scripted, &project, "v2").await.unwrap();
    let events = scripted.recorder.events().split_off(before);
    let stopped = |role: &'static str| move |event: &Event| matches!(event, Event::StepEnded { host, what, .. } if host == "a" && what.starts_with(&format!("stop app-{role}-v1")));
    let tagged = position(
        &events,
        |event| matches!(event, Event::StepStarted { host, what, .. } if host == "a" && what.contains("tag r.test/app:v2")),
    );
    let tagged = tagged.expect("it is tagged");
    // The last stop may share the round trip.
    let alone = ["web", "workers"].map(|role| position(&events, stopped(role)).is_some_and(|at| at < tagged));
    assert!(alone.contains(&true), "{alone:?}");
    let most = commands(&scripted).into_iter().map(|(_, count)| count).max();
    assert!(most <= Some(7), "{:?}", commands(&scripted));
}

#[tokio::test(start_paused = true)]
async fn where_all_has_to_go_well_nothing_is_pruned_before() {
    let config = By::Kamal.serves(CONFIG).replace("asset_path: /assets\n", "boot: {on_failure: rollback}\n");
    let (scripted, project) = (Scripted::new(&HOSTS), project(&config));
    deploy(&scripted, &project, "v1").await.unwrap();
    let before = scripted.recorder.events().len();
    deploy(&scripted, &project, "v2").await.unwrap();
    let events = scripted.recorder.events().split_off(before);
    let with_the_stop = |event: &Event| matches!(event, Event::StepStarted { what, .. } if what.starts_with("stop ") && what.contains("prune"));
    assert!(position(&events, with_the_stop).is_none());
    assert!(position(&events, started("a", "prune old containers and images")).is_some());
}
