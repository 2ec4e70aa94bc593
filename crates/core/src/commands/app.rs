//! App containers: run one and wait until it is ready, stop one, tag its image as the latest.

mod boot;
mod stop;

use super::env::SecretEnv;
use super::serving::Serving;
use super::{Scope, ask};
use crate::shell::{Line, Script, quote};
use bowline_config::{Logging, OptionValue, Pairs};

pub(super) use boot::label_file;
pub use boot::{Boot, Find, HealthFlags, NameTaken, Start};
pub use stop::{Answer as Stopped, Drained, IfHealthy, Stop, stop_limit, stopped};

/// What `docker run` and `docker run --rm` of a role on a host share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The host, as configured.
    pub host: String,
    pub clear: Pairs,
    pub secret: SecretEnv,
    pub volumes: Vec<String>,
    /// Further flags, as configured.
    pub options: Vec<(String, OptionValue)>,
    pub logging: Logging,
}

/// The words of `logging`, as Kamal gives them.
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
        // In one word: of a flag without value Docker would take what follows for the image.
        let flag = |line: Line, value: &String| line.expanding(&format!("--{key}={value}"));
        match value {
            OptionValue::Flag => line.word(&format!("--{key}")),
            OptionValue::Value(value) => flag(line, value),
            OptionValue::List(values) => values.iter().fold(line, flag),
        }
    })
}

/// Tags the version's image as the latest (S11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    pub scope: Scope,
    /// `REPO:VER`.
    pub image: String,
    /// `REPO:latest[-DEST]`.
    pub latest: String,
    /// The version, for the history.
    pub version: String,
    /// `deploy` or `rollback`: how the version came to serve (see [`crate::observed::Observed::served`]). `None`
    /// leaves the history alone: the latest tag was booted again.
    pub kind: Option<&'static str>,
    /// The containers that have to serve, or nothing is tagged.
    pub serving: Vec<Serving>,
}

impl Tag {
    /// Whether the image is the latest by its name, so that it needs no tag.
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
