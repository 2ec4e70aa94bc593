//! The commands that list containers and images: `details`, `app details`, `app containers`, `app images`.

use bowline_engine as engine;
use bowline_engine::listing::Listing;
use clap::Args;

use super::look;
use crate::exit::Ended;
use crate::settings::Settings;

/// Show the proxy, the running containers and the accessories on each server.
#[derive(Debug, Args)]
pub(crate) struct Details;

impl Details {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        list(settings, Listing::Everything).await
    }
}

pub(super) async fn list(settings: &Settings, listing: Listing) -> Result<u8, Ended> {
    look(settings, async |call| engine::listing::list(call, listing).await).await
}
