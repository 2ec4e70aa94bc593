//! The directories and project files that an accessory mounts.

use crate::commands::answer::sent;
use crate::shell::{Line, function, quote_path};
use bowline_config::AccessoryMount;
use bowline_config::secret::SecretBytes;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// A path on the server, relative to the accessory's own directory unless absolute.
    pub path: String,
    pub mode: Option<String>,
    pub owner: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The absolute path in the container. On the server, the file has the same path below the accessory's directory.
    pub path: String,
    pub mode: Option<String>,
    pub owner: Option<String>,
    pub content: SecretBytes,
}

impl Directory {
    pub fn new(mount: &AccessoryMount) -> Self {
        Self { path: mount.local.clone(), mode: mount.mode.clone(), owner: mount.owner.clone() }
    }

    /// The argument of `--volume`. The server's shell expands `$PWD`.
    pub fn volume(service: &str, mount: &AccessoryMount) -> String {
        with_options(format!("{}:{}", host_path(service, &mount.local), mount.remote), mount)
    }

    pub(super) fn make(&self, service: &str) -> String {
        let path = host_path(service, &self.path);
        let line = Line::new("mkdir").word("-p").path(&path);
        format!("{line} || exit\n{}", rights(self.owner.as_deref(), self.mode.as_deref(), &quote_path(&path)))
    }
}

impl Upload {
    pub fn volume(service: &str, mount: &AccessoryMount) -> String {
        with_options(format!("$PWD/{service}{}:{}", mount.remote, mount.remote), mount)
    }

    /// Shell lines that write standard input to the file.
    pub(super) fn receive(&self, service: &str) -> String {
        let path = format!("$PWD/{service}{}", self.path);
        let directory = path.rsplit_once('/').map_or("$PWD", |(directory, _)| directory);
        let rights = rights(self.owner.as_deref(), self.mode.as_deref(), "\"$bowline_at\"");
        format!(
            "bowline_file={file} bowline_new={new} bowline_directory={directory} bowline_length={length}\n{rights}{receive}",
            file = quote_path(&path),
            new = quote_path(&format!("{path}.new")),
            directory = quote_path(directory),
            length = self.content.expose().len(),
            rights = function("set_rights", &rights),
            receive = sent(include_str!("files.sh")),
        )
    }
}

fn host_path(service: &str, local: &str) -> String {
    if local.starts_with('/') { local.into() } else { format!("$PWD/{service}/{local}") }
}

fn with_options(volume: String, mount: &AccessoryMount) -> String {
    match &mount.options {
        Some(options) => format!("{volume}:{options}"),
        None => volume,
    }
}

/// Shell lines that set the owner and mode of an already quoted path. The owner comes first, because `chown` clears the
/// set-id bits.
fn rights(owner: Option<&str>, mode: Option<&str>, path: &str) -> String {
    let set = |program: &str, to: Option<&str>| {
        let line = to.map(|to| Line::new(program).words(["--", to]));
        line.map(|line| format!("{line} {path} || exit\n")).unwrap_or_default()
    };
    set("chown", owner) + &set("chmod", mode)
}
