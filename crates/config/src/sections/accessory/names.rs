//! Names that an accessory can't share on a server: each container has its own name, and so does each service of the proxy.

use super::{Accessory, Context};
use crate::decode::{Field, Report};
use crate::given::given;
use crate::{Role, ServedBy};

/// Checks the name of an accessory's container. `earlier` are the accessories before it in the file.
pub(super) fn check(
    accessory: &Accessory,
    field: &Field,
    earlier: &[Accessory],
    context: &Context,
    report: &mut Report,
) {
    let containers = earlier.iter().map(|other| {
        let hosts = other.hosts.iter().collect::<Vec<_>>();
        (other.service.clone(), format!("the container of the accessory `{}`", given(&other.name)), hosts)
    });
    let of_roles = context.roles.iter().flat_map(|role| of_role(role, accessory, context));
    let shared = containers.chain(of_roles).filter(|(name, ..)| *name == accessory.service).find_map(
        |(name, owner, hosts)| {
            let host = accessory.hosts.iter().find(|host| hosts.contains(host))?;
            Some(format!("`{}` is also the name of {owner} on {}", given(name), given(host)))
        },
    );
    if let Some(message) = shared {
        let field = field.get("service").unwrap_or_else(|| field.clone());
        report.push(field.error(&message).help("choose another name with `service: NAME`"));
    }
}

/// The names that a role needs on its servers, each with its owner: the proxy's container, and the role's service in the proxy.
fn of_role<'r>(
    role: &'r Role,
    accessory: &Accessory,
    context: &Context,
) -> Vec<(String, String, Vec<&'r String>)> {
    let hosts: Vec<&String> = role.hosts.iter().map(|at| &at.host).collect();
    let proxy = |name: &str| (name.to_owned(), "the proxy's container".to_owned(), hosts.clone());
    match role.served_by {
        ServedBy::Nothing => Vec::new(),
        ServedBy::Traefik => vec![proxy("traefik")],
        ServedBy::KamalProxy(_) if accessory.proxy.is_none() => vec![proxy("kamal-proxy")],
        ServedBy::KamalProxy(_) => {
            let end = context.destination.map(|name| format!("-{name}")).unwrap_or_default();
            let service = format!("{}-{}{end}", context.service, role.name);
            let owner = format!("the proxy's service for the role `{}`", given(&role.name));
            vec![proxy("kamal-proxy"), (service, owner, hosts)]
        }
    }
}
