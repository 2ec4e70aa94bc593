//! The commands: each opens a session, asks the engine, shows the result.

mod accessory;
mod app;
mod audit;
mod build;
mod config;
mod deploy;
mod details;
mod docs;
mod env;
mod exec;
mod init;
mod lock;
mod logs;
mod manual;
mod plan;
mod prune;
mod registry;
mod remove;
mod secrets;
mod server;
mod traefik;
mod version;

use std::sync::Arc;

use bowline_core::plan::Kind;
use bowline_engine::error::RunError;
use bowline_engine::template::Templates;

use bowline_engine::listing::Listing;
use bowline_engine::remove::Removal;

use crate::args::{Cli, Command};
use crate::bug;
use crate::exit::Ended;
use crate::session;
use crate::settings::{Settings, Surroundings};

/// Runs a command to its end; gives the exit status. `templates` are those that were rendered to find the command.
pub fn run(cli: Cli, templates: Arc<Templates>) -> u8 {
    let command = cli.command;
    if matches!(command, Command::Version) {
        return version::run();
    }
    let mut settings = Settings::new(&cli.globals, &cli.name, Surroundings::look());
    settings.templates = templates;
    settings.options.subcommand = cli.subname;
    if let Command::Setup(push) | Command::Deploy(push) | Command::Redeploy(push) = &command {
        settings.options.skip_push = push.skip_push;
        settings.options.no_cache = push.cache.no_cache;
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
    let ended = bug::caught(|| runtime.block_on(dispatch(settings, command)));
    // Somebody may still be asked for a passphrase that nobody waits for any more.
    runtime.shutdown_background();
    ended
}

async fn dispatch(settings: &mut Settings, command: Command) -> Result<u8, Ended> {
    match command {
        Command::Setup(_) => deploy::set_up(settings).await,
        Command::Deploy(_) => deploy::run(settings, Kind::Deploy).await,
        Command::Redeploy(_) => deploy::run(settings, Kind::Redeploy).await,
        Command::Rollback { version } => deploy::back(settings, version).await,
        Command::Plan(args) => plan::run(settings, args).await,
        Command::App(what) => app::run(settings, what).await,
        Command::Build(what) => build::run(settings, what).await,
        Command::Registry(what) => registry::run(settings, what).await,
        Command::Remove(confirm) => remove::run(settings, &Removal::Everything, confirm).await,
        Command::Traefik(what) => traefik::run(settings, what).await,
        Command::Accessory(what) => accessory::run(settings, what).await,
        Command::Prune(what) => prune::run(settings, what).await,
        Command::Details => details::list(settings, Listing::Everything).await,
        Command::Lock(what) => lock::run(settings, what).await,
        Command::Audit { lines } => audit::run(settings, lines).await,
        Command::Env(what) => env::run(settings, what).await,
        Command::Config => config::run(settings).await,
        Command::Init { bundle } => init::run(settings, bundle),
        Command::Docs { section, markdown } => docs::run(section.as_deref(), markdown),
        Command::Schema => Ok(docs::schema()),
        Command::Completion(args) => Ok(manual::completion(args.shell)),
        Command::Man(args) => manual::man(&args),
        Command::Secrets(what) => secrets::run(settings, what).await,
        Command::Server(what) => server::run(settings, what).await,
        Command::Version => Ok(version::run()),
    }
}
