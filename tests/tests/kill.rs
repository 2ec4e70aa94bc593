//! Kills or interrupts real deploys, checks what they leave, and that the same command repairs it.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::project::{DEADLINE, Project, Running, wait_for_version};
use bowline_tests::sandbox::{Lease, Sandbox, Server, wait_until};
use bowline_tests::terminal::Terminal;
use bowline_tests::watch::Watch;

const SOON: Duration = Duration::from_secs(60);

/// A project with web on both servers and a worker on the second. `v1` serves, and the next version takes three
/// seconds to start.
fn serving(sandbox: &Sandbox, lease: &Lease, name: &str) -> Project {
    let mut project = Project::new(sandbox, lease, name);
    let (first, second) = (lease[0].address.as_str(), lease[1].address.as_str());
    project.roles(&[("web", &[first, second], ""), ("worker", &[second], "cmd: /app/server worker")]);
    project.deploy("v1").ok();
    project.build_arg("START_DELAY_MS", "3000");
    project
}

/// Kills a deploy, and runs the same command again at once.
fn killed_then_mended(project: &mut Project, lease: &Lease, running: Running, [old, new]: [&str; 2]) {
    running.signal("KILL");
    let ran = running.wait(DEADLINE);
    assert_eq!(ran.code, None, "{ran}");
    for server in lease.iter() {
        let serves = server.get("/version").unwrap_or_default();
        assert!(serves == old || serves == new, "{} serves {serves:?} after the kill", server.name);
    }
    project.deploy(new).ok();
    expect::runs(project, &lease[0], &[("web", new)]);
    expect::runs(project, &lease[1], &[("web", new), ("worker", new)]);
    for server in lease.iter() {
        wait_for_version(server, new);
        expect::unlocked(project, server);
        expect::no_loose_cords(project, server);
        let latest = expect::image_id(project, server, "latest");
        assert_eq!(latest, expect::image_id(project, server, new), "latest on {}", server.name);
        // Scripts of the killed run must end.
        wait_until("scripts of the killed run to be gone", SOON, || {
            server.run(&format!("pgrep -fc '{AT_WORK}'")).stdout.trim() == "0"
        });
    }
}

/// A pattern for the commands that our scripts run on a server.
const AT_WORK: &str = "docker container|docker events|docker stop|nsenter";

#[derive(Clone, Copy, Debug)]
enum Moment {
    /// It has the lock and pulls.
    Locked,
    /// A new container has started on this server.
    New(usize),
    /// The old container on this server had this event.
    Old(usize, &'static str),
}

const MOMENTS: [Moment; 4] =
    [Moment::Locked, Moment::New(1), Moment::Old(0, "health_status: unhealthy"), Moment::Old(0, "die")];

#[test]
fn killed_at_any_moment_the_old_or_the_new_version_serves_and_the_same_again_finishes() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = serving(sandbox, &lease, "killed");
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let [old, new] = [1, 2].map(|next| format!("v{}", number + next));
        let containers = [&old, &new].map(|version| project.container("web", version));
        let watch = |server: usize| Watch::on(&lease[server]);
        let running = match moment {
            Moment::Locked => {
                let running = project.start_deploy(&new);
                let lock = format!(".kamal/lock-{}", project.service);
                wait_until("the lock", SOON, || lease[0].has(&lock));
                running
            }
            Moment::New(server) => {
                let watch = watch(server);
                let running = project.start_deploy(&new);
                watch.wait_for("the new container's start", SOON, |event| event.is("start", &containers[1]));
                running
            }
            Moment::Old(server, happens) => {
                let watch = watch(server);
                let running = project.start_deploy(&new);
                watch.wait_for(happens, SOON, |event| event.is(happens, &containers[0]));
                running
            }
        };
        eprintln!("killed at {moment:?}, {new} in place of {old}");
        killed_then_mended(&mut project, &lease, running, [&old, &new]);
    }
}

