use bowline_config::init::NewProxy;
use bowline_engine::init::{Written, init};
use bowline_remote::LocalMachine;
use clap::Args;

use crate::exit::{self, Ended};
use crate::hints;
use crate::settings::{Settings, Verbosity};
use crate::ui::out;
use crate::ui::results::say;

/// Start a project: write config/deploy.yml, .kamal/secrets and sample hooks.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Serve the app through Traefik, as Kamal 1 does, instead of kamal-proxy.
    #[arg(long)]
    traefik: bool,
    /// Has no effect. In Kamal it adds a Ruby gem.
    #[arg(long, hide = true)]
    bundle: bool,
}

impl Init {
    pub(super) fn run(self, settings: &Settings) -> Result<u8, Ended> {
        let directory = std::env::current_dir().unwrap_or_default();
        let name = directory.file_name().unwrap_or_default().to_string_lossy();
        let behind = if self.traefik { NewProxy::Traefik } else { NewProxy::Kamal };
        let written = init(&LocalMachine::default(), &settings.config_file, &name, behind)?;
        if settings.verbosity == Verbosity::Quiet {
            return Ok(exit::DONE);
        }
        let mut lines: Vec<String> = written
            .iter()
            .map(|written| match written {
                Written::New(path) => format!("created {path}"),
                Written::Kept(path) => format!("{path} already exists; not changed"),
            })
            .collect();
        if written.first() == Some(&Written::New(settings.config_file.clone())) {
            lines.extend([String::new(), hints::new_project(settings)]);
        }
        say(settings, &lines.join("\n"));
        if self.bundle {
            out::stderr(["note: --bundle has no effect: Bowline is not a Ruby gem"]);
        }
        Ok(exit::DONE)
    }
}
