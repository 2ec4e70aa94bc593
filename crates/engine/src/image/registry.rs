//! Logs in to and out of the registry, on this machine and on servers.

mod own;

use bowline_config::Config;
use bowline_core::commands::registry;
use bowline_core::plan::secrets::registry_secrets;
use bowline_core::plan::step::Step;
use bowline_core::secrets::{Secrets, login};
use bowline_core::selection::Selection;

use crate::call::Call;
use crate::error::{RunError, hint_to};
use crate::local::{run, run_shown, words};
use crate::ports::LocalCommand;
use crate::project::Project;
use crate::run::fleet::run_all;
use crate::world::{Gathered, HostOutput, World};

/// The machines on which `registry login` and `registry logout` act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Where {
    pub here: bool,
    pub servers: bool,
}

pub(crate) async fn log_in_here(world: &World, config: &Config, secrets: &Secrets) -> Result<(), RunError> {
    let Some(login) = login(&config.registry, secrets)? else { return Ok(()) };
    let mut words = words(&["docker"]);
    words.extend(login.words().into_iter().map(Into::into));
    let command = LocalCommand { words, input: Some(login.password.clone()), ..Default::default() };
    let shown = format!("docker login --username {} …", login.username);
    run_shown(world, &command, shown).await.map(drop).map_err(|failed| {
        let server = login.server.as_deref().unwrap_or("Docker Hub");
        let hint = format!(
            "check `registry:` (server {server}): username, password, and that this machine can reach it"
        );
        let hint = hint_to(failed.said()).unwrap_or(hint);
        failed.at("registry login", Some(hint))
    })
}

/// Reports an error if there is no registry.
pub fn check_login(project: &Project, command: &str) -> Result<(), RunError> {
    if project.config.registry.is_absent() {
        return Err(RunError::Usage {
            message: format!("there is no registry to {command}: servers get the image from this machine"),
            hint: Some("`registry: {server: …, username: …, password: [NAME_OF_A_SECRET]}` names one".into()),
        });
    }
    Ok(())
}

/// `registry login` and `registry setup`.
pub async fn log_in(call: Call<'_>, place: Where) -> Result<Gathered, RunError> {
    if call.config().registry.is_absent() {
        let said = "nothing to set up: servers get the image from this machine";
        return Ok(only(vec![HostOutput::said("this machine", None, said)]));
    }
    let secrets = call.project.secrets(call.world, &registry_secrets(call.config())).await?;
    let mut said = Vec::new();
    if place.here {
        log_in_here(call.world, call.config(), &secrets).await?;
        said.push(HostOutput::said("this machine", None, "logged in"));
    }
    let Some(login) = login(&call.config().registry, &secrets)?.filter(|_| place.servers) else {
        return Ok(only(said));
    };
    let step = || Step::Run("log in to the registry", registry::login(&login));
    let gathered = on_servers(call, step).await?;
    Ok(with(said, gathered, "logged in"))
}

/// `registry logout` and `registry remove`.
pub async fn log_out(call: Call<'_>, place: Where) -> Result<Gathered, RunError> {
    if call.config().registry.is_local() {
        return own::remove(call.world, place).await.map(only);
    }
    if call.config().registry.is_absent() {
        let said = "nothing to remove: there is no registry";
        return Ok(only(vec![HostOutput::said("this machine", None, said)]));
    }
    let server = call.config().registry.server.as_deref();
    let mut said = Vec::new();
    if place.here {
        let mut words = words(&["docker", "logout"]);
        words.extend(server.map(Into::into));
        let command = LocalCommand { words, ..Default::default() };
        run(call.world, &command).await.map_err(|failed| failed.at("registry logout", None))?;
        said.push(HostOutput::said("this machine", None, "logged out"));
    }
    if !place.servers {
        return Ok(only(said));
    }
    let step = || Step::Run("log out of the registry", registry::logout(server));
    let gathered = on_servers(call, step).await?;
    Ok(with(said, gathered, "logged out"))
}

async fn on_servers(call: Call<'_>, step: impl Fn() -> Step) -> Result<Gathered, RunError> {
    let selection = Selection::new(call.config(), &call.options.filters)?;
    let (fleet, failures) = call.connect(&selection.hosts).await?;
    let there = selection.hosts.iter().filter(|host| fleet.has(host));
    let steps = there.map(|host| ((*host).to_string(), None, step())).collect();
    Ok(run_all(&fleet, steps, failures, selection.hosts.len()).await)
}

fn only(outputs: Vec<HostOutput>) -> Gathered {
    Gathered { total: outputs.len(), outputs, failures: Vec::new() }
}

/// This machine's result, followed by the servers' results.
fn with(said: Vec<HostOutput>, mut gathered: Gathered, done: &str) -> Gathered {
    for output in gathered.outputs.iter_mut().filter(|output| output.output.success()) {
        *output = HostOutput::said(&output.host, None, done);
    }
    gathered.outputs.splice(0..0, said);
    gathered
}
