//! The proxy's container, created as Kamal does.

use bowline_config::Run;
use bowline_config::secret::SecretBytes;

use super::service::services;
use super::upgrade::UPGRADED;
use super::version::PROGRAM;
use super::{NAME, boot_config, command, files};
use crate::commands::app::option_words;
use crate::commands::network::{self, FAILED as PROXY_FAILED};
use crate::commands::replacement::Replacement;
use crate::commands::status::Status::NoImage;
use crate::commands::{Action, Scope, answer, ask, prune};
use crate::names::NETWORK;
use crate::proxy::container;
use crate::proxy::takeover::{Ports, WAITS};
use crate::shell::{Line, Script, function, quote};

/// The directory with the apps' files for the proxy: certificates and error pages.
pub const FILES: &str = ".kamal/proxy/apps-config";
/// How long the proxy may take to stop, in seconds. It waits 10 s for open requests.
const STOP_WAIT_S: u32 = 30;
/// The new proxy's container while the old one still serves.
pub(super) const NEXT: &str = "kamal-proxy_next";
/// The old proxy's container until the new one serves.
pub(super) const OLD: &str = "kamal-proxy_old";
pub(crate) const BESIDE: [&str; 2] = [NEXT, OLD];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Bowline's own, unless files on the server name another (`boot_config`).
    Own,
    Named(String),
}

impl Image {
    /// The image that `proxy/run` selects.
    pub fn of(run: &Run) -> Self {
        if run.registry.is_none() && run.repository.is_none() && run.version.is_none() {
            return Self::Own;
        }
        let repository = run.repository.as_deref().unwrap_or(KAMALS);
        let version = run.version.as_deref().unwrap_or(super::version::MINIMUM);
        let registry = run.registry.iter().map(|server| format!("{server}/")).collect::<String>();
        Self::Named(format!("{registry}{repository}:{version}"))
    }
}

pub(super) const KAMALS: &str = "basecamp/kamal-proxy";
/// The flags that Kamal uses by default.
pub(super) const PUBLISHED: &str = "--publish 80:80 --publish 443:443 --log-opt max-size=10m";

/// The server's ports on which the proxy accepts requests. Without `proxy/run`, the defaults: files on the server may
/// say otherwise, but aren't known here.
pub(in crate::proxy) fn ports(run: Option<&Run>) -> Vec<u16> {
    match run {
        None => vec![80, 443],
        Some(run) => run.http_port.into_iter().chain(run.https_port).collect(),
    }
}

/// Lists the container, then its services.
pub(crate) fn details() -> Script {
    let ps = Line::new("docker").words(["ps", "--filter"]).word(&format!("name=^{NAME}$"));
    Script::new(format!(
        "{ps} && {{ ! docker container inspect {NAME} >/dev/null 2>&1 || {list}; }}\n",
        list = command(&["list"])
    ))
}

/// Makes sure that the network exists and the proxy runs in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensure {
    pub scope: Scope,
    /// The server's `proxy/run`. Without it, files on the server apply, as with Kamal.
    pub run: Option<Run>,
    pub image: Image,
    /// The name of Bowline's own image. Empty until it is known.
    pub own: String,
    /// Whether the container publishes ports, if it has to be created.
    pub ports: Ports,
    /// A configured key that other images than Bowline's own would ignore.
    pub needs_own: Option<&'static str>,
}

/// Mounts the proxy's volume and the apps' files.
pub(super) fn mounted(line: Line) -> Line {
    line.words(["--volume", "kamal-proxy-config:/home/kamal-proxy/.config/kamal-proxy"])
        .word("--volume")
        .path(&format!("$PWD/{FILES}:/home/kamal-proxy/.apps-config"))
}

