//! A panic anywhere in a run: the run unwinds, and the next run repairs the state as after a kill. Nothing that it
//! might print contains a secret.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;

use super::*;
use crate::event::Events;
use crate::testing::{FakeLocal, Recorder, project_with};

/// Records events, and panics at one of them.
struct Breaks {
    recorder: Arc<Recorder>,
    after: AtomicUsize,
}

impl Events for Breaks {
    fn emit(&self, event: Event) {
        assert!(self.after.fetch_sub(1, Ordering::SeqCst) > 0, "tested: a mistake of ours");
        self.recorder.emit(event);
    }
}

/// Deploys `v2` with a panic at an event. Returns whether the run got that far.
async fn panics_after(scripted: &mut Scripted, project: &Project, events: usize) -> bool {
    let after = AtomicUsize::new(events);
    scripted.world.events = Arc::new(Breaks { recorder: scripted.recorder.clone(), after });
    let ended = AssertUnwindSafe(deploy(scripted, project, "v2")).catch_unwind().await;
    // The connections end, and the lock's keeper notices that.
    tokio::time::sleep(Duration::from_secs(1)).await;
    ended.is_err()
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_anywhere_the_next_deploy_takes_the_lock_over_and_sets_all_right() {
    let mut events = 0;
    loop {
        let (mut first, project) = fleet().await;
        if !panics_after(&mut first, &project, events).await {
            break;
        }
        for (host, role) in [("a", "web"), ("b", "web"), ("c", "workers")] {
            let machine = first.network.machine(host);
            assert!(!machine.serving(role).is_empty(), "{host} serves after event {events}");
            assert!(machine.lock.as_ref().is_none_or(|lock| lock.orphaned), "the lock after event {events}");
        }
        let second = Scripted::on(first.network.clone(), FakeLocal::default());
        let ended = deploy(&second, &project, "v2").await;
        assert!(ended.is_ok(), "after event {events}: {ended:?}");
        assert_only(&second, "v2");
        events += 1;
    }
    assert!(events > 30, "only {events} events");
}

#[tokio::test(start_paused = true)]
async fn nothing_that_could_be_formatted_shows_a_secret() {
    const CONFIG: &str = "service: app
image: app
servers: {web: {hosts: [a: blue]}}
env: {secret: [KEY, PEM], tags: {blue: {secret: [TAG]}}}
traefik: {env: {secret: [TAG]}}
accessories: {db: {image: db, host: a, env: {secret: [KEY]}, registry: {username: u, password: sentinel-plain}}}
readiness_delay: 1
healthcheck: {cmd: 'true'}
";
    let secrets = "KEY=sentinel-key\nPEM='sentinel\nline'\nTAG=$(echo sentinel-said)\n";
    let project = project_with(CONFIG, secrets);
    let scripted = Scripted::new(&["a"]);
    deploy(&scripted, &project, "v1").await.unwrap();
    scripted.network.faults().no_pull.insert("a".into());
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    let names = ["KEY", "PEM", "TAG", "PW"].map(String::from);
    let values = project.secrets(&scripted.world, &names).await.unwrap();
    assert_eq!(values.len(), 4);
    for told in [
        format!("{project:?}"),
        format!("{values:?}"),
        format!("{error:?} {error}"),
        format!("{:?}", scripted.recorder.events()),
        format!("{:?}", scripted.local.ran.lock().unwrap()),
    ] {
        let shows = told.replace("echo sentinel-said", "").contains("sentinel");
        assert!(!shows, "{told}");
    }
}
