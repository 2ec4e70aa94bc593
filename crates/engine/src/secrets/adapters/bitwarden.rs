//! Bitwarden's password manager, through `bw`. A secret is `ITEM` (the password of a login, or all fields of any other
//! item) or `ITEM/FIELD`.

use bowline_config::secret::Secret;
use serde::Deserialize;

use super::SignedIn;
use crate::secrets::fetch::{FetchRequest, Fetched};
use crate::secrets::json::Text;
use crate::secrets::tool::{Tool, Vendor};
use crate::secrets::trouble::Trouble;

pub(super) const VENDOR: Vendor = Vendor {
    title: "Bitwarden",
    program: "bw",
    version: "--version",
    home: "https://bitwarden.com/help/cli",
};

#[derive(Deserialize)]
struct Status {
    status: String,
}

#[derive(Deserialize)]
struct Item {
    login: Option<Login>,
    fields: Option<Vec<Field>>,
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    password: Text,
}

#[derive(Deserialize)]
struct Field {
    name: Option<String>,
    #[serde(default)]
    value: Text,
}

pub(super) async fn log_in(tool: &Tool<'_>, account: &str) -> Result<SignedIn, Trouble> {
    let failed = || Trouble::failed("could not log in to and unlock Bitwarden");
    let mut state = status(tool).await?;
    if state == "unauthenticated" {
        tool.ask(&["login", account]).await?;
        state = status(tool).await?;
    }
    let mut session = SignedIn::default();
    if state == "locked" {
        let unlocked = tool.ask(&["unlock", "--raw"]).await?;
        let token = Secret::new(unlocked.stdout.trim());
        session.env.push(("BW_SESSION".into(), token));
        state = status(&tool.within(&session)).await?;
    }
    if state != "unlocked" {
        return Err(
            failed().hint(format!("`bw status` says `{state}`; try `bw login` and `bw unlock` by hand"))
        );
    }
    let tool = tool.within(&session);
    let output = tool.output(&["sync"]).await?;
    if output.success() { Ok(session) } else { Err(tool.failed("could not sync Bitwarden", &output)) }
}

async fn status(tool: &Tool<'_>) -> Result<String, Trouble> {
    let what = "could not ask Bitwarden for its status";
    let output = tool.output(&["status"]).await?;
    if !output.success() {
        return Err(tool.failed(what, &output));
    }
    Ok(tool.parse::<Status>(&output.stdout, what)?.status)
}

pub(super) async fn fetch(tool: &Tool<'_>, request: &FetchRequest) -> Result<Fetched, Trouble> {
    let mut fetched = Fetched::new();
    for (name, fields) in by_item(&request.prefixed()) {
        let what = format!("could not read {name} from Bitwarden");
        let item: Item = tool.json(&["get", "item", &name], &what).await?;
        for field in fields {
            match field {
                Some(field) => fetched.push(of_field(&name, &item, &field)?),
                None => fetched.extend(of_item(&name, &item)?),
            }
        }
    }
    Ok(fetched)
}

/// The items in order, each with the requested fields. `None` requests the item itself.
fn by_item(names: &[String]) -> Vec<(String, Vec<Option<String>>)> {
    let mut items: Vec<(String, Vec<Option<String>>)> = Vec::new();
    for name in names {
        let (item, field) = match name.split_once('/') {
            Some((item, field)) => (item, Some(field.to_owned())),
            None => (name.as_str(), None),
        };
        match items.iter_mut().find(|(known, _)| known == item) {
            Some((_, fields)) => fields.push(field),
            None => items.push((item.to_owned(), vec![field])),
        }
    }
    items
}

fn of_item(name: &str, item: &Item) -> Result<Fetched, Trouble> {
    if let Some(Login { password: Text(Some(password)) }) = &item.login {
        return Ok(vec![(name.to_owned(), password.clone())]);
    }
    let fields = item.fields.as_deref().unwrap_or_default();
    if fields.is_empty() {
        return Err(Trouble::failed(format!("item {name} in Bitwarden isn't a login and has no fields"))
            .hint("name a field: ITEM/FIELD"));
    }
    let entry = |field: &Field| {
        let label = field.name.as_deref().unwrap_or_default();
        (format!("{name}/{label}"), field.value.0.clone().unwrap_or_default())
    };
    Ok(fields.iter().map(entry).collect())
}

fn of_field(name: &str, item: &Item, wanted: &str) -> Result<(String, Secret), Trouble> {
    let fields = item.fields.as_deref().unwrap_or_default();
    match fields.iter().find(|field| field.name.as_deref() == Some(wanted)) {
        Some(field) => Ok((format!("{name}/{wanted}"), field.value.0.clone().unwrap_or_default())),
        None => Err(super::not_found(&[&format!("field {wanted}")], &format!("item {name} in Bitwarden"))),
    }
}
