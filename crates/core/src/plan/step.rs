//! A step: one round trip to one server.

use crate::commands::{
    accessory, app, assets, doctor, env, exec, finish, lock, network, observe, prune, registry, remove,
    server, serving,
};
use crate::proxy;
use crate::shell::Script;

/// One round trip to one server.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Look at the server.
    Observe(observe::Observe),
    /// Take the lock and keep it.
    Lock(lock::Keep),
    /// Log in to the registry and pull the image.
    Pull(registry::Pull),
    /// Get the image from this run.
    Receive(registry::Receive),
    /// Make sure the network exists.
    Network(network::Network),
    /// What a proxy is about.
    Proxy(proxy::Step),
    /// Extract and bridge assets.
    Assets(assets::Prepare),
    /// Boot a container and wait until it is ready.
    Boot(Box<app::Boot>),
    /// Find the container of a boot whose result was lost.
    Find(app::Find),
    /// Start a container again and wait until it is ready.
    Start(Box<app::Start>),
    /// Check whether a container that was ready still is.
    Check(serving::Check),
    /// Stop a container.
    Stop(app::Stop),
    /// Tag the image as the latest.
    Tag(app::Tag),
    /// Remove what is no longer needed.
    Prune(prune::Prune),
    /// The last of these three, or all of them.
    Finish(Box<finish::Finish>),
    /// Remove a part of the app.
    Remove(remove::Remove),
    /// Do something to an accessory.
    Accessory(Box<accessory::Act>),
    /// Write an env file, or remove it.
    Env(env::EnvFile),
    /// Provide what a command in a new container needs.
    Prepare(Box<exec::Exec>),
    /// Run a command in the app.
    Exec(Box<exec::Exec>),
    /// Run a command on the server itself.
    OnServer(server::OnServer),
    /// Install Docker, and prepare the server for the first deploy.
    Bootstrap(server::Bootstrap),
    /// Check everything that a deploy needs on the server.
    Examine(doctor::Examine),
    /// A script of a command outside any plan, with its name.
    Run(&'static str, Script),
    /// The same for a script that may wait up to this many seconds on purpose.
    Wait(&'static str, Script, u64),
}

impl Step {
    /// What is sent.
    pub fn script(&self) -> Script {
        match self {
            Step::Observe(step) => step.script(),
            Step::Lock(step) => step.script(),
            Step::Pull(step) => step.script(),
            Step::Receive(step) => step.script(),
            Step::Proxy(step) => step.script(),
            Step::Network(step) => step.script(),
            Step::Assets(step) => step.script(),
            Step::Boot(step) => step.script(),
            Step::Find(step) => step.script(),
            Step::Start(step) => step.script(),
            Step::Check(step) => step.script(),
            Step::Stop(step) => step.script(),
            Step::Tag(step) => step.script(),
            Step::Prune(step) => step.script(),
            Step::Finish(step) => step.script(),
            Step::Remove(step) => step.script(),
            Step::Accessory(step) => step.script(),
            Step::Env(step) => step.script(),
            Step::Prepare(step) => step.prepare(),
            Step::Exec(step) => step.script(),
            Step::OnServer(step) => step.script(),
            Step::Bootstrap(step) => step.script(),
            Step::Examine(step) => step.script(),
            Step::Run(_, script) | Step::Wait(_, script, _) => script.clone(),
        }
    }

    /// Whether what it prints is gathered for a person, from all servers, before any of it is shown.
    pub fn is_gathered(&self) -> bool {
        matches!(self, Step::Exec(_) | Step::OnServer(_) | Step::Run(..) | Step::Wait(..))
    }

    /// What it does, in a few words for a person: `boot app-web-1f3a…`.
    pub fn describe(&self) -> String {
        match self {
            Step::Observe(_) => "look at the server".into(),
            Step::Lock(_) => "take the deploy lock".into(),
            Step::Pull(step) => format!("pull {}", step.image),
            Step::Receive(step) => format!("send {}", step.image),
            Step::Proxy(step) => step.describe(),
            Step::Network(_) => "make sure the network exists".into(),
            Step::Assets(step) => format!("prepare the assets of {}", step.role),
            Step::Boot(step) => format!("boot {}", step.container()),
            Step::Find(step) => format!("look for {}", step.name),
            Step::Start(step) => format!("start {} again", step.name),
            Step::Check(step) => format!("see whether {} still runs", step.name),
            Step::Stop(step) => format!("stop {}", step.name),
            Step::Tag(step) if step.is_latest() => format!("record that {} serves", step.image),
            Step::Tag(step) => format!("tag {} as {}", step.image, step.latest),
            Step::Prune(step) if step.parts.is_none() => "remove old assets".into(),
            Step::Prune(_) => "prune old containers and images".into(),
            Step::Finish(step) => step.describe(),
            Step::Remove(step) => step.describe(),
            Step::Accessory(step) => step.describe(),
            Step::Env(step) => step.describe(),
            Step::Prepare(_) => "prepare the container".into(),
            Step::Exec(step) => format!("run `{}`", step.words.join(" ")),
            Step::OnServer(step) => format!("run `{}`", step.command),
            Step::Bootstrap(_) => "bootstrap the server".into(),
            Step::Examine(_) => "examine the server".into(),
            Step::Run(name, _) | Step::Wait(name, ..) => (*name).into(),
        }
    }
}
