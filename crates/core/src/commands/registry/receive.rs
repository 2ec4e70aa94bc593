//! Receives an image from the deploying machine: the server pulls it from the run itself through the SSH connection or, if
//! sshd doesn't forward ports, loads it from standard input.

use bowline_config::secret::Secret;

use super::{noted, there};
use crate::commands::status::Status::{NoSuchImage, NotReceived, OtherPlatform};
use crate::commands::{PULLS, Scope, answer};
use crate::shell::{Line, Script, quote};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receive {
    pub scope: Scope,
    /// Whether the run holds the lock. If so, the script checks that the server is still its own, and notes the image.
    pub locked: bool,
    /// `REPO:VER`.
    pub image: String,
    /// The version, for the audit log.
    pub version: String,
    pub way: Way,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// The server already has it.
    There,
    Pull(Served),
    /// Standard input has it in the format of `docker load`.
    Load,
}

/// The registry that this run serves to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The port on the server's `localhost` that leads to the registry.
    pub port: u16,
    /// The credentials for HTTP: `USER:PASSWORD` in base64.
    pub auth: Secret,
    /// The architectures that the image is for, such as `amd64`.
    pub architectures: Vec<String>,
}

/// Whether a server of an architecture can run an image for these. 64-bit servers run 32-bit images too.
pub fn runs(server: &str, architectures: &[String]) -> bool {
    let older = OLDER.iter().find(|(newer, _)| *newer == server).map(|(_, older)| *older);
    architectures.iter().any(|architecture| architecture == server || Some(architecture.as_str()) == older)
}

/// 64-bit architectures, each with the 32-bit one that it also runs.
const OLDER: [(&str, &str); 2] = [("arm64", "arm"), ("amd64", "386")];

impl Served {
    /// The architectures of servers that can run the image, separated by spaces.
    fn fits(&self) -> String {
        let newer =
            OLDER.iter().filter(|(newer, _)| runs(newer, &self.architectures)).map(|(newer, _)| *newer);
        let all = self.architectures.iter().map(String::as_str).chain(newer);
        all.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(" ")
    }
}

impl Receive {
    /// The image's name in the served registry, `REPO:VER`. No app's own image has this name.
    pub fn offered(&self) -> String {
        format!("{}:{}", self.repository(), self.version)
    }

    fn repository(&self) -> String {
        let app = format!("app-{}", self.scope.names.app()).to_lowercase();
        let plain: String = app.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("bowline/{}", plain.trim_end_matches('-'))
    }

    /// Prints [`super::Pulled`].
    pub fn script(&self) -> Script {
        let mut text = if self.locked { noted(&self.scope, &self.image) } else { String::new() };
        match &self.way {
            Way::There => {
                let look = Line::new("docker").words(["image", "inspect", &self.image]);
                text.push_str(&format!("{look} >/dev/null 2>&1 || exit {NoSuchImage}\n"));
            }
            Way::Pull(served) => {
                let set = |name: &str, value: &str| format!("bowline_{name}={}\n", quote(value));
                text.push_str("IFS= read -r bowline_auth || exit\n");
                text.push_str(&set("port", &served.port.to_string()));
                text.push_str(&set("from", &format!("localhost:{}/{}", served.port, self.offered())));
                text.push_str(&set("image", &self.image));
                text.push_str(&set("stale", &format!("localhost:*/{}", self.repository())));
                text.push_str(&set("fits", &served.fits()));
                text.push_str(&format!(
                    "bowline_failed={NotReceived}\nbowline_unfit={OtherPlatform}\n: {PULLS}\n"
                ));
                text.push_str(&answer::sent(include_str!("receive.sh")));
            }
            Way::Load => {
                let load = Line::new("docker").words(["load", "--quiet"]);
                text.push_str(&format!("{load} >/dev/null || exit {NotReceived}\n"));
            }
        }
        text.push_str(&there(&self.scope, &self.image));
        if self.way != Way::There {
            text.push_str(&self.scope.audit(None, &format!("Received image with version {}", self.version)));
        }
        match &self.way {
            Way::Pull(served) => {
                Script::new(text).with_input(Secret::new(format!("{}\n", served.auth.expose())))
            }
            _ => Script::new(text),
        }
    }
}
