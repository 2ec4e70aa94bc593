//! `hooks_output`: how much of the hooks Bowline shows.

use serde::{Serialize, Serializer};

use crate::decode::Field;
use crate::shown;

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
    pub(crate) fn decode(field: &Field) -> Self {
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
