//! An app's files that the proxy reads: certificates, logins, and pages for the proxy's own errors.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bowline_config::secret::Secret;
use bowline_config::{Config, Proxy, Role, Tls};

use super::container::FILES;
use super::flags;
use crate::commands::Scope;
use crate::error::PlanError;
use crate::names::Names;
use crate::request::Pages;
use crate::secrets::{Secrets, secret};
use crate::shell::{Script, quote};

/// The directory that contains the one mounted in the proxy's container.
const ABOVE: &str = ".kamal/proxy";

/// The user id of the proxy, in Kamal's image and in Bowline's.
const USER: u32 = 1001;

#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    pub scope: Scope,
    /// Certificates, keys and logins, by path in the app's directory. Only the proxy may read them.
    pub private: Vec<(String, Secret)>,
    pub pages: Pages,
    pub shelf: Shelf,
}

/// Where an app's directory keeps the pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shelf {
    /// In a directory per version. `keep` are the other versions whose pages are still needed.
    Version { version: String, keep: Vec<String> },
    /// In a directory per accessory. They are independent of the app's versions, and stay when those are removed.
    Accessory(String),
}

impl Shelf {
    fn path(&self) -> String {
        match self {
            Self::Version { version, .. } => format!("error_pages/{version}"),
            Self::Accessory(service) => accessory_pages(service),
        }
    }
}

/// The directory of an accessory's pages, relative to the app's directory.
pub(super) fn accessory_pages(service: &str) -> String {
    format!("accessory_error_pages/{service}")
}

pub(crate) fn left_by_accessory(service: &str) -> [String; 3] {
    [format!("tls/{service}"), format!("auth/{service}"), accessory_pages(service)]
}

pub fn directory(names: &Names) -> String {
    format!("{FILES}/{}", names.app())
}

pub(super) fn secrets(config: &Config) -> Vec<String> {
    config.roles.iter().filter_map(|role| role.kamal_proxy()).flat_map(secrets_of).collect()
}

/// The names of the secrets that the proxy needs for a role or an accessory.
pub(crate) fn secrets_of(proxy: &Proxy) -> Vec<String> {
    let certificate = match &proxy.tls {
        Tls::Custom { certificate, private_key } => vec![certificate.clone(), private_key.clone()],
        Tls::Off | Tls::Automatic => Vec::new(),
    };
    certificate.into_iter().chain(proxy.own.basic_auth.iter().cloned()).collect()
}

/// The private files of a server's roles: paths in the app's directory, and contents.
pub(super) fn private(
    config: &Config,
    secrets: &Secrets,
    host: &str,
) -> Result<Vec<(String, Secret)>, PlanError> {
    let here = config.roles.iter().filter(|role| role.hosts.iter().any(|at| at.host == host));
    let files = here.filter_map(|role| Some(private_of(&role.name, role.kamal_proxy()?, secrets)));
    Ok(files.collect::<Result<Vec<_>, _>>()?.concat())
}

fn private_of(name: &str, proxy: &Proxy, secrets: &Secrets) -> Result<Vec<(String, Secret)>, PlanError> {
    let mut files = Vec::new();
    if let Tls::Custom { certificate, private_key } = &proxy.tls {
        files.push((format!("tls/{name}/cert.pem"), secret(secrets, certificate)?));
        files.push((format!("tls/{name}/key.pem"), secret(secrets, private_key)?));
    }
    if !proxy.own.basic_auth.is_empty() {
        let logins = proxy.own.basic_auth.iter().map(|name| secret(secrets, name));
        let lines = logins.map(|login| Ok(format!("{}\n", login?.expose().trim())));
        let logins = lines.collect::<Result<String, PlanError>>()?;
        files.push((flags::logins(name), Secret::new(logins)));
    }
    Ok(files)
}

/// The directories with logins of those roles that no longer have `basic_auth`.
pub(crate) fn unread<'r>(names: &Names, roles: impl Iterator<Item = &'r Role>) -> Vec<String> {
    let asks = |role: &&Role| role.kamal_proxy().is_some_and(|proxy| !proxy.own.basic_auth.is_empty());
    roles.filter(|role| !asks(role)).map(|role| format!("{}/auth/{}", directory(names), role.name)).collect()
}

