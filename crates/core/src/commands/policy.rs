//! Restart policies. With some of them, Docker restarts even manually stopped containers when its daemon starts. A
//! container that Bowline stops stays stopped. When Bowline starts it again, it restores the policy.

use std::fmt::{self, Display};
use std::str::FromStr;

use super::answer::{self, Line, Unreadable};
use crate::shell;
use bowline_config::OptionValue;

/// A template for `docker inspect --format` that prints a container's policy.
pub(crate) const FORMAT: &str =
    "{{.HostConfig.RestartPolicy.Name}}{{with .HostConfig.RestartPolicy.MaximumRetryCount}}:{{.}}{{end}}";

/// The restart policy among the configured options of `docker run`.
pub fn configured(options: &[(String, OptionValue)]) -> Option<String> {
    value(options, "restart").map(Into::into)
}

/// The value of an option among the configured options of `docker run`.
pub(crate) fn value<'a>(options: &'a [(String, OptionValue)], name: &str) -> Option<&'a str> {
    options.iter().find_map(|(key, value)| match value {
        OptionValue::Value(value) if key == name => Some(value.as_str()),
        _ => None,
    })
}

/// Whether `keep_stopped` takes this policy from a container.
pub(crate) fn is_changed_by_stop(policy: &str) -> bool {
    policy == "always" || policy.starts_with("on-failure")
}

/// The shell function `keep_stopped CONTAINER POLICY`, which prints [`Returns`].
pub(crate) fn function() -> String {
    answer::sent(include_str!("policy.sh"))
}

/// Shell lines to run before a container stops, so that it stays stopped. Container and policy are already shell words.
pub(crate) fn keep_stopped(container: &str, policy: &str) -> String {
    format!("{}keep_stopped {container} {policy}\n", function())
}

/// A shell line that gives a stopped container this policy, or ends the script with a status.
pub(crate) fn give_back(policy: Option<&String>, container: &str, status: impl Display) -> String {
    let update = |policy: &String| {
        let line =
            shell::Line::new("docker").words(["update", "--restart"]).expanding(policy).word(container);
        format!("{line} >/dev/null || exit {status}\n")
    };
    policy.map(update).unwrap_or_default()
}

/// The restart policy of a stopped container if it could not be changed. The container will run again when Docker restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Returns(pub Option<String>);

impl Returns {
    pub(super) fn among<'a>(mut lines: impl Iterator<Item = Line<'a>>) -> Result<Self, Unreadable> {
        let line = lines.find(|line| line.word == "returns");
        Ok(Self(line.map(|line| line.some().map(Into::into)).transpose()?))
    }
}

impl FromStr for Returns {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        Self::among(answer::lines(text))
    }
}

impl Display for Returns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|policy| writeln!(f, "@returns {policy}"))
    }
}
