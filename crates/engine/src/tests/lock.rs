//! The lock: held, taken over, lost.

use super::*;
use crate::event::Phase;
use crate::run::lock;
use crate::testing::{FakeLocal, FakeLock, Scripted as World};

/// The failures of a run whose lock another run has taken.
fn is_lost(cause: &str) -> bool {
    let taken = ["another holder has the deploy lock", "another run has taken over this server"];
    taken.iter().any(|why| cause == format!("{why}; this run makes no more changes"))
}

fn notes(scripted: &World) -> Vec<(Option<String>, String)> {
    let note = |event| match event {
        Event::Note { host, text } => Some((host, text)),
        _ => None,
    };
    scripted.recorder.events().into_iter().filter_map(note).collect()
}

#[tokio::test(start_paused = true)]
async fn a_lock_somebody_holds_stops_the_run_before_anything_changes() {
    let (scripted, project) = fleet().await;
    let details = "Locked by: kamal at 2026-01-01T00:00:00Z".to_string();
    // Without an owner file, the lock belongs to Kamal or a person. It is never taken over, even if it looks dead.
    scripted.network.machine("a").lock =
        Some(FakeLock { owner: None, orphaned: true, details: details.clone() });
    let before = scripted.network.machine("a").changes.clone();
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    assert_eq!(error, RunError::Locked { host: "a".into(), details: details.clone() });
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
            let events = scripted.recorder.events();
            assert_eq!(events.iter().filter(|event| told(event)).count(), 1);
            let after = events.iter().skip_while(|event| !told(event));
            let taking = |event: &&Event| matches!(event, Event::Phase(Phase::Lock(_)));
            assert_eq!(after.filter(taking).count(), 0, "it is not said to be taken before it is");
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
    assert!(failures_of(&error).iter().any(|(host, cause)| host == "a" && is_lost(cause)), "{error:?}");
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
    let none = lock::status(scripted.call(&project, &options)).await.unwrap();
    assert_eq!((none.outputs, none.failures), (vec![], vec![]));
    let by_hand = |text: &str| Some(FakeLock { owner: None, orphaned: false, details: text.into() });
    scripted.network.machine("b").lock = by_hand("of a run on b alone");
    scripted.network.machine("c").lock = by_hand("of a run on c alone");
    scripted.network.faults().unreachable.insert("a".into());
    let found = lock::status(scripted.call(&project, &options)).await.unwrap();
    let said: Vec<_> =
        found.outputs.iter().map(|out| (out.host.as_str(), out.output.stdout.as_str())).collect();
    assert_eq!(said, [("b", "of a run on b alone"), ("c", "of a run on c alone")]);
    assert_eq!(found.failures[0].host, "a");
}

