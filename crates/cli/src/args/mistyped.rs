//! Words the errors about a command line like all other errors, and suggests the command that was probably meant.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{command, is_shown};
use crate::hints;

/// The maximum number of commands in a hint.
const MOST: usize = 4;

/// Commands of other tools, and ours that do the same.
const ELSEWHERE: [(&str, &[&str]); 14] = [
    ("bash", &["app exec -i bash", "server exec -i"]),
    ("console", &["app exec -i"]),
    ("destroy", &["remove"]),
    ("down", &["app stop", "remove"]),
    ("exec", &["app exec", "server exec"]),
    ("ps", &["app details", "app containers"]),
    ("push", &["build push", "env push"]),
    ("restart", &["app boot"]),
    ("run", &["app exec"]),
    ("sh", &["app exec -i sh", "server exec -i"]),
    ("shell", &["app exec -i sh", "server exec -i"]),
    ("ssh", &["server exec -i"]),
    ("status", &["details", "app version", "lock status"]),
    ("up", &["deploy", "setup"]),
];

/// The message and a hint. `None` if clap's own message is good enough.
pub(crate) fn describe(error: &clap::Error) -> Option<(String, Option<String>)> {
    let text = |kind| text(error, kind);
    let asked = asked(error);
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let name = text(ContextKind::InvalidSubcommand)?;
            let message =
                format!("there is no command `{}`", [&asked, name].map(String::as_str).join(" ").trim());
            Some((message, Some(meant(error, &asked, name))))
        }
        ErrorKind::UnknownArgument => {
            let given = text(ContextKind::InvalidArg)?;
            let command = format!("bowline {asked}");
            let command = command.trim_end();
            if matches!(asked.as_str(), "plan deploy" | "plan redeploy") && !given.starts_with('-') {
                let message = format!("`{command}` takes no version, but `{given}` was given");
                return Some((message, Some(hints::deploy_version(given))));
            }
            if !given.starts_with('-') {
                let hint =
                    format!("`{command} --help` shows what it takes; an argument with spaces needs quotes");
                return Some((format!("`{given}` is one argument too many for `{command}`"), Some(hint)));
            }
            let hint = match (asked.as_str(), given.as_str(), text(ContextKind::SuggestedArg)) {
                ("rollback", "--version", _) => {
                    "give the version as an argument: `bowline rollback VERSION`".into()
                }
                (_, _, Some(near)) => format!("did you mean `{near}`?"),
                _ => format!("`{command} --help` lists the flags"),
            };
            Some((format!("`{command}` has no flag `{given}`"), Some(hint)))
        }
        _ => of_value(error, &asked),
    }
}

/// Errors about a missing argument, or about a value.
fn of_value(error: &clap::Error, asked: &str) -> Option<(String, Option<String>)> {
    let text = |kind| text(error, kind);
    match error.kind() {
        ErrorKind::InvalidValue if text(ContextKind::InvalidValue).is_some_and(String::is_empty) => {
            let flag = text(ContextKind::InvalidArg)?;
            let hint = flag
                .starts_with("--hosts")
                .then(|| "`-h` selects servers, as in Kamal; `--help` shows help".into());
            Some((format!("`{flag}` needs a value"), hint))
        }
        ErrorKind::ValueValidation => {
            let (flag, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
            let reason = std::error::Error::source(error)?;
            if reason.is::<std::num::ParseIntError>() {
                return Some((format!("`{flag}`: `{value}` is not a whole number"), None));
            }
            let reason = reason.to_string();
            let range = reason.split_once(" is not in ").and_then(|(_, range)| range.split_once("..="));
            Some(match range {
                Some((least, most)) => {
                    (format!("`{flag}`: `{value}` should be from {least} to {most}"), None)
                }
                None => (format!("`{flag}`: `{value}`: {reason}"), None),
            })
        }
        ErrorKind::MissingRequiredArgument => {
            let command = format!("bowline {asked}");
            let missing = texts(error, ContextKind::InvalidArg);
            let missing: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
            let hint = format!("`{} --help` shows what it takes", command.trim_end());
            Some((format!("`{}` needs {}", command.trim_end(), missing.join(" and ")), Some(hint)))
        }
        ErrorKind::TooManyValues => {
            let (flag, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
            Some((format!("`{flag}` takes no value, but `{value}` was given"), None))
        }
        ErrorKind::ArgumentConflict => {
            let (one, other) = (text(ContextKind::InvalidArg)?, text(ContextKind::PriorArg)?);
            Some((
                format!("`{one}` and `{other}` can't be used together"),
                Some("leave out one of them".into()),
            ))
        }
        ErrorKind::InvalidValue => {
            let (flag, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
            let known = texts(error, ContextKind::ValidValue);
            let hint = match text(ContextKind::SuggestedValue) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the values are {}", known.join(", ")),
            };
            Some((format!("`{flag}`: there is no `{value}`"), Some(hint)))
        }
        _ => None,
    }
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(all)) => all.clone(),
        _ => Vec::new(),
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(all) => all.first(),
        _ => None,
    }
}

/// The command that rejected the line, such as `app exec`. Only the usage line of the error contains it.
fn asked(error: &clap::Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => return String::new(),
    };
    let words = usage.split_whitespace().skip_while(|word| *word != "bowline").skip(1);
    words.take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect::<Vec<_>>().join(" ")
}

