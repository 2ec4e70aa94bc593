//! Sends the app's own image to servers of accessories that use it, if there is no registry.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bowline_core::commands::registry::Receive;
use bowline_core::commands::status::Status;
use bowline_core::plan::change::{Brings, Stage};
use bowline_core::plan::step::Step;
use futures_util::future::join_all;

use crate::error::Failure;
use crate::event::Event;
use crate::image::send;
use crate::run::work::Crew;

/// Sends an image to the servers of a stage. Returns the failures by server.
pub(crate) async fn bring(crew: Crew<'_>, brings: &Brings, stage: &Stage) -> BTreeMap<String, Failure> {
    let failures = Mutex::new(Vec::new());
    let failed = |failure| failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    let hosts: Vec<&str> = stage.pieces.iter().map(|piece| piece.host.as_str()).collect();
    let hosts = if brings.always { hosts } else { lacking(crew, &brings.receive, &hosts, &failed).await };
    if !hosts.is_empty() {
        let images = crew.call.world.images.as_ref();
        let sent = send::to_all(images, crew.fleet, &brings.receive, &hosts, &failed).await;
        let sent = sent.into_iter().map(|(host, _, bytes)| (host.to_owned(), bytes)).collect();
        crew.fleet.emit(Event::Sent(sent));
    }
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.into_iter().map(|failure| (failure.host.clone(), failure)).collect()
}

async fn lacking<'h>(
    crew: Crew<'_>,
    receive: &Receive,
    hosts: &[&'h str],
    failed: &(dyn Fn(Failure) + Sync),
) -> Vec<&'h str> {
    let step = Step::Receive(receive.clone());
    let looked = join_all(hosts.iter().map(|host| crew.fleet.run(host, None, &step))).await;
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
