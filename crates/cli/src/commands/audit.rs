use bowline_engine as engine;
use clap::Args;

use super::look;
use crate::exit::Ended;
use crate::settings::Settings;

/// Show who did what on each server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bowline audit
  bowline audit -n 200 -h 10.0.0.1")]
pub(crate) struct Audit {
    /// Lines to show per server.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: usize,
}

impl Audit {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        look(settings, async |call| engine::audit::audit(call, self.lines).await).await
    }
}
