//! `completion` and `man`: the command line's own description, for shells and for readers.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `completion`.
#[derive(Debug, Clone, Copy, Args)]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// Fish.
    Fish,
}

/// `man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The command; Bowline as a whole, if none is given.
    #[arg(value_name = "COMMAND")]
    pub path: Vec<String>,
    /// Write the pages of all commands into this directory.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "path")]
    pub dir: Option<PathBuf>,
    /// All commands as one page of Markdown.
    #[arg(long, conflicts_with_all = ["path", "dir"])]
    pub markdown: bool,
}
