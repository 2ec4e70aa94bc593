//! Examines a server before a deploy with one script, which changes nothing.

mod acme;

use std::fmt;
use std::str::FromStr;

use super::Scope;
use super::answer::{self, Line, Unreadable};
use super::lock::LEASE_S;
use super::observe::Observe;
use super::registry::Login;
use crate::proxy::{kamal, spares, traefik};
use crate::shell::{Script, quote};
use bowline_config::secret::Secret;

pub use acme::{Contents, Issued, Storage};

/// Where kamal-proxy stores the certificates that it obtained.
const CERTIFICATES: &str = "/home/kamal-proxy/.config/kamal-proxy/certs";

/// Programs that a server needs to drain an app behind Traefik.
pub const DRAINING: [&str; 3] = ["nsenter", "ss", "awk"];

/// Gathers everything about a server that a deploy depends on, in one round trip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examine {
    pub scope: Scope,
    /// `[SERVER/]IMAGE`.
    pub repository: String,
    pub ports: Vec<u16>,
    pub login: Option<Login>,
}

impl Examine {
    /// Prints a [`Checkup`] and, if Docker responds, an [`crate::observed::Observed`].
    pub fn script(&self) -> Script {
        let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        let server = self.login.as_ref().and_then(|login| login.server.as_deref()).unwrap_or_default();
        let observe =
            Observe { scope: self.scope.clone(), repository: self.repository.clone(), claim: false };
        let text = format!(
            "bowline_ports={ports}\nbowline_tools={tools}\nbowline_lock={lock}\nbowline_lease={LEASE_S}\n\
             bowline_spares={spares}\nbowline_proxy={proxy}\nbowline_certificates={CERTIFICATES}\n\
             bowline_traefik={traefik}\nbowline_registry_login={login}\nbowline_server={server}\n\
             {ask}{published}{acme}{examine}(\n{observe})\nexit 0\n",
            ports = quote(&ports.join(" ")),
            tools = quote(&[&DRAINING[..], &["curl"]].concat().join(" ")),
            lock = quote(&self.scope.names.lock()),
            spares = quote(&spares().join(" ")),
            proxy = kamal::NAME,
            traefik = traefik::NAME,
            acme = answer::sent(include_str!("doctor/acme.sh")),
            login = if self.login.is_some() { "yes" } else { "" },
            server = quote(server),
            ask = super::ask::functions(),
            published = super::published::functions(),
            examine = answer::sent(include_str!("doctor.sh")),
            observe = observe.script().text,
        );
        match &self.login {
            Some(login) => Script::new(text).with_input(Secret::new(login.input())),
            None => Script::new(text),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkup {
    pub user: String,
    /// The server's clock, in seconds since 1970.
    pub clock: i64,
    /// The missing ones of the programs that may be needed.
    pub lacks: Vec<String>,
    /// Settings of sshd, if this user may read them: the key in lower case, and its value.
    pub sshd: Vec<(String, String)>,
    pub disks: Vec<Disk>,
    pub docker: Docker,
    /// Docker's storage driver and its status.
    pub store: Option<String>,
    /// The wanted ports that are taken, each with its owner, if known.
    pub ports: Vec<(u16, Option<String>)>,
    /// The certificates that kamal-proxy obtained: the name, and the certificate in base64.
    pub certificates: Vec<(String, String)>,
    /// The files in which Traefik's certificate resolvers store their certificates.
    pub storages: Vec<Storage>,
    /// The certificates in those files.
    pub issued: Vec<Issued>,
    /// What unfinished runs left behind, for display.
    pub left: Vec<String>,
    /// The holder of the deploy lock, if it is taken.
    pub holder: Option<Holder>,
    /// The registry's answer to the login, if that was tried. The error is its message.
    pub login: Option<Result<(), String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Docker {
    /// Its command is not installed.
    #[default]
    Missing,
    /// This user may not use it, according to this message.
    Denied(String),
    /// It doesn't respond. This is its command's message.
    Silent(String),
    /// It responds.
    Runs { version: String, arch: String },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    pub holds: Holds,
    pub path: String,
    /// Total and free kB, if known.
    pub room: Option<(u64, u64)>,
    /// The total number of inodes and the number of free ones, if there is a limit.
    pub files: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Docker's images and containers.
    Images,
    /// Bowline's own files.
    Files,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A live run.
    Run,
    /// A dead run. The next run takes the lock over.
    Gone,
    /// A person or Kamal. No run takes the lock over.
    Person,
}

answer::words!(Holder: "run" Run, "gone" Gone, "person" Person);

impl FromStr for Checkup {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let mut checkup = Self::default();
        for line in answer::lines(text) {
            if line.word == "checked" {
                return Ok(checkup);
            }
            checkup.take(line)?;
        }
        Err(Unreadable::CutShort)
    }
}

impl Checkup {
    fn take(&mut self, line: Line<'_>) -> Result<(), Unreadable> {
        let (first, rest) = line.rest.trim().split_once(' ').unwrap_or((line.rest.trim(), ""));
        let (first, rest) = (first.to_owned(), rest.trim().to_owned());
        match line.word {
            "user" => self.user = line.some()?.into(),
            "clock" => self.clock = line.value()?,
            "lacks" => self.lacks.push(line.some()?.into()),
            "sshd" => self.sshd.push((first, rest)),
            "disk" => self.disks.push(disk(line)?),
            "store" => self.store = Some(line.some()?.into()),
            "engine" => self.docker = Docker::Runs { version: first, arch: rest },
            "refused" => {
                self.docker = match first.as_str() {
                    "missing" => Docker::Missing,
                    "denied" => Docker::Denied(rest),
                    "silent" => Docker::Silent(rest),
                    _ => return Err(line.unknown()),
                }
            }
            "port" => {
                let port = first.parse().map_err(|_| line.unknown())?;
                self.ports.push((port, Some(rest).filter(|who| !who.is_empty())));
            }
            "certificate" => self.certificates.push((first, rest)),
            "storage" => self.storages.push(Storage::read(line)?),
            "issued" => self.issued.push(Issued::read(line)?),
            "left" => self.left.push(line.some()?.into()),
            "holder" => self.holder = Some(line.value()?),
            "login" => self.login = Some(if first == "ok" { Ok(()) } else { Err(rest) }),
            _ => {}
        }
        Ok(())
    }
}

fn disk(line: Line<'_>) -> Result<Disk, Unreadable> {
    let words: Vec<&str> = line.rest.splitn(6, ' ').collect();
    let [holds, size, free, files, more, path] = words[..] else { return Err(line.unknown()) };
    let pair = |all: &str, free: &str| Some((all.parse().ok()?, free.parse().ok()?));
    let holds = match holds {
        "images" => Holds::Images,
        "files" => Holds::Files,
        _ => return Err(line.unknown()),
    };
    // A file system without a limit reports a total of 0 inodes.
    let files = pair(files, more).filter(|(all, _)| *all > 0);
    Ok(Disk { holds, path: path.into(), room: pair(size, free), files })
}

impl fmt::Display for Checkup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "@user {}\n@clock {}", self.user, self.clock)?;
        self.lacks.iter().try_for_each(|tool| writeln!(f, "@lacks {tool}"))?;
        self.sshd.iter().try_for_each(|(key, value)| writeln!(f, "@sshd {key} {value}"))?;
        let pair =
            |pair: Option<(u64, u64)>| pair.map_or("- -".into(), |(all, free)| format!("{all} {free}"));
        for disk in &self.disks {
            let holds = if disk.holds == Holds::Images { "images" } else { "files" };
            writeln!(f, "@disk {holds} {} {} {}", pair(disk.room), pair(disk.files), disk.path)?;
        }
        match &self.docker {
            Docker::Missing => writeln!(f, "@refused missing")?,
            Docker::Denied(said) => writeln!(f, "@refused denied {said}")?,
            Docker::Silent(said) => writeln!(f, "@refused silent {said}")?,
            Docker::Runs { version, arch } => writeln!(f, "@engine {version} {arch}")?,
        }
        self.store.iter().try_for_each(|store| writeln!(f, "@store {store}"))?;
        self.ports
            .iter()
            .try_for_each(|(port, who)| writeln!(f, "@port {port} {}", who.as_deref().unwrap_or_default()))?;
        self.certificates.iter().try_for_each(|(name, text)| writeln!(f, "@certificate {name} {text}"))?;
        self.storages.iter().try_for_each(|storage| writeln!(f, "{storage}"))?;
        self.issued.iter().try_for_each(|issued| writeln!(f, "{issued}"))?;
        self.left.iter().try_for_each(|what| writeln!(f, "@left {what}"))?;
        self.holder.iter().try_for_each(|holder| writeln!(f, "@holder {holder}"))?;
        match &self.login {
            None => {}
            Some(Ok(())) => writeln!(f, "@login ok")?,
            Some(Err(said)) => writeln!(f, "@login refused {said}")?,
        }
        writeln!(f, "@checked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_is_written() {
        let checkup = Checkup {
            user: "deploy".into(),
            clock: 1_790_000_000,
            lacks: vec!["ss".into()],
            sshd: vec![("maxstartups".into(), "10:30:100".into())],
            disks: vec![
                Disk { holds: Holds::Files, path: "/home/a b".into(), room: Some((9, 4)), files: None },
                Disk {
                    holds: Holds::Images,
                    path: "/var/lib/docker".into(),
                    room: None,
                    files: Some((7, 2)),
                },
            ],
            docker: Docker::Runs { version: "26.1.5".into(), arch: "amd64".into() },
            store: Some("overlay2".into()),
            ports: vec![(80, Some("nginx (process 7)".into())), (443, None)],
            certificates: vec![("shop.example.com".into(), "MIIB".into())],
            storages: vec![Storage {
                resolver: "le".into(),
                file: "/my certs/acme.json".into(),
                holds: Contents::Unreadable,
            }],
            issued: vec![Issued {
                resolver: "le".into(),
                names: vec!["a.test".into(), "b.test".into()],
                text: "MIIB".into(),
            }],
            left: vec!["the container kamal-proxy_next".into()],
            holder: Some(Holder::Gone),
            login: Some(Err("unauthorized".into())),
        };
        assert_eq!(checkup.to_string().parse(), Ok(checkup));
        let denied = Checkup {
            user: "ada".into(),
            docker: Docker::Denied("no".into()),
            login: Some(Ok(())),
            ..Checkup::default()
        };
        assert_eq!(denied.to_string().parse(), Ok(denied));
    }

    #[test]
    fn what_is_cut_short_or_makes_no_sense_is_refused() {
        assert_eq!("@user a\n".parse::<Checkup>(), Err(Unreadable::CutShort));
        for line in [
            "@holder nobody",
            "@storage le what /x",
            "@issued le",
            "@disk all 1 2 3 4 /",
            "@port x",
            "@refused so",
            "@clock soon",
        ] {
            assert!(format!("{line}\n@checked\n").parse::<Checkup>().is_err(), "{line}");
        }
        let unlimited = "@disk files 10 5 0 0 /x\n@checked\n".parse::<Checkup>().unwrap();
        assert_eq!(unlimited.disks[0].files, None);
    }
}
