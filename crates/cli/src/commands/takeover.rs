//! `upgrade` and `downgrade`: replace one kind of proxy with the other.

use bowline_core::request::Direction;
use bowline_engine::takeover::{self as engine, How};
use clap::Args;

use super::confirm::{Confirm, down};
use super::deploy::carry_out;
use crate::exit::Ended;
use crate::invocation;
use crate::settings::Settings;

/// Move the app from Traefik to kamal-proxy.
#[derive(Debug, Args)]
#[command(
    after_help = "First replace `traefik:` and `healthcheck:` in the configuration with `proxy:`. On each server, Bowline starts kamal-proxy next \
to Traefik, without the ports, and new containers of the current version behind it. When these are healthy, Bowline stops \
Traefik, gives kamal-proxy the ports, and stops the old containers. It prints the downtime of each server. If anything fails \
before Traefik stops, the server keeps Traefik.

Examples:
  bowline upgrade                 # all servers at the same time
  bowline upgrade --rolling -y    # one by one, each serving again before the next"
)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    how: Moving,
}

/// Move the app back from kamal-proxy to Traefik.
#[derive(Debug, Args)]
#[command(
    after_help = "First replace `proxy:` in the configuration with `traefik:` and `healthcheck:`. Otherwise, the command works \
like `bowline upgrade`.

Examples:
  bowline downgrade                 # all servers at the same time
  bowline downgrade --rolling -y    # one by one, each serving again before the next"
)]
pub(crate) struct Downgrade {
    #[command(flatten)]
    how: Moving,
}

#[derive(Debug, Args)]
struct Moving {
    /// One server at a time.
    #[arg(long)]
    rolling: bool,
    /// Continue even if other apps on the servers use the old proxy. They are down until they move too.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    confirm: Confirm,
}

impl Moving {
    fn how(&self) -> How {
        How { rolling: self.rolling, force: self.force }
    }

    /// The question to the user, if the configuration is prepared.
    async fn question(&self, settings: &Settings, direction: Direction) -> Result<String, Ended> {
        let project = invocation::load_project(settings).await?;
        engine::check(&project.config, &settings.options.filters, direction)?;
        Ok(down(self.rolling))
    }
}

impl Upgrade {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let (how, question) = (self.how.how(), self.how.question(settings, Direction::Upgrade));
        let upgrade = carry_out(settings, async |call| engine::upgrade(call, how).await);
        self.how.confirm.before(question, upgrade).await
    }
}

impl Downgrade {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let (how, question) = (self.how.how(), self.how.question(settings, Direction::Downgrade));
        let downgrade = carry_out(settings, async |call| engine::downgrade(call, how).await);
        self.how.confirm.before(question, downgrade).await
    }
}
