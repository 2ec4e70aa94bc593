//! Expands `%` tokens and `${NAME}`, and splits words with quotes.

use std::path::PathBuf;

use sha1::{Digest, Sha1};

use super::home;
use super::{Endpoint, HostSettings};
use crate::options::Options;

pub(crate) struct Tokens<'a> {
    pub(crate) options: &'a Options,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) settings: &'a HostSettings,
}

impl Tokens<'_> {
    /// Expands a path. Unknown tokens stay, so that the error about the missing file shows them.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.options.expand(&variables(&expand(text, |letter| self.meaning(letter))))
    }

    /// Expands a list of files. `ssh -G` prints them without their quotes, so if a quoted list in the configuration
    /// reads the same, that list applies.
    pub(super) fn files(&self, given: &str, quoted: &[Vec<String>]) -> Vec<PathBuf> {
        let paths = |words: &[String]| -> Vec<PathBuf> { words.iter().map(|word| self.path(word)).collect() };
        let joined = |paths: &[PathBuf]| {
            paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        let pieces: Vec<String> = given.split(' ').map(str::to_owned).collect();
        let printed = joined(&paths(&pieces));
        if let Some(words) = quoted.iter().find(|words| joined(&paths(words)) == printed) {
            return paths(words);
        }
        let words = words(given).unwrap_or(pieces);
        let words: Vec<String> = words.into_iter().filter(|word| word != "none").collect();
        paths(&words)
    }

    /// The words of `KnownHostsCommand`. Keeps the tokens that depend on the key.
    pub(crate) fn known_hosts_command(&self, text: &str) -> Result<Vec<String>, String> {
        let words = words(text).ok_or_else(|| format!("a quote in `{text}` is not closed"))?;
        let letter = |letter: char| "HIKft".contains(letter).then(|| format!("%{letter}"));
        // The words are expanded again later, so `%%` must survive the first time.
        let kept = words.iter().map(|word| word.replace("%%", "%%%%"));
        kept.map(|word| self.expanded(&word, letter)).collect()
    }

    /// Expands a command line. An unknown token is an error, as in `ssh`.
    pub(crate) fn command(&self, text: &str) -> Result<String, String> {
        self.expanded(text, |_| None)
    }

    fn expanded(&self, text: &str, first: impl Fn(char) -> Option<String>) -> Result<String, String> {
        let mut unknown = None;
        let line = expand(text, |letter| {
            let meaning = first(letter).or_else(|| self.meaning(letter));
            if meaning.is_none() {
                unknown = Some(letter);
            }
            meaning
        });
        match unknown {
            Some(letter) => Err(format!("`%{letter}` in `{text}` is not a known token")),
            None => Ok(line),
        }
    }

    fn meaning(&self, letter: char) -> Option<String> {
        let settings = self.settings;
        Some(match letter {
            'h' => settings.hostname.clone(),
            'n' => self.endpoint.host.clone(),
            'k' => settings.alias.clone().unwrap_or_else(|| self.endpoint.host.clone()),
            'p' => settings.port.to_string(),
            'r' => settings.user.clone(),
            'd' => self.options.home.as_ref()?.display().to_string(),
            'u' => home::user().or_else(|| std::env::var("USER").ok())?,
            'i' => rustix::process::getuid().as_raw().to_string(),
            'l' => this_machine(),
            'L' => this_machine().split('.').next()?.to_owned(),
            'j' => settings.jumps.last().map(|hop| hop.host.clone()).unwrap_or_default(),
            'C' => {
                let parts = [this_machine(), settings.hostname.clone(), settings.port.to_string()];
                let hash = Sha1::digest(parts.concat() + &settings.user);
                hash.iter().map(|byte| format!("{byte:02x}")).collect()
            }
            _ => return None,
        })
    }
}

fn this_machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Replaces `%x` with its value and `%%` with a percent sign. Unknown tokens stay.
pub(crate) fn expand(text: &str, mut meaning: impl FnMut(char) -> Option<String>) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some(letter) => match meaning(letter) {
                Some(value) => out.push_str(&value),
                None => out.extend(['%', letter]),
            },
            None => out.push('%'),
        }
    }
    out
}

/// Replaces `${NAME}` with the variable's value. Unset variables stay.
fn variables(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, tail)) => {
                out.push_str(&std::env::var(name).unwrap_or_else(|_| format!("${{{name}}}")));
                rest = tail;
            }
            None => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out + rest
}

/// Splits words as in `ssh_config`: in quotes, a blank is part of the word. Returns `None` if a quote doesn't end.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', _) if chars.peek().is_some_and(|next| matches!(next, '"' | '\'' | '\\')) => {
                word.get_or_insert_default().extend(chars.next());
            }
            ('\\', None) if chars.peek() == Some(&' ') => word.get_or_insert_default().extend(chars.next()),
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_ascii_whitespace() => words.extend(word.take()),
            ('#', None) if word.is_none() => break,
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings_of;
    use super::*;

    #[test]
    fn words_keep_their_blanks_in_quotes() {
        let read = |text| words(text).unwrap();
        assert_eq!(read(r#""/a b/c"  ~/d 'e f'"#), ["/a b/c", "~/d", "e f"]);
        assert_eq!(read(r"/a\ b c # said"), ["/a b", "c"]);
        assert_eq!(read(r#"x"y z"w """#), ["xy zw", ""]);
        assert_eq!(words("\"open"), None);
    }

    #[test]
    fn every_letter_of_a_proxy_command() {
        let options = Options { home: Some("/home/me".into()), ..Options::from_env() };
        let (endpoint, settings) = settings_of("hostname 10.0.0.1\nport 99\nuser u\n", "web");
        let tokens = Tokens { options: &options, endpoint: &endpoint, settings: &settings };
        assert_eq!(tokens.command("%h %n %k %p %r %d %%").unwrap(), "10.0.0.1 web web 99 u /home/me %");
        let id = rustix::process::getuid().as_raw().to_string();
        assert_eq!(tokens.command("%i").unwrap(), id);
        let machine = this_machine();
        assert_eq!(tokens.command("%l").unwrap(), machine);
        let hash = tokens.command("%C").unwrap();
        let known = Sha1::digest(format!("{machine}10.0.0.199u"));
        assert_eq!(hash.len(), 40);
        assert!(hash.starts_with(&format!("{:02x}{:02x}", known[0], known[1])), "{hash}");
        assert!(tokens.command("x %z").unwrap_err().contains("`%z`"));
    }
}
