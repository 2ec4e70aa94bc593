//! Replaces Traefik with kamal-proxy.

use super::NAME;
use super::container::{Ensure, NEXT, functions, mounted};
use crate::commands::network;
use crate::proxy::takeover::{self, Parts, Ports};
use crate::request::Direction;
use crate::shell::{Line, Script};

/// How long to wait for the temporary proxy that removes services, in tenths of a second.
const TRIES: u32 = 50;

/// Moves Traefik's ports to the waiting proxy, with the services that it has by then.
#[derive(Debug, Clone, PartialEq)]
pub struct TakeOver {
    pub ensure: Ensure,
}

impl TakeOver {
    pub fn script(&self) -> Script {
        let ensure = Ensure { ports: Ports::Published, ..self.ensure.clone() };
        let parts = Parts {
            make: network::create() + &ensure.ready_to_make(),
            functions: functions() + "silent() { back; }\n",
            answer: String::new(),
        };
        Script::new(takeover::script(Direction::Upgrade, &ensure.scope, &parts))
    }
}

/// Shell lines that remove services from a stopped proxy. Otherwise, it would route to containers that no longer exist
/// when it is booted again. A temporary proxy with the same volume and no network does this. Failures are ignored.
pub(crate) fn forget(services: &[String]) -> String {
    if services.is_empty() {
        return String::new();
    }
    let run = Line::new("docker").words(["run", "--detach", "--name", NEXT, "--network", "none"]);
    let run = mounted(run).var("bowline_image");
    let ask = |words: &[&str]| Line::new("docker").words(["exec", NEXT, NAME]).words(words.iter().copied());
    let remove: String =
        services.iter().map(|service| format!("{} >/dev/null 2>&1\n", ask(&["remove", service]))).collect();
    format!(
        "bowline_image=$(docker container inspect --format '{{{{.Image}}}}' {NAME} 2>/dev/null)\n\
         docker container rm --force {NEXT} >/dev/null 2>&1\n\
         if [ -n \"$bowline_image\" ] && {run} >/dev/null 2>&1; then\n\
         bowline_tries={TRIES}\n\
         until {list} >/dev/null 2>&1 || [ $((bowline_tries -= 1)) -le 0 ]; do sleep 0.1; done\n\
         {remove}\
         docker container rm --force {NEXT} >/dev/null 2>&1\n\
         fi\n",
        list = ask(&["list"]),
    )
}
