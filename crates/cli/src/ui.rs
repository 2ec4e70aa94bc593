//! Shows events to users and programs as lines, pictures or JSON.
//!
//! A [`Screen`] runs on a separate thread, so that the engine never waits for a terminal. During a run, only the
//! screen writes. Results and the report follow at the end.

pub mod clean;
pub mod findings;
pub mod frame;
pub mod json;
pub mod live;
pub mod order;
pub mod out;
pub mod paint;
pub mod plain;
pub mod prompt;
pub mod report;
pub mod results;
pub mod terminal;
pub mod words;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bowline_core::plan::Plan;
use bowline_engine::event::{Event, Events};
use tokio::runtime::RuntimeFlavor;

use crate::settings::{Settings, View};

/// The redraw interval when nothing happens.
const TICK: Duration = Duration::from_millis(100);
/// How long to wait for the screen to hide its picture.
const PATIENCE: Duration = Duration::from_millis(300);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// Events, as they happen.
    Progress,
    /// The result, at the end.
    Result,
    /// Lines from servers, as they arrive.
    Lines,
}

/// How to treat lines from servers while a command follows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// They are events.
    No,
    /// They are the result, from one server.
    One,
    /// They are the result, from several servers. Each line is labelled with its server.
    Several,
}

pub trait Renderer: Send {
    fn event(&mut self, event: &Event);
    /// Shows a line of the result. Returns `false` if its reader is gone.
    fn follow(&mut self, line: &str) -> bool {
        out::stdout([line])
    }
    fn tick(&mut self) {}
    /// Another program needs the terminal, until the next event or tick.
    fn hide(&mut self) {}
    fn end(&mut self, _good: bool) {}
}

struct PlainView(plain::Plain);

impl Renderer for PlainView {
    fn event(&mut self, event: &Event) {
        out::stderr(self.0.lines(event));
    }
}

struct JsonView;

impl Renderer for JsonView {
    fn event(&mut self, event: &Event) {
        out::stdout([json::event(event).to_string()]);
    }
}

#[derive(Debug, Clone, Default)]
pub struct Tally {
    pub plan: Option<Arc<Plan>>,
    pub elapsed: Option<Duration>,
}

enum Message {
    Event(Box<Event>),
    Hide { hidden: Sender<()>, until: Receiver<()> },
    End { good: bool },
}

/// Counts the lines from servers that are not shown yet. When it is full, senders wait: a reader that pauses must
/// hold up the servers instead of filling memory.
#[derive(Debug, Default)]
struct Backlog {
    lines: Mutex<usize>,
    shown: Condvar,
    /// The run is ending, so senders no longer wait.
    open: AtomicBool,
}

/// The maximum number of lines. A long line counts as several.
const BACKLOG: usize = 10_000;
/// The length in bytes up to which a line counts as one.
const SHORT: usize = 512;

fn weight(line: &str) -> usize {
    1 + line.len() / SHORT
}

impl Backlog {
    fn lines(&self) -> MutexGuard<'_, usize> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, weight: usize) {
        let mut lines = self.lines();
        while *lines >= BACKLOG && !self.open.load(Ordering::SeqCst) {
            let waited = self.shown.wait_timeout(lines, TICK).unwrap_or_else(PoisonError::into_inner);
            lines = waited.0;
        }
        *lines += weight;
    }

    fn take(&self, weight: usize) {
        let mut lines = self.lines();
        *lines = lines.saturating_sub(weight);
        self.shown.notify_all();
    }
}

/// Passes events to the screen. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    sender: Sender<Message>,
    backlog: Arc<Backlog>,
}

impl Events for Handle {
    fn emit(&self, event: Event) {
        match event {
            Event::Output { ref line, .. } => aside(|| self.backlog.add(weight(line))),
            Event::Interrupted => self.backlog.open.store(true, Ordering::SeqCst),
            _ => {}
        }
        let _ = self.sender.send(Message::Event(Box::new(event)));
    }
}

/// Does work that may block, without blocking other tasks of the runtime.
fn aside(work: impl FnOnce()) {
    let runtime = tokio::runtime::Handle::try_current();
    if runtime.is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread) {
        tokio::task::block_in_place(work);
    } else {
        work();
    }
}

impl Handle {
    /// Hides the picture and freezes the screen until the returned value is dropped.
    pub fn hide(&self) -> Hidden {
        let (hidden, was_hidden) = channel();
        let (hold, until) = channel();
        if self.sender.send(Message::Hide { hidden, until }).is_ok() {
            let _ = was_hidden.recv_timeout(PATIENCE);
        }
        Hidden { _hold: hold }
    }
}

pub struct Hidden {
    _hold: Sender<()>,
}

pub struct Screen {
    handle: Handle,
    thread: Option<JoinHandle<Tally>>,
}

impl Screen {
    /// `broken` is called when the reader of followed lines is gone.
    pub fn start(
        settings: &Settings,
        focus: Focus,
        follow: Follow,
        broken: impl Fn() + Send + 'static,
    ) -> Self {
        let renderer: Box<dyn Renderer> = match settings.view {
            View::Live => Box::new(live::Live::new(frame::Frame::new(focus, settings.err))),
            View::Plain => Box::new(PlainView(plain::Plain {
                paint: settings.err,
                verbosity: settings.verbosity,
                focus,
            })),
            View::Json => Box::new(JsonView),
        };
        // A program gets followed lines as events, like everything else.
        let follow = if settings.view == View::Json { Follow::No } else { follow };
        Self::with(renderer, follow, broken)
    }

