//! The dialect of secrets files: `KEY=value` a line, as the dotenv library that Kamal uses reads it.
//!
//! Values may be bare (up to `#` or the end of the line), in single quotes (literal) or in double quotes; the
//! latter two may span lines. In bare and double-quoted values `$NAME`, `${NAME}` and `$(command)` are replaced,
//! in one pass, so that a `$` in what a command prints stays what it is. Unlike Kamal, a command that fails is
//! an error: a deploy with an empty password helps nobody.

use bowline_core::plan::deploy::Secrets;
use bowline_core::secret::Secret;

use crate::ports::{Local, LocalCommand};

/// A value before its references are replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Raw {
    Literal(String),
    Expanding(String),
}

/// Reads a file and runs its commands.
pub async fn evaluate(local: &dyn Local, text: &str) -> Result<Secrets, String> {
    let mut secrets = Secrets::new();
    for (line, key, raw) in entries(text) {
        let value = match raw {
            Raw::Literal(value) => value,
            Raw::Expanding(value) => expand(local, &secrets, &value)
                .await
                .map_err(|error| format!("line {line}: {key}: {error}"))?,
        };
        secrets.insert(key, Secret::new(value));
    }
    Ok(secrets)
}

/// The entries of a file with their line numbers; lines that are none are passed over.
fn entries(text: &str) -> Vec<(usize, String, Raw)> {
    let text = text.replace("\r\n", "\n");
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let line = text[..at].matches('\n').count() + 1;
        let rest = &text[at..];
        let end = rest.find('\n').unwrap_or(rest.len());
        let Some((key, skipped)) = key(&rest[..end]) else {
            at += end + 1;
            continue;
        };
        let (raw, used) = value(&rest[skipped..]);
        found.push((line, key.to_string(), raw));
        let after = &rest[skipped + used..];
        at += skipped + used + after.find('\n').map_or(after.len(), |end| end + 1);
    }
    found
}

/// The key of a line, and where its value begins.
fn key(line: &str) -> Option<(&str, usize)> {
    let trimmed = line.trim_start();
    let trimmed = trimmed.strip_prefix("export ").map_or(trimmed, str::trim_start);
    let start = line.len() - trimmed.len();
    let length =
        trimmed.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(trimmed.len());
    let (key, rest) = trimmed.split_at(length);
    if key.is_empty() {
        return None;
    }
    let gap = rest.len() - rest.trim_start().len();
    let rest = &rest[gap..];
    let sign = if rest.starts_with('=') || rest.starts_with(": ") { 1 } else { return None };
    let blanks = rest[sign..].len() - rest[sign..].trim_start_matches([' ', '\t']).len();
    Some((key, start + length + gap + sign + blanks))
}

/// The value at the start of `text`, and how much of it was used.
fn value(text: &str) -> (Raw, usize) {
    if let Some(rest) = text.strip_prefix('\'')
        && let Some(end) = rest.find('\'')
    {
        return (Raw::Literal(rest[..end].into()), end + 2);
    }
    if let Some(rest) = text.strip_prefix('"')
        && let Some(end) = closing_quote(rest)
    {
        return (Raw::Expanding(unescape(&rest[..end])), end + 2);
    }
    let line = &text[..text.find('\n').unwrap_or(text.len())];
    let end = bare_end(line);
    (Raw::Expanding(unescape(line[..end].trim_end())), end)
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at)
    })
}

/// Where a bare value ends: at a `#` that is not inside `$(…)`.
fn bare_end(line: &str) -> usize {
    let mut depth = 0usize;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match c {
            '(' if before == '$' || depth > 0 => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '#' if depth == 0 => return at,
            _ => {}
        }
        before = c;
    }
    line.len()
}

/// `\x` becomes `x`, but for `\$`, which stays until references are replaced. `\n` and `\r` stay as they are.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, false) => out.push(c),
            (_, true) => match chars.next() {
                Some(kept @ ('$' | 'n' | 'r')) => out.extend(['\\', kept]),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
        }
    }
    out
}

