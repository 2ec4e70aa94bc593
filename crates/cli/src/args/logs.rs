//! What `logs` takes, of the app and of all else.

use clap::Args;

/// `logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// Only lines since then: a time (2026-01-31T12:00:00) or how long ago (30m).
    #[arg(short, long, value_name = "TIME")]
    pub since: Option<String>,
    /// The last N lines; 100, or 10 with -f, unless -s or -g is given.
    #[arg(short = 'n', long, value_name = "N")]
    pub lines: Option<usize>,
    /// Only lines that match this pattern of grep.
    #[arg(short, long, value_name = "PATTERN")]
    pub grep: Option<String>,
    /// More flags for grep: `-o '-i -A 3'`.
    #[arg(short = 'o', long, value_name = "FLAGS", requires = "grep", allow_hyphen_values = true)]
    pub grep_options: Option<String>,
    /// Keep showing new lines.
    #[arg(short, long)]
    pub follow: bool,
    /// Leave out Docker's timestamps.
    #[arg(short = 'T', long)]
    pub skip_timestamps: bool,
}

/// `app logs`.
#[derive(Debug, Clone, Args)]
pub struct AppLogsArgs {
    /// Which lines.
    #[command(flatten)]
    pub lines: LogsArgs,
    /// The log of this container of the app instead, running or not: its name, or the first digits of its id.
    #[arg(long, value_name = "ID")]
    pub container_id: Option<String>,
}
