//! `server bootstrap`: prepares servers for their first deploy. Installs Docker if it is missing, and leaves an
//! existing installation alone.

use bowline_core::commands::Scope;
use bowline_core::commands::answer::Unreadable;
use bowline_core::commands::server::{self, Answer, Bootstrap, INSTALLER};
use bowline_core::plan::step::Step;
use bowline_core::selection::servers;
use futures_util::future::join_all;

use crate::call::Call;
use crate::error::{Cause, Failure, Result};
use crate::event::{Event, Phase};
use crate::hooks::{self, Facts};
use crate::run::fleet::Fleet;
use crate::run::lock::Lock;
use crate::run::observe::explain;
use crate::world::{Gathered, HostOutput};

/// Bootstraps every server under the deploy lock, then runs the docker-setup hook.
pub async fn bootstrap(call: Call<'_>) -> Result<Gathered> {
    let hosts = servers(call.config(), &call.options.filters)?;
    let scope = call.scope().await;
    let (fleet, failures) = call.connect_to_any(&hosts).await?;
    let version = call.version().await.unwrap_or_else(|_| "unknown".into());
    let site = Site { call, fleet: &fleet, hosts: &hosts, scope: &scope, version: &version };
    let mut lock = site.lock().await?;
    let ended = site.bootstrap(&mut lock).await;
    if let Some(lock) = lock {
        lock.give_back(call.world).await;
    }
    let mut gathered = ended?;
    gathered.failures.splice(0..0, failures);
    Ok(gathered)
}

pub(crate) struct Site<'a> {
    pub call: Call<'a>,
    pub fleet: &'a Fleet,
    pub hosts: &'a [&'a str],
    pub scope: &'a Scope,
    pub version: &'a str,
}

enum Stand {
    /// It is ready for a deploy. The text says what was found and done.
    Ready(String),
    /// The user can use Docker after the next login.
    Joined(String),
}

impl Site<'_> {
    pub(crate) async fn lock(&self) -> Result<Option<Lock>> {
        Lock::for_run(self.call.world, self.fleet, self.hosts, self.scope, self.version).await
    }

    /// Bootstraps every server that was reached, while the lock is held, then runs the hook. Replaces the lock if the
    /// connection that held it had to be closed.
    pub(crate) async fn bootstrap(&self, lock: &mut Option<Lock>) -> Result<Gathered> {
        let hosts: Vec<&str> = self.hosts.iter().copied().filter(|host| self.fleet.has(host)).collect();
        self.call.world.events.emit(Event::Phase(Phase::Bootstrap(hosts.len())));
        let stands = join_all(hosts.iter().map(|host| self.one(host)));
        let stands = self.call.world.unless_stopped(stands).await?;
        let mut gathered = Gathered { total: self.hosts.len(), ..Gathered::default() };
        let mut joined = Vec::new();
        for (host, stand) in hosts.into_iter().zip(stands) {
            match self.fleet.report(stand, &mut gathered.failures) {
                Some(Stand::Ready(said)) => gathered.outputs.push(HostOutput::said(host, None, &said)),
                Some(Stand::Joined(said)) => joined.push((host, said)),
                None => {}
            }
        }
        if !joined.is_empty() {
            self.log_in_again(&joined, lock).await?;
            let again = join_all(joined.iter().map(|(host, said)| self.after_login(host, said))).await;
            for ((host, _), said) in joined.iter().zip(again) {
                let said = self.fleet.report(said, &mut gathered.failures);
                gathered.outputs.extend(said.map(|said| HostOutput::said(host, None, &said)));
            }
        }
        gathered.outputs.sort_by_key(|output| self.hosts.iter().position(|host| *host == output.host));
        self.hook(&gathered).await?;
        Ok(gathered)
    }

    async fn one(&self, host: &str) -> Result<Stand, Failure> {
        let step = Step::Bootstrap(Bootstrap);
        let on_line = |line: &str| {
            if line.parse::<Answer>().is_ok_and(|heard| heard.installing) {
                let text = format!("Docker is missing: installing it with {INSTALLER}");
                self.fleet.emit(Event::Note { host: Some(host.into()), text });
            }
        };
        let output = self.fleet.run_watched(host, None, &step, &on_line).await?;
        let cause = match output.answer() {
            Ok(answer) if output.success() => {
                return stand(answer).map_err(|error| self.fleet.failed(host, None, &step, error.into()));
            }
            Ok(Answer { refused: Some(refusal), .. }) => refusal.explain(&output.stderr).into(),
            Ok(_) => explain(output),
            Err(error) => error.into(),
        };
        Err(self.fleet.failed(host, None, &step, cause))
    }

    async fn after_login(&self, host: &str, before: &str) -> Result<String, Failure> {
        match self.one(host).await? {
            Stand::Ready(said) => Ok(format!("{before}\n{said}")),
            Stand::Joined(_) => Err(Failure::new(host, None, "bootstrap the server", Cause::Other {
                    reason: "this user is in the group `docker` but still can't use Docker".into(),
                    hint: Some("run the command again; if that doesn't help, check the permissions of /var/run/docker.sock there".into()),
                })),
        }
    }

    /// Closes the connections to these servers, so that the next step makes new ones. Releases the lock before that and
    /// takes it again, because it would be lost with the connection that keeps it.
    async fn log_in_again(&self, joined: &[(&str, String)], lock: &mut Option<Lock>) -> Result<()> {
        let kept_there = lock.as_ref().is_some_and(|lock| joined.iter().any(|(host, _)| *host == lock.host));
        if kept_there && let Some(lock) = lock.take() {
            lock.give_back(self.call.world).await;
        }
        let step = Step::Run("log in again", server::leave());
        // The step breaks its own connection, so an error is expected.
        join_all(joined.iter().map(|(host, _)| self.fleet.run_watched(host, None, &step, &|_| {}))).await;
        if kept_there {
            *lock = self.lock().await?;
        }
        Ok(())
    }

    /// Runs the docker-setup hook, for the servers that have Docker now.
    async fn hook(&self, part: &Gathered) -> Result<()> {
        let hosts: Vec<&str> = part.outputs.iter().map(|output| output.host.as_str()).collect();
        if hosts.is_empty() {
            return Ok(());
        }
        let facts = Facts { locked: true, ..Facts::of(self.scope, self.version, &hosts) };
        hooks::run(self.call, "docker-setup", &facts).await
    }
}

fn stand(answer: Answer) -> Result<Stand, Unreadable> {
    let mut said = Vec::new();
    if answer.installed {
        said.push("installed Docker".to_owned());
    }
    if let Some(user) = answer.joined {
        said.push(format!("{user} can now use Docker"));
        return Ok(Stand::Joined(said.join("\n")));
    }
    said.push(format!("Docker {} runs", answer.version()?));
    said.push(if answer.network { "created the network" } else { "the network exists" }.into());
    Ok(Stand::Ready(said.join("\n")))
}
