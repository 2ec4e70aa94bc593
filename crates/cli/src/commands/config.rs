//! `config`: what the files amount to, without asking any server.

use crate::exit::{self, Ended};
use crate::session;
use crate::settings::{Settings, Verbosity};
use crate::ui::out;
use bowline_core::config::show::show;

/// Shows the configuration as YAML, and what is doubtful about the secrets it names; none is worked out.
pub(super) async fn run(settings: &Settings) -> Result<u8, Ended> {
    let (project, _) = session::load_project(settings).await?;
    out::stdout([show(&project.config).trim_end()]);
    if settings.verbosity != Verbosity::Quiet {
        out::stderr(project.doubtful_secrets().iter().map(|found| found.render(settings.err.0)));
    }
    Ok(exit::DONE)
}
