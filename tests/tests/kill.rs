//! A deploy that is killed or interrupted in the middle, for real: what it leaves, and that the same command mends it.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::project::{DEADLINE, Project, Running, wait_for_version};
use bowline_tests::sandbox::{Lease, Sandbox, Server, wait_until};
use bowline_tests::terminal::Terminal;
use bowline_tests::watch::Watch;

const SOON: Duration = Duration::from_secs(60);

/// Web on both servers and a worker on the second; `v1` serves, and the next version takes three seconds to start.
fn serving(sandbox: &Sandbox, lease: &Lease, name: &str) -> Project {
    let mut project = Project::new(sandbox, lease, name);
    let (first, second) = (lease[0].address.as_str(), lease[1].address.as_str());
    project.roles(&[("web", &[first, second], ""), ("worker", &[second], "cmd: /app/server worker")]);
    project.deploy("v1").ok();
    project.build_arg("START_DELAY_MS", "3000");
    project
}

/// Kills it, and lets the same command be run again at once.
fn killed_then_mended(project: &mut Project, lease: &Lease, running: Running) {
    running.signal("KILL");
    let ran = running.wait(DEADLINE);
    assert_eq!(ran.code, None, "{ran}");
    for server in lease.iter() {
        let serves = server.get("/version").unwrap_or_default();
        assert!(serves == "v1" || serves == "v2", "{} serves {serves:?} after the kill", server.name);
    }
    project.deploy("v2").ok();
    expect::runs(project, &lease[0], &[("web", "v2")]);
    expect::runs(project, &lease[1], &[("web", "v2"), ("worker", "v2")]);
    for server in lease.iter() {
        wait_for_version(server, "v2");
        expect::unlocked(project, server);
        expect::no_loose_cords(project, server);
        let latest = expect::image_id(project, server, "latest");
        assert_eq!(latest, expect::image_id(project, server, "v2"), "latest on {}", server.name);
        // No script of the killed run is still at work.
        wait_until("scripts of the killed run to be gone", SOON, || {
            server.run("pgrep -fc 'docker container inspect|docker stop|nsenter'").stdout.trim() == "0"
        });
    }
}

#[test]
fn killed_while_the_new_containers_boot() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = serving(sandbox, &lease, "kill-boot");
    let new = project.container("web", "v2");
    let watch = Watch::on(&lease[1]);
    let running = project.start_deploy("v2");
    watch.wait_for("the new container's start", SOON, |event| event.is("start", &new));
    drop(watch);
    killed_then_mended(&mut project, &lease, running);
}

#[test]
fn killed_when_the_old_container_s_cord_is_cut() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = serving(sandbox, &lease, "kill-cut");
    let old = project.container("web", "v1");
    let watch = Watch::on(&lease[0]);
    let running = project.start_deploy("v2");
    watch.wait_for("the old container to be unhealthy", SOON, |event| {
        event.is("health_status: unhealthy", &old)
    });
    drop(watch);
    killed_then_mended(&mut project, &lease, running);
}

#[test]
fn killed_when_the_old_container_has_just_stopped() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = serving(sandbox, &lease, "kill-stop");
    let old = project.container("web", "v1");
    let watch = Watch::on(&lease[0]);
    let running = project.start_deploy("v2");
    watch.wait_for("the old container's end", SOON, |event| event.is("die", &old));
    drop(watch);
    killed_then_mended(&mut project, &lease, running);
}

#[test]
fn killed_while_it_holds_the_lock_and_pulls() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = serving(sandbox, &lease, "kill-lock");
    let running = project.start_deploy("v2");
    let lock = format!(".kamal/lock-{}", project.service);
    wait_until("the lock", SOON, || lease[0].has(&lock));
    killed_then_mended(&mut project, &lease, running);
}

/// Interrupts a deploy as the new container starts on the second server, and looks at what is left.
fn interrupted(name: &str, interrupt: impl FnOnce(&mut Project, &dyn Fn())) {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = serving(sandbox, &lease, name);
    let new = project.container("web", "v2");
    let watch = Watch::on(&lease[1]);
    let started = || watch.wait_for("the new container's start", SOON, |event| event.is("start", &new));
    interrupt(&mut project, &started);
    drop(watch);
    expect::runs(&project, &lease[0], &[("web", "v1")]);
    expect::runs(&project, &lease[1], &[("web", "v1"), ("worker", "v1")]);
    for server in lease.iter() {
        assert_eq!(server.get("/version").as_deref(), Some("v1"));
        expect::unlocked(&project, server);
    }
    // Nothing is in the way of the next one.
    project.deploy("v2").ok();
    for server in lease.iter() {
        expect::no_loose_cords(&project, server);
    }
}

