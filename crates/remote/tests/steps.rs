//! Steps on a real sshd: exit statuses, input and output, and broken connections.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bowline_config::Timeouts;
use bowline_engine::ports::{Exit, Limit, Line, Network, Output, Reader, ServerError};
use bowline_remote::Options;
use common::*;

#[tokio::test]
async fn status_output_and_lines() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let seen = Mutex::new(Vec::new());
    let note = |line: Line<'_>| match line {
        Line::Out(text) => seen.lock().unwrap().push(format!("out {text}")),
        Line::Err(text) => seen.lock().unwrap().push(format!("err {text}")),
    };
    let script =
        step("echo one; printf '%s\\n' \"it's \\two\"; sleep 0.2; echo three >&2; printf last; exit 7");
    let output = server.run(&script, None, &note).await.unwrap();
    assert_eq!(
        output,
        Output { exit: Exit::Status(7), stdout: "one\nit's \\two\nlast".into(), stderr: "three\n".into() }
    );
    let mut seen = seen.into_inner().unwrap();
    assert_eq!(seen.remove(0), "out one");
    seen.sort();
    assert_eq!(seen, ["err three", "out it's \\two", "out last"]);
    assert!(run(&server, "true").await.unwrap().success());
}

#[tokio::test]
async fn a_signal_is_told_from_a_status() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    for signal in ["KILL", "TERM"] {
        let output = run(&server, &format!("kill -{signal} $$; sleep 5")).await.unwrap();
        assert_eq!(output.exit, Exit::Signal(signal.into()));
    }
}

