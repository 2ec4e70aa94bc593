use bowline_core::plan::change::{Intent, Removal};
use bowline_core::plan::show;
use bowline_core::request::DeployKind;
use bowline_engine as engine;
use bowline_engine::deploy::Planned;
use clap::{Args, Subcommand};

use super::accessory::AccessoryChange;
use super::app::AppChange;
use super::env::Env;
use super::proxy::ProxyChange;
use super::prune::Prune;
use super::remove::Remove;
use super::traefik::TraefikChange;
use crate::args;
use crate::exit::{self, Ended};
use crate::invocation::{Invocation, Subject};
use crate::settings::{Settings, View};
use crate::ui::{Focus, clean, json, out};

/// Show what a command would do on each server, without changing anything.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    override_usage = "bowline plan [OPTIONS] [COMMAND]",
    after_help = "Write `plan` before the command, with the command's arguments and flags. Without a command, it plans a deploy. It runs the \
hook pre-connect, unless you add -H.

Examples:
  bowline plan
  bowline plan redeploy -r worker
  bowline plan rollback 1f3a9c2
  bowline plan --image-archive shop.tar --version 1f3a9c2
  bowline plan app stop -h 10.0.0.4
  bowline plan proxy reboot --rolling
  bowline plan accessory boot all
  bowline plan remove"
)]
pub(crate) struct Plan {
    #[command(subcommand)]
    run: Option<Run>,
    #[command(flatten)]
    image: Image,
}

/// A run that can be planned.
#[derive(Debug, Subcommand)]
enum Run {
    /// Show what a deploy would do.
    Deploy(Image),
    /// Show what a redeploy would do.
    Redeploy(Image),
    /// Show what a rollback would do.
    Rollback {
        /// The version, or at least its first 4 characters [default: the previous version]
        version: Option<String>,
    },
    /// Show what a command of `app` would do.
    #[command(subcommand)]
    App(AppChange),
    /// Show what a command of `accessory` would do.
    #[command(subcommand)]
    Accessory(AccessoryChange),
    /// Show what a command of `proxy` would do.
    #[command(subcommand)]
    Proxy(ProxyChange),
    /// Show what a command of `traefik` would do.
    #[command(subcommand)]
    Traefik(TraefikChange),
    /// Show what a command of `prune` would do.
    #[command(subcommand)]
    Prune(Prune),
    /// Show what `remove` would do.
    Remove(Remove),
    /// Show what a command of `env` would do.
    #[command(subcommand)]
    Env(Env),
}

/// The image that would be deployed.
#[derive(Debug, Default, Args)]
struct Image {
    /// Skip the build and the push.
    #[arg(short = 'P', long, conflicts_with = "image_archive")]
    skip_push: bool,
    /// Plan with the image in FILE (from `docker save`, or an OCI layout).
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath, value_parser = args::existing)]
    image_archive: Option<String>,
}

impl Plan {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        match self.run.unwrap_or(Run::Deploy(self.image)) {
            Run::Deploy(image) => deploy(&image.on(settings), DeployKind::Deploy).await,
            Run::Redeploy(image) => deploy(&image.on(settings), DeployKind::Redeploy).await,
            Run::Rollback { version } => {
                let to = |options: &mut engine::world::Options| {
                    options.version = version.or(options.version.take())
                };
                deploy(&settings.with(to), DeployKind::Rollback).await
            }
            Run::Accessory(wanted) => change(settings, &wanted.intent(), wanted.subject()).await,
            Run::Proxy(wanted) => change(settings, &wanted.intent(), Subject::App).await,
            Run::Traefik(wanted) => change(settings, &wanted.intent(), Subject::App).await,
            Run::Prune(wanted) => change(settings, &wanted.intent(), Subject::App).await,
            Run::Remove(_) => change(settings, &Intent::Remove(Removal::Everything), Subject::App).await,
            Run::Env(wanted) => change(settings, &wanted.intent(), Subject::App).await,
            Run::App(wanted) => change(settings, &wanted.intent(settings), Subject::App).await,
        }
    }
}

impl Image {
    fn on(self, settings: &Settings) -> Settings {
        settings.with(|options| {
            options.skip_push = self.skip_push;
            options.image_archive = self.image_archive;
        })
    }
}

async fn deploy(settings: &Settings, kind: DeployKind) -> Result<u8, Ended> {
    let invocation = Invocation::open(settings, Focus::Result).await?;
    let Planned { plan, expected, unseen } =
        invocation.look(async |call| engine::deploy::plan(call, kind).await).await?;
    if settings.view == View::Json {
        out::stdout([json::plan("plan", &plan, &expected).to_string()]);
    } else {
        out::stdout([clean::lines(&show::with_amounts(&plan, &expected))]);
    }
    unseen.map_or(Ok(exit::DONE), |error| Err(error.into()))
}

async fn change(settings: &Settings, intent: &Intent, subject: Subject<'_>) -> Result<u8, Ended> {
    let invocation = Invocation::open_for(settings, Focus::Result, subject).await?;
    let engine::change::Planned { plan, wrong } =
        invocation.look(async |call| engine::change::plan(call, intent).await).await?;
    if settings.view == View::Json {
        out::stdout([json::change(&plan).to_string()]);
    } else {
        out::stdout([clean::lines(&show::change(&plan))]);
    }
    wrong.map_or(Ok(exit::DONE), |error| Err(error.into()))
}
