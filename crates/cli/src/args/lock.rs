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
    /// Take the deploy lock, so that nobody deploys until it is released.
    #[command(after_help = "Examples:
  bowline lock acquire -m 'database maintenance until noon'")]
    Acquire {
        /// Why, for whoever finds it held.
        #[arg(short, long, value_name = "TEXT")]
        message: String,
    },
    /// Give the deploy lock back, whoever holds it.
    Release,
}
