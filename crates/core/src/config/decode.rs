//! From the tree of a file to typed values, with everything that is wrong collected on the way.
//!
//! A decoder that meets an error reports it and answers `None`; its caller goes on with the next key, so that one
//! run shows all the errors of the files. Whether there is a configuration in the end is decided once, at the end,
//! by whether any error was reported.
//!
//! The words for types are Kamal's (`should be a string`), and so are the paths (`servers/web/hosts/0`).
//!
//! Plain scalars keep the text of the file where a string is wanted: `1.10` is "1.10" and `0644` is "0644". Only
//! booleans are turned into `true` and `false`, as YAML 1.1 and so Kamal reads them: an env value of `yes` reaches
//! the container as `true`. Quotes keep anything as it is.

use std::time::Duration;

use super::diagnostic::{Diagnostic, Severity, Span};
use super::role::OptionValue;
use super::source::{Key, Kind, Node, Scalar};

/// Collects what is found.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) items: Vec<Diagnostic>,
}

impl Report {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.items.push(diagnostic);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.items.iter().any(|item| item.severity == Severity::Error)
    }
}

/// The keys a section may have.
pub(super) struct Keys {
    /// Those that are read, or accepted and have no effect.
    pub(super) known: &'static [&'static str],
    /// Those that Kamal has and Bowline will have.
    pub(super) later: &'static [&'static str],
}

/// A value and the path of keys to it.
#[derive(Debug, Clone)]
pub(super) struct Field<'n> {
    pub(super) path: String,
    pub(super) node: &'n Node,
}

/// A map with known keys.
#[derive(Debug, Clone)]
pub(super) struct Section<'n> {
    pub(super) field: Field<'n>,
    entries: &'n [(Key, Node)],
}

impl<'n> Field<'n> {
    pub(super) fn root(node: &'n Node) -> Self {
        Self { path: String::new(), node }
    }

    pub(super) fn span(&self) -> Span {
        self.node.span
    }

    fn child(&self, name: &str, node: &'n Node) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        Self { path, node }
    }

    /// `path: message`.
    pub(super) fn says(&self, message: &str) -> String {
        if self.path.is_empty() { message.to_owned() } else { format!("{}: {message}", self.path) }
    }

    /// An error about this value, to be given a label or help.
    pub(super) fn error(&self, message: &str) -> Diagnostic {
        let error = Diagnostic::error(self.node.span, self.says(message));
        match self.node.replaced {
            Some(replaced) => error.also(replaced, "in place of this"),
            None => error,
        }
    }

    /// A warning about this value.
    pub(super) fn warning(&self, message: &str) -> Diagnostic {
        Diagnostic::warning(self.node.span, self.says(message))
    }

    /// Reports that the value should be of another type.
    pub(super) fn wrong_type(&self, wanted: &str, report: &mut Report) {
        report.push(self.type_error(wanted));
    }

    fn type_error(&self, wanted: &str) -> Diagnostic {
        self.error(&format!("should be {wanted}")).label(format!("this is {}", describe(self.node)))
    }

