//! One kind of proxy replaces another on a server where it already knows the app's new containers. Until the old proxy
//! gives up its ports, it serves the old containers.

use bowline_core::error::PlanError;
use bowline_core::plan::{ServerPlan, step::Step};
use bowline_core::proxy::kamal::files::Files;
use bowline_core::proxy::takeover::{Settle, Verdict};
use bowline_core::proxy::{self, Attach, ProxyKind, kamal};
use bowline_core::request::Direction;
use tokio::time::Instant;

use super::Apply;
use super::role::RoleTask;
use crate::error::{Cause, Failure};
use crate::event::Event;
use crate::ports::ServerError;
use crate::proxy::Target;

impl Apply<'_> {
    pub(crate) fn ready(&self) -> Vec<&ServerPlan> {
        self.sound()
            .filter(|server| server.roles.iter().all(|role| self.is_done(&server.host, &role.role)))
            .collect()
    }

    pub(crate) fn took_over(&self, host: &str) -> bool {
        self.progress.is_taken_over(host)
    }

    /// Gives the new proxy the ports on a server, and retires the old containers.
    /// `restart` is the restart policy that the old proxy gets back if it has to serve again.
    pub(crate) async fn take_over(&self, server: &ServerPlan, direction: Direction, restart: Option<String>) {
        if let Err(failure) = self.taken_over(server, direction, restart).await {
            self.fail(failure);
        }
    }

    async fn taken_over(
        &self,
        server: &ServerPlan,
        direction: Direction,
        restart: Option<String>,
    ) -> Result<(), Failure> {
        let host = server.host.as_str();
        self.may_go_on().map_err(|cause| failure(host, direction, cause))?;
        self.progress.take_over(host);
        match self.switch(server, direction).await {
            Ok(gap) => self.note_taken(host, direction, gap),
            Err(failure) => {
                if !matches!(failure.cause, Cause::Server(ServerError::Lost { .. }) | Cause::LockLost { .. })
                {
                    self.give_up(server, direction, Verdict::GivesBack { restart }).await;
                }
                return Err(failure);
            }
        }
        for role in &server.roles {
            let Some(booted) = self.done_at(host, &role.role) else { continue };
            RoleTask { apply: self, server, role }.finish(&booted).await?;
        }
        // This must be last: if the old proxy is gone, the next run concludes that nothing is left to do.
        self.settle(server, direction, Verdict::Stays).await
    }

    /// Gives the new proxy the ports, and waits until requests reach the new containers. Returns the downtime in
    /// milliseconds, if known.
    async fn switch(&self, server: &ServerPlan, direction: Direction) -> Result<Option<u64>, Failure> {
        let gap = self.proxies.on(&server.host, direction.to()).take_over().await?;
        let began = Instant::now();
        if direction.to() == ProxyKind::Traefik {
            // The script only checks that Traefik runs.
            for role in &server.roles {
                let Some(booted) = self.done_at(&server.host, &role.role) else { continue };
                RoleTask { apply: self, server, role }.attach(&role.attach, booted.target()).await?;
            }
        }
        let unrouted_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(gap.map(|gap| gap + unrouted_ms))
    }

    fn note_taken(&self, host: &str, direction: Direction, gap: Option<u64>) {
        let [from, to] = [direction.from(), direction.to()].map(ProxyKind::name);
        let gap = gap.map(|gap| format!("; the server was down for at most {:.1} s", gap as f64 / 1000.0));
        let text = format!("{to} has replaced {from}{}", gap.unwrap_or_default());
        self.fleet.emit(Event::Note { host: Some(host.into()), text });
    }

    async fn settle(
        &self,
        server: &ServerPlan,
        direction: Direction,
        verdict: Verdict,
    ) -> Result<(), Failure> {
        let scope = server.tag.scope.clone();
        let services = server.roles.iter().map(|role| scope.names.prefix(&role.role)).collect();
        let settle = Step::Proxy(proxy::Step::Settle(Settle { scope, direction, verdict, services }));
        self.fleet.run(&server.host, None, &settle).await.map(drop).map_err(Failure::explained)
    }

    /// Removes the new containers and the new proxy from a server that continues with the old proxy.
    pub(crate) async fn give_up(&self, server: &ServerPlan, direction: Direction, verdict: Verdict) {
        let host = server.host.as_str();
        let note = |text: String| self.fleet.emit(Event::Note { host: Some(host.into()), text });
        if let Err(failure) = self.settle(server, direction, verdict).await {
            note(format!("could not {}: {}", failure.doing, failure.cause));
            return;
        }
        for role in &server.roles {
            let Some(booted) = self.done_at(host, &role.role) else { continue };
            self.progress.fall_back(host, &role.role);
            let task = RoleTask { apply: self, server, role };
            if let Err(failure) = task.retire(&role.undo(&booted.serving.id, false)).await {
                note(format!("the new container could not be stopped: {}", failure.cause));
            }
        }
    }

    /// Registers an accessory with the new proxy, after uploading the files that the proxy reads for it.
    pub(crate) async fn register(
        &self,
        host: &str,
        name: &str,
        route: &Attach,
        id: &str,
        files: Result<Option<Box<Files>>, PlanError>,
    ) -> bool {
        let failed = |cause| {
            let doing = format!("route requests to {name}");
            self.fail(Failure::new(host, None, doing, cause));
            false
        };
        match files {
            Ok(None) => {}
            Ok(Some(files)) => {
                let step = Step::Proxy(proxy::Step::Kamal(kamal::Step::Files(files)));
                if let Err(failure) = self.fleet.run(host, None, &step).await {
                    self.fail(failure);
                    return false;
                }
            }
            Err(error) => return failed(Cause::Other { reason: error.to_string(), hint: None }),
        }
        let target = Target { role: None, id, addresses: &[] };
        let attached = self.proxies.on(host, route.kind()).attach(route, target).await;
        attached.map_or_else(failed, |_| true)
    }
}

fn failure(host: &str, direction: Direction, cause: Cause) -> Failure {
    let doing = format!("replace {} with {}", direction.from().name(), direction.to().name());
    Failure::new(host, None, doing, cause)
}