#[tokio::test]
async fn standard_input_carries_a_secret_and_ends() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let output =
        server.run(&step_with("cat; echo; wc -c </dev/null", "hunter2"), None, &|_| {}).await.unwrap();
    assert_eq!(output.stdout, "hunter2\n0\n");
    // More than a channel's window, and more than the program reads.
    let big = "x".repeat(5_000_000);
    let output = server.run(&step_with("wc -c", &big), None, &|_| {}).await.unwrap();
    assert_eq!(output.stdout.trim(), "5000000");
    let output = server.run(&step_with("exit 3", &big), None, &|_| {}).await.unwrap();
    assert_eq!(output.exit, Exit::Status(3));
    // Without input, standard input is closed at once.
    assert_eq!(run(&server, "cat; echo end").await.unwrap().stdout, "end\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_steps_at_once_on_one_connection() {
    skip_without_sshd!();
    let sshd = Sshd::with("MaxSessions 10");
    let server = sshd.connect().await;
    let steps = (0..200).map(|n| {
        let server = server.clone();
        tokio::spawn(async move { (n, run(&server, &format!("echo {n}")).await) })
    });
    for step in steps.collect::<Vec<_>>() {
        let (n, output) = step.await.unwrap();
        assert_eq!(output.unwrap().stdout, format!("{n}\n"));
    }
    assert_eq!(sshd.logins(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_allows_fewer_sessions_gets_fewer() {
    skip_without_sshd!();
    let sshd = Sshd::with("MaxSessions 3");
    let server = sshd.connect().await;
    let steps = (0..20).map(|n| {
        let server = server.clone();
        tokio::spawn(async move { (n, run(&server, &format!("sleep 0.05; echo {n}")).await) })
    });
    for step in steps.collect::<Vec<_>>() {
        let (n, output) = step.await.unwrap();
        assert_eq!(output.unwrap().stdout, format!("{n}\n"));
    }
    assert_eq!(sshd.logins(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_channel_is_no_part_of_a_steps_own_time() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let options = Options { channels: 1, ..sshd.options() };
    let server = network(sshd.ssh(), options).connect("127.0.0.1").await.unwrap();
    let limit = Limit { time: Duration::from_secs(4), setting: "command" };
    let nap = step("sleep 2; echo done");
    let naps = (0..3).map(|_| server.run(&nap, Some(limit), &|_| {}));
    for output in futures_util::future::join_all(naps).await {
        assert_eq!(output.unwrap().stdout, "done\n");
    }
    let endless = server.run(&step("exec sleep 60"), Some(limit), &|_| {}).await;
    assert_eq!(endless, Err(ServerError::Deadline { limit: limit.time, setting: "command" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_stay_leave_room_for_steps_however_few_sessions_there_are() {
    skip_without_sshd!();
    for (sessions, programs, logins) in [(1, 1, 2), (2, 2, 2), (10, 9, 2)] {
        let sshd = Sshd::with(&format!("MaxSessions {sessions}"));
        let server = sshd.connect().await;
        let stay = step("echo up; exec cat");
        let mut kept = Vec::new();
        for _ in 0..programs {
            let mut program = server.open(&stay, SOON, Reader::Prompt).await.unwrap();
            assert_eq!(program.next_line().await.unwrap().as_deref(), Some("up"));
            kept.push(program);
        }
        let ran = tokio::time::timeout(Duration::from_secs(30), run(&server, "echo fine")).await;
        assert_eq!(ran.map(|ran| ran.unwrap().stdout), Ok("fine\n".into()), "MaxSessions {sessions}");
        assert_eq!(sshd.logins(), logins, "MaxSessions {sessions}");
    }
}

#[tokio::test]
async fn a_server_that_allows_no_session_says_so() {
    skip_without_sshd!();
    let sshd = Sshd::with("MaxSessions 0");
    let server = sshd.connect().await;
    let Err(ServerError::Unreachable { hint, .. }) = run(&server, "true").await else { panic!("ran") };
    assert!(hint.unwrap().contains("MaxSessions"));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_has_bounds() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let output = run(&server, "head -c 16000000 /dev/zero | tr '\\0' x").await.unwrap();
    assert_eq!(output.stdout.len(), 16_000_000);
    let error = run(&server, "head -c 20000000 /dev/zero | tr '\\0' x").await.unwrap_err();
    assert_eq!(error, ServerError::TooMuchOutput { limit: 16 * 1024 * 1024 });
    let longest = AtomicUsize::new(0);
    let note = |line: Line<'_>| {
        let (Line::Out(text) | Line::Err(text)) = line;
        longest.fetch_max(text.len(), Ordering::Relaxed);
    };
    let script = step("head -c 6000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo last >&2");
    let output = server.run(&script, None, &note).await.unwrap();
    assert_eq!(longest.load(Ordering::Relaxed), 8192);
    assert!(output.stderr.ends_with("last\n") && output.stderr.len() <= 65536);
}

#[tokio::test]
async fn a_dropped_step_closes_its_channel_and_leaves_room() {
    skip_without_sshd!();
    let sshd = Sshd::with("MaxSessions 10");
    let server = sshd.connect().await;
    let flag = sshd.path("flag").display().to_string();
    // `cat` ends when the channel closes.
    let mut channel =
        server.open(&step(&format!("echo up; cat; touch {flag}")), SOON, Reader::Prompt).await.unwrap();
    assert_eq!(channel.next_line().await.unwrap().as_deref(), Some("up"));
    drop(channel);
    let until = Instant::now() + Duration::from_secs(5);
    while !std::path::Path::new(&flag).exists() {
        assert!(Instant::now() < until, "the channel stayed open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Programs that outlive their channel keep their sshd session, and thirty are too many for one connection.
    for _ in 0..30 {
        let cut = tokio::time::timeout(Duration::from_millis(60), run(&server, "exec sleep 20")).await;
        assert!(cut.is_err());
    }
    assert_eq!(run(&server, "echo fine").await.unwrap().stdout, "fine\n");
    assert!(sshd.logins() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_dropped_while_their_channel_opens_leave_nothing_open() {
    skip_without_sshd!();
    let sshd = Sshd::with("MaxSessions 10");
    let wire = Wire::to(sshd.port, Duration::from_millis(20));
    let ssh = bowline_config::ssh::Ssh { port: wire.port, ..sshd.ssh() };
    let server = network(ssh, sshd.options()).connect("127.0.0.1").await.unwrap();
    let nothing = step("true");
    for _ in 0..10 {
        let many = (0..8).map(|_| server.run(&nothing, None, &|_| {}));
        let cut = tokio::time::timeout(Duration::from_millis(5), futures_util::future::join_all(many)).await;
        assert!(cut.is_err());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(run(&server, "echo fine").await.unwrap().stdout, "fine\n");
}

#[tokio::test]
async fn a_kept_program_is_talked_to() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let mut channel = server
        .open(&step("while read -r word; do echo \"got $word\"; done"), SOON, Reader::Prompt)
        .await
        .unwrap();
    for word in ["one", "two"] {
        channel.send_line(word).await.unwrap();
        assert_eq!(channel.next_line().await.unwrap(), Some(format!("got {word}")));
    }
    let mut short = server.open(&step("echo only"), SOON, Reader::Prompt).await.unwrap();
    assert_eq!(short.next_line().await.unwrap().as_deref(), Some("only"));
    assert_eq!(short.next_line().await.unwrap(), None);
    assert!(matches!(short.send_line("x").await, Err(ServerError::Lost { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_program_that_ended_is_told_from_one_that_was_lost() {
    skip_without_sshd!();
    let mut sshd = Sshd::start();
    let server = sshd.connect().await;
    for end in ["exit 3", "kill -9 $$"] {
        let mut channel =
            server.open(&step(&format!("printf half; {end}")), SOON, Reader::Prompt).await.unwrap();
        assert_eq!(channel.next_line().await.unwrap().as_deref(), Some("half"));
        assert_eq!(channel.next_line().await, Ok(None));
        assert_eq!(channel.next_line().await, Ok(None));
    }
    let mut channel =
        server.open(&step("echo up; printf half; sleep 30"), SOON, Reader::Prompt).await.unwrap();
    assert_eq!(channel.next_line().await.unwrap().as_deref(), Some("up"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    sshd.kill();
    // Not even the half line, as its end is unknown.
    for _ in 0..2 {
        let lost = channel.next_line().await;
        assert!(matches!(lost, Err(ServerError::Lost { .. })), "{lost:?}");
    }
}

#[tokio::test]
async fn a_program_that_nobody_reads_does_not_stop_the_others() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let mut noisy = server.open(&step("yes | head -n 2000000; sleep 9"), SOON, Reader::Prompt).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    assert_eq!(run(&server, "echo fine").await.unwrap().stdout, "fine\n");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(matches!(noisy.next_line().await, Err(ServerError::TooMuchOutput { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_pauses_gets_every_line() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    // More than all buffers on the way can hold.
    let script = step("line=$(head -c 999 /dev/zero | tr '\\0' x); yes $line | head -n 30000; echo end");
    let mut log = server.open(&script, SOON, Reader::Pauses).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut lines = 0;
    loop {
        match log.next_line().await.unwrap().as_deref() {
            Some("end") => break,
            Some(line) => assert_eq!(line.len(), 999),
            None => panic!("ended after {lines} lines"),
        }
        lines += 1;
    }
    assert_eq!(lines, 30_000);
}

#[tokio::test]
async fn lines_that_come_in_a_burst_reach_whoever_reads_them() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let mut channel = server
        .open(&step("yes | head -n 300000; echo end; sleep 0.1; cat"), SOON, Reader::Prompt)
        .await
        .unwrap();
    let mut lines = 0;
    while let Some("y") = channel.next_line().await.unwrap().as_deref() {
        lines += 1;
    }
    assert_eq!(lines, 300_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_killed_in_mid_step_is_lost_and_then_replaced() {
    skip_without_sshd!();
    let mut sshd = Sshd::start();
    let network = sshd.network();
    let server = network.connect("127.0.0.1").await.unwrap();
    let running = {
        let server = server.clone();
        tokio::spawn(async move { run(&server, "sleep 30").await })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = Instant::now();
    sshd.kill();
    let error = running.await.unwrap().unwrap_err();
    assert!(matches!(error, ServerError::Lost { .. }), "{error:?}");
    assert!(before.elapsed() < Duration::from_secs(5));
    let error = run(&server, "true").await.unwrap_err();
    assert!(error.to_string().contains("refused the connection"), "{error}");
    sshd.boot();
    assert_eq!(run(&server, "echo back").await.unwrap().stdout, "back\n");
    let again = network.connect("127.0.0.1").await.unwrap();
    assert_eq!(run(&again, "echo again").await.unwrap().stdout, "again\n");
    assert_eq!(sshd.logins(), 1);
}

#[tokio::test]
async fn a_page_from_an_address_only_the_server_reaches() {
    skip_without_sshd!();
    let address = http(|path| match path {
        "/api?x=1" => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        "/chunks" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".to_vec()
        }
        "/close" => b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\ngone".to_vec(),
        "/big" => [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 5_000_000]].concat(),
        "/slow" => {
            std::thread::sleep(Duration::from_secs(3));
            Vec::new()
        }
        _ => b"not http at all".to_vec(),
    });
    let sshd = Sshd::start();
    let timeouts = Timeouts { api: Duration::from_secs(1), ..Timeouts::default() };
    let network = network(sshd.ssh(), Options { timeouts, ..sshd.options() });
    let server = network.connect("127.0.0.1").await.unwrap();
    let get = |path: &'static str| server.http_get(address, path);
    assert_eq!(get("/api?x=1").await, Ok((200, "hello".into())));
    assert_eq!(get("/chunks").await, Ok((200, "abcde".into())));
    assert_eq!(get("/close").await, Ok((404, "gone".into())));
    assert_eq!(get("/big").await, Err(ServerError::TooMuchOutput { limit: 4 * 1024 * 1024 }));
    assert!(matches!(get("/nonsense").await, Err(ServerError::Unreachable { .. })));
    assert_eq!(
        get("/slow").await,
        Err(ServerError::Deadline { limit: Duration::from_secs(1), setting: "api" })
    );
    let closed = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let error = server.http_get(closed, "/").await.unwrap_err();
    assert!(error.to_string().contains("nothing listens"), "{error}");
    assert!(run(&server, "true").await.unwrap().success());
}

#[tokio::test]
async fn forwarding_that_is_refused_says_so() {
    skip_without_sshd!();
    let sshd = Sshd::with("AllowTcpForwarding no");
    let server = sshd.connect().await;
    let address = http(|_| Vec::new());
    let Err(ServerError::NotForwarded { reason }) = server.http_get(address, "/").await else {
        panic!("forwarded")
    };
    assert!(reason.contains("does not forward connections to"), "{reason}");
}
