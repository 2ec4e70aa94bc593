//! The exit statuses of our scripts other than 0. Each number has one meaning in all scripts.

use std::fmt;

use super::answer::Explanation;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// The exit statuses of our scripts. Using a number twice doesn't compile.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Status {
            $($(#[$doc])* $name = $code,)*
        }

        impl Status {
            /// The status with this number. `None` means that the status comes from a program in the script.
            pub fn of(code: u32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

statuses! {
    /// A container that must be serving isn't ([`super::serving::Instead`] has its state). Nothing was changed.
    NotServing = 65,
    /// The container wasn't stopped because it is healthy.
    Healthy = 66,
    NoAnswer = 69,
    /// The container did not become ready ([`super::ready::Answer`] has the reason).
    NotReady = 70,
    LoginRefused = 71,
    /// The image doesn't exist or can't be pulled.
    PullFailed = 72,
    /// The image doesn't have this service's label.
    NotLabelled = 73,
    NotStarted = 74,
    /// A later run has claimed the server, or a person has released the run's lock. Standard error says which.
    Fenced = 75,
    /// The network could not be created, or the proxy could not run in it.
    ProxyFailed = 76,
    /// The lock is taken.
    Held = 77,
    /// A container of another app has the name ([`super::app::NameTaken`] has its owner).
    NameTaken = 78,
    /// Ports that a container would publish are taken ([`super::published::Taken`] has their owners). Nothing was stopped.
    PortTaken = 79,
    /// The image doesn't have the directory of assets. Standard error has the reason.
    NoAssets = 80,
    /// Docker can't be installed or used ([`super::server::Refusal`] has the reason).
    Refused = 81,
    /// The maintenance page could not be put up.
    NoPage = 82,
    /// Bowline's own image of the proxy is required but missing.
    NoImage = 83,
    /// The program in the proxy's container can't be replaced.
    NotInPlace = 84,
    /// The server could not get the image from this run.
    NotReceived = 85,
    /// The server doesn't have the image, and this run doesn't bring it.
    NoSuchImage = 86,
    OtherPlatform = 87,
}

impl Status {
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The general explanation of this status, with the script's standard error. Some commands have more specific explanations.
    pub fn explain(self, stderr: &str) -> Option<Explanation> {
        let explanation = match self {
            Status::LoginRefused if missing_helper(stderr).is_some() => Explanation::new(
                "Docker could not use its credential helper",
                "see ~/.docker/config.json there",
            ),
            Status::LoginRefused => Explanation::new(
                "the registry refused the login",
                "see `registry:`: server, username, password",
            ),
            Status::PullFailed => Explanation::new(
                "the image could not be pulled",
                "was this version built and pushed? `--skip-push` skips both",
            ),
            Status::NotReceived => Explanation::new(
                "the server could not get the image through the SSH connection",
                not_received(stderr),
            ),
            Status::OtherPlatform => {
                Explanation::new("the image is for a different platform from this server's", PLATFORM)
            }
            Status::NotLabelled => Explanation::new(
                "the image doesn't have this service's label `service`",
                "`docker build --label service=NAME` sets it; so does `bowline build push`",
            ),
            Status::ProxyFailed => Explanation::new(
                "could not create the Docker network `kamal`",
                "run `docker network create kamal` on the server to see why",
            ),
            _ => return None,
        };
        Some(explanation.saying(stderr))
    }
}

const PLATFORM: &str = "build it for the servers' platforms: `builder: arch:` takes one or several";

/// The credential helper that Docker's client reports as missing in this message.
pub fn missing_helper(said: &str) -> Option<&str> {
    let absent = ["not found", "no such file", "not installed"];
    let line = said.lines().find(|line| {
        line.contains("docker-credential-") && absent.iter().any(|words| line.to_lowercase().contains(words))
    })?;
    let name = &line[line.find("docker-credential-")?..];
    name.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).next()
}

/// The hint if Docker could not reach us, or not the image.
fn not_received(said: &str) -> &'static str {
    let said = said.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if says(&["no matching manifest", "no match for platform"]) {
        PLATFORM
    } else if says(&["blob unknown", "manifest unknown", "can no longer be read"]) {
        "this machine no longer has the image (~/.cache/bowline/images): deploy again without `--skip-push`"
    } else if says(&[
        "proxyconnect",
        "bad gateway",
        "proxy authentication",
        "403 forbidden",
        "gateway timeout",
    ]) {
        "Docker there asks an HTTP proxy for localhost: add `localhost,127.0.0.1` to NO_PROXY of its service (`systemctl show \
         --property Environment docker`), or to `no-proxy` in /etc/docker/daemon.json, and restart it"
    } else {
        "run the command again: it keeps the layers already received; Docker's log on the server may say more"
    }
}

impl From<Status> for u32 {
    fn from(status: Status) -> Self {
        status.code()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_says_of_an_image_that_did_not_come_has_its_advice() {
        for (said, advice) in [
            ("proxyconnect tcp: dial tcp 10.0.0.9:3128: connection refused", "NO_PROXY"),
            ("Get \"http://localhost:40001/v2/\": Bad Gateway", "NO_PROXY"),
            ("no matching manifest for linux/arm64/v8 in the manifest list entries", "builder: arch:"),
            ("unknown blob: blob unknown", "deploy again without `--skip-push`"),
            ("error pulling image configuration: unexpected EOF", "run the command again"),
        ] {
            let explanation = Status::NotReceived.explain(said).unwrap();
            assert!(explanation.reason.contains(said), "{said}");
            assert!(explanation.hint.unwrap().contains(advice), "{said}");
        }
        let unfit = Status::OtherPlatform.explain("it is for arm64, and this server is amd64").unwrap();
        assert!(
            unfit.reason.ends_with(
                "a different platform from this server's: it is for arm64, and this server is amd64"
            )
        );
    }
}
