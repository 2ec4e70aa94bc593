//! Runs a command against servers: loads the project, starts the screen, listens for signals, and at the end reports
//! the result and the exit status.

use std::sync::Arc;
use std::time::Duration;

use bowline_config::Config;
use bowline_core::selection::{Accessories, Filters, NoMatch, servers};
use bowline_engine::call::Call;
use bowline_engine::error::RunError;
use bowline_engine::project::Project;
use bowline_engine::world::{OwnImage, StopSignal, World};
use bowline_remote::{KeptImages, NewHosts};

use crate::console::StandardStreams;
use crate::exit::{self, Ended};
use crate::settings::{Settings, Verbosity, View};
use crate::ui::prompt::Asker;
use crate::ui::results::Heading;
use crate::ui::{Focus, Follow, Screen, json, out, report};
use crate::{hints, load, signals};

/// How long a read-only command may take to end after an interrupt.
const GRACE: Duration = Duration::from_secs(3);

pub(crate) trait Work<T>: AsyncFnOnce(Call<'_>) -> Result<T, RunError> {}

impl<T, F: AsyncFnOnce(Call<'_>) -> Result<T, RunError>> Work<T> for F {}

/// The target of a command. Before anything starts, the filters must match some of its servers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// The app, or anything else on its servers.
    App,
    /// The accessory with this name, or `all`.
    Accessory(&'a str),
}

impl Subject<'_> {
    pub(crate) fn heading(self) -> Heading {
        match self {
            Subject::App => Heading::App,
            Subject::Accessory(_) => Heading::Accessory,
        }
    }

    fn servers(self, config: &Config, filters: &Filters) -> Result<usize, NoMatch> {
        Ok(match self {
            Subject::App => servers(config, filters)?.len(),
            Subject::Accessory(name) => Accessories::new(config, filters, name)?.hosts().len(),
        })
    }
}

pub(crate) struct Invocation<'a> {
    settings: &'a Settings,
    project: Project,
    world: World,
    screen: Screen,
    focus: Focus,
}

impl<'a> Invocation<'a> {
    /// Loads the project and starts the screen, without connecting. Must be called inside the runtime.
    pub(crate) async fn open(settings: &'a Settings, focus: Focus) -> Result<Self, Ended> {
        Self::open_for(settings, focus, Subject::App).await
    }

    pub(crate) async fn open_for(
        settings: &'a Settings,
        focus: Focus,
        subject: Subject<'_>,
    ) -> Result<Self, Ended> {
        let project = load_project(settings).await?;
        Self::of(settings, project, focus, subject, NewHosts::Remember)
    }

    /// Like [`Self::open_for`], for a loaded project. `new_hosts` says what to do with the host key of a new server.
    pub(crate) fn of(
        settings: &'a Settings,
        project: Project,
        focus: Focus,
        subject: Subject<'_>,
        new_hosts: NewHosts,
    ) -> Result<Self, Ended> {
        let (trigger, stop) = StopSignal::new();
        let trigger = Arc::new(trigger);
        let servers = subject.servers(&project.config, &settings.options.filters).map_err(RunError::from)?;
        let follow = match focus {
            Focus::Progress | Focus::Result => Follow::No,
            Focus::Lines if servers > 1 => Follow::Several,
            Focus::Lines => Follow::One,
        };
        let broken = Arc::clone(&trigger);
        let screen = Screen::start(settings, focus, follow, move || broken.stop());
        signals::listen(trigger, screen.handle());
        let asker = Asker::new(&screen.handle());
        let local = load::local_beside(asker.clone());
        let network = load::network(&project, asker, new_hosts);
        let lock_wait = settings.lock_wait;
        let (events, timeouts) = (Arc::new(screen.handle()), project.config.timeouts);
        let own_proxy = OwnImage::new(local.clone());
        let images = Arc::new(KeptImages::default());
        let world = World { network, local, images, own_proxy, events, stop, lock_wait, timeouts };
        Ok(Self { settings, project, world, screen, focus })
    }

    pub(crate) fn console(&self) -> StandardStreams {
        StandardStreams::new(self.settings, self.screen.handle())
    }

    fn call(&self) -> Call<'_> {
        Call { world: &self.world, project: &self.project, options: &self.settings.options }
    }

    /// Does the work. If it is interrupted, it undoes what it began, and ends by itself.
    pub(crate) async fn run<T>(self, work: impl Work<T>) -> Result<T, Ended> {
        let ended = work(self.call()).await;
        self.close(ended)
    }

    /// Does read-only work. If it is interrupted, it has [`GRACE`] to end by itself.
    pub(crate) async fn look<T>(self, work: impl Work<T>) -> Result<T, Ended> {
        let interrupted = async {
            self.world.stop.triggered().await;
            tokio::time::sleep(GRACE).await;
        };
        let ended = tokio::select! {
            answer = work(self.call()) => answer,
            () = interrupted => Err(RunError::interrupted()),
        };
        self.close(ended)
    }

    /// Ends the screen, prints the success report, and passes the result on.
    fn close<T>(self, ended: Result<T, RunError>) -> Result<T, Ended> {
        let tally = self.screen.finish(ended.is_ok());
        let shown = self.settings.verbosity != Verbosity::Quiet && self.settings.view != View::Json;
        if ended.is_ok() && self.focus == Focus::Progress && shown {
            out::stdout([report::success(&tally, self.settings.out)]);
        }
        Ok(ended?)
    }
}

pub(crate) async fn load_project(settings: &Settings) -> Result<Project, Ended> {
    let (project, warnings) = signals::unless_interrupted(load::load(settings)).await??;
    if settings.verbosity != Verbosity::Quiet && !warnings.is_empty() {
        out::stderr([warnings.render(settings.err.0).trim_end()]);
    }
    Ok(project)
}

pub fn conclude(settings: &Settings, ended: Result<u8, Ended>) -> u8 {
    if settings.view == View::Json {
        out::stdout([json::ended(ended.as_ref().copied()).to_string()]);
    } else if let Err(error) = &ended {
        out::stderr(report::failure(error, &hints::call(settings, "lock release"), settings.err));
    }
    ended.unwrap_or_else(|error| exit::status(&error))
}
