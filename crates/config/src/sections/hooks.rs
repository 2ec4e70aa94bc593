//! `hooks_output`: how much of the hooks Bowline shows.

use serde::{Serialize, Serializer};

use crate::decode::{Field, Report};
use crate::diagnostic::Diagnostic;
use crate::init::hook_names;
use crate::shown;
use crate::suggest::{did_you_mean, quoted};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HooksOutput {
    pub all: Option<HookLevel>,
    pub each: Vec<(String, HookLevel)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HookLevel {
    /// Nothing, unless it fails.
    Quiet,
    /// All output, immediately.
    Verbose,
}

impl Serialize for HooksOutput {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.all {
            Some(level) => level.serialize(to),
            None => shown::pairs(&self.each, to),
        }
    }
}

impl HooksOutput {
    pub(crate) fn decode(field: &Field, report: &mut Report) -> Self {
        for (key, field) in field.entries() {
            if !hook_names().any(|hook| hook == key.text) {
                let names: Vec<&str> = hook_names().collect();
                let help = did_you_mean(&key.text, hook_names());
                let help = help.unwrap_or_else(|| format!("the hooks are {}", quoted(&names, "and")));
                report
                    .push(Diagnostic { span: key.span, ..field.warning("there is no such hook") }.help(help));
            }
        }
        let each = field.entries();
        let each = each.iter().filter_map(|(key, field)| Some((key.text.clone(), HookLevel::decode(field)?)));
        Self { all: HookLevel::decode(field), each: each.collect() }
    }

    pub fn of(&self, hook: &str) -> Option<HookLevel> {
        let own = self.each.iter().find(|(name, _)| name == hook).map(|(_, level)| *level);
        own.or(self.all)
    }
}

impl HookLevel {
    fn decode(field: &Field) -> Option<Self> {
        match field.word()? {
            "quiet" => Some(HookLevel::Quiet),
            _ => Some(HookLevel::Verbose),
        }
    }
}
