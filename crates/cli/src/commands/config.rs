//! `config`: what the files amount to, without asking any server.

use crate::exit::{self, Ended};
use crate::settings::Settings;
use crate::ui::out;
use crate::{session, wire};

/// Shows the configuration as YAML.
pub(super) async fn run(settings: &Settings) -> Result<u8, Ended> {
    let (project, _) = session::load(settings).await?;
    out::stdout([wire::show_config(&project).trim_end()]);
    Ok(exit::DONE)
}
