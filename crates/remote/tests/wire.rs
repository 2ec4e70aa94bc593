//! Slow and dead network connections.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::time::{Duration, Instant};

use bowline_config::Timeouts;
use bowline_config::ssh::Ssh;
use bowline_engine::ports::{Network, ServerError};
use bowline_remote::Options;
use common::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_one_round_trip() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let wire = Wire::to(sshd.port, Duration::from_millis(100));
    let server =
        network(Ssh { port: wire.port, ..sshd.ssh() }, sshd.options()).connect("127.0.0.1").await.unwrap();
    // Take the fastest of several runs, because other tests run at the same time.
    let quickest = |input: &'static str| {
        let server = server.clone();
        async move {
            let mut quickest = Duration::MAX;
            for _ in 0..6 {
                // Leaves time for the next channel to open.
                tokio::time::sleep(Duration::from_millis(250)).await;
                let step = if input.is_empty() { step("echo x") } else { step_with("cat", input) };
                let began = Instant::now();
                assert_eq!(server.run(&step, None, &|_| {}).await.unwrap().stdout.trim(), "x");
                quickest = quickest.min(began.elapsed());
            }
            quickest
        }
    };
    let (plain, with_input) = (quickest("").await, quickest("x").await);
    assert!(plain < Duration::from_millis(350), "{plain:?} at 200 ms there and back");
    // Standard input takes another round trip: sshd opens a session's window only after it knows the command.
    assert!(with_input < Duration::from_millis(550), "{with_input:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_connection_is_an_error_within_thirty_seconds() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let wire = Wire::to(sshd.port, Duration::ZERO);
    let connect = || async {
        let ssh = Ssh { port: wire.port, ..sshd.ssh() };
        network(ssh, sshd.options()).connect("127.0.0.1").await.unwrap()
    };
    let (reading, writing, idle) = (connect().await, connect().await, connect().await);
    let reader = tokio::spawn(async move { run(&reading, "sleep 90").await });
    let writer = tokio::spawn(async move {
        writing.run(&step_with("cat > /dev/null; sleep 90", &"x".repeat(8 << 20)), None, &|_| {}).await
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    wire.freeze();
    let began = Instant::now();
    let not_begun = tokio::spawn(async move { run(&idle, "true").await });
    for task in [reader, writer] {
        let error = task.await.unwrap().unwrap_err();
        assert!(matches!(error, ServerError::Lost { .. }), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(31), "{:?}", began.elapsed());
    }
    // A step that was not sent is tried on a new connection, which is just as dead.
    let error = not_begun.await.unwrap().unwrap_err();
    assert!(matches!(error, ServerError::Unreachable { .. } | ServerError::Lost { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_not_forgotten_on_the_way() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let wire = Wire::forgetful(sshd.port, Duration::from_secs(4));
    let timeouts = Timeouts { silence: Duration::from_secs(5), ..Timeouts::default() };
    let talkative = Options { timeouts, ..sshd.options() };
    let server =
        network(Ssh { port: wire.port, ..sshd.ssh() }, talkative).connect("127.0.0.1").await.unwrap();
    assert_eq!(run(&server, "echo before").await.unwrap().stdout, "before\n");
    // Idle, as during a long build.
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(run(&server, "echo after").await.unwrap().stdout, "after\n");
    assert_eq!(sshd.logins(), 1);
}
