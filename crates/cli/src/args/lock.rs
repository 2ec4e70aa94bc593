//! `lock …`.

use clap::Subcommand;

/// `lock …`.
#[derive(Debug, Subcommand)]
pub enum Lock {
    /// Show who holds the deploy lock, on which server, since when and why.
    #[command(
        after_help = "A run takes the lock on the first of its servers, so with filters it may be on any: all are looked at.
`bowline lock release -h HOST` releases one that isn't on the first.

Examples:
  bowline lock status
  bowline lock status -d staging"
    )]
    Status,
    /// Take the deploy lock: no deploy starts until it is released.
    #[command(after_help = "Examples:
  bowline lock acquire -m 'database maintenance until noon'")]
    Acquire {
        /// The reason, which is shown to everyone who waits for it.
        #[arg(short, long, value_name = "TEXT")]
        message: String,
    },
    /// Release the deploy lock, even if another run holds it.
    Release,
}
