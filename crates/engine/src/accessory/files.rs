//! The files of accessories. The run reads them before it changes anything, so that a missing file is an error while
//! nothing has changed.
//!
//! A file whose name ends in `erb` is a template. It is rendered with the accessory's variables, including secrets, in its
//! environment, and the result is uploaded.

use bowline_config::secret::{Secret, SecretBytes};
use bowline_config::template::{Outputs, Template};
use bowline_config::{Accessory, AccessoryMount, Diagnostics, SourceFile, Value};
use bowline_core::commands::accessory::Upload;
use bowline_core::secrets::Secrets;

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::event::Event;
use crate::ports::Local;
use crate::template::Around;

/// What a file's contents come from.
enum Source {
    Bytes(Vec<u8>),
    Template(Box<Template>),
}

/// Reads the files and renders the templates. Without secrets, templates are only parsed, and have no contents.
pub(super) async fn read(
    call: Call<'_>,
    accessory: &Accessory,
    secrets: Option<&Secrets>,
) -> Result<Vec<Upload>> {
    let mut outputs = Outputs::new();
    let mut uploads = Vec::new();
    for file in &accessory.files {
        let content = match (source(call.world.local.as_ref(), accessory, file)?, secrets) {
            (Source::Bytes(bytes), _) => bytes,
            (Source::Template(_), None) => Vec::new(),
            (Source::Template(template), Some(secrets)) => {
                let around = Around {
                    local: call.world.local.as_ref(),
                    destination: call.config().destination.as_deref(),
                    env: &variables(accessory, secrets),
                };
                let rendered = around.render(&template, &mut outputs).await.map_err(invalid)?;
                rendered.into_text().into_bytes()
            }
        };
        if is_for_all(file) && secrets.is_some_and(|secrets| has_a_secret(&content, accessory, secrets)) {
            call.world.events.emit(Event::Note { host: None, text: readable(accessory, file) });
        }
        uploads.push(Upload {
            path: file.remote.clone(),
            mode: file.mode.clone(),
            owner: file.owner.clone(),
            content: SecretBytes::new(content),
        });
    }
    Ok(uploads)
}

fn source(local: &dyn Local, accessory: &Accessory, file: &AccessoryMount) -> Result<Source> {
    let path = &file.local;
    let refused = |reason: String, hint: &str| RunError::Usage {
        message: format!("accessories/{}/files: {reason}", accessory.name),
        hint: Some(hint.into()),
    };
    let bytes = match local.read_bytes(&expanded(local, path)) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            return Err(refused(
                format!("there is no file {path}"),
                "a relative path is relative to the current directory",
            ));
        }
        Err(reason) => {
            return Err(refused(reason, "list the files one by one: Bowline doesn't upload directories"));
        }
    };
    if !path.ends_with("erb") {
        return Ok(Source::Bytes(bytes));
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(refused(
            format!("{path} is not valid UTF-8"),
            "if the file isn't a template, give it an extension other than .erb",
        ));
    };
    let template = Template::of_text(SourceFile::new(path, text)).map_err(invalid)?;
    Ok(Source::Template(Box::new(template)))
}

fn invalid(errors: Diagnostics) -> RunError {
    RunError::Invalid(Box::new(errors))
}

/// The shortest value to search for, in bytes. Shorter ones occur everywhere.
const SHORT: usize = 4;

/// Whether the file's mode lets all users of the server read it.
fn is_for_all(file: &AccessoryMount) -> bool {
    let mode = file.mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok());
    mode.is_some_and(|mode| mode & 0o004 != 0)
}

fn has_a_secret(content: &[u8], accessory: &Accessory, secrets: &Secrets) -> bool {
    let Ok(text) = str::from_utf8(content) else { return false };
    let values = accessory.env.secret().filter_map(|(_, key)| secrets.get(key));
    let mut values = values.map(Secret::expose).filter(|value| value.len() >= SHORT);
    values.any(|value| text.contains(value))
}

fn readable(accessory: &Accessory, file: &AccessoryMount) -> String {
    format!(
        "accessories/{}/files: {} contains a secret, and with the mode {} every user on the server can read it: set \
         a `mode:` such as \"0600\", and an `owner:` if the program in the container doesn't run as root",
        accessory.name,
        file.local,
        file.mode.as_deref().unwrap_or_default(),
    )
}

/// Expands `~/` as a shell would.
fn expanded(local: &dyn Local, path: &str) -> String {
    let home = path.strip_prefix("~/").zip(local.variable("HOME"));
    home.map_or_else(|| path.to_owned(), |(rest, home)| format!("{home}/{rest}"))
}

fn variables(accessory: &Accessory, secrets: &Secrets) -> Vec<(String, Secret)> {
    let value = |value: &Value| match value {
        Value::Clear(value) => Secret::new(value),
        Value::Secret(key) => secrets.get(key).cloned().unwrap_or_default(),
    };
    accessory.env.iter().map(|variable| (variable.name.clone(), value(&variable.value))).collect()
}
