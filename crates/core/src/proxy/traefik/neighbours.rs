//! Conflicts with other containers whose labels Traefik reads: any app can use any name in its labels.

use std::collections::BTreeMap;

use bowline_config::{Accessory, Config, Pairs};

use super::labels::{conflict, hidden, routes, written};
use crate::error::Refusal;
use crate::names::NETWORK;
use crate::observed::Observed;

/// Rejects labels that contradict those of another app's container. Traefik would drop every router or service that
/// both define differently, and the other app would stop responding.
pub(crate) fn apps_agree(
    host: &str,
    labels: &Pairs,
    container: &str,
    theirs: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let Some((kind, name)) = conflict(labels, theirs) else { return Ok(()) };
    Err(Refusal {
        message: format!(
            "`{kind}.{}` is set differently by {container} of another app on {host}: Traefik would drop both",
            written(labels, name)
        ),
        hint: "name it differently in one of the two; a destination's own routers are called \
               SERVICE-ROLE-DESTINATION"
            .into(),
    })
}

/// Rejects labels that contradict those of another role on the same server.
pub(crate) fn roles_agree(
    host: &str,
    (role, labels): (&str, &Pairs),
    (other, theirs): (&str, &Pairs),
) -> Result<(), Refusal> {
    let theirs = theirs.iter().cloned().collect();
    let Some((kind, name)) = conflict(labels, &theirs) else { return Ok(()) };
    Err(Refusal {
        message: format!(
            "`{kind}.{}` is set differently by the roles {other} and {role} on {host}: Traefik would drop both",
            written(labels, name)
        ),
        hint: "labels at the root are for every role that Traefik serves: put those of one role under \
               `servers: ROLE: labels:`"
            .into(),
    })
}

/// A remark about another app's container that gets the same requests, for display.
pub(crate) fn shared_requests(
    labels: &Pairs,
    container: &str,
    theirs: &BTreeMap<String, String>,
) -> Option<String> {
    let theirs: Pairs = theirs.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    let theirs = routes(&theirs);
    let (ours, rule) =
        routes(labels).into_iter().find(|(_, rule)| theirs.iter().any(|(_, other)| other == rule))?;
    Some(format!(
        "{container} matches the same requests ({}): Traefik sends them to one of the two; give each a rule of its own, \
         `traefik.http.routers.{}.rule`",
        rule.0,
        written(labels, &ours)
    ))
}

/// Remarks about accessories of this app that were booted before Bowline began to hide accessories from Traefik.
pub(super) fn exposed(config: &Config, host: &str, observed: &Observed) -> Vec<String> {
    let is_hidden = |accessory: &&Accessory| {
        let is_here = accessory.hosts.iter().any(|known| known == host) && accessory.network == NETWORK;
        is_here && !hidden(&accessory.labels, &accessory.options).is_empty()
    };
    let is_seen = |accessory: &&Accessory| {
        let running = observed.others.iter().find(|other| other.name == accessory.service);
        running.is_some_and(|running| !running.labels.keys().any(|key| key.starts_with("traefik.")))
    };
    let seen = config.accessories.iter().filter(is_hidden).filter(is_seen);
    seen.map(|accessory| {
        let (service, name) = (&accessory.service, &accessory.name);
        format!(
            "Traefik sends requests for `Host: {service}` to the accessory {name}; `accessory reboot {name}` ends that"
        )
    })
    .collect()
}
