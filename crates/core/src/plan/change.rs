//! What a command changes outside of a deploy (`app stop`, `traefik reboot`, …), decided before it does anything.
//!
//! [`plan`] turns the command's [`Intent`] and the observed state into pieces of work. `bowline plan` shows them, and
//! the engine carries out the same value.

mod accessories;
mod app;
pub mod env;
mod proxies;
mod remove;

use std::collections::BTreeMap;

use super::{Retire, step::Step};
use crate::commands::Scope;
use crate::commands::accessory::Upload;
use crate::commands::app::Start;
use crate::commands::prune::Parts;
use crate::commands::registry::{self, Login, Receive};
use crate::error::Refusal;
use crate::observed::Observed;
use crate::proxy::kamal::boot_config::BootConfig;
use crate::proxy::life::{Act, Life};
use crate::proxy::{self, ProxyKind};
use crate::request::{Page, Pages};
use crate::secrets::Secrets;
use crate::selection::{Accessories, Selection};
pub use accessories::{Deed, OnAccessory, Serve};
use bowline_config::{Config, unique};
pub use remove::Removal;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Start each role's container: the one with this version, or the one that served last.
    Start(Option<String>),
    Stop,
    /// Stop containers that run next to the serving one.
    StopStale,
    /// Show a maintenance page in place of the app.
    Pause(Page),
    /// Show the app again in place of the page.
    Resume,
    Proxies(ProxyKind, Act, Turns),
    /// For the accessory with this name, or for all (`all`).
    Accessories(String, Deed, Turns),
    /// Write the files with kamal-proxy's boot settings, or remove them.
    BootConfig(Option<BootConfig>),
    /// Write the files of secret variables.
    PushEnv,
    /// Remove them.
    DeleteEnv,
    /// Remove the app, or a part of it.
    Remove(Removal),
    /// Remove old containers and images. The number overrides how many stopped containers each role keeps.
    Prune(Parts, Option<usize>),
}

/// Which servers are changed at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    Together,
    OneByOne,
}

/// What a plan depends on, in addition to the configuration and the observed state.
#[derive(Debug, Clone, Default)]
pub struct Given<'a> {
    /// The project's own maintenance page.
    pub page: Option<String>,
    /// The secrets that the intent needs. A plan that is only shown gets placeholders.
    pub secrets: Secrets,
    /// The selected servers that have the kind of proxy that the intent concerns.
    pub behind: Vec<&'a str>,
    pub accessories: Accessories<'a>,
    pub files: BTreeMap<String, Vec<Upload>>,
    /// The files of secret variables to write or remove.
    pub env: Vec<env::File<'a>>,
    /// Error pages that the proxy shows for the apps behind it.
    pub pages: Pages,
}

#[derive(Clone, Copy)]
pub struct Basis<'a> {
    pub config: &'a Config,
    pub given: &'a Given<'a>,
    pub scope: &'a Scope,
    pub selection: &'a Selection<'a>,
    /// The observed servers. No other server is changed.
    pub observed: &'a BTreeMap<String, Observed>,
}

/// Stages of work, carried out one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// For example `app stop`.
    pub command: String,
    /// Service and destination, for display.
    pub app: String,
    pub stages: Vec<Stage>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    pub pieces: Vec<Piece>,
    pub after: After,
    /// Which proxies this stage reboots, if it does. The project's hooks run around it.
    pub reboots: Option<ProxyKind>,
    /// The image that this machine sends before the stage.
    pub brings: Option<Brings>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brings {
    pub receive: Receive,
    /// Whether to send it even to servers that already have an image with this name.
    pub always: bool,
}

/// When a stage begins. After an interrupt, no stage begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// After the previous stage, even if it failed.
    Anything,
    /// Only if nothing has failed so far. Otherwise, this stage and all later ones are skipped.
    Success,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    pub host: String,
    /// The name of the role or accessory, unless the work concerns the whole server.
    pub role: Option<String>,
    pub work: Work,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Nothing to do, for this reason.
    Nothing(String),
    Refused {
        /// What can't be done, as in "can't …".
        doing: String,
        reason: String,
        hint: Option<String>,
    },
    /// Start an existing container and attach it.
    Start(Box<Start>),
    /// Retire containers one after the other.
    Retire {
        retire: Vec<Retire>,
        /// Steps that follow.
        then: Vec<Step>,
    },
    /// Show a page in place of a role, or the role again.
    Maintain(proxy::Maintain),
    Run {
        steps: Vec<Step>,
        /// A remark to show before.
        note: Option<String>,
        /// What to report when the steps are done.
        said: String,
    },
    /// Change a proxy itself.
    Proxy { login: Option<Login>, life: Box<Life> },
    /// Change an accessory.
    Accessory(Box<OnAccessory>),
}

