//! Writing without falling over: whoever reads us may have gone (`| head`), and that is no error of a deploy.

use std::io::Write;

/// Writes lines to standard output; `false` if nobody reads it any more.
pub fn stdout<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> bool {
    write(std::io::stdout().lock(), lines)
}

/// Writes lines to standard error; `false` if nobody reads it any more.
pub fn stderr<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> bool {
    write(std::io::stderr().lock(), lines)
}

/// All lines in one go, so that those of two processes don't mix within a line.
fn write<S: AsRef<str>>(mut stream: impl Write, lines: impl IntoIterator<Item = S>) -> bool {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    text.is_empty() || stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).is_ok()
}

/// Writes this text to standard error as it is, in one go.
pub fn raw_stderr(text: &str) -> bool {
    let mut stream = std::io::stderr().lock();
    text.is_empty() || stream.write_all(text.as_bytes()).and_then(|()| stream.flush()).is_ok()
}
