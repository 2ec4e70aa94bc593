//! Renders templates with this machine's environment and the output of its programs.
//!
//! Bowline may read a file twice: it looks up an alias in the file before it knows the command that loads the project.
//! [`Templates`] keeps the output of programs, so that none of them runs a second time.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bowline_config::secret::Secret;
use bowline_config::template::{Ended, Outputs, Program, Template, Unrendered};
use bowline_config::{Diagnostics, SourceFile};

use crate::ports::{Exit, Local, LocalCommand};

/// The time limit for a template's program, in seconds, and the variable that overrides it.
const DEADLINE: u64 = 60;
const SETTING: &str = "BOWLINE_TEMPLATE_TIMEOUT";

/// Kamal passes the destination to templates in this variable, and unsets it without a destination.
const DESTINATION: &str = "KAMAL_DESTINATION";

/// The exit status of `env`, a shell or a version manager's shim when the program doesn't exist.
const NOT_FOUND: Exit = Exit::Status(127);

/// The output of templates' programs so far, by destination.
#[derive(Debug, Default)]
pub struct Templates(Mutex<Vec<(Option<String>, Outputs)>>);

impl Templates {
    /// Renders a file's text. Text that isn't a template stays the same.
    ///
    /// # Errors
    /// Errors in the template, or of a program in it.
    pub async fn render(
        &self,
        local: &dyn Local,
        file: SourceFile,
        destination: Option<&str>,
    ) -> Result<SourceFile, Diagnostics> {
        let template = Template::new(file)?;
        let around = Around { local, destination, env: &[] };
        let mut outputs = self.known(destination);
        let rendered = around.render(&template, &mut outputs).await;
        self.keep(destination, outputs);
        rendered
    }

    fn known(&self, destination: Option<&str>) -> Outputs {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = all.iter().find(|(name, _)| name.as_deref() == destination);
        of.map(|(_, outputs)| outputs.clone()).unwrap_or_default()
    }

    fn keep(&self, destination: Option<&str>, outputs: Outputs) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(name, _)| name.as_deref() != destination);
        all.push((destination.map(Into::into), outputs));
    }
}

pub(crate) struct Around<'a> {
    pub local: &'a dyn Local,
    pub destination: Option<&'a str>,
    /// Overrides this machine's variables, for the template and its programs.
    pub env: &'a [(String, Secret)],
}

impl Around<'_> {
    /// Renders a template. Runs the programs that are missing in `outputs`, and adds their results to it.
    pub(crate) async fn render(
        &self,
        template: &Template,
        outputs: &mut Outputs,
    ) -> Result<SourceFile, Diagnostics> {
        loop {
            match template.render(&|name: &str| self.variable(name), outputs) {
                Ok(file) => return Ok(file),
                Err(Unrendered::Failed(errors)) => return Err(errors),
                Err(Unrendered::Run(program)) => {
                    let ended = self.run(&program).await;
                    outputs.insert(program, ended);
                }
            }
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        match self.env.iter().find(|(known, _)| known == name) {
            Some((_, value)) => Some(value.expose().to_owned()),
            None if name == DESTINATION => self.destination.map(Into::into),
            None => self.local.variable(name),
        }
    }

    async fn run(&self, program: &Program) -> Ended {
        let mut command = LocalCommand {
            words: program.words(),
            input: program.input().map(Secret::new),
            env: self.env.to_vec(),
            ..LocalCommand::default()
        };
        match self.destination {
            Some(name) => command.env.push((DESTINATION.into(), Secret::new(name))),
            None if self.local.variable(DESTINATION).is_some() => {
                command.words.splice(0..0, ["env", "-u", DESTINATION].map(Into::into));
            }
            None => {}
        }
        let badly = |how: String| Ended::Badly { how, stderr: String::new() };
        let given = self.local.variable(SETTING).and_then(|text| text.trim().parse().ok());
        let seconds = given.filter(|seconds| *seconds > 0).unwrap_or(DEADLINE);
        let running = self.local.run(&command, &|_| {});
        match tokio::time::timeout(Duration::from_secs(seconds), running).await {
            Err(_) => badly(format!("did not respond within {seconds} s ({SETTING} raises the limit)")),
            Ok(Err(reason)) => badly(reason),
            Ok(Ok(output)) if output.success() => Ended::Well(output.stdout),
            Ok(Ok(output)) if output.exit == NOT_FOUND && matches!(program, Program::Ruby(_)) => {
                Ended::Missing
            }
            Ok(Ok(output)) => Ended::Badly { how: output.exit.to_string(), stderr: output.stderr },
        }
    }
}