async fn expand(local: &dyn Local, known: &Secrets, text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix("\\$") {
            out.push('$');
            rest = tail;
        } else if let Some((command, used)) = command(rest) {
            out.push_str(&whole(run(local, known, command).await?, command)?);
            rest = &rest[used..];
        } else if let Some((name, used)) = name(rest) {
            out.push_str(&lookup(local, known, name)?);
            rest = &rest[used..];
        } else {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn lookup(local: &dyn Local, known: &Secrets, name: &str) -> Result<String, String> {
    match known.get(name) {
        Some(value) => Ok(value.expose().to_string()),
        None => whole(local.variable(name).unwrap_or_default(), name),
    }
}

/// What comes from outside is read as UTF-8, and U+FFFD stands where it wasn't: better no secret than a broken one.
fn whole(value: String, from: &str) -> Result<String, String> {
    if value.contains(char::REPLACEMENT_CHARACTER) {
        return Err(format!("what `{from}` gives is not UTF-8 text; encode it, say with base64"));
    }
    Ok(value)
}

fn command(text: &str) -> Option<(&str, usize)> {
    let inner = text.strip_prefix("$(")?;
    let mut depth = 1usize;
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '(' => depth += 1,
            ')' => {
                depth -= 1;
                if depth == 0 {
                    return (at > 0).then_some((&inner[..at], at + 3));
                }
            }
            _ => {}
        }
    }
    None
}

fn name(text: &str) -> Option<(&str, usize)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(braced) = text.strip_prefix("${") {
        let name = &braced[..braced.find('}')?];
        return (!name.is_empty() && name.chars().all(is_name)).then_some((name, name.len() + 3));
    }
    let bare = text.strip_prefix('$')?;
    let end = bare.find(|c| !is_name(c)).unwrap_or(bare.len());
    (end > 0).then_some((&bare[..end], end + 1))
}

/// Runs a command with the names known so far in its environment, where its own shell finds them.
async fn run(local: &dyn Local, known: &Secrets, command: &str) -> Result<String, String> {
    let program = LocalCommand {
        words: vec!["/bin/sh".into(), "-c".into(), command.into()],
        env: known.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        ..Default::default()
    };
    let output = local.run(&program, &|_| {}).await?;
    if !output.success() {
        return Err(format!("`{command}` failed: {}", output.stderr.trim()));
    }
    Ok(output.stdout.strip_suffix('\n').unwrap_or(&output.stdout).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Raw)> {
        entries(text).into_iter().map(|(_, key, raw)| (key, raw)).collect()
    }

    #[test]
    fn the_forms_of_a_line() {
        let text = "A=1\n# no\n export B = two words # comment\nC='li$teral # all'\nD=\"a \\\"b\\\" \\$c\nd\"\nE=\nF: x\nnot a line\nG=$(echo '#' a) # c\n";
        let literal = |text: &str| Raw::Literal(text.into());
        let expanding = |text: &str| Raw::Expanding(text.into());
        assert_eq!(
            read(text),
            [
                ("A".to_string(), expanding("1")),
                ("B".to_string(), expanding("two words")),
                ("C".to_string(), literal("li$teral # all")),
                ("D".to_string(), expanding("a \"b\" \\$c\nd")),
                ("E".to_string(), expanding("")),
                ("F".to_string(), expanding("x")),
                ("G".to_string(), expanding("$(echo '#' a)")),
            ]
        );
    }

    #[test]
    fn references_are_found() {
        assert_eq!(command("$(a (b) c) d"), Some(("a (b) c", 10)));
        assert_eq!(command("$("), None);
        assert_eq!(name("${A}x"), Some(("A", 4)));
        assert_eq!(name("$A_1-"), Some(("A_1", 4)));
        assert_eq!(name("$ "), None);
    }

    #[tokio::test]
    async fn what_is_no_text_is_refused_and_the_rest_kept_as_it_is() {
        let variables = [("BAD".to_string(), "a\u{FFFD}".to_string())].into();
        let local = crate::testing::FakeLocal { variables, ..Default::default() };
        let error = evaluate(&local, "A=1\nB=\"x $BAD\"\n").await.unwrap_err();
        assert_eq!(error, "line 2: B: what `BAD` gives is not UTF-8 text; encode it, say with base64");
        let secrets = evaluate(&local, "A='\u{FFFD} \t $é\\n\n'\nB=$A\n").await.unwrap();
        assert_eq!(secrets["A"].expose(), "\u{FFFD} \t $é\\n\n");
        assert_eq!(secrets["B"], secrets["A"]);
    }
}
