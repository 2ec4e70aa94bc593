//! Expands a command line that starts with an alias into one that starts with a command.
//!
//! The alias's words replace it and are parsed from the start. The words typed after the alias join them. Flags come
//! first, so that with an alias like `app exec --reuse "bin/rails console"` they don't become part of the command to
//! run. A global flag replaces the same flag of the alias. The remaining words come last.

use std::ffi::OsString;

use bowline_config::{Pairs, alias};
use clap::{ArgAction, Command};

use crate::args::{self, CONFIG_FILE};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Flag {
    id: String,
    words: Vec<String>,
    global: bool,
    /// Whether it can be given several times.
    adds: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unknown<E> {
    /// There is no such alias. There may be a similar one.
    NoAlias { line: Expanded, suggestion: Option<String> },
    /// The aliases can't be looked up: the ones followed so far, and the reason.
    Lookup(Pairs, E),
    /// The alias is invalid, with the reason.
    Unusable(String),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Expanded {
    /// The words of the command line, starting with the program's name.
    pub(super) words: Vec<OsString>,
    pub(super) followed: Pairs,
}

impl Expanded {
    fn new(program: OsString, line: Vec<String>, followed: Pairs) -> Self {
        Self { words: std::iter::once(program).chain(line.into_iter().map(Into::into)).collect(), followed }
    }
}

/// Follows aliases until the command line starts with a command. `lookup` returns those for a file and a destination.
pub(super) fn expand<E>(
    words: &[OsString],
    mut lookup: impl FnMut(&str, Option<&str>) -> Result<Pairs, E>,
) -> Result<Expanded, Unknown<E>> {
    let mut root = args::command();
    root.build();
    let mut followed = Pairs::new();
    let Some((mut line, program)) = texts(words) else {
        return Ok(Expanded { words: words.to_vec(), followed });
    };
    loop {
        let (before, rest) = flags(&root, &line);
        let Some((name, behind)) = rest.split_first().filter(|(name, _)| !is_command(&root, name)) else {
            return Ok(Expanded::new(program, line, followed));
        };
        let outer: Vec<Flag> = before.iter().cloned().chain(flags(&root, behind).0).collect();
        let file = value(&outer, "config_file").unwrap_or(CONFIG_FILE);
        let aliases = match lookup(file, value(&outer, "destination")) {
            Ok(aliases) => aliases,
            Err(error) => return Err(Unknown::Lookup(followed, error)),
        };
        let Some((_, text)) = aliases.iter().find(|(known, _)| known == name) else {
            let suggestion = alias::suggestion(name, &aliases).map(Into::into);
            return Err(Unknown::NoAlias { line: Expanded::new(program, line, followed), suggestion });
        };
        let again = followed.iter().any(|(known, _)| known == name);
        followed.push((name.clone(), text.clone()));
        if again {
            let way: Vec<&str> = followed.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Unknown::Unusable(format!("the aliases form a loop: {}", way.join(" → "))));
        }
        let Some(inner) = shlex::split(text).filter(|inner| !inner.is_empty()) else {
            return Err(Unknown::Unusable(format!("the alias `{name}` can't be split into words: {text}")));
        };
        line = join(&root, before, &inner, behind);
    }
}

/// The words after the program's name, and that name. `None` if they aren't UTF-8.
fn texts(words: &[OsString]) -> Option<(Vec<String>, OsString)> {
    let (program, words) = words.split_first()?;
    let texts: Option<Vec<String>> = words.iter().map(|word| word.to_str().map(Into::into)).collect();
    Some((texts?, program.clone()))
}

fn is_command(root: &Command, word: &str) -> bool {
    word.starts_with('-') || word == "help" || root.find_subcommand(word).is_some()
}

fn value<'f>(flags: &'f [Flag], id: &str) -> Option<&'f str> {
    flags.iter().rfind(|flag| flag.id == id)?.words.get(1).map(String::as_str)
}

