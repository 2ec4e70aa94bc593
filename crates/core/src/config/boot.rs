//! `boot`: how many servers at once, and in which order the roles come up.

use std::time::Duration;

use super::decode::{Field, Keys, Report};

/// `boot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// `limit`: servers booted at once; all when absent.
    pub limit: Option<Limit>,
    /// `wait`: pause after each group.
    pub wait: Option<Duration>,
    /// `barrier`: whether the other roles boot at once and hold their old containers, or boot after it opened.
    pub barrier: BarrierOrder,
    /// `parallel_roles`: whether the roles of one server boot side by side (unless set: yes).
    pub parallel_roles: bool,
    /// `on_failure`: what becomes of servers that were switched already when another one fails.
    pub on_failure: OnFailure,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            limit: None,
            wait: None,
            barrier: BarrierOrder::default(),
            parallel_roles: true,
            on_failure: OnFailure::default(),
        }
    }
}

/// A number of servers, absolute or in relation to all configured ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many servers (at least 1).
    Servers(usize),
    /// So many percent of the configured servers, rounded down, at least one.
    Percent(u32),
}

impl Limit {
    /// The size of a group for so many configured servers, those of accessories among them.
    pub fn of(self, servers: usize) -> usize {
        match self {
            Limit::Servers(count) => count.max(1),
            Limit::Percent(percent) => (servers * percent as usize / 100).max(1),
        }
    }
}

/// When the roles other than the primary boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BarrierOrder {
    /// At once; only the retiring of their old containers waits for the barrier.
    #[default]
    AfterBoot,
    /// `before_boot`: after a container of the primary role is healthy, as Kamal does.
    BeforeBoot,
}

/// What becomes of servers that serve the new version already when the run fails on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// They keep it.
    #[default]
    Keep,
    /// `rollback`: they go back to the version they had.
    Rollback,
}

const KEYS: Keys = Keys { known: &["limit", "wait", "barrier", "parallel_roles", "on_failure"], later: &[] };

impl Boot {
    pub(super) fn decode(field: &Field, report: &mut Report) -> Self {
        let Some(section) = field.section(&KEYS, report) else { return Self::default() };
        Self {
            limit: section.get("limit").and_then(|field| Limit::decode(&field, report)),
            wait: section.seconds("wait", 0, report),
            barrier: section
                .get("barrier")
                .and_then(|field| BarrierOrder::decode(&field, report))
                .unwrap_or_default(),
            parallel_roles: section.boolean("parallel_roles", report).unwrap_or(true),
            on_failure: section
                .get("on_failure")
                .and_then(|field| OnFailure::decode(&field, report))
                .unwrap_or_default(),
        }
    }
}

impl OnFailure {
    fn decode(field: &Field, report: &mut Report) -> Option<Self> {
        match field.string(report)?.as_str() {
            "keep" => Some(OnFailure::Keep),
            "rollback" => Some(OnFailure::Rollback),
            _ => {
                report.push(field.error("should be `keep` or `rollback`"));
                None
            }
        }
    }
}

impl Limit {
    fn decode(field: &Field, report: &mut Report) -> Option<Self> {
        let Some(percent) = field.scalar().and_then(|scalar| scalar.text.trim().strip_suffix('%')) else {
            let servers = field.integer(1, 10_000, report)?;
            return usize::try_from(servers).ok().map(Limit::Servers);
        };
        match percent.trim().parse::<u32>() {
            Ok(percent @ 1..=100) => Some(Limit::Percent(percent)),
            _ => {
                report.push(field.error("should be between 1% and 100%"));
                None
            }
        }
    }
}

impl BarrierOrder {
    fn decode(field: &Field, report: &mut Report) -> Option<Self> {
        match field.string(report)?.as_str() {
            "after_boot" => Some(BarrierOrder::AfterBoot),
            "before_boot" => Some(BarrierOrder::BeforeBoot),
            _ => {
                report.push(field.error("should be `after_boot` or `before_boot`"));
                None
            }
        }
    }
}