/// Rejects secrets in `basic_auth` that aren't of the form `USER:PASSWORD`.
pub(crate) fn check_logins(proxy: &Proxy, secrets: &Secrets) -> Result<(), PlanError> {
    for name in &proxy.own.basic_auth {
        let value = secret(secrets, name)?;
        let text = value.expose().trim();
        let fits = |(user, password): (&str, &str)| !user.is_empty() && !password.is_empty();
        if text.contains('\n') || !text.split_once(':').is_some_and(fits) {
            return Err(PlanError::WrongSecret {
                name: name.clone(),
                message: format!("the secret {name} of `basic_auth` is not a login"),
                hint: "its value should be USER:PASSWORD".into(),
            });
        }
    }
    Ok(())
}

pub(crate) fn of_accessory(
    scope: &Scope,
    service: &str,
    proxy: &Proxy,
    secrets: &Secrets,
    pages: Pages,
) -> Result<Option<Box<Files>>, PlanError> {
    let private = private_of(service, proxy, secrets)?;
    let files = Files { scope: scope.clone(), private, pages, shelf: Shelf::Accessory(service.into()) };
    Ok((!files.is_empty()).then(|| Box::new(files)))
}

impl Files {
    pub fn is_empty(&self) -> bool {
        self.private.is_empty() && self.pages.is_empty()
    }

    /// Writes the files, each from a line of Base64 on standard input. A private file belongs to the proxy's user if
    /// the SSH user may change owners. Otherwise, all users may read the file, as with Kamal, but only the SSH user can
    /// enter the directory above the one that the proxy's container mounts.
    pub fn script(&self) -> Script {
        let app = directory(&self.scope.names);
        let (mut text, mut input) = (self.scope.fence(), String::new());
        text.push_str(&format!(
            "receive() {{\n\
             IFS= read -r bowline_line && (umask 077 && printf '%s' \"$bowline_line\" | base64 -d > \"$1\") || exit 1\n\
             }}\n\
             own() {{\n\
             receive \"$1.new\"\n\
             chown {USER}:{USER} \"$1.new\" 2>/dev/null || {{ chmod 700 {ABOVE} && chmod 644 \"$1.new\"; }} || exit 1\n\
             mv -f \"$1.new\" \"$1\" || exit 1\n\
             }}\n\
             (umask 022 && mkdir -p {app}) || exit\n",
            app = quote(&app),
        ));
        for (path, value) in &self.private {
            let path = format!("{app}/{path}");
            let directory = path.rsplit_once('/').map_or(app.as_str(), |(directory, _)| directory);
            text.push_str(&format!(
                "(umask 022 && mkdir -p {}) || exit\nown {}\n",
                quote(directory),
                quote(&path)
            ));
            input.push_str(&BASE64_STANDARD.encode(value.expose()));
            input.push('\n');
        }
        if !self.pages.is_empty() {
            self.write_pages(&app, &mut text, &mut input);
        }
        Script::new(text).with_input(Secret::new(input))
    }

    /// Writes the pages. All pages of a version appear at the same moment. Removes the pages of unused versions.
    fn write_pages(&self, app: &str, text: &mut String, input: &mut String) {
        let path = format!("{app}/{}", self.shelf.path());
        let [own, new] = ["", ".new"].map(|ending| quote(&format!("{path}{ending}")));
        text.push_str(&format!("rm -rf {new} && (umask 022 && mkdir -p {new}) || exit\n"));
        for (name, page) in &self.pages {
            let path = quote(&format!("{path}.new/{name}"));
            text.push_str(&format!("receive {path}; chmod 644 {path} || exit\n"));
            input.push_str(&BASE64_STANDARD.encode(page));
            input.push('\n');
        }
        text.push_str(&format!("chmod 755 {new} && rm -rf {own} && mv {new} {own} || exit\n"));
        if let Shelf::Version { version, keep } = &self.shelf {
            let kept = keep.iter().chain([version]);
            let kept: String = kept.map(|version| format!(" ! -name {}", quote(version))).collect();
            let all = quote(&format!("{app}/error_pages"));
            text.push_str(&format!("find {all} -mindepth 1 -maxdepth 1{kept} -exec rm -rf {{}} +\n"));
        }
    }
}
