//! Detaching a container by its cord (S18): cut it, wait until the container is unhealthy and Traefik has let it go.
//!
//! Whether requests go to it, and to which address, is what the server says at that moment, not what was planned.

use std::net::IpAddr;

use bowline_core::commands::app::IfHealthy;
use bowline_core::proxy::cord::{Answer, Cut, End};
use bowline_core::proxy::traefik;

use super::api::PAUSE;
use super::{Client, step};
use crate::error::Failure;
use crate::event::Event;
use crate::proxy::At;
use crate::run::retire::once_or_twice;

/// A container of a role that is being retired.
pub(super) struct Cutting<'a> {
    pub(super) at: At<'a>,
    pub(super) role: &'a str,
    /// None that doesn't run has to let it go.
    pub(super) traefik: Option<Client>,
}

impl Cutting<'_> {
    /// Cuts its cord and waits until no request goes to it any more; what to do if it is healthy all the same: a check
    /// that was under way when the cord was cut makes it so again.
    pub(super) async fn cut(&self, cut: &Cut) -> Result<IfHealthy, Failure> {
        let At { fleet, host } = self.at;
        let step = step(traefik::Step::Cut(cut.clone()));
        let output = once_or_twice(fleet, host, self.role, &step).await?;
        let answer: Answer =
            output.answer().map_err(|error| fleet.failed(host, Some(self.role), &step, error.into()))?;
        match answer.end {
            End::Gone => Ok(IfHealthy::Leave),
            End::Uncut(why) => {
                self.at.note(format!(
                    "the cord of {} can't be cut ({why}): it is stopped as one without a cord is, and requests that \
                     arrive meanwhile may have to be sent again",
                    cut.name
                ));
                Ok(IfHealthy::Stop)
            }
            End::StillHealthy => {
                self.at.note(format!(
                    "{} stayed healthy without its cord; it is stopped after a pause",
                    cut.name
                ));
                tokio::time::sleep(PAUSE).await;
                Ok(IfHealthy::Stop)
            }
            End::Unhealthy => {
                self.let_go(cut, &answer.addresses, answer.was_healthy).await;
                Ok(IfHealthy::Leave)
            }
        }
    }

    /// Waits until Traefik has let a container go. Where its address isn't known, one that was healthy until now may
    /// have been routed to.
    async fn let_go(&self, cut: &Cut, addresses: &[IpAddr], was_healthy: bool) {
        let Some(client) = self.traefik else { return };
        self.at.fleet.emit(Event::State {
            host: self.at.host.into(),
            role: self.role.into(),
            state: "waiting for Traefik to let the old container go".into(),
        });
        if addresses.is_empty() && was_healthy {
            tokio::time::sleep(PAUSE).await;
        }
        for address in addresses {
            if let Err(cause) = client.let_go_of(self.at, *address).await {
                self.at.note(format!("Traefik may still route to {}: {cause}", cut.name));
            }
        }
    }
}
