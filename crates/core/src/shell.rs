//! Command lines as values: built from words, never from strings.
//!
//! Every word passes through one quoting function, so nothing in a configuration or in a server's output can become
//! shell code. A [`Script`] is what Bowline sends to a server: a POSIX `sh` program, and its standard input, which
//! carries the secrets. It renders in two ways: as sent, and for display.

mod command;
mod start;

use bowline_config::secret::{REDACTED, Secret, SecretBytes};

use command::Word;
pub use start::{beginning, word_of};

/// Quotes one word for a POSIX shell.
///
/// Drops NUL characters, which no word of a command can contain. The configuration rejects them.
pub fn quote(word: &str) -> String {
    match shlex::try_quote(word) {
        Ok(quoted) => quoted.into_owned(),
        Err(_) => quote(&word.replace('\0', "")),
    }
}

/// Quotes a word in which `${NAME}` is a variable of the server's shell, which expands it, as with Kamal. Everything
/// else is literal: `$(command)` and backquotes never run.
pub fn quote_expanding(word: &str) -> String {
    expand(word, false)
}

/// Like [`quote_expanding`], for volumes, which Kamal passes unquoted: also expands `$NAME`, `$(pwd)`, a leading `~/`.
pub fn quote_path(word: &str) -> String {
    match word.strip_prefix("~/") {
        Some(rest) => format!("\"$HOME\"/{}", expand(rest, true)),
        None => expand(word, true),
    }
}

fn expand(word: &str, bare_names: bool) -> String {
    let mut out = Word::default();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        out.literal.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = match variable(rest, bare_names) {
            Some((name, end)) => {
                out.expand(name);
                end
            }
            None => {
                out.literal.push('$');
                1
            }
        };
        rest = &rest[end..];
    }
    out.literal.push_str(rest);
    out.finish()
}

/// The variable at the beginning of `text`, which starts with `$`, and the length of its notation in bytes.
fn variable(text: &str, bare_names: bool) -> Option<(&str, usize)> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if let Some(braced) = text.strip_prefix("${") {
        let name = &braced[..braced.find('}')?];
        return is_name(name).then_some((name, name.len() + 3));
    }
    if !bare_names {
        return None;
    }
    if text.starts_with("$(pwd)") {
        return Some(("PWD", 6));
    }
    let name = &text[1..];
    let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(name.len());
    is_name(&name[..end]).then_some((&name[..end], end + 1))
}

/// Expands `${NAME}` (and, with `bare_names`, `$NAME`) with `lookup`, for local programs that run without a shell.
///
/// # Errors
/// The name of a variable that isn't set.
pub fn fill_in(
    text: &str,
    bare_names: bool,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = match variable(rest, bare_names) {
            Some((name, end)) => {
                expanded.push_str(&lookup(name).ok_or_else(|| name.to_owned())?);
                end
            }
            None => {
                expanded.push('$');
                1
            }
        };
        rest = &rest[end..];
    }
    Ok(expanded + rest)
}

