//! Which containers a run keeps: if you run a deploy again that failed on some servers, it continues there and leaves
//! the other servers alone.
//!
//! A label on each container holds a fingerprint of its configuration. A container is *kept* if it is the only running
//! one, is healthy, serves the wanted version, and is configured exactly as the plan would do. This applies only while
//! something is left to do on another server. If everything is done, deploying the same version again means that the
//! user wants new containers. `redeploy` and `app boot` never keep one.

use std::net::IpAddr;

use hmac_sha256::Hash;

use super::{Plan, RolePlan, ServerPlan};
use crate::commands::app::{self, MADE_LABEL};
use crate::observed::{Container, Observed};
use crate::proxy::Attach;
use crate::request::{DeployKind, DeployRequest};
use bowline_config::Config;
use bowline_config::secret::Secret;

/// Bytes of each half of the fingerprint: enough to distinguish the configurations of one app.
const BYTES: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: String,
    pub addresses: Vec<IpAddr>,
    /// The id of its image. An image that was rebuilt for the same version has another id.
    pub image_id: String,
}

/// The label that identifies a container's configuration, without what differs in each run: a hash of the command line,
/// a dash, and a hash of command line and secrets. The second could reveal a short secret, so it is a [`Secret`].
pub(super) fn fingerprint(boot: &app::Boot, attach: &Attach) -> Secret {
    let mut boot = boot.clone();
    boot.scope.run = String::new();
    let line = attach.settings().iter().fold(boot.run_line().to_string(), |line, word| line + "\0" + word);
    let (mut clear, mut secret) = (Hash::new(), Hash::new());
    clear.update(&line);
    secret.update(&line);
    secret.update([0]);
    secret.update(boot.environment.secret.input().expose());
    Secret::new(format!("{MADE_LABEL}={}", [clear, secret].map(hex).join("-")))
}

fn hex(hash: Hash) -> String {
    hash.finalize().iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// The part of a fingerprint to compare. With placeholders for the secrets, only the first half counts.
fn part(fingerprint: &str, secrets_known: bool) -> &str {
    if secrets_known { fingerprint } else { fingerprint.split('-').next().unwrap_or_default() }
}

/// The role's container that already matches the plan, if there is one.
pub(super) fn kept(
    config: &Config,
    request: &DeployRequest,
    role: &RolePlan,
    observed: &Observed,
) -> Option<Kept> {
    // The observation doesn't show whether kamal-proxy routes to the container. If the previous run finished, it does.
    let is_attached = !role.attach.kind().switches() || is_tagged(config, &request.version, observed);
    if !is_attached || !matches!(request.kind, DeployKind::Deploy | DeployKind::Rollback) {
        return None;
    }
    let boot = &role.boot;
    let part = |fingerprint| part(fingerprint, request.secrets_known);
    let wanted = boot.made.expose().split_once('=').map(|(_, value)| part(value));
    let of_role: Vec<&Container> = observed.of_role(&boot.scope.names, &role.role).collect();
    let mut running = of_role.into_iter().filter(|container| container.is_running());
    let (Some(container), None) = (running.next(), running.next()) else { return None };
    let healthy = boot.health.is_none() || container.health.as_deref() == Some("healthy");
    let image = observed.images.get(&config.image_of(&boot.version));
    let is_it = container.status == "running"
        && healthy
        && container.name == boot.container()
        && container.labels.get(MADE_LABEL).map(|own| part(own)) == wanted
        && image == Some(&container.image_id);
    is_it.then(|| Kept {
        id: container.id.clone(),
        addresses: container.address().into_iter().collect(),
        image_id: container.image_id.clone(),
    })
}

/// Whether a server records this version as its latest. If all its roles are kept as well, nothing is left to do there.
pub(super) fn is_tagged(config: &Config, version: &str, observed: &Observed) -> bool {
    let image = |name: &str| observed.images.get(name);
    observed.served.last().is_some_and(|served| served == version)
        && image(&config.latest_image()).is_some()
        && image(&config.latest_image()) == image(&config.image_of(version))
}

/// Keeps containers only if something else is left to do. `all_seen`: no server was left out.
pub(super) fn only_to_go_on(servers: &mut [ServerPlan], all_seen: bool) {
    if all_seen && servers.iter().all(ServerPlan::is_done) {
        servers.iter_mut().flat_map(|server| &mut server.roles).for_each(|role| role.kept = None);
    }
}

impl ServerPlan {
    pub fn is_done(&self) -> bool {
        self.tagged && self.roles.iter().all(|role| role.kept.is_some())
    }
}

/// Says which servers and roles stay as they are, for display, if any do. `kept` takes a server and a role.
pub fn summary<'a>(plan: &'a Plan, kept: impl Fn(&str, &str) -> bool) -> Option<String> {
    let (mut whole, mut parts): (Vec<&'a str>, Vec<String>) = (Vec::new(), Vec::new());
    for server in &plan.servers {
        let roles: Vec<&str> = server
            .roles
            .iter()
            .map(|role| role.role.as_str())
            .filter(|role| kept(&server.host, role))
            .collect();
        if roles.len() == server.roles.len() {
            whole.push(&server.host);
        } else if !roles.is_empty() {
            parts.push(format!("{} on {}", roles.join(", "), server.host));
        }
    }
    let count = whole.len() + parts.len();
    let all: Vec<String> = match whole.as_slice() {
        many @ [_, _, _, _, ..] => vec![format!("{} servers", many.len())],
        few => few.iter().map(|host| (*host).to_owned()).collect(),
    };
    let who = all.into_iter().chain(parts).collect::<Vec<_>>().join(", ");
    let runs = if count == 1 && whole.len() < 2 { "runs" } else { "run" };
    let again = match plan.kind {
        DeployKind::Rollback => String::new(),
        _ => "; `redeploy` boots it again everywhere".into(),
    };
    (count > 0).then(|| format!("{who} already {runs} {}: nothing to do there{again}", plan.version))
}
