//! 1Password, through `op`. A secret is `VAULT/ITEM/FIELD` or `VAULT/ITEM/SECTION/FIELD`. Without a field, it is the item's
//! password. Without any names, the secrets are all fields of the item in `--from`.

use serde::Deserialize;

use super::SignedIn;
use crate::secrets::fetch::{FetchRequest, Fetched};
use crate::secrets::json::Text;
use crate::secrets::tool::{Tool, Vendor};
use crate::secrets::trouble::Trouble;
use bowline_config::secret::Secret;

pub(super) const VENDOR: Vendor = Vendor {
    title: "1Password",
    program: "op",
    version: "--version",
    home: "https://developer.1password.com/docs/cli/get-started",
};

/// An item and the requested fields. None means all of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    vault: String,
    item: String,
    fields: Vec<String>,
}

#[derive(Deserialize)]
struct Whole {
    #[serde(default)]
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    #[serde(default)]
    id: String,
    #[serde(default)]
    label: String,
    reference: Option<String>,
    #[serde(default)]
    value: Text,
}

/// The requested items, grouped by vault.
pub(super) fn items(request: &FetchRequest) -> Result<Vec<Item>, Trouble> {
    let mut items: Vec<Item> = Vec::new();
    let names =
        if request.names.is_empty() { request.from.iter().cloned().collect() } else { request.prefixed() };
    for name in &names {
        let mut path = name.strip_prefix("op://").unwrap_or(name).split('/').map(str::to_owned);
        let (Some(vault), Some(item)) = (path.next(), path.next()) else {
            return Err(Trouble::usage(format!("`{name}` is not the name of a 1Password item"))
                .hint("write VAULT/ITEM or VAULT/ITEM/FIELD, or give the vault with `--from`"));
        };
        let field: Vec<String> = path.collect();
        let field = match (request.names.is_empty(), field.is_empty()) {
            (true, true) => None,
            (_, true) => Some("password".to_owned()),
            (_, false) => Some(field.join(".")),
        };
        match items.iter_mut().find(|known| known.vault == vault && known.item == item) {
            Some(known) => known.fields.extend(field),
            None => {
                let after = items.iter().rposition(|known| known.vault == vault);
                let place = after.map_or(items.len(), |after| after + 1);
                items.insert(place, Item { vault, item, fields: field.into_iter().collect() });
            }
        }
    }
    if items.is_empty() {
        return Err(Trouble::usage("no names to fetch from 1Password")
            .hint("give the names of fields, or an item with `--from VAULT/ITEM`"));
    }
    Ok(items)
}

pub(super) async fn log_in(tool: &Tool<'_>, account: &str) -> Result<SignedIn, Trouble> {
    if tool.output(&["account", "get", "--account", account]).await?.success() {
        return Ok(SignedIn::default());
    }
    let output = tool.log_in(&["signin", "--account", account, "--force", "--raw"]).await?;
    let token = output.stdout.trim();
    // There is no token if the desktop app keeps the session.
    Ok(SignedIn { token: (!token.is_empty()).then(|| Secret::new(token)), ..SignedIn::default() })
}

pub(super) async fn fetch(
    tool: &Tool<'_>,
    session: &SignedIn,
    request: &FetchRequest,
) -> Result<Fetched, Trouble> {
    let account = request.account.as_deref().unwrap_or_default();
    let mut fetched = Fetched::new();
    for item in items(request)? {
        fetched.extend(one(tool, session, account, &item).await?);
    }
    Ok(fetched)
}

async fn one(tool: &Tool<'_>, session: &SignedIn, account: &str, item: &Item) -> Result<Fetched, Trouble> {
    let Item { vault, item: name, fields } = item;
    let mut words = vec!["item", "get", name, "--vault", vault, "--format", "json", "--account", account];
    if let Some(token) = &session.token {
        words.extend(["--session", token.expose()]);
    }
    let labels: Vec<String> = fields.iter().map(|field| format!("label={field}")).collect();
    let labels = labels.join(",");
    if fields.is_empty() {
        let what = format!("could not read {name} in the {vault} 1Password vault");
        let whole: Whole = tool.json(&words, &what).await?;
        return Ok(whole.fields.iter().map(|field| entry(item, field)).collect());
    }
    words.extend(["--fields", &labels]);
    let what = format!("could not read {} from {name} in the {vault} 1Password vault", fields.join(", "));
    let text = tool.read(&words, &what).await?;
    // `op` prints one field as an object, and several as an array.
    let found: Vec<Field> = match text.trim_start().starts_with('[') {
        true => tool.parse(&text, &what)?,
        false => vec![tool.parse(&text, &what)?],
    };
    complete(item, &found)?;
    Ok(found.iter().map(|field| entry(item, field)).collect())
}

/// Checks that all requested fields were returned, because `op` may silently omit some.
fn complete(item: &Item, found: &[Field]) -> Result<(), Trouble> {
    if found.len() >= item.fields.len() {
        return Ok(());
    }
    let same = |field: &Field, wanted: &str| {
        let last = wanted.rsplit('.').next().unwrap_or(wanted);
        [&field.label, &field.id]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(last) || name.eq_ignore_ascii_case(wanted))
    };
    let there = |wanted: &&str| found.iter().any(|field| same(field, wanted));
    let missing: Vec<&str> = item.fields.iter().map(String::as_str).filter(|wanted| !there(wanted)).collect();
    Err(super::not_found(&missing, &format!("{} in the {} 1Password vault", item.item, item.vault)))
}

/// A field's value under its reference, without `/password` at the end.
fn entry(item: &Item, field: &Field) -> (String, Secret) {
    let reference = match &field.reference {
        Some(reference) => reference.strip_prefix("op://").unwrap_or(reference).to_owned(),
        None => format!("{}/{}/{}", item.vault, item.item, field.label),
    };
    let key = reference.strip_suffix("/password").unwrap_or(&reference);
    (key.to_owned(), field.value.0.clone().unwrap_or_default())
}
