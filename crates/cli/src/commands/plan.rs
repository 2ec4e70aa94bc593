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
#[command(after_help = "Examples:
  bowline plan
  bowline plan redeploy -r worker
  bowline plan rollback 1f3a9c2")]
pub(crate) struct Plan {
    /// What to plan.
    #[arg(value_enum, value_name = "RUN", default_value = "deploy")]
    run: Run,
    /// The version to roll back to.
    #[arg(value_name = "VERSION")]
    to: Option<String>,
    /// Leave out the build and the push.
    #[arg(short = 'P', long)]
    skip_push: bool,
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
        let settings = settings.with(|options| {
            options.skip_push = self.skip_push;
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
