//! Findings about a server.

mod acme;

use bowline_config::Config;

use super::{Finding, Level, Topic, expiry, span};
use crate::commands::doctor::{Checkup, DRAINING, Disk, Docker, Holder, Holds};
use crate::names::Names;
use crate::observed::{Container, Observed};
use crate::proxy::{ProxyKind, kamal};

/// Limits of free space in kB: below the first, a disk is nearly full; below the second, a deploy fails.
const ROOM_FOR_IMAGES: (u64, u64) = (2_000_000, 300_000);
const ROOM_FOR_FILES: (u64, u64) = (20_000, 1000);
/// The same limits for the number of free inodes.
const MORE_FILES: (u64, u64) = (10_000, 500);
/// Clocks agree if they differ by less than this, in seconds.
const SKEW_S: u64 = 60;
/// The fewest sessions that a connection should allow. With fewer, steps wait for each other.
const SESSIONS: u32 = 4;
/// The oldest major version of Docker that Bowline's commands are known to work with.
const DOCKER: u32 = 20;
/// Let's Encrypt's certificates are renewed a month before they expire. With less time left than this, that failed.
const LATE_S: i64 = 14 * 86_400;

#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub config: &'a Config,
    pub names: &'a Names,
    pub host: &'a str,
    pub checkup: &'a Checkup,
    /// Docker's state, if Docker responded.
    pub observed: Option<&'a Observed>,
    /// Whether sshd forwards connections. `None` if that wasn't checked.
    pub forwards: Option<bool>,
    /// How far the server's clock is ahead of this machine's, in seconds.
    pub ahead: i64,
    /// This machine's clock, in seconds since 1970.
    pub now: i64,
}

