//! What an app has the proxy read: certificates of its roles, and pages that it shows in place of errors of its own.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bowline_config::secret::Secret;
use bowline_config::{Config, Tls};

use super::container::FILES;
use crate::commands::Scope;
use crate::names::Names;
use crate::plan::deploy::PlanError;
use crate::plan::secrets::Secrets;
use crate::shell::{Script, quote};

/// The number of the user that the proxy runs as, in Kamal's image and in ours.
const USER: u32 = 1001;

/// Pages by name (`503.html`).
pub type Pages = BTreeMap<String, Vec<u8>>;

/// The files of an app on a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    /// The run.
    pub scope: Scope,
    /// Certificates and their keys, by role.
    pub certificates: Vec<(String, [Secret; 2])>,
    /// The pages, if there are some.
    pub pages: Pages,
    /// The version that they are for.
    pub version: String,
    /// Versions whose pages are still needed.
    pub keep: Vec<String>,
}

/// The directory of an app's files on a server.
pub fn directory(names: &Names) -> String {
    format!("{FILES}/{}", names.app())
}

/// The secrets with certificates.
pub(super) fn secrets(config: &Config) -> Vec<String> {
    let tls = config.roles.iter().filter_map(|role| role.kamal_proxy()).map(|proxy| &proxy.tls);
    let of = |tls: &Tls| match tls {
        Tls::Custom { certificate, private_key } => vec![certificate.clone(), private_key.clone()],
        Tls::Off | Tls::Automatic => Vec::new(),
    };
    tls.flat_map(of).collect()
}

/// The certificates of the roles on a server.
pub(super) fn certificates(
    config: &Config,
    secrets: &Secrets,
    host: &str,
) -> Result<Vec<(String, [Secret; 2])>, PlanError> {
    let value =
        |name: &String| secrets.get(name).cloned().ok_or_else(|| PlanError::MissingSecret(name.clone()));
    let mut all = Vec::new();
    for role in config.roles.iter().filter(|role| role.hosts.iter().any(|at| at.host == host)) {
        let Some(Tls::Custom { certificate, private_key }) = role.kamal_proxy().map(|proxy| &proxy.tls)
        else {
            continue;
        };
        all.push((role.name.clone(), [value(certificate)?, value(private_key)?]));
    }
    Ok(all)
}

impl Files {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.pages.is_empty()
    }

    /// Writes them. Each comes as a line of Base64 on standard input. A key can be read by the proxy's user alone where this one may
    /// give files away, as Kamal leaves it otherwise.
    pub fn script(&self) -> Script {
        let app = directory(&self.scope.names);
        let (mut text, mut input) = (self.scope.fence(), String::new());
        text.push_str(&format!(
            "receive() {{\n\
             IFS= read -r bowline_line && (umask 077 && printf '%s' \"$bowline_line\" | base64 -d > \"$1\") || exit 1\n\
             }}\n\
             own() {{\n\
             receive \"$1.new\"\n\
             chown {USER}:{USER} \"$1.new\" 2>/dev/null || chmod 644 \"$1.new\" || exit 1\n\
             mv -f \"$1.new\" \"$1\" || exit 1\n\
             }}\n\
             (umask 022 && mkdir -p {app}) || exit\n",
            app = quote(&app),
        ));
        for (role, pair) in &self.certificates {
            let directory = format!("{app}/tls/{role}");
            text.push_str(&format!("(umask 022 && mkdir -p {}) || exit\n", quote(&directory)));
            for (name, value) in ["cert.pem", "key.pem"].into_iter().zip(pair) {
                text.push_str(&format!("own {}\n", quote(&format!("{directory}/{name}"))));
                input.push_str(&BASE64_STANDARD.encode(value.expose()));
                input.push('\n');
            }
        }
        if !self.pages.is_empty() {
            self.write_pages(&app, &mut text, &mut input);
        }
        Script::new(text).with_input(Secret::new(input))
    }

    /// The pages appear all at once; those of versions that nothing needs any more go.
    fn write_pages(&self, app: &str, text: &mut String, input: &mut String) {
        let all = format!("{app}/error_pages");
        let [own, new] = ["", ".new"].map(|ending| quote(&format!("{all}/{}{ending}", self.version)));
        text.push_str(&format!("rm -rf {new} && (umask 022 && mkdir -p {new}) || exit\n"));
        for (name, page) in &self.pages {
            let path = quote(&format!("{all}/{}.new/{name}", self.version));
            text.push_str(&format!("receive {path}; chmod 644 {path} || exit\n"));
            input.push_str(&BASE64_STANDARD.encode(page));
            input.push('\n');
        }
        let kept = self.keep.iter().chain([&self.version]);
        let kept: String = kept.map(|version| format!(" ! -name {}", quote(version))).collect();
        text.push_str(&format!(
            "chmod 755 {new} && rm -rf {own} && mv {new} {own} || exit\n\
             find {} -mindepth 1 -maxdepth 1{kept} -exec rm -rf {{}} +\n",
            quote(&all)
        ));
    }
}
