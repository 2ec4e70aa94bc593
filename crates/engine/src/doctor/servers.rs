//! Checks the servers in parallel, with one command each.

use std::collections::BTreeMap;
use std::sync::Arc;

use bowline_core::commands::Scope;
use bowline_core::commands::doctor::{Checkup, Examine};
use bowline_core::doctor::server::Seen;
use bowline_core::doctor::{Finding, Level, Topic};
use bowline_core::error::PlanError;
use bowline_core::observed::Observed;
use bowline_core::plan::deploy::plan;
use bowline_core::plan::step::Step;
use bowline_core::request::{DeployKind, DeployRequest, Pages};
use bowline_core::secrets::{Secrets, login};
use bowline_core::selection::Selection;
use futures_util::future::{BoxFuture, join_all};

use super::{problem, stand_ins};
use crate::call::Call;
use crate::error::{Failure, Result};
use crate::event::{Event, Phase};
use crate::hooks;
use crate::ports::{Accept, Entry, Known, Stream};
use crate::run::fleet::Fleet;

/// What the checks of all servers share.
struct Round<'a> {
    call: Call<'a>,
    fleet: &'a Fleet,
    scope: Scope,
    /// The values of the secrets, or empty ones.
    secrets: Secrets,
    /// Whether the values are real.
    known: bool,
}

/// Closes each connection, because doctor only checks whether sshd forwards them.
struct Probe;

impl Accept for Probe {
    fn accept(&self, _: Box<dyn Stream>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

pub(super) async fn findings(
    call: Call<'_>,
    hosts: &[&str],
    secrets: Option<&Secrets>,
) -> Result<Vec<Finding>> {
    if let Err(error) = hooks::pre_connect(call, hosts).await {
        return problem(Topic::Hooks, error);
    }
    call.world.events.emit(Event::Phase(Phase::Connect(hosts.len())));
    let (fleet, failures) = match Fleet::connect(call, hosts).await {
        Ok(connected) => connected,
        // The SSH keys are in secrets, whose errors were already reported.
        Err(_) if secrets.is_none() => return Ok(Vec::new()),
        Err(error) => return problem(Topic::Ssh, error),
    };
    let there: Vec<&str> = hosts.iter().copied().filter(|host| fleet.has(host)).collect();
    call.world.events.emit(Event::Phase(Phase::Observe(there.len())));
    let scope = call.scope_to_look();
    let known = secrets.is_some();
    let secrets = secrets.cloned().unwrap_or_else(|| stand_ins(call.project));
    let round = Round { call, fleet: &fleet, scope, secrets, known };
    let mut found: Vec<Finding> = failures.iter().map(unreachable).collect();
    found.extend(join_all(there.iter().map(|host| round.one(host))).await.into_iter().flatten());
    Ok(found)
}

fn unreachable(failure: &Failure) -> Finding {
    let finding = Finding::problem(Topic::Ssh, format!("could not connect: {}", failure.cause), "");
    Finding { hint: failure.hint(), ..finding }.on(&failure.host)
}

impl Round<'_> {
    async fn one(&self, host: &str) -> Vec<Finding> {
        let forwards = async { self.fleet.listen(host, Arc::new(Probe)).await.ok() };
        let entry = async {
            let server = self.fleet.server(host).ok()?;
            server.entry().await
        };
        let (forwards, entry, asked) = tokio::join!(forwards, entry, self.ask(host));
        let mut found: Vec<Finding> = entry.map(|entry| came_in(&entry).on(host)).into_iter().collect();
        match asked {
            Err(failure) => {
                let finding =
                    Finding::problem(Topic::Ssh, format!("could not be examined: {}", failure.cause), "");
                found.push(Finding { hint: failure.hint(), ..finding }.on(host));
            }
            Ok(Asked { checkup, observed, ahead }) => {
                let seen = Seen {
                    config: self.call.config(),
                    names: &self.scope.names,
                    host,
                    checkup: &checkup,
                    observed: observed.as_ref(),
                    forwards: forwards.map(|listening| listening.is_some()),
                    ahead,
                    now: self.call.world.local.now(),
                };
                found.extend(seen.findings());
                found.extend(
                    observed.map(|observed| self.planned(host, observed, &found)).unwrap_or_default(),
                );
            }
        }
        found
    }

    async fn ask(&self, host: &str) -> Result<Asked, Failure> {
        let config = self.call.config();
        let login = if self.known { login(&config.registry, &self.secrets).ok().flatten() } else { None };
        let step = Step::Examine(Examine {
            scope: self.scope.clone(),
            repository: config.repository(),
            ports: bowline_core::proxy::ports(config, host),
            login,
        });
        let before = self.call.world.local.now();
        let output = self.fleet.run(host, None, &step).await?;
        let after = self.call.world.local.now();
        let checkup: Checkup =
            output.answer().map_err(|error| self.fleet.failed(host, None, &step, error.into()))?;
        // The server read its clock at some time between `before` and `after`.
        let ahead = checkup.clock - checkup.clock.clamp(before, after.max(before));
        Ok(Asked { checkup, observed: Observed::parse(&output.stdout).ok(), ahead })
    }

    /// What a deploy would report about a server: makes its plan without carrying it out. Omits ports that were already reported.
    fn planned(&self, host: &str, observed: Observed, found: &[Finding]) -> Vec<Finding> {
        let config = self.call.config();
        let Ok(selection) = Selection::new(config, &self.call.options.filters) else { return Vec::new() };
        if !selection.hosts.contains(&host) {
            return Vec::new();
        }
        let request = DeployRequest {
            kind: DeployKind::Deploy,
            version: "next".into(),
            scope: self.scope.clone(),
            secrets_known: self.known,
            pages: Pages::new(),
        };
        let of_ports = |found: &Finding| found.topic == Topic::Ports && found.level == Level::Problem;
        match plan(
            config,
            &selection,
            &self.secrets,
            &request,
            &BTreeMap::from([(host.to_owned(), observed)]),
        ) {
            Ok(plan) => {
                let notes = plan.servers.into_iter().flat_map(|server| server.notes);
                notes.map(|note| noted(note).on(host)).collect()
            }
            Err(PlanError::Proxy(_)) if found.iter().any(of_ports) => Vec::new(),
            Err(error) => {
                let topic = if matches!(error, PlanError::Proxy(_)) { Topic::Proxy } else { Topic::Secrets };
                let found = problem(topic, self.call.project.unplanned(error)).unwrap_or_default();
                found.into_iter().map(|finding| finding.on(host)).collect()
            }
        }
    }
}

struct Asked {
    checkup: Checkup,
    observed: Option<Observed>,
    /// How far its clock is ahead of ours, in seconds.
    ahead: i64,
}

fn noted(note: String) -> Finding {
    let finding = Finding::warning(Topic::Proxy, note, "");
    Finding { hint: None, ..finding }
}

fn came_in(entry: &Entry) -> Finding {
    let Entry { login, key, host_key, known } = entry;
    let by = key.as_ref().map_or("without a key".into(), |key| format!("with {key}"));
    let text = format!("{login} logs in {by}; host key {host_key}");
    match known {
        Known::Known => Finding::ok(Topic::Ssh, text),
        Known::New => Finding::warning(
            Topic::Ssh,
            format!("{text}, which is new here"),
            "other commands trust it and write it into known_hosts: compare it on the server's console first, \
             `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`",
        ),
    }
}
