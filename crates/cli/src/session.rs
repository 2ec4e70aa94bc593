//! A command's run against servers: the project loaded, the screen showing, signals heard; at the end the
//! report and the exit status.

use std::sync::Arc;
use std::time::Duration;

use bowline_core::config::{Config, unbuilt};
use bowline_core::selection::{Filters, NoMatch, servers};
use bowline_engine::error::RunError;
use bowline_engine::world::{Project, Stop, World};

use crate::exit::{self, Ended};
use crate::settings::{Settings, Verbosity, View};
use crate::ui::prompt::Asker;
use crate::ui::{Follow, Handle, Screen, Sort, json, out, report};
use crate::{load, signals};

/// How long a query may take to end by itself once it is interrupted.
const GRACE: Duration = Duration::from_secs(3);

/// What a command needs to run.
pub struct Session<'a> {
    /// How it was asked for.
    pub settings: &'a Settings,
    /// The project.
    pub project: Project,
    /// The world outside.
    pub world: World,
    screen: Screen,
    sort: Sort,
}

impl<'a> Session<'a> {
    /// Loads the project, and starts to show what happens. `follows`: lines from servers are the result. To be
    /// called inside the runtime. No connection is made yet.
    pub async fn open(settings: &'a Settings, sort: Sort, follows: bool) -> Result<Self, Ended> {
        let all = |config: &Config, filters: &Filters| Ok(servers(config, filters)?.len());
        Self::open_for(settings, sort, follows, all).await
    }

    /// The same for a command that is about other servers; `number` says how many.
    pub async fn open_for(
        settings: &'a Settings,
        sort: Sort,
        follows: bool,
        number: impl FnOnce(&Config, &Filters) -> Result<usize, NoMatch>,
    ) -> Result<Self, Ended> {
        let (project, _) = load_project(settings).await?;
        unbuilt::connection(&project.config).map_err(RunError::from)?;
        let (trigger, stop) = Stop::new();
        let trigger = Arc::new(trigger);
        let several = number(&project.config, &settings.options.filters).map_err(RunError::from)? > 1;
        let follow = match (follows, several) {
            (false, _) => Follow::No,
            (true, false) => Follow::One,
            (true, true) => Follow::Several,
        };
        let broken = Arc::clone(&trigger);
        let screen = Screen::start(settings, sort, follow, move || broken.stop());
        signals::listen(trigger, screen.handle());
        let asker = Asker::new(&screen.handle());
        let local = load::local_beside(asker.clone());
        let network = load::network(&project, asker);
        let lock_wait = settings.lock_wait;
        let (events, timeouts) = (Arc::new(screen.handle()), project.config.timeouts);
        let world = World { network, local, events, stop, lock_wait, timeouts };
        Ok(Self { settings, project, world, screen, sort })
    }

    /// What takes events.
    pub fn screen(&self) -> Handle {
        self.screen.handle()
    }

    /// Waits for what only looks. When it is interrupted it may end by itself, but not take for ever.
    pub async fn query<T>(&self, asked: impl Future<Output = Result<T, RunError>>) -> Result<T, RunError> {
        let interrupted = async {
            self.world.stop.triggered().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            answer = asked => answer,
            () = interrupted => Err(RunError::interrupted()),
        }
    }

    /// Ends the showing, and gives the result on.
    pub fn close<T>(self, ended: Result<T, RunError>) -> Result<T, Ended> {
        let changes = self.sort == Sort::Change;
        let tally = self.screen.finish(ended.is_ok());
        let told = self.settings.verbosity != Verbosity::Quiet && self.settings.view != View::Json;
        if ended.is_ok() && changes && told {
            out::stdout([report::success(&tally, self.settings.out)]);
        }
        Ok(ended?)
    }
}

/// Loads the project and says what there is to say about it; gives this machine with it.
pub async fn load_project(
    settings: &Settings,
) -> Result<(Project, Arc<dyn bowline_engine::ports::Local>), Ended> {
    let local = load::local();
    let (file, destination) = (&settings.config_file, settings.destination.as_deref());
    let loading = load::load(file, destination, &settings.templates, local.as_ref(), settings.err.0);
    let (project, warnings) = signals::unless_interrupted(loading).await??;
    if settings.verbosity != Verbosity::Quiet {
        out::stderr(warnings.iter().map(|warning| warning.trim_end()));
    }
    Ok((project, local))
}

/// Reports how a command ended; gives its exit status.
pub fn conclude(settings: &Settings, ended: Result<u8, Ended>) -> u8 {
    if settings.view == View::Json {
        out::stdout([json::ended(ended.as_ref().copied()).to_string()]);
    } else if let Err(error) = &ended {
        out::stderr(report::failure(error, &settings.call("lock release"), settings.err));
    }
    ended.unwrap_or_else(|error| exit::status(&error))
}
