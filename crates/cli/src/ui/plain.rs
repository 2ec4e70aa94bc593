//! One line per event: for logs, for pipes, and with `-v`. Never draws over earlier output.

use bowline_config::HookLevel;
use bowline_engine::event::{Event, Outcome, Phase};

use super::paint::Paint;
use super::{Focus, clean, words};
use crate::settings::Verbosity;

#[derive(Debug, Clone, Copy)]
pub struct Plain {
    pub paint: Paint,
    pub verbosity: Verbosity,
    pub focus: Focus,
}

impl Plain {
    pub fn lines(&self, event: &Event) -> Vec<String> {
        let shown = match self.verbosity {
            Verbosity::Quiet => false,
            Verbosity::Normal => {
                let quiet = matches!(event, Event::Phase(Phase::Hook { quiet: true, .. }));
                !quiet && (self.focus == Focus::Progress || matters_to_a_query(event))
            }
            Verbosity::Verbose => true,
        };
        if shown { self.all_lines(event) } else { Vec::new() }
    }

    fn all_lines(&self, event: &Event) -> Vec<String> {
        let paint = self.paint;
        match event {
            Event::Phase(phase) => vec![paint.bold(&clean::line(&words::doing(phase)))],
            Event::Planned(plan) => vec![paint.bold(&clean::line(&words::planned(plan)))],
            Event::State { host, role, state } => vec![about(host, Some(role), &clean::line(state))],
            Event::BarrierOpened { host, role } => {
                vec![format!("  {}", paint.green(&words::barrier_opened(host, role)))]
            }
            Event::BarrierClosed { role } => vec![format!("  {}", paint.red(&words::barrier_closed(role)))],
            Event::RoleDone { host, role, version } => {
                let text = format!("serves version {}", clean::line(version));
                vec![about(host, Some(role), &paint.green(&text))]
            }
            Event::WentBack { host, role, version } => {
                let text = format!("went back to version {}", clean::line(version));
                vec![about(host, Some(role), &paint.yellow(&text))]
            }
            Event::Failed(failure) => {
                let text = words::failed(failure);
                vec![about(&failure.host, failure.role.as_deref(), &paint.red(&text))]
            }
            Event::Note { host, text } => {
                let text = paint.yellow(&format!("note: {}", clean::line(text)));
                vec![host.as_ref().map_or_else(|| format!("  {text}"), |host| about(host, None, &text))]
            }
            Event::Sent(sent) => words::sent(sent).map(|text| format!("  {text}")).into_iter().collect(),
            Event::Interrupted => vec![paint.yellow(words::interrupted(self.focus))],
            _ => self.steps(event),
        }
    }

    fn steps(&self, event: &Event) -> Vec<String> {
        let (paint, verbose) = (self.paint, self.verbosity == Verbosity::Verbose);
        match event {
            // Once in ten seconds is enough to show that it continues.
            Event::Sending { host, bytes, size, per_second, elapsed } if elapsed.as_secs() % 10 == 0 => {
                vec![about(host, None, &paint.dim(&words::sending(*bytes, *size, *per_second)))]
            }
            Event::Connected { host } if verbose => vec![about(host, None, "connected")],
            Event::StepStarted { host, role, what, command } if verbose => {
                let mut lines = vec![about(host, role.as_deref(), &clean::line(what))];
                let command = clean::lines(command.trim_end());
                let marks = std::iter::once("$").chain(std::iter::repeat(" "));
                let command = command.lines().zip(marks);
                lines.extend(command.map(|(line, mark)| paint.dim(&format!("    {mark} {line}"))));
                lines
            }
            Event::StepEnded { host, role, what, elapsed, outcome } => {
                let how = match outcome {
                    Outcome::Done => format!("done in {}", words::seconds(*elapsed)),
                    Outcome::LacksImage => "needs its image first".into(),
                    Outcome::Failed => paint.red(&format!("failed after {}", words::seconds(*elapsed))),
                };
                vec![about(host, role.as_deref(), &format!("{}: {how}", clean::line(what)))]
            }
            Event::Program { command } if verbose => {
                vec![about("here", None, &paint.dim(&format!("$ {}", clean::line(command))))]
            }
            Event::Output { host, role, line } if verbose || host.is_none() => {
                let host = host.as_deref().unwrap_or("here");
                vec![about(host, role.as_deref(), &paint.dim(&format!("| {}", clean::line(line))))]
            }
            Event::Hook { name, line, level } if verbose || *level == Some(HookLevel::Verbose) => {
                vec![about(name, None, &paint.dim(&format!("| {}", clean::line(line))))]
            }
            Event::Finished { elapsed, commands } if verbose => {
                let mut lines = vec![format!("took {}", words::seconds(*elapsed))];
                lines.extend(
                    commands.iter().map(|(host, number)| {
                        format!("commands in sequence: {} {number}", clean::line(host))
                    }),
                );
                lines
            }
            _ => Vec::new(),
        }
    }
}

/// Whether a read-only command shows an event. Users want to see its result, and hooks that they made verbose.
fn matters_to_a_query(event: &Event) -> bool {
    let wanted = matches!(event, Event::Hook { level: Some(HookLevel::Verbose), .. });
    wanted || matches!(event, Event::Note { .. } | Event::Interrupted)
}

fn about(host: &str, role: Option<&str>, text: &str) -> String {
    format!("  {}: {text}", words::label(host, role))
}