impl Seen<'_> {
    pub fn findings(&self) -> Vec<Finding> {
        let found = [
            self.sshd(),
            self.forwarding(),
            vec![self.docker()],
            self.disks(),
            vec![self.clock()],
            self.login().into_iter().collect(),
            self.ports(),
            self.proxies(),
            self.tools().into_iter().collect(),
            self.certificates(),
            self.issued(),
            self.leftovers(),
            vec![self.lock()],
        ];
        found.into_iter().flatten().map(|finding| finding.on(self.host)).collect()
    }

    fn sshd(&self) -> Vec<Finding> {
        let value = |wanted: &str| {
            let mut all = self.checkup.sshd.iter();
            all.find(|(key, _)| key == wanted).map(|(_, value)| value.as_str())
        };
        let Some(sessions) = value("maxsessions") else {
            let text = format!("sshd's settings are not visible to {}", self.checkup.user);
            return vec![Finding::ok(Topic::Ssh, text)];
        };
        let text = format!(
            "sshd: MaxSessions {sessions}, MaxStartups {}",
            value("maxstartups").unwrap_or("unknown")
        );
        match sessions.parse() {
            Ok(0..SESSIONS) => vec![Finding::warning(
                Topic::Ssh,
                format!("{text}: steps wait for each other"),
                "set MaxSessions to 10, OpenSSH's default, in its sshd_config",
            )],
            _ => vec![Finding::ok(Topic::Ssh, text)],
        }
    }

    fn forwarding(&self) -> Vec<Finding> {
        let Some(forwards) = self.forwards else { return Vec::new() };
        if forwards {
            return vec![Finding::ok(Topic::Ssh, "sshd forwards connections")];
        }
        let registry = &self.config.registry;
        let sends = registry.is_absent() || registry.is_local();
        let asks_traefik = self.kinds().contains(&ProxyKind::Traefik) && self.lacks("curl");
        let text = match (sends, asks_traefik) {
            (true, _) => "sshd doesn't forward connections: each deploy sends the whole image",
            (_, true) => {
                "sshd doesn't forward connections, and curl is missing: Traefik can't be asked what it routes"
            }
            _ => {
                return vec![Finding::ok(
                    Topic::Ssh,
                    "sshd doesn't forward connections, but nothing here needs it",
                )];
            }
        };
        let hint = "set AllowTcpForwarding to `yes` in its sshd_config";
        vec![Finding::warning(Topic::Ssh, text, hint)]
    }

    fn docker(&self) -> Finding {
        let user = &self.checkup.user;
        match &self.checkup.docker {
            Docker::Missing => Finding::problem(
                Topic::Docker,
                "Docker is not installed",
                "`bowline setup` installs it, and so does `bowline server bootstrap`",
            ),
            Docker::Denied(_) => Finding::problem(
                Topic::Docker,
                format!("{user} may not use Docker"),
                format!("`bowline server bootstrap` adds {user} to the group `docker`; or set `ssh: user:`"),
            ),
            Docker::Silent(said) => Finding::problem(
                Topic::Docker,
                format!("Docker does not respond: {said}"),
                "start it there (`systemctl start docker`), and see `journalctl -u docker`",
            ),
            Docker::Runs { version, arch } => self.runs(version, arch),
        }
    }

    fn runs(&self, version: &str, arch: &str) -> Finding {
        let store = self.checkup.store.as_deref().map_or(String::new(), |store| {
            let driver = store.split(' ').next().unwrap_or_default();
            let whose =
                if store.contains("io.containerd") { "containerd's store" } else { "Docker's own store" };
            format!(", {whose} ({driver})")
        });
        let text = format!("Docker {version} ({arch}){store}, used as {}", self.checkup.user);
        match version.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
            Some(major) if major < DOCKER => Finding::warning(
                Topic::Docker,
                format!("{text}: older than {DOCKER}, which Bowline needs"),
                "upgrade Docker there: https://docs.docker.com/engine/install/",
            ),
            _ => Finding::ok(Topic::Docker, text),
        }
    }

    fn disks(&self) -> Vec<Finding> {
        self.checkup.disks.iter().map(disk).collect()
    }

    fn clock(&self) -> Finding {
        let by = self.ahead.unsigned_abs();
        if by < SKEW_S {
            return Finding::ok(Topic::Clock, "the clock agrees with this machine's");
        }
        let way = if self.ahead > 0 { "ahead of" } else { "behind" };
        Finding::warning(
            Topic::Clock,
            format!("the clock is {} {way} this machine's", span(by)),
            "certificates and logs depend on it: `timedatectl set-ntp true` on the machine that is wrong",
        )
    }

    fn login(&self) -> Option<Finding> {
        let server = self.config.registry.server.as_deref().unwrap_or("Docker Hub");
        Some(match self.checkup.login.as_ref()? {
            Ok(()) => Finding::ok(Topic::Registry, format!("{server} accepts the login")),
            Err(said) if said.is_empty() => Finding::problem(
                Topic::Registry,
                format!("{server} did not respond within 20 s"),
                "can this server reach it? Check its firewall and DNS",
            ),
            Err(said) => Finding::problem(
                Topic::Registry,
                format!("{server} refused the login: {said}"),
                "check `registry:` (server, username, password), and that this server can reach it",
            ),
        })
    }

    fn kinds(&self) -> Vec<ProxyKind> {
        crate::proxy::kinds(self.config, self.host)
    }

    fn ports(&self) -> Vec<Finding> {
        let ours: Vec<String> = self
            .kinds()
            .into_iter()
            .filter_map(ProxyKind::container)
            .map(|name| format!("the container {name}"))
            .collect();
        let wanted = crate::proxy::ports(self.config, self.host);
        if !matches!(self.checkup.docker, Docker::Runs { .. }) {
            return Vec::new();
        }
        let of = |port: u16| {
            let mut taken = self.checkup.ports.iter();
            match taken.find(|(taken, _)| *taken == port).map(|(_, who)| who.as_deref()) {
                None => Finding::ok(Topic::Ports, format!("port {port} is free")),
                Some(Some(who)) if ours.iter().any(|name| name == who) => {
                    Finding::ok(Topic::Ports, format!("port {port} is used by {who}"))
                }
                Some(who) => taken_by(port, who),
            }
        };
        wanted.into_iter().map(of).collect()
    }

    fn proxies(&self) -> Vec<Finding> {
        let Some(observed) = self.observed else { return Vec::new() };
        let of = |kind: ProxyKind| {
            let name = kind.container()?;
            Some(match observed.proxy(name) {
                None => Finding::ok(Topic::Proxy, format!("no {name} yet: the first deploy starts it")),
                Some(proxy) if proxy.status == "running" => {
                    let upgraded = observed.upgraded.as_ref().filter(|(id, _)| *id == proxy.id);
                    let now =
                        upgraded.map_or(String::new(), |(_, version)| format!(", upgraded to {version}"));
                    Finding::ok(Topic::Proxy, format!("{name} runs {}{now}", proxy.image))
                }
                Some(proxy) => Finding::warning(
                    Topic::Proxy,
                    format!("{name} is not serving: its container is {}", proxy.status),
                    format!("`bowline {} start` starts it, and so does a deploy", command(kind)),
                ),
            })
        };
        self.kinds().into_iter().filter_map(of).collect()
    }

    fn tools(&self) -> Option<Finding> {
        if !self.kinds().contains(&ProxyKind::Traefik) {
            return None;
        }
        let missing: Vec<&str> = DRAINING.into_iter().filter(|tool| self.lacks(tool)).collect();
        let what = match (self.checkup.user.as_str(), missing.as_slice()) {
            ("root", []) => return None,
            ("root", missing) => format!("{} is missing", missing.join(", ")),
            (user, _) => format!("{user} is not root"),
        };
        Some(Finding::warning(
            Topic::Proxy,
            format!("{what}: a deploy pauses for 5 s instead of waiting for open requests"),
            "behind Traefik, waiting for them needs a login as root, and nsenter, ss and awk",
        ))
    }

    fn lacks(&self, tool: &str) -> bool {
        self.checkup.lacks.iter().any(|lacking| lacking == tool)
    }

    fn certificates(&self) -> Vec<Finding> {
        let of = |(name, text): &(String, String)| match expiry(text) {
            Some(end) => ends(name, end, self.now, ProxyKind::Kamal),
            None => Finding::warning(
                Topic::Certificates,
                format!("the certificate of {name} can't be read"),
                format!("see the log of {}: `bowline proxy logs`", kamal::NAME),
            ),
        };
        self.checkup.certificates.iter().map(of).collect()
    }

    fn leftovers(&self) -> Vec<Finding> {
        let Some(observed) = self.observed else { return Vec::new() };
        let mut found: Vec<Finding> = self
            .checkup
            .left
            .iter()
            .map(|what| {
                let text = format!("{what} is left from a command that did not finish");
                Finding::warning(Topic::Leftovers, text, "run that command again: it finishes, or removes it")
            })
            .collect();
        let latest = self.config.latest_image();
        for role in &self.config.roles {
            let serves = observed.current(self.names, &role.name, &latest).map(|container| &container.id);
            let stale = |container: &&Container| container.is_running() && Some(&container.id) != serves;
            found.extend(observed.of_role(self.names, &role.name).filter(stale).map(|container| {
                Finding::warning(
                    Topic::Leftovers,
                    format!("{} still runs next to the serving container", container.name),
                    "the next deploy stops it; `bowline app stale-containers -s` stops it now",
                )
            }));
        }
        if found.is_empty() {
            found.push(Finding::ok(Topic::Leftovers, "no leftovers"));
        }
        found
    }

    fn lock(&self) -> Finding {
        let Some(holder) = self.checkup.holder else {
            return Finding::ok(Topic::Lock, "no deploy lock");
        };
        let details = self.observed.and_then(|observed| observed.lock.as_deref()).unwrap_or_default();
        let details = details.trim().replace('\n', "; ");
        let whose = if details.is_empty() { String::new() } else { format!(" ({details})") };
        match holder {
            Holder::Run => Finding::warning(
                Topic::Lock,
                format!("a run holds the deploy lock{whose}"),
                "a deploy has to wait: `--lock-wait SECONDS`",
            ),
            Holder::Gone => Finding::warning(
                Topic::Lock,
                format!("the deploy lock belongs to a run that died{whose}"),
                "the next run takes it over",
            ),
            Holder::Person => Finding::problem(
                Topic::Lock,
                format!("the deploy lock is held{whose}"),
                format!("if it is no longer needed: `bowline lock release -h {}`", self.host),
            ),
        }
    }
}

