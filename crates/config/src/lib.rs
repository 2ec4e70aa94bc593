//! The resolved configuration of a project: `config/deploy.yml` merged with the destination's file, with every default
//! filled in and the root's settings inherited by roles.
//!
//! `text` comes first: it turns texts into a tree with source positions. `shape` checks that tree against the tables of keys,
//! `decode` reads it, and `root` combines `sections` into a [`Config`]. `show`, `docs` and `schema` build on the result. All of
//! these are pure functions of the texts: the caller of [`load()`] has read the files.

#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

mod config;
mod decode;
mod describe;
pub mod docs;
pub mod generation;
pub mod init;
pub mod load;
mod pairs;
mod root;
pub mod schema;
pub mod secret;
pub mod secrets;
mod sections;
mod shape;
pub mod show;
mod shown;
mod suggest;
mod text;

pub use sections::{
    accessory, alias, boot, builder, env, healthcheck, hooks, logging, output, proxy, registry, role, ssh,
    timeouts, traefik,
};
use sections::{image, publish, servers, sshkit, version};
pub use text::{diagnostic, dotenv, template};
use text::{given, mask, merge, rendered, source};

pub use accessory::{Accessory, AccessoryMount};
pub use boot::{BarrierOrder, Boot, Limit, OnFailure};
pub use builder::{Builder, Cache, Machine, Pack};
pub use config::{Config, Origin};
pub use diagnostic::{Diagnostic, Diagnostics, SourceFile};
pub use env::{Env, Value, Variable};
pub use generation::Generation;
pub use healthcheck::{Cord, Healthcheck};
pub use hooks::{HookLevel, HooksOutput};
pub use load::{Destination, Loaded, aliases, destination_path, destinations, load, load_for};
pub use logging::Logging;
pub use output::OutputPlaces;
pub use pairs::{OptionValue, Pairs, merge_pairs, unique};
pub use proxy::{BowlineProxy, Proxy, Run, Tls, display_route};
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
