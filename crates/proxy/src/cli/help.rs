//! The texts that `--help` prints.

use super::commands::{COMMANDS, Command, Name};
use super::flags::{Flag, FlagKind};

pub(super) fn all(program: &str) -> String {
    let top = COMMANDS.iter().filter(|command| !command.words.contains(' '));
    format!(
        "HTTP proxy for zero downtime deployments\n\nUsage:\n  {program} [command]\n\nAvailable Commands:\n{}\nFlags:\n  -h, --help   help for {program}\n\nUse \"{program} [command] --help\" for more information about a command.\n",
        listed(top)
    )
}

fn listed<'a>(commands: impl Iterator<Item = &'a Command>) -> String {
    commands
        .map(|command| {
            let word = command.words.rsplit(' ').next().unwrap_or_default();
            format!("  {word:<11} {}\n", command.short)
        })
        .collect()
}

pub(super) fn of(program: &str, command: &Command) -> String {
    let words = command.words;
    if command.name == Name::Rollout {
        let below = COMMANDS.iter().filter(|command| command.words.starts_with("rollout "));
        return format!(
            "{}\n\nUsage:\n  {program} rollout [command]\n\nAvailable Commands:\n{}\n",
            command.short,
            listed(below)
        );
    }
    let argument =
        if command.argument.is_empty() { String::new() } else { format!(" <{}>", command.argument) };
    let aliases = if command.alias.is_empty() {
        String::new()
    } else {
        format!("Aliases:\n  {words}, {}\n\n", command.alias)
    };
    let help = format!("  {:<42} help for {}\n", "-h, --help", words.rsplit(' ').next().unwrap_or_default());
    let flags: String = command.flags.iter().copied().flatten().map(line).chain([help]).collect();
    format!("{}\n\nUsage:\n  {program} {words}{argument} [flags]\n\n{aliases}Flags:\n{flags}", command.short)
}

fn line(flag: &Flag) -> String {
    let kind = match flag.kind {
        FlagKind::Bool => "",
        FlagKind::Int => " int",
        FlagKind::Text => " string",
        FlagKind::Duration => " duration",
        FlagKind::List => " strings",
    };
    let default = match (flag.kind, flag.default) {
        (_, "" | "0" | "false") => String::new(),
        (FlagKind::Text, default) => format!(" (default {default:?})"),
        (_, default) => format!(" (default {default})"),
    };
    format!("      {:<38} {}{default}\n", format!("--{}{kind}", flag.name), flag.help)
}
