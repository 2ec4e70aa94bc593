//! A made-up run in every view that is text. Also checks that text from a server can't control a terminal.

#[path = "../examples/show/events.rs"]
mod events;

use std::time::Duration;

use bowline_cli::exit::Ended;
use bowline_cli::settings::Verbosity;
use bowline_cli::ui::frame::Frame;
use bowline_cli::ui::paint::Paint;
use bowline_cli::ui::plain::Plain;
use bowline_cli::ui::results::{Heading, Shown, lines};
use bowline_cli::ui::{Focus, Tally, json, report, words};
use bowline_config::HookLevel;
use bowline_core::plan::Plan;
use bowline_engine::error::{Cause, Failure, RunError};
use bowline_engine::event::{Event, Outcome, Phase};
use bowline_engine::ports::{Exit, Output, ServerError};
use bowline_engine::world::HostOutput;

const BARE: Paint = Paint(false);

fn plain(verbosity: Verbosity, focus: Focus, broken: bool) -> String {
    let plain = Plain { paint: BARE, verbosity, focus };
    let lines: Vec<String> =
        events::run(3, broken).iter().flat_map(|(_, event)| plain.lines(event)).collect();
    lines.join("\n")
}

fn json_lines(broken: bool) -> String {
    let lines: Vec<String> =
        events::run(3, broken).iter().map(|(_, event)| json::event(event).to_string()).collect();
    lines.join("\n")
}

/// The permanent lines, and the picture after every `every` events.
fn live(servers: usize, broken: bool, every: usize) -> String {
    let (mut frame, mut now, mut shown) = (Frame::new(Focus::Progress, BARE), Duration::ZERO, Vec::new());
    for (number, (after, event)) in events::run(servers, broken).iter().enumerate() {
        now += Duration::from_millis(*after);
        shown.extend(frame.apply(event, now));
        if number % every == every - 1 {
            shown.extend(frame.draw(now, 24).into_iter().map(|line| format!("          {line}")));
        }
    }
    shown.extend(frame.end(now, !broken));
    shown.join("\n")
}

fn failure(error: RunError) -> String {
    report::failure(&Ended::Run(error), "bowline lock release -d staging", BARE).join("\n")
}

#[test]
fn a_run_in_plain_lines() {
    insta::assert_snapshot!("plain", plain(Verbosity::Normal, Focus::Progress, false));
    insta::assert_snapshot!("plain_verbose", plain(Verbosity::Verbose, Focus::Progress, false));
    insta::assert_snapshot!("plain_broken", plain(Verbosity::Normal, Focus::Progress, true));
    insta::assert_snapshot!("plain_query", plain(Verbosity::Normal, Focus::Result, false));
    assert_eq!(plain(Verbosity::Quiet, Focus::Progress, true), "");
}

#[test]
fn a_run_in_json() {
    insta::assert_snapshot!("json", json_lines(false));
    insta::assert_snapshot!("json_broken", json_lines(true));
    let error = Ended::Run(events::error(3));
    insta::assert_snapshot!("json_ended", json::ended(Err(&error)).to_string());
}

#[test]
fn a_run_in_the_live_view() {
    insta::assert_snapshot!("live", live(3, false, 4));
    insta::assert_snapshot!("live_broken", live(3, true, 6));
    insta::assert_snapshot!("live_300", live(300, false, 470));
}

/// The events for an image sent to three servers: one connection is lost, one server has most of the image already.
fn sending() -> Vec<(u64, Event)> {
    let hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    let what = || "send shop:v2".to_owned();
    let began = |host: &str| Event::StepStarted {
        host: host.into(),
        role: None,
        what: what(),
        command: String::new(),
    };
    let ended = |host: &str, outcome| Event::StepEnded {
        host: host.into(),
        role: None,
        what: what(),
        elapsed: Duration::from_secs(25),
        outcome,
    };
    let far = |host: &str, seconds: u64, bytes| Event::Sending {
        host: host.into(),
        bytes,
        size: 212_400_000,
        per_second: 8_400_000,
        elapsed: Duration::from_secs(seconds),
    };
    let lost = Failure {
        host: hosts[1].into(),
        role: None,
        doing: what(),
        cause: Cause::Server(ServerError::Lost { reason: "the connection was closed".into() }),
    };
    let mut events = vec![(0, Event::Phase(Phase::Send(3)))];
    events.extend(hosts.map(|host| (10, began(host))));
    events.extend([
        (9000, far(hosts[0], 9, 75_600_000)),
        (1000, far(hosts[0], 10, 84_000_000)),
        (10, far(hosts[1], 10, 41_000)),
        (2000, ended(hosts[1], Outcome::Failed)),
        (10, Event::Failed(lost)),
        (3000, ended(hosts[2], Outcome::Done)),
        (5000, far(hosts[0], 20, 168_000_000)),
        (5000, ended(hosts[0], Outcome::Done)),
        (10, Event::Sent(vec![(hosts[0].into(), 212_400_000), (hosts[2].into(), 1_200_000)])),
    ]);
    events
}

