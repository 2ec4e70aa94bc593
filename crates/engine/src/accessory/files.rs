//! The files of accessories, read from the project before anything is begun: one that is missing is an error while
//! nothing has happened yet.
//!
//! One whose name ends in `erb` is a template. It is rendered with the accessory's own variables around it, secret ones
//! too, and what it gives is uploaded.

use bowline_core::commands::accessory::Upload;
use bowline_core::config::template::{Outputs, Template};
use bowline_core::config::{Accessory, AccessoryMount, SourceFile, Value};
use bowline_core::plan::secrets::Secrets;
use bowline_core::secret::{Secret, SecretBytes};

use crate::error::RunError;
use crate::template::Around;
use crate::world::{Project, World};

/// Reads them all.
pub(super) async fn read(
    world: &World,
    project: &Project,
    accessory: &Accessory,
    secrets: &Secrets,
) -> Result<Vec<Upload>, RunError> {
    let around = Around {
        local: world.local.as_ref(),
        destination: project.config.destination.as_deref(),
        env: &variables(accessory, secrets),
    };
    let mut outputs = Outputs::new();
    let mut uploads = Vec::new();
    for file in &accessory.files {
        let content = content(&around, &mut outputs, accessory, file).await?;
        uploads.push(Upload {
            path: file.remote.clone(),
            mode: file.mode.clone(),
            owner: file.owner.clone(),
            content: SecretBytes::new(content),
        });
    }
    Ok(uploads)
}

async fn content(
    around: &Around<'_>,
    outputs: &mut Outputs,
    accessory: &Accessory,
    file: &AccessoryMount,
) -> Result<Vec<u8>, RunError> {
    let path = &file.local;
    let refused = |reason: String, hint: &str| RunError::Usage {
        message: format!("accessories/{}/files: {reason}", accessory.name),
        hint: Some(hint.into()),
    };
    let bytes = match around.local.read_bytes(&expanded(around, path)) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            return Err(refused(
                format!("there is no file {path}"),
                "a relative path begins in the directory that the command is run in",
            ));
        }
        Err(reason) => return Err(refused(reason, "name files one by one: a directory is not uploaded")),
    };
    if !path.ends_with("erb") {
        return Ok(bytes);
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(refused(
            format!("{path} is not UTF-8"),
            "a file that is no template has another ending than erb",
        ));
    };
    let invalid = |errors| RunError::Invalid(Box::new(errors));
    let template = Template::of_text(SourceFile::new(path, text)).map_err(invalid)?;
    let rendered = around.render(&template, outputs).await.map_err(invalid)?;
    Ok(rendered.into_text().into_bytes())
}

/// The path, with `~/` read as a shell would.
fn expanded(around: &Around<'_>, path: &str) -> String {
    let home = path.strip_prefix("~/").zip(around.local.variable("HOME"));
    home.map_or_else(|| path.to_owned(), |(rest, home)| format!("{home}/{rest}"))
}

fn variables(accessory: &Accessory, secrets: &Secrets) -> Vec<(String, Secret)> {
    let value = |value: &Value| match value {
        Value::Clear(value) => Secret::new(value),
        Value::Secret(key) => secrets.get(key).cloned().unwrap_or_default(),
    };
    accessory.env.iter().map(|variable| (variable.name.clone(), value(&variable.value))).collect()
}
