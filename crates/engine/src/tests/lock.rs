//! The lock: held, taken over, lost.

use super::*;
use crate::lock;
use crate::testing::{FakeLocal, FakeLock, Scripted as World};

#[tokio::test(start_paused = true)]
async fn a_lock_somebody_holds_stops_the_run_before_anything_changes() {
    let (scripted, project) = fleet().await;
    let details = "Locked by: kamal at 2026-01-01T00:00:00Z".to_string();
    // No owner file: Kamal's, or a person's. Even a dead-looking one is never taken.
    scripted.network.machine("a").lock = Some(FakeLock { owner: None, orphaned: true, details });
    let before = scripted.network.machine("a").changes.clone();
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert!(matches!(error, RunError::Locked { ref host, .. } if host == "a"), "{error:?}");
    assert_eq!(scripted.network.machine("a").changes, before);
    assert!(scripted.network.machine("a").lock.is_some(), "it is still theirs");
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_waited_for_as_long_as_that_is_wanted() {
    for (wait, released, gets_it) in [(120, 60, true), (30, 60, false)] {
        let (mut scripted, project) = fleet().await;
        scripted.world.lock_wait = Duration::from_secs(wait);
        let details = "Locked by: somebody".to_string();
        scripted.network.machine("a").lock = Some(FakeLock { owner: None, orphaned: false, details });
        let network = scripted.network.clone();
        let release = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(released)).await;
            network.machine("a").lock = None;
        });
        let started = tokio::time::Instant::now();
        let ended = deploy(&scripted, &project, "v2").await;
        let waited = started.elapsed().as_secs();
        if gets_it {
            assert_eq!(ended, Ok(()));
            assert!((released..wait).contains(&waited), "{waited}");
            let told = |event: &Event| matches!(event, Event::Note { text, .. } if text.contains("waiting up to 120 s for the deploy lock"));
            assert_eq!(scripted.recorder.events().iter().filter(|event| told(event)).count(), 1);
        } else {
            assert!(matches!(ended, Err(RunError::Locked { .. })), "{ended:?}");
            assert!((wait..released).contains(&waited), "{waited}");
            assert_eq!(scripted.network.machine("b").running(), ["app-web-v1"]);
        }
        release.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn two_deploys_at_the_same_instant_exclude_each_other() {
    let (first, project) = fleet().await;
    let second = World::on(first.network.clone(), FakeLocal::default());
    let (one, two) = tokio::join!(deploy(&first, &project, "v2"), deploy(&second, &project, "v3"));
    let locked = [&one, &two].iter().filter(|r| matches!(r, Err(RunError::Locked { .. }))).count();
    assert_eq!(locked, 1, "{one:?} {two:?}");
    assert_only(&first, if one.is_ok() { "v2" } else { "v3" });
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_lock_was_taken_over_changes_nothing_more() {
    let (scripted, project) = fleet().await;
    scripted
        .network
        .faults()
        .behaviour
        .insert(("a".into(), "web".into(), "v2".into()), crate::testing::Behaviour::Healthy(20_000));
    let run = deploy(&scripted, &project, "v2");
    let steal = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let owner = Some("somebody-else".to_string());
        scripted.network.machine("a").lock =
            Some(FakeLock { owner: owner.clone(), orphaned: false, details: String::new() });
        for host in HOSTS {
            scripted.network.machine(host).mark.clone_from(&owner);
        }
        HOSTS.map(|host| scripted.network.machine(host).changes.len())
    };
    let (ended, changes) = tokio::join!(run, steal);
    let error = ended.unwrap_err();
    assert!(
        failures_of(&error).iter().any(|(host, cause)| host == "a" && cause.contains("no longer ours")),
        "{error:?}"
    );
    assert_eq!(HOSTS.map(|host| scripted.network.machine(host).changes.len()), changes);
    assert_eq!(scripted.network.machine("a").lock.as_ref().unwrap().owner.as_deref(), Some("somebody-else"));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_a_hook_started_uses_the_lock_that_is_there_and_leaves_it() {
    let (first, project) = fleet().await;
    let theirs = FakeLock { owner: Some("the-hooks-run".into()), orphaned: false, details: String::new() };
    first.network.machine("a").lock = Some(theirs.clone());
    let variables = [("KAMAL_LOCK".to_string(), "true".to_string())].into();
    let inner = World::on(first.network.clone(), FakeLocal { variables, ..FakeLocal::default() });
    deploy(&inner, &project, "v2").await.unwrap();
    assert_eq!(first.network.machine("a").lock, Some(theirs));
    assert_eq!(first.network.machine("a").running(), ["app-web-v2"]);
}

#[tokio::test(start_paused = true)]
async fn the_status_finds_locks_on_whichever_servers_they_are() {
    let (scripted, project) = fleet().await;
    let options = Options::default();
    let none = lock::status(&scripted.world, &project, &options).await.unwrap();
    assert_eq!((none.outputs, none.failures), (vec![], vec![]));
    let by_hand = |text: &str| Some(FakeLock { owner: None, orphaned: false, details: text.into() });
    scripted.network.machine("b").lock = by_hand("of a run on b alone");
    scripted.network.machine("c").lock = by_hand("of a run on c alone");
    scripted.network.faults().unreachable.insert("a".into());
    let found = lock::status(&scripted.world, &project, &options).await.unwrap();
    let said: Vec<_> =
        found.outputs.iter().map(|out| (out.host.as_str(), out.output.stdout.as_str())).collect();
    assert_eq!(said, [("b", "of a run on b alone"), ("c", "of a run on c alone")]);
    assert_eq!(found.failures[0].host, "a");
}
