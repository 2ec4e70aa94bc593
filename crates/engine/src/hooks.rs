//! Hooks: programs of the project that run on this machine at certain points of a run.

use std::time::Duration;

use bowline_config::init::hook_names;
use bowline_config::secret::Secret;
use bowline_config::{Config, HookLevel};
use bowline_core::commands::Scope;
use bowline_core::names::service_version;
use bowline_core::selection::Selection;

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::event::{Event, Phase};
use crate::local::{Limit, last, within};
use crate::ports::{Line, Local, LocalCommand, PathKind};
use crate::version::now;

/// Extensions of programs. (Another one, such as `.sample` or `.off`, may be there to turn the hook off.)
const PROGRAMS: [&str; 8] = ["sh", "bash", "zsh", "rb", "py", "pl", "js", "ts"];

/// A file that looks like a hook and can't run as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubtful {
    pub kind: Fault,
    pub text: String,
    pub hint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It can't be run, so a deploy fails at it.
    Unusable,
    /// It has an extension, so it never runs.
    Extension,
}

pub fn doubtful(local: &dyn Local, config: &Config) -> Vec<Doubtful> {
    let directory = &config.hooks_path;
    let path = |file: &str| format!("{directory}/{file}");
    let names: Vec<&str> = hook_names().collect();
    let mut doubtful = Vec::new();
    for path in names.iter().map(|name| path(name)) {
        let Some((why, hint)) = local.kind(&path).and_then(|kind| unusable(&path, kind)) else { continue };
        let text = format!("the hook {path} is {why}, so a deploy will fail");
        doubtful.push(Doubtful { kind: Fault::Unusable, text, hint });
    }
    let mut files = local.list(&format!("{directory}/"));
    files.sort();
    for file in files {
        let Some((name, extension)) = file.split_once('.') else { continue };
        if names.contains(&name) && PROGRAMS.contains(&extension) {
            doubtful.push(Doubtful {
                kind: Fault::Extension,
                text: format!("{} never runs: hooks have no extension", path(&file)),
                hint: format!("`mv {} {}`", path(&file), path(name)),
            });
        }
    }
    doubtful
}

/// Why a hook that exists can't be run, and what to do.
fn unusable(path: &str, kind: PathKind) -> Option<(&'static str, String)> {
    match kind {
        PathKind::Program => None,
        PathKind::File => Some(("not executable", format!("`chmod +x {path}`"))),
        PathKind::Directory => {
            Some(("a directory", format!("a hook is one program: put it at {path} itself")))
        }
    }
}

#[derive(Debug, Clone)]
pub struct Facts {
    pub performer: String,
    pub version: String,
    pub hosts: Vec<String>,
    /// Whether this run holds the lock.
    pub locked: bool,
    /// The run's id, which hooks get only under the lock.
    pub run: String,
    /// The run's duration, for post-deploy.
    pub runtime: Option<Duration>,
}

impl Facts {
    /// The facts of a run that doesn't hold the lock.
    pub fn of(scope: &Scope, version: &str, hosts: &[impl ToString]) -> Self {
        Self {
            performer: scope.performer.clone(),
            version: version.into(),
            hosts: hosts.iter().map(ToString::to_string).collect(),
            locked: false,
            run: scope.run.clone(),
            runtime: None,
        }
    }
}

/// Runs pre-connect, for commands other than a deploy.
pub async fn pre_connect(call: Call<'_>, hosts: &[&str]) -> Result<()> {
    if call.options.skip_hooks
        || call.world.local.kind(&format!("{}/pre-connect", call.config().hooks_path)).is_none()
    {
        return Ok(());
    }
    let version = call.version().await.unwrap_or_default();
    let facts = Facts::of(&call.scope().await, &version, hosts);
    run(call, "pre-connect", &facts).await
}

const WITH_SECRETS: [&str; 3] = ["pre-connect", "pre-deploy", "post-deploy"];

/// Resolves the secrets that a run's hooks will get, so that a missing one is an error before anything changes.
pub async fn prepare(call: Call<'_>) -> Result<()> {
    let never_run = doubtful(call.world.local.as_ref(), call.config())
        .into_iter()
        .filter(|hook| hook.kind == Fault::Extension);
    for hook in never_run.filter(|_| !call.options.skip_hooks) {
        let text = format!("{} ({})", hook.text, hook.hint);
        call.world.events.emit(Event::Note { host: None, text });
    }
    let there = |name: &str| call.world.local.kind(&format!("{}/{name}", call.config().hooks_path)).is_some();
    if !call.options.skip_hooks && WITH_SECRETS.into_iter().any(there) {
        call.project.hook_secrets(call.world).await?;
    }
    Ok(())
}