    pub fn with(renderer: Box<dyn Renderer>, follow: Follow, broken: impl Fn() + Send + 'static) -> Self {
        let (sender, receiver) = channel();
        let backlog = Arc::<Backlog>::default();
        let tally = Tally::default();
        let stage = Stage { renderer, follow, tally, interrupted: false, backlog: Arc::clone(&backlog) };
        let thread =
            std::thread::Builder::new().name("screen".into()).spawn(move || stage.run(&receiver, broken));
        Self { handle: Handle { sender, backlog }, thread: thread.ok() }
    }

    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    pub fn finish(mut self, good: bool) -> Tally {
        self.end(good)
    }

    fn end(&mut self, good: bool) -> Tally {
        let _ = self.handle.sender.send(Message::End { good });
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Screen {
    /// Removes the picture if a run unwinds.
    fn drop(&mut self) {
        self.end(false);
    }
}

struct Stage {
    renderer: Box<dyn Renderer>,
    follow: Follow,
    tally: Tally,
    interrupted: bool,
    backlog: Arc<Backlog>,
}

impl Drop for Stage {
    /// Lets senders continue, even if the screen panics.
    fn drop(&mut self) {
        self.backlog.open.store(true, Ordering::SeqCst);
    }
}

impl Stage {
    fn run(mut self, messages: &Receiver<Message>, broken: impl Fn()) -> Tally {
        loop {
            match messages.recv_timeout(TICK) {
                Ok(Message::Event(event)) => {
                    if !self.event(&event) {
                        broken();
                    }
                    if let Event::Output { line, .. } = &*event {
                        self.backlog.take(weight(line));
                    }
                }
                Ok(Message::Hide { hidden, until }) => {
                    self.renderer.hide();
                    let _ = hidden.send(());
                    let _ = until.recv();
                }
                Ok(Message::End { good }) => {
                    self.renderer.end(good);
                    return std::mem::take(&mut self.tally);
                }
                Err(RecvTimeoutError::Timeout) => self.renderer.tick(),
                Err(RecvTimeoutError::Disconnected) => {
                    self.renderer.end(false);
                    return std::mem::take(&mut self.tally);
                }
            }
        }
    }

    /// Returns `false` if the reader of followed lines is gone.
    fn event(&mut self, event: &Event) -> bool {
        match event {
            Event::Planned(plan) => self.tally.plan = Some(Arc::clone(plan)),
            Event::Finished { elapsed, .. } => self.tally.elapsed = Some(*elapsed),
            // Both the signal handler and the engine report an interrupt.
            Event::Interrupted if std::mem::replace(&mut self.interrupted, true) => return true,
            Event::Output { host: Some(host), role, line } if self.follow != Follow::No => {
                let line = clean::line(line);
                let line = match (self.follow, role) {
                    (Follow::One, None) => line,
                    _ => format!("{}: {line}", words::label(host, role.as_deref())),
                };
                return self.renderer.follow(&line);
            }
            _ => {}
        }
        self.renderer.event(event);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A renderer that waits for a turn before each line.
    struct Reader {
        turns: Receiver<()>,
        seen: Arc<Mutex<Vec<String>>>,
    }

    impl Renderer for Reader {
        fn event(&mut self, _: &Event) {}

        fn follow(&mut self, line: &str) -> bool {
            let _ = self.turns.recv();
            self.seen.lock().unwrap().push(line.to_owned());
            true
        }
    }

    fn line(number: usize) -> Event {
        Event::Output { host: Some("a".into()), role: None, line: number.to_string() }
    }

    /// A thread that sends more lines than the backlog holds, to a reader that doesn't read yet.
    struct Told {
        screen: Screen,
        /// Lets the reader read when dropped.
        turn: Sender<()>,
        seen: Arc<Mutex<Vec<String>>>,
        teller: JoinHandle<()>,
    }

    impl Told {
        fn new() -> Self {
            let ((turn, turns), seen) = (channel(), Arc::default());
            let reader = Reader { turns, seen: Arc::clone(&seen) };
            let screen = Screen::with(Box::new(reader), Follow::One, || {});
            let handle = screen.handle();
            let tell = move || (0..BACKLOG + 100).for_each(|number| handle.emit(line(number)));
            Self { screen, turn, seen, teller: std::thread::spawn(tell) }
        }
    }

    #[test]
    fn a_reader_that_pauses_holds_up_whoever_tells_and_gets_every_line() {
        let Told { screen, turn, seen, teller } = Told::new();
        std::thread::sleep(Duration::from_millis(300));
        assert!(!teller.is_finished(), "more was told than may wait");
        drop(turn);
        teller.join().unwrap();
        screen.finish(true);
        let seen = seen.lock().unwrap();
        assert!(seen.iter().enumerate().all(|(number, line)| *line == number.to_string()));
        assert_eq!(seen.len(), BACKLOG + 100);
    }

    struct Broken;

    impl Renderer for Broken {
        fn event(&mut self, _: &Event) {
            panic!("tested: the screen breaks");
        }
    }

    #[test]
    fn a_screen_that_breaks_holds_nobody_up() {
        let screen = Screen::with(Box::new(Broken), Follow::No, || {});
        let handle = screen.handle();
        let tell = move || (0..2 * BACKLOG).for_each(|number| handle.emit(line(number)));
        std::thread::spawn(tell).join().unwrap();
        screen.finish(false);
    }

    #[test]
    fn an_interrupt_is_not_held_up() {
        let Told { screen, turn, seen: _, teller } = Told::new();
        std::thread::sleep(Duration::from_millis(100));
        screen.handle().emit(Event::Interrupted);
        teller.join().unwrap();
        drop(turn);
        screen.finish(false);
    }
}