impl Ensure {
    /// Shell lines that set `bowline_image` and define the function `make NAME`, which creates the container.
    pub(super) fn make(&self) -> String {
        let fixed = |line: Line| mounted(line.words(["--network", NETWORK, "--restart", "unless-stopped"]));
        let line = fixed(Line::new("docker").words(["container", "create", "--name"]).var("1"));
        let waits = self.ports == Ports::Unpublished;
        let line = if waits { line.words(["--label", &format!("{WAITS}=yes")]) } else { line };
        let named = match &self.image {
            Image::Own => quote(&self.own),
            Image::Named(image) => quote(image),
        };
        match &self.run {
            Some(run) => format!(
                "bowline_image={named}\nmake() {{ {line}; }}\n",
                line = ending(options(line, &self.published(run)).var("bowline_image"), run).as_str(),
            ),
            None => format!(
                "bowline_own={named}\nbowline_kamals={KAMALS}\nbowline_minimum={minimum}\nbowline_published={published}\n{files}{without}\
                 make() {{ {own_only}printf '%s\\n' \"$bowline_options $bowline_image $bowline_command\" | xargs {line}; }}\n",
                minimum = super::version::MINIMUM,
                published = quote(PUBLISHED),
                files = answer::sent(include_str!("boot_config.sh")),
                own_only = self.own_only(),
                // The options contain the ports, so a waiting proxy gets no options.
                without = if waits { "bowline_options=\n" } else { "" },
            ),
        }
    }
}

impl Ensure {
    /// A shell command that fails if files on the server select an image that would ignore a configured key.
    fn own_only(&self) -> String {
        let Some(key) = self.needs_own else { return String::new() };
        format!(
            "case ${{bowline_image##*/}} in {PROGRAM}:*) ;; *) \
             echo \"\\`proxy boot-config\\` chose the image $bowline_image here, and \\`proxy: {key}\\` needs Bowline's own proxy\" >&2; return 1 ;; esac; "
        )
    }

    /// `run` without ports, if the proxy waits for those of another one.
    fn published(&self, run: &Run) -> Run {
        let mut run = run.clone();
        if self.ports == Ports::Unpublished {
            (run.http_port, run.https_port) = (None, None);
            run.options.retain(|(name, _)| !matches!(name.as_str(), "publish" | "p"));
        }
        run
    }

    /// Shell lines that define `make NAME`, and check that the image exists.
    pub(super) fn ready_to_make(&self) -> String {
        format!("(umask 022 && mkdir -p {FILES}) || exit\n{}{}", self.make(), self.has_image())
    }
}

/// The flags of `docker run` that `proxy/run` defines.
fn options(mut line: Line, run: &Run) -> Line {
    for (port, inner) in [(run.http_port, 80), (run.https_port, 443)] {
        let Some(port) = port else { continue };
        let publish = |line: Line, place: String| line.words(["--publish", &place]);
        line = match run.bind_ips.as_slice() {
            [] => publish(line, format!("{port}:{inner}")),
            ips => {
                ips.iter().fold(line, |line, ip| publish(line, format!("{}:{port}:{inner}", bracketed(ip))))
            }
        };
    }
    if let Some(size) = &run.log_max_size {
        line = line.words(["--log-opt", &format!("max-size={size}")]);
    }
    if let Some(port) = run.metrics_port {
        line = line.word(&format!("--expose={port}"));
    }
    option_words(line, &run.options)
}

pub(super) fn bracketed(ip: &str) -> String {
    if ip.contains(':') { format!("[{ip}]") } else { ip.into() }
}

/// The arguments after the image that `proxy/run` defines.
fn ending(line: Line, run: &Run) -> Line {
    let line = line.words([NAME, "run"]);
    let line = if run.debug { line.word("--debug") } else { line };
    run.metrics_port.iter().fold(line, |line, port| line.words(["--metrics-port", &port.to_string()]))
}

/// Shell lines that define the functions of both files called `container.sh`: the shared one and kamal-proxy's.
pub(super) fn functions() -> String {
    container::functions(NAME) + &services() + &answer::sent(include_str!("container.sh"))
}

impl Ensure {
    /// Starts the existing container or runs a new one, and waits until it responds. Another app's deploy may do the
    /// same meanwhile. Prints [`super::Answer`]. Ends with [`NoImage`] if Bowline's own image is needed and missing.
    pub fn script(&self) -> Script {
        Script::new(format!(
            "{fence}{ask}{network}(umask 022 && mkdir -p {FILES}) || exit\n{make}{functions}{has_image}{boot}",
            fence = self.scope.fence(),
            ask = ask::functions(),
            network = network::create(),
            make = self.make(),
            functions = functions(),
            has_image = function("before_run", &self.has_image()),
            boot = answer::sent(include_str!("boot.sh")),
        ))
    }

