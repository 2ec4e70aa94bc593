//! Secrets: `.kamal/secrets-common` and `.kamal/secrets`, or `.kamal/secrets.DESTINATION`; later files win.

pub mod dotenv;

use bowline_core::config::Config;
use bowline_core::plan::deploy::Secrets;

use crate::ports::Local;

/// The files of a project that exist, and what they hold together.
///
/// With a destination the plain file is not read. Each file is read by itself: a reference to a name of another
/// file is looked up in the environment.
pub async fn load(local: &dyn Local, config: &Config) -> Result<(Secrets, Vec<String>), String> {
    let path = &config.secrets_path;
    let own = match &config.destination {
        Some(destination) => format!("{path}.{destination}"),
        None => path.clone(),
    };
    let mut secrets = Secrets::new();
    let mut files = Vec::new();
    for file in [format!("{path}-common"), own] {
        if let Some(text) = local.read(&file)? {
            secrets.extend(dotenv::evaluate(local, &text).await.map_err(|error| format!("{file}: {error}"))?);
            files.push(file);
        }
    }
    Ok((secrets, files))
}
