//! The configuration of a project, resolved: what `config/deploy.yml` and the destination's file over it say,
//! with every default filled in and every inheritance (root to role) done.
//!
//! One file a section. Each holds the section's type and how it is read; `root` puts them together. Before it come
//! `source` (text to a tree with places; alone knows the YAML library), `template` (ERB to text) and `merge` (the
//! destination over the base), after it `show`. Everything is a function of the texts: who calls [`load()`] has
//! read the files.

pub mod accessory;
pub mod alias;
pub mod boot;
pub mod builder;
mod config;
mod decode;
mod describe;
pub mod diagnostic;
pub mod docs;
pub mod dotenv;
pub mod env;
pub mod generation;
mod given;
pub mod healthcheck;
pub mod hooks;
mod image;
pub mod init;
pub mod load;
pub mod logging;
mod mask;
mod merge;
pub mod output;
mod pairs;
pub mod proxy;
pub mod registry;
mod rendered;
pub mod role;
mod root;
pub mod schema;
pub mod secret;
pub mod secrets;
mod servers;
mod shape;
pub mod show;
mod shown;
mod source;
pub mod ssh;
mod sshkit;
mod suggest;
pub mod template;
pub mod timeouts;
pub mod traefik;
pub mod unbuilt;
mod version;

pub use accessory::{Accessory, AccessoryMount};
pub use boot::{BarrierOrder, Boot, Limit, OnFailure};
pub use builder::{Builder, Cache, Machine, Pack};
pub use config::{Config, Origin, once};
pub use diagnostic::{Diagnostic, Diagnostics, SourceFile};
pub use env::{Env, Value, Variable};
pub use generation::Generation;
pub use healthcheck::{Cord, Healthcheck};
pub use hooks::{HookLevel, HooksOutput};
pub use load::{Destination, Loaded, aliases, destination_path, destinations, load, load_for};
pub use logging::Logging;
pub use output::Output;
pub use pairs::{OptionValue, Pairs, lay_over};
pub use proxy::Proxy;
pub use registry::{Credential, Credentials, Registry};
pub use role::{AssetPath, Role, RoleHost, ServedBy};
pub use secret::is_secret_key;
pub use secrets::{MissingSecret, SecretUses};
pub use ssh::{Jump, KeyData, Ssh, SshConfig};
pub use timeouts::Timeouts;
pub use traefik::Traefik;

/// The Docker network that app containers, accessories and the proxy share.
pub const NETWORK: &str = "kamal";

#[cfg(test)]
mod tests;
