//! The arguments of every use case, and what each of them starts with.

use bowline_config::Config;
use bowline_core::commands::Scope;
use bowline_core::names::Names;

use crate::error::{Failure, RunError};
use crate::hooks;
use crate::project::Project;
use crate::run::fleet::Fleet;
use crate::run::lock::run_id;
use crate::version;
use crate::world::{Options, World};

/// The arguments of every use case.
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

    /// The version of the run.
    pub(crate) async fn version(self) -> Result<String, RunError> {
        version::resolve(self.world, self.config(), self.options).await
    }

    /// The run's names, id and performer.
    pub(crate) async fn scope(self) -> Scope {
        Scope { performer: version::performer(self.world).await, ..self.scope_to_look() }
    }

    /// The same without the performer, which costs a call of git: for a run that writes nothing to an audit log.
    pub(crate) fn scope_to_look(self) -> Scope {
        Scope { names: Names::of(self.config()), run: run_id(self.world), performer: String::new() }
    }

    /// Runs the hook pre-connect, then connects to these servers.
    pub(crate) async fn connect(self, hosts: &[&str]) -> Result<(Fleet, Vec<Failure>), RunError> {
        hooks::pre_connect(self, hosts).await?;
        Fleet::connect(self, hosts).await
    }
}
