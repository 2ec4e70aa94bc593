//! YAML, line by line.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::mask::is_secret_key;
use super::super::{OptionValue, Pairs};
use crate::secret::REDACTED;

/// Indented lines. What is empty is left out.
#[derive(Default)]
pub(super) struct Lines {
    pub(super) text: String,
    depth: usize,
}

impl Lines {
    pub(super) fn raw(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing to a String doesn't fail.
        let _ = writeln!(self.text, "{:depth$}{}: {value}", "", scalar(key), depth = self.depth * 2);
    }

    pub(super) fn value(&mut self, key: &str, value: &str) {
        self.raw(key, scalar(value));
    }

    /// A value that people may have put a secret into, as its name tells.
    pub(super) fn unless_secret(&mut self, name: &str, value: &str) {
        self.value(name, if is_secret_key(name) { REDACTED } else { value });
    }

    pub(super) fn option(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.value(key, value);
        }
    }

    /// Something that has a YAML text by itself, if it is there.
    pub(super) fn given(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.raw(key, value);
        }
    }

    pub(super) fn seconds(&mut self, key: &str, value: Duration) {
        self.raw(key, value.as_secs());
    }

    pub(super) fn list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.raw(key, sequence(values));
        }
    }

    pub(super) fn map(&mut self, key: &str, entries: impl FnOnce(&mut Self)) {
        let _ = writeln!(self.text, "{:depth$}{}:", "", scalar(key), depth = self.depth * 2);
        let before = self.text.len();
        self.depth += 1;
        entries(self);
        self.depth -= 1;
        if self.text.len() == before {
            self.text.pop();
            self.text.push_str(" {}\n");
        }
    }

    pub(super) fn pairs(&mut self, key: &str, pairs: &Pairs) {
        if !pairs.is_empty() {
            self.map(key, |out| pairs.iter().for_each(|(name, value)| out.unless_secret(name, value)));
        }
    }

    pub(super) fn options(&mut self, key: &str, options: &[(String, OptionValue)]) {
        if options.is_empty() {
            return;
        }
        self.map(key, |out| {
            for (name, value) in options {
                match value {
                    OptionValue::Flag => out.raw(name, true),
                    OptionValue::Value(value) => out.unless_secret(name, value),
                    OptionValue::List(values) => out.raw(name, sequence(values)),
                }
            }
        });
    }
}

fn sequence(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| scalar(value)).collect();
    format!("[{}]", values.join(", "))
}

/// A text as YAML: bare where nothing could take it for anything else, in double quotes otherwise.
pub(crate) fn scalar(text: &str) -> String {
    // Commas and brackets would end an entry of a list.
    let safe = |c: char| c.is_ascii_alphanumeric() || " _-./:@+%=$()|*~".contains(c);
    let starts = |c: char| c.is_ascii_alphabetic() || c == '/' || c == '.';
    let bare = text.starts_with(starts)
        && text.chars().all(safe)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !is_other(text);
    // Addresses and versions begin with a digit and have more than one dot.
    let address = text.matches('.').count() >= 2 && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if bare || address {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Bare words that YAML takes for a boolean, a number or nothing.
fn is_other(text: &str) -> bool {
    const WORDS: &[&str] = &["true", "false", "yes", "no", "on", "off", "y", "n", "null", ".inf", ".nan"];
    WORDS.contains(&text.to_ascii_lowercase().as_str())
        || text.starts_with('.') && text.parse::<f64>().is_ok()
}
