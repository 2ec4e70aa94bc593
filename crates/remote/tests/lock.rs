//! The deploy lock over real connections: two runs want it at the same instant, again and again.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bowline_core::commands::{Scope, lock};
use bowline_core::names::Names;
use bowline_core::observed::base64_text;
use bowline_core::plan::step::Step;
use bowline_engine::ports::{Channel, Reader, Server};
use common::*;

const ROUNDS: usize = 100;

type Opened = (String, Box<dyn Channel>);

/// Requests the lock, and returns the first line of its keeper.
async fn take(server: Arc<dyn Server>, run: String) -> Opened {
    let names = Names::new("app", None);
    let details = lock::details(&run, "now", "v1", "a deploy");
    let scope = Scope { names, run, performer: "me".into() };
    let mut channel =
        server.open(&Step::Lock(lock::Keep { scope, details }), SOON, Reader::Prompt).await.unwrap();
    let line = channel.next_line().await.unwrap().unwrap();
    (line, channel)
}

async fn released(channel: &mut Box<dyn Channel>) {
    channel.send_line("release").await.unwrap();
    assert_eq!(channel.next_line().await.unwrap().as_deref(), Some("@released"));
}

/// Waits until a keeper whose connection ended marks its lock as orphaned.
async fn orphaned(home: &Path) {
    for _ in 0..200 {
        if home.join(".kamal/lock-app/orphaned").exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody marked the lock");
}

/// In every round exactly one run gets the lock, from a free one or from a dead run. The other learns who holds it.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_the_same_instant_a_hundred_times_exactly_one_gets_it() {
    skip_without_sshd!();
    let home = tempfile::tempdir().unwrap();
    let there = home.path().display();
    let sshd = Sshd::with(&format!("ForceCommand cd {there} && exec sh -c \"$SSH_ORIGINAL_COMMAND\""));
    let servers = [sshd.connect().await, sshd.connect().await];
    let mut expected = "@locked";
    for round in 0..ROUNDS {
        let runs = [0, 1].map(|who| format!("{round:016}{who:016}"));
        let contenders = [0, 1].map(|who| tokio::spawn(take(servers[who].clone(), runs[who].clone())));
        let [one, two] = contenders;
        let mut opened = [one.await.unwrap(), two.await.unwrap()];
        let word = |opened: &Opened| opened.0.split(' ').next().unwrap_or_default().to_owned();
        let words = [word(&opened[0]), word(&opened[1])];
        let winner = words.iter().position(|word| word == expected).unwrap_or_else(|| panic!("{words:?}"));
        assert_eq!(words[1 - winner], "@held", "round {round}");
        let told = base64_text(opened[1 - winner].0.split_once(' ').unwrap().1);
        assert!(told.contains(&runs[winner]), "round {round}: the loser learns who has it, not {told:?}");
        if round % 2 == 0 {
            released(&mut opened[winner].1).await;
            expected = "@locked";
        } else {
            drop(opened);
            orphaned(home.path()).await;
            expected = "@taken";
        }
    }
}
