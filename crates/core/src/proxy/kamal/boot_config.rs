//! `proxy boot-config`: files on a server that define how to run its proxy. Kamal reads them too.

use super::NAME;
use super::container::{KAMALS, PUBLISHED, bracketed};
use super::version::MINIMUM;
use crate::shell::{Script, quote};

/// How to run a proxy. A default setting is written to no file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootConfig {
    /// The HTTP and HTTPS ports to publish. `None` publishes none.
    pub publish: Option<(u16, u16)>,
    /// The server's addresses to publish the ports on. Empty means all.
    pub publish_ips: Vec<String>,
    /// Docker's limit for the size of the log. `None` for no limit.
    pub log_max_size: Option<String>,
    /// The server in the image's name.
    pub registry: Option<String>,
    /// The image's name without server and tag.
    pub repository: Option<String>,
    pub version: Option<String>,
    pub metrics_port: Option<u16>,
    pub debug: bool,
    /// Further flags of `docker run`, as `NAME=VALUE`.
    pub docker_options: Vec<String>,
}

impl BootConfig {
    fn options(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        let mut flag = |name: &str, value: String| words.extend([plain(name), plain(&value)]);
        if let Some((http, https)) = self.publish {
            let ips: Vec<String> = match self.publish_ips.as_slice() {
                [] => vec![String::new()],
                ips => ips.iter().map(|ip| bracketed(ip) + ":").collect(),
            };
            for ip in &ips {
                flag("--publish", format!("{ip}{http}:80"));
                flag("--publish", format!("{ip}{https}:443"));
            }
        }
        if let Some(size) = &self.log_max_size {
            flag("--log-opt", format!("max-size={size}"));
        }
        words.extend(self.metrics_port.map(|port| format!("--expose={port}")));
        words.extend(self.docker_options.iter().map(|option| plain(&format!("--{option}"))));
        words.join(" ")
    }

    /// The image without its tag.
    fn image(&self) -> String {
        let registry = self.registry.iter().map(|server| format!("{server}/")).collect::<String>();
        registry + self.repository.as_deref().unwrap_or(KAMALS)
    }

    /// The command. Empty if the image's default is used.
    fn command(&self) -> String {
        if !self.debug && self.metrics_port.is_none() {
            return String::new();
        }
        let debug = if self.debug { " --debug" } else { "" };
        let metrics = self.metrics_port.map(|port| format!(" --metrics-port {port}"));
        format!("{NAME} run{debug}{}", metrics.unwrap_or_default())
    }
}

/// A word for `xargs`, quoted only if necessary.
fn plain(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=.:,/@+%[]".contains(c);
    if word.chars().all(is_plain) { word.into() } else { quote(word) }
}

/// A shell line that writes the file, or removes it if its content is the default.
fn file(name: &str, content: &str, usual: &str) -> String {
    let path = format!(".kamal/proxy/{name}");
    if content == usual {
        return format!("rm -f {path} || exit\n");
    }
    format!("printf '%s\\n' {} > {path} || exit\n", quote(content))
}

pub fn set(config: &BootConfig) -> Script {
    let version = config.version.as_deref().unwrap_or(MINIMUM);
    Script::new(format!(
        "mkdir -p .kamal/proxy || exit\n{}{}{}{}",
        file("options", &config.options(), PUBLISHED),
        file("image", &config.image(), KAMALS),
        file("image_version", version, MINIMUM),
        file("run_command", &config.command(), ""),
    ))
}

pub fn reset() -> Script {
    Script::new(remove() + "\n")
}

pub(super) fn remove() -> String {
    let names = ["options", "image", "image_version", "run_command"];
    format!("rm -f {}", names.map(|name| format!(".kamal/proxy/{name}")).join(" "))
}

/// Prints the settings in the files.
pub fn get() -> Script {
    Script::new(format!(
        "cd .kamal/proxy 2>/dev/null || cd /\n\
         printf '%s %s:%s %s\\n' \"$(cat options 2>/dev/null || echo {published})\" \"$(cat image 2>/dev/null || echo {KAMALS})\" \
         \"$(cat image_version 2>/dev/null || echo {MINIMUM})\" \"$(cat run_command 2>/dev/null)\"\n",
        published = quote(PUBLISHED),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> BootConfig {
        BootConfig {
            publish: Some((80, 443)),
            publish_ips: Vec::new(),
            log_max_size: Some("10m".into()),
            registry: None,
            repository: None,
            version: None,
            metrics_port: None,
            debug: false,
            docker_options: Vec::new(),
        }
    }

    #[test]
    fn what_is_as_usual_gets_no_file() {
        let text = set(&usual()).text;
        assert_eq!(text.matches("rm -f").count(), 4, "{text}");
    }

    #[test]
    fn what_is_set_is_as_kamal_writes_it() {
        let config = BootConfig {
            publish: Some((8080, 8443)),
            publish_ips: vec!["127.0.0.1".into(), "::1".into()],
            log_max_size: None,
            registry: Some("r.test".into()),
            version: Some("v1".into()),
            metrics_port: Some(9090),
            debug: true,
            docker_options: vec!["memory=1g".into()],
            ..usual()
        };
        assert_eq!(
            config.options(),
            "--publish 127.0.0.1:8080:80 --publish 127.0.0.1:8443:443 --publish [::1]:8080:80 --publish [::1]:8443:443 \
             --expose=9090 --memory=1g"
        );
        assert_eq!(config.image(), "r.test/basecamp/kamal-proxy");
        assert_eq!(config.command(), "kamal-proxy run --debug --metrics-port 9090");
    }
}
