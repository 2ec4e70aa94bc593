//! The live view as a pure function of the events and the time, so that every state can be tested without a terminal:
//! lines to print permanently above the picture, and the picture itself.
//!
//! With few servers, every role on every server has a row. With many, only busy and failed ones do, and the last line
//! counts the others.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bowline_config::HookLevel;
use bowline_core::plan::Plan;
use bowline_engine::event::{Event, Outcome, Phase};

use super::paint::Paint;
use super::{Focus, clean, order, words};

const ROWS: usize = 20;
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

#[derive(Debug)]
pub struct Frame {
    paint: Paint,
    focus: Focus,
    phase: Option<Current>,
    rows: Vec<Row>,
    places: HashMap<(String, Option<String>), usize>,
    /// Servers whose roles have rows, which also show the server's own steps.
    with_roles: HashSet<String>,
    last_line: Option<String>,
    stopping: bool,
}

#[derive(Debug)]
struct Current {
    phase: Phase,
    since: Duration,
    failed: bool,
    /// The phase was interrupted, so it may not have reached its goal.
    interrupted: bool,
    servers: HashSet<String>,
}

/// A role on a server, or a server for the steps that its roles share.
#[derive(Debug, Default)]
struct Row {
    host: String,
    label: String,
    for_role: bool,
    /// The running steps with their start times. The last one is shown.
    steps: Vec<(String, Duration)>,
    progress: Option<String>,
    state: Option<(String, Duration)>,
    done: Option<String>,
    failed: Option<String>,
}

impl Row {
    fn step(&self) -> Option<(String, Duration)> {
        let (step, since) = self.steps.last()?;
        let progress = self.progress.iter().map(|progress| format!(": {progress}"));
        Some((std::iter::once(step.clone()).chain(progress).collect(), *since))
    }
}

impl Frame {
    pub fn new(focus: Focus, paint: Paint) -> Self {
        Self {
            paint,
            focus,
            phase: None,
            rows: Vec::new(),
            places: HashMap::new(),
            with_roles: HashSet::new(),
            last_line: None,
            stopping: false,
        }
    }

    /// Applies an event. Returns lines to print permanently above the picture.
    pub fn apply(&mut self, event: &Event, now: Duration) -> Vec<String> {
        match event {
            Event::Phase(phase) => {
                let mut over = self.end_phase(now);
                if let Phase::Hook { quiet: true, .. } = phase {
                    return over;
                }
                if *phase == Phase::Secrets {
                    // The commands of secrets may use the terminal, and then no picture shows this phase.
                    over.push(format!("  {}", words::doing(phase)));
                }
                self.phase = Some(Current {
                    phase: phase.clone(),
                    since: now,
                    failed: false,
                    interrupted: false,
                    servers: HashSet::new(),
                });
                self.last_line = None;
                return over;
            }
            Event::Planned(plan) => {
                // The plan follows from the observation, so that phase is over.
                let mut over = self.end_phase(now);
                self.make_rows(plan);
                over.extend(self.above(self.paint.bold(&clean::line(&words::planned(plan)))));
                return over;
            }
            Event::Output { host: None, line, .. } => return self.local_line(line),
            Event::Hook { line, level: Some(HookLevel::Verbose), .. } => {
                return self.above(self.paint.dim(&format!("| {}", clean::line(line))));
            }
            Event::BarrierOpened { host, role } => {
                return self.above(self.paint.green(&words::barrier_opened(host, role)));
            }
            Event::BarrierClosed { role } => {
                return self.above(self.paint.red(&words::barrier_closed(role)));
            }
            Event::Failed(failure) => return self.failed(failure),
            Event::Note { host, text } => {
                let host = host.as_ref().map(|host| format!("{}: ", clean::line(host))).unwrap_or_default();
                let text = self.paint.yellow(&format!("note: {}", clean::line(text)));
                return vec![format!("  {host}{text}")];
            }
            Event::Sent(sent) => {
                return words::sent(sent).map(|text| format!("  {text}")).into_iter().collect();
            }
            Event::Interrupted => {
                self.stopping = true;
                if let Some(current) = &mut self.phase {
                    current.interrupted = true;
                }
                return vec![self.paint.yellow(words::interrupted(self.focus))];
            }
            Event::Finished { .. } => return self.end_phase(now),
            _ => self.move_rows(event, now),
        }
        Vec::new()
    }

