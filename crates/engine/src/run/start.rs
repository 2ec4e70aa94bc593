//! Starts a container again, in a deploy that goes back and in `app start`.

use std::net::IpAddr;

use bowline_core::commands::app;
use bowline_core::commands::ready::Event as Heard;
use bowline_core::plan::step::Step;
use bowline_core::proxy::{Attach, ProxyKind};

use crate::error::{Cause, Failure};
use crate::proxy::{At, Proxy, Seen, Target, wait_for};
use crate::run::health;

/// A role on a server, and a function that reports its container's state.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'a> {
    pub at: At<'a>,
    pub role: &'a str,
    pub tell: &'a (dyn Fn(&str) + Sync),
}

impl Spot<'_> {
    /// Starts a container, and waits until requests reach it. Returns how often Docker had to restart it.
    pub(crate) async fn start(self, again: &app::Start, proxy: &dyn Proxy) -> Result<u32, Failure> {
        let step = Step::Start(Box::new(again.clone()));
        let (addresses, restarts) = self.ready(&step, &again.name, again.timeout).await?;
        let ready = Target { role: None, id: &again.id, addresses: &addresses };
        match self.attach(&again.attach, ready, proxy).await? {
            Seen::Registered { restarts } => Ok(restarts),
            Seen::Routed | Seen::Unseen => Ok(restarts),
        }
    }

    /// Runs a step that waits until a container is ready. Returns its addresses, and how often Docker restarted it.
    pub(crate) async fn ready(
        self,
        step: &Step,
        container: &str,
        timeout: u64,
    ) -> Result<(Vec<IpAddr>, u32), Failure> {
        let on_line = |line: &str| {
            if let Some(state) = Heard::heard(line).and_then(|heard| heard.describe()) {
                (self.tell)(&state);
            }
        };
        let output = self.at.fleet.run_watched(self.at.host, Some(self.role), step, &on_line).await?;
        let restarts = health::restarts(&output);
        let addresses = health::outcome(container, timeout, output)
            .map_err(|cause| self.failure(&step.describe(), cause))?;
        Ok((addresses, restarts))
    }

    pub(crate) async fn attach(
        self,
        to: &Attach,
        container: Target<'_>,
        proxy: &dyn Proxy,
    ) -> Result<Seen, Failure> {
        let kind = to.kind();
        let container = Target { role: Some(self.role), ..container };
        if kind != ProxyKind::None {
            (self.tell)(&format!("waiting for {} to route to it", kind.name()));
        }
        proxy.attach(to, container).await.map_err(|cause| self.failure(&wait_for(kind), cause))
    }

    pub(crate) fn failure(self, doing: &str, cause: Cause) -> Failure {
        Failure::new(self.at.host, Some(self.role), doing, cause)
    }
}
