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
use super::shape::Sign;

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
pub(super) fn tell(signs: &[Sign], report: &mut Report) -> (Generation, Option<String>) {
    let (generation, told_by) = told(signs, report);
    (generation, told_by.map(|path| plain(&path)))
}

fn told(signs: &[Sign], report: &mut Report) -> (Generation, Option<String>) {
    let last = |sign: &Sign| sign.path.rsplit('/').next().unwrap_or_default().to_owned();
    let decisive = |origin: Origin, names: &[&str]| -> Vec<&Sign> {
        let is = |sign: &&Sign| sign.origin == origin && names.contains(&last(sign).as_str());
        let mut found: Vec<&Sign> = signs.iter().filter(is).collect();
        found.sort_by_key(|sign| sign.path.matches('/').count());
        found
    };
    let one = decisive(Origin::Kamal1, &["traefik", "healthcheck"]);
    let two = decisive(Origin::Kamal2, &["proxy"]);
    if let Some(other) = two.first() {
        one.iter().for_each(|sign| report.push(conflict(sign, other)));
        return (Generation::Two, Some(other.path.clone()));
    }
    let any_one = || signs.iter().find(|sign| sign.origin == Origin::Kamal1);
    if let Some(sign) = one.first().copied().or_else(any_one) {
        return (Generation::One, Some(sign.path.clone()));
    }
    match signs.iter().find(|sign| sign.path == "builder/arch") {
        Some(sign) => (Generation::Two, Some(sign.path.clone())),
        None => (Generation::One, None),
    }
}

fn conflict(one: &Sign, two: &Sign) -> Diagnostic {
    let message = format!("{}: a key of Kamal 1, and {} is one of Kamal 2", one.path, two.path);
    Diagnostic::error(one.span, message)
        .label("Kamal 1's")
        .also(two.span, "Kamal 2's")
        .help(format!("Kamal 2 has `{}` instead; keep the keys of one of them", one.instead))
}
