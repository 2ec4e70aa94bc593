//! `secrets …`.

use clap::{Args, Subcommand};

/// `secrets …`.
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Fetch secrets from a vault, with its vendor's own command.
    #[command(
        after_help = "It prints a JSON object of names and values, for `secrets extract`. The vendor's command logs in if it has to.

Adapters: 1password, lastpass, bitwarden, bitwarden-sm, aws_secrets_manager, gcp, doppler, enpass, passbolt.

Examples:
  bowline secrets fetch -a 1password --account my-team --from Shop/production DATABASE_URL API_KEY
  bowline secrets fetch -a aws_secrets_manager --account my-profile shop/production
In a secrets file:
  SECRETS=$(bowline secrets fetch -a doppler --from shop/prd DATABASE_URL API_KEY)
  DATABASE_URL=$(bowline secrets extract DATABASE_URL $SECRETS)"
    )]
    Fetch(FetchArgs),
    /// Print one value of what `secrets fetch` printed.
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
    /// Print all secrets of the project, in clear.
    #[command(after_help = "Examples:
  bowline secrets print
  bowline secrets print -d staging")]
    Print,
}

/// `secrets fetch`.
#[derive(Debug, Clone, Args)]
pub struct FetchArgs {
    /// The vault.
    #[arg(short, long, value_name = "NAME")]
    pub adapter: String,
    /// Whose vault it is: an account, a user name, a profile. Some adapters need none.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// The part of the vault that the names are in: a vault, a folder, a project.
    #[arg(long, value_name = "PATH")]
    pub from: Option<String>,
    /// What to fetch; some adapters take none for all.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}
