//! Replaces kamal-proxy with Traefik.

use bowline_config::Traefik;

use super::NAME;
use super::container::{ADDRESS, Ensure};
use crate::commands::network;
use crate::proxy::takeover::{self, Parts, WAITS};
use crate::request::Direction;
use crate::shell::Script;

/// The configuration of a Traefik that waits for the ports: the same without published ports.
pub fn waiting(traefik: &Traefik) -> Traefik {
    let mut traefik = Traefik { publish: false, ..traefik.clone() };
    traefik.options.retain(|(name, _)| !matches!(name.as_str(), "publish" | "p"));
    traefik.labels.push((WAITS.into(), "yes".into()));
    traefik
}

/// Moves kamal-proxy's ports to the waiting Traefik. Its API shows afterwards whether it routes.
#[derive(Debug, Clone, PartialEq)]
pub struct TakeOver {
    pub ensure: Ensure,
}

impl TakeOver {
    pub fn script(&self) -> Script {
        let ensure = &self.ensure;
        let parts = Parts {
            make: format!(
                "{}{}{}make() {{ {} && mv \"$bowline_written\" \"$bowline_env_file\"; }}\n",
                ensure.write_env_file(),
                network::create(),
                ensure.functions(),
                ensure.make_next()
            ),
            functions: "names() { :; }\nanswers() { sleep 0.2; came_up >/dev/null || back; }\n".into(),
            answer: format!("ask_name {NAME} '{ADDRESS}' && echo \"@address $bowline_said\"\n"),
        };
        let text = takeover::script(Direction::Downgrade, &ensure.scope, &parts);
        Script::new(text).with_input(ensure.secret.input())
    }
}
