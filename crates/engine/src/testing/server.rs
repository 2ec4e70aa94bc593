//! A connection to a simulated server: what happens to a step on its way there and back.

use std::net::SocketAddr;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bowline_core::commands::Scope;
use bowline_core::commands::status::Status;
use bowline_core::plan::step::Step;
use bowline_core::proxy::traefik::labels::Protocol;
use tokio::time::sleep;

use super::channel::{FakeKeeper, FakeLog, take_lock};
use super::machine::Machine;
use super::network::{FakeNetwork, How, KEEPALIVE, Open, STEP};
use super::steps::status;
use super::{locked, program};
use crate::ports::{
    Accept, Attached, Channel, Exit, Limit, Line, Listening, OnLine, Output, Reader, Server, ServerError,
    Terminal,
};

pub(super) struct FakeServer {
    pub(super) network: Arc<FakeNetwork>,
    pub(super) host: String,
}

impl FakeServer {
    pub(super) fn machine(&self) -> MutexGuard<'_, Machine> {
        self.network.machine(&self.host)
    }

    pub(super) async fn effect<T>(&self, effect: impl FnOnce(&mut Machine) -> T + Send) -> T {
        self.boundary().await;
        let result = effect(&mut self.machine());
        self.boundary().await;
        result
    }

    pub(super) async fn boundary(&self) {
        self.network.boundary(&self.host).await;
    }

    /// Returns when a connection that was made after `cuts` cuts is cut or times out.
    pub(super) async fn lost(&self, cuts: usize) -> ServerError {
        loop {
            if self.machine().cuts != cuts {
                return ServerError::Lost { reason: "the connection was reset".into() };
            }
            if self.network.is_silent(&self.host, How::Vanishes) {
                sleep(KEEPALIVE).await;
                return ServerError::Lost { reason: "nothing was heard for 30 s".into() };
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn cuts(&self) -> usize {
        self.machine().cuts
    }

    /// Why a run may not change this server, if it may not.
    pub(super) fn fenced(&self, scope: &Scope) -> Option<Output> {
        let ours = self.machine().mark.as_ref().is_some_and(|mark| mark.starts_with(scope.family()));
        let taken = || status(Status::Fenced, "another run has taken over this server");
        self.released(scope).or_else(|| (!ours).then(taken))
    }

    /// The end of a script of a run whose lock was released by hand.
    pub(super) fn released(&self, scope: &Scope) -> Option<Output> {
        let machine = self.machine();
        let released = machine.released.as_ref().filter(|(run, _)| run == scope.family());
        released.map(|(_, why)| status(Status::Fenced, why))
    }
}

/// The run that a step belongs to, if it changes anything.
fn fence(step: &Step) -> Option<&Scope> {
    match step {
        Step::Pull(step) => step.locked.then_some(&step.scope),
        Step::Receive(step) => step.locked.then_some(&step.scope),
        Step::Proxy(step) => step.scope(),
        Step::Network(step) => Some(&step.scope),
        Step::Assets(step) => Some(&step.scope),
        Step::Boot(step) => Some(&step.scope),
        Step::Find(step) => Some(&step.scope),
        Step::Start(step) => Some(&step.scope),
        Step::Check(step) => Some(&step.scope),
        Step::Stop(step) => Some(&step.scope),
        Step::Tag(step) => Some(&step.scope),
        Step::Prune(step) => Some(&step.scope),
        Step::Finish(step) => step.scope(),
        Step::Remove(step) => Some(&step.scope),
        Step::Accessory(step) => Some(&step.scope),
        Step::Env(step) => Some(&step.scope),
        Step::Observe(_)
        | Step::Lock(_)
        | Step::Prepare(_)
        | Step::Exec(_)
        | Step::OnServer(_)
        | Step::Bootstrap(_)
        | Step::Examine(_)
        | Step::Wait(..)
        | Step::Run(..) => None,
    }
}

#[async_trait]
impl Server for FakeServer {
    async fn run(
        &self,
        step: &Step,
        limit: Option<Limit>,
        on_line: OnLine<'_>,
    ) -> Result<Output, ServerError> {
        let ran = self.ran(step, on_line);
        match limit {
            Some(limit) => limit.bound(ran).await,
            None => ran.await,
        }
    }

    async fn open(&self, step: &Step, limit: Limit, _: Reader) -> Result<Box<dyn Channel>, ServerError> {
        limit.bound(self.opened(step)).await
    }

    async fn attach(
        &self,
        step: &Step,
        terminal: Option<&Terminal>,
        limit: Limit,
    ) -> Result<Attached, ServerError> {
        limit.bound(self.attached(step, terminal)).await
    }

    async fn listen(&self, _: Arc<dyn Accept>) -> Result<Option<Listening>, ServerError> {
        let cuts = self.cuts();
        sleep(STEP).await;
        tokio::select! {
            () = self.network.answers(&self.host) => {}
            error = self.lost(cuts) => return Err(error),
        }
        let machine = self.network.machines().get(&self.host).cloned().unwrap_or_default();
        if self.network.faults().no_forwarding.contains(&self.host) {
            return Ok(None);
        }
        locked(&machine).changes.push("open".into());
        Ok(Some(Listening { port: 40_000, held: Box::new(Open(machine)) }))
    }

    async fn http_get(&self, _: SocketAddr, path: &str) -> Result<(u16, String), ServerError> {
        sleep(STEP).await;
        if self.machine().is_down() {
            return Err(ServerError::Unreachable { reason: "connection refused".into(), hint: None });
        }
        if let Some(times @ 1..) = self.network.faults().api_fails.get_mut(&self.host) {
            *times -= 1;
            return Err(ServerError::Deadline { limit: Duration::from_secs(5), setting: "api" });
        }
        self.machine().asked.push(path.to_owned());
        let protocol = match path {
            _ if path.starts_with("/api/tcp/") => Protocol::Tcp,
            _ if path.starts_with("/api/udp/") => Protocol::Udp,
            _ => Protocol::Http,
        };
        let said = match path.contains("/routers") {
            true => self.machine().routers(protocol),
            false => self.machine().services(protocol),
        };
        Ok((200, self.network.garbled(&self.host, &said).unwrap_or(said)))
    }
}

impl FakeServer {
    async fn ran(&self, step: &Step, on_line: OnLine<'_>) -> Result<Output, ServerError> {
        let cuts = self.cuts();
        sleep(STEP).await;
        if self.network.faults().unreachable.contains(&self.host) {
            return Err(ServerError::Lost { reason: "no answer".into() });
        }
        if let Some(fenced) = fence(step).and_then(|scope| self.fenced(scope)) {
            return Ok(fenced);
        }
        let carried_out = async {
            self.network.answers(&self.host).await;
            self.carry_out(step, on_line).await
        };
        let output = tokio::select! {
            output = carried_out => output,
            error = self.lost(cuts) => return Err(error),
        };
        Ok(match self.network.garbled(&self.host, &output.stdout) {
            Some(said) => {
                said.lines().for_each(|line| on_line(Line::Out(line)));
                // Half of these answers have exit status 0.
                let exit = if said.len() % 2 == 0 { Exit::Status(0) } else { output.exit };
                Output { exit, stdout: said.clone(), stderr: said }
            }
            None => output,
        })
    }

    async fn opened(&self, step: &Step) -> Result<Box<dyn Channel>, ServerError> {
        let cuts = self.cuts();
        sleep(STEP).await;
        let server = FakeServer { network: self.network.clone(), host: self.host.clone() };
        let keep = match step {
            Step::Lock(keep) => keep,
            Step::Run("follow the log", script) => {
                let ids: Vec<String> = self.machine().containers.iter().map(|c| c.id.clone()).collect();
                let id = ids.into_iter().find(|id| script.text.contains(id.as_str())).unwrap_or_default();
                return Ok(Box::new(FakeLog { server, id, said: false }));
            }
            _ => return Err(ServerError::Lost { reason: "only the lock and logs are kept open".into() }),
        };
        let take = async {
            self.boundary().await;
            if self.network.faults().lock_hangs {
                return FakeKeeper { server, run: keep.scope.run.clone(), lines: Vec::new(), cuts };
            }
            let said = take_lock(&mut self.machine(), keep).to_string();
            let mut lines = vec![said];
            if let Some(said) = self.network.garbled(&self.host, &lines.concat()) {
                lines = said.lines().rev().map(str::to_owned).collect();
            }
            let keeper = FakeKeeper { server, run: keep.scope.run.clone(), lines, cuts };
            self.boundary().await;
            keeper
        };
        tokio::select! {
            keeper = take => Ok(Box::new(keeper)),
            error = self.lost(cuts) => Err(error),
        }
    }

    async fn attached(&self, step: &Step, terminal: Option<&Terminal>) -> Result<Attached, ServerError> {
        sleep(STEP).await;
        match (step, self.network.machines().get(&self.host)) {
            (Step::Exec(exec), Some(machine)) => {
                Ok(program::attach(machine.clone(), exec.words.clone(), terminal))
            }
            (Step::OnServer(command), Some(machine)) => {
                Ok(program::attach(machine.clone(), program::words(&command.command), terminal))
            }
            (Step::Run("save the image", _), Some(machine)) => {
                let saved = Output { stdout: "an archive".into(), ..Output::default() };
                Ok(program::load(machine.clone(), saved))
            }
            (Step::Receive(_), Some(machine)) => {
                let output = self.ran(step, &|_| {}).await?;
                Ok(program::load(machine.clone(), output))
            }
            _ => Err(ServerError::Lost { reason: "only commands are attached".into() }),
        }
    }
}
