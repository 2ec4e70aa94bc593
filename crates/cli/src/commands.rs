//! The commands, one per file: its arguments, its help and what it does.
//!
//! clap parses the type of each command. Its `run` calls the engine and shows the result.

mod accessory;
mod app;
mod audit;
mod build;
mod config;
mod confirm;
mod deploy;
mod details;
mod docs;
mod doctor;
mod env;
mod exec;
mod init;
mod lock;
mod logs;
mod manual;
mod plan;
mod proxy;
mod prune;
mod registry;
mod remove;
mod secrets;
mod server;
mod takeover;
pub(crate) mod topic;
mod traefik;
mod version;

use std::sync::Arc;

use bowline_core::plan::change::{Intent, Turns};
use bowline_engine as engine;
use bowline_engine::template::Templates;
use bowline_engine::world::Gathered;
use clap::Subcommand;

use crate::args::Cli;
use crate::bug;
use crate::exit::{self, Ended};
use crate::invocation::{self, Invocation, Subject, Work};
use crate::settings::{Settings, Surroundings, View};
use crate::ui::{Focus, json, out, results};

// In the order of the help. (A doc comment here would replace the program's own description.)
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Init),
    Setup(deploy::Setup),
    Deploy(deploy::Deploy),
    Redeploy(deploy::Redeploy),
    Rollback(deploy::Rollback),
    Plan(plan::Plan),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    App(app::App),
    #[command(subcommand)]
    Build(build::Build),
    #[command(subcommand)]
    Registry(registry::Registry),
    #[command(subcommand)]
    Proxy(proxy::Proxy),
    #[command(subcommand)]
    Traefik(traefik::Traefik),
    Upgrade(takeover::Upgrade),
    Downgrade(takeover::Downgrade),
    #[command(subcommand)]
    Accessory(accessory::Accessory),
    #[command(subcommand)]
    Server(server::Server),
    #[command(subcommand)]
    Lock(lock::Lock),
    #[command(subcommand)]
    Prune(prune::Prune),
    Remove(remove::Remove),
    Details(details::Details),
    Audit(audit::Audit),
    #[command(subcommand)]
    Env(env::Env),
    Config(config::Config),
    Docs(docs::Docs),
    Schema(docs::Schema),
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    Completion(manual::Completion),
    Man(manual::Man),
    Version(version::Version),
}

impl Command {
    async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        match self {
            Command::Init(init) => init.run(settings),
            Command::Setup(setup) => setup.run(settings).await,
            Command::Deploy(deploy) => deploy.run(settings).await,
            Command::Redeploy(redeploy) => redeploy.run(settings).await,
            Command::Rollback(rollback) => rollback.run(settings).await,
            Command::Plan(plan) => plan.run(settings).await,
            Command::Doctor(doctor) => doctor.run(settings).await,
            Command::App(app) => app.run(settings).await,
            Command::Build(build) => build.run(settings).await,
            Command::Registry(registry) => registry.run(settings).await,
            Command::Proxy(proxy) => proxy.run(settings).await,
            Command::Traefik(traefik) => traefik.run(settings).await,
            Command::Upgrade(upgrade) => upgrade.run(settings).await,
            Command::Downgrade(downgrade) => downgrade.run(settings).await,
            Command::Accessory(accessory) => accessory.run(settings).await,
            Command::Server(server) => server.run(settings).await,
            Command::Lock(lock) => lock.run(settings).await,
            Command::Prune(wanted) => change_to(settings, &wanted.intent()).await,
            Command::Remove(remove) => remove.run(settings).await,
            Command::Details(details) => details.run(settings).await,
            Command::Audit(audit) => audit.run(settings).await,
            Command::Env(wanted) => change_to(settings, &wanted.intent()).await,
            Command::Config(config) => config.run(settings).await,
            Command::Docs(docs) => docs.run(settings),
            Command::Schema(schema) => Ok(schema.run()),
            Command::Secrets(secrets) => secrets.run(settings).await,
            Command::Completion(completion) => Ok(completion.run()),
            Command::Man(man) => man.run(),
            Command::Version(version) => Ok(version.run(settings)),
        }
    }

    /// Whether it prints a file for another program, not a report.
    fn prints_a_file(&self) -> bool {
        match self {
            Command::Schema(_) | Command::Completion(_) | Command::Man(_) => true,
            Command::Docs(docs) => docs.markdown,
            _ => false,
        }
    }
}

/// Runs a command, and returns the exit status. `templates` were rendered to find the command.
pub(crate) fn run(cli: Cli, templates: Arc<Templates>) -> u8 {
    let Cli { globals, command, path } = cli;
    let mut settings = Settings { templates, ..Settings::new(&globals, &path, Surroundings::look()) };
    if settings.view == View::Json && command.prints_a_file() {
        settings.view = View::Plain;
    }
    if settings.view == View::Json {
        out::stdout([json::began(&path).to_string()]);
    }
    let ended = match globals.check() {
        Ok(()) => in_runtime(&settings, command),
        Err(error) => Err(error.into()),
    };
    invocation::conclude(&settings, ended)
}

fn in_runtime(settings: &Settings, command: Command) -> Result<u8, Ended> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| exit::failed_here("starting up", error.to_string(), None))?;
    let ended = bug::caught(|| runtime.block_on(command.run(settings)));
    // A thread may still be asking for a passphrase.
    runtime.shutdown_background();
    ended
}

/// Changes something on the app's servers, and shows their output.
async fn change(settings: &Settings, work: impl Work<Gathered>) -> Result<u8, Ended> {
    let gathered = Invocation::open(settings, Focus::Result).await?.run(work).await?;
    show(settings, Subject::App, &gathered)
}

/// Like [`change`], for a change that can be planned.
async fn change_to(settings: &Settings, intent: &Intent) -> Result<u8, Ended> {
    change(settings, async |call| engine::change::change(call, intent).await).await
}

fn turns(rolling: bool) -> Turns {
    if rolling { Turns::OneByOne } else { Turns::Together }
}

/// Reads something from the app's servers, and shows their output.
async fn look(settings: &Settings, work: impl Work<Gathered>) -> Result<u8, Ended> {
    let gathered = Invocation::open(settings, Focus::Result).await?.look(work).await?;
    show(settings, Subject::App, &gathered)
}

/// Shows the output of servers. Fails if a server didn't respond.
fn show(settings: &Settings, subject: Subject<'_>, gathered: &Gathered) -> Result<u8, Ended> {
    results::show(settings, subject.heading(), &gathered.outputs);
    if let Some(error) = gathered.error() {
        return Err(error.into());
    }
    let well = gathered.outputs.iter().all(|output| output.output.success());
    Ok(if well { exit::DONE } else { exit::FAILED })
}
