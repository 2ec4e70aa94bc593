//! The commands that deploy a version: `setup`, `deploy`, `redeploy`, `rollback`, `app boot`.

use bowline_core::request::DeployKind;
use bowline_engine as engine;
use clap::Args;

use super::build::{Archive, Cache};
use crate::exit::{self, Ended};
use crate::invocation::{Invocation, Work};
use crate::settings::Settings;
use crate::ui::Focus;

#[derive(Debug, Args)]
pub(crate) struct Push {
    /// Don't build or push: use an existing image of this version.
    #[arg(short = 'P', long, conflicts_with = "image_archive")]
    pub(crate) skip_push: bool,
    #[command(flatten)]
    archive: Archive,
    #[command(flatten)]
    cache: Cache,
}

impl Push {
    fn on(&self, settings: &Settings) -> Settings {
        self.archive.on(&self.cache.on(settings)).with(|options| options.skip_push = self.skip_push)
    }
}

/// Prepare new servers, install Docker where it is missing, and deploy to them.
#[derive(Debug, Args)]
#[command(
    after_help = "Runs `server bootstrap`, `accessory boot all` and `deploy` under one lock. It leaves running accessories and \
existing Docker installations alone, so on servers that are already set up it does the same as `deploy`.

Examples:
  bowline setup
  bowline setup -P --version VERSION     # a new server gets the others' version"
)]
pub(crate) struct Setup {
    #[command(flatten)]
    push: Push,
}

impl Setup {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        carry_out(&self.push.on(settings), engine::setup::setup).await
    }
}

/// Build the app, push its image, and deploy it to all servers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bowline deploy                         # the version in git
  bowline deploy -d staging              # to another destination
  bowline deploy -P --version VERSION    # an existing image
  bowline deploy --image-archive shop.tar --version 1f3a9c2    # built elsewhere, without a registry
  bowline deploy -h 10.0.0.3 -v          # to one server, showing every command")]
pub(crate) struct Deploy {
    #[command(flatten)]
    pub(crate) push: Push,
}

impl Deploy {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        deploy(&self.push.on(settings), DeployKind::Deploy).await
    }
}

/// Deploy with new containers on every server, without pruning.
#[derive(Debug, Args)]
#[command(
    after_help = "After a failed deploy, `deploy` skips servers that already run the version. `redeploy` doesn't: it always replaces \
the containers. It doesn't remove old containers and images.

Examples:
  bowline redeploy
  bowline redeploy -P --version VERSION"
)]
pub(crate) struct Redeploy {
    #[command(flatten)]
    push: Push,
}

impl Redeploy {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        deploy(&self.push.on(settings), DeployKind::Redeploy).await
    }
}

/// Go back to a version whose containers are still on the servers.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bowline rollback             # to the previous version
  bowline rollback 1f3a9c2     # to this version")]
pub(crate) struct Rollback {
    /// The version, or at least its first 4 characters [default: the previous version]
    version: Option<String>,
}

impl Rollback {
    /// Rolls back to the given version, the one in `--version`, or else the previous one.
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let version = self.version.or_else(|| settings.options.version.clone());
        carry_out(settings, async |call| engine::deploy::rollback(call, version).await).await
    }
}

pub(super) async fn deploy(settings: &Settings, kind: DeployKind) -> Result<u8, Ended> {
    carry_out(settings, async |call| engine::deploy::deploy(call, kind).await).await
}

pub(super) async fn carry_out(settings: &Settings, work: impl Work<()>) -> Result<u8, Ended> {
    Invocation::open(settings, Focus::Progress).await?.run(work).await?;
    Ok(exit::DONE)
}
