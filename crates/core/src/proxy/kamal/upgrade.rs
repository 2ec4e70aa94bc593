//! `proxy upgrade`: replaces the running proxy with another version. Bowline's own proxy replaces an older version of
//! itself in the same container, without downtime. All other cases need a new container.
//!
//! The new program is copied into the container, where only root can write it. The running program starts it on its own
//! listeners and finishes its open requests. When the container restarts, it starts the newest program in it.

use std::fmt;
use std::str::FromStr;

use super::NAME;
use super::container::{Ensure, NEXT, OLD};
use super::version::{is_older, of_own};
use crate::commands::answer::{self, Unreadable, lines};
use crate::commands::status::Status::NotInPlace;
use crate::commands::{Scope, ask};
use crate::shell::{Script, quote};

/// The program that a restarted container starts, if it is newer than the one in the image.
const KEPT: &str = "/opt/bowline-proxy/bowline-proxy";
/// The file on a server that records which container was upgraded to which version.
pub const UPGRADED: &str = ".kamal/proxy/upgraded";

/// Finds out which proxy runs and which one should.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub ensure: Ensure,
}

impl Look {
    pub fn script(&self) -> Script {
        let named = "@image {{.Config.Image}}{{\"\\n\"}}@status {{.State.Status}}";
        Script::new(format!(
            "{ask}{make}echo \"@wanted $bowline_image\"\n\
             ask_name {NAME} '{named}' || {{ echo @none; exit 0; }}\n\
             printf '%s\\n' \"$bowline_said\"\n\
             ! ask_name {OLD} '{{{{.ID}}}}' || echo @half\n\
             echo \"@runs $(docker exec {NAME} {NAME} version 2>/dev/null)\"\n\
             echo \"@keeps $(docker exec {NAME} {KEPT} --version 2>/dev/null || docker exec {NAME} {NAME} --version 2>/dev/null)\"\n",
            ask = ask::functions(),
            make = self.ensure.make(),
        ))
    }
}

/// The observed proxy, and the image that should run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub wanted: String,
    /// The image of the existing container.
    pub image: Option<String>,
    pub is_running: bool,
    /// Whether a reboot was interrupted.
    pub is_half_done: bool,
    /// The version of the running program, if it is Bowline's own proxy.
    pub runs: Option<String>,
    /// The version that the container starts when it restarts.
    pub keeps: Option<String>,
}

impl FromStr for Found {
    type Err = Unreadable;

    fn from_str(answer: &str) -> Result<Self, Unreadable> {
        let version = |text: &str| text.strip_prefix("bowline-proxy ").map(Into::into);
        let (mut found, mut wanted, mut known) = (Self::default(), None, false);
        for line in lines(answer) {
            match line.word {
                "wanted" => wanted = Some(line.some()?.to_owned()),
                "image" => found.image = Some(line.some()?.to_owned()),
                "status" => (found.is_running, known) = (line.some()? == "running", true),
                "none" => known = true,
                "half" => found.is_half_done = true,
                "runs" => found.runs = version(line.rest),
                "keeps" => found.keeps = version(line.rest),
                _ => {}
            }
        }
        if !known {
            return Err(Unreadable::Missing("@status"));
        }
        Ok(Self { wanted: wanted.ok_or(Unreadable::Missing("@wanted"))?, ..found })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "@wanted {}", self.wanted)?;
        let Some(image) = &self.image else { return writeln!(f, "@none") };
        writeln!(f, "@image {image}\n@status {}", if self.is_running { "running" } else { "exited" })?;
        if self.is_half_done {
            writeln!(f, "@half")?;
        }
        let version =
            |version: &Option<String>| version.iter().map(|v| format!("bowline-proxy {v}")).collect();
        let [runs, keeps]: [String; 2] = [&self.runs, &self.keeps].map(version);
        writeln!(f, "@runs {runs}\n@keeps {keeps}")
    }
}

/// How to get from the running proxy to the wanted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// It already runs. The text is for display.
    Already(String),
    /// A newer version than the wanted one runs.
    Newer {
        /// The running version, for display.
        runs: String,
        /// The wanted version, for display.
        wanted: String,
    },
    /// By replacing the program in the container.
    InPlace {
        /// The running version, for display.
        from: String,
        /// The wanted version, for example `0.2.0`.
        to: String,
    },
    /// With a new container.
    Reboot,
    /// By booting it, because none runs.
    Boot,
}

