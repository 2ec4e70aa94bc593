//! Enpass, through `enpass-cli`. `--from` is the vault's path. A secret is `TITLE/LABEL`, or `TITLE` for all labels of an
//! item. The command asks for the vault's password each time, unless the variable `MASTERPW` contains it.

use bowline_config::unique;
use serde::Deserialize;

use crate::secrets::fetch::{FetchRequest, Fetched};
use crate::secrets::json::Text;
use crate::secrets::tool::{Tool, Vendor};
use crate::secrets::trouble::Trouble;

pub(super) const VENDOR: Vendor = Vendor {
    title: "Enpass",
    program: "enpass-cli",
    version: "version",
    home: "https://github.com/hazcod/enpass-cli",
};

#[derive(Deserialize)]
struct Entry {
    title: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    password: Text,
}

pub(super) fn check(request: &FetchRequest) -> Result<(), Trouble> {
    if request.from.is_none() {
        return Err(Trouble::usage("Enpass needs `--from` with the path of the vault"));
    }
    if request.names.is_empty() {
        return Err(Trouble::usage("no names to fetch from Enpass").hint("write TITLE or TITLE/LABEL"));
    }
    Ok(())
}

pub(super) async fn fetch(tool: &Tool<'_>, request: &FetchRequest) -> Result<Fetched, Trouble> {
    let titles = unique(request.names.iter().map(|name| title(name)));
    let mut words = vec!["-json", "-vault", request.from.as_deref().unwrap_or_default(), "show"];
    words.extend(&titles);
    let what = format!("could not read {} from Enpass", titles.join(", "));
    let entries: Vec<Entry> = tool.ask_json(&words, &what).await?;
    let mut fetched = Fetched::new();
    for entry in entries {
        let key = format!("{}/{}", entry.title, entry.label);
        if !request.names.iter().any(|name| *name == key || *name == entry.title) {
            continue;
        }
        if fetched.iter().any(|(known, _)| *known == key) {
            return Err(Trouble::failed(format!("{key} is in Enpass more than once"))
                .hint("give one of them another label"));
        }
        fetched.push((key, entry.password.0.unwrap_or_default()));
    }
    let there = |name: &str| fetched.iter().any(|(key, _)| key == name || title(key) == name);
    super::complete(request.names.iter().map(String::as_str), there, "Enpass")?;
    Ok(fetched)
}

/// The title in a name: the part before the last `/`.
fn title(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(title, _)| title)
}
