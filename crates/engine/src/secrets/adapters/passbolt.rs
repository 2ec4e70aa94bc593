//! Passbolt, through `passbolt`. A secret is a resource's name, prefixed with its folders: `FOLDER/FOLDER/NAME`.
//!
//! Filters have their own expression language, so names are quoted as its strings.

use bowline_config::unique;
use serde::Deserialize;

use super::SignedIn;
use crate::secrets::fetch::{FetchRequest, Fetched};
use crate::secrets::json::Text;
use crate::secrets::tool::{Tool, Vendor};
use crate::secrets::trouble::Trouble;

pub(super) const VENDOR: Vendor = Vendor {
    title: "Passbolt",
    program: "passbolt",
    version: "--version",
    home: "https://github.com/passbolt/go-passbolt-cli",
};

#[derive(Debug)]
struct Folder {
    path: String,
    id: String,
}

#[derive(Deserialize)]
struct FoundFolder {
    id: String,
    #[serde(default)]
    folder_parent_id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resource {
    name: String,
    #[serde(default)]
    password: Text,
}

pub(super) async fn log_in(tool: &Tool<'_>) -> Result<SignedIn, Trouble> {
    tool.log_in(&["verify"]).await?;
    Ok(SignedIn::default())
}

pub(super) async fn fetch(tool: &Tool<'_>, request: &FetchRequest) -> Result<Fetched, Trouble> {
    let paths = request.prefixed();
    let wanted: Vec<(Option<&str>, &str)> = paths.iter().map(|path| split(path)).collect();
    unambiguous(&wanted)?;
    let folders = folders(tool, &wanted).await?;
    let term = |(folder, name): &(Option<&str>, &str)| match id_of(&folders, *folder) {
        Some(id) => format!("(Name == {} && FolderParentID == {})", quoted(name), quoted(id)),
        None => format!("Name == {}", quoted(name)),
    };
    let filter = wanted.iter().map(term).collect::<Vec<_>>().join(" || ");
    let mut words = vec!["list", "resources", "--filter", &filter];
    for folder in &folders {
        words.extend(["--folder", &folder.id]);
    }
    words.extend(["--column", "name", "--column", "password", "--json"]);
    let what = format!("could not read {} from Passbolt", paths.join(", "));
    let resources: Vec<Resource> = tool.json(&words, &what).await?;
    let there = |name: &str| resources.iter().any(|resource| resource.name == name);
    super::complete(wanted.iter().map(|(_, name)| *name), there, "Passbolt")?;
    Ok(resources
        .into_iter()
        .map(|resource| (resource.name, resource.password.0.unwrap_or_default()))
        .collect())
}

/// Splits a path into the folders and the name.
fn split(path: &str) -> (Option<&str>, &str) {
    match path.rsplit_once('/') {
        Some((folders, name)) => (Some(folders), name),
        None => (None, path),
    }
}

/// Rejects the same name in two folders, because Passbolt's answer contains only names.
fn unambiguous(wanted: &[(Option<&str>, &str)]) -> Result<(), Trouble> {
    for (number, (folder, name)) in wanted.iter().enumerate() {
        let others = wanted.get(number + 1..).unwrap_or_default();
        if others.iter().any(|(other, same)| same == name && other != folder) {
            return Err(Trouble::usage(format!("`{name}` was requested from two Passbolt folders"))
                .hint("fetch them one by one: Passbolt's answer contains only names"));
        }
    }
    Ok(())
}

fn id_of<'f>(folders: &'f [Folder], path: Option<&str>) -> Option<&'f str> {
    let found = folders.iter().find(|folder| Some(folder.path.as_str()) == path);
    found.map(|folder| folder.id.as_str())
}

/// Looks up the folders: all top-level ones in one request, then the others one by one.
async fn folders(tool: &Tool<'_>, wanted: &[(Option<&str>, &str)]) -> Result<Vec<Folder>, Trouble> {
    let paths = wanted.iter().filter_map(|(folder, _)| *folder);
    let tops = unique(paths.map(|path| path.split('/').next().unwrap_or(path)));
    let mut folders = Vec::new();
    if tops.is_empty() {
        return Ok(folders);
    }
    let filter = tops.iter().map(|top| format!("Name == {}", quoted(top))).collect::<Vec<_>>().join(" || ");
    let found = look_up(tool, &filter).await?;
    for top in tops {
        folders.push(Folder { path: top.into(), id: choose(&found, top, "")? });
    }
    for path in wanted.iter().filter_map(|(folder, _)| *folder) {
        for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            let below = path.get(..end).unwrap_or(path);
            below_top(tool, below, &mut folders).await?;
        }
    }
    Ok(folders)
}

/// Looks up a folder whose parent is known, unless it is known itself.
async fn below_top(tool: &Tool<'_>, path: &str, folders: &mut Vec<Folder>) -> Result<(), Trouble> {
    let (Some(parent), name) = split(path) else { return Ok(()) };
    let Some(parent) = id_of(folders, Some(parent)).map(str::to_owned) else { return Ok(()) };
    if id_of(folders, Some(path)).is_some() {
        return Ok(());
    }
    let filter = format!("Name == {} && FolderParentID == {}", quoted(name), quoted(&parent));
    let found = look_up(tool, &filter).await?;
    folders.push(Folder { path: path.into(), id: choose(&found, name, &parent)? });
    Ok(())
}

async fn look_up(tool: &Tool<'_>, filter: &str) -> Result<Vec<FoundFolder>, Trouble> {
    tool.json(&["list", "folders", "--filter", filter, "--json"], "could not read the folders of Passbolt")
        .await
}

/// The id of the folder with this name, preferably of one with this parent.
fn choose(found: &[FoundFolder], name: &str, parent: &str) -> Result<String, Trouble> {
    let mut named = found.iter().filter(|folder| folder.name == name).collect::<Vec<_>>();
    named.sort_by_key(|folder| folder.folder_parent_id != parent);
    let first = named.first().ok_or_else(|| super::not_found(&[&format!("folder {name}")], "Passbolt"))?;
    Ok(first.id.clone())
}

/// A string literal of the filter language.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
    out + "\""
}
