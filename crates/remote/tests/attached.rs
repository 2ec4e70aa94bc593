//! Streamed steps on a real sshd: terminals, pipes, slow readers, broken connections.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use bowline_engine::ports::{Attached, Exit, FarOutput, Piece, ServerError, Size, Terminal};
use common::*;

fn terminal(columns: u32, rows: u32) -> Terminal {
    Terminal { kind: "xterm-256color".into(), size: Size { columns, rows, ..Size::default() } }
}

async fn whole(output: &mut dyn FarOutput) -> (String, String, Exit) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    loop {
        match output.next().await.unwrap() {
            ControlFlow::Continue(Piece::Out(bytes)) => out.extend(bytes),
            ControlFlow::Continue(Piece::Err(bytes)) => err.extend(bytes),
            ControlFlow::Break(exit) => {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                return (text(&out), text(&err), exit);
            }
        }
    }
}

async fn until(output: &mut dyn FarOutput, text: &str) {
    let mut seen = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&seen).contains(text) {
            match output.next().await.unwrap() {
                ControlFlow::Continue(Piece::Out(bytes) | Piece::Err(bytes)) => seen.extend(bytes),
                ControlFlow::Break(exit) => panic!("{exit:?}"),
            }
        }
    };
    let read = tokio::time::timeout(Duration::from_secs(10), reading).await;
    assert!(read.is_ok(), "no {text:?} in {:?}", String::from_utf8_lossy(&seen));
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_our_type_and_size_and_follows_it() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let script = step(
        "trap 'stty size; exit 7' WINCH; trap 'echo interrupted' INT; echo $TERM; stty size; tty; echo ready
         while :; do sleep 0.1; done",
    );
    let Attached { mut output, input } = server.attach(&script, Some(&terminal(97, 31)), SOON).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("ready") {
        let ControlFlow::Continue(Piece::Out(bytes)) = output.next().await.unwrap() else { panic!("{seen}") };
        seen.push_str(&String::from_utf8_lossy(&bytes));
    }
    assert!(seen.starts_with("xterm-256color\r\n31 97\r\n/dev/pts/"), "{seen}");
    // Ctrl-C on the terminal becomes a signal.
    input.send(b"\x03".to_vec()).await;
    until(&mut *output, "interrupted").await;
    input.resize(Size { columns: 50, rows: 20, ..Size::default() }).await;
    let (out, _, exit) = whole(&mut *output).await;
    assert!(out.contains("20 50\r\n"), "{out}");
    assert_eq!(exit, Exit::Status(7));
}

#[tokio::test]
async fn without_a_terminal_bytes_pass_unchanged_and_input_ends() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let attached = server.attach(&step("tty; cat; echo end >&2; kill -TERM $$"), None, SOON).await.unwrap();
    let Attached { mut output, input } = attached;
    let bytes: Vec<u8> = (0..=255).cycle().take(5_000_000).collect();
    let sending = async {
        for piece in bytes.chunks(100_000) {
            input.send(piece.to_vec()).await;
        }
        input.end().await;
    };
    let mut heard = Vec::new();
    let mut err = Vec::new();
    let receiving = async {
        loop {
            match output.next().await.unwrap() {
                ControlFlow::Continue(Piece::Out(bytes)) => heard.extend(bytes),
                ControlFlow::Continue(Piece::Err(bytes)) => err.extend(bytes),
                ControlFlow::Break(exit) => return exit,
            }
        }
    };
    let ((), exit) = tokio::join!(sending, receiving);
    assert_eq!((exit, err.as_slice()), (Exit::Signal("TERM".into()), &b"end\n"[..]));
    let echoed = heard.strip_prefix(b"not a tty\n").unwrap();
    assert!(echoed == bytes, "{} bytes came back of {}", echoed.len(), bytes.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_held_up_by_a_slow_reader_and_let_go_by_one_that_leaves() {
    skip_without_sshd!();
    let sshd = Sshd::start();
    let server = sshd.connect().await;
    let (log, gone) = (sshd.path("written"), sshd.path("gone"));
    // A copy of the output shows from outside how much was written.
    let script = step(&format!(
        "yes 0123456789abcde | head -c 400000000 | tee {} ; echo $? > {}",
        log.display(),
        gone.display()
    ));
    let Attached { mut output, input } = server.attach(&script, None, SOON).await.unwrap();
    assert!(matches!(output.next().await.unwrap(), ControlFlow::Continue(Piece::Out(_))));
    let settled = || {
        let before = size_of(&log);
        std::thread::sleep(Duration::from_millis(300));
        before > 0 && size_of(&log) == before
    };
    wait_for("the program stands still", settled);
    let held = size_of(&log);
    assert!(held < 40_000_000, "{held} bytes are under way");
    // It continues as the output is read.
    for _ in 0..held / 16_000 {
        let _ = output.next().await.unwrap();
    }
    wait_for("the program goes on", || size_of(&log) > held);
    drop((output, input));
    wait_for("the program ends", || gone.exists());
    assert!(size_of(&log) < 400_000_000);
    assert!(run(&server, "true").await.unwrap().success(), "the connection is as good as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_and_a_refused_terminal_are_told() {
    skip_without_sshd!();
    let mut sshd = Sshd::with("PermitTTY no");
    let server = sshd.connect().await;
    match server.attach(&step("true"), Some(&terminal(80, 24)), SOON).await {
        Err(ServerError::Unreachable { reason, hint }) => {
            assert!(reason.contains("refused a terminal"), "{reason}");
            assert!(hint.unwrap().contains("PermitTTY"));
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("a terminal"),
    }
    let Attached { mut output, input } =
        server.attach(&step("echo here; sleep 60"), None, SOON).await.unwrap();
    until(&mut *output, "here").await;
    sshd.kill();
    assert!(matches!(output.next().await, Err(ServerError::Lost { .. })));
    input.send(b"to nobody".to_vec()).await;
}
