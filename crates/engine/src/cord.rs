//! Retiring a container by its cord (S18): cut it, wait until the container is unhealthy and the proxy has let
//! it go, then stop it.
//!
//! Whether requests go to it, and to which address, is what the server says at that moment, not what was planned.

use std::net::IpAddr;
use std::time::Duration;

use bowline_core::commands::app::{HEALTHY, IfHealthy};
use bowline_core::commands::cord::Cut;
use bowline_core::commands::policy::RETURNS;
use bowline_core::plan::{Retire, step::Step};

use crate::error::{Cause, Failure};
use crate::event::Event;
use crate::ports::{Exit, Output, ServerError};
use crate::proxy::Proxy;
use crate::run::fleet::Fleet;

/// What stands in for the proxy's letting go where a container has no cord or stays healthy without one.
const PAUSE: Duration = Duration::from_secs(5);
/// How often a container whose health comes and goes is retired gently; then it is stopped in any case.
const GENTLY: usize = 3;

/// Retires one container. Nothing here is undone when it fails: running the same command again retires what is left.
pub async fn retire(
    fleet: &Fleet,
    host: &str,
    role: &str,
    retire: &Retire,
    proxy: Option<Proxy>,
) -> Result<(), Failure> {
    let retiring = Retiring { fleet, host, role, proxy };
    for attempt in 1.. {
        let mut stop = retire.stop.clone();
        if let Some(cut) = &retire.cut {
            stop.if_healthy = retiring.cut(cut).await?;
        }
        if attempt == GENTLY {
            stop.if_healthy = IfHealthy::Stop;
        }
        match retiring.once_or_twice(&Step::Stop(stop)).await {
            // A check that was under way when the cord was cut made it healthy again.
            Err(failure) if failure.has_status(HEALTHY) => {}
            ended => return ended.map(|output| retiring.tell(&retire.stop.name, &output)),
        }
    }
    Ok(())
}

/// A container of a role that is being retired.
struct Retiring<'a> {
    fleet: &'a Fleet,
    host: &'a str,
    role: &'a str,
    proxy: Option<Proxy>,
}

impl Retiring<'_> {
    /// Cuts its cord and waits until no request goes to it any more; what to do if it is healthy all the same.
    async fn cut(&self, cut: &Cut) -> Result<IfHealthy, Failure> {
        let output = self.once_or_twice(&Step::Cut(cut.clone())).await?;
        let says = |word: &str| output.stdout.lines().any(|line| line.trim_end() == word);
        if says("@gone") {
            return Ok(IfHealthy::Leave);
        }
        if let Some(why) = output.stdout.lines().find_map(|line| line.strip_prefix("@uncut ")) {
            self.note(format!(
                "the cord of {} can't be cut ({why}): it is stopped as one without a cord is, and requests that \
                 arrive meanwhile may have to be sent again",
                cut.name
            ));
            return Ok(IfHealthy::Stop);
        }
        if says("@still-healthy") {
            self.note(format!("{} stayed healthy without its cord; it is stopped after a pause", cut.name));
            tokio::time::sleep(PAUSE).await;
            return Ok(IfHealthy::Stop);
        }
        self.let_go(cut, &addresses(&output.stdout), says("@healthy")).await;
        Ok(IfHealthy::Leave)
    }

    /// Runs a step, and if its connection breaks once more over another one: to do it twice does no harm, and not to
    /// know whether it was done would leave two containers serving.
    async fn once_or_twice(&self, step: &Step) -> Result<Output, Failure> {
        match self.fleet.run(self.host, Some(self.role), step).await {
            Err(Failure { cause: Cause::Server(ServerError::Lost { .. }), .. }) => {
                self.fleet.run(self.host, Some(self.role), step).await
            }
            ended => ended,
        }
    }

    /// Waits until Traefik has let a container go. Where its address isn't known, one that was healthy until now may
    /// have been routed to.
    async fn let_go(&self, cut: &Cut, addresses: &[IpAddr], was_healthy: bool) {
        let Some(proxy) = self.proxy else { return };
        self.fleet.emit(Event::State {
            host: self.host.into(),
            role: self.role.into(),
            state: "waiting for Traefik to let the old container go".into(),
        });
        if addresses.is_empty() && was_healthy {
            tokio::time::sleep(PAUSE).await;
        }
        for address in addresses {
            if let Err(cause) = proxy.let_go_of(self.fleet, self.host, *address).await {
                self.note(format!("Traefik may still route to {}: {cause}", cut.name));
            }
        }
    }

    /// Tells what a stop could not do.
    fn tell(&self, name: &str, output: &Output) {
        let said = |word: &str| output.stdout.lines().find_map(|line| line.strip_prefix(word)).map(str::trim);
        if said("@drain ") == Some("busy") {
            self.note(format!("{name} still had open requests when its time to drain was over"));
        }
        if output.stdout.lines().any(|line| line.trim_end() == "@unseen") {
            self.note(format!(
                "the open requests of {name} could not be seen: it was stopped after a pause. `nsenter`, `ss` and `awk` \
                 on the server show them (Debian: util-linux, iproute2, mawk)"
            ));
        }
        tell_returns(self.fleet, self.host, name, &output.stdout);
        if let Some(directory) = said("@left ") {
            self.note(format!(
                "{directory} belongs to another user and could not be removed; remove it by hand"
            ));
        }
    }

    fn note(&self, text: String) {
        self.fleet.emit(Event::Note { host: Some(self.host.into()), text });
    }
}

/// Tells of a container that is stopped and will come back.
pub(crate) fn tell_returns(fleet: &Fleet, host: &str, name: &str, answer: &str) {
    let Some(policy) = answer.lines().find_map(|line| line.strip_prefix(RETURNS)) else { return };
    let text = format!(
        "{name} is stopped, but its restart policy `{}` could not be changed: it will run again when Docker is restarted",
        policy.trim()
    );
    fleet.emit(Event::Note { host: Some(host.into()), text });
}

/// Where the container was reached last.
fn addresses(answer: &str) -> Vec<IpAddr> {
    let last =
        answer.lines().filter_map(|line| line.strip_prefix("@address ")).next_back().unwrap_or_default();
    last.split_whitespace().filter_map(|address| address.parse().ok()).collect()
}

impl Failure {
    /// Whether a step's script ended with this status.
    pub(crate) fn has_status(&self, status: u32) -> bool {
        matches!(&self.cause, Cause::Command(Output { exit: Exit::Status(ended), .. }) if *ended == status)
    }
}
