//! Retiring a container by its cord (S18): cut it, wait until the container is unhealthy and the proxy has let
//! it go, then stop it.

use std::time::Duration;

use bowline_core::plan::{Retire, step::Step};

use crate::error::{Cause, Failure};
use crate::event::Event;
use crate::fleet::Fleet;
use crate::ports::{Output, ServerError};
use crate::proxy::Proxy;

/// What stands in for the proxy's letting go where a container has no cord or stays healthy without one.
const PAUSE: Duration = Duration::from_secs(5);

/// Retires one container. Nothing here is undone when it fails: the new container serves already, and running
/// the same command again retires what is left.
pub async fn retire(
    fleet: &Fleet,
    host: &str,
    role: &str,
    retire: &Retire,
    proxy: Option<Proxy>,
) -> Result<(), Failure> {
    if let Some(cut) = &retire.cut {
        let step = Step::Cut(cut.clone());
        let output = once_or_twice(fleet, host, role, &step).await?;
        if output.stdout.contains("@still-healthy") {
            fleet.emit(Event::Note {
                host: Some(host.into()),
                text: format!("{} stayed healthy without its cord; it is stopped after a pause", cut.name),
            });
            tokio::time::sleep(PAUSE).await;
        } else if let Some(proxy) = proxy {
            fleet.emit(Event::State {
                host: host.into(),
                role: role.into(),
                state: "waiting for Traefik to let the old container go".into(),
            });
            let_go(fleet, host, retire, proxy, output.stdout.contains("@healthy")).await;
        }
    }
    let step = Step::Stop(retire.stop.clone());
    let output = once_or_twice(fleet, host, role, &step).await?;
    if output.stdout.contains("@drain busy") {
        fleet.emit(Event::Note {
            host: Some(host.into()),
            text: format!("{} still had open requests when its time to drain was over", retire.stop.name),
        });
    }
    Ok(())
}

/// Runs a step, and if its connection breaks once more over another one: to do it twice does no harm, and not to know
/// whether it was done would leave two containers serving.
async fn once_or_twice(fleet: &Fleet, host: &str, role: &str, step: &Step) -> Result<Output, Failure> {
    match fleet.run(host, Some(role), step).await {
        Err(Failure { cause: Cause::Server(ServerError::Lost { .. }), .. }) => {
            fleet.run(host, Some(role), step).await
        }
        ended => ended,
    }
}

/// Waits until Traefik has let a container go. Where nobody knows its address, one that was healthy until now may have
/// been routed to.
async fn let_go(fleet: &Fleet, host: &str, retire: &Retire, proxy: Proxy, was_healthy: bool) {
    match retire.address {
        Some(address) => {
            if let Err(cause) = proxy.let_go_of(fleet, host, address).await {
                fleet.emit(Event::Note {
                    host: Some(host.into()),
                    text: format!("Traefik may still route to {}: {cause}", retire.stop.name),
                });
            }
        }
        None if was_healthy => tokio::time::sleep(PAUSE).await,
        None => {}
    }
}
