//! Writes output without failing: the reader may be gone (`| head`), which must not make a deploy fail.

use std::io::Write;

/// Writes lines to standard output. Returns `false` if its reader is gone.
pub fn stdout<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> bool {
    write(std::io::stdout().lock(), lines)
}

pub fn stderr<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> bool {
    write(std::io::stderr().lock(), lines)
}

/// Uses a single write, so that the output of two processes doesn't mix within a line.
fn write<S: AsRef<str>>(stream: impl Write, lines: impl IntoIterator<Item = S>) -> bool {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    put(stream, &text)
}

pub fn raw_stderr(text: &str) -> bool {
    put(std::io::stderr().lock(), text)
}

fn put(mut stream: impl Write, text: &str) -> bool {
    text.is_empty() || stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).is_ok()
}
