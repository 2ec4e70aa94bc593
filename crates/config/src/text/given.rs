//! Marks the parts of a message that come from the files, until the message is shown.
//!
//! A template may have inserted a password into a value, and a message may quote that value. The message must then show the
//! tag instead. Bowline's own words must stay, even if a tag's value was `true` and the message contains the word `true`. So
//! everything that comes from the files is between marks.

use std::fmt;

/// Characters that no key and no value contains.
const BEGIN: char = '\u{e}';
const END: char = '\u{f}';

pub(crate) struct Given<T>(T);

pub(crate) fn given<T: fmt::Display>(text: T) -> Given<T> {
    Given(text)
}

impl<T: fmt::Display> fmt::Display for Given<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BEGIN}{}{END}", self.0)
    }
}

/// Replaces the marked texts of a message. `None` keeps a text.
pub(crate) fn replaced(message: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let mut all = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, given, after)) = next(rest) {
        all.push_str(before);
        match change(given) {
            Some(text) => all.push_str(&text),
            None => all.push_str(&Given(given).to_string()),
        }
        rest = after;
    }
    all + rest
}

/// The text before the next marked text, the marked text, and the text after it.
fn next(message: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = message.split_once(BEGIN)?;
    let (given, after) = rest.split_once(END)?;
    Some((before, given, after))
}

/// Removes the marks.
pub(crate) fn plain(message: &str) -> String {
    message.replace([BEGIN, END], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_given_is_replaced() {
        let message = format!("true: {} is {}", given("true"), given("a true b"));
        let hidden =
            replaced(&message, |text| text.contains("true").then(|| text.replace("true", "<%= x %>")));
        assert_eq!(plain(&hidden), "true: <%= x %> is a <%= x %> b");
        assert_eq!(plain(&message), "true: true is a true b");
        assert_eq!(plain(&replaced(&message, |_| None)), plain(&message));
    }
}