/// The hint: subcommands of this name, equivalents of other tools' commands, or similar names.
fn meant(error: &clap::Error, above: &str, name: &str) -> String {
    let mut commands = Vec::new();
    if above.is_empty() {
        named(&command(), name, &mut commands);
        let known = ELSEWHERE.iter().find(|(word, _)| *word == name);
        commands.splice(0..0, known.into_iter().flat_map(|(_, ours)| ours.iter().map(ToString::to_string)));
    }
    if commands.is_empty() {
        let near = match error.get(ContextKind::SuggestedSubcommand) {
            Some(ContextValue::String(one)) => vec![one.clone()],
            Some(ContextValue::Strings(all)) => all.clone(),
            _ => Vec::new(),
        };
        // clap lists the most similar name last.
        commands.extend(near.into_iter().rev().map(|near| format!("{above} {near}").trim_start().to_owned()));
    }
    let mut seen = std::collections::BTreeSet::new();
    commands.retain(|command| seen.insert(command.clone()));
    commands.truncate(MOST);
    let mut quoted: Vec<String> = commands.iter().map(|command| format!("`bowline {command}`")).collect();
    match (quoted.pop(), above) {
        (None, "") => hints::COMMANDS.into(),
        (None, above) => format!("`bowline help {above}` lists them"),
        (Some(only), _) if quoted.is_empty() => format!("did you mean {only}?"),
        (Some(last), _) => format!("did you mean {} or {last}?", quoted.join(", ")),
    }
}

fn named(above: &clap::Command, name: &str, found: &mut Vec<String>) {
    for sub in above.get_subcommands().filter(|sub| is_shown(sub)) {
        for below in sub.get_subcommands().filter(|below| is_shown(below) && below.get_name() == name) {
            found.push(format!("{} {}", sub.get_name(), below.get_name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::args::parse;

    #[track_caller]
    fn says(line: &str, message: &str, hint: Option<&str>) {
        let error = parse(line.split(' ').map(Into::into)).unwrap_err();
        assert_eq!(super::describe(&error), Some((message.into(), hint.map(Into::into))), "{line}");
    }

    #[test]
    fn a_word_that_is_no_command_leads_to_one() {
        let meant = |word: &str, hint: &str| {
            says(&format!("bowline {word}"), &format!("there is no command `{word}`"), Some(hint));
        };
        meant("deplyo", "did you mean `bowline deploy` or `bowline redeploy`?");
        meant("status", "did you mean `bowline details`, `bowline app version` or `bowline lock status`?");
        meant("containers", "did you mean `bowline app containers` or `bowline prune containers`?");
        meant("zeppelin", "`bowline help` lists them");
        meant("app bot", "did you mean `bowline app boot`?");
        meant("app zeppelin", "`bowline help app` lists them");
    }

    #[test]
    fn every_word_of_other_tools_leads_to_a_command_of_ours() {
        for (word, ours) in super::ELSEWHERE {
            assert!(parse(["bowline", word].map(Into::into)).is_err(), "{word} is a command");
            for line in ours {
                let words: Vec<&str> = line.split(' ').take_while(|word| !word.starts_with('-')).collect();
                let mut at = crate::args::command();
                for word in words {
                    at = at.find_subcommand(word).unwrap_or_else(|| panic!("no command: {line}")).clone();
                }
            }
        }
    }

    #[test]
    fn flags_and_values() {
        says(
            "bowline rollback --version x",
            "`bowline rollback` has no flag `--version`",
            Some("give the version as an argument: `bowline rollback VERSION`"),
        );
        says(
            "bowline deploy --skip-pus",
            "`bowline deploy` has no flag `--skip-pus`",
            Some("did you mean `--skip-push`?"),
        );
        says(
            "bowline config too",
            "`too` is one argument too many for `bowline config`",
            Some("`bowline config --help` shows what it takes; an argument with spaces needs quotes"),
        );
        let what = |command: &str| format!("`bowline {command} --help` shows what it takes");
        says("bowline app exec", "`bowline app exec` needs `<COMMAND>...`", Some(&what("app exec")));
        says(
            "bowline accessory boot",
            "`bowline accessory boot` needs `<NAME>`",
            Some(&what("accessory boot")),
        );
        let port = "`--http-port <PORT>`: `99999` should be from 1 to 65535";
        says("bowline proxy boot-config set --http-port 99999", port, None);
        says("bowline init --bundle=x", "`--bundle` takes no value, but `x` was given", None);
        says("bowline deploy --version", "`--version <VERSION>` needs a value", None);
        says("bowline completion bsh", "`<SHELL>`: there is no `bsh`", Some("did you mean `bash`?"));
        says(
            "bowline completion nonsense",
            "`<SHELL>`: there is no `nonsense`",
            Some("the values are bash, zsh, fish"),
        );
        says(
            "bowline docs proxy --markdown",
            "`[SECTION]` and `--markdown` can't be used together",
            Some("leave out one of them"),
        );
        says("bowline app logs -n abc", "`--lines <N>`: `abc` is not a whole number", None);
        says(
            "bowline -h",
            "`--hosts <LIST>` needs a value",
            Some("`-h` selects servers, as in Kamal; `--help` shows help"),
        );
    }
}
