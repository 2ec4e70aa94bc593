//! Names and paths on a server, the same as in Kamal 2, so that either tool finds what the other created.
//!
//! Paths are relative to the SSH user's home directory.

use bowline_config::Config;

pub use bowline_config::NETWORK;

/// A shell pattern for the files that record which image each app pulled last.
pub const ALL_PULLED: &str = ".kamal/apps/*/pulled";

/// The names that depend on the service and its destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Names {
    service: String,
    destination: Option<String>,
}

impl Names {
    pub fn new(service: &str, destination: Option<&str>) -> Self {
        Self { service: service.into(), destination: destination.map(Into::into) }
    }

    pub fn of(config: &Config) -> Self {
        Self::new(&config.service, config.destination.as_deref())
    }

    pub fn service(&self) -> &str {
        &self.service
    }

    pub fn destination(&self) -> Option<&str> {
        self.destination.as_deref()
    }

    /// `SVC[-DEST]`.
    pub fn app(&self) -> String {
        match &self.destination {
            Some(destination) => format!("{}-{destination}", self.service),
            None => self.service.clone(),
        }
    }

    /// `SVC-ROLE[-DEST]`: how the names of a role's containers begin.
    pub fn prefix(&self, role: &str) -> String {
        match &self.destination {
            Some(destination) => format!("{}-{role}-{destination}", self.service),
            None => format!("{}-{role}", self.service),
        }
    }

    /// `SVC-ROLE[-DEST]-VER`.
    pub fn container(&self, role: &str, version: &str) -> String {
        format!("{}-{version}", self.prefix(role))
    }

    /// A container's new name when the same version is deployed again.
    pub fn replaced(&self, role: &str, version: &str, token: &str) -> String {
        format!("{}_replaced_{token}", self.container(role, version))
    }

    /// The version in a container's name: `VER` or `VER_replaced_…`. `None` if the name isn't one of this role.
    pub fn version_of<'a>(&self, role: &str, container: &'a str) -> Option<&'a str> {
        container.strip_prefix(&self.prefix(role))?.strip_prefix('-')
    }

    /// The directory with all of this app's files on a server.
    pub fn directory(&self) -> String {
        format!(".kamal/apps/{}", self.app())
    }

    pub fn env_file(&self, role: &str) -> String {
        format!("{}/env/roles/{role}.env", self.directory())
    }

    pub fn accessory_env_file(&self, accessory: &str) -> String {
        format!("{}/env/accessories/{accessory}.env", self.directory())
    }

    pub fn cords(&self) -> String {
        format!("{}/cords", self.directory())
    }

    pub fn cord(&self, role: &str, run: &str) -> String {
        format!("{}/{}-{run}", self.cords(), self.prefix(role))
    }

    pub fn assets_extracted(&self) -> String {
        format!("{}/assets/extracted", self.directory())
    }

    pub fn assets_volumes(&self) -> String {
        format!("{}/assets/volumes", self.directory())
    }

    /// Where the assets of older versions are kept for each version.
    pub fn assets_earlier(&self) -> String {
        format!("{}/assets/earlier", self.directory())
    }

    /// Where assets are prepared.
    pub fn assets_new(&self) -> String {
        format!("{}/assets/new", self.directory())
    }

    /// The temporary container that assets are copied from.
    pub fn asset_container(&self, role: &str) -> String {
        format!("{}-assets", self.prefix(role))
    }

    pub fn lock(&self) -> String {
        format!(".kamal/lock-{}", self.app())
    }

    /// The file that lists the versions that served on the server, one per line.
    pub fn history(&self) -> String {
        format!("{}/history", self.directory())
    }

    /// The file that records the last image pulled, which pruning must keep.
    pub fn pulled(&self) -> String {
        format!("{}/pulled", self.directory())
    }

    pub fn audit_log(&self) -> String {
        format!(".kamal/{}-audit.log", self.app())
    }
}

/// `SVC@abbrev`: how hooks and headings name a version.
pub fn service_version(service: &str, version: &str) -> String {
    let short = if version.contains('_') { version } else { version.get(..7).unwrap_or(version) };
    format!("{service}@{short}")
}

/// An app container's hostname: up to 51 characters of the host's address without trailing dots, and 12 hex digits.
pub fn container_hostname(host: &str, token: &str) -> String {
    let address = host.rsplit_once('@').map_or(host, |(_, address)| address);
    let cut: String = address.chars().take(51).collect();
    format!("{}-{}", cut.trim_end_matches('.'), token.get(..12).unwrap_or(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_destination() {
        let plain = Names::new("app", None);
        let staging = Names::new("app", Some("staging"));
        assert_eq!(plain.container("web", "abc"), "app-web-abc");
        assert_eq!(staging.container("web", "abc"), "app-web-staging-abc");
        assert_eq!(staging.lock(), ".kamal/lock-app-staging");
        assert_eq!(staging.audit_log(), ".kamal/app-staging-audit.log");
        assert_eq!(staging.env_file("web"), ".kamal/apps/app-staging/env/roles/web.env");
        assert_eq!(staging.accessory_env_file("db"), ".kamal/apps/app-staging/env/accessories/db.env");
        assert_eq!(plain.cord("web", "f00"), ".kamal/apps/app/cords/app-web-f00");
    }

    #[test]
    fn a_version_is_read_back_from_a_name() {
        let names = Names::new("app", None);
        assert_eq!(names.version_of("web", "app-web-abc"), Some("abc"));
        assert_eq!(names.version_of("web", "app-web-abc_replaced_00ff"), Some("abc_replaced_00ff"));
        assert_eq!(names.version_of("web", "app-website-abc"), None);
    }

    #[test]
    fn hostnames_are_cut_and_lose_the_dot() {
        let long = format!("{}.example.com", "a".repeat(50));
        assert_eq!(container_hostname(&long, "0123456789abcdef"), format!("{}-0123456789ab", "a".repeat(50)));
        assert_eq!(container_hostname("1.1.1.1", "0123456789ab"), "1.1.1.1-0123456789ab");
        assert_eq!(container_hostname("ops@1.1.1.1", "0123456789ab"), "1.1.1.1-0123456789ab");
        assert_eq!(service_version("app", "0123456789abcdef"), "app@0123456");
        assert_eq!(service_version("app", "0123456789_uncommitted_1"), "app@0123456789_uncommitted_1");
    }
}
