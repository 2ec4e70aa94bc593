use bowline_config::diagnostic::Severity;
use bowline_config::show::show;
use bowline_engine::hooks::doubtful;
use bowline_remote::LocalMachine;
use clap::Args;

use crate::exit::{self, Ended};
use crate::hints;
use crate::invocation;
use crate::settings::{Settings, Verbosity, View};
use crate::ui::{json, out};

/// Show the resolved configuration. Secrets appear only by name.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bowline config
  bowline config -d staging")]
pub(crate) struct Config;

impl Config {
    /// Shows it as YAML, with warnings about the secrets it names. Resolves no secret and contacts no server.
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let project = invocation::load_project(settings).await?;
        if settings.view == View::Json {
            out::stdout([json::config(&project.config).to_string()]);
        } else {
            out::stdout([show(&project.config).trim_end()]);
        }
        let secrets = project.doubtful_secrets();
        if settings.verbosity != Verbosity::Quiet {
            out::stderr(secrets.iter().map(|found| found.render(settings.err.0)));
            let paint = settings.err;
            let hooks = doubtful(&LocalMachine::default(), &project.config);
            out::stderr(hooks.iter().flat_map(|hook| {
                let warning = format!("{} {}", paint.yellow("warning:"), hook.text);
                [warning].into_iter().chain(hints::lines(Some(&hook.hint), paint))
            }));
        }
        // A deploy would fail on these files. `--quiet` hides their errors, but not the status.
        let broken = secrets.iter().any(|found| found.iter().any(|one| one.severity == Severity::Error));
        Ok(if broken { exit::USAGE } else { exit::DONE })
    }
}