#[test]
fn an_image_on_its_way_in_every_view() {
    let (mut frame, mut now, mut live) = (Frame::new(Focus::Progress, BARE), Duration::ZERO, Vec::new());
    let plain = Plain { paint: BARE, verbosity: Verbosity::Normal, focus: Focus::Progress };
    let (mut lines, mut objects) = (Vec::new(), Vec::new());
    for (after, event) in sending() {
        now += Duration::from_millis(after);
        live.extend(frame.apply(&event, now));
        live.extend(frame.draw(now, 24).into_iter().map(|line| format!("          {line}")));
        lines.extend(plain.lines(&event));
        objects.push(json::event(&event).to_string());
    }
    live.extend(frame.end(now, false));
    insta::assert_snapshot!("sending_live", live.join("\n"));
    insta::assert_snapshot!("sending_plain", lines.join("\n"));
    insta::assert_snapshot!("sending_json", objects.join("\n"));
}

#[test]
fn a_phase_that_was_interrupted_is_not_said_to_be_done() {
    let mut frame = Frame::new(Focus::Progress, BARE);
    let mut shown = frame.apply(&Event::Phase(Phase::Pull), Duration::ZERO);
    shown.extend(frame.apply(&Event::Interrupted, Duration::from_secs(1)));
    shown.extend(frame.apply(&Event::Phase(Phase::Unlock), Duration::from_secs(2)));
    shown.extend(frame.end(Duration::from_secs(3), false));
    assert_eq!(
        shown,
        [
            "stopping: undoing unfinished steps (interrupt again to quit immediately)",
            "■ Pulling the image: interrupted 2.0 s",
            "✗ Releasing the deploy lock 1.0 s",
        ]
    );
}

#[test]
fn a_step_that_was_cut_short_does_not_go_on_in_the_last_picture() {
    let mut frame = Frame::new(Focus::Progress, BARE);
    let step = |role: Option<&str>, what: &str| Event::StepStarted {
        host: "10.0.0.1".into(),
        role: role.map(Into::into),
        what: what.into(),
        command: String::new(),
    };
    let served = Event::RoleDone { host: "10.0.0.1".into(), role: "web".into(), version: "v1".into() };
    for event in [step(None, "take the deploy lock"), served, step(Some("worker"), "boot app-worker-v2")] {
        frame.apply(&event, Duration::ZERO);
    }
    assert_eq!(frame.end(Duration::from_secs(3), false), ["  ✓ 10.0.0.1 web  serves version v1"]);
}

#[test]
fn the_picture_never_fills_the_terminal() {
    let mut frame = Frame::new(Focus::Progress, BARE);
    for (_, event) in events::run(300, true) {
        frame.apply(&event, Duration::ZERO);
        for height in [1, 5, 10, 23, 24, 60] {
            let rows = frame.draw(Duration::ZERO, height).len();
            assert!(rows <= height.saturating_sub(2).max(1), "{rows} rows of {height}");
        }
    }
}

#[test]
fn servers_with_the_same_cause_are_told_together() {
    let refused = |number: usize| Failure {
        host: format!("10.0.0.{number}"),
        role: None,
        doing: "connect".into(),
        cause: Cause::Server(ServerError::Unreachable {
            reason: format!("10.0.0.{number} port 22: connection refused"),
            hint: Some("is sshd running there?".into()),
        }),
    };
    let mut failures: Vec<Failure> = (1..=84).rev().map(refused).collect();
    failures
        .push(Failure { cause: Cause::Server(ServerError::Lost { reason: "reset".into() }), ..refused(90) });
    let standing = (1..=90).map(|number| {
        let version = if number > 84 { "v2" } else { "v1" };
        format!("10.0.0.{number} (web): {version}")
    });
    let error = RunError::Servers {
        failures,
        total: 90,
        standing: standing.chain(["10.0.0.1 (job): v1".into()]).collect(),
    };
    insta::assert_snapshot!("report_alike", failure(error));
}

#[test]
fn a_plan_without_work() {
    let plan = Plan { servers: Vec::new(), groups: Vec::new(), ..events::plan(3) };
    assert_eq!(words::planned(&plan), "Plan: nothing to deploy for shop version 1f3a9c2");
    assert_eq!(words::summary(Some(&plan), None), "nothing to do for shop version 1f3a9c2");
    assert_eq!(
        words::planned(&events::plan(3)),
        "Plan: deploy shop version 1f3a9c2 on 3 servers (web, worker)"
    );
}

