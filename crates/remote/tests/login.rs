//! Login shells and start-up files that get in the way of a step. sshd's `ForceCommand` simulates them.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bowline_config::Timeouts;
use bowline_engine::ports::{FarOutput, Line, Network, Piece, Reader, Server, ServerError, Size, Terminal};
use common::*;

/// A server whose login shell runs this first.
fn login(what: &str) -> Sshd {
    Sshd::with(&format!("ForceCommand {what}"))
}

const CHATTER: &str = "printf 'Welcome\\nno line end'; echo oops >&2; exec sh -c \"$SSH_ORIGINAL_COMMAND\"";

async fn whole(mut output: Box<dyn FarOutput>) -> (String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let ControlFlow::Continue(piece) = output.next().await.unwrap() {
        match piece {
            Piece::Out(bytes) => out.extend(bytes),
            Piece::Err(bytes) => err.extend(bytes),
        }
    }
    (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

#[tokio::test]
async fn what_start_up_files_print_is_no_output_of_any_step() {
    skip_without_sshd!();
    let sshd = login(CHATTER);
    let server = sshd.connect().await;
    let seen = Mutex::new(Vec::new());
    let note = |line: Line<'_>| {
        let (Line::Out(text) | Line::Err(text)) = line;
        seen.lock().unwrap().push(text.to_owned());
    };
    let output = server.run(&step_with("cat; echo err >&2", "in"), None, &note).await.unwrap();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("in", "err\n"));
    let mut seen = seen.into_inner().unwrap();
    seen.sort();
    assert_eq!(seen, ["err", "in"]);

    let attached = server.attach(&step("printf '\\001out'; echo err >&2"), None, SOON).await.unwrap();
    assert_eq!(whole(attached.output).await, ("\u{1}out".into(), "err\n".into()));
    let terminal = Terminal { kind: "xterm".into(), size: Size { columns: 80, rows: 24, ..Size::default() } };
    let attached = server.attach(&step("printf out"), Some(&terminal), SOON).await.unwrap();
    assert_eq!(whole(attached.output).await, ("out".into(), String::new()));

    let mut kept =
        server.open(&step("echo first; read -r line; echo \"$line\""), SOON, Reader::Prompt).await.unwrap();
    assert_eq!(kept.next_line().await.unwrap().as_deref(), Some("first"));
    kept.send_line("second").await.unwrap();
    assert_eq!(kept.next_line().await.unwrap().as_deref(), Some("second"));
    assert_eq!(kept.next_line().await.unwrap(), None);
}

fn never<T>(ended: Result<T, ServerError>) -> (String, String) {
    match ended {
        Err(ServerError::Unreachable { reason, hint }) => (reason, hint.unwrap_or_default()),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it ran"),
    }
}

#[tokio::test]
async fn a_login_shell_that_runs_nothing_is_named_as_such() {
    skip_without_sshd!();
    let sshd = login("echo Hello; echo 'This account is currently not available.'; exit 1");
    let server = sshd.connect().await;
    let (reason, hint) = never(run(&server, "echo x").await);
    assert!(reason.contains("login shell ended") && reason.contains("currently not available"), "{reason}");
    assert!(hint.contains("chsh -s /bin/sh") && hint.contains("ssh: user:"), "{hint}");
    never(server.open(&step("echo x"), SOON, Reader::Prompt).await);
    never(server.attach(&step("echo x"), None, SOON).await.unwrap().output.next().await);
}

#[tokio::test]
async fn a_shell_that_another_takes_the_place_of_is_named_and_reads_no_secret() {
    skip_without_sshd!();
    // Like `exec zsh` in .bashrc: the new shell reads commands where the step should read its input.
    let sshd = login("cd \"$HOME\"; exec sh");
    let server = sshd.connect().await;
    let (reason, hint) = never(run(&server, "echo x").await);
    assert!(reason.contains("login shell ended without running"), "{reason}");
    assert!(hint.contains("exec zsh"), "{hint}");

    let mut options = sshd.options();
    options.timeouts = Timeouts { silence: Duration::from_secs(1), ..options.timeouts };
    let server: Arc<dyn Server> = network(sshd.ssh(), options).connect("127.0.0.1").await.unwrap();
    let (reason, _) = never(server.run(&step_with("cat", "touch told; echo hunter2\n"), None, &|_| {}).await);
    assert!(reason.contains("has been running for 1 s") && !reason.contains("hunter2"), "{reason}");
    assert!(!sshd.path("told").exists(), "the secret was run as a command");
    never(server.open(&step("echo x"), SOON, Reader::Prompt).await);
}
