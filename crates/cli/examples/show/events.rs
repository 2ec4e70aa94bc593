//! The events of a made-up run, to look at the views and to test them.

use std::sync::Arc;
use std::time::Duration;

use bowline_config::HookLevel;
use bowline_config::{BarrierOrder, OnFailure};
use bowline_core::commands::{Scope, app};
use bowline_core::names::Names;
use bowline_core::plan::{BarrierPlan, Plan, RolePlan, ServerPlan};
use bowline_core::proxy::Attach;
use bowline_core::request::DeployKind;
use bowline_engine::error::{Cause, Failure, NotReady, RunError};
use bowline_engine::event::{Event, Outcome, Phase};
use bowline_engine::ports::ServerError;

const VERSION: &str = "1f3a9c2";

/// Milliseconds since the previous event, and the event.
pub(crate) type Timed = (u64, Event);

/// A plan for this many servers. The last quarter of them has the role `worker`.
pub(crate) fn plan(servers: usize) -> Plan {
    Plan {
        kind: DeployKind::Deploy,
        app: "shop".into(),
        version: VERSION.into(),
        image: format!("registry.example.com/shop:{VERSION}"),
        servers: (0..servers).map(|number| server(number, servers)).collect(),
        parallel_roles: true,
        on_failure: OnFailure::Keep,
        groups: vec![(0..servers).collect()],
        group_wait: 0,
        barrier: BarrierPlan { opened_by: Some("web".into()), order: BarrierOrder::AfterBoot },
    }
}

fn server(number: usize, servers: usize) -> ServerPlan {
    let scope = Scope { names: Names::new("shop", None), run: "0".repeat(32), performer: "anna".into() };
    let (host, role) = (host(number), role(number, servers));
    let image = format!("registry.example.com/shop:{VERSION}");
    let boot = app::Boot {
        ready: bowline_core::commands::ready::Ready::Healthy,
        scope: scope.clone(),
        role: role.into(),
        version: VERSION.into(),
        image: image.clone(),
        environment: app::Environment {
            host: host.clone(),
            clear: Vec::new(),
            secret: Default::default(),
            volumes: Vec::new(),
            options: Vec::new(),
            logging: Default::default(),
        },
        labels: Vec::new(),
        made: Default::default(),
        cmd: None,
        health: None,
        cord: None,
        assets: None,
        timeout: 30,
        readiness_delay: 7,
    };
    ServerPlan {
        host,
        delivery: None,
        network: None,
        proxies: Vec::new(),
        assets: Vec::new(),
        roles: vec![RolePlan {
            role: role.into(),
            attach: Attach::None,
            boot,
            kept: None,
            retire: Vec::new(),
            stop_wait: None,
            back: None,
        }],
        tag_back: None,
        tagged: false,
        tag: app::Tag {
            scope,
            image,
            latest: "shop:latest".into(),
            version: VERSION.into(),
            kind: None,
            serving: Vec::new(),
        },
        prune: None,
        notes: Vec::new(),
    }
}

fn host(number: usize) -> String {
    format!("10.0.{}.{}", number / 250, number % 250 + 1)
}

fn role(number: usize, servers: usize) -> &'static str {
    if number * 4 >= servers * 3 || (number > 0 && number + 1 == servers) { "worker" } else { "web" }
}

fn start(number: usize, role: Option<&str>, what: &str) -> Event {
    Event::StepStarted {
        host: host(number),
        role: role.map(Into::into),
        what: what.into(),
        command: format!("docker run --detach \\\n  --env TOKEN=[REDACTED] shop:{VERSION} # {what}\n"),
    }
}

fn end(number: usize, role: Option<&str>, what: &str, millis: u64, good: bool) -> Event {
    Event::StepEnded {
        host: host(number),
        role: role.map(Into::into),
        what: what.into(),
        elapsed: Duration::from_millis(millis),
        outcome: if good { Outcome::Done } else { Outcome::Failed },
    }
}

/// A run on this many servers. If it is `broken`, the image never gets healthy.
pub(crate) fn run(servers: usize, broken: bool) -> Vec<Timed> {
    let mut events = preparation(servers);
    let boot = format!("boot shop-web-{VERSION}");
    let pull = format!("pull shop:{VERSION}");
    events.push((20, Event::Phase(Phase::Pull)));
    events.extend((0..servers).map(|number| (3, start(number, None, &pull))));
    events.extend((0..servers).map(|number| (900 / servers as u64, end(number, None, &pull, 900, true))));
    events.push((20, Event::Phase(Phase::Boot(1, 1))));
    for number in 0..servers {
        events.push((5, start(number, Some(role(number, servers)), &boot)));
        events.push((5, state(number, servers, "starting")));
    }
    events.push((
        200,
        Event::Output {
            host: Some(host(0)),
            role: None,
            line: "\u{1b}[2J\u{1b}[31mlistening\u{1b}[0m on 3000\u{7}".into(),
        },
    ));
    if broken {
        events.extend(broken_end(servers, &boot));
    } else {
        events.extend(good_end(servers, &boot));
    }
    let commands = (0..servers).map(|number| (host(number), if number == 0 { 11 } else { 9 })).collect();
    events.push((300, Event::Phase(Phase::Unlock)));
    events.push((100, Event::Finished { elapsed: Duration::from_millis(5123), commands }));
    events
}

