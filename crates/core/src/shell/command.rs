//! Splits a command in the configuration into words as a shell does, but never into more than one command. There is no
//! redirection and no substitution except for `${NAME}`, a variable of the server. It expands where a shell would
//! expand it: not in single quotes, and not after a backslash.

use std::iter::Peekable;
use std::str::CharIndices;

use super::{quote, variable};

/// The words, each quoted for a shell. If quotes are unbalanced, splits at whitespace and takes the quotes literally.
pub(super) fn quoted_words(command: &str) -> Vec<String> {
    Splitter::new(command)
        .words()
        .unwrap_or_else(|| command.split_whitespace().map(super::quote_expanding).collect())
}

struct Splitter<'t> {
    text: &'t str,
    chars: Peekable<CharIndices<'t>>,
}

#[derive(Default)]
pub(super) struct Word {
    quoted: String,
    /// The literal text that follows.
    pub(super) literal: String,
}

impl Word {
    pub(super) fn expand(&mut self, name: &str) {
        self.flush();
        self.quoted.push_str(&format!("\"${{{name}}}\""));
    }

    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.quoted.push_str(&quote(&std::mem::take(&mut self.literal)));
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.flush();
        if self.quoted.is_empty() { quote("") } else { self.quoted }
    }
}

impl<'t> Splitter<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, chars: text.char_indices().peekable() }
    }

    /// `None` if a quote isn't closed.
    fn words(mut self) -> Option<Vec<String>> {
        let mut words = Vec::new();
        let mut word: Option<Word> = None;
        while let Some((at, c)) = self.chars.next() {
            match c {
                ' ' | '\t' | '\n' => words.extend(word.take().map(Word::finish)),
                '#' if word.is_none() => while self.chars.next().is_some_and(|(_, c)| c != '\n') {},
                c => {
                    let word = word.get_or_insert_default();
                    match c {
                        '\'' => self.single(word)?,
                        '"' => self.double(word)?,
                        '\\' => word.literal.extend(self.chars.next().map(|(_, c)| c).filter(|c| *c != '\n')),
                        '$' => self.dollar(at, word),
                        c => word.literal.push(c),
                    }
                }
            }
        }
        words.extend(word.map(Word::finish));
        Some(words)
    }

    fn single(&mut self, word: &mut Word) -> Option<()> {
        loop {
            match self.chars.next()?.1 {
                '\'' => return Some(()),
                c => word.literal.push(c),
            }
        }
    }

    fn double(&mut self, word: &mut Word) -> Option<()> {
        loop {
            match self.chars.next()? {
                (_, '"') => return Some(()),
                (at, '$') => self.dollar(at, word),
                (_, '\\') => match self.chars.next()?.1 {
                    '\n' => {}
                    c @ ('$' | '`' | '"' | '\\') => word.literal.push(c),
                    c => word.literal.extend(['\\', c]),
                },
                (_, c) => word.literal.push(c),
            }
        }
    }

    fn dollar(&mut self, at: usize, word: &mut Word) {
        let Some((name, length)) = variable(&self.text[at..], false) else {
            return word.literal.push('$');
        };
        word.expand(name);
        while self.chars.next_if(|(next, _)| *next < at + length).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_does() {
        let cases: &[(&str, &[&str])] = &[
            ("bin/server --name 'a b' \"c d\" e\\ f", &["bin/server", "--name", "'a b'", "'c d'", "'e f'"]),
            ("a '' \"\"", &["a", "''", "''"]),
            ("a # a comment\nb#c", &["a", "'b#c'"]),
            ("say \"a \\\"b\\\" c\"", &["say", "'a \"b\" c'"]),
            ("say \"a\\n\" a\\n", &["say", "\"a\\\\n\"", "an"]),
            ("x; rm $(y) `z` > w", &["'x;'", "rm", "'$(y)'", "'`z`'", "'>'", "w"]),
            ("  ", &[]),
            ("it's", &["\"it's\""]),
        ];
        for (command, words) in cases {
            assert_eq!(quoted_words(command), *words, "{command}");
        }
    }

    #[test]
    fn the_servers_variables_stand_where_a_shell_would_expand_them() {
        let cases: &[(&str, &[&str])] = &[
            ("a ${B} \"${C} d\" x${E}y", &["a", "\"${B}\"", "\"${C}\"' d'", "x\"${E}\"y"]),
            ("sh -c 'echo ${PORT}' \\${A} \"\\${B}\"", &["sh", "-c", "'echo ${PORT}'", "'${A}'", "'${B}'"]),
            ("$A ${1} ${x", &["'$A'", "'${1}'", "'${x'"]),
            ("é${F}é", &["'é'\"${F}\"'é'"]),
        ];
        for (command, words) in cases {
            assert_eq!(quoted_words(command), *words, "{command}");
        }
    }
}
