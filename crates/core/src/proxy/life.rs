//! Commands that change a proxy itself, outside of a deploy.

use bowline_config::Config;

use super::{ProxyKind, Step, kamal, traefik};
use crate::commands::registry::Login;
use crate::commands::{Action, Scope};
use crate::error::PlanError;
use crate::observed::Observed;
use crate::secrets::Secrets;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Make sure that it runs.
    Boot,
    /// Replace its container, with the current configuration.
    Reboot,
    /// Install the version that comes with this Bowline, without downtime where possible.
    Upgrade,
    Power(Action),
    /// Remove it, unless it still serves something.
    Remove,
    /// Remove it in any case.
    ForceRemove,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Life {
    Traefik(traefik::life::Life),
    Kamal(kamal::life::Life),
}

#[derive(Clone, Copy)]
pub(crate) struct Here<'a> {
    pub config: &'a Config,
    pub secrets: &'a Secrets,
    pub scope: &'a Scope,
    pub host: &'a str,
    pub observed: &'a Observed,
}

impl Act {
    pub fn verb(self) -> &'static str {
        match self {
            Act::Boot => "boot",
            Act::Reboot => "reboot",
            Act::Upgrade => "upgrade",
            Act::Power(action) => action.verb(),
            Act::Remove | Act::ForceRemove => "remove",
        }
    }

    /// Whether it creates a container, which may require pulling an image.
    pub fn makes(self) -> bool {
        matches!(self, Act::Boot | Act::Reboot | Act::Upgrade)
    }

    /// Whether the hooks of a reboot run around it.
    pub fn reboots(self) -> bool {
        matches!(self, Act::Reboot | Act::Upgrade)
    }

    pub fn secrets(self, config: &Config, kind: ProxyKind) -> Vec<String> {
        match kind {
            _ if !self.makes() => Vec::new(),
            ProxyKind::None => Vec::new(),
            ProxyKind::Traefik => {
                [traefik::secrets::of_env(config), traefik::secrets::of_pull(config)].concat()
            }
            ProxyKind::Kamal => kamal::secrets::of_pull(config),
        }
    }
}

impl Here<'_> {
    /// Plans the act for a proxy of this kind. `None` without a proxy.
    pub(crate) fn life(self, kind: ProxyKind, act: Act) -> Result<Option<Life>, PlanError> {
        Ok(match kind {
            ProxyKind::None => None,
            ProxyKind::Traefik => Some(Life::Traefik(traefik::life::life(self, act)?)),
            ProxyKind::Kamal => Some(Life::Kamal(kamal::life::life(self, act)?)),
        })
    }

    /// The login to the registry of the proxy's image, because no deploy may have logged in on the server yet.
    pub(crate) fn login(self, kind: ProxyKind, act: Act) -> Result<Option<Login>, PlanError> {
        match kind {
            _ if !act.makes() => Ok(None),
            ProxyKind::None => Ok(None),
            ProxyKind::Traefik => traefik::secrets::login(self.config, self.secrets),
            ProxyKind::Kamal => kamal::secrets::login(self.config, self.secrets, self.host),
        }
    }
}

impl Life {
    /// What happens next if that depends on what a step finds, for display.
    pub(crate) fn depends(&self) -> Option<&'static str> {
        match self {
            Life::Kamal(kamal::life::Life::Upgrade(_)) => {
                Some("upgrade it if it is older, in place if its container supports that")
            }
            Life::Traefik(traefik::life::Life::Remove(_))
            | Life::Kamal(kamal::life::Life::Remove(kamal::container::Remove { force: false, .. })) => {
                Some("keep it if it still has something to serve")
            }
            _ => None,
        }
    }

    /// The steps in order, as far as they are known.
    pub(crate) fn steps(&self) -> Vec<Step> {
        match self {
            Life::Traefik(life) => life.steps().into_iter().map(Step::Traefik).collect(),
            Life::Kamal(life) => vec![Step::Kamal(life.step())],
        }
    }
}
