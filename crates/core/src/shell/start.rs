//! How a program starts on a server, independent of the login shell.
//!
//! sshd passes the command line to the login shell. That can be any shell, reads its own start-up files first, and may
//! print something. So `sh`, `bash`, `zsh`, `fish`, `csh` and `tcsh` must all read the line the same way: its words are
//! in single quotes without line breaks, and characters that these shells read differently inside quotes are outside
//! them. The line starts `sh`, which reassembles the program, prints a mark at which our own output begins, and becomes
//! a `sh` that runs the program without the variables that would change the meaning of our commands.
//!
//! `DOCKER_…` variables stay, because users reach a Docker other than the system's with them, such as a rootless one.
//! So do the variables that the configuration names (`${NAME}`). If Docker isn't in the PATH, the program asks the
//! login shell for its own PATH, which its start-up files set.

use super::Surroundings;

/// The beginning of the mark in a program's output. A word that the run chose follows.
const BEGIN: &str = "@bowline-";

/// Variables that change how a shell or common tools behave.
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

/// Replaces line breaks in the program. Uses the first of these characters that the program doesn't contain.
const SEPARATORS: [char; 4] = ['\u{1e}', '\u{1f}', '\u{1d}', '\u{1c}'];

/// The mark before the program's own output, on standard output and standard error. A terminal gets it once.
pub fn beginning(word: &str) -> String {
    format!("{BEGIN}{word}")
}

/// The word in a command line from [`line`].
pub fn word_of(line: &str) -> Option<&str> {
    line.rsplit_once(' ').map(|(_, word)| word)
}

/// The command line for a login shell. The program's own output begins with the mark for `word` ([`beginning`]).
pub(super) fn line(program: &str, surroundings: Surroundings, word: &str) -> String {
    let separator = SEPARATORS.into_iter().find(|c| !program.contains(*c)).unwrap_or(SEPARATORS[0]);
    let program = program.replace('\n', &separator.to_string());
    format!("exec /bin/sh -c {} {} {word}", quoted(&starter(separator, surroundings)), quoted(&program))
}

/// A program for `sh`. Its `$0` is the program to run, with separators in place of line breaks, and its `$1` is the
/// word. It gets a line break from `echo`, because the command line can't contain one.
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

/// Prints the PATH of the login shell. Reading commands from standard input is all that these shells have in common.
const LOGIN_PATH: &str =
    "echo exec env | timeout 10 \"$SHELL\" -l 2>/dev/null | sed -n s/^PATH=//p | tail -n 1";

/// Quotes a word so that all login shells read it the same way.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    out.push('\'');
    for c in text.chars() {
        match c {
            // fish interprets backslashes in quotes, and csh interprets exclamation marks.
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
