//! Detaches a container by its cord: cuts it, and waits until the container is unhealthy and Traefik no longer routes
//! to it.
//!
//! Whether requests go to the container, and to which address, is observed on the server at that moment, not taken from
//! the plan.

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

pub(super) struct Cutting<'a> {
    pub(super) at: At<'a>,
    pub(super) role: &'a str,
    /// `None` if Traefik doesn't run, and so has no routes to remove.
    pub(super) traefik: Option<Client>,
}

impl Cutting<'_> {
    /// Cuts the cord, and waits until no request goes to the container. Returns what to do if the container is healthy
    /// nevertheless: a health check that was running when the cord was cut can make it healthy again.
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
                    "the cord of {} can't be cut ({why}): Traefik routes to it until it stops, and requests \
                     that arrive meanwhile may fail",
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

    /// Waits until Traefik no longer routes to a container. If its address is unknown and it was healthy until now,
    /// pauses, because it may have been routed to.
    async fn let_go(&self, cut: &Cut, addresses: &[IpAddr], was_healthy: bool) {
        let Some(client) = self.traefik else { return };
        self.at.fleet.emit(Event::State {
            host: self.at.host.into(),
            role: self.role.into(),
            state: "waiting for Traefik to stop routing to the old container".into(),
        });
        if addresses.is_empty() && was_healthy {
            tokio::time::sleep(PAUSE).await;
        }
        for address in addresses {
            if let Err(cause) = client.let_go_of(self.at, *address, &cut.protocols).await {
                self.at.note(format!("Traefik may still route to {}: {cause}", cut.name));
            }
        }
    }
}