fn join(root: &Command, before: Vec<Flag>, inner: &[String], behind: &[String]) -> Vec<String> {
    let (mut command, mut path, mut own) = (root, Vec::new(), Vec::new());
    let mut rest = inner;
    loop {
        let (more, after) = flags(command, rest);
        own.extend(more);
        rest = after;
        let Some((word, after)) = rest.split_first() else { break };
        match command.find_subcommand(word) {
            Some(sub) => command = sub,
            // Another alias.
            None if path.is_empty() => {}
            None => break,
        }
        path.push(word.clone());
        rest = after;
    }
    let (outer, behind) = flags(command, behind);
    own.retain(|own| {
        let same = |flag: &Flag| flag.id == own.id && (flag.global || !flag.adds);
        !before.iter().chain(&outer).any(same)
    });
    let flags = before.into_iter().flat_map(|flag| flag.words);
    let inner = own.into_iter().chain(outer).flat_map(|flag| flag.words);
    // A command in a single quoted word would not be split if other words followed it.
    let runs = command.get_positionals().any(clap::Arg::is_trailing_var_arg_set);
    let split = rest.first().filter(|_| runs && rest.len() == 1 && !behind.is_empty());
    let rest = split.and_then(|only| shlex::split(only)).unwrap_or_else(|| rest.to_vec());
    flags.chain(path).chain(inner).chain(rest).chain(behind.iter().cloned()).collect()
}

/// The flags at the start of a command line, and the words after them.
fn flags<'w>(command: &Command, words: &'w [String]) -> (Vec<Flag>, &'w [String]) {
    let (mut found, mut rest) = (Vec::new(), words);
    while let Some((flags, after)) = next_flags(command, rest) {
        found.extend(flags);
        rest = after;
    }
    (found, rest)
}

/// The flags in the first word, with the value in the second if they take one.
fn next_flags<'w>(command: &Command, words: &'w [String]) -> Option<(Vec<Flag>, &'w [String])> {
    let (word, after) = words.split_first()?;
    if let Some(long) = word.strip_prefix("--") {
        let (name, given) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
        let (flag, after) = flag(arg, format!("--{name}"), given, after)?;
        return Some((vec![flag], after));
    }
    let mut letters = word.strip_prefix('-').filter(|letters| !letters.is_empty())?.chars();
    let mut found = Vec::new();
    while let Some(letter) = letters.next() {
        let arg = command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
        let given = letters.as_str();
        let takes = arg.get_action().takes_values();
        let given = (takes && !given.is_empty()).then(|| given.strip_prefix('=').unwrap_or(given));
        let (flag, rest) = flag(arg, format!("-{letter}"), given, after)?;
        found.push(flag);
        if takes {
            return Some((found, rest));
        }
    }
    Some((found, after))
}

