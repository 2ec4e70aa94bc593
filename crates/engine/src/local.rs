//! Runs programs on this machine. Reports their output line by line, and keeps the last lines for errors.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bowline_core::shell::quote;

use crate::error::RunError;
use crate::event::Event;
use crate::ports::{Line, Local, LocalCommand, OnLine, Output};
use crate::world::World;

/// How many of a program's last lines an error shows: enough to contain a build's failed step.
const TAIL: usize = 40;

/// The time limit of a program on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) time: Duration,
    /// How to raise the limit.
    pub(crate) setting: &'static str,
    /// Whether errors may quote the program's last output.
    pub(crate) quoted: bool,
}

impl Limit {
    pub(crate) fn hook(world: &World) -> Self {
        Self { time: world.timeouts.hook, setting: "`timeouts: {hook: SECONDS}`", quoted: true }
    }

    pub(crate) fn build(world: &World) -> Self {
        Self { time: world.timeouts.build, setting: "`timeouts: {build: SECONDS}`", quoted: true }
    }

    pub(crate) fn command(world: &World) -> Self {
        Self { time: world.timeouts.command, setting: "`timeouts: {command: SECONDS}`", quoted: true }
    }
}

/// Runs a program, and kills it when the time limit passes.
pub(crate) async fn within(
    local: &dyn Local,
    command: &LocalCommand,
    limit: Limit,
    on_line: OnLine<'_>,
) -> Result<Output, String> {
    let last = Mutex::new(VecDeque::new());
    let heard = |line: Line<'_>| {
        if limit.quoted {
            let (Line::Out(text) | Line::Err(text)) = line;
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            last.push_back(text.to_owned());
            if last.len() > TAIL {
                last.pop_front();
            }
        }
        on_line(line);
    };
    let ended = tokio::time::timeout(limit.time, local.run(command, &heard)).await;
    ended.unwrap_or_else(|_| {
        let Limit { time, setting, .. } = limit;
        let why = format!(
            "it did not finish within {} s and was killed ({setting} sets the limit)",
            time.as_secs()
        );
        let last = last.lock().unwrap_or_else(PoisonError::into_inner);
        Err(last.iter().fold(why, |text, line| text + "\n" + line))
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
    Stopped,
    /// It couldn't start, or it failed with this last output.
    Because(String),
}

impl Failed {
    pub(crate) fn at(self, what: &str, hint: Option<String>) -> RunError {
        match self {
            Failed::Stopped => RunError::interrupted(),
            Failed::Because(reason) => RunError::local(what, reason, hint),
        }
    }

    /// The program's last output; empty if it was stopped.
    pub(crate) fn said(&self) -> &str {
        match self {
            Failed::Stopped => "",
            Failed::Because(reason) => reason,
        }
    }
}

/// The line of a program's output that says what went wrong: the last one with an error in it, otherwise the last.
pub(crate) fn error_line(said: &str) -> &str {
    let mut lines =
        said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("exit status"));
    let error = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.contains("error") || line.contains("fatal")
    };
    lines.clone().rfind(error).or_else(|| lines.next_back()).unwrap_or_default()
}

/// The notice that Docker prints on every build with its legacy builder. Bowline uses that builder only where there is
/// no other, so the user can't act on the notice.
const LEGACY: &[&str] = &[
    "DEPRECATED: The legacy builder",
    "BuildKit is currently disabled; enable it",
    "environment-variable.",
    "Install the buildx component to build images with BuildKit",
    "https://docs.docker.com/go/buildx/",
];

fn is_about_the_legacy_builder(line: &str) -> bool {
    LEGACY.iter().any(|words| line.trim_start().starts_with(words))
}

pub(crate) async fn run(world: &World, command: &LocalCommand) -> Result<Output, Failed> {
    let words: Vec<String> = command.words.iter().map(|word| quote(word)).collect();
    run_shown(world, command, words.join(" ")).await
}

/// Like [`run`], for a program with secret arguments: events get `shown` instead.
pub(crate) async fn run_shown(
    world: &World,
    command: &LocalCommand,
    shown: String,
) -> Result<Output, Failed> {
    world.events.emit(Event::Program { command: shown });
    let on_line = |line: Line<'_>| {
        let (Line::Out(line) | Line::Err(line)) = line;
        if !is_about_the_legacy_builder(line) {
            world.events.emit(Event::Output { host: None, role: None, line: line.into() });
        }
    };
    wanted(world, command, &on_line).await
}

pub(crate) async fn ask(world: &World, words: &[String]) -> Result<Output, Failed> {
    ask_without(world, words, &[]).await
}

/// Like [`ask`], with these environment variables removed.
pub(crate) async fn ask_without(
    world: &World,
    words: &[String],
    without: &[String],
) -> Result<Output, Failed> {
    let command = LocalCommand { words: words.to_vec(), without: without.to_vec(), ..Default::default() };
    wanted(world, &command, &|_| {}).await
}

async fn wanted(
    world: &World,
    command: &LocalCommand,
    on_line: &(dyn Fn(Line<'_>) + Send + Sync),
) -> Result<Output, Failed> {
    let output = tokio::select! {
        output = within(world.local.as_ref(), command, Limit::build(world), on_line) => {
            output.map_err(Failed::Because)?
        }
        () = world.stop.triggered() => return Err(Failed::Stopped),
    };
    if output.success() {
        return Ok(output);
    }
    let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let last = last(said);
    Err(Failed::Because(if last.is_empty() { output.exit.to_string() } else { last }))
}

pub(crate) fn last(said: &str) -> String {
    let lines: Vec<&str> = said.trim().lines().collect();
    lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n")
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_with_the_error_is_quoted() {
        let cases = [
            ("#1 booting\n#9 ERROR: no such file\nexit status 1", "#9 ERROR: no such file"),
            ("warning: a\nfatal: bad object x\nhint: look\n", "fatal: bad object x"),
            ("one\ntwo\n\nexit status 2", "two"),
            ("", ""),
        ];
        for (said, line) in cases {
            assert_eq!(error_line(said), line, "{said:?}");
        }
    }

    #[test]
    fn only_the_legacy_builders_own_notice_is_left_out() {
        let notice = "DEPRECATED: The legacy builder is deprecated and will be removed in a future release.\n            \
                      Install the buildx component to build images with BuildKit:\n            https://docs.docker.com/go/buildx/";
        assert!(notice.lines().all(is_about_the_legacy_builder));
        assert!(!is_about_the_legacy_builder("Step 3/4 : RUN echo DEPRECATED: The legacy builder"));
    }
}
