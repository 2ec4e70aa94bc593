//! Restart policies: with some of them Docker starts a container again when it is itself started, also one that was
//! stopped by hand. What is stopped here stays stopped, and gets its policy back when it is started.

use crate::shell::Line;
use bowline_config::OptionValue;

/// What a script says, before the policy, where it could not be changed.
pub const RETURNS: &str = "@returns ";

/// A container's policy as `docker inspect --format` gives it.
pub(crate) const FORMAT: &str =
    "{{.HostConfig.RestartPolicy.Name}}{{with .HostConfig.RestartPolicy.MaximumRetryCount}}:{{.}}{{end}}";

/// The policy among further flags of `docker run`.
pub fn configured(options: &[(String, OptionValue)]) -> Option<String> {
    value(options, "restart").map(Into::into)
}

/// The value of a flag among further flags of `docker run`.
pub(crate) fn value<'a>(options: &'a [(String, OptionValue)], name: &str) -> Option<&'a str> {
    options.iter().find_map(|(key, value)| match value {
        OptionValue::Value(value) if key == name => Some(value.as_str()),
        _ => None,
    })
}

/// A shell line that keeps a container stopped which is stopped next. Container and policy are words of the shell.
pub(crate) fn keep_stopped(container: &str, policy: &str) -> String {
    format!(
        "case {policy} in always|on-failure*) \
         docker update --restart unless-stopped {container} >/dev/null || echo \"{RETURNS}\"{policy} ;; esac\n"
    )
}

/// A shell line that gives a stopped container the policy that is configured, or ends the script with a status.
pub(crate) fn give_back(policy: Option<&String>, container: &str, status: u32) -> String {
    let update = |policy: &String| {
        let line = Line::new("docker").words(["update", "--restart"]).expanding(policy).word(container);
        format!("{line} >/dev/null || exit {status}\n")
    };
    policy.map(update).unwrap_or_default()
}
