//! Adds to clap's fish completions, which leave out the possible values of positional arguments. Also stops fish from
//! offering files wherever it knows nothing else.

use clap::Command;

pub(super) fn rest(root: &Command) -> Vec<String> {
    let name = root.get_name();
    let mut lines = vec![format!("complete -c {name} -f")];
    for command in root.get_subcommands() {
        let at = format!("__fish_{name}_using_subcommand {}", command.get_name());
        lines.extend(words(name, command, &at));
        for below in command.get_subcommands() {
            lines.extend(words(
                name,
                below,
                &format!("{at}; and __fish_seen_subcommand_from {}", below.get_name()),
            ));
        }
    }
    lines
}

/// The line for a command whose first argument has a fixed set of values.
fn words(name: &str, command: &Command, at: &str) -> Option<String> {
    let argument = command.get_positionals().next()?;
    let words: Vec<String> =
        argument.get_possible_values().iter().map(|word| word.get_name().into()).collect();
    (!words.is_empty()).then(|| format!("complete -c {name} -n \"{at}\" -f -a \"{}\"", words.join(" ")))
}
