//! Shows the output of commands on servers, under a heading for each server, as in Kamal.

use std::collections::BTreeSet;

use bowline_engine::ports::Exit;
use bowline_engine::world::HostOutput;

use super::{clean, json, order, out};
use crate::settings::{Settings, Verbosity, View};

/// Text for one of the two streams, without its last line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    Out(String),
    Err(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heading {
    App,
    Accessory,
}

impl Heading {
    /// In Kamal's format. `place` names the server and, unless all outputs are for the same role, the role.
    fn line(self, place: &str, host: &str, name: Option<&str>) -> String {
        match (self, name) {
            (Heading::Accessory, Some(name)) => clean::line(&format!("Accessory {name} Host: {host}")),
            _ => format!("App Host: {place}"),
        }
    }
}

pub fn show(settings: &Settings, heading: Heading, outputs: &[HostOutput]) {
    if settings.view == View::Json {
        out::stdout(outputs.iter().map(|output| json::result(output).to_string()));
        return;
    }
    let heading = (settings.verbosity != Verbosity::Quiet).then_some(heading);
    for shown in lines(outputs, heading) {
        match shown {
            Shown::Out(line) => out::stdout([line]),
            Shown::Err(line) => out::stderr([line]),
        };
    }
}

pub fn lines(outputs: &[HostOutput], heading: Option<Heading>) -> Vec<Shown> {
    let roles: BTreeSet<Option<&str>> = outputs.iter().map(|output| output.role.as_deref()).collect();
    let mut shown = Vec::new();
    let mut outputs: Vec<&HostOutput> = outputs.iter().collect();
    outputs.sort_by(|one, other| order::natural(&one.host, &other.host));
    // Without headings, the lines of several servers are labelled.
    let several = heading.is_none() && outputs.len() > 1;
    for HostOutput { host, role, output } in outputs {
        let named = role.as_ref().filter(|_| roles.len() > 1).map(|role| format!(" ({role})"));
        let place = clean::line(&format!("{host}{}", named.unwrap_or_default()));
        if let Some(heading) = heading {
            shown.push(Shown::Out(heading.line(&place, host, role.as_deref())));
        }
        let text =
            |said: &str| text(said).map(|text| if several { named_lines(&place, &text) } else { text });
        shown.extend(text(&output.stdout).map(Shown::Out));
        shown.extend(text(&output.stderr).map(Shown::Err));
        match &output.exit {
            Exit::Status(0) => {}
            Exit::Status(status) => shown.push(Shown::Err(format!("{place}: exit code {status}"))),
            Exit::Signal(signal) => {
                shown.push(Shown::Err(format!("{place}: killed by SIG{}", clean::line(signal))));
            }
        }
        if heading.is_some() {
            shown.push(Shown::Out(String::new()));
        }
    }
    shown
}

fn named_lines(place: &str, text: &str) -> String {
    text.lines().map(|line| format!("{place}: {line}")).collect::<Vec<_>>().join("\n")
}

/// Cleans an output as one text, since it may have millions of lines.
fn text(said: &str) -> Option<String> {
    let text = clean::lines(said);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    (!text.is_empty()).then(|| text.to_owned())
}

pub fn say(settings: &Settings, text: &str) {
    if settings.view == View::Json {
        out::stdout([json::said(text).to_string()]);
    } else {
        out::stdout([clean::lines(text)]);
    }
}
