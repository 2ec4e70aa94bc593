use bowline_core::commands::Action;
use bowline_core::plan::change::{Deed, Intent, Turns};
use bowline_core::selection::Accessories;
use bowline_engine as engine;
use bowline_engine::error::RunError;
use clap::{Args, Subcommand};

use super::confirm::Confirm;
use super::exec::ExecArgs;
use super::logs::LogsArgs;
use super::{show, turns};
use crate::exit::Ended;
use crate::invocation::{self, Invocation, Subject};
use crate::settings::Settings;
use crate::ui::Focus;

/// Manage accessories, such as databases: boot them, run commands in them, read their logs.
#[derive(Debug, Subcommand)]
pub(crate) enum Accessory {
    #[command(flatten)]
    Change(AccessoryChange),
    /// Run a command in an accessory.
    #[command(
        after_help = "Without --reuse, the command runs in a new container with the accessory's env, volumes, options and network. \
Bowline removes the container afterwards. With -i, the command runs on the accessory's first server only.

Put Bowline's flags before the command; flags after it belong to the command. Bowline exits with the command's \
status: the first that is not 0.

Examples:
  bowline accessory exec db -i --reuse psql
  bowline accessory exec db --reuse 'pg_isready -q'
  bowline accessory exec db --raw --reuse pg_dump shop > shop.sql"
    )]
    Exec {
        /// The accessory's name in the configuration.
        name: String,
        #[command(flatten)]
        exec: ExecArgs,
    },
    /// Show an accessory's logs.
    #[command(after_help = "Examples:
  bowline accessory logs db -f
  bowline accessory logs db -s 1h -g ERROR")]
    Logs {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        logs: LogsArgs,
    },
    /// Show an accessory's container on each server.
    Details(Name),
}

/// What changes accessories, and can be planned.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessoryChange {
    /// Boot an accessory: create its directories, upload its files, start its container.
    #[command(after_help = "Leaves a running accessory as it is, and starts a stopped one.

Examples:
  bowline accessory boot db
  bowline accessory boot all               # all accessories, in the order of the configuration
  bowline accessory boot all -h 10.0.0.3   # the accessories on one server")]
    Boot(Name),
    /// Replace an accessory's container with a new one that has the current configuration.
    #[command(
        after_help = "Pulls the image and creates the container before the old one stops. If the new one doesn't come up, the old one \
comes back. The accessory is down in between.

Examples:
  bowline accessory reboot db"
    )]
    Reboot(Name),
    /// Reboot an accessory, on all its servers at the same time or one by one.
    #[command(after_help = "The same as `accessory reboot`, with `--rolling` and a confirmation.

Examples:
  bowline accessory upgrade all --rolling -y")]
    Upgrade {
        #[command(flatten)]
        name: Name,
        /// One server at a time.
        #[arg(long)]
        rolling: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Start an accessory's container.
    Start(Name),
    /// Stop an accessory's container.
    Stop(Name),
    /// Restart an accessory's container, so that it reads files that were uploaded after it started.
    Restart(Name),
    /// Pull an accessory's image.
    PullImage(Name),
    /// Stop an accessory and delete its container, its image and its directory with all data in it.
    #[command(after_help = "Volumes stay, and so do directories with an absolute path in the configuration.

Examples:
  bowline accessory remove db
  bowline accessory remove all")]
    Remove {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        confirm: Confirm,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Name {
    /// The accessory's name in the configuration, or `all`.
    name: String,
}

impl Accessory {
    pub(super) async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        match self {
            Accessory::Change(wanted) => wanted.run(settings).await,
            Accessory::Exec { name, exec } => exec.run(settings, Subject::Accessory(&name)).await,
            Accessory::Logs { name: Name { name }, logs } => {
                logs.show(settings, Subject::Accessory(&name), async |call, lines| {
                    engine::accessory::logs(call, &name, lines).await
                })
                .await
            }
            Accessory::Details(name) => name.details(settings).await,
        }
    }
}

impl AccessoryChange {
    async fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let (intent, name) = (self.intent(), self.name());
        let change = async {
            let invocation = Invocation::open_for(settings, Focus::Result, name.subject()).await?;
            let gathered = invocation.run(async |call| engine::change::change(call, &intent).await).await?;
            show(settings, name.subject(), &gathered)
        };
        match &self {
            Self::Upgrade { confirm, .. } => confirm.before(name.ask(settings, reboots), change).await,
            Self::Remove { confirm, .. } => confirm.before(name.ask(settings, removes), change).await,
            _ => change.await,
        }
    }

    fn name(&self) -> &Name {
        match self {
            Self::Boot(name) | Self::Reboot(name) | Self::PullImage(name) => name,
            Self::Start(name) | Self::Stop(name) | Self::Restart(name) => name,
            Self::Upgrade { name, .. } | Self::Remove { name, .. } => name,
        }
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        self.name().subject()
    }

    pub(super) fn intent(&self) -> Intent {
        let of = |deed, turns| Intent::Accessories(self.name().name.clone(), deed, turns);
        match self {
            Self::Boot(_) => of(Deed::Boot, Turns::Together),
            Self::Reboot(_) => of(Deed::Reboot, Turns::Together),
            Self::Upgrade { rolling, .. } => of(Deed::Reboot, turns(*rolling)),
            Self::Start(_) => of(Deed::Power(Action::Start), Turns::Together),
            Self::Stop(_) => of(Deed::Power(Action::Stop), Turns::Together),
            Self::Restart(_) => of(Deed::Power(Action::Restart), Turns::Together),
            Self::PullImage(_) => of(Deed::Pull, Turns::Together),
            Self::Remove { .. } => of(Deed::Remove, Turns::Together),
        }
    }
}

