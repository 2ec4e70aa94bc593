//! The live view: keeps [`Frame`]'s picture at the bottom of the terminal, and what is there to stay above it.

use std::time::{Duration, Instant};

use bowline_engine::event::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::frame::Frame;
use super::{Renderer, out};

/// No more often is it drawn.
const PAUSE: Duration = Duration::from_millis(80);

/// Draws on standard error, which is a terminal.
pub struct Live {
    frame: Frame,
    bar: ProgressBar,
    terminal: console::Term,
    begun: Instant,
    drawn: Option<Instant>,
}

impl Live {
    /// Nothing is drawn yet.
    pub fn new(frame: Frame) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self { frame, bar, terminal: console::Term::stderr(), begun: Instant::now(), drawn: None }
    }

    fn draw(&mut self) {
        let (height, width) = self.terminal.size();
        let width = usize::from(width).saturating_sub(1).max(20);
        let lines = self.frame.draw(self.begun.elapsed(), usize::from(height));
        let lines: Vec<_> = lines.iter().map(|line| console::truncate_str(line, width, "…")).collect();
        self.bar.set_message(lines.join("\n"));
        self.drawn = Some(Instant::now());
    }
}

impl Renderer for Live {
    fn event(&mut self, event: &Event) {
        let above = self.frame.apply(event, self.begun.elapsed());
        if !above.is_empty() {
            self.bar.suspend(|| out::stderr(above));
        }
        if self.drawn.is_none_or(|drawn| drawn.elapsed() >= PAUSE) {
            self.draw();
        }
    }

    fn follow(&mut self, line: &str) -> bool {
        self.bar.suspend(|| out::stdout([line]))
    }

    fn tick(&mut self) {
        self.draw();
    }

    fn hide(&mut self) {
        self.bar.set_message("");
        self.bar.suspend(|| ());
    }

    fn end(&mut self, good: bool) {
        let last = self.frame.end(self.begun.elapsed(), good);
        self.bar.finish_and_clear();
        out::stderr(last);
    }
}