    pub(super) fn scalar(&self) -> Option<&'n Scalar> {
        match &self.node.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.node.kind, Kind::Map(_))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.kind, Kind::List(_))
    }

    /// Any scalar as text.
    pub(super) fn string(&self, report: &mut Report) -> Option<String> {
        match self.scalar() {
            Some(scalar) => Some(text_of(scalar)),
            None => {
                self.wrong_type("a string", report);
                None
            }
        }
    }

    /// A text with something in it.
    pub(super) fn filled(&self, report: &mut Report) -> Option<String> {
        let text = self.string(report)?;
        if text.trim().is_empty() {
            report.push(self.error("should not be empty"));
            return None;
        }
        Some(text)
    }

    /// `true` or `false`, without quotes.
    pub(super) fn boolean(&self, report: &mut Report) -> Option<bool> {
        let value = self.scalar().filter(|scalar| scalar.plain).and_then(|scalar| boolean_of(&scalar.text));
        if value.is_none() {
            self.wrong_type("a boolean", report);
        }
        value
    }

    /// A whole number within bounds, without quotes.
    pub(super) fn integer(&self, least: i64, most: i64, report: &mut Report) -> Option<i64> {
        let Some(scalar) = self.scalar() else {
            self.wrong_type("an integer", report);
            return None;
        };
        match integer_of(&scalar.text) {
            Some(value) if scalar.plain => self.within(value, least, most, report),
            Some(_) => {
                report.push(self.type_error("an integer").help("remove the quotes"));
                None
            }
            None => {
                self.wrong_type("an integer", report);
                None
            }
        }
    }

    /// The number if it is within bounds.
    pub(super) fn within(&self, value: i64, least: i64, most: i64, report: &mut Report) -> Option<i64> {
        if value < least {
            report.push(self.error(&format!("should be at least {least}")));
        } else if value > most {
            report.push(self.error(&format!("should be at most {most}")));
        }
        (least..=most).contains(&value).then_some(value)
    }

    /// A port, as a number.
    pub(super) fn port(&self, report: &mut Report) -> Option<u16> {
        self.integer(1, 65535, report).and_then(|port| u16::try_from(port).ok())
    }

    /// Whole seconds.
    pub(super) fn seconds(&self, least: i64, report: &mut Report) -> Option<Duration> {
        const A_DAY: i64 = 86_400;
        let seconds = self.integer(least, A_DAY, report)?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    }

    /// The entries of a list.
    pub(super) fn list(&self, report: &mut Report) -> Option<Vec<Field<'n>>> {
        let Kind::List(items) = &self.node.kind else {
            self.wrong_type("an array", report);
            return None;
        };
        Some(items.iter().enumerate().map(|(index, node)| self.child(&index.to_string(), node)).collect())
    }

    /// A list of texts, each with something in it.
    pub(super) fn strings(&self, report: &mut Report) -> Option<Vec<String>> {
        let items = self.list(report)?;
        Some(items.iter().filter_map(|item| item.filled(report)).collect())
    }

    /// The entries of a map with any keys.
    pub(super) fn entries(&self, report: &mut Report) -> Option<Vec<(&'n Key, Field<'n>)>> {
        let Kind::Map(entries) = &self.node.kind else {
            self.wrong_type("a hash", report);
            return None;
        };
        Some(entries.iter().map(|(key, node)| (key, self.child(&key.text, node))).collect())
    }

    /// The entries if it is a map, and no complaint if it isn't: for a look at its keys before it is decoded.
    pub(super) fn entries_silently(&self) -> Vec<(&'n Key, Field<'n>)> {
        if self.is_map() { self.entries(&mut Report::default()).unwrap_or_default() } else { Vec::new() }
    }

    /// A map of texts.
    pub(super) fn pairs(&self, report: &mut Report) -> Option<super::Pairs> {
        let entries = self.entries(report)?;
        let pair = |(key, field): &(&Key, Field)| Some((key.text.clone(), field.string(report)?));
        Some(entries.iter().filter_map(pair).collect())
    }

    /// A map of flags for a command line.
    pub(super) fn options(&self, report: &mut Report) -> Option<Vec<(String, OptionValue)>> {
        let entries = self.entries(report)?;
        let flag = |(key, field): &(&Key, Field)| Some((key.text.clone(), field.option(report)?));
        Some(entries.iter().filter_map(flag).collect())
    }

    fn option(&self, report: &mut Report) -> Option<OptionValue> {
        match &self.node.kind {
            Kind::List(_) => Some(OptionValue::List(
                self.list(report)?.iter().filter_map(|item| item.string(report)).collect(),
            )),
            Kind::Scalar(scalar) if scalar.plain && boolean_of(&scalar.text) == Some(true) => {
                Some(OptionValue::Flag)
            }
            Kind::Scalar(scalar) => Some(OptionValue::Value(text_of(scalar))),
            _ => {
                self.wrong_type("a string or an array", report);
                None
            }
        }
    }

    /// A map whose keys are known; the others are reported.
    pub(super) fn section(&self, keys: &Keys, report: &mut Report) -> Option<Section<'n>> {
        let Kind::Map(entries) = &self.node.kind else {
            self.wrong_type("a hash", report);
            return None;
        };
        for (key, node) in entries {
            let free = self.path.is_empty() && key.text.starts_with("x-");
            if free || keys.known.contains(&key.text.as_str()) {
                continue;
            }
            report.push(self.unknown(key, node, keys));
        }
        Some(Section { field: self.clone(), entries })
    }

    fn unknown(&self, key: &Key, node: &'n Node, keys: &Keys) -> Diagnostic {
        if keys.later.contains(&key.text.as_str()) {
            let path = self.child(&key.text, node).path;
            return Diagnostic::error(key.span, format!("{path} is not supported yet"))
                .label("Kamal knows this key, Bowline will");
        }
        let error = Diagnostic::error(key.span, self.says(&format!("unknown key: {}", key.text)));
        match nearest(&key.text, keys.known.iter().chain(keys.later).copied()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error,
        }
    }
}

