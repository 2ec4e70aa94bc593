//! What a command changes outside of a deploy (`app stop`, `traefik reboot`, …), decided before it does anything.
//!
//! [`plan`] turns what a command wants and what was observed into pieces of work. `bowline plan` shows them, and the engine
//! carries out the same value.

mod app;

use std::collections::BTreeMap;

use super::{Retire, step::Step};
use crate::commands::Scope;
use crate::commands::app::Start;
use crate::observed::Observed;
use crate::proxy::{self, Refusal};
use crate::selection::Selection;
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

/// What this machine adds to the configuration.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The project's own maintenance page.
    pub page: Option<String>,
}

/// What a change is planned from.
#[derive(Clone, Copy)]
pub struct Basis<'a> {
    pub config: &'a Config,
    pub given: &'a Given,
    pub scope: &'a Scope,
    pub selection: &'a Selection<'a>,
    /// The servers that were observed; nothing is done on others.
    pub observed: &'a BTreeMap<String, Observed>,
}

/// A change, decided: stages, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The command: `app stop`.
    pub command: &'static str,
    /// The service and its destination, as people write it.
    pub app: String,
    pub stages: Vec<Stage>,
}

/// Work that is done in parallel.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage(pub Vec<Piece>);

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
        doing: &'static str,
        refusal: Refusal,
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
}

/// Decides what a command does, on the servers that were observed.
pub fn plan(intent: &Intent, basis: Basis<'_>) -> Change {
    let (command, stages) = match intent {
        Intent::Start(version) => ("app start", vec![basis.start(version.as_deref())]),
        Intent::Stop => ("app stop", vec![basis.stop()]),
        Intent::StopStale => ("app stale-containers", vec![basis.stop_stale(), basis.stop_orphans()]),
        Intent::Pause(page) => ("app maintenance", vec![basis.pause(page)]),
        Intent::Resume => ("app live", vec![basis.resume()]),
    };
    Change { command, app: basis.scope.names.app(), stages }
}

impl Work {
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
        }
    }

    /// Why it has no steps, if it has none.
    pub fn reason(&self) -> Option<String> {
        match self {
            Work::Nothing(why) => Some(why.clone()),
            Work::Refused { doing, refusal } => Some(format!("can't {doing}: {}", refusal.message)),
            Work::Maintain(how) if how.steps().is_empty() => Some("it is not in maintenance".into()),
            Work::Start(_) | Work::Retire { .. } | Work::Maintain(_) => None,
        }
    }
}

impl Change {
    /// All its work, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.stages.iter().flat_map(|Stage(pieces)| pieces)
    }

    /// The servers, in the order in which they come up, each with its work.
    pub fn servers(&self) -> Vec<(&str, Vec<&Piece>)> {
        let hosts = once(self.pieces().map(|piece| piece.host.as_str()));
        let of = |host| self.pieces().filter(|piece| piece.host == host).collect();
        hosts.into_iter().map(|host| (host, of(host))).collect()
    }
}