fn command(kind: ProxyKind) -> &'static str {
    kind.command().unwrap_or("proxy")
}

fn taken_by(port: u16, who: Option<&str>) -> Finding {
    let by = who.map_or(String::new(), |who| format!(" by {who}"));
    let hint = match who.and_then(|who| who.strip_prefix("the container ")) {
        Some("traefik") => "`bowline upgrade` replaces Traefik with kamal-proxy".into(),
        Some(kamal::NAME) => "`bowline downgrade` replaces kamal-proxy with Traefik".into(),
        Some(name) => format!("stop it there (`docker stop {name}`), or give the proxy another port"),
        None if who.is_some() => "stop it there, or give the proxy another port".into(),
        None => format!(
            "`ss -ltnp 'sport = :{port}'` as root shows what it is: stop it there, or give the proxy another port"
        ),
    };
    Finding::problem(Topic::Ports, format!("port {port} is taken{by}"), hint)
}

fn disk(disk: &Disk) -> Finding {
    let (what, limits) = match disk.holds {
        Holds::Images => ("images", ROOM_FOR_IMAGES),
        Holds::Files => ("files", ROOM_FOR_FILES),
    };
    let path = &disk.path;
    let Some((all, free)) = disk.room else {
        return Finding::ok(Topic::Disk, format!("the free space for {what} ({path}) is unknown"));
    };
    let text = format!("{} free of {} for {what} ({path})", size(free), size(all));
    let more = disk.files.map(|(_, more)| more);
    let worst = level(free, limits).max(more.map_or(Level::Ok, |more| level(more, MORE_FILES)));
    let few = more.filter(|more| level(*more, MORE_FILES) > Level::Ok);
    let text = few.map_or(text.clone(), |more| format!("{text}, and room for {more} more files (inodes)"));
    let hint = match disk.holds {
        Holds::Images => {
            "`docker system df` there shows what uses it; `bowline prune all` and `docker system prune` free space"
        }
        Holds::Files => "`df -h; df -i` there shows the disks",
    };
    match worst {
        Level::Ok => Finding::ok(Topic::Disk, text),
        Level::Warning => Finding::warning(Topic::Disk, format!("nearly full: {text}"), hint),
        Level::Problem => Finding::problem(Topic::Disk, format!("full: {text}"), hint),
    }
}

