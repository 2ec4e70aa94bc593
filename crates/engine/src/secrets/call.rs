//! `kamal secrets …` in a secrets file, handled in this process. So `kamal` need not be installed, and a fetch that several
//! lines share runs once.

use std::ops::Range;
use std::sync::Arc;

use bowline_config::dotenv::{Call, Word, WordPart};
use bowline_config::secret::Secret;
use futures_util::future::join_all;

use super::evaluate::{Evaluation, Value, Wrong};
use super::extract::extract;
use super::fetch::{FetchRequest, Fetched};
use super::trouble::Trouble;
use super::{Place, json};

pub(super) async fn answer(
    evaluation: Evaluation<'_>,
    place: Place,
    call: &Call,
    at: &Range<usize>,
) -> Result<Value, Wrong> {
    let here = |trouble: Trouble| Wrong::Here(at.clone(), trouble);
    let words = join_all(call.words.iter().map(|word| fields(evaluation, place, word))).await;
    let words: Vec<String> =
        words.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let mut env = Vec::new();
    for (name, value) in &call.env {
        let value = fields(evaluation, place, value).await?.join(" ");
        env.push((name.clone(), Secret::new(value)));
    }
    let value = match words.split_first() {
        Some((command, rest)) if command == "fetch" => {
            let request = fetch_words(rest, env).map_err(here)?;
            let fetched = fetch(evaluation, &request).await.map_err(here)?;
            Value::fetched(json::object(&fetched))
        }
        Some((command, rest)) if command == "extract" => {
            let (name, json) = extract_words(rest).map_err(here)?;
            Value::plain(extract(name, json).map_err(here)?.expose())
        }
        Some((command, _)) if command == "print" => {
            let trouble = Trouble::usage("`secrets print` prints this file, so it can't be used in it");
            return Err(here(trouble));
        }
        _ => return Err(here(Trouble::usage("`secrets` needs `fetch` or `extract` after it"))),
    };
    match &call.pipe {
        None => Ok(value),
        Some(pipe) => {
            let input = Secret::new(format!("{}\n", value.text.expose()));
            evaluation.shell(place, pipe, Some(input), at).await.map(Value::plain)
        }
    }
}

async fn fetch(evaluation: Evaluation<'_>, request: &FetchRequest) -> Result<Arc<Fetched>, Trouble> {
    evaluation.store.fetcher.fetch(evaluation.local, request).await
}

/// The words that a shell would make of this one: splits unquoted values at spaces, except JSON.
async fn fields(evaluation: Evaluation<'_>, place: Place, word: &Word) -> Result<Vec<String>, Wrong> {
    let mut done = Vec::new();
    let mut current: Option<String> = None;
    for part in word {
        let (value, quoted) = match part {
            WordPart::Text(text) => {
                current.get_or_insert_default().push_str(text);
                continue;
            }
            WordPart::Variable { variable, quoted } => (evaluation.variable(place, variable).await?, *quoted),
            WordPart::Command { command, quoted } => (evaluation.command(place, command).await?, *quoted),
        };
        let text = value.text.expose();
        if quoted || value.fetched || text.trim_start().starts_with('{') {
            current.get_or_insert_default().push_str(text);
            continue;
        }
        let mut pieces = text.split_whitespace();
        if let Some(first) = pieces.next() {
            current.get_or_insert_default().push_str(first);
        }
        for piece in pieces {
            done.extend(current.replace(piece.to_owned()));
        }
    }
    done.extend(current);
    Ok(done)
}

/// Kamal's flags that don't matter to a vault.
const IGNORED_WITH_VALUE: [&str; 9] =
    ["-d", "--destination", "-c", "--config-file", "-h", "--hosts", "-r", "--roles", "--version"];
const IGNORED: [&str; 10] =
    ["--inline", "-v", "--verbose", "-q", "--quiet", "-p", "--primary", "-H", "--skip-hooks", "--no-inline"];

fn fetch_words(words: &[String], env: Vec<(String, Secret)>) -> Result<FetchRequest, Trouble> {
    let (mut adapter, mut account, mut from, mut names) = (None, None, None, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (flag, mut value) = match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        if IGNORED.contains(&flag) {
            continue;
        }
        let slot = match flag {
            "-a" | "--adapter" => Some(&mut adapter),
            "--account" => Some(&mut account),
            "--from" => Some(&mut from),
            flag if IGNORED_WITH_VALUE.contains(&flag) => None,
            flag if flag.starts_with('-') && flag.len() > 1 => {
                return Err(Trouble::usage(format!("`secrets fetch` has no flag `{flag}`"))
                    .hint("it has --adapter, --account and --from"));
            }
            _ => {
                names.push(word.clone());
                continue;
            }
        };
        if value.is_none() {
            value = words.next().cloned();
        }
        let Some(value) = value else { return Err(Trouble::usage(format!("`{flag}` needs a value"))) };
        if let Some(slot) = slot {
            *slot = Some(value);
        }
    }
    let Some(adapter) = adapter else { return Err(Trouble::usage("`secrets fetch` needs `--adapter NAME`")) };
    Ok(FetchRequest { env, ..FetchRequest::new(&adapter, account, from, names)? })
}

fn extract_words(words: &[String]) -> Result<(&str, &str), Trouble> {
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !IGNORED.contains(word)).collect();
    match words.as_slice() {
        [name, json] => Ok((name, json)),
        _ => Err(Trouble::usage("`secrets extract` needs a name and the JSON from `secrets fetch`")),
    }
}
