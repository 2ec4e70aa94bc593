//! What is already as wanted: if you run a deploy again that failed on some servers, it continues there and leaves the others
//! alone.
//!
//! A label on each container says how it was configured. A container is *kept* if it is the only one that runs, is healthy,
//! serves the wanted version, and is configured exactly as the plan would do. This holds only while something is left to do on
//! another server. If everything is done, deploying the same version again means that the user wants new containers.
//! `redeploy` and `app boot` never keep one.

use std::net::IpAddr;

use hmac_sha256::Hash;

use super::deploy::DeployRequest;
use super::{DeployKind, Plan, RolePlan, ServerPlan};
use crate::commands::app;
use crate::observed::{Container, Observed};
use crate::proxy::Attach;
use bowline_config::Config;
use bowline_config::secret::Secret;

/// The label with a container's [`fingerprint`].
pub const LABEL: &str = "bowline.config";
/// Bytes of each half of it: enough to tell two configurations of one app apart.
const BYTES: usize = 8;

/// A container that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: String,
    /// Where it is reached.
    pub addresses: Vec<IpAddr>,
    /// The id of the image it runs: one that was built again under the same version is another.
    pub image_id: String,
}

/// The label that says what a container is made of, but for what is new in each run: its command line, and after a
/// dash that with its secrets. By the latter a secret that is short could be guessed: it is for no eyes either.
pub(super) fn fingerprint(boot: &app::Boot, attach: &Attach) -> Secret {
    let mut boot = boot.clone();
    boot.scope.run = String::new();
    let line = attach.settings().iter().fold(boot.run_line().to_string(), |line, word| line + "\0" + word);
    let (mut clear, mut secret) = (Hash::new(), Hash::new());
    clear.update(&line);
    secret.update(&line);
    secret.update([0]);
    secret.update(boot.environment.secret.input().expose());
    Secret::new(format!("{LABEL}={}", [clear, secret].map(hex).join("-")))
}

fn hex(hash: Hash) -> String {
    hash.finalize().iter().take(BYTES).map(|byte| format!("{byte:02x}")).collect()
}

/// The part of a fingerprint that counts: where values stand in for the secrets, the first.
fn part(fingerprint: &str, secrets_known: bool) -> &str {
    if secrets_known { fingerprint } else { fingerprint.split('-').next().unwrap_or_default() }
}

/// The container of a role that is just what this plan of it would make, if there is one.
pub(super) fn kept(
    config: &Config,
    request: &DeployRequest,
    role: &RolePlan,
    observed: &Observed,
) -> Option<Kept> {
    // Whether a proxy knows the container can't be seen here. Where the run came to its end, it does.
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
        && container.labels.get(LABEL).map(|own| part(own)) == wanted
        && image == Some(&container.image_id);
    is_it.then(|| Kept {
        id: container.id.clone(),
        addresses: container.address().into_iter().collect(),
        image_id: container.image_id.clone(),
    })
}

/// Whether a server has the version as its latest, so that nothing is left to do when all its roles are kept.
pub(super) fn is_tagged(config: &Config, version: &str, observed: &Observed) -> bool {
    let image = |name: &str| observed.images.get(name);
    observed.served.last().is_some_and(|served| served == version)
        && image(&config.latest_image()).is_some()
        && image(&config.latest_image()) == image(&config.image_of(version))
}

/// Keeps what is as wanted only if something else isn't; `all_seen`: no server was left out.
pub(super) fn only_to_go_on(servers: &mut [ServerPlan], all_seen: bool) {
    if all_seen && servers.iter().all(ServerPlan::is_done) {
        servers.iter_mut().flat_map(|server| &mut server.roles).for_each(|role| role.kept = None);
    }
}

impl ServerPlan {
    /// Whether nothing is left to do there.
    pub fn is_done(&self) -> bool {
        self.tagged && self.roles.iter().all(|role| role.kept.is_some())
    }
}

/// What is left alone, for people; nothing if there is nothing. `kept`: servers and roles.
pub fn told<'a>(plan: &'a Plan, kept: impl Fn(&str, &str) -> bool) -> Option<String> {
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
