//! A step: one round trip to one server.

use crate::commands::{
    accessory, app, assets, doctor, env, exec, finish, lock, network, observe, prune, registry, remove,
    server, serving,
};
use crate::proxy;
use crate::shell::Script;

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Observe(observe::Observe),
    Lock(lock::Keep),
    Pull(registry::Pull),
    /// Receive the image from this run.
    Receive(registry::Receive),
    Network(network::Network),
    Proxy(proxy::Step),
    /// Extract assets, and make them available to the running versions.
    Assets(assets::Prepare),
    Boot(Box<app::Boot>),
    /// Find the container of a boot whose result was lost.
    Find(app::Find),
    Start(Box<app::Start>),
    /// Check whether a container that was ready still is.
    Check(serving::Check),
    Stop(app::Stop),
    Tag(app::Tag),
    /// Remove old containers, images and assets.
    Prune(prune::Prune),
    /// Stop a container, tag the image and prune, or some of these, in one script.
    Finish(Box<finish::Finish>),
    Remove(remove::Remove),
    Accessory(Box<accessory::Act>),
    Env(env::EnvFile),
    /// Prepare what a command in a new container needs.
    Prepare(Box<exec::Exec>),
    /// Run a command in the app's container.
    Exec(Box<exec::Exec>),
    /// Run a command on the server itself.
    OnServer(server::OnServer),
    Bootstrap(server::Bootstrap),
    /// Check everything that a deploy needs on the server.
    Examine(doctor::Examine),
    /// A named script that isn't part of a plan.
    Run(&'static str, Script),
    /// Like [`Run`](Self::Run), for a script that may wait deliberately, for up to this many seconds.
    Wait(&'static str, Script, u64),
}

impl Step {
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

    /// Whether the output is collected from all servers before any of it is shown.
    pub fn is_gathered(&self) -> bool {
        matches!(self, Step::Exec(_) | Step::OnServer(_) | Step::Run(..) | Step::Wait(..))
    }

    /// What the step does, for display: `boot app-web-1f3a…`.
    pub fn describe(&self) -> String {
        match self {
            Step::Observe(_) => "inspect the server".into(),
            Step::Lock(_) => "take the deploy lock".into(),
            Step::Pull(step) => format!("pull {}", step.image),
            Step::Receive(step) => format!("send {}", step.image),
            Step::Proxy(step) => step.describe(),
            Step::Network(_) => "make sure the network exists".into(),
            Step::Assets(step) => format!("prepare the assets of {}", step.role),
            Step::Boot(step) => format!("boot {}", step.container()),
            Step::Find(step) => format!("find {}", step.name),
            Step::Start(step) => format!("start {} again", step.name),
            Step::Check(step) => format!("check that {} still runs", step.name),
            Step::Stop(step) => format!("stop {}", step.name),
            Step::Tag(step) if step.is_latest() => format!("record that {} serves", step.image),
            Step::Tag(step) => format!("tag {} as {}", step.image, step.latest),
            Step::Prune(step) => match step.parts {
                Some(parts) => format!("prune old {}", parts.what()),
                None => "remove old assets".into(),
            },
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
