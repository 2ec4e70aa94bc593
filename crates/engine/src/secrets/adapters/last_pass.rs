//! LastPass, through `lpass`. A secret is an item's full name, including its folder.

use serde::Deserialize;

use super::SignedIn;
use crate::secrets::fetch::{FetchRequest, Fetched};
use crate::secrets::json::Text;
use crate::secrets::tool::{Tool, Vendor};
use crate::secrets::trouble::Trouble;

pub(super) const VENDOR: Vendor = Vendor {
    title: "LastPass",
    program: "lpass",
    version: "--version",
    home: "https://github.com/lastpass/lastpass-cli",
};

#[derive(Deserialize)]
struct Item {
    fullname: String,
    #[serde(default)]
    password: Text,
}

pub(super) async fn log_in(tool: &Tool<'_>, account: &str) -> Result<SignedIn, Trouble> {
    let status = tool.output(&["status", "--color", "never"]).await?;
    if status.stdout.trim() != format!("Logged in as {account}.") {
        tool.log_in(&["login", account]).await?;
    }
    Ok(SignedIn::default())
}

pub(super) async fn fetch(tool: &Tool<'_>, request: &FetchRequest) -> Result<Fetched, Trouble> {
    let names = request.prefixed();
    let mut words = vec!["show"];
    words.extend(names.iter().map(String::as_str));
    words.push("--json");
    let items: Vec<Item> =
        tool.json(&words, &format!("could not read {} from LastPass", names.join(", "))).await?;
    let there = |name: &str| items.iter().any(|item| item.fullname == name);
    super::complete(names.iter().map(String::as_str), there, "LastPass")?;
    Ok(items.into_iter().map(|item| (item.fullname, item.password.0.unwrap_or_default())).collect())
}
