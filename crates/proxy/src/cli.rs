//! The command line: commands, flags, environment, exit codes.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;

mod commands;
mod deploy;
mod flags;
mod help;
mod image;
mod run;
mod show;

use commands::{Command, Name};
use flags::{Flags, Given};

use crate::control;
use crate::drain::Limits;

/// Runs the command line. The exit status is 0, or 1 after any error, which goes to standard error.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let program = words.next().map_or_else(|| "bowline-proxy".to_owned(), called);
    match execute(&program, &words.collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, the message is lost.
            let _ = writeln!(std::io::stderr(), "Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The program's name without its directory.
fn called(path: String) -> String {
    PathBuf::from(&path).file_name().map_or(path, |name| name.to_string_lossy().into_owned())
}

/// Writes to standard output. A closed pipe is not an error.
fn print(text: &str) -> Result<(), String> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// Replaces this process with the running proxy's binary, if that differs. If it fails, this binary carries on.
fn exec_running_binary(program: &str) {
    let Ok(own) = std::env::current_exe() else { return };
    if let Some(running) = crate::upgrade::other_binary(&own, &run::socket()) {
        let _ = std::process::Command::new(running).arg0(program).args(std::env::args_os().skip(1)).exec();
    }
}

fn execute(program: &str, words: &[String]) -> Result<(), String> {
    let words = match words.first().map(String::as_str) {
        None | Some("-h" | "--help") => return print(&help::all(program)),
        Some("help") => &[&words[1..], &["--help".to_owned()]].concat(),
        Some(word @ ("--version" | "version")) => {
            if word == "version" {
                exec_running_binary(program);
            }
            return print(concat!("bowline-proxy ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Some(_) => words,
    };
    let Some((command, named)) = Command::find(words) else {
        return match words.first().map(String::as_str) {
            None | Some("--help") => print(&help::all(program)),
            Some(flag) if flag.starts_with('-') => Err(Given::read(&[], words).err().unwrap_or_default()),
            Some(word) => {
                Err(format!("unknown command {word:?} for \"{program}\"\nRun '{program} --help' for usage."))
            }
        };
    };
    if !matches!(command.name, Name::Run | Name::Install | Name::Image) {
        exec_running_binary(program);
    }
    let given = Given::read(command.flags, &words[named..])?;
    if given.help || command.name == Name::Rollout {
        return print(&help::of(program, command));
    }
    let argument = argument(program, command, &given)?;
    let flags = Flags { known: command.flags, given: &given };
    perform(command, argument, &flags)
}

/// The command's argument, or an empty string if it takes none.
fn argument(program: &str, command: &Command, given: &Given) -> Result<String, String> {
    match (command.argument, given.arguments.as_slice()) {
        ("", []) => Ok(String::new()),
        ("", [first, ..]) => Err(format!("unknown command {first:?} for \"{program} {}\"", command.words)),
        (_, [one]) => Ok(one.clone()),
        (_, several) => Err(format!("accepts 1 arg(s), received {}", several.len())),
    }
}

fn required(command: &Command, given: &Given) -> Result<(), String> {
    let missing: Vec<String> =
        command.required.iter().filter(|name| !given.has(name)).map(|name| format!("{name:?}")).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("required flag(s) {} not set", missing.join(", "))) }
}

fn perform(command: &Command, service: String, flags: &Flags<'_>) -> Result<(), String> {
    let call = |message: control::Command| control::call(&run::socket(), message);
    let done = |message: control::Command| call(message).map(drop);
    if !matches!(command.name, Name::Deploy | Name::Prepare) {
        required(command, flags.given)?;
    }
    match command.name {
        Name::Run => crate::daemon::run(&run::options(flags)?).map_err(|error| error.to_string()),
        Name::Deploy => done(control::Command::Deploy(deploy::deploy(command, service, flags)?)),
        Name::Prepare => done(control::Command::Prepare(deploy::deploy(command, service, flags)?)),
        Name::Switch => done(control::Command::Switch { service }),
        Name::Remove => done(control::Command::Remove { service }),
        Name::Pause => {
            done(control::Command::Pause { service, drain: drain(flags), wait: flags.duration("max-pause") })
        }
        Name::Stop => {
            let (message, retry_after) = (flags.text("message"), run::retry_after(flags)?);
            done(control::Command::Stop { service, drain: drain(flags), message, retry_after })
        }
        Name::Resume => done(control::Command::Resume { service }),
        Name::List => print(&show::list(call(control::Command::List)?, flags.bool("json"))?),
        Name::Stats => print(&show::stats(call(control::Command::Stats { service })?, flags.bool("json"))?),
        Name::RolloutDeploy => done(control::Command::RolloutDeploy(deploy::targets(service, flags))),
        Name::RolloutSet => done(deploy::rollout_set(service, flags)?),
        Name::RolloutStop => done(control::Command::RolloutStop { service }),
        Name::Upgrade => {
            done(control::Command::Upgrade { path: PathBuf::from(service), drain: drain(flags) })
        }
        Name::Install => crate::upgrade::install(&PathBuf::from(&service))
            .map_err(|error| format!("cannot install this program as {service}: {error}")),
        Name::Image if flags.bool("reference") => print(&format!("{}\n", image::reference())),
        Name::Image => {
            required(&Command { required: &["output"], ..*command }, flags.given)?;
            print(&image::of_this_program(&flags.text("output"))?)
        }
        Name::Rollout => Ok(()),
    }
}

fn drain(flags: &Flags<'_>) -> Limits {
    Limits { requests: flags.duration("drain-timeout"), streams: flags.duration("stream-timeout") }
}
