//! Builds the image once for all servers, on this machine or on a remote builder, and pushes it to the registry.

mod trouble;

use bowline_config::secret::Secret;
use bowline_core::commands::builder::{BuildError, BuildOutput, BuildRequest, Builder, Command};
use bowline_core::plan::secrets::registry_secrets;
use bowline_core::secrets::Secrets;
use bowline_core::selection::Selection;
use tokio::time::Instant;

use crate::call::Call;
use crate::error::{Result, RunError};
use crate::event::{Event, Phase};
use crate::git;
use crate::hooks::{self, Facts};
use crate::image::clone::{Source, source};
use crate::image::{builder, keep, registry};
use crate::local::{Failed, last, run_shown};
use crate::ports::LocalCommand;
use crate::project::Project;
use trouble::{explained, hint, is_refused, was_not_merged};

/// A build that is ready to start: its programs exist, and we are logged in to the registry.
pub(crate) struct Build<'a> {
    call: Call<'a>,
    secrets: &'a Secrets,
    builder: Builder<'a>,
    output: BuildOutput,
}

impl<'a> Build<'a> {
    /// Checks the programs and logs in to the registry.
    pub(crate) async fn begin(call: Call<'a>, secrets: &'a Secrets, output: BuildOutput) -> Result<Self> {
        let build = Self::without_registry(call, secrets, output).await?;
        registry::log_in_here(call.world, call.config(), secrets).await?;
        Ok(build)
    }

    /// Like [`Build::begin`], for an image that is not pushed.
    pub(crate) async fn without_registry(
        call: Call<'a>,
        secrets: &'a Secrets,
        output: BuildOutput,
    ) -> Result<Self> {
        let builder = builder::choose(call.world, call.config()).await?;
        let build = Self { call, secrets, builder, output };
        build.dockerfile_is_there(None)?;
        // Reports errors in the command line before the build does anything.
        build.commands(&Source::as_it_is(call.config()), Vec::new(), build.output.clone())?;
        Ok(build)
    }

    pub(crate) async fn carry_out(&self, version: &str) -> Result<()> {
        let config = self.call.config();
        let source = source(self.call.world, config).await?;
        self.dockerfile_is_there(Some(&source))?;
        let images = vec![config.image_of(version), config.latest_image()];
        match self.output {
            BuildOutput::Registry if config.registry.is_absent() => keep::build(self, &source, images).await,
            _ => self.build(&source, images).await,
        }
    }

    pub(crate) async fn build(&self, source: &Source, images: Vec<String>) -> Result<()> {
        self.build_to(source, images, self.output.clone()).await
    }

    pub(super) async fn build_to(
        &self,
        source: &Source,
        images: Vec<String>,
        output: BuildOutput,
    ) -> Result<()> {
        let named = images.first().cloned().unwrap_or_default();
        let phase = match output {
            BuildOutput::Registry => Phase::Build(named),
            _ => Phase::BuildOnly(named),
        };
        let commands = self.commands(source, images, output)?;
        builder::ensure(self.call.world, &self.builder).await?;
        self.call.world.events.emit(Event::Phase(phase));
        for command in &commands {
            self.run(command, source).await?;
        }
        Ok(())
    }

