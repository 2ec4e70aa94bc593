//! Checks that a file has the shape that the tables describe: known keys, values of the right type, known words.
//!
//! This check runs over the whole tree before any decoder. So types are checked in one place only, parts that no decoder reads
//! are checked too, and decoders deal with meaning only. The check reports what is wrong and removes it: an unknown key
//! disappears from its map, and a wrong value becomes [`NodeKind::Wrong`], which decoders ignore. (Its key was given, so they
//! must not report it as missing.)

use super::decode::{Report, error, join, says};
use super::describe::{A_DAY, Form, Keys, Like, Origin, Setting};
use super::diagnostic::{Diagnostic, Span};
use super::given::given;
use super::source::{Key, Node, NodeKind, Plain, Scalar};
use super::suggest::{self, did_you_mean, quoted};

/// A key of only one of the two Kamals, as found in the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GenerationKey {
    pub(super) path: String,
    pub(super) span: Span,
    pub(super) origin: Origin,
    /// What the other Kamal has instead.
    pub(super) instead: &'static str,
}

/// Checks the merged files against the keys of the root and removes what is wrong. Returns the keys that only one
/// Kamal has.
pub(super) fn check(root: &mut Node, keys: &'static Keys, report: &mut Report) -> Vec<GenerationKey> {
    let mut shape = Shape { keys, report, of_generation: Vec::new(), warned: Vec::new() };
    shape.value("", root, &Form::Keys(keys));
    shape.of_generation
}

struct Shape<'r> {
    /// The root's keys, to find where an unknown key belongs.
    keys: &'static Keys,
    report: &'r mut Report,
    of_generation: Vec<GenerationKey>,
    /// Texts that have a warning already: those under an anchor are visited several times.
    warned: Vec<Span>,
}

