//! `completion` and `man`: descriptions of the command line for shells and for readers. They need no project.

mod fish;
mod markdown;

use std::io;
use std::path::{Path, PathBuf};

use bowline_engine::error::RunError;
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Command, ValueEnum};
use clap_mangen::roff::{Roff, roman};

use crate::args::{self, is_shown};
use crate::exit::{self, Ended};
use crate::hints;
use crate::ui::out;

/// Print shell completion for Bowline.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bowline completion bash > ~/.local/share/bash-completion/completions/bowline
  bowline completion zsh > ~/.zfunc/_bowline      # with ~/.zfunc in fpath, before compinit
  bowline completion fish > ~/.config/fish/completions/bowline.fish")]
pub(crate) struct Completion {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// Fish.
    Fish,
}

impl Completion {
    pub(super) fn run(self) -> u8 {
        let shell = match self.shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        let mut script = Vec::new();
        let mut root = args::command();
        clap_complete::generate(shell, &mut root, "bowline", &mut script);
        let rest = if self.shell == Shell::Fish { fish::rest(&root) } else { Vec::new() };
        let script = String::from_utf8_lossy(&script);
        out::stdout(std::iter::once(script.trim_end()).chain(rest.iter().map(String::as_str)));
        exit::DONE
    }
}

/// Print the manual page of a command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bowline man app exec | man -l -
  bowline man --dir ~/.local/share/man/man1       # the manual pages of all commands
  bowline man --markdown > commands.md            # all commands on one page")]
pub(crate) struct Man {
    /// The command [default: Bowline as a whole]
    #[arg(value_name = "COMMAND")]
    path: Vec<String>,
    /// Write the pages of all commands into this directory.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "path")]
    dir: Option<PathBuf>,
    /// Print all commands as one Markdown page.
    #[arg(long, conflicts_with_all = ["path", "dir"])]
    markdown: bool,
}

impl Man {
    pub(super) fn run(self) -> Result<u8, Ended> {
        let failed = |reason: String| exit::failed_here("man", reason, None);
        let mut root = args::command();
        root.build();
        if let Some(directory) = &self.dir {
            let pages = write_all(&root, directory)
                .map_err(|error| failed(format!("can't write into {}: {error}", directory.display())))?;
            out::stdout([format!("wrote {pages} pages into {}", directory.display())]);
            return Ok(exit::DONE);
        }
        let text = match self.markdown {
            true => markdown::page(&root),
            false => {
                let page = page(find(&root, &self.path)?).map_err(|error| failed(error.to_string()))?;
                String::from_utf8_lossy(&page).into_owned()
            }
        };
        out::stdout([text.trim_end()]);
        Ok(exit::DONE)
    }
}

fn find<'c>(root: &'c Command, path: &[String]) -> Result<&'c Command, RunError> {
    path.iter().try_fold(root, |command, name| {
        command.find_subcommand(name).ok_or_else(|| {
            let message = format!("there is no command `{}`", path.join(" "));
            let near = nearest(path).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            exit::usage(message, format!("{near}{}", hints::COMMANDS))
        })
    })
}

fn nearest(path: &[String]) -> Option<String> {
    let words = ["bowline"].into_iter().chain(path.iter().map(String::as_str));
    let error = args::command().try_get_matches_from(words).err()?;
    match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::String(one) => Some(one.clone()),
        // The most similar name comes last.
        ContextValue::Strings(all) => all.last().cloned(),
        _ => None,
    }
}

/// The name of a manual page, such as `bowline-app-exec`.
fn name(command: &Command) -> String {
    command.get_bin_name().unwrap_or("bowline").replace(' ', "-")
}

/// The manual page of a command. We render the end, because clap_mangen would turn the examples into paragraphs.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone().name(name(command)));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let mut end = Roff::new();
    for part in after(command) {
        match part {
            After::Prose(text) => end.control("PP", []).text([roman(text)]),
            After::Examples(lines) => {
                end.control("SH", ["EXAMPLES"]).control("nf", []);
                for line in lines {
                    end.text([roman(line)]);
                }
                end.control("fi", [])
            }
        };
    }
    end.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(is_shown) {
        man.render_subcommands_section(&mut page)?;
    }
    Ok(page)
}

enum After {
    Prose(String),
    Examples(Vec<String>),
}

fn after(command: &Command) -> Vec<After> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let part = |part: &str| match part.strip_prefix("Examples:\n") {
        Some(examples) => {
            let lines = examples.lines().map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned());
            After::Examples(lines.collect())
        }
        None => After::Prose(part.to_owned()),
    };
    text.split("\n\n").filter(|part| !part.is_empty()).map(part).collect()
}

fn write_all(command: &Command, directory: &Path) -> io::Result<usize> {
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join(format!("{}.1", name(command))), page(command)?)?;
    let below = command.get_subcommands().filter(|sub| is_shown(sub));
    below.map(|sub| write_all(sub, directory)).try_fold(1, |sum, pages| Ok(sum + pages?))
}

#[cfg(test)]
mod tests;
