//! App containers: boots and stops them, and tags a version's image as the latest.

mod boot;
mod stop;

use super::env::SecretEnv;
use super::serving::Serving;
use super::{Scope, ask};
use crate::shell::{Line, Script, quote};
use bowline_config::{Logging, OptionValue, Pairs};

pub(super) use boot::label_file;
pub use boot::{Boot, Find, HealthFlags, MADE_LABEL, NameTaken, Start};
pub use stop::{Answer as Stopped, Drained, IfHealthy, Stop, stop_limit, stopped};

/// The settings that `docker run` and `docker run --rm` share, for a role on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    pub host: String,
    pub clear: Pairs,
    pub secret: SecretEnv,
    pub volumes: Vec<String>,
    pub options: Vec<(String, OptionValue)>,
    pub logging: Logging,
}

/// Adds the options for `logging`. The default, `max-size=10m`, is Kamal's.
pub(crate) fn logging_words(mut line: Line, logging: &Logging) -> Line {
    if logging.driver.is_none() && logging.options.is_empty() {
        return line.words(["--log-opt", "max-size=10m"]);
    }
    if let Some(driver) = &logging.driver {
        line = line.word("--log-driver").expanding(driver);
    }
    for (key, value) in &logging.options {
        line = line.word("--log-opt").expanding(&format!("{key}={value}"));
    }
    line
}

pub(crate) fn option_words(line: Line, options: &[(String, OptionValue)]) -> Line {
    options.iter().fold(line, |line, (key, value)| {
        // One word per option: if the flag takes no value, Docker would read a separate word as the image.
        let flag = |line: Line, value: &String| line.expanding(&format!("--{key}={value}"));
        match value {
            OptionValue::Flag => line.word(&format!("--{key}")),
            value => value.values().iter().fold(line, flag),
        }
    })
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub scope: Scope,
    /// `REPO:VER`.
    pub image: String,
    /// `REPO:latest[-DEST]`.
    pub latest: String,
    /// The version, for the history.
    pub version: String,
    /// `deploy` or `rollback`, for the history (see [`crate::observed::Observed::served`]). `None` adds no entry, because
    /// the latest version was booted again.
    pub kind: Option<&'static str>,
    /// The containers that must be serving. If one is not, the script tags nothing.
    pub serving: Vec<Serving>,
}

impl Tag {
    /// Whether the image is already named as the latest, so it needs no tag.
    pub fn is_latest(&self) -> bool {
        self.image == self.latest
    }

    pub fn script(&self) -> Script {
        let mut text = self.scope.fence();
        if !self.serving.is_empty() {
            text.push_str(&ask::functions());
            text.extend(self.serving.iter().map(Serving::or_exit));
        }
        if !self.is_latest() {
            let tag = Line::new("docker").words(["tag", &self.image, &self.latest]);
            text.push_str(&format!("{tag} || exit\n"));
        }
        if let Some(kind) = self.kind {
            let entry = quote(&format!("{kind} {}", self.version));
            text.push_str(&format!(
                "printf '%s\\n' {entry} >> {} || :\n",
                quote(&self.scope.names.history())
            ));
        }
        text.push_str(&self.scope.audit(None, &format!("Tagging {} as the latest image", self.image)));
        Script::new(text)
    }
}