    /// A shell line that ends the script if Bowline's own image is needed and missing.
    pub(super) fn has_image(&self) -> String {
        match self.image {
            Image::Named(_) => String::new(),
            Image::Own => format!(
                "[ \"$bowline_image\" != {own} ] || {{ [ -n {own} ] && docker image inspect {own} >/dev/null 2>&1; }} || exit {NoImage}\n",
                own = quote(&self.own)
            ),
        }
    }
}

/// Loads Bowline's own proxy image into a server's Docker.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    pub scope: Scope,
    pub image: String,
    pub archive: SecretBytes,
}

impl Load {
    pub fn script(&self) -> Script {
        let text = format!("{}docker load >/dev/null || exit {PROXY_FAILED}\n", self.scope.fence());
        Script::new(text).with_bytes(self.archive.clone())
    }
}

/// Replaces the running proxy. The new container is created before the old one stops. If it doesn't come up with the
/// same services, the old one starts again.
#[derive(Debug, Clone, PartialEq)]
pub struct Replace {
    pub ensure: Ensure,
}

impl Replace {
    pub fn script(&self) -> Script {
        let replacement = Replacement {
            name: NAME,
            next: NEXT,
            old: OLD,
            gives: NAME,
            stop_wait: Some(STOP_WAIT_S),
            failed: PROXY_FAILED,
        };
        Script::new(format!(
            "{fence}{replacement}{functions}{network}{make}{audit}{replace}",
            fence = self.ensure.scope.fence(),
            replacement = replacement.functions(),
            functions = functions(),
            network = network::create(),
            make = self.ensure.ready_to_make(),
            audit = self.ensure.scope.audit(None, "Rebooted proxy"),
            replace = answer::sent(include_str!("replace.sh")),
        ))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Power {
    pub scope: Scope,
    pub action: Action,
}

impl Power {
    pub fn script(&self) -> Script {
        let stop = || {
            let stop =
                format!("docker container stop -t {STOP_WAIT_S} {NAME} >/dev/null || exit {PROXY_FAILED}\n");
            stop + &self.scope.audit(None, "Stopped proxy")
        };
        let start = || {
            let start = format!(
                "silent() {{ show; exit \"$bowline_failed\"; }}\ndocker container start {NAME} >/dev/null || exit {PROXY_FAILED}\nanswers\n"
            );
            functions() + &start + &self.scope.audit(None, "Started proxy")
        };
        let does = match self.action {
            Action::Start => start(),
            Action::Stop => stop(),
            Action::Restart => stop() + &start(),
        };
        Script::new(self.scope.fence() + &does)
    }
}

/// Removes the proxy's container and images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remove {
    pub scope: Scope,
    /// Whether to remove it even if it has services.
    pub force: bool,
}

impl Remove {
    /// Prints [`super::Answer`]. Without `force`, the proxy stays as long as it has services. The files of other apps
    /// always stay, because those apps need them when they are started again.
    pub fn script(&self) -> Script {
        let kept = services()
            + "bowline_kept=$(services 2>/dev/null | awk '{ print $1 }' | tr '\\n' ' ')\n\
               [ -z \"$bowline_kept\" ] || { echo \"@kept $bowline_kept\"; exit 0; }\n";
        let image = "label=org.opencontainers.image.title=kamal-proxy";
        Script::new(format!(
            "{fence}{kept}docker container rm --force {NAME} >/dev/null 2>&1\n\
             ! docker container inspect {NAME} >/dev/null 2>&1 || exit {PROXY_FAILED}\n\
             {prune}\n\
             rm -rf {own} && {reset} {UPGRADED} || exit\n\
             rmdir {FILES} .kamal/proxy 2>/dev/null\n{removed}",
            prune = prune::in_turn("image", |line| line.words(["--all", "--filter", image])),
            fence = self.scope.fence(),
            own = quote(&files::directory(&self.scope.names)),
            reset = boot_config::remove(),
            kept = if self.force { "" } else { &kept },
            removed = self.scope.audit(None, "Removed proxy container"),
        ))
    }
}
