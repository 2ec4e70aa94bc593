//! `proxy boot|reboot|upgrade|start|stop|restart|remove|details|logs|boot-config`: kamal-proxy, which all apps of a server share.

use bowline_core::commands::Action;
use bowline_core::commands::logs::Lines;
use bowline_core::plan::secrets::Secrets;
use bowline_core::plan::step::Step;
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::kamal::boot_config::{self, BootConfig};
use bowline_core::proxy::kamal::container::{Power, Replace};
use bowline_core::proxy::kamal::{self as core, NAME, secrets as of};

use crate::call::Call;
use crate::error::RunError;
use crate::proxy::kamal::{ensure, gap, remove_from, step, upgrade, with_image};
use crate::proxy::{At, life};
use crate::run::change::Change;
use crate::world::Gathered;

const KIND: ProxyKind = ProxyKind::Kamal;

/// `proxy boot`: makes sure it runs.
pub async fn boot(call: Call<'_>) -> Result<Gathered, RunError> {
    let secrets = pull_secrets(call).await?;
    life::on_each(call, KIND, async |change: &Change<'_>, host: &str| {
        let wanted = core::ensure(call.config(), &change.scope, host);
        life::log_in(change, of::login(call.config(), &secrets, host), host).await?;
        let answer = ensure(At { fleet: &change.fleet, host }, &call.world.own_proxy, &wanted).await?;
        Ok(format!("{} {NAME}", if answer.made { "booted" } else { "started" }))
    })
    .await
}

/// `proxy reboot`: a new one with the configuration as it is now, on all servers at once or (`rolling`) one after the other.
pub async fn reboot(call: Call<'_>, rolling: bool) -> Result<Gathered, RunError> {
    let secrets = pull_secrets(call).await?;
    life::in_groups(call, (KIND, rolling), async |change: &Change<'_>, host: &str| {
        let wanted = core::ensure(call.config(), &change.scope, host);
        let at = At { fleet: &change.fleet, host };
        life::log_in(change, of::login(call.config(), &secrets, host), host).await?;
        let replace = |ensure| core::Step::Replace(Box::new(Replace { ensure }));
        let answer = with_image(at, &call.world.own_proxy, &wanted, replace).await?;
        Ok(format!("rebooted {NAME}{}", gap(&answer)))
    })
    .await
}

/// `proxy upgrade`: replaces the running proxy, without downtime if it is Bowline's own.
pub async fn upgrade(call: Call<'_>, rolling: bool) -> Result<Gathered, RunError> {
    let secrets = pull_secrets(call).await?;
    life::in_groups(call, (KIND, rolling), async |change: &Change<'_>, host: &str| {
        let wanted = core::ensure(call.config(), &change.scope, host);
        life::log_in(change, of::login(call.config(), &secrets, host), host).await?;
        upgrade::upgrade(At { fleet: &change.fleet, host }, &call.world.own_proxy, &wanted).await
    })
    .await
}

/// The secrets of the registry that its image is in.
async fn pull_secrets(call: Call<'_>) -> Result<Secrets, RunError> {
    call.project.secrets(call.world, &of::of_pull(call.config())).await
}

/// `proxy start`, `stop`, `restart`.
pub async fn power(call: Call<'_>, action: Action) -> Result<Gathered, RunError> {
    life::on_each(call, KIND, async |change: &Change<'_>, host: &str| {
        let power = step(core::Step::Power(Power { scope: change.scope.clone(), action }));
        change.fleet.run(host, None, &power).await.map_err(crate::proxy::kamal::explained)?;
        Ok(format!("{} {NAME}", action.done()))
    })
    .await
}

/// `proxy remove`: only without services, unless `force`.
pub async fn remove(call: Call<'_>, force: bool) -> Result<Gathered, RunError> {
    let remove = async |change: &Change<'_>, host: &str| remove_from(change, host, force).await;
    life::on_each(call, KIND, remove).await
}

/// `proxy details`: its container and routes.
pub async fn details(call: Call<'_>) -> Result<Gathered, RunError> {
    life::details(call, KIND).await
}

/// `proxy logs`.
pub async fn logs(call: Call<'_>, lines: &Lines) -> Result<Gathered, RunError> {
    life::logs(call, (KIND, NAME), lines).await
}

/// `proxy boot-config set`: settings for servers whose configuration has no `proxy/run`.
pub async fn set_boot_config(call: Call<'_>, config: &BootConfig) -> Result<Gathered, RunError> {
    on_files(call, &boot_config::set(config), "the next reboot applies it").await
}

/// `proxy boot-config reset`.
pub async fn reset_boot_config(call: Call<'_>) -> Result<Gathered, RunError> {
    on_files(call, &boot_config::reset(), "back to the defaults with the next reboot").await
}

async fn on_files(
    call: Call<'_>,
    script: &bowline_core::shell::Script,
    done: &str,
) -> Result<Gathered, RunError> {
    life::on_each(call, KIND, async |change: &Change<'_>, host: &str| {
        if core::run_of(call.config(), host).is_some() {
            let text = "`proxy: run:` in the configuration wins over these files".into();
            change.fleet.emit(crate::event::Event::Note { host: Some(host.into()), text });
        }
        change.fleet.run(host, None, &Step::Run("write the boot configuration", script.clone())).await?;
        Ok(done.to_owned())
    })
    .await
}

/// `proxy boot-config get`.
pub async fn boot_config(call: Call<'_>) -> Result<Gathered, RunError> {
    life::ask(call, KIND, &boot_config::get()).await
}
