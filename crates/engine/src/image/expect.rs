//! Predicts, for a plan, which parts of an image a run would send to servers.

use bowline_core::commands::registry::{self, Held, Layers, Receive};
use bowline_core::plan::Plan;
use bowline_core::plan::delivery::{AllExpected, Delivery, Expected};
use bowline_core::plan::step::Step;
use futures_util::future::join_all;

use crate::event::Event;
use crate::ports::{Given, Variant};
use crate::run::fleet::Fleet;
use crate::world::World;

/// Asks every server that would get the image from this machine, either the given image or the stored one. Changes nothing.
pub(crate) async fn expected(
    world: &World,
    fleet: &Fleet,
    plan: &Plan,
    builds: bool,
    given: Option<Box<dyn Given>>,
) -> AllExpected {
    let receive = |delivery: &Option<Delivery>| match delivery {
        Some(Delivery::Send(receive)) => Some(receive.clone()),
        _ => None,
    };
    let to = plan.servers.iter().filter_map(|server| Some((server.host.clone(), receive(&server.delivery)?)));
    let to: Vec<(String, Receive)> = to.collect();
    let Some((_, receive)) = to.first() else { return AllExpected::new() };
    let variants = match given {
        Some(given) => given.variants(),
        None => kept(world, receive).await,
    };
    let images: Vec<Layers> = variants.into_iter().map(|variant| variant.image).collect();
    let hosts = to.iter().map(|(host, _)| host.as_str());
    if images.is_empty() {
        let why = if builds { Expected::Unbuilt } else { Expected::Absent };
        return hosts.map(|host| (host.to_owned(), why.clone())).collect();
    }
    join_all(hosts.map(|host| of_server(fleet, host, &images))).await.into_iter().collect()
}

async fn kept(world: &World, receive: &Receive) -> Vec<Variant> {
    let opened = world.images.open(&receive.image, &receive.offered()).await.unwrap_or_else(|text| {
        world.events.emit(Event::Note { host: None, text });
        None
    });
    opened.map(|image| image.variants()).unwrap_or_default()
}

async fn of_server(fleet: &Fleet, host: &str, images: &[Layers]) -> (String, Expected) {
    let step = Step::Run("list the layers on the server", registry::held(images));
    let expected = match fleet.ask::<Held>(host, None, &step).await {
        Ok(held) => Expected::of(images, &held),
        Err(failure) => Expected::Unasked(failure.explained().cause.to_string()),
    };
    (host.to_owned(), expected)
}
