//! The network that all apps' containers and their proxies share.

use super::Scope;
use super::status::Status;
use crate::names::NETWORK;
use crate::shell::Script;

/// What a script exits with when the network can't be made, or a proxy can't be run in it.
pub const FAILED: Status = Status::ProxyFailed;

/// Makes sure the network exists, on a server where no proxy is started.
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

/// Shell lines that make the network, unless it is there.
pub(crate) fn create() -> String {
    format!(
        "docker network inspect {NETWORK} >/dev/null 2>&1 || docker network create {NETWORK} >/dev/null || \
         docker network inspect {NETWORK} >/dev/null || exit {FAILED}\n"
    )
}
