//! Tests of the engine on simulated servers, with paused time: orders, races, deadlines, and the state after a kill or
//! an interrupt at every step.

mod accessory;
mod app;
mod assets;
mod barrier;
mod build;
mod changes;
mod deadlines;
mod doctor;
mod env;
mod exec;
mod failures;
mod finish;
mod garbled;
mod groups;
mod hooks;
mod images;
mod kamal_proxy;
mod keys;
mod killed;
mod lock;
mod logs;
mod panics;
mod registry;
mod resume;
mod routing;
mod server;
mod setup;
mod silence;
mod spontaneous;
mod takeover;
mod template;
mod traefik;
mod unbuilt;

use std::time::Duration;

use bowline_core::commands::prune::Parts;
use bowline_core::plan::change::{Deed, Intent, Removal, Turns};
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::life;
use bowline_core::request::{DeployKind, Page};
use tokio::time::timeout;

use crate::change::change;
use crate::deploy;
use crate::error::RunError;
use crate::event::Event;
use crate::project::Project;
use crate::testing::{Scripted, project};
use crate::world::Options;

const HOSTS: [&str; 3] = ["a", "b", "c"];

const CONFIG: &str = "service: app
image: app
servers:
  web: {hosts: [a, b]}
  workers: {hosts: [c], cmd: work}
asset_path: /assets
readiness_delay: 1
healthcheck: {cmd: 'true'}
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Traefik,
    Kamal,
    Nothing,
}

impl By {
    const ALL: [Self; 3] = [Self::Traefik, Self::Kamal, Self::Nothing];

    fn serves(self, config: &str) -> String {
        match self {
            Self::Traefik => config.into(),
            Self::Kamal => config
                .replace("healthcheck: {cmd: 'true'}", "proxy: {host: app.test}\nbuilder: {arch: amd64}"),
            Self::Nothing => config.replace("web: {hosts: [a, b]}", "web: {hosts: [a, b], traefik: false}"),
        }
    }
}

fn options(version: &str) -> Options {
    Options { version: Some(version.into()), skip_push: true, command: "deploy".into(), ..Options::default() }
}

/// A deploy that must end: a run that hangs fails the test.
async fn deploy(scripted: &Scripted, project: &Project, version: &str) -> Result<(), RunError> {
    let options = options(version);
    let run = deploy::deploy(scripted.call(project, &options), DeployKind::Deploy);
    timeout(Duration::from_secs(600), run).await.expect("the run ends")
}

/// Simulated servers after a deploy of `v1`.
async fn fleet() -> (Scripted, Project) {
    fleet_behind(By::Traefik).await
}

/// Like [`fleet`], with this proxy for the role `web`.
async fn fleet_behind(by: By) -> (Scripted, Project) {
    let scripted = Scripted::new(&HOSTS);
    let project = project(&by.serves(CONFIG));
    deploy(&scripted, &project, "v1").await.unwrap();
    scripted.network.take_boundaries();
    (scripted, project)
}

fn proxies(kind: ProxyKind, act: life::Act, rolling: bool) -> Intent {
    Intent::Proxies(kind, act, if rolling { Turns::OneByOne } else { Turns::Together })
}

fn accessory_to(name: &str, deed: Deed, rolling: bool) -> Intent {
    Intent::Accessories(name.into(), deed, if rolling { Turns::OneByOne } else { Turns::Together })
}

/// Asserts that only this version runs, everywhere, with its cord and latest tag, and that the lock is free.
fn assert_only(scripted: &Scripted, version: &str) {
    for (host, role) in [("a", "web"), ("b", "web"), ("c", "workers")] {
        let machine = scripted.network.machine(host);
        assert_eq!(machine.running(), [format!("app-{role}-{version}")], "on {host}");
        assert_eq!(machine.latest.get("r.test/app:latest"), Some(&format!("r.test/app:{version}")));
        let serving = &machine.containers.iter().find(|container| container.running).unwrap().cord;
        let tied = machine.cords.iter().filter(|(_, tied)| **tied).map(|(cord, _)| cord);
        assert!(tied.eq(serving.iter()), "only the serving container's cord is tied");
        assert!(machine.lock.is_none(), "the lock is gone");
    }
    assert_eq!(scripted.losses(), [""; 0]);
}

fn position(events: &[Event], fits: impl Fn(&Event) -> bool) -> Option<usize> {
    events.iter().position(fits)
}

fn started(host: &str, begins: &str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::StepStarted { host: at, what, .. } if at == host && what.starts_with(begins))
}

fn failures_of(error: &RunError) -> Vec<(String, String)> {
    match error {
        RunError::Servers { failures, .. } => {
            failures.iter().map(|failure| (failure.host.clone(), failure.cause.to_string())).collect()
        }
        other => panic!("not an error of servers: {other:?}"),
    }
}