#[test]
fn reports() {
    insta::assert_snapshot!("report_servers", failure(events::error(3)));
    let details = "Locked by: anna at 2026-11-02T10:00:00Z\nVersion: 1f3a9c2\nMessage: \u{1b}[31mdeploy";
    let locked = RunError::Locked { host: "10.0.0.1".into(), details: details.into() };
    insta::assert_snapshot!("report_locked", failure(locked));
    let local = RunError::Local {
        what: "the build".into(),
        reason: "#9 ERROR: no such file\nexit status 1".into(),
        hint: Some("run `docker buildx ls`".into()),
        standing: Vec::new(),
    };
    insta::assert_snapshot!("report_local", failure(local));
    let usage = RunError::Usage { message: "no role matches x; the roles are: web".into(), hint: None };
    assert_eq!(failure(usage), "error: no role matches x; the roles are: web");
    let plan = Some(std::sync::Arc::new(events::plan(3)));
    let tally = Tally { plan, elapsed: Some(Duration::from_millis(5123)) };
    assert_eq!(report::success(&tally, BARE), "deployed shop version 1f3a9c2 to 3 servers in 5.1 s");
}

#[test]
fn results_stand_under_their_hosts() {
    let output = |host: &str, role: &str, stdout: &str, stderr: &str, exit| HostOutput {
        host: host.into(),
        role: Some(role.into()),
        output: Output { exit, stdout: stdout.into(), stderr: stderr.into() },
    };
    let outputs = [
        output("10.0.0.1", "web", "a\u{1b}[2J\nb\n", "", Exit::Status(0)),
        output("10.0.0.1", "worker", "", "oh\n", Exit::Status(3)),
    ];
    let out = |text: &str| Shown::Out(text.into());
    let err = |text: &str| Shown::Err(text.into());
    let with = [
        out("App Host: 10.0.0.1 (web)"),
        out("a\nb"),
        out(""),
        out("App Host: 10.0.0.1 (worker)"),
        err("oh"),
        err("10.0.0.1 (worker): exit code 3"),
        out(""),
    ];
    assert_eq!(lines(&outputs, Some(Heading::App)), with);
    assert_eq!(lines(&outputs[..1], Some(Heading::App))[0], out("App Host: 10.0.0.1"));
    assert_eq!(lines(&outputs[..1], None), [out("a\nb")]);
    let quiet = lines(&outputs, None);
    assert_eq!(quiet[0], out("10.0.0.1 (web): a\n10.0.0.1 (web): b"), "several servers are named");
    let of_accessory = lines(&outputs, Some(Heading::Accessory));
    assert_eq!(of_accessory[0], out("Accessory web Host: 10.0.0.1"));
}

#[test]
fn nothing_a_server_says_drives_the_terminal() {
    let evil = "\u{1b}[2J\u{1b}]0;x\u{7}\r\u{9b}1m\u{202e}";
    let mut shown =
        vec![live(3, true, 1), failure(events::error(3)), plain(Verbosity::Verbose, Focus::Progress, true)];
    let sent = [
        Event::Connected { host: evil.into() },
        Event::Output { host: Some(evil.into()), role: Some(evil.into()), line: evil.into() },
        Event::Hook { name: evil.into(), line: evil.into(), level: Some(HookLevel::Verbose) },
        Event::Output { host: None, role: None, line: evil.into() },
        Event::Program { command: evil.into() },
        Event::State { host: evil.into(), role: evil.into(), state: evil.into() },
        Event::Note { host: None, text: evil.into() },
        Event::RoleDone { host: evil.into(), role: evil.into(), version: evil.into() },
        Event::WentBack { host: evil.into(), role: evil.into(), version: evil.into() },
        Event::BarrierOpened { host: evil.into(), role: evil.into() },
        Event::BarrierClosed { role: evil.into() },
    ];
    let plain = Plain { paint: BARE, verbosity: Verbosity::Verbose, focus: Focus::Progress };
    let mut frame = Frame::new(Focus::Progress, BARE);
    for event in &sent {
        shown.extend(plain.lines(event));
        shown.extend(frame.apply(event, Duration::ZERO));
        shown.extend(frame.draw(Duration::ZERO, 24));
        shown.push(json::event(event).to_string());
    }
    for text in shown {
        let harmful = |char: char| (char.is_control() && !matches!(char, '\n' | '\t')) || char == '\u{202e}';
        assert!(!text.contains(harmful), "{text:?}");
    }
}
