//! `secrets fetch`, `secrets extract`, `secrets print`: what secrets files are made with, and what they amount to.
//!
//! Values go to standard output as they are; that is what these commands are for.

use std::io::Read;

use bowline_core::config::Timeouts;
use bowline_core::secret::Secret;
use bowline_engine::error::RunError;
use bowline_engine::secrets::extract;
use bowline_engine::secrets::fetch::{Fetcher, Request, object};
use serde_json::json;

use crate::args::{FetchArgs, Secrets};
use crate::exit::{self, Ended};
use crate::settings::{Settings, View};
use crate::signals::unless_interrupted;
use crate::ui::out;
use crate::{load, session};

/// Runs one of them.
pub(super) async fn run(settings: &Settings, what: Secrets) -> Result<u8, Ended> {
    match what {
        Secrets::Fetch(args) => fetch(settings, args).await,
        Secrets::Extract { name, object } => extract(settings, &name, object),
        Secrets::Print => print(settings).await,
    }
}

/// Fetches from a vault, and prints a JSON object.
async fn fetch(settings: &Settings, args: FetchArgs) -> Result<u8, Ended> {
    let FetchArgs { adapter, account, from, names } = args;
    let request = Request::new(&adapter, account, from, names).map_err(RunError::from)?;
    let (local, fetcher) =
        (load::local(), Fetcher::new(settings.destination.as_deref(), Timeouts::default().secrets));
    let fetched = unless_interrupted(fetcher.fetch(local.as_ref(), &request)).await?;
    let fetched = fetched.map_err(RunError::from)?;
    let text = object(&fetched);
    match settings.view {
        // Values are a program's business here as anywhere.
        View::Json => out::stdout([format!("{{\"event\":\"result\",\"secrets\":{text}}}")]),
        _ => out::stdout([text]),
    };
    Ok(exit::DONE)
}

/// Prints a value.
fn extract(settings: &Settings, name: &str, mut json: String) -> Result<u8, Ended> {
    if json == "-" {
        json = read_stdin()?;
    }
    let value = extract::extract(name, &json).map_err(RunError::from)?;
    show(settings, &value);
    Ok(exit::DONE)
}

/// Prints all secrets of the project as `NAME=value`; what can't be had is told at the end.
async fn print(settings: &Settings) -> Result<u8, Ended> {
    let (project, local) = session::load_project(settings).await?;
    let (secrets, error) = unless_interrupted(project.secrets.all(local.as_ref())).await?;
    let names = project.secrets.names();
    let found = names.iter().filter_map(|name| Some((*name, secrets.get(*name)?)));
    if settings.view == View::Json {
        let found = found.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        out::stdout([format!("{{\"event\":\"result\",\"secrets\":{}}}", object(&found))]);
    } else {
        out::stdout(found.map(|(name, value)| format!("{name}={}", value.expose())));
    }
    match error {
        Some(error) => Err(RunError::from(error).into()),
        None => Ok(exit::DONE),
    }
}

fn show(settings: &Settings, value: &Secret) {
    let text = value.expose();
    match settings.view {
        View::Json => out::stdout([json!({ "event": "result", "text": text }).to_string()]),
        // One line end, whether the value has it or not.
        _ => out::stdout([text.strip_suffix('\n').unwrap_or(text)]),
    };
}

fn read_stdin() -> Result<String, RunError> {
    let mut text = String::new();
    match std::io::stdin().read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => {
            Err(RunError::Usage { message: format!("standard input can't be read: {error}"), hint: None })
        }
    }
}
