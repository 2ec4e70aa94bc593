use bowline_core::plan::{Kind, show};
use bowline_engine as engine;
use bowline_engine::deploy::Planned;
use clap::{Args, ValueEnum};

use crate::exit::{self, Ended};
use crate::hints;
use crate::session::Session;
use crate::settings::{Settings, View};
use crate::ui::{Focus, clean, json, out};

/// Show what a deploy would do on each server, without changing anything.
#[derive(Debug, Args)]
#[command(after_help = "It runs the hook pre-connect, unless you add -H.

Examples:
  bowline plan
  bowline plan redeploy -r worker
  bowline plan rollback 1f3a9c2
  bowline plan --image-archive shop.tar --version 1f3a9c2")]
pub(crate) struct Plan {
    /// What to plan.
    #[arg(value_enum, value_name = "RUN", default_value = "deploy")]
    run: Run,
    /// The version to roll back to.
    #[arg(value_name = "VERSION")]
    to: Option<String>,
    /// Leave out the build and the push.
    #[arg(short = 'P', long, conflicts_with = "image_archive")]
    skip_push: bool,
    /// Plan with the image in FILE: what `docker save` writes, or an OCI layout.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    image_archive: Option<String>,
}

/// A run that can be planned.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Run {
    /// A deploy.
    Deploy,
    /// A redeploy.
    Redeploy,
    /// A rollback.
    Rollback,
}

impl Plan {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let kind = match (self.run, &self.to) {
            (Run::Rollback, _) => Kind::Rollback,
            (_, Some(version)) => {
                let message = format!("only a rollback goes to a named version, but `{version}` is given");
                return Err(exit::usage(message, hints::deploy_version(version)).into());
            }
            (Run::Deploy, None) => Kind::Deploy,
            (Run::Redeploy, None) => Kind::Redeploy,
        };
        if kind == Kind::Rollback && self.image_archive.is_some() {
            let message = "a rollback goes to a version that servers have; it takes no `--image-archive`";
            let hint = "leave it out, or plan a deploy: `bowline plan --image-archive FILE`";
            return Err(exit::usage(message, hint.to_owned()).into());
        }
        let settings = settings.with(|options| {
            options.skip_push = self.skip_push;
            options.image_archive = self.image_archive;
            options.version = self.to.or(options.version.take());
        });
        let session = Session::open(&settings, Focus::Result).await?;
        let Planned { plan, expected, unseen } =
            session.look(async |call| engine::deploy::plan(call, kind).await).await?;
        if settings.view == View::Json {
            out::stdout([json::plan("plan", &plan, &expected).to_string()]);
        } else {
            out::stdout([clean::lines(&show::with_amounts(&plan, &expected))]);
        }
        match unseen {
            Some(error) => Err(error.into()),
            None => Ok(exit::DONE),
        }
    }
}