/// Runs a hook if the project has it. Emits each line of output as it comes, with the hook's level in `hooks_output`. A
/// failure always contains the last lines.
pub async fn run(call: Call<'_>, name: &str, facts: &Facts) -> Result<()> {
    let path = format!("{}/{name}", call.config().hooks_path);
    if call.options.skip_hooks {
        return Ok(());
    }
    let failed = |reason, hint| RunError::local(format!("hook {name}"), reason, hint);
    let Some(kind) = call.world.local.kind(&path) else { return Ok(()) };
    if let Some((why, hint)) = unusable(&path, kind) {
        return Err(failed(format!("{path} is {why}"), Some(hint)));
    }
    let level = call.config().hooks_output.of(name);
    let quiet = level == Some(HookLevel::Quiet);
    call.world.events.emit(Event::Phase(Phase::Hook { name: name.into(), quiet }));
    let file = path.clone();
    // The system would search PATH for a path without a slash.
    let program = if path.starts_with('/') || path.starts_with('.') { path } else { format!("./{path}") };
    let mut env = Vec::new();
    if WITH_SECRETS.contains(&name) {
        env.extend(call.project.hook_secrets(call.world).await?);
    }
    env.extend(environment(call, facts));
    let command = LocalCommand { words: vec![program], env, ..Default::default() };
    let on_line = |line: Line<'_>| {
        let (Line::Out(line) | Line::Err(line)) = line;
        call.world.events.emit(Event::Hook { name: name.into(), line: line.into(), level });
    };
    let running = within(call.world.local.as_ref(), &command, Limit::hook(call.world), &on_line);
    let output = call.world.unless_stopped(running).await?;
    let windows = || {
        let text = call.world.local.read(&file).ok().flatten()?;
        text.split('\n').next()?.ends_with('\r').then(|| {
            format!("{file} has Windows line endings: `sed -i 's/\\r$//' {file}`, and `{file} text eol=lf` in .gitattributes")
        })
    };
    let output = output.map_err(|reason| failed(reason, windows()))?;
    if output.success() {
        return Ok(());
    }
    let said = last(&format!("{}{}", output.stdout, output.stderr));
    Err(failed(format!("{}\n{said}", output.exit).trim_end().to_string(), windows()))
}

fn environment(call: Call<'_>, facts: &Facts) -> Vec<(String, Secret)> {
    let config = call.config();
    let mut pairs: Vec<(&str, String)> = vec![
        ("KAMAL_RECORDED_AT", now(call.world)),
        ("KAMAL_PERFORMER", facts.performer.clone()),
        ("KAMAL_VERSION", facts.version.clone()),
        ("KAMAL_SERVICE_VERSION", service_version(&config.service, &facts.version)),
        ("KAMAL_SERVICE", config.service.clone()),
        ("KAMAL_HOSTS", facts.hosts.join(",")),
        ("KAMAL_LOCK", facts.locked.to_string()),
        ("KAMAL_COMMAND", call.options.command.clone()),
    ];
    if facts.locked {
        pairs.push((crate::run::lock::RUN, facts.run.clone()));
    }
    if let Some(subcommand) = &call.options.subcommand {
        pairs.push(("KAMAL_SUBCOMMAND", subcommand.clone()));
    }
    if let Some(destination) = &config.destination {
        pairs.push(("KAMAL_DESTINATION", destination.clone()));
    }
    if !call.options.filters.roles.is_empty() {
        let named = Selection::new(config, &call.options.filters).map(|selection| {
            selection.roles.iter().map(|(role, _)| role.name.as_str()).collect::<Vec<_>>().join(",")
        });
        pairs.push(("KAMAL_ROLES", named.unwrap_or_else(|_| call.options.filters.roles.join(","))));
    }
    if let Some(runtime) = facts.runtime {
        pairs.push(("KAMAL_RUNTIME", runtime.as_secs().to_string()));
    }
    pairs.into_iter().map(|(key, value)| (key.to_string(), Secret::new(value))).collect()
}