/// A shell function with these lines. They may be empty.
pub(crate) fn function(name: &str, lines: &str) -> String {
    format!("{name}() {{ :\n{lines}}}\n")
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line(String);

impl Line {
    pub fn new(program: &str) -> Self {
        Self(quote(program))
    }

    fn push(mut self, quoted: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(quoted);
        self
    }

    pub fn word(self, word: &str) -> Self {
        let quoted = quote(word);
        self.push(&quoted)
    }

    pub fn words<'a>(self, words: impl IntoIterator<Item = &'a str>) -> Self {
        words.into_iter().fold(self, |line, word| line.word(word))
    }

    /// Adds a word in which the server expands `${NAME}` (see [`quote_expanding`]).
    pub fn expanding(self, word: &str) -> Self {
        let quoted = quote_expanding(word);
        self.push(&quoted)
    }

    /// Adds a volume or a path (see [`quote_path`]).
    pub fn path(self, word: &str) -> Self {
        let quoted = quote_path(word);
        self.push(&quoted)
    }

    /// Adds the words of a command in the configuration, split as a shell does. There is no redirection and no second
    /// command. The server only expands `${NAME}` outside single quotes.
    pub fn command(self, command: &str) -> Self {
        command::quoted_words(command).iter().fold(self, |line, word| line.push(word))
    }

    /// Adds a variable of the script itself, quoted to prevent word splitting.
    pub fn var(self, name: &str) -> Self {
        let quoted = format!("\"${name}\"");
        self.push(&quoted)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Input {
    pub fn expose(&self) -> &[u8] {
        match self {
            Input::None => &[],
            Input::Secret(secret) => secret.expose().as_bytes(),
            Input::Bytes(bytes) => bytes.expose(),
        }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Input {
    /// Nothing: standard input is closed immediately.
    #[default]
    None,
    Secret(Secret),
    Bytes(SecretBytes),
}

/// One round trip to a server: a POSIX `sh` program and its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    pub text: String,
    pub input: Input,
    pub surroundings: Surroundings,
}

/// The environment variables of a program on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Surroundings {
    /// Those of the login, except variables that change the meaning of our commands.
    #[default]
    Ours,
    /// Those of the login, for a command that the user wrote.
    Login,
}

impl Script {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub fn with_input(mut self, input: Secret) -> Self {
        self.input = Input::Secret(input);
        self
    }

    pub fn with_bytes(mut self, input: SecretBytes) -> Self {
        self.input = Input::Bytes(input);
        self
    }

    /// Keeps all variables of the login.
    pub fn as_logged_in(mut self) -> Self {
        self.surroundings = Surroundings::Login;
        self
    }

    /// The command line to send over SSH. With any login shell, `sh` runs the program. Its own output begins after
    /// [`beginning`] of `word`, which must be unpredictable.
    pub fn over_ssh(&self, word: &str) -> String {
        start::line(&self.text, self.surroundings, word)
    }

    /// The program alone, as a command line for a POSIX shell.
    pub fn sent(&self) -> String {
        format!("exec sh -c {}", quote(&self.text))
    }

    /// The program for display, with a remark about its standard input.
    pub fn shown(&self) -> String {
        match &self.input {
            Input::None => self.text.clone(),
            Input::Secret(_) => format!("{}\n# standard input: {REDACTED}", self.text),
            Input::Bytes(bytes) => {
                format!("{}\n# standard input: {} bytes", self.text, bytes.expose().len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn variable_free(word: &str) -> bool {
        word.char_indices().all(|(at, c)| c != '$' || variable(&word[at..], false).is_none())
    }

    #[test]
    fn words_stay_words() {
        let line = Line::new("docker").words(["run", "--name", "a b", "$(touch x)", "~/y", "{a,b}", ""]);
        assert_eq!(line.as_str(), "docker run --name 'a b' '$(touch x)' '~/y' '{a,b}' ''");
    }

    #[test]
    fn only_braced_variables_expand_in_values() {
        assert_eq!(quote_expanding("${PWD}/x y"), "\"${PWD}\"'/x y'");
        assert_eq!(quote_expanding("$PWD $(touch x) `y`"), "'$PWD $(touch x) `y`'");
        assert_eq!(quote_expanding("${cat /etc/hostname}"), "'${cat /etc/hostname}'");
        assert_eq!(quote_expanding("pa$1wor$D"), "'pa$1wor$D'");
        assert_eq!(quote_expanding(""), "''");
    }

    #[test]
    fn variables_of_this_machine_are_put_in_and_nothing_else_happens() {
        let lookup = |name: &str| (name == "A").then(|| "$B `x`".to_string());
        assert_eq!(
            fill_in("<${A}> $A $(pwd) ${A:-x} $", false, lookup).unwrap(),
            "<$B `x`> $A $(pwd) ${A:-x} $"
        );
        assert_eq!(fill_in("default=$A", true, lookup).unwrap(), "default=$B `x`");
        assert_eq!(fill_in("${A}${NONE}", false, lookup), Err("NONE".into()));
    }

    #[test]
    fn paths_know_the_spellings_people_use() {
        assert_eq!(quote_path("$PWD/data:/data"), "\"${PWD}\"/data:/data");
        assert_eq!(quote_path("$(pwd)/data:/data:ro"), "\"${PWD}\"/data:/data:ro");
        assert_eq!(quote_path("~/data:/data"), "\"$HOME\"/data:/data");
        assert_eq!(quote_path("$(rm x):/data"), "'$(rm x):/data'");
        assert_eq!(quote_path("plain:/data"), "plain:/data");
    }

    #[test]
    fn a_secret_is_sent_on_standard_input_and_never_shown() {
        let script = Script::new("cat > f").with_input(Secret::new("hunter2"));
        assert!(!script.sent().contains("hunter2") && !script.shown().contains("hunter2"));
        assert!(!format!("{script:?}").contains("hunter2"));
    }

    proptest! {
        /// A shell reads back the same word, for any text.
        #[test]
        fn quoting_round_trips(word in "[^\0]*") {
            prop_assert_eq!(shlex::split(&quote(&word)), Some(vec![word]));
        }

        /// A real shell takes any value literally, except for variables.
        #[test]
        fn a_value_never_runs_a_command(word in "[a-z$(){}`'\"\\\\; ~*]{0,12}") {
            let program = format!("printf %s {}", quote_expanding(&word));
            let output = std::process::Command::new("/bin/sh").args(["-c", &program]).env_clear().env("PATH", "").output();
            let output = output.unwrap();
            if variable_free(&word) {
                prop_assert_eq!(String::from_utf8_lossy(&output.stdout), word);
            }
            prop_assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        }
    }
}
