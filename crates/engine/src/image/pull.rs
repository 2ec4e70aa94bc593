//! `build pull`: pulls the version's image on every server, without a deploy.
//!
//! If several servers share a registry mirror, one of them pulls first, so that the others find the image in the mirror.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use bowline_core::commands::builder::BuildOutput;
use bowline_core::commands::registry::{self, Pull, Receive, Way};
use bowline_core::plan::secrets::registry_secrets;
use bowline_core::plan::step::Step;
use bowline_core::secrets::login;
use bowline_core::selection::Selection;
use futures_util::future::join_all;

use crate::error::{Failure, Result, RunError};
use crate::event::{Event, Phase};
use crate::run::fleet::Fleet;

use crate::call::Call;
use crate::hooks;
use crate::image::{build, send};
use crate::world::{Gathered, HostOutput, Options, World};

pub async fn pull(call: Call<'_>) -> Result<Gathered> {
    let config = call.config();
    let selection = Selection::new(config, &call.options.filters)?;
    let version = call.version().await?;
    let secrets = call.project.secrets(call.world, &registry_secrets(config)).await?;
    let pull = Pull {
        scope: call.scope().await,
        locked: false,
        login: login(&config.registry, &secrets)?,
        image: config.image_of(&version),
        version,
    };
    hooks::pre_connect(call, &selection.hosts).await?;
    let total = selection.hosts.len();
    call.world.events.emit(Event::Phase(Phase::Connect(total)));
    let (fleet, failures) = Fleet::connect(call, &selection.hosts).await?;
    let mut gathered = Gathered { outputs: Vec::new(), failures, total };
    let there: Vec<&str> = selection.hosts.iter().copied().filter(|host| fleet.has(host)).collect();
    if config.registry.is_absent() {
        let Pull { scope, locked, image, version, .. } = pull;
        let receive = Receive { scope, locked, image, version, way: Way::Load };
        send_to(call.world, &fleet, &receive, &there, &mut gathered).await;
        return if call.world.stop.is_set() { Err(RunError::interrupted()) } else { Ok(gathered) };
    }
    let seeds = seeds(&fleet, &there).await;
    if !seeds.is_empty() {
        let text = format!(
            "pulling on {} first, so that the mirrors of the other servers have the image",
            seeds.join(", ")
        );
        call.world.events.emit(Event::Note { host: None, text });
    }
    call.world.events.emit(Event::Phase(Phase::Pull));
    let rest: Vec<&str> = there.iter().copied().filter(|host| !seeds.contains(host)).collect();
    for group in [seeds, rest] {
        if !group.is_empty() && !call.world.stop.is_set() {
            pull_on(&fleet, &pull, &group, &mut gathered).await;
        }
    }
    if call.world.stop.is_set() { Err(RunError::interrupted()) } else { Ok(gathered) }
}

/// Sends the image from this machine instead.
async fn send_to(world: &World, fleet: &Fleet, receive: &Receive, hosts: &[&str], gathered: &mut Gathered) {
    world.events.emit(Event::Phase(Phase::Send(hosts.len())));
    let failures = Mutex::new(Vec::new());
    let failed = |failure: Failure| {
        fleet.emit(Event::Failed(failure.clone()));
        failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    };
    let ended = tokio::select! {
        ended = send::to_all(world.images.as_ref(), fleet, receive, hosts, &failed) => ended,
        () = world.stop.triggered() => return,
    };
    for (host, ..) in &ended {
        gathered.outputs.push(HostOutput::said(host, None, &format!("received {}", receive.image)));
    }
    gathered.failures.extend(failures.into_inner().unwrap_or_else(PoisonError::into_inner));
    let sent = ended.into_iter().map(|(host, _, bytes)| (host.to_string(), bytes)).collect();
    world.events.emit(Event::Sent(sent));
}

/// `build deliver`: builds and pushes the version, then pulls it on every server.
pub async fn deliver(call: Call<'_>) -> Result<Gathered> {
    let version = call.version().await?;
    let options = Options { version: Some(version), ..call.options.clone() };
    build::push(Call { options: &options, ..call }, BuildOutput::Registry).await?;
    // The hook has already run, unless there was nothing to build.
    let options = Options { skip_hooks: options.skip_hooks || options.image_archive.is_none(), ..options };
    pull(Call { options: &options, ..call }).await
}

/// One server of each mirror, unless that is every server.
async fn seeds<'h>(fleet: &Fleet, hosts: &[&'h str]) -> Vec<&'h str> {
    if hosts.len() < 2 {
        return Vec::new();
    }
    let step = Step::Run("look for a mirror", registry::mirror());
    let mirrors = join_all(hosts.iter().map(|host| fleet.run(host, None, &step))).await;
    let mut known = BTreeSet::new();
    let first = |(host, mirror): (&&'h str, Result<crate::ports::Output, Failure>)| {
        let mirror = mirror.ok()?.stdout.trim().to_string();
        (!mirror.is_empty() && known.insert(mirror)).then_some(*host)
    };
    let seeds: Vec<&str> = hosts.iter().zip(mirrors).filter_map(first).collect();
    if seeds.len() == hosts.len() { Vec::new() } else { seeds }
}

async fn pull_on(fleet: &Fleet, pull: &Pull, hosts: &[&str], gathered: &mut Gathered) {
    let step = Step::Pull(pull.clone());
    let pulled = join_all(hosts.iter().map(|host| fleet.run(host, None, &step))).await;
    for (host, pulled) in hosts.iter().zip(pulled) {
        let pulled = fleet.report(pulled.map_err(Failure::explained), &mut gathered.failures);
        let said = pulled.map(|_| HostOutput::said(host, None, &format!("pulled {}", pull.image)));
        gathered.outputs.extend(said);
    }
}
