//! Parses flags as kamal-proxy does.
//!
//! Kamal and scripts know the syntax and the error texts of Go's pflag, so this parser reproduces them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlagKind {
    Bool,
    Int,
    Text,
    Duration,
    /// Repeatable, or separated by commas.
    List,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) kind: FlagKind,
    /// In the form of the command line.
    pub(super) default: &'static str,
    pub(super) help: &'static str,
}

/// The flags of a command, in groups.
pub(super) type Set = &'static [&'static [Flag]];

/// The parsed words after a command's name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Given {
    flags: BTreeMap<&'static str, Value>,
    /// The words that are not flags.
    pub(super) arguments: Vec<String>,
    pub(super) help: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Bool(bool),
    Int(i64),
    Text(String),
    Duration(Duration),
    List(Vec<String>),
}

impl Given {
    pub(super) fn read(flags: Set, words: &[String]) -> Result<Self, String> {
        let mut given = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                given.arguments.extend(words.by_ref().cloned());
            } else if let Some(flag) = word.strip_prefix("--") {
                given.long(flags, flag, &mut words)?;
            } else if let Some(short) = word.strip_prefix('-').filter(|short| !short.is_empty()) {
                given.short(short)?;
            } else {
                given.arguments.push(word.clone());
            }
        }
        Ok(given)
    }

    fn long<'a>(
        &mut self,
        flags: Set,
        text: &str,
        words: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("bad flag syntax: --{text}"));
        }
        let Some(flag) = flags.iter().copied().flatten().find(|flag| flag.name == name) else {
            if name != "help" {
                return Err(format!("unknown flag: --{name}"));
            }
            self.help = true;
            return Ok(());
        };
        let value = match (value, flag.kind) {
            (Some(value), _) => value,
            (None, FlagKind::Bool) => "true",
            (None, _) => words.next().ok_or_else(|| format!("flag needs an argument: --{name}"))?,
        };
        let refused = |why| format!("invalid argument {value:?} for \"--{name}\" flag: {why}");
        let value = parse(flag.kind, value).map_err(refused)?;
        match (self.flags.get_mut(flag.name), value) {
            (Some(Value::List(list)), Value::List(more)) => list.extend(more),
            (_, value) => drop(self.flags.insert(flag.name, value)),
        }
        Ok(())
    }

    fn short(&mut self, text: &str) -> Result<(), String> {
        if text != "h" {
            let letter = text.chars().next().unwrap_or_default();
            return Err(format!("unknown shorthand flag: '{letter}' in -{text}"));
        }
        self.help = true;
        Ok(())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.flags.contains_key(name)
    }
}

/// The values of a command's flags: those given, else the defaults.
pub(super) struct Flags<'a> {
    pub(super) known: Set,
    pub(super) given: &'a Given,
}

impl Flags<'_> {
    fn value(&self, name: &str) -> Option<Value> {
        let default = || {
            let flag = self.known.iter().copied().flatten().find(|flag| flag.name == name)?;
            parse(flag.kind, flag.default).ok()
        };
        self.given.flags.get(name).cloned().or_else(default)
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Bool(true)))
    }

    pub(super) fn int(&self, name: &str) -> i64 {
        if let Some(Value::Int(value)) = self.value(name) { value } else { 0 }
    }

    /// A size in bytes. Negative values count as zero.
    pub(super) fn size(&self, name: &str) -> u64 {
        u64::try_from(self.int(name)).unwrap_or_default()
    }

    pub(super) fn text(&self, name: &str) -> String {
        if let Some(Value::Text(value)) = self.value(name) { value } else { String::new() }
    }

    pub(super) fn duration(&self, name: &str) -> Duration {
        if let Some(Value::Duration(value)) = self.value(name) { value } else { Duration::ZERO }
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        if let Some(Value::List(value)) = self.value(name) { value } else { Vec::new() }
    }
}

fn parse(kind: FlagKind, text: &str) -> Result<Value, String> {
    Ok(match kind {
        FlagKind::Bool => Value::Bool(bool(text)?),
        FlagKind::Int => Value::Int(int(text)?),
        FlagKind::Text => Value::Text(text.to_owned()),
        FlagKind::Duration => Value::Duration(duration::parse(text)?),
        FlagKind::List => Value::List(list(text)?),
    })
}

/// Parses a boolean as Go does.
pub(super) fn bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

fn int(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let out = matches!(error.kind(), PosOverflow | NegOverflow);
        let why = if out { "value out of range" } else { "invalid syntax" };
        format!("strconv.ParseInt: parsing {text:?}: {why}")
    })
}