fn preparation(servers: usize) -> Vec<Timed> {
    let hooked = |line: &str| Event::Hook {
        name: "pre-connect".into(),
        line: line.into(),
        level: Some(HookLevel::Verbose),
    };
    let local = |line: &str| Event::Output { host: None, role: None, line: line.into() };
    let mut events = vec![
        (0, Event::Phase(Phase::Hook { name: "pre-connect".into(), quiet: false })),
        (100, hooked("the network is up")),
        (100, Event::Phase(Phase::Connect(servers))),
    ];
    events.extend((0..servers).map(|number| (400 / servers as u64, Event::Connected { host: host(number) })));
    events.extend([
        (100, Event::Phase(Phase::Build(VERSION.into()))),
        (200, local("#7 [3/5] RUN cargo build --release")),
        (700, local("#9 pushing layers\t3.1 MB")),
        (300, Event::Phase(Phase::Lock(host(0)))),
        (100, Event::Phase(Phase::Observe(servers))),
        (100, Event::Planned(Arc::new(plan(servers)))),
        (
            0,
            Event::Note {
                host: Some(host(1)),
                text: "Docker 24 checks health only every 1 s at the start".into(),
            },
        ),
    ]);
    events
}

fn state(number: usize, servers: usize, state: &str) -> Event {
    Event::State { host: host(number), role: role(number, servers).into(), state: state.into() }
}

fn good_end(servers: usize, boot: &str) -> Vec<Timed> {
    let mut events = vec![(300, state(servers - 1, servers, "waiting at the barrier"))];
    events.push((200, Event::BarrierOpened { host: host(0), role: "web".into() }));
    for number in 0..servers {
        let role = role(number, servers);
        events.push((1500 / servers as u64, state(number, servers, "healthy")));
        events.push((10, end(number, Some(role), boot, 1240, true)));
        events.push((10, start(number, Some(role), "stop shop-web-0e11d24")));
    }
    for number in 0..servers {
        let role = role(number, servers);
        events.push((1500 / servers as u64, end(number, Some(role), "stop shop-web-0e11d24", 800, true)));
        events.push((5, Event::RoleDone { host: host(number), role: role.into(), version: VERSION.into() }));
        events.push((0, start(number, None, "tag shop:latest")));
    }
    events.extend(
        (0..servers).map(|number| (300 / servers as u64, end(number, None, "tag shop:latest", 300, true))),
    );
    events
}

fn broken_end(servers: usize, boot: &str) -> Vec<Timed> {
    let mut events = Vec::new();
    for failure in failures(servers) {
        let number = (0..servers).find(|number| host(*number) == failure.host).unwrap_or_default();
        if matches!(failure.cause, Cause::Halted(_)) {
            events.push((200, Event::BarrierClosed { role: "web".into() }));
        }
        events.push((700, end(number, failure.role.as_deref(), boot, 2100, false)));
        events.push((10, Event::Failed(failure)));
    }
    events
}

fn failures(servers: usize) -> Vec<Failure> {
    let failure = |number, cause| Failure {
        host: host(number),
        role: Some(role(number, servers).into()),
        doing: format!("boot shop-{}-{VERSION}", role(number, servers)),
        cause,
    };
    let not_ready = NotReady {
        refused: false,
        container: format!("shop-web-{VERSION}"),
        summary: "the container was still unhealthy after 30 s".into(),
        hint: Some("the health check asks for `/up` on port 3000; does the app answer there?".into()),
        log: vec![
            "booting".into(),
            "\u{1b}[1;31mFATAL\u{1b}[0m no database\u{1b}]0;owned\u{7}".into(),
            "\u{202e}".into(),
        ],
        health: vec![(1, "curl: (7) Failed to connect\nto localhost port 3000".into()), (-1, String::new())],
    };
    vec![
        failure(servers - 1, Cause::Halted("web".into())),
        failure(0, Cause::NotReady(Box::new(not_ready))),
        failure(1, Cause::Server(ServerError::Lost { reason: "no answer for 30 s".into() })),
    ]
}

pub(crate) fn error(servers: usize) -> RunError {
    let mut failures = failures(servers);
    failures.push(Failure {
        host: "10.0.0.99".into(),
        role: None,
        doing: "connect".into(),
        cause: Cause::Server(ServerError::Unreachable {
            reason: "10.0.0.99 port 22: connection refused".into(),
            hint: Some("does sshd run there?\u{1b}[2J".into()),
        }),
    });
    let standing =
        (0..servers).map(|number| format!("{} {}: version 0e11d24", host(number), role(number, servers)));
    RunError::Servers { failures, total: servers + 1, standing: standing.collect() }
}
