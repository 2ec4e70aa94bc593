//! Retiring a container by its cord (S18): cut it, wait until the container is unhealthy and the proxy has let
//! it go, then stop it.

use std::time::Duration;

use bowline_core::plan::{Retire, step::Step};

use crate::error::Failure;
use crate::event::Event;
use crate::fleet::Fleet;
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
        let output = fleet.run(host, Some(role), &step).await?;
        if output.stdout.contains("@still-healthy") {
            fleet.emit(Event::Note {
                host: Some(host.into()),
                text: format!("{} stayed healthy without its cord; it is stopped after a pause", cut.name),
            });
            tokio::time::sleep(PAUSE).await;
        } else if let (Some(proxy), Some(address)) = (proxy, retire.address) {
            fleet.emit(Event::State {
                host: host.into(),
                role: role.into(),
                state: "waiting for Traefik to let the old container go".into(),
            });
            if let Err(cause) = proxy.let_go_of(fleet, host, address).await {
                fleet.emit(Event::Note {
                    host: Some(host.into()),
                    text: format!("Traefik may still route to {}: {cause}", cut.name),
                });
            }
        }
    }
    let step = Step::Stop(retire.stop.clone());
    let output = fleet.run(host, Some(role), &step).await?;
    if output.stdout.contains("@drain busy") {
        fleet.emit(Event::Note {
            host: Some(host.into()),
            text: format!("{} still had open requests when its time to drain was over", retire.stop.name),
        });
    }
    Ok(())
}
