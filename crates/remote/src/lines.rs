//! Cuts a program's output into lines for the view, and keeps it for the result, within the limits of our memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use bowline_engine::ports::{Exit, Line, OnLine, Output, ServerError};

use crate::Result;

/// The maximum length of a line in bytes. The rest of a longer one is dropped.
pub(crate) const LINE_LIMIT: usize = 8 * 1024;
/// The maximum size of standard output in bytes. More is an error, because half an answer is useless.
pub(crate) const STDOUT_LIMIT: usize = 16 * 1024 * 1024;
/// How many bytes of the end of standard error to keep.
pub(crate) const STDERR_LIMIT: usize = 64 * 1024;

/// The maximum size of collected standard output of all servers together.
pub(crate) const TOGETHER_LIMIT: usize = 16 * STDOUT_LIMIT;

/// A limit on the collected output, which all servers share.
#[derive(Debug)]
pub(crate) struct Room {
    limit: usize,
    taken: AtomicUsize,
}

impl Room {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, taken: AtomicUsize::new(0) }
    }

    fn take(&self, bytes: usize) -> Result<()> {
        if self.taken.fetch_add(bytes, Ordering::Relaxed) + bytes > self.limit {
            return Err(ServerError::TooMuchTogether { limit: self.limit });
        }
        Ok(())
    }
}

/// Cuts a stream of bytes into lines of at most [`LINE_LIMIT`] bytes, holding no more than one.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Calls `each` for every line that these bytes complete, without its line end.
    pub(crate) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(&str)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..end]);
            self.flush(&mut each);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// Calls `each` for the last line if it had no line end.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            self.flush(&mut each);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_LIMIT - self.partial.len().min(LINE_LIMIT);
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn flush(&mut self, each: &mut impl FnMut(&str)) {
        let text = self.partial.strip_suffix(b"\r").unwrap_or(&self.partial);
        each(&String::from_utf8_lossy(text));
        self.partial.clear();
    }
}

pub(crate) struct Capture<'a> {
    on_line: OnLine<'a>,
    out_lines: Lines,
    err_lines: Lines,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    stderr_cut: bool,
    room: Option<&'a Room>,
}

impl<'a> Capture<'a> {
    pub(crate) fn new(on_line: OnLine<'a>) -> Self {
        Self {
            on_line,
            out_lines: Lines::default(),
            err_lines: Lines::default(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            stderr_cut: false,
            room: None,
        }
    }

    pub(crate) fn within(mut self, room: Option<&'a Room>) -> Self {
        self.room = room;
        self
    }

    pub(crate) fn out(&mut self, bytes: &[u8]) -> Result<()> {
        let on_line = self.on_line;
        self.out_lines.push(bytes, |line| on_line(Line::Out(line)));
        if self.stdout.len() + bytes.len() > STDOUT_LIMIT {
            return Err(ServerError::TooMuchOutput { limit: STDOUT_LIMIT });
        }
        if let Some(room) = self.room {
            room.take(bytes.len())?;
        }
        self.stdout.extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn err(&mut self, bytes: &[u8]) {
        let on_line = self.on_line;
        self.err_lines.push(bytes, |line| on_line(Line::Err(line)));
        self.stderr.extend_from_slice(bytes);
        // Trim at twice the limit, so that each byte moves at most once.
        if self.stderr.len() > 2 * STDERR_LIMIT {
            self.trim_stderr();
        }
    }

    fn trim_stderr(&mut self) {
        if self.stderr.len() > STDERR_LIMIT {
            self.stderr.drain(..self.stderr.len() - STDERR_LIMIT);
            self.stderr_cut = true;
        }
    }

    pub(crate) fn finish(mut self, exit: Exit) -> Output {
        let on_line = self.on_line;
        self.out_lines.finish(|line| on_line(Line::Out(line)));
        self.err_lines.finish(|line| on_line(Line::Err(line)));
        self.trim_stderr();
        let mut stderr = self.stderr.as_slice();
        // After a cut, start with a whole line if there is one.
        if self.stderr_cut
            && let Some(end) = stderr.iter().position(|byte| *byte == b'\n')
        {
            stderr = &stderr[end + 1..];
        }
        Output {
            exit,
            stdout: String::from_utf8(self.stdout)
                .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
            stderr: String::from_utf8_lossy(stderr).into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            lines.push(chunk, |line| seen.push(line.to_owned()));
        }
        lines.finish(|line| seen.push(line.to_owned()));
        seen
    }

    #[test]
    fn lines_come_whole_however_they_are_cut_up() {
        assert_eq!(split(&[b"on", b"e\ntwo\r", b"\n\nlast"]), ["one", "two", "", "last"]);
        assert_eq!(split(&[b"one\n"]), ["one"]);
        assert_eq!(split(&["caf\u{e9}\n".as_bytes(), b"\xff\n"]), ["caf\u{e9}", "\u{fffd}"]);
    }

    #[test]
    fn a_line_without_end_does_not_grow() {
        let mut lines = Lines::default();
        let block = vec![b'x'; 1 << 20];
        for _ in 0..1024 {
            lines.push(&block, |_| panic!("no line has ended"));
        }
        assert!(lines.partial.capacity() <= 2 * LINE_LIMIT);
        let mut seen = Vec::new();
        lines.push(b"\nnext\n", |line| seen.push(line.len()));
        assert_eq!(seen, [LINE_LIMIT, 4]);
    }

    #[test]
    fn standard_error_keeps_its_last_lines() {
        let seen = Mutex::new(0);
        let count = |_: Line<'_>| *seen.lock().unwrap() += 1;
        let mut capture = Capture::new(&count);
        for n in 0..100_000 {
            capture.err(format!("line {n}\n").as_bytes());
        }
        let output = capture.finish(Exit::Status(1));
        assert_eq!(*seen.lock().unwrap(), 100_000);
        assert!(output.stderr.len() <= STDERR_LIMIT && output.stderr.starts_with("line "));
        assert!(output.stderr.ends_with("line 99999\n"));
    }

    #[test]
    fn what_servers_print_together_has_a_bound() {
        let room = Room::new(10);
        let [mut one, mut two] = [(); 2].map(|()| Capture::new(&|_| {}).within(Some(&room)));
        assert_eq!((one.out(b"12345"), two.out(b"12345")), (Ok(()), Ok(())));
        assert_eq!(one.out(b"6"), Err(ServerError::TooMuchTogether { limit: 10 }));
        assert_eq!(Capture::new(&|_| {}).out(b"beside"), Ok(()));
    }

    #[test]
    fn too_much_standard_output_is_an_error() {
        let mut capture = Capture::new(&|_| {});
        let block = vec![b'x'; STDOUT_LIMIT];
        assert_eq!(capture.out(&block), Ok(()));
        assert_eq!(capture.out(b"x"), Err(ServerError::TooMuchOutput { limit: STDOUT_LIMIT }));
    }
}