fn signalled(name: &str, signal: &str) {
    interrupted(name, |project, started| {
        let running = project.start_deploy("v2");
        started();
        running.signal(signal);
        running.wait(Duration::from_secs(30)).exits(130).says("interrupted");
    });
}

#[test]
fn ctrl_c_undoes_what_was_begun_and_unlocks() {
    signalled("ctrl-c", "INT");
}

#[test]
fn sigterm_does_the_same() {
    signalled("sigterm", "TERM");
}

#[test]
fn so_does_a_terminal_that_goes_away() {
    interrupted("hang-up", |project, started| {
        project.build_arg("VERSION", "v2");
        project.write_config();
        let terminal = Terminal::start(&project.command(&["deploy", "--version", "v2"]), 80, 24);
        started();
        assert_eq!(terminal.hang_up(), Some(130));
    });
}

/// What there is on a server: files of ours and of the system's temporary directory, containers, networks, volumes.
/// (Docker has a file there for as long as each health check takes.)
fn everything(server: &Server) -> String {
    let shown = "ls -A /tmp | grep -v ^runc-process; find .kamal ! -name 'lock-*' | sort; docker ps -a --format '{{.Names}} {{.State}}' | sort; \
                 docker network ls -q | sort; docker volume ls -q | sort";
    server.run(shown).ok().to_owned()
}

/// How a change is ended in the middle.
#[derive(Clone, Copy, Debug)]
enum End {
    Killed,
    CutOff,
}

/// Ends a change once a container of the first server stops; then the same again leaves what was there before.
fn ended_then_mended(project: &Project, lease: &Lease, words: &[&str], container: &str, end: End) {
    let before = everything(&lease[0]);
    let watch = Watch::on(&lease[0]);
    let running = project.spawn(words);
    watch.wait_for("the old container's end", SOON, |event| event.is("die", container));
    match end {
        End::Killed => {
            running.signal("KILL");
            assert_eq!(running.wait(DEADLINE).code, None);
        }
        End::CutOff => {
            let cut = lease[0].without_sshd();
            running.wait(DEADLINE).says(&lease[0].address).exits(4);
            drop(cut);
        }
    }
    drop(watch);
    project.bowline(words).ok();
    expect::unlocked(project, &lease[0]);
    assert_eq!(everything(&lease[0]), before, "{words:?}, {end:?}");
    let scripts = format!("pgrep -fc 'apps/{}/run|docker container|docker stop'", project.service);
    wait_until("scripts of the first run to be gone", SOON, || lease[0].run(&scripts).stdout.trim() == "0");
}

/// Says so when it goes, even by a panic.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_reboot_of_traefik_or_an_accessory_that_is_killed_or_cut_off_is_finished_by_the_next() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "kill-reboot");
    sandbox.push_version(&project.service, &project.service, "tool", &[]);
    let first = lease[0].address.as_str();
    let tool = format!(
        "\n  tool: {{image: '{}', host: {first}, directories: ['data:/data']}}",
        project.image("tool")
    );
    project.set("accessories", &tool);
    project.deploy("v1").ok();
    project.bowline(&["accessory", "boot", "tool"]).ok();
    let accessory = format!("{}-tool", project.service);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let when_done = Over(&over);
        let elsewhere = scope.spawn(|| {
            let mut asked = 0;
            while !over.load(Ordering::SeqCst) {
                assert_eq!(lease[1].get("/version").as_deref(), Some("v1"), "after {asked} requests");
                asked += 1;
            }
            asked
        });
        for end in [End::Killed, End::CutOff] {
            ended_then_mended(&project, &lease, &["traefik", "reboot", "-h", first, "-y"], "traefik", end);
            wait_for_version(&lease[0], "v1");
        }
        ended_then_mended(&project, &lease, &["accessory", "reboot", "tool"], &accessory, End::Killed);
        drop(when_done);
        assert!(elsewhere.join().unwrap() > 20);
    });
}
