//! Runs that are killed or interrupted at every step: the remaining containers serve, and running the command again
//! completes it.

use super::*;
use crate::setup::setup;
use crate::testing::{FakeDocker, FakeLocal, How, Scripted as World, Silent};

/// The run to kill. Each makes `v2` the version that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    Deploy,
    /// From `v3` back to `v2`.
    Rollback,
}

impl Run {
    async fn fleet(self, by: By) -> (World, Project) {
        let (scripted, project) = fleet_behind(by).await;
        if self == Run::Rollback {
            for version in ["v2", "v3"] {
                deploy(&scripted, &project, version).await.unwrap();
            }
            scripted.network.take_boundaries();
        }
        (scripted, project)
    }

    fn from(self) -> &'static str {
        if self == Run::Deploy { "v1" } else { "v3" }
    }

    async fn on(self, scripted: &World, project: &Project) -> Result<(), RunError> {
        if self == Run::Deploy {
            return deploy(scripted, project, "v2").await;
        }
        let options = Options { command: "rollback".into(), ..Options::default() };
        let run = deploy::rollback(scripted.call(project, &options), Some("v2".into()));
        timeout(Duration::from_secs(600), run).await.expect("the run ends")
    }
}

/// Kills a run for good at a boundary. Returns whether it got that far.
pub(super) async fn killed_at(
    scripted: &World,
    run: impl Future<Output = Result<(), RunError>>,
    boundary: usize,
) -> bool {
    scripted.network.faults().kill_at = Some(boundary);
    let reached = tokio::select! {
        _ = run => false,
        () = scripted.network.killed.notified() => true,
    };
    // A kill ends the process's connections, and the lock's keeper notices that.
    scripted.network.faults().kill_at = None;
    scripted.network.take_boundaries();
    tokio::time::sleep(Duration::from_secs(1)).await;
    reached
}

/// Kills a run at each boundary and runs it again. Returns the number of boundaries.
async fn killed_everywhere(run: Run, by: By) -> usize {
    let mut boundary = 0;
    loop {
        let (first, project) = run.fleet(by).await;
        let reached = killed_at(&first, run.on(&first, &project), boundary).await;
        for host in HOSTS {
            let role = if host == "c" { "workers" } else { "web" };
            assert!(
                !first.network.machine(host).serving(role).is_empty(),
                "{host} serves after boundary {boundary} of {run:?} by {by:?}"
            );
        }
        let second = World::on(first.network.clone(), FakeLocal::default());
        let ended = run.on(&second, &project).await;
        assert!(ended.is_ok(), "after a kill at boundary {boundary} of {run:?} by {by:?}: {ended:?}");
        assert_only(&second, "v2");
        if !reached {
            return boundary;
        }
        boundary += 1;
    }
}

/// Interrupts a run at each boundary. Returns the number of boundaries.
async fn interrupted_everywhere(run: Run, by: By) -> usize {
    let mut boundary = 0;
    loop {
        let (scripted, project) = run.fleet(by).await;
        scripted.network.faults().notify_at = Some(boundary);
        let running = run.on(&scripted, &project);
        tokio::pin!(running);
        let (reached, ended) = tokio::select! {
            biased;
            () = scripted.network.reached.notified() => {
                scripted.trigger.stop();
                (true, running.await)
            }
            ended = &mut running => (false, ended),
        };
        assert_eq!(
            scripted.losses(),
            [""; 0],
            "after an interrupt at boundary {boundary} of {run:?} by {by:?}"
        );
        let mut versions = std::collections::BTreeSet::new();
        for host in HOSTS {
            let machine = scripted.network.machine(host);
            assert!(
                machine.lock.is_none(),
                "the lock is gone after boundary {boundary} of {run:?} by {by:?}"
            );
            assert_eq!(machine.running().len(), 1, "{:?} after boundary {boundary}", machine.running());
            versions
                .extend(machine.running().iter().map(|name| name.rsplit('-').next().unwrap().to_string()));
        }
        if !versions.contains("v2") {
            assert!(
                matches!(ended, Err(RunError::Interrupted { ref standing }) if !standing.is_empty()),
                "at boundary {boundary} of {run:?} by {by:?}"
            );
        } else if versions.contains(run.from()) {
            assert!(ended.is_err(), "at boundary {boundary} of {run:?} by {by:?}");
        }
        if !reached {
            assert_eq!(ended, Ok(()));
            return boundary;
        }
        boundary += 1;
    }
}

/// Cuts the connections to a server at each of its boundaries. Returns the number of boundaries.
async fn cut_everywhere(run: Run, by: By, host: &str) -> usize {
    let mut after = 0;
    loop {
        let (first, project) = run.fleet(by).await;
        first.network.faults().silent = Some(Silent { host: host.into(), after, how: How::Cut });
        let ended = run.on(&first, &project).await;
        let when = format!("{host} cut after {after} of {run:?} by {by:?}: {ended:?}");
        if !first.network.fell_silent() {
            assert_eq!(ended, Ok(()));
            return after;
        }
        assert_eq!(first.losses(), [""; 0], "{when}");
        if let Err(error) = &ended {
            assert!(failures_of(error).iter().all(|(named, _)| named == host), "{when}");
        }
        for other in HOSTS {
            let machine = first.network.machine(other);
            assert_eq!(machine.running().len(), 1, "{other}, {when}: {:?}", machine.running());
            // If the cut came before the lock was taken there, the run took it on another server and succeeded.
            let switched = ended.is_ok() || other != host;
            assert!(!switched || machine.running()[0].ends_with("-v2"), "{other}, {when}");
            assert!(machine.lock.as_ref().is_none_or(|lock| lock.orphaned), "{other}, {when}");
        }
        let ended = run.on(&World::on(first.network.clone(), FakeLocal::default()), &project).await;
        assert_eq!(ended, Ok(()), "{when}");
        assert_only(&first, "v2");
        after += 1;
    }
}

