//! Replaces the container of a proxy or an accessory. The new one is created before the old one stops. If the new one
//! doesn't come up, the old one is restored.

use super::status::Status::{self, PortTaken};
use super::{answer, ask, policy, published};
use crate::shell::quote;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Replacement<'a> {
    pub name: &'a str,
    /// The new container's name until the old one has stopped.
    pub next: &'a str,
    /// The old container's name until the new one has come up.
    pub old: &'a str,
    /// The container whose ports the new one takes over.
    pub gives: &'a str,
    /// How long the old container may take to stop, in seconds. `None` uses its own limit.
    pub stop_wait: Option<u32>,
    pub failed: Status,
}

impl Replacement<'_> {
    /// Shell lines that define the functions of `replacement.sh` and what they need.
    pub(crate) fn functions(self) -> String {
        let [name, next, old, gives] = [self.name, self.next, self.old, self.gives].map(quote);
        format!(
            "bowline_name={name} bowline_next={next} bowline_old={old} bowline_gives={gives} bowline_stop_wait={stop_wait}\n\
             bowline_failed={failed} bowline_port_taken={PortTaken} bowline_format={format}\n{ask}{policy}{published}{functions}",
            stop_wait = self.stop_wait.map(|seconds| seconds.to_string()).unwrap_or_default(),
            failed = self.failed,
            format = quote(policy::FORMAT),
            ask = ask::functions(),
            policy = policy::function(),
            published = published::functions(),
            functions = answer::sent(include_str!("replacement.sh")),
        )
    }
}
