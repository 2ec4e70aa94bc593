//! `completion`, `man`: the command line's own description, for shells and for readers. Needs no project.

mod fish;
mod markdown;

use std::io;
use std::path::Path;

use bowline_engine::error::RunError;
use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::{self, ManArgs, is_shown};
use crate::exit::{self, Ended};
use crate::ui::out;

/// Prints what a shell reads to complete command lines.
pub(super) fn completion(shell: args::Shell) -> u8 {
    let shell = match shell {
        args::Shell::Bash => Shell::Bash,
        args::Shell::Zsh => Shell::Zsh,
        args::Shell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    let mut root = args::command();
    generate(shell, &mut root, "bowline", &mut script);
    let rest = if shell == Shell::Fish { fish::rest(&root) } else { Vec::new() };
    let script = String::from_utf8_lossy(&script);
    out::stdout(std::iter::once(script.trim_end()).chain(rest.iter().map(String::as_str)));
    exit::DONE
}

/// Prints the page of a command, or of all of them; or writes the pages.
pub(super) fn man(args: &ManArgs) -> Result<u8, Ended> {
    let mut root = args::command();
    root.build();
    if let Some(directory) = &args.dir {
        let failed = |error| wrong(&format!("can't write into {}: {error}", directory.display()));
        let pages = write_all(&root, directory).map_err(failed)?;
        out::stdout([format!("wrote {pages} pages into {}", directory.display())]);
        return Ok(exit::DONE);
    }
    let text = match args.markdown {
        true => markdown::page(&root),
        false => {
            let page = page(find(&root, &args.path)?).map_err(|error| wrong(&error.to_string()))?;
            String::from_utf8_lossy(&page).into_owned()
        }
    };
    out::stdout([text.trim_end()]);
    Ok(exit::DONE)
}

fn wrong(reason: &str) -> RunError {
    RunError::Local { what: "man".into(), reason: reason.into(), hint: None, standing: Vec::new() }
}

/// The command that these words name.
fn find<'c>(root: &'c Command, path: &[String]) -> Result<&'c Command, RunError> {
    path.iter().try_fold(root, |command, name| {
        command.find_subcommand(name).ok_or_else(|| RunError::Usage {
            message: format!("there is no command `{}`", path.join(" ")),
            hint: Some("`bowline help` lists them".into()),
        })
    })
}

/// The name of a page: `bowline-app-exec`.
fn name(command: &Command) -> String {
    command.get_bin_name().unwrap_or("bowline").replace(' ', "-")
}

/// Page of one command; but for the end as clap's library writes it, which would make paragraphs of examples.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone().name(name(command)));
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

/// What help says after the flags.
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
