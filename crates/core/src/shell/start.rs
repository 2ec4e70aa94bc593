//! How a program starts on a server, independent of the login shell.
//!
//! sshd passes the command line to the login shell, which can be any shell, reads its own start-up files first, and may print
//! something. So `sh`, `bash`, `zsh`, `fish`, `csh` and `tcsh` must all read the line the same way: its words are in single
//! quotes without line breaks, and characters that these shells read differently inside quotes stand outside them. The line
//! starts `sh`, which reassembles the program, prints a mark from which on the output is ours, and becomes a `sh` that runs the
//! program without the variables that would change the meaning of our commands.
//!
//! `DOCKER_…` variables stay: they are how a user reaches a Docker other than the system's, such as a rootless one. So do the
//! variables that the configuration names (`${NAME}`). If Docker isn't on our PATH, we ask the login shell for its own PATH,
//! which its start-up files set.

use super::Surroundings;

/// What a program's output begins with, before the word that a run chose for it.
const BEGIN: &str = "@bowline-";

/// Variables that change what a shell or the usual small tools do.
const UNSET: [&str; 14] = [
    "CDPATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "POSIXLY_CORRECT",
    "POSIX_ME_HARDER",
    "GREP_OPTIONS",
    "TAR_OPTIONS",
    "BLOCK_SIZE",
    "BLOCKSIZE",
    "TMPDIR",
    "LC_ALL",
];

/// Stands for a line break, unless the program has it; then the next does.
const SEPARATORS: [char; 4] = ['\u{1e}', '\u{1f}', '\u{1d}', '\u{1c}'];

/// What precedes the program's own output, on standard output and on standard error. A terminal has it once.
pub fn beginning(word: &str) -> String {
    format!("{BEGIN}{word}")
}

/// The word in a command line that [`line`] made.
pub fn word_of(line: &str) -> Option<&str> {
    line.rsplit_once(' ').map(|(_, word)| word)
}

/// The command line for a login shell, which starts a program whose output begins with `word` ([`beginning`]).
pub(super) fn line(program: &str, surroundings: Surroundings, word: &str) -> String {
    let separator = SEPARATORS.into_iter().find(|c| !program.contains(*c)).unwrap_or(SEPARATORS[0]);
    let program = program.replace('\n', &separator.to_string());
    format!("exec /bin/sh -c {} {} {word}", quoted(&starter(separator, surroundings)), quoted(&program))
}

/// A program for `sh` whose `$0` is the program to run, with separators for line breaks, and whose `$1` is the word.
/// A line break comes from `echo`, as none can be in the line.
fn starter(separator: char, surroundings: Surroundings) -> String {
    let (find, run) = match surroundings {
        Surroundings::Login => (String::new(), String::new()),
        Surroundings::Ours => {
            let unset: String = UNSET.iter().map(|name| format!("-u {name} ")).collect();
            (
                format!("command -v docker >/dev/null || PATH=$PATH:$({LOGIN_PATH}); "),
                format!("env {unset}LC_ALL=C "),
            )
        }
    };
    format!(
        "set -f; bowline_word=$1; bowline_line=$(echo _; echo _); bowline_line=${{bowline_line#_}}; \
         IFS={separator}; set -- $0; IFS=${{bowline_line%_}}; {find}\
         [ -t 1 ] || printf %s%s {BEGIN} $bowline_word >&2; printf %s%s {BEGIN} $bowline_word; \
         exec {run}/bin/sh -c \"$*\""
    )
}

/// Prints the PATH that a login shell has. That it reads its commands is all that these shells have in common.
const LOGIN_PATH: &str =
    "echo exec env | timeout 10 \"$SHELL\" -l 2>/dev/null | sed -n s/^PATH=//p | tail -n 1";

/// One word, read the same by all login shells.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    out.push('\'');
    for c in text.chars() {
        match c {
            // fish knows backslashes in quotes, and csh exclamation marks.
            '\'' | '\\' | '!' => {
                out.push_str("'\\");
                out.push(c);
                out.push('\'');
            }
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}
