//! The arguments of `app logs` and of the other `logs` commands.

use bowline_core::commands::logs::Lines;
use bowline_engine::call::Call;
use bowline_engine::error::RunError;
use bowline_engine::logs::{Whose, logs};
use bowline_engine::world::Gathered;
use clap::Args;

use super::show;
use crate::exit::{self, Ended};
use crate::invocation::{Invocation, Subject};
use crate::settings::Settings;
use crate::ui::Focus;

#[derive(Debug, Clone, Args)]
pub(crate) struct LogsArgs {
    /// Only lines since a time (2026-01-31T12:00:00) or for a period (30m).
    #[arg(short, long, value_name = "TIME")]
    since: Option<String>,
    /// Show the last N lines [default: 100, or 10 with -f; all with -s or -g]
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// Only lines that match this grep pattern.
    #[arg(short, long, value_name = "PATTERN")]
    grep: Option<String>,
    /// More flags for grep: `-o '-i -A 3'`.
    #[arg(short = 'o', long, value_name = "FLAGS", requires = "grep", allow_hyphen_values = true)]
    grep_options: Option<String>,
    /// Keep showing new lines.
    #[arg(short, long)]
    follow: bool,
    /// Leave out Docker's timestamps.
    #[arg(short = 'T', long)]
    skip_timestamps: bool,
}

impl LogsArgs {
    pub(super) async fn show(
        self,
        settings: &Settings,
        subject: Subject<'_>,
        logs: impl AsyncFnOnce(Call<'_>, &Lines) -> Result<Gathered, RunError>,
    ) -> Result<u8, Ended> {
        let lines = self.lines()?;
        let focus = if lines.follow { Focus::Lines } else { Focus::Result };
        let invocation = Invocation::open_for(settings, focus, subject).await?;
        let gathered = invocation.look(async |call| logs(call, &lines).await).await?;
        show(settings, subject, &gathered)
    }

    /// Resolves the arguments. The default number of lines is the same as in Kamal.
    fn lines(self) -> Result<Lines, RunError> {
        let options = self.grep_options.unwrap_or_default();
        let grep_options = shlex::split(&options).ok_or_else(|| {
            exit::usage(format!("`--grep-options` has a quote that isn't closed: {options}"), None)
        })?;
        let all = self.since.is_some() || self.grep.is_some();
        let default = if self.follow { 10 } else { 100 };
        Ok(Lines {
            tail: self.lines.or((!all).then_some(default)),
            since: self.since,
            follow: self.follow,
            skip_timestamps: self.skip_timestamps,
            grep: self.grep,
            grep_options,
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct AppLogsArgs {
    #[command(flatten)]
    lines: LogsArgs,
    /// Show the logs of this container of the app, running or stopped: its name, or the first digits of its id.
    #[arg(long, value_name = "ID")]
    container_id: Option<String>,
}

impl AppLogsArgs {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let whose = self.container_id.map_or(Whose::Serving, Whose::Container);
        self.lines.show(settings, Subject::App, async |call, lines| logs(call, lines, &whose).await).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_lines() {
        let lines = |args: LogsArgs| args.lines().unwrap();
        let args = LogsArgs {
            since: None,
            lines: None,
            grep: None,
            grep_options: None,
            follow: false,
            skip_timestamps: false,
        };
        assert_eq!(lines(args.clone()).tail, Some(100));
        assert_eq!(lines(LogsArgs { follow: true, ..args.clone() }).tail, Some(10));
        assert_eq!(lines(LogsArgs { grep: Some("x".into()), ..args.clone() }).tail, None);
        assert_eq!(lines(LogsArgs { since: Some("1h".into()), ..args.clone() }).tail, None);
        assert_eq!(lines(LogsArgs { since: Some("1h".into()), lines: Some(3), ..args }).tail, Some(3));
    }
}
