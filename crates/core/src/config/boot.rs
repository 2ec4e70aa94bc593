//! `boot`: how many servers at once, and in which order the roles come up.

use std::time::Duration;

/// `boot`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Boot {
    /// `limit`: servers booted at once; all when absent.
    pub limit: Option<Limit>,
    /// `wait`: pause after each group.
    pub wait: Option<Duration>,
    /// `barrier`: whether the other roles boot at once and hold their old containers, or boot after it opened.
    pub barrier: BarrierOrder,
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
    /// The size of a group for so many configured servers.
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
