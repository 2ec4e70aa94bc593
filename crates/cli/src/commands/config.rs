//! `config`: what the files amount to, without asking any server.

use crate::exit::{self, Ended};
use crate::session;
use crate::settings::Settings;
use crate::ui::out;
use bowline_core::config::show::show;

/// Shows the configuration as YAML.
pub(super) async fn run(settings: &Settings) -> Result<u8, Ended> {
    let (project, _) = session::load_project(settings).await?;
    out::stdout([show(&project.config).trim_end()]);
    Ok(exit::DONE)
}
