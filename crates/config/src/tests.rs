//! Tests of the whole loader: which configurations it accepts, and its error messages.

mod accepted;
mod accessories;
mod aliases;
mod errors;
mod field;
mod keys;
mod meaning;
mod modules;
mod pages;
mod projects;
mod robust;
mod schema;
mod show;
mod tags;
mod texts;

use super::load::{Destination, Loaded, load};
use super::{Config, Diagnostics, SourceFile};

/// The smallest valid configuration.
const MINIMAL: &str = "\
service: app
image: me/app
servers: [1.1.1.1]
registry: {username: me, password: [REGISTRY_PASSWORD]}
";

fn read(text: &str) -> Result<Loaded, Diagnostics> {
    load(SourceFile::new("config/deploy.yml", text), None)
}

fn read_for(destination: &str, base: &str, over: &str) -> Result<Loaded, Diagnostics> {
    let path = super::destination_path("config/deploy.yml", destination);
    let file = SourceFile::new(path, over);
    load(SourceFile::new("config/deploy.yml", base), Some(Destination { name: destination.into(), file }))
}

/// [`MINIMAL`] with `more` appended.
fn config(more: &str) -> Config {
    match read(&format!("{MINIMAL}{more}")) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{more}\n{errors}"),
    }
}

/// Like [`config`], but `more` contains the servers.
fn servers(more: &str) -> Config {
    match read(&format!("{}{more}", MINIMAL.replace("servers: [1.1.1.1]\n", ""))) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{more}\n{errors}"),
    }
}

/// The rendered diagnostics for [`MINIMAL`] with `more` appended.
fn errors(more: &str) -> String {
    rendered(read(&format!("{MINIMAL}{more}")))
}

/// Like [`errors`], but `more` contains the servers.
fn errors_of_servers(more: &str) -> String {
    rendered(read(&format!("{}{more}", MINIMAL.replace("servers: [1.1.1.1]\n", ""))))
}

fn rendered(result: Result<Loaded, Diagnostics>) -> String {
    match result {
        Ok(loaded) => format!("accepted; {} warnings\n{}", loaded.warnings.len(), loaded.warnings),
        Err(errors) => errors.render(false),
    }
}
