//! Commands after an upgrade reach what the former process still holds.

use std::io::Write;
use std::net::TcpStream;
use std::process::Child;

use crate::support::{Daemon, PATIENCE, ask, connect, get, held_target, rest, target, until};

/// A request that a pause holds in the process before an upgrade.
fn paused() -> (Daemon, TcpStream) {
    let daemon = Daemon::start();
    daemon.deploy(&target("old"));
    // This connection belongs to this process, and to no later one.
    let mut held = connect(daemon.port);
    get(&mut held, "old");
    daemon.ok("pause app --max-pause 1h");
    held.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    daemon.upgrade("");
    (daemon, held)
}

#[test]
fn a_request_that_waited_since_before_an_upgrade_goes_on_with_resume() {
    let (daemon, held) = paused();
    daemon.ok("resume app");
    let answer = rest(held);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("old"), "{answer}");
}

#[test]
fn a_request_that_waited_since_before_two_upgrades_goes_to_the_target_deployed_meanwhile() {
    let (daemon, held) = paused();
    daemon.deploy(&target("new"));
    daemon.upgrade("");
    daemon.ok("resume app");
    let answer = rest(held);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("new"), "{answer}");
}

#[test]
fn a_request_that_waited_since_before_an_upgrade_is_refused_by_stop() {
    let (daemon, held) = paused();
    daemon.ok("stop app --message=moved");
    let answer = rest(held);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("moved"), "{answer}");
}

/// A deploy of `new` that has switched, while the process before an upgrade still has a request to the old target.
struct Deploying {
    daemon: Daemon,
    client: TcpStream,
    target: TcpStream,
    deploy: Child,
}

fn deploying(flags: &str) -> Deploying {
    let daemon = Daemon::start();
    let (held, asked) = held_target();
    daemon.ok(&format!("deploy app --target {held} --target-timeout 1h"));
    let client = ask(daemon.port, "/held");
    let answer = asked.recv_timeout(PATIENCE).unwrap();
    daemon.upgrade("");
    let deploy = daemon.begin(&format!("deploy app --target {} {flags}", target("new")));
    until("switched", || {
        let listed = daemon.command(&["list", "--json"]).stdout;
        !String::from_utf8_lossy(&listed).contains(&held)
    });
    get(&mut connect(daemon.port), "new");
    Deploying { daemon, client, target: answer, deploy }
}

#[test]
fn a_deploy_waits_for_the_requests_of_the_process_before_an_upgrade() {
    let Deploying { daemon, client, mut target, mut deploy } = deploying("--drain-timeout 1h");
    for _ in 0..20 {
        daemon.ok("list");
    }
    assert!(deploy.try_wait().unwrap().is_none(), "the old container would be stopped under a request");
    target.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld").unwrap();
    assert!(rest(client).ends_with("held"));
    assert!(deploy.wait().unwrap().success());
}

#[test]
fn a_deploy_cuts_off_the_requests_of_the_process_before_an_upgrade_at_its_drain_timeout() {
    let Deploying { daemon: _daemon, client, mut deploy, target } = deploying("--drain-timeout 300ms");
    assert!(rest(client).starts_with("HTTP/1.1 504 "));
    assert!(deploy.wait().unwrap().success());
    drop(target);
}

#[test]
fn pauses_and_stops_wait_for_the_requests_of_the_process_before_an_upgrade() {
    for command in ["pause", "stop"] {
        let daemon = Daemon::start();
        let (held, asked) = held_target();
        daemon.deploy(&held);
        let client = ask(daemon.port, "/held");
        let mut target = asked.recv_timeout(PATIENCE).unwrap();
        daemon.upgrade("");
        let mut command = daemon.begin(&format!("{command} app --drain-timeout 1h"));
        until("closed", || {
            let listed = daemon.command(&["list", "--json"]).stdout;
            !String::from_utf8_lossy(&listed).contains("running")
        });
        for _ in 0..10 {
            daemon.ok("list");
        }
        assert!(command.try_wait().unwrap().is_none());
        target.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld").unwrap();
        assert!(rest(client).ends_with("held"));
        assert!(command.wait().unwrap().success());
    }
}

#[test]
fn a_command_that_drains_while_an_upgrade_takes_place_is_answered() {
    let daemon = Daemon::start();
    let (held, asked) = held_target();
    daemon.deploy(&held);
    let client = ask(daemon.port, "/held");
    let mut answer = asked.recv_timeout(PATIENCE).unwrap();
    let mut deploy = daemon.begin(&format!("deploy app --target {} --drain-timeout 1h", target("new")));
    until("switched", || {
        let listed = daemon.command(&["list", "--json"]).stdout;
        !String::from_utf8_lossy(&listed).contains(&held)
    });
    daemon.upgrade("");
    answer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld").unwrap();
    assert!(rest(client).ends_with("held"));
    assert!(deploy.wait().unwrap().success());
}
