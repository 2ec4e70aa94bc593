//! `boot`: how many servers boot at once, and in which order their roles start.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::decode::{Field, Report};
use crate::describe::{Form, Keys, Like, Setting};
use crate::shown;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Boot {
    /// `limit`: how many servers boot at once; all if absent.
    pub limit: Option<Limit>,
    /// `wait`: the pause after each group.
    #[serde(serialize_with = "shown::seconds")]
    pub wait: Option<Duration>,
    pub barrier: BarrierOrder,
    /// `parallel_roles` (true): whether the roles of a server boot in parallel.
    pub parallel_roles: bool,
    pub on_failure: OnFailure,
}

impl Default for Boot {
    fn default() -> Self {
        Self::decode(&Field::nothing(), &mut Report::default())
    }
}

/// A number of servers, absolute or relative to all configured ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// This many servers (at least 1).
    Servers(usize),
    /// This percentage of the configured servers, rounded down, at least one.
    Percent(u32),
}

impl Limit {
    /// The size of a group, given the number of configured servers, including those of accessories.
    pub fn of(self, servers: usize) -> usize {
        match self {
            Limit::Servers(count) => count.max(1),
            Limit::Percent(percent) => (servers * percent as usize / 100).max(1),
        }
    }
}

/// When the roles other than the primary one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BarrierOrder {
    /// Immediately. Only retiring their old containers waits for the barrier.
    #[default]
    AfterBoot,
    /// `before_boot`: after a container of the primary role is healthy, as Kamal does.
    BeforeBoot,
}

/// What happens to servers that already serve the new version when the run fails on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    #[default]
    Keep,
    /// `rollback`: they go back to the version they had.
    Rollback,
}

const PERCENT: Like = Like {
    wanted: "a percentage from 1% to 100%",
    help: "such as `2`, or `25%`",
    reads: |text| percent(text).is_some(),
    pattern: "^\\s*([1-9][0-9]?|100)\\s*%\\s*$",
    words: &[],
    examples: &["25%"],
};

pub(crate) const KEYS: Keys = Keys::new(
    "boot",
    "How many servers boot at the same time, and in which order their roles start.",
    &[
        Setting::new(
            "limit",
            Form::Either(&[Form::Integer(1, 10_000), Form::Like(&PERCENT)]),
            "how many servers boot at the same time: a number, or a percentage of all configured servers, including those that \
             only run accessories (rounded down, at least one)",
        )
        .default("all")
        .examples(&["2", "25%"]),
        Setting::new("wait", Form::Seconds(0), "the pause between two groups").default("0"),
        Setting::new(
            "barrier",
            Form::Word(&["after_boot", "before_boot"]),
            "`after_boot`: the other roles boot immediately, and keep their old containers until the barrier opens. \
             `before_boot`: they boot once the barrier has opened",
        )
        .default("`after_boot`")
        .ours(),
        Setting::new(
            "parallel_roles",
            Form::Boolean,
            "`true`: the roles of a server boot in parallel. `false`: they boot one after the other, the primary role first",
        )
        .default("true")
        .kamal2("always in parallel"),
        Setting::new(
            "on_failure",
            Form::Word(&["keep", "rollback"]),
            "what happens to servers that already run the new version when the run fails on another server. `keep`: \
             they stay on the new version. `rollback`: Bowline switches them back to their previous container without \
             dropping requests. With `rollback`, nothing boots if a server is unreachable or couldn't get the image",
        )
        .default("`keep`")
        .ours(),
    ],
)
.notes(
    "The *barrier* opens when one container of the primary role is healthy. Until then, all other roles keep their old containers.\n\n\
     With a `limit`, servers boot in groups, one group after the other. The hooks `pre-app-boot` and `post-app-boot` \
     run before and after each group. If a group or one of these hooks fails, the remaining groups don't boot, and the report says \
     which version each server serves. If you interrupt the run, servers that have switched stay on the new \
     version, even with `on_failure: rollback`.",
);

impl Boot {
    pub(crate) fn decode(section: &Field, report: &mut Report) -> Self {
        let wait = section.get("wait").filter(|wait| wait.count() != Some(0));
        if let (Some(wait), false) = (wait, section.has("limit")) {
            let warning = wait.warning("has no effect without `limit`: all servers boot at the same time");
            report.push(warning.help("`limit: 1` boots one server after the other"));
        }
        Self {
            limit: Limit::decode(&section.at("limit")),
            wait: section.at("wait").seconds(),
            barrier: match section.at("barrier").word() {
                Some("before_boot") => BarrierOrder::BeforeBoot,
                _ => BarrierOrder::AfterBoot,
            },
            parallel_roles: section.at("parallel_roles").boolean().unwrap_or(true),
            on_failure: match section.at("on_failure").word() {
                Some("rollback") => OnFailure::Rollback,
                _ => OnFailure::Keep,
            },
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Limit::Servers(count) => count.serialize(to),
            Limit::Percent(percent) => to.collect_str(&format_args!("{percent}%")),
        }
    }
}

impl Limit {
    fn decode(field: &Field) -> Option<Self> {
        match field.count() {
            Some(servers) => usize::try_from(servers).ok().map(Limit::Servers),
            None => percent(&field.text()?).map(Limit::Percent),
        }
    }
}

fn percent(text: &str) -> Option<u32> {
    let percent = text.trim().strip_suffix('%')?.trim().parse().ok()?;
    (1..=100).contains(&percent).then_some(percent)
}