impl Shape<'_> {
    fn value(&mut self, path: &str, node: &mut Node, form: &Form) {
        if let Form::Either(forms) = form {
            return match forms.iter().find(|form| fits(form, node)) {
                Some(Form::Like(like)) if !reads(node, like) => self.unlike(path, node, form),
                Some(form) => self.value(path, node, form),
                None => self.wrong_type(path, node, form),
            };
        }
        if !fits(form, node) {
            return self.wrong_type(path, node, form);
        }
        if matches!(form, Form::Like(like) if !reads(node, like)) {
            return self.unlike(path, node, form);
        }
        match (form, &mut node.kind) {
            (Form::List(form), NodeKind::List(items)) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.value(&join(path, &index.to_string()), item, form);
                }
            }
            (Form::Map(_, form) | Form::One(_, form), NodeKind::Map(entries)) => {
                for (key, value) in entries {
                    self.value(&join(path, &given(&key.text).to_string()), value, form);
                }
            }
            (Form::Keys(keys), NodeKind::Map(_)) => self.keys(path, node, keys),
            (Form::KeysOr(keys, other), NodeKind::Map(entries)) => {
                let known = |(key, value): &(Key, Node)| {
                    let meant = || suggest::slip(&key.text, keys).is_some();
                    let nested = matches!(value.kind, NodeKind::List(_) | NodeKind::Map(_));
                    keys.get(&key.text).is_some() || (nested && meant())
                };
                match entries.iter().any(known) {
                    true => self.keys(path, node, keys),
                    false => self.value(path, node, other),
                }
            }
            (Form::Credential, NodeKind::List(items)) => {
                items.iter_mut().for_each(|item| self.scalar(path, item, &Form::Filled));
            }
            _ => self.scalar(path, node, form),
        }
    }

    fn keys(&mut self, path: &str, node: &mut Node, keys: &'static Keys) {
        let NodeKind::Map(entries) = &mut node.kind else { return };
        entries.retain_mut(|(key, value)| {
            if path.is_empty() && key.text.starts_with("x-") {
                return true;
            }
            match keys.get(&key.text) {
                Some(Setting { form: Form::Refused(why), .. }) => {
                    self.report.push(Diagnostic::error(key.span, says(path, why)));
                    value.kind = NodeKind::Wrong;
                }
                Some(setting) => self.setting(&join(path, &key.text), key, value, setting),
                None => self.unknown(path, key, value, keys),
            }
            keys.get(&key.text).is_some()
        });
    }

    fn setting(&mut self, path: &str, key: &Key, value: &mut Node, setting: &Setting) {
        if matches!(setting.origin, Origin::Kamal1 | Origin::Kamal2) {
            let (span, origin, instead) = (key.span, setting.origin, setting.instead);
            self.of_generation.push(GenerationKey { path: path.to_owned(), span, origin, instead });
        }
        self.value(path, value, &setting.form);
    }

    fn scalar(&mut self, path: &str, node: &mut Node, form: &Form) {
        let NodeKind::Scalar(scalar) = &node.kind else { return };
        let error = match form {
            Form::Filled | Form::Credential => blank(path, node, scalar),
            Form::Word(words) => other_word(path, node, scalar, words),
            Form::Usual(words) => self.unusual(path, node, scalar, words),
            Form::Integer(least, most) => out_of_bounds(path, node, scalar, *least, *most),
            Form::Seconds(least) => out_of_bounds(path, node, scalar, *least, A_DAY),
            Form::Port => out_of_bounds(path, node, scalar, 1, 65535),
            _ => None,
        };
        let is_word = matches!(form, Form::Usual(words) if words.contains(&scalar.word()));
        if matches!(form, Form::Text | Form::Filled | Form::Like(_) | Form::Usual(_) | Form::Credential)
            && !is_word
        {
            self.reads_differently(path, node.span, scalar);
        }
        if let Some(error) = error {
            node.kind = NodeKind::Wrong;
            self.report.push(error);
        }
    }

    /// Warns about an unquoted text that Kamal would change.
    fn reads_differently(&mut self, path: &str, span: Span, scalar: &Scalar) {
        let changes = scalar.read().and_then(|plain| plain.changes(&scalar.text));
        let Some(changes) = changes.filter(|_| !self.warned.contains(&span)) else { return };
        self.warned.push(span);
        let message = format!("{path}: {changes}, Bowline keeps it as it is written");
        let warning = Diagnostic::warning(span, message);
        self.report.push(warning.help("put it in quotes, so that both read it the same way"));
    }

    fn unusual(&mut self, path: &str, node: &Node, scalar: &Scalar, words: &[&str]) -> Option<Diagnostic> {
        if let (false, Some(question)) =
            (words.contains(&scalar.word()), did_you_mean(scalar.word(), words.iter().copied()))
        {
            let message = format!("{path}: not one of the usual values");
            self.report.push(Diagnostic::warning(node.span, message).help(question));
        }
        let boolean = matches!(scalar.read(), Some(Plain::Boolean(_)));
        let error = boolean.then(|| error(path, node, "should be a string").label("this is a boolean"));
        error.or_else(|| blank(path, node, scalar))
    }

    /// Reports a text that none of several forms accepts.
    fn unlike(&mut self, path: &str, node: &mut Node, form: &Form) {
        let NodeKind::Scalar(scalar) = &node.kind else { return };
        let error = error(path, node, &format!("should be {}", form.wanted()));
        let words = form.likes().flat_map(|like| like.words).copied();
        let help = form.likes().map(|like| like.help).find(|help| !help.is_empty());
        let help = did_you_mean(scalar.text.trim(), words).or(help.map(Into::into));
        self.report.push(Diagnostic { help, ..error });
        node.kind = NodeKind::Wrong;
    }

    fn wrong_type(&mut self, path: &str, node: &mut Node, form: &Form) {
        if node.kind == NodeKind::Wrong {
            return;
        }
        let error = error(path, node, &format!("should be {}", form.wanted()));
        let error = error.label(format!("this is {}", describe(node)));
        let in_quotes = matches!(&node.kind, NodeKind::Scalar(scalar) if !scalar.plain
            && fits(form, &Node { kind: NodeKind::Scalar(Scalar { plain: true, ..scalar.clone() }), ..node.clone() }));
        let is_scalar = matches!(node.kind, NodeKind::Scalar(_));
        self.report.push(match form {
            _ if in_quotes => error.help("remove the quotes"),
            Form::Seconds(_) if is_scalar => error.help("whole seconds, without a unit"),
            Form::Either([.., Form::Refused(why)]) if is_scalar => error.help(*why),
            Form::Either([Form::Text, Form::Refused(why)])
                if matches!(node.kind, NodeKind::List(_) | NodeKind::Map(_)) =>
            {
                error.help(*why)
            }
            _ => error,
        });
        node.kind = NodeKind::Wrong;
    }

    fn unknown(&mut self, path: &str, key: &Key, value: &Node, keys: &Keys) {
        let error = Diagnostic::error(key.span, says(path, &format!("unknown key: {}", given(&key.text))));
        let error = match value.replaced {
            Some(replaced) => error.also(replaced, "it is in the base file too"),
            None => error,
        };
        self.report.push(error.help(suggest::key(path, &key.text, keys, self.keys)));
    }
}

