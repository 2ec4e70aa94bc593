//! Whether a configuration is for Kamal 1 or for Kamal 2, according to its keys.
//!
//! The generation decides whether Traefik or kamal-proxy sends requests to a role. The two route differently, so Bowline
//! must never silently use the wrong one. The rules:
//!
//! - `proxy` anywhere means Kamal 2. `traefik` or `healthcheck`, at the root or in a role, means Kamal 1. Both together are
//!   an error.
//! - Without any of these, another key of Kamal 1 (`stop_wait_time`, `env_tags`, …) means Kamal 1. Otherwise `builder/arch`,
//!   which Kamal 2 requires and Kamal 1 doesn't know, means Kamal 2.
//! - A file with none of these keys is for Kamal 1: Kamal 2 would reject it.

use std::fmt;

use super::decode::Report;
use super::describe::Origin;
use super::diagnostic::Diagnostic;
use super::given::plain;
use super::shape::GenerationKey;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Kamal 1: Traefik sends requests to roles.
    One,
    /// Kamal 2: kamal-proxy does.
    Two,
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Generation::One => "Kamal 1",
            Generation::Two => "Kamal 2",
        })
    }
}

/// Returns the generation and the key that decided it, if any.
pub(super) fn decide(keys: &[GenerationKey], report: &mut Report) -> (Generation, Option<String>) {
    let decisive = |origin: Origin, names: &[&str]| -> Vec<&GenerationKey> {
        let named = |path: &str| names.contains(&path.rsplit('/').next().unwrap_or_default());
        let mut found: Vec<_> = keys.iter().filter(|key| key.origin == origin && named(&key.path)).collect();
        found.sort_by_key(|key| key.path.matches('/').count());
        found
    };
    let one = decisive(Origin::Kamal1, &["traefik", "healthcheck"]);
    let two = decisive(Origin::Kamal2, &["proxy"]);
    if let Some(other) = two.first() {
        one.iter().for_each(|key| report.push(conflict(key, other)));
    }
    let any_one = || keys.iter().find(|key| key.origin == Origin::Kamal1);
    let arch = || keys.iter().find(|key| key.path == "builder/arch");
    let key = two.first().or(one.first()).copied().or_else(any_one).or_else(arch);
    let generation = match key {
        Some(key) if key.origin == Origin::Kamal2 => Generation::Two,
        _ => Generation::One,
    };
    (generation, key.map(|key| plain(&key.path)))
}

fn conflict(one: &GenerationKey, two: &GenerationKey) -> Diagnostic {
    let message = format!(
        "{} is a key of Kamal 1, and {} one of Kamal 2: a project can't have both",
        one.path, two.path
    );
    Diagnostic::error(one.span, message)
        .label("Kamal 1's")
        .also(two.span, "Kamal 2's")
        .help(format!("Kamal 2 has `{}` instead; keep the keys of one of them", one.instead))
}