impl<'n> Section<'n> {
    /// The value of a key, if it is there.
    pub(super) fn get(&self, name: &str) -> Option<Field<'n>> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.text == name)?;
        Some(self.field.child(name, node))
    }

    /// Where a key stands.
    pub(super) fn key_span(&self, name: &str) -> Option<Span> {
        self.entries.iter().find(|(key, _)| key.text == name).map(|(key, _)| key.span)
    }

    /// A text, if the key is there.
    pub(super) fn string(&self, name: &str, report: &mut Report) -> Option<String> {
        self.get(name)?.string(report)
    }

    /// A text with something in it, if the key is there.
    pub(super) fn filled(&self, name: &str, report: &mut Report) -> Option<String> {
        self.get(name)?.filled(report)
    }

    /// A boolean, if the key is there.
    pub(super) fn boolean(&self, name: &str, report: &mut Report) -> Option<bool> {
        self.get(name)?.boolean(report)
    }

    /// Seconds, if the key is there.
    pub(super) fn seconds(&self, name: &str, least: i64, report: &mut Report) -> Option<Duration> {
        self.get(name)?.seconds(least, report)
    }
}

/// The known word nearest to a mistyped one, if it is near at all.
pub(super) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let allowed = (word.chars().count() / 3).max(1);
    known
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn describe(node: &Node) -> &'static str {
    match &node.kind {
        Kind::Map(_) => "a hash",
        Kind::List(_) => "an array",
        Kind::Null => "empty",
        Kind::Scalar(scalar) if !scalar.plain => "a string",
        Kind::Scalar(scalar) if boolean_of(&scalar.text).is_some() => "a boolean",
        Kind::Scalar(scalar) if integer_of(&scalar.text).is_some() => "an integer",
        Kind::Scalar(_) => "a string",
    }
}

fn text_of(scalar: &Scalar) -> String {
    match boolean_of(&scalar.text) {
        Some(value) if scalar.plain => value.to_string(),
        _ => scalar.text.clone(),
    }
}

/// YAML 1.1's booleans, as Ruby reads them.
fn boolean_of(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// YAML 1.1's integers but for the sexagesimal ones: `40_000`, `0x1f`, `0b1`, and octal with a leading zero.
fn integer_of(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (if text.starts_with('-') { -1 } else { 1 }, digits),
        None => (1, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = digits.replace('_', "");
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, digits.get(2..)?),
        [b'0', b'b', ..] => (2, digits.get(2..)?),
        [b'0', b'o', ..] => (8, digits.get(2..)?),
        [b'0', _, ..] => (8, digits.get(1..)?),
        _ => (10, digits.as_str()),
    };
    if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok().and_then(|value| value.checked_mul(sign))
}
