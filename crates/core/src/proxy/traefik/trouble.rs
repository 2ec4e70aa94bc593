//! Why Traefik doesn't route, in its own words: errors in its log, and the containers at the addresses that it lists.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::NAME as TRAEFIK;
use crate::commands::answer::sent;
use crate::names::NETWORK;
use crate::shell::{Script, quote};

/// How many seconds of the log to read.
const SINCE_S: u32 = 120;
/// How many lines of the log to read, and how many errors to keep.
const LINES: (u32, u32) = (5000, 40);
/// The maximum length of an error, in characters.
const LONGEST: usize = 400;

pub fn explain() -> Script {
    let (read, kept) = LINES;
    Script::new(format!(
        "bowline_traefik={TRAEFIK} bowline_since={SINCE_S} bowline_read={read} bowline_kept={kept}\n{}",
        sent(include_str!("trouble.sh"))
    ))
}

/// Fetches a URL that only the server can reach, with whichever of curl and wget it has.
pub fn get(url: &str) -> Script {
    let url = quote(url);
    Script::new(format!(
        "curl --silent --fail --max-time 5 {url} 2>/dev/null || wget -q -T 5 -O - {url} 2>/dev/null || \
         docker container exec {TRAEFIK} wget -q -T 5 -O - {url} 2>/dev/null\n"
    ))
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trouble {
    /// Name and network of the running containers, by address.
    pub names: BTreeMap<IpAddr, (String, String)>,
    pub args: Vec<String>,
    /// The errors in its log, oldest first, without times and source locations.
    pub errors: Vec<String>,
}

impl Trouble {
    /// Reads the answer of [`explain`] and ignores malformed lines.
    pub fn parse(answer: &str) -> Self {
        let mut trouble = Self::default();
        for line in answer.lines() {
            match line.split_once(' ') {
                Some(("@at", rest)) => {
                    let mut words = rest.split(' ');
                    let (address, name, network) = (words.next(), words.next(), words.next());
                    if let (Some(Ok(address)), Some(name)) = (address.map(str::parse), name) {
                        let name = name.trim_start_matches('/').into();
                        trouble.names.insert(address, (name, network.unwrap_or_default().into()));
                    }
                }
                Some(("@arg", argument)) => trouble.args.push(argument.into()),
                Some(("@said", said)) => trouble.errors.push(message(said)),
                _ => {}
            }
        }
        trouble
    }

    /// The last error that contains one of these words.
    pub fn about(&self, words: &[&str]) -> Option<&str> {
        let has = |error: &&String| words.iter().any(|word| error.contains(word));
        self.errors.iter().rev().find(has).map(String::as_str)
    }

    /// The last error about Traefik's connection to Docker.
    pub fn of_docker(&self) -> Option<&str> {
        let words = ["Provider", "provider", "Docker daemon", "docker client"];
        let has = |error: &&String| words.iter().any(|word| error.contains(word)) && error.contains("ocker");
        self.errors.iter().rev().find(has).map(String::as_str)
    }

    pub fn resolves(&self, resolver: &str) -> bool {
        defines(&self.args, resolver)
    }

    /// The last error about this router's nonexistent certificate resolver.
    pub fn no_resolver(&self, router: &str) -> Option<&str> {
        let has = |error: &&String| error.contains(router) && error.contains("existent");
        self.errors.iter().rev().find(has).map(String::as_str)
    }

    /// The names of the containers with these addresses, and the network if it isn't the shared one.
    pub fn named(&self, addresses: &[IpAddr]) -> String {
        let name = |address: &IpAddr| match self.names.get(address) {
            Some((name, network)) if network == NETWORK || network.is_empty() => name.clone(),
            Some((name, network)) => format!("{name} on the network {network}"),
            None => address.to_string(),
        };
        addresses.iter().map(name).collect::<Vec<_>>().join(", ")
    }
}

/// Whether arguments for Traefik define a certificate resolver.
pub(crate) fn defines(arguments: &[String], resolver: &str) -> bool {
    let wanted = format!("--certificatesresolvers.{resolver}.").to_ascii_lowercase();
    let plain = wanted.trim_end_matches('.');
    arguments
        .iter()
        .map(|argument| argument.to_ascii_lowercase())
        .any(|argument| argument.starts_with(&wanted) || argument.split('=').next() == Some(plain))
}

/// The message in a line of Traefik's log (version 2 or 3, text or JSON), without colours, time and source location.
fn message(line: &str) -> String {
    let plain = without_colours(line);
    let text = match serde_json::from_str::<BTreeMap<String, serde_json::Value>>(&plain) {
        Ok(fields) => {
            let field = |name: &str| fields.get(name).and_then(|value| value.as_str());
            let parts = [field("message").or(field("msg")), field("error")];
            let rest =
                fields.iter().filter(|(key, _)| key.ends_with("Name") || key.starts_with("certificate"));
            let rest = rest.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
            parts.into_iter().flatten().map(Into::into).chain(rest).collect::<Vec<String>>().join(" ")
        }
        Err(_) => match (plain.split_once(" > "), plain.split_once("level=")) {
            (Some((_, said)), _) => said.into(),
            (None, Some((_, said))) => said.split_once(' ').map_or(said, |(_, said)| said).into(),
            (None, None) => plain,
        },
    };
    let text = text.trim();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "@at 172.18.0.3 /shop-web-v1 kamal\n@at  /host-only host\n@at 172.19.0.9 /shop-web-v2 aaa\n\
        @arg --api.insecure=true\n@arg --certificatesResolvers.le.acme.email=a@b.test\n\
        @said \u{1b}[90m2026-11-29T18:54:33Z\u{1b}[0m \u{1b}[31mERR\u{1b}[0m \u{1b}[1mgithub.com/traefik/traefik/v3/pkg/provider/docker/pdocker.go:143\u{1b}[0m\u{1b}[36m >\u{1b}[0m \u{1b}[1mProvider error, retrying in 703ms\u{1b}[0m \u{1b}[36merror=\u{1b}[0m\"Cannot connect to the Docker daemon\" \u{1b}[36mproviderName=\u{1b}[0mdocker\n\
        @said time=\"2026\" level=error msg=\"the router web@docker uses a non-existent resolver: nosuch\"\n\
        @said {\"level\":\"error\",\"routerName\":\"api@docker\",\"certificateResolver\":\"nosuch\",\"time\":\"2026\",\"message\":\"Router uses a nonexistent certificate resolver\"}\n";

    #[test]
    fn errors_are_read_in_every_form_of_traefiks_log() {
        let trouble = Trouble::parse(ANSWER);
        assert_eq!(
            trouble.errors,
            [
                "Provider error, retrying in 703ms error=\"Cannot connect to the Docker daemon\" providerName=docker",
                "msg=\"the router web@docker uses a non-existent resolver: nosuch\"",
                "Router uses a nonexistent certificate resolver certificateResolver=nosuch routerName=api@docker",
            ]
        );
        assert_eq!(trouble.of_docker(), Some(trouble.errors[0].as_str()));
        assert_eq!(trouble.no_resolver("web@docker"), Some(trouble.errors[1].as_str()));
        assert_eq!(trouble.no_resolver("api@docker"), Some(trouble.errors[2].as_str()));
        assert_eq!(trouble.no_resolver("other@docker"), None);
        assert!(trouble.resolves("LE") && !trouble.resolves("nosuch") && !trouble.resolves("l"));
    }

    #[test]
    fn containers_have_their_names_whatever_network_the_address_is_on() {
        let trouble = Trouble::parse(ANSWER);
        let addresses = ["172.18.0.3", "172.19.0.9", "172.18.0.77"].map(|address| address.parse().unwrap());
        assert_eq!(trouble.named(&addresses), "shop-web-v1, shop-web-v2 on the network aaa, 172.18.0.77");
    }
}
