use bowline_engine::run::lock;
use clap::Subcommand;

use super::show;
use crate::exit::{self, Ended};
use crate::invocation::{Invocation, Subject};
use crate::settings::Settings;
use crate::ui::Focus;
use crate::ui::results::say;

/// Show, take or release the deploy lock.
#[derive(Debug, Subcommand)]
pub(crate) enum Lock {
    /// Show who holds the deploy lock, on which server, since when and why.
    #[command(
        after_help = "A run takes the lock on the first of its servers, so with filters it can be on any server. This command checks \
all of them.

Examples:
  bowline lock status
  bowline lock status -d staging"
    )]
    Status,
    /// Take the deploy lock, so that no deploy starts until you release it.
    #[command(after_help = "Examples:
  bowline lock acquire -m 'database maintenance until noon'")]
    Acquire {
        /// The reason, shown to users whose runs find the lock taken.
        #[arg(short, long, value_name = "TEXT")]
        message: String,
    },
    /// Release the deploy lock, even if another run holds it.
    #[command(
        after_help = "A run that is still going stops before its next change. With `-h HOST`, Bowline releases a lock that isn't on the \
first server: `bowline lock status` shows where it is.

Examples:
  bowline lock release
  bowline lock release -h 10.0.0.4"
    )]
    Release,
}

const NONE: &str = "There is no deploy lock";

impl Lock {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let invocation = Invocation::open(settings, Focus::Result).await?;
        match self {
            Lock::Status => {
                let held = invocation.look(lock::status).await?;
                if held.outputs.is_empty() && held.failures.is_empty() {
                    say(settings, NONE);
                }
                return show(settings, Subject::App, &held);
            }
            Lock::Acquire { message } => {
                invocation.run(async |call| lock::acquire(call, &message).await).await?;
                say(settings, "Acquired the deploy lock");
            }
            Lock::Release => match invocation.run(lock::release).await? {
                (_, true) => say(settings, "Released the deploy lock"),
                (host, false) => say(settings, &format!("{NONE} on {host}")),
            },
        }
        Ok(exit::DONE)
    }
}