fn flag<'w>(
    arg: &clap::Arg,
    name: String,
    given: Option<&str>,
    after: &'w [String],
) -> Option<(Flag, &'w [String])> {
    let mut flag = Flag {
        id: arg.get_id().to_string(),
        words: vec![name],
        global: arg.is_global_set(),
        adds: matches!(arg.get_action(), ArgAction::Append),
    };
    match (arg.get_action().takes_values(), given) {
        (false, None) => Some((flag, after)),
        (false, Some(_)) => None,
        (true, Some(value)) => {
            flag.words.push(value.to_owned());
            Some((flag, after))
        }
        (true, None) => {
            let (value, after) = after.split_first()?;
            flag.words.push(value.clone());
            Some((flag, after))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIASES: &[(&str, &str)] = &[
        ("console", "app exec -r web --reuse \"bin/rails console\""),
        ("ship", "deploy -d staging"),
        ("ship-web", "ship -r web,worker -p"),
        ("run", "app exec -e A=1"),
        ("literal", "app exec -- ls -d"),
        ("tail", "-d production app logs -f"),
        ("a", "b x"),
        ("b", "a"),
        ("broken", "app exec 'x"),
        ("empty", " "),
        ("strange", "frobnicate --x"),
    ];

    /// The words after the program's name, or the error. Also the files and destinations that were looked up.
    fn expanded(line: &str) -> (Result<String, String>, Vec<String>) {
        let words: Vec<OsString> = shlex::split(line).unwrap().into_iter().map(Into::into).collect();
        let mut asked = Vec::new();
        let lookup = |file: &str, destination: Option<&str>| {
            asked.push(format!("{file} {}", destination.unwrap_or("-")));
            let pair = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
            if file == "none.yml" { Err("no file") } else { Ok(ALIASES.iter().map(pair).collect()) }
        };
        let shown = |line: &Expanded| {
            let quoted = |word: &OsString| match word.to_str().unwrap() {
                word if word.contains(' ') => format!("'{word}'"),
                word => word.to_owned(),
            };
            line.words[1..].iter().map(quoted).collect::<Vec<_>>().join(" ")
        };
        let result = match expand(&words, lookup) {
            Ok(line) => Ok(shown(&line)),
            Err(Unknown::NoAlias { line, suggestion }) => {
                Err(format!("{}: {}", shown(&line), suggestion.unwrap_or_default()))
            }
            Err(Unknown::Lookup(_, error)) => Err(error.to_owned()),
            Err(Unknown::Unusable(message)) => Err(message),
        };
        (result, asked)
    }

    #[test]
    fn an_alias_is_replaced_and_what_is_typed_joins_it() {
        let table = [
            ("x console", "app exec -r web --reuse 'bin/rails console'"),
            ("x console -r worker", "app exec --reuse -r worker 'bin/rails console'"),
            ("x -r worker console", "-r worker app exec --reuse 'bin/rails console'"),
            ("x console -pr worker --reuse", "app exec -p -r worker --reuse 'bin/rails console'"),
            ("x console --sandbox", "app exec -r web --reuse bin/rails console --sandbox"),
            ("x console --roles=worker -- -p", "app exec --reuse --roles worker bin/rails console -- -p"),
            ("x ship", "deploy -d staging"),
            ("x ship -d production -P", "deploy -d production -P"),
            ("x ship -dproduction", "deploy -d production"),
            ("x ship --frobnicate", "deploy -d staging --frobnicate"),
            ("x ship-web -q", "deploy -d staging -r web,worker -p -q"),
            ("x ship-web -r web", "deploy -d staging -p -r web"),
            ("x run -e B=2 ls -la -p", "app exec -e A=1 -e B=2 ls -la -p"),
            ("x -p literal -v", "-p app exec -v -- ls -d"),
            ("x tail -n 5", "app logs -d production -f -n 5"),
        ];
        for (line, words) in table {
            assert_eq!(expanded(line).0.as_deref(), Ok(words), "{line}");
        }
    }

    #[test]
    fn commands_are_not_looked_up() {
        for line in ["deploy -x", "help console", "--nope console", "-d a", "app console", ""] {
            assert_eq!(expanded(&format!("x {line}")), (Ok(line.into()), vec![]));
        }
    }

    #[test]
    fn aliases_are_looked_up_where_the_command_line_says() {
        let asked = |line: &str| expanded(line).1;
        assert_eq!(asked("x console"), ["config/deploy.yml -"]);
        assert_eq!(asked("x -c a.yml console -d b ls"), ["a.yml b"]);
        assert_eq!(asked("x ship-web --config-file=a.yml"), ["a.yml -", "a.yml -"]);
        assert_eq!(asked("x run ls -d b"), ["config/deploy.yml -"]);
        assert_eq!(expanded("x -c none.yml ship").0, Err("no file".into()));
    }

    #[test]
    fn what_cannot_be_used() {
        let wrong = |line: &str| expanded(line).0.unwrap_err();
        assert_eq!(wrong("x shi"), "shi: ship");
        assert_eq!(wrong("x strange y"), "frobnicate --x y: ");
        assert_eq!(wrong("x a"), "the aliases form a loop: a → b → a");
        assert!(wrong("x broken").contains("can't be split into words: app exec 'x"));
        assert!(wrong("x empty").contains("the alias `empty` can't be split"));
    }
}