impl Name {
    fn subject(&self) -> Subject<'_> {
        Subject::Accessory(&self.name)
    }

    async fn details(&self, settings: &Settings) -> Result<u8, Ended> {
        let invocation = Invocation::open_for(settings, Focus::Result, self.subject()).await?;
        let gathered =
            invocation.look(async |call| engine::accessory::details(call, &self.name).await).await?;
        show(settings, self.subject(), &gathered)
    }

    async fn ask(
        &self,
        settings: &Settings,
        question: fn(&Accessories<'_>) -> String,
    ) -> Result<String, Ended> {
        let project = invocation::load_project(settings).await?;
        let accessories = Accessories::new(&project.config, &settings.options.filters, &self.name);
        Ok(question(&accessories.map_err(RunError::from)?))
    }
}

fn reboots(accessories: &Accessories<'_>) -> String {
    let names: Vec<&str> = accessories.placed.iter().map(|(accessory, _)| accessory.name.as_str()).collect();
    format!("This restarts {}, which is down in the meantime.\nAre you sure?", names.join(", "))
}

fn removes(accessories: &Accessories<'_>) -> String {
    format!("This removes\n{}\nAre you sure?", lines(accessories))
}

/// One line per accessory, with what will be removed and what data will be lost.
pub(super) fn lines(accessories: &Accessories<'_>) -> String {
    let one = |(accessory, hosts): &(&bowline_config::Accessory, Vec<&str>)| {
        let service = &accessory.service;
        let data: Vec<&str> = accessory
            .directories
            .iter()
            .filter(|directory| !directory.local.starts_with('/'))
            .map(|directory| directory.local.as_str())
            .collect();
        let data = match data.as_slice() {
            [] => String::new(),
            data => format!(", including the data in {}", data.join(", ")),
        };
        format!("  {service} on {}: container, image and directory{data}", hosts.join(", "))
    };
    accessories.placed.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use bowline_config::{SourceFile, load};
    use bowline_core::selection::Filters;

    use super::*;

    #[test]
    fn the_question_says_where_data_goes() {
        let text = "service: shop\nimage: shop\nregistry: {username: u, password: p}\naccessories:\n  db: {image: i, hosts: [a, b], directories: ['data:/d', '/mnt/x:/x', 'more:/m']}\n  \
                    cache: {image: i, host: c}\n";
        let config = load(SourceFile::new("deploy.yml", text), None).unwrap().config;
        let accessories = Accessories::new(&config, &Filters::default(), "all").unwrap();
        assert_eq!(
            removes(&accessories),
            "This removes\n  shop-db on a, b: container, image and directory, including the data in data, more\n  \
             shop-cache on c: container, image and directory\nAre you sure?"
        );
    }
}
