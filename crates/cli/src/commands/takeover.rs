//! `upgrade` and `downgrade`: from one kind of proxy to the other.

use bowline_engine::takeover::{self as engine, How};
use clap::Args;

use super::confirm::Confirm;
use super::deploy::carry_out;
use crate::exit::Ended;
use crate::settings::Settings;

/// Move the app from Traefik to kamal-proxy.
#[derive(Debug, Args)]
#[command(
    after_help = "First replace `traefik:` and `healthcheck:` in the configuration with `proxy:`. kamal-proxy starts beside Traefik, \
without its ports, and the current version starts once more behind it. When that is healthy, kamal-proxy gets the \
ports, and Traefik and the old containers go. Bowline prints for how long each server took no requests. If anything \
fails before that, the server keeps Traefik.

Examples:
  bowline upgrade                 all servers at once
  bowline upgrade --rolling -y    one by one, each serving again before the next"
)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    how: Moving,
}

/// Move the app back from kamal-proxy to Traefik.
#[derive(Debug, Args)]
#[command(
    after_help = "First replace `proxy:` in the configuration with `traefik:` and `healthcheck:`. Otherwise it works \
like `bowline upgrade`.

Examples:
  bowline downgrade                 all servers at once
  bowline downgrade --rolling -y    one by one, each serving again before the next"
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
    /// Go on even if other apps on the servers use the old proxy.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    confirm: Confirm,
}

impl Moving {
    fn how(&self) -> How {
        How { rolling: self.rolling, force: self.force }
    }

    fn question(&self) -> String {
        let takes = "for a moment, while one proxy stops and the other starts";
        if self.rolling {
            format!("Each server in turn takes no requests {takes}. Are you sure?")
        } else {
            format!(
                "All servers at once take no requests {takes} (`--rolling`: one after the other). Are you sure?"
            )
        }
    }
}

impl Upgrade {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let (how, question) = (self.how.how(), self.how.question());
        let upgrade = carry_out(settings, async |world, project, options| {
            engine::upgrade(world, project, options, how).await
        });
        self.how.confirm.before(async { Ok(question) }, upgrade).await
    }
}

impl Downgrade {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let (how, question) = (self.how.how(), self.how.question());
        let downgrade = carry_out(settings, async |world, project, options| {
            engine::downgrade(world, project, options, how).await
        });
        self.how.confirm.before(async { Ok(question) }, downgrade).await
    }
}
