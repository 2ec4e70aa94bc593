//! The live view: keeps [`Frame`]'s picture at the bottom of the terminal, and prints permanent lines above it.
//!
//! The cursor rests below the picture, at the start of a line, so that the terminal's own output (`^C` for Ctrl-C)
//! moves nothing. Each change is a single write, which avoids flicker.

use std::time::{Duration, Instant};

use bowline_engine::event::Event;

use super::frame::Frame;
use super::{Renderer, out};

/// The minimum time between two pictures.
const PAUSE: Duration = Duration::from_millis(80);

/// Draws on standard error, which must be a terminal.
pub struct Live {
    frame: Frame,
    terminal: console::Term,
    begun: Instant,
    drawn_at: Option<Instant>,
    /// The widths, in columns, of the lines of the picture on the screen.
    drawn: Vec<usize>,
}

impl Live {
    pub fn new(frame: Frame) -> Self {
        let terminal = console::Term::stderr();
        Self { frame, terminal, begun: Instant::now(), drawn_at: None, drawn: Vec::new() }
    }

    fn replace(&mut self, lines: &[String]) {
        let (_, columns) = self.terminal.size();
        let text = over(&self.drawn, usize::from(columns), lines);
        self.drawn.clear();
        out::raw_stderr(&text);
    }

    fn draw(&mut self, mut lines: Vec<String>) {
        let (height, columns) = self.terminal.size();
        let width = usize::from(columns).saturating_sub(1).max(20);
        let picture: Vec<String> = self
            .frame
            .draw(self.begun.elapsed(), usize::from(height))
            .iter()
            .map(|line| console::truncate_str(line, width, "…").into_owned())
            .collect();
        let widths = picture.iter().map(|line| console::measure_text_width(line)).collect();
        lines.extend(picture);
        self.replace(&lines);
        self.drawn = widths;
        self.drawn_at = Some(Instant::now());
    }
}

/// The text that writes lines over a picture with lines of these widths, which a narrower terminal has wrapped.
///
/// Each row is cleared separately. If a terminal such as tmux is asked to clear everything from its first row on, it
/// adds the cleared rows to its history, and so would keep every picture.
fn over(drawn: &[usize], columns: usize, lines: &[String]) -> String {
    let rows: usize = drawn.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
    let mut text = String::new();
    if rows > 0 {
        text.push_str(&format!("\r\u{1b}[{rows}A"));
    }
    for line in lines {
        text.push_str(line);
        text.push_str(if rows > 0 { "\u{1b}[K\n" } else { "\n" });
    }
    match (rows, lines) {
        (0, _) => {}
        (rows, []) => {
            text.push_str(&"\u{1b}[2K\n".repeat(rows));
            text.push_str(&format!("\u{1b}[{rows}A"));
        }
        _ => text.push_str("\u{1b}[J"),
    }
    text
}

impl Renderer for Live {
    fn event(&mut self, event: &Event) {
        let above = self.frame.apply(event, self.begun.elapsed());
        if !above.is_empty() || self.drawn_at.is_none_or(|drawn| drawn.elapsed() >= PAUSE) {
            self.draw(above);
        }
    }

    fn follow(&mut self, line: &str) -> bool {
        self.replace(&[]);
        out::stdout([line])
    }

    fn tick(&mut self) {
        self.draw(Vec::new());
    }

    fn hide(&mut self) {
        self.replace(&[]);
    }

    fn end(&mut self, good: bool) {
        let last = self.frame.end(self.begun.elapsed(), good);
        self.replace(&last);
    }
}

#[cfg(test)]
mod tests {
    use super::over;

    #[test]
    fn the_whole_picture_is_written_over_also_when_it_was_broken() {
        let lines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(over(&[], 80, &lines), "a\nb\n");
        assert_eq!(over(&[10, 0, 80], 80, &lines), "\r\u{1b}[3Aa\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
        assert_eq!(over(&[79, 30], 40, &lines[..1]), "\r\u{1b}[3Aa\u{1b}[K\n\u{1b}[J");
    }

    #[test]
    fn a_picture_is_taken_away_without_clearing_the_screen() {
        assert_eq!(over(&[], 80, &[]), "");
        assert_eq!(over(&[5, 5], 80, &[]), "\r\u{1b}[2A\u{1b}[2K\n\u{1b}[2K\n\u{1b}[2A");
    }
}
