//! Loads a project: its rendered configuration, merged with its destination's, and its secrets.

use std::sync::Arc;

use bowline_config::{
    Config, Destination, Diagnostics, Loaded, Pairs, SecretUses, SourceFile, aliases as read_aliases,
    destination_path, destinations, load_for,
};

use crate::ports::Local;
use crate::secrets::Store;
use crate::template::Templates;

#[derive(Debug, Clone)]
pub struct Project {
    pub config: Config,
    /// The secrets files, with the values resolved so far.
    pub secrets: Arc<Store>,
    pub secret_uses: SecretUses,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("there is no configuration at {path}")]
    Missing { path: String, hint: String },
    /// A file can't be read. `reason` contains the path.
    #[error("{reason}")]
    Unreadable { path: String, reason: String },
    #[error("{0}")]
    Invalid(Box<Diagnostics>),
}

impl From<Diagnostics> for LoadError {
    fn from(errors: Diagnostics) -> Self {
        LoadError::Invalid(Box::new(errors))
    }
}

impl LoadError {
    pub fn hint(&self) -> Option<&str> {
        match self {
            LoadError::Missing { hint, .. } => Some(hint),
            _ => None,
        }
    }
}

/// Loads the project and returns it with its warnings. No alias may have a name in `commands`.
pub async fn load(
    local: &dyn Local,
    templates: &Templates,
    config_file: &str,
    destination: Option<&str>,
    commands: &[String],
) -> Result<(Project, Diagnostics), LoadError> {
    match read_for(local, templates, config_file, destination, commands).await {
        Err(LoadError::Invalid(errors)) if destination.is_none() => {
            Err(LoadError::Invalid(Box::new(with_destinations(*errors, local, config_file))))
        }
        read => read,
    }
}

/// Adds the names of the project's destinations, because the errors may come from a missing `-d`.
fn with_destinations(errors: Diagnostics, local: &dyn Local, config_file: &str) -> Diagnostics {
    let found = known(local, config_file);
    let Some((first, _)) = found.first() else { return errors };
    let paths: Vec<&str> = found.iter().map(|(_, path)| path.as_str()).collect();
    let exist = if paths.len() == 1 { "exists" } else { "exist" };
    errors.remedy(format!(
        "{} {exist}: if you mean one of these, select it, as in `-d {first}`",
        paths.join(", ")
    ))
}

/// The destinations that have a file, each with its path.
fn known(local: &dyn Local, config_file: &str) -> Vec<(String, String)> {
    let directory = config_file.rfind('/').map_or("", |separator| &config_file[..=separator]);
    destinations(config_file, &local.list(directory))
}

async fn read_for(
    local: &dyn Local,
    templates: &Templates,
    config_file: &str,
    destination: Option<&str>,
    commands: &[String],
) -> Result<(Project, Diagnostics), LoadError> {
    let (base, over) = files(local, templates, config_file, destination).await?;
    let Loaded { config, warnings, secrets: secret_uses } = load_for(base, over, commands)?;
    let secrets = Arc::new(Store::load(local, &config));
    Ok((Project { config, secrets, secret_uses }, warnings))
}

/// Reads the aliases of a project, without checking the rest.
pub async fn aliases(
    local: &dyn Local,
    templates: &Templates,
    config_file: &str,
    destination: Option<&str>,
) -> Result<Pairs, LoadError> {
    let (base, over) = files(local, templates, config_file, destination).await?;
    Ok(read_aliases(base, over)?)
}

async fn files(
    local: &dyn Local,
    templates: &Templates,
    config_file: &str,
    destination: Option<&str>,
) -> Result<(SourceFile, Option<Destination>), LoadError> {
    let base = read(local, config_file, "run this in the project's directory, or name the file with `-c`")?;
    let Some(name) = destination else {
        return Ok((templates.render(local, base, None).await?, None));
    };
    let path = destination_path(config_file, name);
    let names: Vec<String> = known(local, config_file).into_iter().map(|(name, _)| name).collect();
    let others = match names.as_slice() {
        [] => String::new(),
        [only] => format!("; the only destination here is {only}"),
        names => format!("; the destinations here are {}", names.join(", ")),
    };
    let over = read(local, &path, &format!("check the name after `-d`, or create the file{others}"))?;
    let base = templates.render(local, base, destination).await?;
    let file = templates.render(local, over, destination).await?;
    Ok((base, Some(Destination { name: name.into(), file })))
}

fn read(local: &dyn Local, path: &str, hint: &str) -> Result<SourceFile, LoadError> {
    match local.read(path) {
        Ok(Some(text)) => Ok(SourceFile::new(path, text)),
        Ok(None) => Err(LoadError::Missing { path: path.into(), hint: hint.into() }),
        Err(reason) => Err(LoadError::Unreadable { path: path.into(), reason }),
    }
}
