//! The commands: each opens a session, asks the engine, shows the result.

mod app;
mod audit;
mod config;
mod deploy;
mod details;
mod docs;
mod exec;
mod init;
mod lock;
mod logs;
mod plan;
mod prune;
mod remove;
mod secrets;
mod traefik;
mod version;

use std::sync::Arc;

use bowline_core::plan::Kind;
use bowline_engine::error::RunError;
use bowline_engine::template::Templates;

use bowline_engine::listing::Listing;
use bowline_engine::remove::Removal;

use crate::args::{App, Cli, Command, Confirm, Lock, Secrets};
use crate::exit::Ended;
use crate::session;
use crate::settings::{Settings, Surroundings};

/// Runs a command to its end; gives the exit status. `templates` are those that were rendered to find the command.
pub fn run(cli: Cli, templates: Arc<Templates>) -> u8 {
    let command = cli.command;
    if matches!(command, Command::Version) {
        return version::run();
    }
    let mut settings = Settings::new(&cli.globals, first_word(&command), Surroundings::look());
    settings.templates = templates;
    if let Command::Deploy(push) | Command::Redeploy(push) = &command {
        settings.options.skip_push = push.skip_push;
    }
    let ended = match command {
        Command::Init { bundle } => init::run(&settings, bundle),
        command => in_runtime(&mut settings, command),
    };
    session::conclude(&settings, ended)
}

/// Commands that wait for servers or programs, and so need the runtime. Its threads are only made for them.
fn in_runtime(settings: &mut Settings, command: Command) -> Result<u8, Ended> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(
            |error| RunError::Local {
                what: "starting up".into(),
                reason: error.to_string(),
                hint: None,
                standing: Vec::new(),
            },
        )?;
    let ended = runtime.block_on(dispatch(settings, command));
    // Somebody may still be asked for a passphrase that nobody waits for any more.
    runtime.shutdown_background();
    ended
}

async fn dispatch(settings: &mut Settings, command: Command) -> Result<u8, Ended> {
    match command {
        Command::Deploy(_) => deploy::run(settings, Kind::Deploy).await,
        Command::Redeploy(_) => deploy::run(settings, Kind::Redeploy).await,
        Command::Rollback { version } => deploy::back(settings, version).await,
        Command::Plan(args) => plan::run(settings, args).await,
        Command::App(App::Boot) => deploy::run(settings, Kind::Boot).await,
        Command::App(App::Exec(args)) => exec::run(settings, args).await,
        Command::App(App::Logs(args)) => logs::run(settings, args).await,
        Command::App(App::Details) => details::list(settings, Listing::Running).await,
        Command::App(App::Containers) => details::list(settings, Listing::Containers).await,
        Command::App(App::Images) => details::list(settings, Listing::Images).await,
        Command::App(App::Start) => app::start(settings).await,
        Command::App(App::Stop) => app::stop(settings).await,
        Command::App(App::StaleContainers { stop }) => app::stale(settings, stop).await,
        Command::App(App::Remove(confirm)) => remove::run(settings, &Removal::App, confirm).await,
        Command::App(App::RemoveContainer { version }) => {
            remove::run(settings, &Removal::Container(version), Confirm { confirmed: true }).await
        }
        Command::App(App::RemoveContainers(confirm)) => {
            remove::run(settings, &Removal::Containers, confirm).await
        }
        Command::App(App::RemoveImages(confirm)) => remove::run(settings, &Removal::Images, confirm).await,
        Command::Remove(confirm) => remove::run(settings, &Removal::Everything, confirm).await,
        Command::Traefik(what) => traefik::run(settings, what).await,
        Command::Prune(what) => prune::run(settings, what).await,
        Command::Details => details::list(settings, Listing::Everything).await,
        Command::App(App::Version) => details::versions(settings).await,
        Command::Lock(Lock::Status) => lock::status(settings).await,
        Command::Lock(Lock::Acquire { message }) => lock::acquire(settings, &message).await,
        Command::Lock(Lock::Release) => lock::release(settings).await,
        Command::Audit { lines } => audit::run(settings, lines).await,
        Command::Config => config::run(settings).await,
        Command::Init { bundle } => init::run(settings, bundle),
        Command::Docs { section, markdown } => docs::run(section.as_deref(), markdown),
        Command::Schema => Ok(docs::schema()),
        Command::Secrets(Secrets::Fetch(args)) => secrets::fetch(settings, args).await,
        Command::Secrets(Secrets::Extract { name, object }) => secrets::extract(settings, &name, object),
        Command::Secrets(Secrets::Print) => secrets::print(settings).await,
        Command::Version => Ok(version::run()),
    }
}

/// What hooks know the command by.
fn first_word(command: &Command) -> &'static str {
    match command {
        Command::Deploy(_) => "deploy",
        Command::Redeploy(_) => "redeploy",
        Command::Rollback { .. } => "rollback",
        Command::Plan(_) => "plan",
        Command::App(_) => "app",
        Command::Lock(_) => "lock",
        Command::Traefik(_) => "traefik",
        Command::Prune(_) => "prune",
        Command::Remove(_) => "remove",
        Command::Details => "details",
        Command::Audit { .. } => "audit",
        Command::Config => "config",
        Command::Init { .. } => "init",
        Command::Docs { .. } => "docs",
        Command::Schema => "schema",
        Command::Secrets(_) => "secrets",
        Command::Version => "version",
    }
}