    fn move_rows(&mut self, event: &Event, now: Duration) {
        match event {
            Event::StepStarted { host, role, what, .. } => {
                let row = self.row(host, role.as_deref());
                row.steps.push((clean::line(what), now));
                row.progress = None;
            }
            Event::StepEnded { host, role, what, outcome, .. } => {
                let what = clean::line(what);
                let row = self.row(host, role.as_deref());
                if let Some(place) = row.steps.iter().rposition(|(step, _)| *step == what) {
                    row.steps.remove(place);
                    row.progress = None;
                }
                self.done_with(host);
                if *outcome == Outcome::Failed
                    && let Some(current) = &mut self.phase
                {
                    current.failed = true;
                }
            }
            Event::Connected { host } => self.done_with(host),
            Event::Sending { host, bytes, size, per_second, .. } => {
                self.row(host, None).progress = Some(words::sending(*bytes, *size, *per_second));
            }
            Event::State { host, role, state } => {
                self.row(host, Some(role)).state = Some((clean::line(state), now));
            }
            Event::RoleDone { host, role, version } | Event::WentBack { host, role, version } => {
                let row = self.row(host, Some(role));
                row.done = Some(clean::line(version));
            }
            _ => {}
        }
    }

    fn done_with(&mut self, host: &str) {
        if let Some(current) = &mut self.phase {
            current.servers.insert(host.to_owned());
        }
    }

    /// Keeps only the last line, because a build prints a lot.
    fn local_line(&mut self, line: &str) -> Vec<String> {
        self.last_line =
            Some(clean::line(line)).filter(|line| !line.trim().is_empty()).or(self.last_line.take());
        Vec::new()
    }

    fn failed(&mut self, failure: &bowline_engine::error::Failure) -> Vec<String> {
        if let Some(current) = &mut self.phase {
            current.failed = true;
        }
        self.done_with(&failure.host);
        let row = self.row(&failure.host, failure.role.as_deref());
        row.failed = Some(words::went_wrong(failure));
        let label = words::label(&failure.host, failure.role.as_deref());
        self.above(format!("{} {label}: {}", self.paint.red("✗"), words::failed(failure)))
    }

    /// Read-only commands leave only their result on the screen.
    fn above(&self, line: String) -> Vec<String> {
        if self.focus == Focus::Progress { vec![format!("  {line}")] } else { Vec::new() }
    }

    fn end_phase(&mut self, now: Duration) -> Vec<String> {
        let Some(Current { phase, since, failed, interrupted, .. }) = self.phase.take() else {
            return Vec::new();
        };
        if self.focus != Focus::Progress {
            return Vec::new();
        }
        let (mark, text) = if interrupted {
            (self.paint.yellow("■"), format!("{}: interrupted", words::doing(&phase)))
        } else if failed {
            (self.paint.red("✗"), words::doing(&phase))
        } else {
            (self.paint.green("✓"), words::done(&phase))
        };
        let time = self.paint.dim(&words::seconds(now.saturating_sub(since)));
        vec![format!("{mark} {} {time}", clean::line(&text))]
    }

    /// The last picture, which stays on the screen: the result of each role.
    pub fn end(&mut self, now: Duration, good: bool) -> Vec<String> {
        if let Some(current) = &mut self.phase {
            current.failed |= !good;
        }
        let mut lines = self.end_phase(now);
        // No step continues, even if it was cut short.
        self.rows.iter_mut().for_each(|row| row.steps.clear());
        let ended = |row: &&Row| {
            row.for_role && (row.done.is_some() || self.wrong(row).is_some() || row.state.is_some())
        };
        let roles: Vec<&Row> = self.in_order().filter(ended).collect();
        if self.focus == Focus::Progress && roles.len() <= ROWS {
            let width = roles.iter().map(|row| row.label.chars().count()).max().unwrap_or_default();
            lines.extend(roles.iter().map(|row| self.show(row, now, width)));
        }
        lines
    }

    fn make_rows(&mut self, plan: &Plan) {
        for server in &plan.servers {
            for role in &server.roles {
                let row = self.row(&server.host, Some(&role.role));
                row.done = role.kept.is_some().then(|| clean::line(&plan.version));
            }
        }
    }

    fn row(&mut self, host: &str, role: Option<&str>) -> &mut Row {
        if role.is_some() && !self.with_roles.contains(host) {
            self.with_roles.insert(host.to_owned());
        }
        let rows = &mut self.rows;
        let place = *self.places.entry((host.to_owned(), role.map(Into::into))).or_insert_with(|| {
            let label = words::label(host, role);
            rows.push(Row { host: host.to_owned(), label, for_role: role.is_some(), ..Row::default() });
            rows.len() - 1
        });
        &mut self.rows[place]
    }

