//! Other containers on a server whose labels Traefik reads too: any app can name anything in its labels.

use std::collections::BTreeMap;

use bowline_config::{Accessory, Config, Pairs};

use super::labels::{conflict, hidden, routes, written};
use crate::names::NETWORK;
use crate::observed::Observed;
use crate::proxy::Refusal;

/// Refuses labels that contradict those of a container of another app: Traefik would drop what both name, and the
/// other app would answer no more.
pub(crate) fn apps_agree(
    host: &str,
    labels: &Pairs,
    container: &str,
    theirs: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    let Some((kind, name)) = conflict(labels, theirs) else { return Ok(()) };
    Err(Refusal {
        message: format!(
            "`{kind}.{}` is set differently by {container} on {host}, which is of another app: Traefik would drop both",
            written(labels, name)
        ),
        hint: "name it differently in one of the two; a destination's own routers are called \
               SERVICE-ROLE-DESTINATION"
            .into(),
    })
}

/// Refuses labels of a role that contradict those of another on the same server.
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

/// What a person should know of another app's container that takes the same requests.
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
        "{container} takes the same requests ({}): Traefik sends them to one of the two; give each a rule of its own, \
         `traefik.http.routers.{}.rule`",
        rule.0,
        written(labels, &ours)
    ))
}

/// Accessories of this app that were booted before they were hidden from Traefik.
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
