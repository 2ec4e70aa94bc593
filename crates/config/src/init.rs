//! The files of a new project, which `init` writes and the user owns from then on.
//!
//! `init` fills in what it can find out: the service's name from the directory, and the port from the `Dockerfile`.

/// The default of `hooks_path`.
pub const HOOKS: &str = ".kamal/hooks";

/// The default of `secrets_path`.
pub const SECRETS: &str = ".kamal/secrets";

const SECRETS_TEXT: &str = include_str!("init/secrets");
const SAMPLES: &[(&str, &str)] = &[
    ("docker-setup", include_str!("init/hooks/docker-setup.sample")),
    ("pre-connect", include_str!("init/hooks/pre-connect.sample")),
    ("pre-build", include_str!("init/hooks/pre-build.sample")),
    ("pre-deploy", include_str!("init/hooks/pre-deploy.sample")),
    ("pre-app-boot", include_str!("init/hooks/pre-app-boot.sample")),
    ("post-app-boot", include_str!("init/hooks/post-app-boot.sample")),
    ("post-deploy", include_str!("init/hooks/post-deploy.sample")),
];
const PROXY_SAMPLES: &[(&str, &str)] = &[
    ("pre-proxy-reboot", include_str!("init/hooks/pre-proxy-reboot.sample")),
    ("post-proxy-reboot", include_str!("init/hooks/post-proxy-reboot.sample")),
];
const TRAEFIK_SAMPLES: &[(&str, &str)] = &[
    ("pre-traefik-reboot", include_str!("init/hooks/pre-traefik-reboot.sample")),
    ("post-traefik-reboot", include_str!("init/hooks/post-traefik-reboot.sample")),
];

pub fn hook_names() -> impl Iterator<Item = &'static str> {
    SAMPLES.iter().chain(PROXY_SAMPLES).chain(TRAEFIK_SAMPLES).map(|(name, _)| *name)
}

/// The proxy of a new project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewProxy {
    /// kamal-proxy, as in Kamal 2.
    Kamal,
    /// Traefik, as in Kamal 1.
    Traefik,
}

impl NewProxy {
    fn config(self) -> &'static str {
        match self {
            NewProxy::Kamal => include_str!("init/proxy.yml"),
            NewProxy::Traefik => include_str!("init/traefik.yml"),
        }
    }

    /// The paths and texts of the sample hooks, which must be executable.
    pub fn hooks(self) -> impl Iterator<Item = (String, &'static str)> {
        let own = match self {
            NewProxy::Kamal => PROXY_SAMPLES,
            NewProxy::Traefik => TRAEFIK_SAMPLES,
        };
        let all = SAMPLES.iter().chain(own);
        all.map(|(name, text)| (format!("{HOOKS}/{name}.sample"), *text))
    }
}

/// What `init` knows about a project that has no configuration yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProject {
    pub service: String,
    /// The port its containers listen on.
    pub port: u16,
}

impl NewProject {
    /// Takes the service from the directory's name and the port from the `Dockerfile`, or 3000.
    pub fn new(directory: &str, dockerfile: Option<&str>) -> Self {
        Self { service: service(directory), port: dockerfile.and_then(exposed).unwrap_or(3000) }
    }

    pub fn config(&self, behind: NewProxy) -> String {
        behind.config().replace("my-app", &self.service).replace("3000", &self.port.to_string())
    }

    pub fn secrets(&self) -> String {
        SECRETS_TEXT.replace("my-app", &self.service)
    }
}

/// Turns a directory's name into a service name that is also valid in an image's name.
fn service(directory: &str) -> String {
    let sound = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let words: String = directory.chars().map(sound).collect();
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "my-app".into() } else { words.join("-") }
}

/// The lowest port that the last stage of a `Dockerfile` exposes, as Traefik picks it. Variables are ignored.
fn exposed(dockerfile: &str) -> Option<u16> {
    let port = |word: &str| word.strip_suffix("/tcp").unwrap_or(word).parse::<u16>().ok();
    let mut ports = Vec::new();
    for line in dockerfile.lines() {
        let mut words = line.split_whitespace();
        match words.next().map(str::to_ascii_uppercase).as_deref() {
            Some("FROM") => ports.clear(),
            Some("EXPOSE") => ports.extend(words.filter_map(port)),
            _ => {}
        }
    }
    ports.into_iter().filter(|port| *port > 0).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceFile, load};

    #[test]
    fn a_directory_names_the_service() {
        let table =
            [("shop", "shop"), ("My Shop.v2", "my-shop-v2"), ("_x_", "x"), ("é", "my-app"), ("", "my-app")];
        for (directory, name) in table {
            assert_eq!(service(directory), name);
        }
    }

    #[test]
    fn a_dockerfile_tells_the_port() {
        let table = [
            ("FROM a\nEXPOSE 80\nFROM b\nexpose 8080/tcp\n", Some(8080)),
            ("FROM a\nEXPOSE 9090 8080\nEXPOSE 53/udp", Some(8080)),
            ("FROM a\nEXPOSE 80\nFROM b\n", None),
            ("FROM a\nEXPOSE $PORT\n# EXPOSE 1\n", None),
            ("", None),
        ];
        for (dockerfile, port) in table {
            assert_eq!(exposed(dockerfile), port, "{dockerfile}");
        }
    }

    fn assert_accepted(text: &str) {
        match load(SourceFile::new("config/deploy.yml", text), None) {
            Ok(loaded) => assert!(loaded.warnings.is_empty(), "{}", loaded.warnings),
            Err(errors) => panic!("{errors}"),
        }
    }

    #[test]
    fn the_configuration_is_accepted_as_it_is_and_with_all_its_settings() {
        let project = NewProject::new("Shop 2", Some("EXPOSE 8080"));
        for (behind, port) in [(NewProxy::Kamal, "  app_port: 8080\n"), (NewProxy::Traefik, "  port: 8080\n")]
        {
            let text = project.config(behind);
            assert!(text.contains("service: shop-2\n") && text.contains("image: my-user/shop-2\n"));
            assert!(text.contains(port) && !text.contains("3000"), "{text}");
            assert_accepted(&text);
            let setting = |line: &str| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') || rest.starts_with("  ") => rest.to_owned(),
                _ => line.to_owned(),
            };
            let all = text.lines().map(setting).collect::<Vec<_>>().join("\n");
            assert!(all.contains("\naliases:\n  tail:"), "{all}");
            assert_accepted(&all);
        }
    }

    #[test]
    fn sample_hooks_are_those_that_are_run() {
        for behind in [NewProxy::Kamal, NewProxy::Traefik] {
            let hooks: Vec<_> = behind.hooks().collect();
            assert_eq!(hooks.len(), 9);
            let sound = |(path, text): &(String, &str)| {
                path.starts_with(".kamal/hooks/") && text.starts_with("#!/bin/sh\n")
            };
            assert!(hooks.iter().all(sound), "{hooks:?}");
        }
    }
}
