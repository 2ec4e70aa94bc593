//! `app logs`: once, or following.

use bowline_core::commands::logs::Lines;

use super::details::show_all;
use crate::args::LogsArgs;
use crate::exit::Ended;
use crate::session::Session;
use crate::settings::Settings;
use crate::ui::Sort;
use bowline_engine as engine;

/// Shows the app's logs.
pub(super) async fn run(settings: &Settings, args: LogsArgs) -> Result<u8, Ended> {
    let lines = lines(args);
    let session = Session::open(settings, Sort::Query, lines.follow).await?;
    let ended =
        session.query(engine::logs::logs(&session.world, &session.project, &settings.options, &lines)).await;
    let outputs = session.close(ended)?;
    show_all(settings, &outputs)
}

/// How many lines, if nothing is said: as Kamal does.
pub(super) fn lines(args: LogsArgs) -> Lines {
    let all = args.since.is_some() || args.grep.is_some();
    let default = if args.follow { 10 } else { 100 };
    Lines {
        tail: args.lines.or((!all).then_some(default)),
        since: args.since,
        follow: args.follow,
        skip_timestamps: args.skip_timestamps,
        grep: args.grep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_lines() {
        let args = LogsArgs { since: None, lines: None, grep: None, follow: false, skip_timestamps: false };
        assert_eq!(lines(args.clone()).tail, Some(100));
        assert_eq!(lines(LogsArgs { follow: true, ..args.clone() }).tail, Some(10));
        assert_eq!(lines(LogsArgs { grep: Some("x".into()), ..args.clone() }).tail, None);
        assert_eq!(lines(LogsArgs { since: Some("1h".into()), ..args.clone() }).tail, None);
        assert_eq!(lines(LogsArgs { since: Some("1h".into()), lines: Some(3), ..args }).tail, Some(3));
    }
}
