//! Killed or interrupted at every step: what is left serves, and running the command again sets all right.

use super::*;
use crate::testing::{FakeLocal, Scripted as World};

/// Runs a deploy of `v2` that is killed for good at a boundary; whether it got that far.
async fn killed_at(scripted: &World, project: &Project, boundary: usize) -> bool {
    scripted.network.faults().kill_at = Some(boundary);
    let reached = tokio::select! {
        _ = deploy(scripted, project, "v2") => false,
        () = scripted.network.killed.notified() => true,
    };
    // What a kill leaves of the process: nothing. Its connections end, and the lock's keeper sees it.
    scripted.network.faults().kill_at = None;
    scripted.network.take_boundaries();
    tokio::time::sleep(Duration::from_secs(1)).await;
    reached
}

#[tokio::test(start_paused = true)]
async fn killed_at_every_boundary_the_next_run_ends_with_the_new_version_alone() {
    let mut boundary = 0;
    loop {
        let (first, project) = fleet().await;
        let reached = killed_at(&first, &project, boundary).await;
        for host in HOSTS {
            let role = if host == "c" { "workers" } else { "web" };
            assert!(
                !first.network.machine(host).serving(role).is_empty(),
                "{host} serves after boundary {boundary}"
            );
        }
        let second = World::on(first.network.clone(), FakeLocal::default());
        let ended = deploy(&second, &project, "v2").await;
        assert!(ended.is_ok(), "after a kill at boundary {boundary}: {ended:?}");
        assert_only(&second, "v2");
        if !reached {
            break;
        }
        boundary += 1;
    }
    // Three servers with at least boot, cut, stop, tag and prune: a test that saw fewer saw nothing.
    assert!(boundary > 50, "only {boundary} boundaries");
}

#[tokio::test(start_paused = true)]
async fn interrupted_at_every_boundary_nothing_is_lost_and_nothing_is_left_behind() {
    let mut boundary = 0;
    loop {
        let (scripted, project) = fleet().await;
        scripted.network.faults().notify_at = Some(boundary);
        let run = deploy(&scripted, &project, "v2");
        tokio::pin!(run);
        let (reached, ended) = tokio::select! {
            ended = &mut run => (false, ended),
            () = scripted.network.reached.notified() => {
                scripted.trigger.stop();
                (true, run.await)
            }
        };
        assert_eq!(scripted.losses(), [""; 0], "after an interrupt at boundary {boundary}");
        let mut versions = std::collections::BTreeSet::new();
        for host in HOSTS {
            let machine = scripted.network.machine(host);
            assert!(machine.lock.is_none(), "the lock is gone after boundary {boundary}");
            assert_eq!(machine.running().len(), 1, "{:?} after boundary {boundary}", machine.running());
            versions
                .extend(machine.running().iter().map(|name| name.rsplit('-').next().unwrap().to_string()));
        }
        if !versions.contains("v2") {
            assert!(matches!(ended, Err(RunError::Interrupted { .. })), "at boundary {boundary}");
        } else if versions.contains("v1") {
            assert!(ended.is_err(), "at boundary {boundary}");
        }
        if !reached {
            assert_eq!(ended, Ok(()));
            break;
        }
        boundary += 1;
    }
    assert!(boundary > 50, "only {boundary} boundaries");
}

#[tokio::test(start_paused = true)]
async fn killed_at_every_boundary_of_a_way_back_the_next_run_sets_all_right() {
    use crate::testing::Behaviour;
    let mut boundary = 0;
    loop {
        let (first, _) = fleet().await;
        let project = project(&format!("{CONFIG}boot: {{limit: 1, on_failure: rollback}}\n"));
        let broken = ("b".to_string(), "web".to_string(), "v2".to_string());
        first.network.faults().behaviour.insert(broken.clone(), Behaviour::Exits(1));
        let reached = killed_at(&first, &project, boundary).await;
        for (host, role) in [("a", "web"), ("b", "web"), ("c", "workers")] {
            let serving = first.network.machine(host).serving(role).len();
            assert!(serving > 0, "{host} serves after boundary {boundary}");
        }
        first.network.faults().behaviour.clear();
        let second = World::on(first.network.clone(), FakeLocal::default());
        let ended = deploy(&second, &project, "v2").await;
        assert!(ended.is_ok(), "after a kill at boundary {boundary}: {ended:?}");
        assert_only(&second, "v2");
        if !reached {
            break;
        }
        boundary += 1;
    }
    assert!(boundary > 30, "only {boundary} boundaries");
}
