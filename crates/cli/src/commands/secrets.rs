//! Commands for use in secrets files, and to check their results.
//!
//! They write values to standard output unmasked, which is their purpose.

use std::io::Read;

use bowline_config::Timeouts;
use bowline_config::secret::Secret;
use bowline_engine::error::RunError;
use bowline_engine::secrets::extract;
use bowline_engine::secrets::fetch::{self, Fetcher, object};
use bowline_remote::LocalMachine;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::exit::{self, Ended};
use crate::invocation;
use crate::settings::{Settings, Verbosity, View};
use crate::signals::unless_interrupted;
use crate::ui::{json, out};

/// Fetch secrets from vaults; print the project's secrets.
#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Fetch secrets from a vault, with the vendor's command-line tool.
    #[command(
        after_help = "Prints a JSON object of names and values, for `secrets extract`. Runs the vendor's command to log in if necessary.

Adapters: 1password, lastpass, bitwarden, bitwarden-sm, aws_secrets_manager, gcp, doppler, enpass, passbolt.

Examples:
  bowline secrets fetch -a 1password --account my-team --from Shop/production DATABASE_URL API_KEY
  bowline secrets fetch -a aws_secrets_manager --account my-profile shop/production
  # in a secrets file:
  SECRETS=$(bowline secrets fetch -a doppler --from shop/prd DATABASE_URL API_KEY)
  DATABASE_URL=$(bowline secrets extract DATABASE_URL $SECRETS)"
    )]
    Fetch(FetchArgs),
    /// Print one value from the output of `secrets fetch`.
    #[command(after_help = "Examples:
  bowline secrets extract API_KEY \"$(bowline secrets fetch -a bitwarden --account me@example.com API_KEY)\"
  bowline secrets fetch -a doppler --from shop/prd API_KEY | bowline secrets extract API_KEY -")]
    Extract {
        /// The name, or its last part: API_KEY finds shop/prd/API_KEY.
        name: String,
        /// The JSON; `-` reads it from standard input.
        #[arg(value_name = "JSON")]
        object: String,
    },
    /// Print all secrets of the project in plain text.
    #[command(after_help = "Examples:
  bowline secrets print
  bowline secrets print -d staging")]
    Print,
}

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// The vault.
    #[arg(short, long, value_name = "NAME")]
    adapter: String,
    /// The account, user name or profile in the vault. Some adapters need none.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The part of the vault to search: a vault, folder or project.
    #[arg(long, value_name = "PATH")]
    from: Option<String>,
    /// The names of the secrets; without names, some adapters fetch all.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Secrets {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        match self {
            Secrets::Fetch(args) => args.run(settings).await,
            Secrets::Extract { name, object } => extract(settings, &name, object),
            Secrets::Print => print(settings).await,
        }
    }
}

impl FetchArgs {
    async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let request = fetch::FetchRequest::new(&self.adapter, self.account, self.from, self.names)
            .map_err(RunError::from)?;
        let fetcher = Fetcher::new(settings.destination.as_deref(), Timeouts::default().secrets);
        let fetched = unless_interrupted(fetcher.fetch(&LocalMachine::default(), &request)).await?;
        let text = object(fetched.map_err(RunError::from)?.as_ref());
        match settings.view {
            // JSON values are unmasked too.
            View::Json => out::stdout([json::secrets(&text)]),
            _ => out::stdout([text]),
        };
        Ok(exit::DONE)
    }
}

fn extract(settings: &Settings, name: &str, mut json: String) -> Result<u8, Ended> {
    if json == "-" {
        json = read_stdin()?;
    }
    let value = extract::extract(name, &json).map_err(RunError::from)?;
    show(settings, &value);
    Ok(exit::DONE)
}

/// Prints all secrets of the project as `NAME=value`. Reports the ones that can't be resolved at the end.
async fn print(settings: &Settings) -> Result<u8, Ended> {
    let project = invocation::load_project(settings).await?;
    let (secrets, error) = unless_interrupted(project.secrets.all(&LocalMachine::default())).await?;
    let names = project.secrets.names();
    let found = names.iter().filter_map(|name| Some((*name, secrets.get(*name)?)));
    if settings.view == View::Json {
        let found = found.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        out::stdout([json::secrets(&object(&found))]);
    } else {
        out::stdout(found.map(|(name, value)| format!("{name}={}", value.expose())));
        if names.is_empty() && settings.verbosity != Verbosity::Quiet {
            out::stderr(["no secrets file defines a secret"]);
        }
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
        // Exactly one line end, even if the value ends with one.
        _ => out::stdout([text.strip_suffix('\n').unwrap_or(text)]),
    };
}

fn read_stdin() -> Result<String, RunError> {
    let mut text = String::new();
    match std::io::stdin().read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(exit::usage("standard input is not UTF-8 text".to_owned(), None))
        }
        Err(error) => Err(exit::usage(format!("standard input can't be read: {error}"), None)),
    }
}
