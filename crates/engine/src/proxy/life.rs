//! The commands that exist for every kind of proxy.

use bowline_core::commands::logs::{self, Lines};
use bowline_core::plan::step::Step;
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::kamal::boot_config;
use bowline_core::shell::Script;

use super::behind;
use crate::call::Call;
use crate::error::RunError;
use crate::logs::follow_all;
use crate::run::fleet::run_all;
use crate::world::Gathered;

/// The name of the hook around a reboot of the proxy. If the project has no such hook, returns the name from the other
/// generation of Kamal, so that a hook for a load balancer always runs.
pub(crate) fn hook(call: Call<'_>, kind: ProxyKind, when: &str) -> String {
    let path = &call.config().hooks_path;
    let there = |name: &str| call.world.local.kind(&format!("{path}/{name}")).is_some();
    let [own, other] = match kind {
        ProxyKind::Traefik => ["traefik", "proxy"],
        ProxyKind::Kamal | ProxyKind::None => ["proxy", "traefik"],
    }
    .map(|proxy| format!("{when}-{proxy}-reboot"));
    if !there(&own) && there(&other) { other } else { own }
}

/// Shows the proxy's container and, if it knows them, its routes.
pub async fn details(call: Call<'_>, kind: ProxyKind) -> Result<Gathered, RunError> {
    ask(call, kind, &kind.details()).await
}

pub async fn boot_config(call: Call<'_>) -> Result<Gathered, RunError> {
    ask(call, ProxyKind::Kamal, &boot_config::get()).await
}

async fn ask(call: Call<'_>, kind: ProxyKind, script: &Script) -> Result<Gathered, RunError> {
    let (_, hosts) = behind(call.config(), &call.options.filters, kind)?;
    let (fleet, failures) = call.connect(&hosts).await?;
    let step = |host: &&str| ((*host).to_string(), None, Step::Run("list", script.clone()));
    let steps = hosts.iter().filter(|host| fleet.has(host)).map(step).collect();
    Ok(run_all(&fleet, steps, failures, hosts.len()).await)
}

/// Shows the log of every server, once or followed until the run is interrupted.
pub async fn logs(call: Call<'_>, kind: ProxyKind, lines: &Lines) -> Result<Gathered, RunError> {
    let name = kind.container().unwrap_or_default();
    let (_, hosts) = behind(call.config(), &call.options.filters, kind)?;
    let (fleet, failures) = call.connect(&hosts).await?;
    let total = hosts.len();
    let step = || Step::Wait("show the log", logs::logs(name, lines), logs::LONGEST_S);
    let there: Vec<&str> = hosts.into_iter().filter(|host| fleet.has(host)).collect();
    if !lines.follow {
        let steps = there.into_iter().map(|host| (host.to_string(), None, step())).collect();
        return Ok(run_all(&fleet, steps, failures, total).await);
    }
    let steps = there.into_iter().map(|host| (host.to_string(), name.to_string(), step())).collect();
    let failed = call.world.unless_stopped(follow_all(&fleet, steps)).await?;
    Ok(Gathered { outputs: Vec::new(), failures: failures.into_iter().chain(failed).collect(), total })
}
