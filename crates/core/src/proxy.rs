//! The kinds of proxy, and what a plan asks them.

use bowline_config::{Role, ServedBy};

/// What sends requests to a role's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProxyKind {
    /// No proxy.
    None,
    /// Traefik.
    Traefik,
}

impl ProxyKind {
    /// The kind that serves a role. Roles behind kamal-proxy are refused before anything is planned
    /// (`bowline_config::unbuilt`).
    pub fn of(role: &Role) -> Self {
        match role.served_by {
            ServedBy::Traefik => Self::Traefik,
            ServedBy::Nothing | ServedBy::KamalProxy(_) => Self::None,
        }
    }
}