/// Whether a value has the type that a form expects. That form then reports anything else that is wrong with it.
fn fits(form: &Form, node: &Node) -> bool {
    let plain = match &node.kind {
        NodeKind::Scalar(scalar) => scalar.read(),
        _ => None,
    };
    let is_scalar = matches!(node.kind, NodeKind::Scalar(_));
    match form {
        Form::Text | Form::Filled | Form::Like(_) | Form::Word(_) | Form::Usual(_) => is_scalar,
        Form::Credential => {
            let one = |items: &[Node]| items.len() == 1 && items.iter().all(|item| fits(&Form::Filled, item));
            is_scalar || matches!(&node.kind, NodeKind::List(items) if one(items))
        }
        Form::Boolean => matches!(plain, Some(Plain::Boolean(_))),
        Form::Nothing => node.kind == NodeKind::Null,
        Form::False => plain == Some(Plain::Boolean(false)),
        Form::Integer(..) | Form::Seconds(_) | Form::Port => matches!(plain, Some(Plain::Integer(_))),
        Form::List(_) => matches!(node.kind, NodeKind::List(_)),
        Form::Map(..) | Form::One(..) | Form::Keys(_) | Form::KeysOr(..) => {
            matches!(node.kind, NodeKind::Map(_))
        }
        Form::Either(forms) => forms.iter().any(|form| fits(form, node)),
        Form::Refused(_) => false,
    }
}

fn blank(path: &str, node: &Node, scalar: &Scalar) -> Option<Diagnostic> {
    scalar.text.trim().is_empty().then(|| error(path, node, "should not be empty"))
}

fn reads(node: &Node, like: &Like) -> bool {
    matches!(&node.kind, NodeKind::Scalar(scalar) if (like.reads)(scalar.text.trim()))
}

/// Synonyms of accepted words.
const ALIASES: &[(&str, &str)] = &[
    ("x86", "amd64"),
    ("x86_64", "amd64"),
    ("x86-64", "amd64"),
    ("x64", "amd64"),
    ("linux/amd64", "amd64"),
    ("aarch64", "arm64"),
    ("armv8", "arm64"),
    ("linux/arm64", "arm64"),
];

fn other_word(path: &str, node: &Node, scalar: &Scalar, words: &[&str]) -> Option<Diagnostic> {
    let word = scalar.word();
    if words.contains(&word) {
        return None;
    }
    let error = error(path, node, &format!("should be {}", quoted(words, "or")));
    let alias = ALIASES.iter().find(|(alias, of)| *alias == word && words.contains(of));
    let meant = alias.map_or(word, |(_, of)| *of);
    Some(Diagnostic { help: did_you_mean(meant, words.iter().copied()), ..error })
}

fn out_of_bounds(path: &str, node: &Node, scalar: &Scalar, least: i64, most: i64) -> Option<Diagnostic> {
    let message = match scalar.read() {
        Some(Plain::Integer(Some(value))) if value < least => format!("should be at least {least}"),
        Some(Plain::Integer(Some(value))) if value <= most => return None,
        _ => format!("should be at most {most}"),
    };
    Some(error(path, node, &message))
}

fn describe(node: &Node) -> &'static str {
    match &node.kind {
        NodeKind::Map(_) => "a map",
        NodeKind::List(_) => "a list",
        NodeKind::Null => "empty",
        NodeKind::Wrong => "wrong",
        NodeKind::Scalar(scalar) => scalar.read().map_or("a string", Plain::words),
    }
}