pub fn plan(intent: &Intent, basis: Basis<'_>) -> Change {
    let stages = match intent {
        Intent::Start(version) => vec![basis.start(version.as_deref())],
        Intent::Stop => vec![basis.stop()],
        Intent::StopStale => vec![basis.stop_stale(), basis.stop_orphans()],
        Intent::Pause(page) => vec![basis.pause(page)],
        Intent::Resume => vec![basis.resume()],
        Intent::Proxies(kind, act, turns) => basis.proxies(*kind, *act, *turns),
        Intent::Accessories(_, deed, turns) => basis.accessories(*deed, *turns),
        Intent::BootConfig(config) => vec![basis.boot_config(config.as_ref())],
        Intent::PushEnv | Intent::DeleteEnv => vec![basis.env()],
        Intent::Remove(removal) => basis.remove(removal),
        Intent::Prune(parts, retain) => vec![basis.prune(*parts, *retain)],
    };
    Change { command: intent.command(), app: basis.scope.names.app(), stages }
}

impl Intent {
    /// For example `app stop`.
    pub fn command(&self) -> String {
        match self {
            Intent::Start(_) => "app start".into(),
            Intent::Stop => "app stop".into(),
            Intent::StopStale => "app stale-containers".into(),
            Intent::Pause(_) => "app maintenance".into(),
            Intent::Resume => "app live".into(),
            Intent::Accessories(_, deed, _) => format!("accessory {}", deed.verb()),
            Intent::BootConfig(_) => "proxy boot-config".into(),
            Intent::PushEnv => "env push".into(),
            Intent::DeleteEnv => "env delete".into(),
            Intent::Remove(removal) => removal.command().into(),
            Intent::Prune(Parts::All, _) => "prune all".into(),
            Intent::Prune(parts, _) => format!("prune {}", parts.what()),
            Intent::Proxies(kind, act, _) => format!("{} {}", kind.command().unwrap_or_default(), act.verb()),
        }
    }
}

impl From<Vec<Piece>> for Stage {
    fn from(pieces: Vec<Piece>) -> Self {
        Self { pieces, after: After::Anything, reboots: None, brings: None }
    }
}

pub fn log_in(login: &Login) -> Step {
    Step::Run("log in to the registry", registry::login(login))
}

impl Work {
    /// One step.
    pub(super) fn run(step: Step, said: impl Into<String>) -> Self {
        Self::Run { steps: vec![step], note: None, said: said.into() }
    }

    pub(super) fn refused(doing: &str, Refusal { message, hint }: Refusal) -> Self {
        Self::Refused { doing: doing.into(), reason: message, hint: Some(hint) }
    }

    /// The steps in order, as far as they are known. The engine's questions to a proxy aren't among them.
    pub fn steps(&self) -> Vec<Step> {
        match self {
            Work::Nothing(_) | Work::Refused { .. } => Vec::new(),
            Work::Start(start) => {
                let attach = start.attach.step(&start.id).map(Step::Proxy);
                std::iter::once(Step::Start(start.clone())).chain(attach).collect()
            }
            Work::Retire { retire, then } => {
                retire.iter().flat_map(Retire::steps).chain(then.iter().cloned()).collect()
            }
            Work::Maintain(maintain) => maintain.steps().into_iter().map(Step::Proxy).collect(),
            Work::Run { steps, .. } => steps.clone(),
            Work::Accessory(work) => work.steps(),
            Work::Proxy { login, life } => {
                login.iter().map(log_in).chain(life.steps().into_iter().map(Step::Proxy)).collect()
            }
        }
    }

    /// Why there are no steps, if there are none.
    pub fn reason(&self) -> Option<String> {
        match self {
            Work::Nothing(why) => Some(why.clone()),
            Work::Refused { doing, reason, .. } => Some(format!("can't {doing}: {reason}")),
            Work::Accessory(work) if work.act.is_none() => Some("this machine sends its image".into()),
            Work::Maintain(how) if how.steps().is_empty() => Some("it is not in maintenance".into()),
            _ => None,
        }
    }
}

impl Change {
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.stages.iter().flat_map(|stage| &stage.pieces)
    }

    /// The servers in order of first appearance, each with its work.
    pub fn servers(&self) -> Vec<(&str, Vec<&Piece>)> {
        let hosts = unique(self.pieces().map(|piece| piece.host.as_str()));
        let of = |host| self.pieces().filter(|piece| piece.host == host).collect();
        hosts.into_iter().map(|host| (host, of(host))).collect()
    }
}
