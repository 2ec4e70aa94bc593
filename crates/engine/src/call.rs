//! The arguments of every use case, and the first steps that they share.

use bowline_config::Config;
use bowline_core::commands::Scope;
use bowline_core::names::Names;

use crate::error::{Failure, RunError};
use crate::event::{Event, Phase};
use crate::hooks;
use crate::project::Project;
use crate::run::fleet::Fleet;
use crate::run::lock::run_id;
use crate::version;
use crate::world::{Options, World};

#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub world: &'a World,
    pub project: &'a Project,
    pub options: &'a Options,
}

impl<'a> Call<'a> {
    pub(crate) fn config(self) -> &'a Config {
        &self.project.config
    }

    pub(crate) async fn version(self) -> Result<String, RunError> {
        version::resolve(self.world, self.config(), self.options).await
    }

    pub(crate) async fn scope(self) -> Scope {
        Scope { performer: version::performer(self.world).await, ..self.scope_to_look() }
    }

    /// The scope without the performer, which costs a call of git. For a run that writes nothing to an audit log.
    pub(crate) fn scope_to_look(self) -> Scope {
        Scope { names: Names::of(self.config()), run: run_id(self.world), performer: String::new() }
    }

    /// Like [`Call::connect`], and reports it. Fails if no server can be reached.
    pub(crate) async fn connect_to_any(self, hosts: &[&str]) -> Result<(Fleet, Vec<Failure>), RunError> {
        hooks::pre_connect(self, hosts).await?;
        self.world.events.emit(Event::Phase(Phase::Connect(hosts.len())));
        let (fleet, failures) = Fleet::connect(self, hosts).await?;
        if fleet.hosts().next().is_some() {
            return Ok((fleet, failures));
        }
        Err(RunError::servers(failures, hosts.len()))
    }

    /// Runs the pre-connect hook, then connects to these servers.
    pub(crate) async fn connect(self, hosts: &[&str]) -> Result<(Fleet, Vec<Failure>), RunError> {
        hooks::pre_connect(self, hosts).await?;
        Fleet::connect(self, hosts).await
    }
}