// Three servers each boot, cut, stop and tag at least. A test with fewer boundaries tests too little.
const MANY: usize = 40;

/// The least number of boundaries. There are fewer without Traefik, because no cord is cut.
fn many(by: By) -> usize {
    if by == By::Traefik { MANY } else { 30 }
}

#[tokio::test(start_paused = true)]
async fn killed_at_every_boundary_the_next_run_ends_with_the_new_version_alone() {
    for by in By::ALL {
        assert!(killed_everywhere(Run::Deploy, by).await > many(by), "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_every_boundary_of_a_rollback_the_next_one_ends_with_that_version_alone() {
    for by in By::ALL {
        assert!(killed_everywhere(Run::Rollback, by).await > many(by), "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn interrupted_at_every_boundary_nothing_is_lost_and_nothing_is_left_behind() {
    for by in By::ALL {
        assert!(interrupted_everywhere(Run::Deploy, by).await > many(by), "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn interrupted_at_every_boundary_of_a_rollback_nothing_is_lost_or_left_behind() {
    for by in By::ALL {
        assert!(interrupted_everywhere(Run::Rollback, by).await > many(by), "{by:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn cut_off_at_every_boundary_one_server_is_named_nothing_is_lost_and_the_next_run_ends_clean() {
    for (run, by) in [Run::Deploy, Run::Rollback].into_iter().flat_map(|run| By::ALL.map(|by| (run, by))) {
        for host in HOSTS {
            assert!(cut_everywhere(run, by, host).await > 10, "{run:?} by {by:?} {host}");
        }
    }
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
        let reached = killed_at(&first, deploy(&first, &project, "v2"), boundary).await;
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

/// Empty servers, two of them without Docker.
fn bare() -> (World, Project) {
    let bare = World::new(&HOSTS);
    bare.network.machine("a").docker = FakeDocker::MissingForUser;
    bare.network.machine("b").docker = FakeDocker::Missing;
    (bare, project(CONFIG))
}

/// Sets up the same servers from another process, which must succeed despite the first one's remains.
async fn set_up_again(first: &World, project: &Project, boundary: usize) {
    let second = World::on(first.network.clone(), FakeLocal::default());
    let ended = setup(second.call(project, &options("v1"))).await;
    assert_eq!(ended, Ok(()), "after boundary {boundary}");
    for (host, role) in [("a", "web"), ("b", "web"), ("c", "workers")] {
        let machine = second.network.machine(host);
        assert_eq!(machine.serving(role), ["r.test/app:v1"], "on {host} after boundary {boundary}");
        assert_eq!(machine.lock, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_was_killed_anywhere_is_finished_by_the_next() {
    let mut boundary = 0;
    loop {
        let (first, project) = bare();
        let reached = killed_at(&first, setup(first.call(&project, &options("v1"))), boundary).await;
        set_up_again(&first, &project, boundary).await;
        if !reached {
            break;
        }
        boundary += 1;
    }
    assert!(boundary > MANY, "{boundary}");
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_was_interrupted_anywhere_gives_its_lock_back_and_is_finished_by_the_next() {
    let mut boundary = 0;
    loop {
        let (first, project) = bare();
        first.network.faults().notify_at = Some(boundary);
        let options = options("v1");
        let running = setup(first.call(&project, &options));
        tokio::pin!(running);
        let (reached, ended) = tokio::select! {
            biased;
            () = first.network.reached.notified() => {
                first.trigger.stop();
                (true, running.await)
            }
            ended = &mut running => (false, ended),
        };
        for host in HOSTS {
            assert_eq!(first.network.machine(host).lock, None, "on {host} after boundary {boundary}");
        }
        if let Err(RunError::Interrupted { standing }) = &ended {
            assert_eq!(standing.len(), HOSTS.len(), "after boundary {boundary}: {standing:?}");
        }
        first.network.faults().notify_at = None;
        set_up_again(&first, &project, boundary).await;
        if !reached {
            assert_eq!(ended, Ok(()));
            break;
        }
        boundary += 1;
    }
    assert!(boundary > MANY, "{boundary}");
}

#[tokio::test(start_paused = true)]
async fn a_setup_whose_connections_are_cut_anywhere_is_finished_by_the_next() {
    let mut after = 0;
    loop {
        let (first, project) = bare();
        first.network.faults().silent = Some(Silent { host: "a".into(), after, how: How::Cut });
        let ended = setup(first.call(&project, &options("v1"))).await;
        if !first.network.fell_silent() {
            assert_eq!(ended, Ok(()));
            break;
        }
        if let Err(error) = &ended {
            assert!(failures_of(error).iter().all(|(named, _)| named == "a"), "{after}: {error:?}");
        }
        set_up_again(&first, &project, after).await;
        after += 1;
    }
    assert!(after > 10, "{after}");
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_while_servers_are_looked_at_does_not_wait_for_one_that_is_silent() {
    let (scripted, project) = fleet().await;
    scripted.network.faults().silent = Some(Silent { host: "b".into(), after: 0, how: How::DockerHangs });
    let running = deploy(&scripted, &project, "v2");
    tokio::pin!(running);
    let waited = timeout(Duration::from_secs(3), &mut running).await;
    assert!(waited.is_err(), "it looks at the servers: {waited:?}");
    scripted.trigger.stop();
    let ended = timeout(Duration::from_secs(5), running).await.expect("it ends");
    let standing = HOSTS.map(|host| format!("{host}: unchanged")).into();
    assert_eq!(ended, Err(RunError::Interrupted { standing }));
    assert!(scripted.network.machine("a").lock.is_none());
}
