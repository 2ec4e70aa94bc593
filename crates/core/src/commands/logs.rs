//! Logs of a container.

use crate::shell::{Line, Script};

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines {
    /// `docker logs --since`.
    pub since: Option<String>,
    /// `docker logs --tail`.
    pub tail: Option<usize>,
    /// Keep following.
    pub follow: bool,
    /// Leave the time stamps out.
    pub skip_timestamps: bool,
    /// Only lines that match.
    pub grep: Option<String>,
}

/// The logs of a container.
pub fn logs(container: &str, lines: &Lines) -> Script {
    let mut line = Line::new("docker").word("logs");
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
    let line = line.word(container);
    Script::new(match &lines.grep {
        // grep's status 1 says that nothing matched, which is no error.
        Some(pattern) => {
            let mut grep = Line::new("grep");
            if lines.follow {
                grep = grep.word("--line-buffered");
            }
            format!("{line} 2>&1 | {} || [ $? = 1 ]\n", grep.words(["-e", pattern]))
        }
        None => format!("exec {line} 2>&1\n"),
    })
}