/// Another process on the same servers, with a hook that takes this many seconds.
fn with_a_long_hook(first: &World, name: &str, seconds: u64) -> World {
    let path = format!(".kamal/hooks/{name}");
    let programs = [(path.clone(), 0)].into();
    let takes = [(path, Duration::from_secs(seconds))].into();
    World::on(first.network.clone(), FakeLocal { programs, takes, ..FakeLocal::default() })
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_renewed_while_nothing_else_goes_over_the_wire() {
    let (first, project) = fleet().await;
    let scripted = with_a_long_hook(&first, "pre-deploy", 600);
    let options = options("v2");
    let run = deploy::deploy(scripted.call(&project, &options), DeployKind::Deploy);
    let others = async {
        for _ in 0..19 {
            tokio::time::sleep(Duration::from_secs(30)).await;
            let other = World::on(first.network.clone(), FakeLocal::default());
            let ended = change(other.call(&project, &Options::default()), &Intent::Stop).await;
            assert!(matches!(ended, Err(RunError::Locked { .. })), "{ended:?}");
        }
    };
    let (ended, ()) = tokio::join!(run, others);
    assert_eq!(ended, Ok(()));
    assert_only(&scripted, "v2");
}

/// Leaves a dead run's lock whose lease was last renewed this many seconds ago.
fn leave_a_lock(scripted: &World, seconds: u64) {
    let mut machine = scripted.network.machine("a");
    let details = "Locked by: the dead".to_string();
    machine.lock = Some(FakeLock { owner: Some("dead".into()), orphaned: false, details });
    machine.lease = Some(tokio::time::Instant::now() - Duration::from_secs(seconds));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_is_taken_over_and_output_says_so() {
    let (scripted, project) = fleet().await;
    tokio::time::advance(Duration::from_secs(1000)).await;
    leave_a_lock(&scripted, 59);
    let ended = deploy(&scripted, &project, "v2").await;
    assert!(matches!(ended, Err(RunError::Locked { .. })), "{ended:?}");
    leave_a_lock(&scripted, 61);
    deploy(&scripted, &project, "v2").await.unwrap();
    let told = |whose: &str| {
        let text = format!("took over the deploy lock of a run that died ({whose})");
        notes(&scripted).contains(&(Some("a".into()), text))
    };
    assert!(told("Locked by: the dead"));
    assert_only(&scripted, "v2");
    leave_a_lock(&scripted, 61);
    scripted.network.machine("a").lock.as_mut().unwrap().details.clear();
    deploy(&scripted, &project, "v3").await.unwrap();
    assert!(told("it ended before it wrote its name"));
}

#[tokio::test(start_paused = true)]
async fn a_lock_whose_server_is_lost_is_left_to_the_next_run_and_output_says_so() {
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
    let RunError::Servers { failures, standing, .. } = ended.unwrap_err() else { panic!() };
    let lost = &failures[0];
    assert!(lost.host == "a" && lost.cause.to_string().starts_with("the connection was lost: "), "{lost:?}");
    assert_eq!(
        lost.hint().unwrap(),
        "is the server up? The step may or may not have finished: run the command again to complete it"
    );
    // It was lost only after it had switched.
    assert!(scripted.network.machine("a").running().contains(&"app-web-v2"));
    assert_eq!(standing, ["a (web): v2 when it was last seen", "b (web): v2", "c (workers): v2"]);
    let unreleased =
        "the deploy lock could not be released; if it is still there, the next run takes it over";
    assert!(notes(&scripted).contains(&(Some("a".into()), unreleased.into())), "{:?}", notes(&scripted));
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_that_the_lock_is_held_and_a_deploy_where_it_takes_it_instead() {
    let (scripted, project) = fleet().await;
    let details = "Locked by: kamal".to_string();
    scripted.network.machine("b").lock = Some(FakeLock { owner: None, orphaned: false, details });
    deploy::plan(scripted.call(&project, &options("v2")), DeployKind::Deploy).await.unwrap();
    let held = "the deploy lock is held: Locked by: kamal";
    assert!(notes(&scripted).contains(&(Some("b".into()), held.into())), "{:?}", notes(&scripted));
    scripted.network.machine("b").lock = None;
    scripted.network.faults().unreachable.insert("a".into());
    deploy(&scripted, &project, "v2").await.unwrap_err();
    let instead = "a can't be reached: taking the deploy lock on b";
    assert!(notes(&scripted).contains(&(None, instead.into())), "{:?}", notes(&scripted));
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_before_the_switch_says_so_and_what_serves() {
    let (scripted, project) = fleet().await;
    for host in ["a", "b"] {
        let key = (host.to_string(), "web".to_string(), "v2".to_string());
        scripted.network.faults().behaviour.insert(key, crate::testing::Behaviour::Healthy(20_000));
    }
    let run = deploy(&scripted, &project, "v2");
    let interrupt = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        scripted.trigger.stop();
    };
    let (ended, ()) = tokio::join!(run, interrupt);
    let RunError::Interrupted { standing } = ended.unwrap_err() else { panic!() };
    assert_eq!(standing, ["a (web): v1", "b (web): v1", "c (workers): v1"]);
    let cause = |event| match event {
        Event::Failed(failure) => Some((failure.host, failure.doing, failure.cause.to_string())),
        _ => None,
    };
    let mut told: Vec<_> = scripted.recorder.events().into_iter().filter_map(cause).collect();
    told.sort();
    let why = "interrupted before the new container took over";
    let of = |host: &str, doing: &str| (host.to_owned(), doing.to_owned(), why.to_owned());
    assert_eq!(
        told,
        [of("a", "boot app-web-v2"), of("b", "boot app-web-v2"), of("c", "wait at the barrier")]
    );
}

/// Another run takes the lock on `a` and all servers. Returns the number of changes on each server.
fn steal(scripted: &World) -> [usize; 3] {
    let owner = Some("somebody-else".to_string());
    scripted.network.machine("a").lock =
        Some(FakeLock { owner: owner.clone(), orphaned: false, details: String::new() });
    HOSTS.map(|host| {
        let mut machine = scripted.network.machine(host);
        machine.mark.clone_from(&owner);
        machine.changes.len()
    })
}

fn hooks_run(scripted: &World) -> Vec<String> {
    scripted
        .local
        .ran()
        .into_iter()
        .filter_map(|(path, _)| path.strip_prefix(".kamal/hooks/").map(Into::into))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_lost_during_a_hook_ends_the_run_before_its_next_hook_too() {
    let (first, project) = fleet().await;
    let path = |name: &str| format!(".kamal/hooks/{name}");
    let programs = ["pre-deploy", "pre-app-boot", "post-app-boot"].map(|name| (path(name), 0)).into();
    let takes = [(path("pre-deploy"), Duration::from_secs(60))].into();
    let local = FakeLocal { programs, takes, ..FakeLocal::default() };
    let scripted = World::on(first.network.clone(), local);
    let run = deploy(&scripted, &project, "v2");
    let stolen = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        steal(&scripted)
    };
    let (ended, changes) = tokio::join!(run, stolen);
    let error = ended.unwrap_err();
    assert!(failures_of(&error).iter().all(|(_, cause)| is_lost(cause)), "{error:?}");
    assert_eq!(HOSTS.map(|host| scripted.network.machine(host).changes.len()), changes);
    assert_eq!(hooks_run(&scripted), ["pre-deploy"]);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_lost_between_the_groups_of_a_rolling_reboot_ends_it() {
    let (first, project) = fleet().await;
    let scripted = with_a_long_hook(&first, "post-traefik-reboot", 60);
    let options = Options::default();
    let reboot = proxies(ProxyKind::Traefik, life::Act::Reboot, true);
    let run = change(scripted.call(&project, &options), &reboot);
    let stolen = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        steal(&scripted)
    };
    let (ended, changes) = tokio::join!(run, stolen);
    let gathered = ended.unwrap();
    assert_eq!(gathered.failures.len(), 1);
    let failure = &gathered.failures[0];
    assert_eq!(failure.doing, "hold the deploy lock");
    assert!(is_lost(&failure.cause.to_string()), "{failure:?}");
    assert_eq!(HOSTS.map(|host| scripted.network.machine(host).changes.len()), changes);
    assert_eq!(hooks_run(&scripted), ["post-traefik-reboot"], "only after the first server");
}

#[tokio::test(start_paused = true)]
async fn what_a_hook_starts_does_not_fence_the_run_off_that_runs_the_hook() {
    let (first, project) = fleet().await;
    let outer = with_a_long_hook(&first, "pre-deploy", 60);
    let run = deploy(&outer, &project, "v2");
    let inner = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let ran = outer.local.ran();
        let (_, env) = ran.iter().find(|(path, _)| path.ends_with("pre-deploy")).unwrap();
        let variables =
            ["KAMAL_LOCK", "BOWLINE_RUN"].map(|name| (name.to_string(), env[name].clone())).into();
        let inner = World::on(first.network.clone(), FakeLocal { variables, ..FakeLocal::default() });
        change(inner.call(&project, &Options::default()), &Intent::Prune(Parts::All, None)).await.unwrap()
    };
    let (ended, pruned) = tokio::join!(run, inner);
    assert_eq!(pruned.failures, []);
    assert_eq!(ended, Ok(()));
    assert_only(&outer, "v2");
}

#[tokio::test(start_paused = true)]
async fn a_lock_by_hand_waits_for_another_as_long_as_that_is_wanted() {
    let (mut scripted, project) = fleet().await;
    scripted.world.lock_wait = Duration::from_secs(60);
    scripted.network.machine("a").lock =
        Some(FakeLock { owner: None, orphaned: false, details: "theirs".into() });
    let network = scripted.network.clone();
    let release = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(30)).await;
        network.machine("a").lock = None;
    });
    let started = tokio::time::Instant::now();
    lock::acquire(scripted.call(&project, &Options::default()), "mine").await.unwrap();
    assert!((30..40).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    release.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_step_that_starts_ends_also_that_of_the_lock() {
    let (scripted, project) = fleet().await;
    deploy(&scripted, &project, "v2").await.unwrap();
    let mut open: Vec<(String, String)> = Vec::new();
    for event in scripted.recorder.events() {
        match event {
            Event::StepStarted { host, what, .. } => open.push((host, what)),
            Event::StepEnded { host, what, .. } => {
                let place = open.iter().position(|step| *step == (host.clone(), what.clone())).unwrap();
                open.remove(place);
            }
            _ => {}
        }
    }
    assert_eq!(open, []);
}

/// Steps that succeeded although they started after this event, except those that change nothing.
fn changes_after(scripted: &World, from: usize) -> Vec<(String, String)> {
    let harmless = |what: &str| {
        ["inspect the server", "release the deploy lock", "look", "ask", "check"]
            .iter()
            .any(|begins| what.starts_with(begins))
    };
    let events = scripted.recorder.events().split_off(from);
    let started: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::StepStarted { host, what, .. } => Some((host.clone(), what.clone())),
            _ => None,
        })
        .collect();
    let done = events.iter().filter_map(|event| match event {
        Event::StepEnded { host, what, outcome: crate::event::Outcome::Done, .. } => {
            Some((host.clone(), what.clone()))
        }
        _ => None,
    });
    done.filter(|step| started.contains(step) && !harmless(&step.1)).collect()
}

