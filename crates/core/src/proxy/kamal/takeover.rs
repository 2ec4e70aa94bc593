//! Replaces Traefik with kamal-proxy.

use super::container::{Ensure, answers};
use super::service::services;
use crate::commands::network;
use crate::proxy::takeover::{self, Direction, Parts, Ports};
use crate::shell::Script;

/// The one that waits takes Traefik's ports, with the services that it has by then.
#[derive(Debug, Clone, PartialEq)]
pub struct TakeOver {
    /// The one that has the ports.
    pub ensure: Ensure,
}

impl TakeOver {
    /// Prints [`super::Answer`].
    pub fn script(&self) -> Script {
        let ensure = Ensure { ports: Ports::Published, ..self.ensure.clone() };
        let parts = Parts {
            made: network::create() + &ensure.ready_to_make(),
            functions: services()
                + "names() { services 2>/dev/null | awk '{ print $1 }' | tr '\\n' ' '; }\nsilent() { back; }\nanswers() {\n"
                + &answers()
                + "}\n",
            told: String::new(),
        };
        Script::new(takeover::script(Direction::Upgrade, &ensure.scope, &parts))
    }
}
