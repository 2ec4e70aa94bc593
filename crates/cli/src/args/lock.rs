//! `lock …`.

use clap::Subcommand;

/// `lock …`.
#[derive(Debug, Subcommand)]
pub enum Lock {
    /// Show who holds the deploy lock, since when and why.
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