fn level(left: u64, (warning, problem): (u64, u64)) -> Level {
    match left {
        _ if left < problem => Level::Problem,
        _ if left < warning => Level::Warning,
        _ => Level::Ok,
    }
}

/// Kilobytes for display.
fn size(kilobytes: u64) -> String {
    match kilobytes {
        0..10_000 => format!("{kilobytes} kB"),
        10_000..10_000_000 => format!("{} MB", kilobytes / 1000),
        _ => format!("{} GB", kilobytes / 1_000_000),
    }
}

pub fn ends(name: &str, end: i64, now: i64, of: ProxyKind) -> Finding {
    let log = format!("`bowline {} logs`", command(of));
    let left = end.saturating_sub(now);
    let text = |when: &str| format!("the certificate of {name} {when}");
    let time = span(left.unsigned_abs());
    match left {
        ..=0 => Finding::problem(
            Topic::Certificates,
            text(&format!("ended {time} ago")),
            format!("the proxy's log says why there is no newer one: {log}"),
        ),
        1..LATE_S => Finding::warning(
            Topic::Certificates,
            text(&format!("ends in {time}")),
            format!("it should have been renewed: the proxy's log says why it wasn't, {log}"),
        ),
        _ => Finding::ok(Topic::Certificates, text(&format!("ends in {time}"))),
    }
}

#[cfg(test)]
mod tests;
