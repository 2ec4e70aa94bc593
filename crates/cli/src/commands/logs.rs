//! `app logs`: once, or following.

use bowline_core::commands::logs::Lines;

use super::details::show_all;
use crate::args::{AppLogsArgs, LogsArgs};
use crate::exit::Ended;
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::Sort;
use bowline_engine::error::RunError;
use bowline_engine::logs::Whose;
use bowline_engine::{self as engine};

/// Shows the app's logs.
pub(super) async fn run(settings: &Settings, args: AppLogsArgs) -> Result<u8, Ended> {
    let whose = args.container_id.map_or(Whose::Serving, Whose::Container);
    let lines = lines(args.lines)?;
    let session = Session::open(settings, Sort::Query, lines.follow).await?;
    let ended = session
        .query(engine::logs::logs(&session.world, &session.project, &settings.options, &lines, &whose))
        .await;
    let outputs = session.close(ended)?;
    show_all(settings, &outputs)
}

/// How many lines, if nothing is said: as Kamal does.
pub(super) fn lines(args: LogsArgs) -> Result<Lines, RunError> {
    let options = args.grep_options.unwrap_or_default();
    let grep_options = shlex::split(&options).ok_or_else(|| RunError::Usage {
        message: format!("`--grep-options` has a quote that doesn't end: {options}"),
        hint: None,
    })?;
    let all = args.since.is_some() || args.grep.is_some();
    let default = if args.follow { 10 } else { 100 };
    Ok(Lines {
        tail: args.lines.or((!all).then_some(default)),
        since: args.since,
        follow: args.follow,
        skip_timestamps: args.skip_timestamps,
        grep: args.grep,
        grep_options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_lines() {
        let lines = |args| lines(args).unwrap();
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
