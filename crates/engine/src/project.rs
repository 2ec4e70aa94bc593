//! Loading a project: its configuration, its destination's over it, its secrets.

use bowline_core::config::{
    Destination, Diagnostics, Loaded, SourceFile, destination_path, load as load_config,
};

use crate::ports::Local;
use crate::secrets;
use crate::world::Project;

/// Why a project can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that isn't there.
    #[error("there is no configuration at {path}")]
    Missing {
        /// Its path.
        path: String,
        /// What to do.
        hint: String,
    },
    /// A file that can't be read.
    #[error("{path} can't be read: {reason}")]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        reason: String,
    },
    /// Files with errors in them.
    #[error("{0}")]
    Invalid(Box<Diagnostics>),
    /// Secrets files with errors in them, or a command in one that failed.
    #[error("{0}")]
    Secrets(String),
}

impl LoadError {
    /// What to do about it, if it is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            LoadError::Missing { hint, .. } => Some(hint),
            _ => None,
        }
    }
}

/// Reads everything; gives the project and what to tell about it all the same.
pub async fn load(
    local: &dyn Local,
    config_file: &str,
    destination: Option<&str>,
) -> Result<(Project, Diagnostics), LoadError> {
    let base = read(local, config_file, "run this in the project's directory, or name the file with `-c`")?;
    let destination = match destination {
        Some(name) => {
            let path = destination_path(config_file, name);
            let hint = format!("the destination `{name}` has its settings there");
            Some(Destination { name: name.into(), file: read(local, &path, &hint)? })
        }
        None => None,
    };
    let Loaded { config, warnings } =
        load_config(base, destination).map_err(|errors| LoadError::Invalid(Box::new(errors)))?;
    let (secrets, secrets_files) = secrets::load(local, &config).await.map_err(LoadError::Secrets)?;
    Ok((Project { config, secrets, secrets_files }, warnings))
}

fn read(local: &dyn Local, path: &str, hint: &str) -> Result<SourceFile, LoadError> {
    match local.read(path) {
        Ok(Some(text)) => Ok(SourceFile::new(path, text)),
        Ok(None) => Err(LoadError::Missing { path: path.into(), hint: hint.into() }),
        Err(reason) => Err(LoadError::Unreadable { path: path.into(), reason }),
    }
}
