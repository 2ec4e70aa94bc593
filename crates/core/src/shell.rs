//! Command lines as values: built from words, never from strings.
//!
//! Every word passes one quoting function, so that nothing in a configuration or in what a server printed can
//! become shell code. A [`Script`] is what goes to a server: a POSIX `sh` program and what it reads on its
//! standard input, where secrets travel. It renders two ways: as sent, and as shown.

mod command;
mod start;

use bowline_config::secret::{REDACTED, Secret, SecretBytes};

pub use start::{beginning, word_of};

/// Quotes one word for a POSIX shell.
///
/// A NUL can't be in a word of any command; it is dropped here and refused by the configuration.
pub fn quote(word: &str) -> String {
    match shlex::try_quote(word) {
        Ok(quoted) => quoted.into_owned(),
        Err(_) => quote(&word.replace('\0', "")),
    }
}

/// Quotes a word of the configuration in which `${NAME}` stands for a variable of the server's shell (as Kamal
/// leaves it to be expanded). Everything else is literal: `$(command)` and backquotes never run.
pub fn quote_expanding(word: &str) -> String {
    expand(word, false)
}

/// As [`quote_expanding`], for places that Kamal hands to the shell as they are (volumes): there `$NAME`,
/// `$(pwd)` and a leading `~/` are understood too.
pub fn quote_path(word: &str) -> String {
    match word.strip_prefix("~/") {
        Some(rest) => format!("\"$HOME\"/{}", expand(rest, true)),
        None => expand(word, true),
    }
}

fn expand(word: &str, bare_names: bool) -> String {
    let mut out = String::new();
    let mut literal = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        literal.push_str(&rest[..at]);
        let tail = &rest[at..];
        match variable(tail, bare_names) {
            Some((name, length)) => {
                flush(&mut literal, &mut out);
                out.push_str(&format!("\"${{{name}}}\""));
                rest = &tail[length..];
            }
            None => {
                literal.push('$');
                rest = &tail[1..];
            }
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() || out.is_empty() {
        out.push_str(&quote(&literal));
    }
    out
}

fn flush(literal: &mut String, out: &mut String) {
    if !literal.is_empty() {
        out.push_str(&quote(literal));
        literal.clear();
    }
}

/// The variable that `text` (which begins with `$`) names, and how many bytes name it.
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

/// A text of the configuration for a program on the machine that deploys, which no shell sees: `${NAME}` (and, with
/// `bare_names`, `$NAME`) is what `lookup` says.
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

/// A shell function with these lines, which may be none.
pub(crate) fn function(name: &str, lines: &str) -> String {
    format!("{name}() {{ :\n{lines}}}\n")
}

/// A command line, word by word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line(String);

impl Line {
    /// Begins with a program.
    pub fn new(program: &str) -> Self {
        Self(quote(program))
    }

    fn push(mut self, quoted: &str) -> Self {
        self.0.push(' ');
        self.0.push_str(quoted);
        self
    }

    /// One word, literally.
    pub fn word(self, word: &str) -> Self {
        let quoted = quote(word);
        self.push(&quoted)
    }

    /// Several words, literally.
    pub fn words<'a>(self, words: impl IntoIterator<Item = &'a str>) -> Self {
        words.into_iter().fold(self, |line, word| line.word(word))
    }

    /// A word in which `${NAME}` is expanded by the server (see [`quote_expanding`]).
    pub fn expanding(self, word: &str) -> Self {
        let quoted = quote_expanding(word);
        self.push(&quoted)
    }

    /// A volume or path (see [`quote_path`]).
    pub fn path(self, word: &str) -> Self {
        let quoted = quote_path(word);
        self.push(&quoted)
    }

    /// The words of a command of the configuration, split as a shell does. They stay what they are: no redirection, no
    /// second command; only `${NAME}` outside single quotes is the server's.
    pub fn command(self, command: &str) -> Self {
        command::quoted_words(command).iter().fold(self, |line, word| line.push(word))
    }

    /// A variable of the script itself, quoted against splitting.
    pub fn var(self, name: &str) -> Self {
        let quoted = format!("\"${name}\"");
        self.push(&quoted)
    }

    /// The line as a shell reads it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Input {
    /// The bytes that the program reads.
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

/// What a script reads on its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Input {
    /// Nothing: it is closed immediately.
    #[default]
    None,
    /// A secret text, then the end.
    Secret(Secret),
    /// A file, then the end.
    Bytes(SecretBytes),
}

/// One round trip to a server: a POSIX `sh` program and its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    pub text: String,
    pub input: Input,
    /// The variables that it finds.
    pub surroundings: Surroundings,
}

/// The variables that a program finds on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Surroundings {
    /// Those of the login, except variables that change the meaning of our commands.
    #[default]
    Ours,
    /// Those of the login, for a command that a person wrote.
    Login,
}

impl Script {
    /// A script of these lines without input.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// With a secret on its standard input.
    pub fn with_input(mut self, input: Secret) -> Self {
        self.input = Input::Secret(input);
        self
    }

    /// With a file on its standard input.
    pub fn with_bytes(mut self, input: SecretBytes) -> Self {
        self.input = Input::Bytes(input);
        self
    }

    /// With all variables of the login.
    pub fn as_logged_in(mut self) -> Self {
        self.surroundings = Surroundings::Login;
        self
    }

    /// The command line as sent: whatever the login shell is, `sh` runs the program, and its output follows
    /// [`beginning`] of this word, which must be unpredictable.
    pub fn over_ssh(&self, word: &str) -> String {
        start::line(&self.text, self.surroundings, word)
    }

    /// The program alone, as a command line for a POSIX shell.
    pub fn sent(&self) -> String {
        format!("exec sh -c {}", quote(&self.text))
    }

    /// The command line as shown: the program itself, and a word about what goes in.
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
        /// What a shell reads back is what went in, for any text.
        #[test]
        fn quoting_round_trips(word in "[^\0]*") {
            prop_assert_eq!(shlex::split(&quote(&word)), Some(vec![word]));
        }

        /// A real shell takes a value as it is, whatever it holds, but for the variables it may name.
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