    /// The rows in the order of servers, for any order of events.
    fn in_order(&self) -> impl Iterator<Item = &Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by(|one, other| order::natural(&one.host, &other.host));
        rows.into_iter()
    }

    /// The picture for a terminal with this number of rows. Leaves two rows free: the cursor rests below the picture,
    /// and a picture that filled the rest would be pushed into the terminal's history line by line.
    pub fn draw(&self, now: Duration, height: usize) -> Vec<String> {
        let mut lines = vec![self.head(now)];
        let room = ROWS.min(height.saturating_sub(4));
        let many = self.rows.iter().filter(|row| self.is_shown(row, false)).count() > room;
        if room == 0 {
            return lines;
        }
        let mut shown: Vec<&Row> = self.in_order().filter(|row| self.is_shown(row, many)).collect();
        shown.truncate(room);
        let width = shown.iter().map(|row| row.label.chars().count()).max().unwrap_or_default();
        lines.extend(shown.iter().map(|row| self.show(row, now, width)));
        if many {
            lines.push(self.others(&shown));
        }
        lines
    }

    fn head(&self, now: Duration) -> String {
        let spinner = self.paint.cyan(spinner(now));
        let Some(Current { phase, since, servers, .. }) = &self.phase else {
            return format!("{spinner} {}", if self.stopping { "Stopping" } else { "Starting" });
        };
        let time = words::seconds(now.saturating_sub(*since));
        let mut head = format!(
            "{spinner} {} {}",
            self.paint.bold(&clean::line(&words::doing(phase))),
            self.paint.dim(&time)
        );
        if let Some(all) = words::servers(phase).filter(|all| *all > 1) {
            head.push_str(&self.paint.dim(&format!("  {} of {all}", servers.len().min(all))));
        }
        if let Some(line) = &self.last_line {
            head.push_str(&self.paint.dim(&format!("  {line}")));
        }
        head.replace('\t', " ")
    }

    /// The current step of a row and its start time. For a role without one, that of its server.
    fn busy(&self, row: &Row) -> Option<(String, Duration)> {
        let of_server = || {
            let place = self.places.get(&(row.host.clone(), None)).filter(|_| row.for_role)?;
            self.rows.get(*place)?.step()
        };
        row.step().or_else(of_server)
    }

    /// The failure of a row. For a role that isn't done, also the failure of its server.
    fn wrong<'r>(&'r self, row: &'r Row) -> Option<&'r String> {
        let of_server = || {
            let place =
                self.places.get(&(row.host.clone(), None)).filter(|_| row.for_role && row.done.is_none())?;
            self.rows.get(*place)?.failed.as_ref()
        };
        row.failed.as_ref().or_else(of_server)
    }

    /// Whether a row is shown. A role's row is hidden only if there are too many and it is neither busy nor failed.
    fn is_shown(&self, row: &Row, many: bool) -> bool {
        let busy = self.busy(row).is_some();
        if row.for_role {
            return busy || !many || self.wrong(row).is_some();
        }
        busy && !self.with_roles.contains(&row.host)
    }

    fn standing(&self, row: &Row) -> (u8, &'static str) {
        match (self.wrong(row).is_some(), row.done.is_some(), self.busy(row).is_some()) {
            (true, _, _) => (0, "failed"),
            (_, true, false) => (1, "done"),
            (_, true, true) => (2, "finishing"),
            (_, _, true) => (3, "busy"),
            _ => (4, "waiting"),
        }
    }

    fn show(&self, row: &Row, now: Duration, width: usize) -> String {
        let (mark, text) = match (self.busy(row), self.wrong(row), &row.done) {
            (Some((step, since)), _, None) => {
                // A state that is newer than the step says more than the step.
                let news = row.state.as_ref().filter(|(_, at)| *at >= since);
                let text = news.map_or(step.as_str(), |(state, _)| state);
                let time = self.paint.dim(&words::seconds(now.saturating_sub(since)));
                (self.paint.cyan(spinner(now)), format!("{text} {time}"))
            }
            (_, Some(failed), _) => (self.paint.red("✗"), self.paint.red(failed)),
            (busy, None, Some(version)) => {
                // Later steps of the server, such as pruning, have no row.
                let more = busy.map(|(step, _)| self.paint.dim(&format!("  {step}"))).unwrap_or_default();
                let serves = self.paint.green(&format!("serves version {version}"));
                (self.paint.green("✓"), format!("{serves}{more}"))
            }
            (None, None, None) => match &row.state {
                Some((state, _)) => (self.paint.dim("·"), state.clone()),
                None => (self.paint.dim("·"), String::new()),
            },
        };
        let label = &row.label;
        format!("  {mark} {label:width$}  {text}").replace('\t', " ").trim_end().to_owned()
    }

    fn others(&self, shown: &[&Row]) -> String {
        let mut counts: BTreeMap<(u8, &str), usize> = BTreeMap::new();
        let is_shown = |row: &Row| shown.iter().any(|other| std::ptr::eq(*other, row));
        for row in self.rows.iter().filter(|row| self.is_shown(row, false) && !is_shown(row)) {
            *counts.entry(self.standing(row)).or_default() += 1;
        }
        let total: usize = counts.values().sum();
        let parts: Vec<String> =
            counts.into_iter().map(|((_, what), number)| format!("{number} {what}")).collect();
        self.paint.dim(&format!("  … {total} more: {}", parts.join(", ")))
    }
}

fn spinner(now: Duration) -> &'static str {
    let turn = usize::try_from(now.as_millis() / 100).unwrap_or_default() % SPINNER.len();
    SPINNER[turn]
}
