//! What a command changes outside of a deploy (`app stop`, `traefik reboot`, …), decided before it does anything.
//!
//! [`plan`] turns what a command wants and what was observed into pieces of work. `bowline plan` shows them, and the engine
//! carries out the same value.

mod accessories;
mod app;
mod proxies;

use std::collections::BTreeMap;

use super::secrets::Secrets;
use super::{Retire, step::Step};
use crate::commands::Scope;
use crate::commands::accessory::Upload;
use crate::commands::app::Start;
use crate::commands::registry::{self, Login, Receive};
use crate::observed::Observed;
use crate::proxy::kamal::boot_config::BootConfig;
use crate::proxy::kamal::files::Pages;
use crate::proxy::life::{Act, Life};
use crate::proxy::{self, ProxyKind, Refusal};
use crate::selection::{Accessories, Selection};
pub use accessories::{Deed, OnAccessory, Serve};
use bowline_config::{Config, once};

/// What a command wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Start each role's container again: of this version, or the one that served last.
    Start(Option<String>),
    /// Stop everything that runs.
    Stop,
    /// Stop what runs next to the container that serves.
    StopStale,
    /// Put a page in the app's place.
    Pause(Page),
    /// Put the app in the page's place.
    Resume,
    /// Do something to the proxies of this kind.
    Proxies(ProxyKind, Act, Turns),
    /// Do something to the accessory of this name, or to all (`all`).
    Accessories(String, Deed, Turns),
    /// Write the files with settings of kamal-proxy, or remove them.
    BootConfig(Option<BootConfig>),
}

/// Which servers have their turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    Together,
    OneByOne,
}

/// A maintenance page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub message: Option<String>,
    /// `Retry-After`, in seconds.
    pub retry_after: u32,
    /// How many seconds open requests may take; `drain_timeout` unless given.
    pub drain_timeout: Option<u64>,
}

/// What else a plan needs to know.
#[derive(Debug, Clone, Default)]
pub struct Given<'a> {
    /// The project's own maintenance page.
    pub page: Option<String>,
    /// The secrets that the intent needs; for a plan that is only shown, something that stands in for them.
    pub secrets: Secrets,
    /// Those of the selected servers that have a proxy of the kind that it is about.
    pub behind: Vec<&'a str>,
    /// The accessories that it is about, with their servers.
    pub accessories: Accessories<'a>,
    /// Their files, by accessory.
    pub files: BTreeMap<String, Vec<Upload>>,
    /// Pages that the proxy shows for those behind it.
    pub pages: Pages,
}

/// What a change is planned from.
#[derive(Clone, Copy)]
pub struct Basis<'a> {
    pub config: &'a Config,
    pub given: &'a Given<'a>,
    pub scope: &'a Scope,
    pub selection: &'a Selection<'a>,
    /// The servers that were observed; nothing is done on others.
    pub observed: &'a BTreeMap<String, Observed>,
}

/// A change, decided: stages, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The command: `app stop`.
    pub command: String,
    /// The service and its destination, as people write it.
    pub app: String,
    pub stages: Vec<Stage>,
}

/// Work that is done in parallel.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    pub pieces: Vec<Piece>,
    pub after: After,
    /// The proxies whose reboot it is: the project's hooks run around it.
    pub reboots: Option<ProxyKind>,
    /// The image that this machine sends first.
    pub brings: Option<Brings>,
}

/// An image that this machine sends to the servers of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brings {
    pub receive: Receive,
    /// Also to servers that already have one of this name.
    pub always: bool,
}

/// When a stage begins. Once the run is interrupted, none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// After whatever was before.
    Anything,
    /// Only if nothing has failed so far. Otherwise, this stage and all after it are left out.
    Success,
}

/// Work on one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    pub host: String,
    /// The role that it is about.
    pub role: Option<String>,
    pub work: Work,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Nothing, because of this.
    Nothing(String),
    /// It can't be done.
    Refused {
        /// What can't be done.
        doing: String,
        reason: String,
        hint: Option<String>,
    },
    /// Start a container again and attach it.
    Start(Box<Start>),
    /// Retire containers, one after the other.
    Retire {
        retire: Vec<Retire>,
        /// What follows.
        then: Vec<Step>,
    },
    /// Put a page in a role's place, or the role in the page's.
    Maintain(proxy::Maintain),
    /// These steps.
    Run {
        steps: Vec<Step>,
        /// What a person should know first.
        note: Option<String>,
        /// What is said when they are done.
        said: String,
    },
    /// Do something to a proxy itself.
    Proxy { login: Option<Login>, life: Box<Life> },
    /// Do something to an accessory.
    Accessory(Box<OnAccessory>),
}

/// Decides what a command does, on the servers that were observed.
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
    };
    Change { command: intent.command(), app: basis.scope.names.app(), stages }
}

impl Intent {
    /// The command: `app stop`.
    pub fn command(&self) -> String {
        match self {
            Intent::Start(_) => "app start".into(),
            Intent::Stop => "app stop".into(),
            Intent::StopStale => "app stale-containers".into(),
            Intent::Pause(_) => "app maintenance".into(),
            Intent::Resume => "app live".into(),
            Intent::Accessories(_, deed, _) => format!("accessory {}", deed.verb()),
            Intent::BootConfig(_) => "proxy boot-config".into(),
            Intent::Proxies(kind, act, _) => format!("{} {}", kind.command().unwrap_or_default(), act.verb()),
        }
    }
}

impl From<Vec<Piece>> for Stage {
    fn from(pieces: Vec<Piece>) -> Self {
        Self { pieces, after: After::Anything, reboots: None, brings: None }
    }
}

/// Logs a server in to the registry that an image is in.
pub fn log_in(login: &Login) -> Step {
    Step::Run("log in to the registry", registry::login(login))
}

impl Work {
    pub(super) fn refused(doing: &str, Refusal { message, hint }: Refusal) -> Self {
        Self::Refused { doing: doing.into(), reason: message, hint: Some(hint) }
    }

    /// Its steps in order, as far as they are known. What a proxy is asked in between isn't among them.
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
            Work::Maintain(maintain) => maintain.steps(),
            Work::Run { steps, .. } => steps.clone(),
            Work::Accessory(work) => work.steps(),
            Work::Proxy { login, life } => {
                login.iter().map(log_in).chain(life.steps().into_iter().map(Step::Proxy)).collect()
            }
        }
    }

    /// Why it has no steps, if it has none.
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
    /// All its work, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.stages.iter().flat_map(|stage| &stage.pieces)
    }

    /// The servers, in the order in which they come up, each with its work.
    pub fn servers(&self) -> Vec<(&str, Vec<&Piece>)> {
        let hosts = once(self.pieces().map(|piece| piece.host.as_str()));
        let of = |host| self.pieces().filter(|piece| piece.host == host).collect();
        hosts.into_iter().map(|host| (host, of(host))).collect()
    }
}
