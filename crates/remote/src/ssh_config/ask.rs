//! Runs `ssh -G`: as few processes as the configuration allows, and no more at a time than there are cores.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bowline_engine::ports::ServerError;
use tokio::process::Command;
use tokio::sync::{OnceCell, Semaphore};

use super::alike::{Class, Outline, Start};
use super::home::Elsewhere;
use super::{Endpoint, Pairs, pairs, transport, trouble};
use crate::Result;
use crate::local::Group;
use crate::options::{Options, UserConfig};

/// The maximum number of processes at a time, regardless of cores: each uses file descriptors of ours.
const PROCESSES: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Question {
    /// For all hosts of a class with the same user and port.
    Alike { class: Class, user: Option<String>, port: Option<u16> },
    /// For this host alone.
    One(Endpoint),
}

#[derive(Debug, Clone)]
struct Answer {
    pairs: Vec<(String, String)>,
    /// Whether it holds for the whole class.
    vouched: bool,
}

type Cell = Arc<OnceCell<Result<Answer>>>;

#[derive(Debug)]
pub(super) struct Asker {
    options: Options,
    pub(super) program: &'static str,
    elsewhere: Option<Elsewhere>,
    outline: OnceLock<Outline>,
    turns: Semaphore,
    answers: Mutex<HashMap<Question, Cell>>,
}

impl Asker {
    pub(super) fn new(options: Options) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            elsewhere: Elsewhere::of(&options),
            options,
            program: "ssh",
            outline: OnceLock::new(),
            turns: Semaphore::new(cores.min(PROCESSES)),
            answers: Mutex::default(),
        }
    }

    pub(super) async fn pairs(&self, endpoint: &Endpoint) -> Result<Pairs> {
        if let Some(class) = self.outline().class(&endpoint.host) {
            let question =
                Question::Alike { class: class.clone(), user: endpoint.user.clone(), port: endpoint.port };
            let answer = self.answer(question, endpoint, Some(&class)).await?;
            if answer.vouched {
                let mut pairs = for_host(answer.pairs, &class, endpoint);
                if !self.outline().algorithms {
                    // These are defaults, some of which russh doesn't support.
                    pairs.retain(|(key, _)| !transport::LISTS.contains(&key.as_str()));
                }
                return Ok(Pairs(pairs));
            }
        }
        let answer = self.answer(Question::One(endpoint.clone()), endpoint, None).await?;
        Ok(Pairs(answer.pairs))
    }

    pub(super) fn quoted(&self) -> &[Vec<String>] {
        &self.outline().quoted
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    async fn answer(&self, question: Question, endpoint: &Endpoint, class: Option<&Class>) -> Result<Answer> {
        let cell = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(answers.entry(question).or_default())
        };
        cell.get_or_init(|| self.ask(endpoint, class)).await.clone()
    }

    fn outline(&self) -> &Outline {
        self.outline.get_or_init(|| {
            let Some(home) = &self.options.home else { return Outline::doubtful() };
            let base = home.join(".ssh");
            let starts = match (&self.options.user_config, &self.elsewhere) {
                (UserConfig::None, _) => Vec::new(),
                (UserConfig::File(file), _) => vec![Start { file: file.clone(), base }],
                (UserConfig::Default, Some(elsewhere)) => elsewhere.starts(),
                (UserConfig::Default, None) => vec![
                    Start { file: base.join("config"), base },
                    Start { file: PathBuf::from("/etc/ssh/ssh_config"), base: PathBuf::from("/etc/ssh") },
                ],
            };
            Outline::read(&starts, home).with("/dev/stdin")
        })
    }

    async fn ask(&self, endpoint: &Endpoint, class: Option<&Class>) -> Result<Answer> {
        let mut command = self.command(endpoint)?;
        if class.is_some() {
            // Makes it report the files that it reads.
            command.arg("-v");
        }
        command.args(["--", &endpoint.host]);
        // It needs a limit, as a `Match exec` in the file can run anything.
        let limit = self.options.timeouts.connect;
        let _turn = self.turns.acquire().await;
        let output = match tokio::time::timeout(limit, Group::output(&mut command)).await {
            Ok(Ok(output)) => output,
            Ok(Err(e)) if e.kind() == io::ErrorKind::NotFound => return self.without_ssh(),
            Ok(Err(e)) => return Err(trouble(format!("`ssh -G` can't be run: {e}"))),
            Err(_) => {
                return Err(trouble(format!(
                    "`ssh -G` did not respond within {} s (`timeouts: {{connect: SECONDS}}` raises the limit)",
                    limit.as_secs_f32()
                )));
            }
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let words = said.trim().lines().filter(|line| !is_chatter(line)).collect::<Vec<_>>().join("; ");
            return Err(trouble(format!("`ssh -G {}` failed: {words}", endpoint.host)));
        }
        let pairs = pairs(&String::from_utf8_lossy(&output.stdout));
        let pairs = match &self.elsewhere {
            Some(elsewhere) => pairs.into_iter().map(|pair| elsewhere.moved(pair)).collect(),
            None => pairs,
        };
        let pairs = Pairs(pairs);
        let vouched = class.is_some_and(|class| self.outline().vouches(class, &pairs, &said));
        Ok(Answer { pairs: pairs.0, vouched })
    }

    fn command(&self, endpoint: &Endpoint) -> Result<Command> {
        let mut command = Command::new(self.program);
        command.arg("-G").stdin(Stdio::null());
        if let UserConfig::File(file) = &self.options.user_config {
            command.arg("-F").arg(file);
        }
        if let Some(elsewhere) = &self.elsewhere {
            let config = Elsewhere::config();
            let config = config.map_err(|e| trouble(format!("`ssh -G` can't be given HOME: {e}")))?;
            command.args(["-F", "/dev/stdin"]).stdin(config).env("HOME", elsewhere.home());
        }
        if let Some(user) = &endpoint.user {
            command.args(["-l", user]);
        }
        if let Some(port) = endpoint.port {
            command.args(["-p", &port.to_string()]);
        }
        Ok(command)
    }

    /// The answer if `ssh` isn't installed: an error if there is a configuration, because it would be ignored.
    fn without_ssh(&self) -> Result<Answer> {
        let path = match &self.options.user_config {
            UserConfig::File(file) => file.clone(),
            _ => self.options.expand("~/.ssh/config"),
        };
        let says_something =
            |text: String| text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'));
        let unread = match std::fs::read_to_string(&path) {
            Ok(text) => says_something(text),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if !unread {
            return Ok(Answer { pairs: Vec::new(), vouched: false });
        }
        Err(ServerError::Unreachable {
            reason: format!("{} can't be used: `ssh` is not installed", path.display()),
            hint: Some("install OpenSSH's client, or ignore that file with `ssh: {config: false}`".into()),
        })
    }
}

/// Whether this is a line that `ssh -v` prints in addition to its errors.
fn is_chatter(line: &str) -> bool {
    line.starts_with("debug1: ") || line.starts_with("OpenSSH_")
}

/// Turns the answer for one host of a class into that for another.
fn for_host(pairs: Vec<(String, String)>, class: &Class, endpoint: &Endpoint) -> Vec<(String, String)> {
    let own = |key: &str| key == "host" || (key == "hostname" && !class.renamed);
    let mut pairs: Vec<_> = pairs.into_iter().filter(|(key, _)| !own(key)).collect();
    if !class.renamed {
        pairs.push(("hostname".to_owned(), endpoint.host.clone()));
    }
    pairs
}
