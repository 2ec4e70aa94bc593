//! Another binary takes over, or doesn't start.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{
    Daemon, PATIENCE, PROXY, ask, connect, get, held_target, rest, target, target_of, until,
};

#[test]
fn another_binary_takes_over_under_load_without_a_gap() {
    let daemon = Daemon::start();
    daemon.deploy(&target("hello"));
    let other = daemon.home.path().join("other");
    std::fs::copy(PROXY, &other).unwrap();
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for keep in [true, true, false, false] {
            let (port, done, served) = (daemon.port, &done, &served);
            scope.spawn(move || {
                let mut stream = connect(port);
                while !done.load(Ordering::SeqCst) {
                    if !get(&mut stream, "hello") || !keep {
                        stream = connect(port);
                    }
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for _ in 0..3 {
            let before = served.load(Ordering::SeqCst);
            let upgraded = daemon.command(&["upgrade", other.to_str().unwrap()]);
            assert!(upgraded.status.success(), "{upgraded:?}");
            while served.load(Ordering::SeqCst) < before + 50 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    daemon.deploy(&target("changed"));
    get(&mut connect(daemon.port), "changed");
}

#[test]
fn a_binary_that_does_not_come_up_changes_nothing_and_is_told() {
    let daemon = Daemon::start();
    daemon.deploy(&target("hello"));
    for (path, why) in
        [("/bin/false", "ended before it was ready"), ("/missing/binary", "cannot start /missing/binary")]
    {
        let refused = daemon.command(&["upgrade", path]);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && text.contains(why), "{text}");
    }
    get(&mut connect(daemon.port), "hello");
    daemon.deploy(&target("changed"));
    get(&mut connect(daemon.port), "changed");
}

#[test]
fn a_hangup_starts_the_same_binary_again_and_a_terminate_ends_it() {
    let mut daemon = Daemon::start();
    daemon.deploy(&target("hello"));
    daemon.signal("-HUP");
    daemon.line("Upgraded");
    get(&mut connect(daemon.port), "hello");
    daemon.signal("-TERM");
    assert!(daemon.child.wait().unwrap().success());
}

#[test]
fn a_data_plane_ends_by_itself_when_process_1_is_killed() {
    let daemon = Daemon::start();
    daemon.deploy(&target("hello"));
    let mut open = connect(daemon.port);
    get(&mut open, "hello");
    daemon.signal("-KILL");
    daemon.wait_for_all();
    assert!(TcpStream::connect(("127.0.0.1", daemon.port)).is_err());
}

#[test]
fn a_terminate_lets_the_data_plane_of_before_an_upgrade_finish() {
    let mut daemon = Daemon::start();
    let (held, asked) = held_target();
    daemon.deploy(&held);
    let client = ask(daemon.port, "/held");
    let mut answer = asked.recv_timeout(PATIENCE).unwrap();
    daemon.signal("-HUP");
    daemon.line("Upgraded");
    daemon.signal("-TERM");
    daemon.line("Server stopped");
    answer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld").unwrap();
    let text = rest(client);
    assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("held"), "{text}");
    assert!(daemon.child.wait().unwrap().success());
}

#[test]
fn a_failed_upgrade_does_not_change_how_long_the_next_one_drains() {
    let daemon = Daemon::start();
    let (held, asked) = held_target();
    daemon.deploy(&held);
    let client = ask(daemon.port, "/held");
    let mut answer = asked.recv_timeout(PATIENCE).unwrap();
    assert!(!daemon.command(&["upgrade", "/bin/false", "--drain-timeout", "1ms"]).status.success());
    daemon.signal("-HUP");
    daemon.line("Upgraded");
    for _ in 0..20 {
        daemon.ok("list");
    }
    answer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld").unwrap();
    assert!(rest(client).ends_with("held"));
}

/// A target that responds with its generation's number, and counts requests that arrive after it has retired.
fn generation(number: usize, retired: &Arc<AtomicBool>, late: &Arc<AtomicUsize>) -> String {
    let (retired, late) = (Arc::clone(retired), Arc::clone(late));
    target_of(move || {
        late.fetch_add(usize::from(retired.load(Ordering::SeqCst)), Ordering::SeqCst);
        format!("{number:04}!")
    })
}

#[test]
fn deploys_and_upgrades_in_turn_under_load_lose_nothing_and_leave_no_target_behind() {
    let daemon = Daemon::start();
    let late = Arc::new(AtomicUsize::new(0));
    let mut retired = Arc::new(AtomicBool::new(false));
    daemon.deploy(&generation(0, &retired, &late));
    let (done, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for keep in [true, true, false, false] {
            let (port, done, served) = (daemon.port, &done, &served);
            scope.spawn(move || {
                let mut stream = connect(port);
                while !done.load(Ordering::SeqCst) {
                    // Every response is complete, whichever generation it comes from.
                    if !get(&mut stream, "!") || !keep {
                        stream = connect(port);
                    }
                    served.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for number in 1..=10 {
            let before = served.load(Ordering::SeqCst);
            daemon.upgrade("");
            let next = Arc::new(AtomicBool::new(false));
            daemon.deploy(&generation(number, &next, &late));
            retired.store(true, Ordering::SeqCst);
            retired = next;
            until("served", || served.load(Ordering::SeqCst) > before + 20);
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(late.load(Ordering::SeqCst), 0, "requests reached a target after the deploy that replaced it");
}