/// Sends a signal to a deploy of `v2`. `HUP` closes its terminal instead.
fn interrupt(project: &mut Project, signal: &str, started: &dyn Fn()) {
    if signal == "HUP" {
        project.build_arg("VERSION", "v2");
        project.write_config();
        let terminal = Terminal::start(&project.command(&["deploy", "--version", "v2"]), 80, 24);
        started();
        assert_eq!(terminal.hang_up(), Some(130));
        return;
    }
    let running = project.start_deploy("v2");
    started();
    running.signal(signal);
    running.wait(Duration::from_secs(30)).exits(130).says("interrupted");
}

#[test]
fn ctrl_c_sigterm_and_a_terminal_that_goes_away_undo_what_was_begun_and_unlock() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = serving(sandbox, &lease, "interrupted");
    let new = project.container("web", "v2");
    for signal in ["INT", "TERM", "HUP"] {
        // Interrupts when the new container starts on the second server.
        let watch = Watch::on(&lease[1]);
        let started = || watch.wait_for("the new container's start", SOON, |event| event.is("start", &new));
        interrupt(&mut project, signal, &started);
        drop(watch);
        expect::runs(&project, &lease[0], &[("web", "v1")]);
        expect::runs(&project, &lease[1], &[("web", "v1"), ("worker", "v1")]);
        for server in lease.iter() {
            assert_eq!(server.get("/version").as_deref(), Some("v1"), "after SIG{signal}");
            expect::unlocked(&project, server);
        }
    }
    project.deploy("v2").ok();
    for server in lease.iter() {
        expect::no_loose_cords(&project, server);
    }
}

/// Everything on a server: our files and `/tmp`, containers, networks, volumes. Leaves out a file that Docker keeps
/// in `/tmp` during each health check.
fn everything(server: &Server) -> String {
    let shown = "ls -A /tmp | grep -v ^runc-process; find .kamal ! -name 'lock-*' | sort; docker ps -a --format '{{.Names}} {{.State}}' | sort; \
                 docker network ls -q | sort; docker volume ls -q | sort";
    server.run(shown).ok().to_owned()
}

#[derive(Clone, Copy, Debug)]
enum End {
    Killed,
    CutOff,
    Unheard,
}

/// Ends a change at an event of a container on the first server. The same command must then restore `meant`.
fn ended_then_mended(
    project: &Project,
    lease: &Lease,
    words: &[&str],
    (happens, container): (&str, &str),
    end: End,
    meant: &str,
) {
    let watch = Watch::on(&lease[0]);
    let running = project.spawn(words);
    watch.wait_for(happens, SOON, |event| event.is(happens, container));
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
        End::Unheard => {
            let unheard = lease[0].unheard();
            running.wait(DEADLINE).says(&lease[0].address).exits(4);
            drop(unheard);
        }
    }
    drop(watch);
    // The lock's holder only notices an unheard connection's end with the next packet.
    project.bowline(&[words, &["--lock-wait", "90"]].concat()).ok();
    expect::unlocked(project, &lease[0]);
    assert_eq!(everything(&lease[0]), meant, "{words:?}, {end:?}");
    let scripts = format!("pgrep -fc 'apps/{}/run|{AT_WORK}'", project.service);
    wait_until("scripts of the first run to be gone", SOON, || lease[0].run(&scripts).stdout.trim() == "0");
}

/// Sets the flag on drop, even after a panic.
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
    project.set("timeouts", "{connect: 3, silence: 6}");
    project.deploy("v1").ok();
    project.bowline(&["accessory", "boot", "tool"]).ok();
    let accessory = format!("{}-tool", project.service);
    let meant = everything(&lease[0]);
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
        for end in [End::Killed, End::CutOff, End::Unheard] {
            let words = ["traefik", "reboot", "-h", first, "-y"];
            ended_then_mended(&project, &lease, &words, ("die", "traefik"), end, &meant);
            wait_for_version(&lease[0], "v1");
        }
        for end in [End::Killed, End::Unheard] {
            let words = ["accessory", "reboot", "tool"];
            ended_then_mended(&project, &lease, &words, ("die", &accessory), end, &meant);
            project.bowline(&["accessory", "remove", "tool", "-y"]).ok();
            ended_then_mended(
                &project,
                &lease,
                &["accessory", "boot", "tool"],
                ("create", &accessory),
                end,
                &meant,
            );
        }
        drop(when_done);
        assert!(elsewhere.join().unwrap() > 20);
    });
}
