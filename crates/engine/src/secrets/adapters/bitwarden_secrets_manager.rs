//! Bitwarden Secrets Manager, through `bws`. A secret is an id, `all`, or `PROJECT/all`. The access token in
//! `BWS_ACCESS_TOKEN` replaces a login.

use serde::Deserialize;

use super::SignedIn;
use crate::secrets::fetch::{FetchRequest, Fetched};
use crate::secrets::json::Text;
use crate::secrets::tool::{Tool, Vendor};
use crate::secrets::trouble::Trouble;

pub(super) const VENDOR: Vendor = Vendor {
    title: "Bitwarden Secrets Manager",
    program: "bws",
    version: "--version",
    home: "https://bitwarden.com/help/secrets-manager-cli",
};

#[derive(Deserialize)]
struct Entry {
    key: String,
    #[serde(default)]
    value: Text,
}

pub(super) async fn log_in(tool: &Tool<'_>) -> Result<SignedIn, Trouble> {
    let output = tool.output(&["project", "list"]).await?;
    if output.success() {
        return Ok(SignedIn::default());
    }
    Err(tool
        .failed("could not log in to Bitwarden Secrets Manager", &output)
        .hint("is BWS_ACCESS_TOKEN set to a valid access token?"))
}

pub(super) async fn fetch(tool: &Tool<'_>, request: &FetchRequest) -> Result<Fetched, Trouble> {
    let mut fetched = Fetched::new();
    for name in request.prefixed() {
        let entries = one(tool, &name).await?;
        fetched.extend(entries.into_iter().map(|entry| (entry.key, entry.value.0.unwrap_or_default())));
    }
    Ok(fetched)
}

async fn one(tool: &Tool<'_>, name: &str) -> Result<Vec<Entry>, Trouble> {
    let read = |what: &str| format!("could not read {what} from Bitwarden Secrets Manager");
    if name == "all" {
        return tool.json(&["secret", "list"], &read("the secrets")).await;
    }
    if let Some(project) = name.strip_suffix("/all") {
        let what = read(&format!("the secrets of project {project}"));
        return tool.json(&["secret", "list", project], &what).await;
    }
    // An id is unique across projects, so any prefix is ignored.
    let id = name.rsplit('/').next().unwrap_or(name);
    Ok(vec![tool.json(&["secret", "get", id], &read(id)).await?])
}