/// Parses one line of comma-separated values (CSV). Quoted values may contain commas.
fn list(text: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    if text.is_empty() {
        return Ok(values);
    }
    let mut rest = text;
    loop {
        let (value, after) = if rest.starts_with('"') { quoted(rest, text)? } else { plain(rest, text)? };
        values.push(value);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Ok(values),
        }
    }
}

fn bare(text: &str, rest: &str) -> String {
    let column = text.len() - rest.len() + 1;
    format!("parse error on line 1, column {column}: bare \" in non-quoted-field")
}

fn plain<'a>(rest: &'a str, text: &str) -> Result<(String, &'a str), String> {
    let end = rest.find(',').unwrap_or(rest.len());
    match rest[..end].find('"') {
        Some(quote) => Err(bare(text, &rest[quote..])),
        None => Ok((rest[..end].to_owned(), &rest[end..])),
    }
}

fn quoted<'a>(rest: &'a str, text: &str) -> Result<(String, &'a str), String> {
    let mut value = String::new();
    let mut rest = rest.strip_prefix('"').unwrap_or(rest);
    loop {
        let wrong = || {
            format!(
                "parse error on line 1, column {}: extraneous or missing \" in quoted-field",
                text.len() + 1
            )
        };
        let (before, after) = rest.split_once('"').ok_or_else(wrong)?;
        value.push_str(before);
        match after.as_bytes().first() {
            None | Some(b',') => return Ok((value, after)),
            Some(b'"') => {
                value.push('"');
                rest = &after[1..];
            }
            Some(_) => return Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: Set = &[&[
        Flag { name: "on", kind: FlagKind::Bool, default: "true", help: "" },
        Flag { name: "off", kind: FlagKind::Bool, default: "false", help: "" },
        Flag { name: "many", kind: FlagKind::List, default: "", help: "" },
        Flag { name: "wait", kind: FlagKind::Duration, default: "30s", help: "" },
        Flag { name: "count", kind: FlagKind::Int, default: "7", help: "" },
        Flag { name: "word", kind: FlagKind::Text, default: "w", help: "" },
    ]];

    fn read(line: &str) -> Result<Given, String> {
        Given::read(FLAGS, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn forms() {
        let given =
            read("--on=false a --off --many x,y --wait=1m --many=z --count -3 --word= b -- --off=x").unwrap();
        let flags = Flags { known: FLAGS, given: &given };
        assert_eq!((flags.bool("on"), flags.bool("off"), flags.int("count")), (false, true, -3));
        assert_eq!(flags.list("many"), ["x", "y", "z"]);
        assert_eq!((flags.text("word"), flags.duration("wait")), (String::new(), Duration::from_secs(60)));
        assert_eq!(given.arguments, ["a", "b", "--off=x"]);
        let nothing = Given::default();
        let flags = Flags { known: FLAGS, given: &nothing };
        assert_eq!((flags.bool("on"), flags.int("count"), flags.text("word")), (true, 7, "w".to_owned()));
        assert_eq!((flags.list("many").len(), flags.duration("wait").as_secs()), (0, 30));
    }

    #[test]
    fn refusals() {
        for (line, error) in [
            ("--what", "unknown flag: --what"),
            ("-x", "unknown shorthand flag: 'x' in -x"),
            ("--=3", "bad flag syntax: --=3"),
            ("--word", "flag needs an argument: --word"),
            (
                "--on=maybe",
                r#"invalid argument "maybe" for "--on" flag: strconv.ParseBool: parsing "maybe": invalid syntax"#,
            ),
            (
                "--count=x",
                r#"invalid argument "x" for "--count" flag: strconv.ParseInt: parsing "x": invalid syntax"#,
            ),
            (
                "--count=99999999999999999999",
                r#"invalid argument "99999999999999999999" for "--count" flag: strconv.ParseInt: parsing "99999999999999999999": value out of range"#,
            ),
            ("--wait=3", r#"invalid argument "3" for "--wait" flag: time: missing unit in duration "3""#),
            (
                "--many=a\"b",
                r#"invalid argument "a\"b" for "--many" flag: parse error on line 1, column 2: bare " in non-quoted-field"#,
            ),
        ] {
            assert_eq!(read(line).unwrap_err(), error);
        }
    }

    #[test]
    fn lists_with_quotes() {
        assert_eq!(list(r#""a,b",c,"d ""e""""#).unwrap(), ["a,b", "c", "d \"e\""]);
        assert_eq!(list("").unwrap(), Vec::<String>::new());
        assert_eq!(list("a,,b").unwrap(), ["a", "", "b"]);
        assert!(list("\"a").is_err() && list("\"a\"b").is_err());
    }
}