/// Runs a deploy, and releases its lock by hand at a boundary. Returns whether it got that far.
async fn released_at(by: By, boundary: usize) -> bool {
    let (scripted, project) = fleet_behind(by).await;
    scripted.network.faults().notify_at = Some(boundary);
    let running = deploy(&scripted, &project, "v2");
    tokio::pin!(running);
    tokio::select! {
        biased;
        () = scripted.network.reached.notified() => {}
        ended = &mut running => {
            assert_eq!(ended, Ok(()));
            return false;
        }
    }
    let when = format!("boundary {boundary} by {by:?}");
    let other = World::on(scripted.network.clone(), FakeLocal::default());
    let options = Options::default();
    let release = async {
        let (host, released) = lock::release(other.call(&project, &options)).await.unwrap();
        assert_eq!(host, "a", "{when}");
        (released, scripted.recorder.events().len())
    };
    let (ended, (released, from)) = tokio::join!(&mut running, release);
    if !released {
        assert_eq!(ended, Ok(()), "{when}");
        return true;
    }
    assert_eq!(changes_after(&scripted, from), [], "{when}");
    assert_eq!(scripted.losses(), [""; 0], "{when}");
    let gone = |text: &str| text.contains("released the deploy lock at 2");
    let false_alarm = notes(&scripted).into_iter().find(|(_, text)| text.contains("could not be released"));
    assert_eq!(false_alarm, None, "{when}");
    match ended {
        // Its last change was already made.
        Ok(()) => {}
        Err(RunError::Servers { failures, standing, .. }) => {
            assert!(failures.iter().any(|failure| gone(&failure.cause.to_string())), "{when}: {failures:?}");
            assert!(standing.len() == HOSTS.len() || boundary < 10, "{when}: {standing:?}");
        }
        Err(error) => panic!("{when}: {error:?}"),
    }
    assert_eq!(deploy(&other, &project, "v2").await, Ok(()), "{when}");
    assert_only(&other, "v2");
    true
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_released_by_hand_at_any_boundary_ends_the_run_before_its_next_change() {
    for by in By::ALL {
        let mut boundary = 0;
        while released_at(by, boundary).await {
            boundary += 1;
        }
        assert!(boundary > 30, "{boundary} by {by:?}");
    }
}
