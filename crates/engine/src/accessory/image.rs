//! Accessories with the app's own image, without a registry: this machine sends the image, as for the app.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bowline_config::{Accessory, Config};
use bowline_core::commands::registry::Receive;
use bowline_core::commands::status::Status;
use bowline_core::plan::accessory as planning;
use bowline_core::plan::step::Step;
use bowline_core::selection::Accessories;
use futures_util::future::join_all;

use super::{Held, How};
use crate::error::Failure;
use crate::event::Event;
use crate::image::send;
use crate::run::change::Told;

/// Why an accessory's image didn't get to a server.
pub(super) type Missing = BTreeMap<(String, String), Failure>;

/// Sends the app's image to the servers whose accessories use it and that lack it.
pub(super) async fn bring(
    held: Held<'_>,
    config: &Config,
    accessories: &Accessories<'_>,
    how: How,
) -> Missing {
    let mut missing = Missing::new();
    for (accessory, hosts) in &accessories.placed {
        let Some(receive) = planning::receive(config, held.scope, accessory) else { continue };
        let hosts: Vec<&str> = hosts.iter().copied().filter(|host| held.hosts.contains(host)).collect();
        let failures = Mutex::new(Vec::new());
        let failed = |failure| failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
        // What a server has is good enough for a container that isn't there yet.
        let hosts = match how {
            How::Boot => lacking(held, &receive, &hosts, &failed).await,
            How::Replace => hosts,
        };
        if !hosts.is_empty() {
            let images = held.world.images.as_ref();
            let sent = send::to_all(images, held.fleet, &receive, &hosts, &failed).await;
            let sent = sent.into_iter().map(|(host, _, bytes)| (host.to_owned(), bytes)).collect();
            held.fleet.emit(Event::Sent(sent));
        }
        for failure in failures.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let failure = Failure { role: Some(accessory.name.clone()), ..failure };
            missing.insert((accessory.name.clone(), failure.host.clone()), failure);
        }
    }
    missing
}

/// Those of the servers that don't have the image.
async fn lacking<'h>(
    held: Held<'_>,
    receive: &Receive,
    hosts: &[&'h str],
    failed: &(dyn Fn(Failure) + Sync),
) -> Vec<&'h str> {
    let step = Step::Receive(receive.clone());
    let looked = join_all(hosts.iter().map(|host| held.fleet.run(host, None, &step))).await;
    let lacks = |(host, looked): (&&'h str, Result<_, Failure>)| match looked {
        Ok(_) => None,
        Err(failure) if failure.has_status(Status::NoSuchImage) => Some(*host),
        Err(failure) => {
            failed(failure.explained());
            None
        }
    };
    hosts.iter().zip(looked).filter_map(lacks).collect()
}

/// The same accessories, without those that lack their image.
pub(super) fn unless(
    missing: &Missing,
    work: impl AsyncFn(&Accessory, &str) -> Told,
) -> impl AsyncFn(&Accessory, &str) -> Told {
    async move |accessory: &Accessory, host: &str| match missing
        .get(&(accessory.name.clone(), host.to_owned()))
    {
        Some(failure) => Err(failure.clone()),
        None => work(accessory, host).await,
    }
}
