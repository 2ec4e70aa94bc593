//! The vaults from which Bowline fetches secrets. Each has a module for its vendor's command: how to log in, what to
//! request, how to parse the output. Commands, arguments and keys are those of Kamal, so a secrets file works with both. A
//! vault gets one request at a time, because its command may ask for a fingerprint first.

mod aws;
mod bitwarden;
mod bitwarden_secrets_manager;
mod doppler;
mod enpass;
mod gcp;
mod last_pass;
mod one_password;
mod passbolt;
mod test;

#[cfg(test)]
mod tests;

use bowline_config::secret::Secret;

use super::fetch::{FetchRequest, Fetched};
use super::tool::{Tool, Vendor};
use super::trouble::Trouble;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adapter {
    OnePassword,
    LastPass,
    /// Bitwarden's password manager.
    Bitwarden,
    BitwardenSecretsManager,
    /// AWS Secrets Manager.
    Aws,
    /// Google Cloud's Secret Manager.
    Gcp,
    Doppler,
    Enpass,
    Passbolt,
    /// Returns each name reversed, for trying out a secrets file without a vault.
    Test,
}

#[derive(Debug, Clone, Default)]
pub(super) struct SignedIn {
    /// Variables for the following commands.
    pub(super) env: Vec<(String, Secret)>,
    /// A token for the arguments of the following commands.
    pub(super) token: Option<Secret>,
}

/// The names of adapters. The first one of each is used in messages.
const NAMES: [(Adapter, &[&str]); 10] = [
    (Adapter::OnePassword, &["1password", "one_password"]),
    (Adapter::LastPass, &["lastpass", "last_pass"]),
    (Adapter::Bitwarden, &["bitwarden"]),
    (Adapter::BitwardenSecretsManager, &["bitwarden-sm", "bitwarden_secrets_manager"]),
    (Adapter::Aws, &["aws_secrets_manager"]),
    (Adapter::Gcp, &["gcp", "gcp_secret_manager"]),
    (Adapter::Doppler, &["doppler"]),
    (Adapter::Enpass, &["enpass"]),
    (Adapter::Passbolt, &["passbolt"]),
    (Adapter::Test, &["test"]),
];

impl Adapter {
    /// Finds an adapter by name. Case doesn't matter, nor the difference between `-` and `_`.
    pub(super) fn named(name: &str) -> Result<Self, Trouble> {
        let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
        let found = NAMES.iter().find(|(_, names)| names.iter().any(|known| plain(known) == plain(name)));
        found.map(|(adapter, _)| *adapter).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().filter_map(|(_, names)| names.first().copied()).collect();
            let names = names.get(..names.len() - 1).unwrap_or_default().join(", ");
            Trouble::usage(format!("there is no adapter `{name}`")).hint(format!("available: {names}"))
        })
    }

    pub(super) fn needs_account(self) -> bool {
        matches!(self, Self::OnePassword | Self::LastPass | Self::Bitwarden | Self::Gcp | Self::Test)
    }

    pub(super) fn vendor(self) -> &'static Vendor {
        match self {
            Self::OnePassword => &one_password::VENDOR,
            Self::LastPass => &last_pass::VENDOR,
            Self::Bitwarden => &bitwarden::VENDOR,
            Self::BitwardenSecretsManager => &bitwarden_secrets_manager::VENDOR,
            Self::Aws => &aws::VENDOR,
            Self::Gcp => &gcp::VENDOR,
            Self::Doppler => &doppler::VENDOR,
            Self::Enpass => &enpass::VENDOR,
            Self::Passbolt => &passbolt::VENDOR,
            Self::Test => &test::VENDOR,
        }
    }

    /// Checks that don't need the vendor's command.
    pub(super) fn check(self, request: &FetchRequest) -> Result<(), Trouble> {
        match self {
            Self::OnePassword => one_password::items(request).map(drop),
            Self::Gcp => gcp::versions(request).map(drop),
            Self::Enpass => enpass::check(request),
            Self::Test => Ok(()),
            _ if request.names.is_empty() => {
                let title = self.vendor().title;
                Err(Trouble::usage(format!("no names to fetch from {title}"))
                    .hint("name it after the flags: `secrets fetch --adapter … NAME …`"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that need this machine's environment, before a login.
    pub(super) fn check_here(self, tool: &Tool<'_>, request: &FetchRequest) -> Result<(), Trouble> {
        if self == Self::Doppler { doppler::configs(tool, request).map(drop) } else { Ok(()) }
    }

    /// Makes sure that the vendor's command exists and is logged in.
    pub(super) async fn log_in(self, tool: &Tool<'_>, account: Option<&str>) -> Result<SignedIn, Trouble> {
        if self == Self::Test {
            return Ok(SignedIn::default());
        }
        tool.check().await?;
        let account = account.unwrap_or_default();
        match self {
            Self::OnePassword => one_password::log_in(tool, account).await,
            Self::LastPass => last_pass::log_in(tool, account).await,
            Self::Bitwarden => bitwarden::log_in(tool, account).await,
            Self::BitwardenSecretsManager => bitwarden_secrets_manager::log_in(tool).await,
            Self::Gcp => gcp::log_in(tool).await,
            Self::Doppler => doppler::log_in(tool).await,
            Self::Passbolt => passbolt::log_in(tool).await,
            Self::Aws | Self::Enpass | Self::Test => Ok(SignedIn::default()),
        }
    }

    pub(super) async fn fetch(
        self,
        tool: &Tool<'_>,
        session: &SignedIn,
        request: &FetchRequest,
    ) -> Result<Fetched, Trouble> {
        match self {
            Self::OnePassword => one_password::fetch(tool, session, request).await,
            Self::LastPass => last_pass::fetch(tool, request).await,
            Self::Bitwarden => bitwarden::fetch(tool, request).await,
            Self::BitwardenSecretsManager => bitwarden_secrets_manager::fetch(tool, request).await,
            Self::Aws => aws::fetch(tool, request).await,
            Self::Gcp => gcp::fetch(tool, request).await,
            Self::Doppler => doppler::fetch(tool, request).await,
            Self::Enpass => enpass::fetch(tool, request).await,
            Self::Passbolt => passbolt::fetch(tool, request).await,
            Self::Test => Ok(test::fetch(request)),
        }
    }
}

/// Reports an error if the vault did not return all names.
fn complete<'n>(
    names: impl IntoIterator<Item = &'n str>,
    there: impl Fn(&str) -> bool,
    place: &str,
) -> Result<(), Trouble> {
    let missing: Vec<&str> = names.into_iter().filter(|name| !there(name)).collect();
    if missing.is_empty() { Ok(()) } else { Err(not_found(&missing, place)) }
}

/// The error for names that a vault doesn't have.
fn not_found(names: &[&str], place: &str) -> Trouble {
    Trouble::failed(format!("{} not found in {place}", names.join(", ")))
        .hint("check the name, the account and `--from` for typos")
}