impl Found {
    pub fn way(&self) -> Way {
        let Some(image) = self.image.as_ref().filter(|_| self.is_running) else { return Way::Boot };
        if self.is_half_done {
            return Way::Reboot;
        }
        let (Some(own), Some(wanted)) = (of_own(image), of_own(&self.wanted)) else {
            let is_that = *image == self.wanted;
            return if is_that { Way::Already(image.clone()) } else { Way::Reboot };
        };
        let runs = self.runs.as_deref().unwrap_or(own);
        let [named, other] = [runs, wanted].map(|version| format!("bowline-proxy {version}"));
        if is_older(wanted, runs) {
            return Way::Newer { runs: named, wanted: other };
        }
        if runs == wanted && self.keeps.as_deref().unwrap_or(own) == wanted {
            return Way::Already(named);
        }
        Way::InPlace { from: named, to: wanted.into() }
    }
}

/// Replaces the running program in its container.
#[derive(Debug, Clone, PartialEq)]
pub struct InPlace {
    pub ensure: Ensure,
    pub version: String,
}

impl InPlace {
    pub fn script(&self) -> Script {
        let Self { ensure, version } = self;
        Script::new(format!(
            "{fence}{make}{has_image}bowline_version={version}\nbowline_proxy={NAME}\nbowline_next={NEXT}\n\
             bowline_elsewhere={NotInPlace}\nbowline_upgraded={UPGRADED}\n{upgrade}{audit}",
            fence = ensure.scope.fence(),
            make = ensure.make(),
            has_image = ensure.has_image(),
            version = quote(version),
            upgrade = answer::sent(include_str!("upgrade.sh")),
            audit = ensure.scope.audit(None, &format!("Upgraded proxy to {version}")),
        ))
    }

    pub fn scope(&self) -> &Scope {
        &self.ensure.scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(image: &str, runs: &str, keeps: &str, wanted: &str) -> Found {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (image, runs, keeps) = (some(image), some(runs), some(keeps));
        let is_running = image.is_some();
        Found { wanted: wanted.into(), is_running, image, runs, keeps, ..Found::default() }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let own = "bowline-proxy:v10.0.2.0";
        for answer in [
            found("", "", "", own),
            found("basecamp/kamal-proxy:v0.9.2", "", "", own),
            Found { is_half_done: true, ..found("bowline-proxy:v10.0.2.0", "0.2.0", "0.2.0", own) },
            Found { is_running: false, ..found("bowline-proxy:v10.0.1.0", "0.1.0", "0.1.0", own) },
        ] {
            assert_eq!(answer.to_string().parse(), Ok(answer));
        }
        assert_eq!("@none\n".parse::<Found>(), Err(Unreadable::Missing("@wanted")));
        assert_eq!("@wanted a\n".parse::<Found>(), Err(Unreadable::Missing("@status")));
    }

    #[test]
    fn own_becomes_own_in_place_and_all_else_by_a_reboot() {
        let (one, two) = ("bowline-proxy:v10.0.1.0", "bowline-proxy:v10.0.2.0");
        let kamals = "basecamp/kamal-proxy:v0.9.2";
        let in_place =
            |from: &str| Way::InPlace { from: format!("bowline-proxy {from}"), to: "0.2.0".into() };
        let already = |what: &str| Way::Already(what.into());
        let newer = Way::Newer { runs: "bowline-proxy 0.2.0".into(), wanted: "bowline-proxy 0.1.0".into() };
        for (found, way) in [
            (found(one, "0.1.0", "0.1.0", two), in_place("0.1.0")),
            (found(one, "", "", two), in_place("0.1.0")),
            (found("r.test/me/bowline-proxy:v10.0.1.0", "0.1.0", "0.1.0", two), in_place("0.1.0")),
            (found(one, "0.2.0", "0.2.0", two), already("bowline-proxy 0.2.0")),
            // An upgrade that was interrupted before it set the program for the next restart.
            (found(one, "0.2.0", "0.1.0", two), in_place("0.2.0")),
            (found(one, "0.1.0", "0.2.0", two), in_place("0.1.0")),
            (found(two, "0.2.0", "0.2.0", two), already("bowline-proxy 0.2.0")),
            (found(two, "0.2.0", "0.2.0", one), newer),
            (found(kamals, "", "", two), Way::Reboot),
            (found(two, "0.2.0", "0.2.0", kamals), Way::Reboot),
            (found(kamals, "", "", kamals), already(kamals)),
            (found("me/bowline-proxy:latest", "0.2.0", "0.2.0", two), Way::Reboot),
            (found("", "", "", two), Way::Boot),
        ] {
            assert_eq!(found.way(), way, "{found:?}");
        }
        let half_done = Found { is_half_done: true, ..found(two, "0.2.0", "0.2.0", two) };
        assert_eq!(half_done.way(), Way::Reboot);
        let stopped = Found { is_running: false, ..found(one, "", "", two) };
        assert_eq!(stopped.way(), Way::Boot);
    }
}