    pub(super) fn call(&self) -> Call<'a> {
        self.call
    }

    pub(super) fn writes_layouts(&self) -> bool {
        self.builder.writes_layouts()
    }

    fn commands(
        &self,
        source: &Source,
        images: Vec<String>,
        output: BuildOutput,
    ) -> Result<Vec<Command>, BuildError> {
        let context = source.context.clone();
        let request = BuildRequest { images, context, output, no_cache: self.call.options.no_cache };
        self.builder.build(&request, |name| self.call.world.local.variable(name))
    }

    /// Checks that the Dockerfile exists. Docker's own message doesn't say that it may only be uncommitted.
    fn dockerfile_is_there(&self, source: Option<&Source>) -> Result<()> {
        let wanted = &self.call.config().builder;
        let elsewhere = wanted.context.as_deref().is_some_and(is_url);
        if wanted.pack.is_some() || elsewhere {
            return Ok(());
        }
        let clone = source.and_then(|source| source.directory.as_ref());
        let path = match clone {
            Some(directory) => directory.join(&wanted.dockerfile).to_string_lossy().into_owned(),
            None => wanted.dockerfile.clone(),
        };
        if self.call.world.local.kind(&path).is_some() {
            return Ok(());
        }
        let (reason, hint) = match clone {
            Some(_) => {
                ("is not committed", "commit it; or `builder: {context: .}` builds the working directory")
            }
            None => ("is missing", "`builder: dockerfile:` names it, relative to the current directory"),
        };
        Err(RunError::local("build", format!("{} {reason}", wanted.dockerfile), Some(hint.into())))
    }

    async fn run(&self, command: &Command, source: &Source) -> Result<()> {
        let local = LocalCommand {
            words: command.words.clone(),
            env: if command.what == "build" { self.environment() } else { Vec::new() },
            // Docker runs git to describe its context, and to clone a context that is a URL.
            without: git::variables(self.call.world).await,
            directory: source.directory.clone(),
            ..Default::default()
        };
        let mut tries = 0;
        loop {
            let failed = match run_shown(self.call.world, &local, command.shown()).await {
                Err(failed) => failed,
                Ok(output) if was_not_merged(&output.stderr) => Failed::Because(last(&output.stderr)),
                Ok(_) => return Ok(()),
            };
            if !self.is_worth_another(&failed, tries).await? {
                let hint = hint(failed.said(), self.call.config().builder.context.is_none());
                return Err(explained(failed).at(command.what, hint));
            }
            tries += 1;
        }
    }

    /// Whether to try again after a failure that follows `tries` others.
    ///
    /// Docker stores all logins of a user in one file, so a simultaneous login of another build may overwrite ours. So
    /// after a refusal, we log in again, once.
    async fn is_worth_another(&self, failed: &Failed, tries: usize) -> Result<bool> {
        let config = self.call.config();
        let again = tries == 0 && config.registry.login.is_some() && is_refused(failed.said());
        if again {
            registry::log_in_here(self.call.world, config, self.secrets).await?;
        }
        Ok(again)
    }

    fn environment(&self) -> Vec<(String, Secret)> {
        let names = &self.call.config().builder.secrets;
        let value = |name: &String| Some((name.clone(), self.secrets.get(name)?.clone()));
        let mut env: Vec<(String, Secret)> = names.iter().filter_map(value).collect();
        if !self.builder.nodes().is_empty() {
            env.push(("BUILDKIT_NO_CLIENT_TOKEN".into(), Secret::new("1")));
        }
        env
    }
}

fn is_url(context: &str) -> bool {
    context.contains("://") || context.starts_with("git@")
}

impl From<BuildError> for RunError {
    fn from(error: BuildError) -> Self {
        let hint = match &error {
            BuildError::Unset { name, .. } => format!("set it: `export {name}=…`"),
            BuildError::NeedsBuildx(_) => {
                "install Docker's buildx plugin: https://docs.docker.com/go/buildx/".into()
            }
            BuildError::NoPlace(output) => format!("add it: `--output {output},dest=PATH`"),
        };
        RunError::Usage { message: error.to_string(), hint: Some(hint) }
    }
}

/// `build push`: builds the version, and pushes it or delivers it to `output`. Returns the image's name.
pub async fn push(call: Call<'_>, output: BuildOutput) -> Result<String> {
    let started = Instant::now();
    let version = call.version().await?;
    keep::given(call, &version).await?;
    if call.options.image_archive.is_none() {
        build_and_push(call, output, &version).await?;
    }
    call.world.events.emit(Event::Finished { elapsed: started.elapsed(), commands: Vec::new() });
    Ok(call.config().image_of(&version))
}

async fn build_and_push(call: Call<'_>, output: BuildOutput, version: &str) -> Result<()> {
    let selection = Selection::new(call.config(), &call.options.filters)?;
    let secrets = call.project.secrets(call.world, &secrets_needed(call.project)).await?;
    let facts = Facts::of(&call.scope().await, version, &selection.hosts);
    hooks::run(call, "pre-connect", &facts).await?;
    let build = Build::begin(call, &secrets, output).await?;
    hooks::run(call, "pre-build", &facts).await?;
    build.carry_out(version).await
}

pub(crate) fn secrets_needed(project: &Project) -> Vec<String> {
    let mut names = registry_secrets(&project.config);
    names.extend(project.config.builder.secrets.iter().cloned());
    names
}
