//! The parser for machines without an `ssh`: `Host` sections and the keywords that say where a host is and
//! how to get there. `Match` and `Include`, and what could send us elsewhere, are errors.

use crate::known_hosts::glob;

/// What is not understood, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) line: usize,
    pub(super) reason: String,
}

/// Keywords that are used.
const USED: &[&str] = &[
    "hostname",
    "user",
    "port",
    "identityfile",
    "identitiesonly",
    "certificatefile",
    "proxyusefdpass",
    "identityagent",
    "proxyjump",
    "hostkeyalias",
    "stricthostkeychecking",
    "hashknownhosts",
    "revokedhostkeys",
];

/// Keywords whose value is all that stands behind them, quotes included.
const WHOLE: &[&str] = &["proxycommand", "knownhostscommand", "userknownhostsfile", "globalknownhostsfile"];

/// Keywords that say nothing about where to connect or whom to trust.
const HARMLESS: &[&str] = &[
    "addkeystoagent",
    "addressfamily",
    "batchmode",
    "checkhostip",
    "ciphers",
    "compression",
    "connectionattempts",
    "connecttimeout",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "escapechar",
    "exitonforwardfailure",
    "forwardagent",
    "forwardx11",
    "forwardx11trusted",
    "gssapiauthentication",
    "gssapidelegatecredentials",
    "ignoreunknown",
    "ipqos",
    "kexalgorithms",
    "loglevel",
    "macs",
    "numberofpasswordprompts",
    "passwordauthentication",
    "kbdinteractiveauthentication",
    "preferredauthentications",
    "pubkeyauthentication",
    "requesttty",
    "sendenv",
    "serveralivecountmax",
    "serveraliveinterval",
    "setenv",
    "tcpkeepalive",
    "updatehostkeys",
    "usekeychain",
    "visualhostkey",
];

/// The settings for a host, first come first.
pub(super) fn pairs(text: &str, host: &str) -> Result<Vec<(String, String)>, Trouble> {
    let mut pairs = Vec::new();
    let mut applies = true;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let trouble = |reason: String| Trouble { line: index + 1, reason };
        let (key, value) = split(line).ok_or_else(|| trouble(format!("no value in {line:?}")))?;
        match key.as_str() {
            "host" => applies = matches(value, host),
            "match" => return Err(trouble("Match is not understood where there is no ssh".to_owned())),
            _ if !applies => {}
            key if WHOLE.contains(&key) => pairs.push((key.to_owned(), value.to_owned())),
            key if USED.contains(&key) => pairs.push((key.to_owned(), unquote(value).to_owned())),
            key if HARMLESS.contains(&key) => {}
            key => return Err(trouble(format!("{key} is not understood where there is no ssh"))),
        }
    }
    Ok(pairs)
}

/// `Keyword value` or `Keyword=value`.
pub(super) fn split(line: &str) -> Option<(String, &str)> {
    let end = line.find(|c: char| c.is_ascii_whitespace() || c == '=')?;
    let value = line[end..].trim_start();
    let value = value.strip_prefix('=').unwrap_or(value).trim_start();
    (!value.is_empty()).then(|| (line[..end].to_ascii_lowercase(), value))
}

fn unquote(value: &str) -> &str {
    value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value)
}

pub(super) fn matches(patterns: &str, host: &str) -> bool {
    let mut matched = false;
    for pattern in patterns.split_ascii_whitespace().map(unquote) {
        match pattern.strip_prefix('!') {
            Some(not) if glob(not.as_bytes(), host.as_bytes()) => return false,
            Some(_) => {}
            None => matched |= glob(pattern.as_bytes(), host.as_bytes()),
        }
    }
    matched
}
