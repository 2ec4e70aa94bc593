//! The Docker network that the containers of all apps and their proxies share.

use super::Scope;
use super::status::Status;
use crate::names::NETWORK;
use crate::shell::Script;

/// The exit status if the network can't be created, or a proxy can't run in it.
pub const FAILED: Status = Status::ProxyFailed;

/// Creates the network on a server where no proxy starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    pub scope: Scope,
}

impl Network {
    pub fn script(&self) -> Script {
        let mut text = self.scope.fence();
        text.push_str(&create());
        Script::new(text)
    }
}

/// Shell lines that create the network if it doesn't exist.
pub(crate) fn create() -> String {
    format!(
        "docker network inspect {NETWORK} >/dev/null 2>&1 || docker network create {NETWORK} >/dev/null || \
         docker network inspect {NETWORK} >/dev/null || exit {FAILED}\n"
    )
}
