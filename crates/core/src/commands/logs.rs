//! The logs of a container.

use std::fmt;

use super::answer::{self, Line};
use crate::shell::{self, Script};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines {
    /// Argument of `docker logs --since`.
    pub since: Option<String>,
    /// Argument of `docker logs --tail`.
    pub tail: Option<usize>,
    pub follow: bool,
    pub skip_timestamps: bool,
    /// A pattern for grep. Only matching lines are printed.
    pub grep: Option<String>,
    pub grep_options: Vec<String>,
}

/// Answers while following a log, between its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The log ended at this time, in seconds since 1970 by the server's clock.
    Ended(String),
    /// The log can't be followed, for this reason.
    Refused(String),
}

impl Said {
    /// Returns `None` for a line of the log.
    pub fn heard(line: &str) -> Option<Self> {
        let line = Line::read(line)?;
        match line.word {
            "ended" => Some(Said::Ended(line.rest.into())),
            "refused" => Some(Said::Refused(line.rest.into())),
            _ => None,
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Ended(at) => write!(f, "@ended {at}"),
            Said::Refused(why) => write!(f, "@refused {why}"),
        }
    }
}

/// How long a server may take to print a log, in seconds. Old logs are long.
pub const LONGEST_S: u64 = 300;

/// Prints the logs of a container. Following ends with the container, by [`Said::Ended`], or when the reader is gone, which
/// closes the script's standard input. Docker's client alone would only notice at the next line, and grep at the next match.
pub fn logs(container: &str, lines: &Lines) -> Script {
    let line = docker(container, lines);
    // Scripts run in the locale C, in which only ASCII characters count as letters.
    let grep = lines.grep.as_ref().map(|pattern| format!("LC_ALL=C.UTF-8 {}", grep(pattern, lines)));
    if !lines.follow {
        return Script::new(match grep {
            Some(grep) => format!("{line} 2>&1 | {grep} || [ $? = 1 ]\n"),
            None => format!("exec {line} 2>&1\n"),
        });
    }
    let filter = grep.as_ref().map(|grep| format!(" | {grep} 3<&-")).unwrap_or_default();
    // grep rejects a bad pattern immediately, which would leave Docker's client running without a reader.
    let understood = grep.map(|grep| {
        format!(
            "bowline_said=$({grep} </dev/null 2>&1); [ $? -le 1 ] || {{ printf '@refused %s\\n' \"$bowline_said\" | head -n 1; exit 2; }}\n"
        )
    });
    Script::new(format!(
        "{}show() {{ exec {line}; }}\n{}follow{filter}\necho \"@ended $(date +%s)\"\n",
        understood.unwrap_or_default(),
        answer::sent(include_str!("logs.sh")),
    ))
}

fn docker(container: &str, lines: &Lines) -> shell::Line {
    let mut line = shell::Line::new("docker").word("logs");
    if !lines.skip_timestamps {
        line = line.word("--timestamps");
    }
    if let Some(since) = &lines.since {
        line = line.words(["--since", since]);
    }
    if let Some(tail) = lines.tail {
        line = line.words(["--tail", &tail.to_string()]);
    }
    if lines.follow {
        line = line.word("--follow");
    }
    line.word(container)
}

/// Exit status 1 means that nothing matched, which is not an error.
fn grep(pattern: &str, lines: &Lines) -> shell::Line {
    let mut grep = shell::Line::new("grep");
    if lines.follow {
        grep = grep.word("--line-buffered");
    }
    grep.words(lines.grep_options.iter().map(String::as_str)).words(["-e", pattern])
}
