//! Carries out steps on the model of a server, effect by effect.

use std::collections::BTreeSet;
use std::time::Duration;

use bowline_core::commands::doctor::{Docker, Examine};
use bowline_core::commands::finish::{self, Finish};
use bowline_core::commands::observe::Observe;
use bowline_core::commands::ready::{Event, Failed, State, Why};
use bowline_core::commands::registry::Way;
use bowline_core::commands::serving::{Check, Instead};
use bowline_core::commands::status::Status;
use bowline_core::commands::{Scope, app, assets, lock, prune, ready, registry};
use bowline_core::plan::step::Step;
use bowline_core::proxy;
use tokio::time::sleep;

use super::docker::FakeDocker;
use super::machine::{Behaviour, FakeContainer, FakeLock, Machine};
use super::network::STEP;
use super::program;
use super::server::FakeServer;
use super::spontaneous::no_daemon;
use crate::ports::{Exit, Line, OnLine, Output};

pub(super) fn answer(answer: impl ToString) -> Output {
    Output { stdout: answer.to_string(), ..Output::default() }
}

pub(super) fn status(status: impl Into<u32>, text: &str) -> Output {
    Output { exit: Exit::Status(status.into()), stdout: String::new(), stderr: text.into() }
}

pub(super) fn failed(states: Vec<State>, why: Why) -> Output {
    let (log, health) = (vec!["boom".into()], vec![(1, "refused".into())]);
    let failed = Some(Failed { log, health, ..Failed::new(why) });
    let answer = ready::Answer { states, failed, ..ready::Answer::default() };
    Output { stdout: answer.to_string(), ..status(Status::NotReady, "") }
}

pub(super) fn flapping(code: i64) -> Output {
    let state = State { status: "restarting".into(), code, ..State::running("starting", 3) };
    failed(vec![state], Why::Restarting)
}

/// The answer of a script that changed nothing, because a container that should serve doesn't.
pub(super) fn refused(state: &str) -> Output {
    Output { stdout: Instead(state.into()).to_string(), ..status(Status::NotServing, "") }
}

impl FakeServer {
    /// Checks when a version boots that every server that takes part has its assets, and this server has theirs.
    fn check_assets(&self, boot: &app::Boot) {
        if boot.assets.is_none() {
            return;
        }
        let mut lacking = self.machine().lacked_by(&boot.role, &boot.version);
        let out = {
            let faults = self.network.faults();
            let failing = faults.no_assets.keys().cloned();
            let silent = faults.silent.iter().map(|silent| silent.host.clone());
            let out = failing.chain(faults.unreachable.clone()).chain(faults.no_pull.clone());
            out.chain(silent).collect::<BTreeSet<_>>()
        };
        let cut_off = |host: &str| self.network.machine(host).cuts > 0;
        for host in self.network.hosts().iter().filter(|host| !out.contains(*host) && !cut_off(host)) {
            lacking.extend(self.network.machine(host).lacking(&boot.role, &boot.version));
        }
        self.machine().losses.extend(lacking);
    }

    async fn assets(&self, prepare: &assets::Prepare) -> Output {
        let (fault, delay) = {
            let faults = self.network.faults();
            (faults.no_assets.get(&self.host).cloned(), faults.slow_assets.get(&self.host).copied())
        };
        sleep(delay.unwrap_or_default()).await;
        if let Some((code, said)) = fault {
            return status(code, &said);
        }
        self.effect(|machine| machine.reach(prepare)).await;
        self.effect(|machine| machine.put(prepare)).await;
        answer("")
    }

    async fn boot(&self, boot: &app::Boot, on_line: OnLine<'_>) -> Output {
        self.check_assets(boot);
        self.effect(|machine| machine.rename_clashing(boot)).await;
        let key = (self.host.clone(), boot.role.clone(), boot.version.clone());
        let behaviour = self.network.faults().behaviour.get(&key).copied().unwrap_or(Behaviour::Healthy(300));
        if self.machine().is_down() {
            return no_daemon(Status::NotStarted);
        }
        let id = match behaviour {
            Behaviour::Late(seconds) => self.made_late(boot, seconds).await,
            _ => self.effect(|machine| machine.create(boot)).await,
        };
        for event in [Event::Id(id.clone()), Event::State(State::running("starting", 0))] {
            on_line(Line::Out(&event.to_string()));
        }
        match behaviour {
            Behaviour::Exits(_) | Behaviour::NeverHealthy if boot.ready == ready::Ready::Started => {
                self.until_ready(&id, boot.ready, boot.timeout, 0, None).await
            }
            Behaviour::Healthy(after) => {
                if boot.health.is_some() {
                    sleep(Duration::from_millis(after)).await;
                    self.effect(|machine| machine.check_health(std::slice::from_ref(&id))).await;
                }
                self.until_ready(&id, boot.ready, boot.timeout, boot.readiness_delay, None).await
            }
            Behaviour::Late(_) => {
                self.until_ready(&id, boot.ready, boot.timeout, boot.readiness_delay, None).await
            }
            Behaviour::Exits(code) => {
                sleep(Duration::from_millis(400)).await;
                flapping(code)
            }
            Behaviour::NeverHealthy => {
                sleep(Duration::from_secs(boot.timeout)).await;
                failed(vec![State::running("unhealthy", 0)], Why::Timeout)
            }
        }
    }

    /// Docker creates a container after a while, even if no step waits for it any more.
    async fn made_late(&self, boot: &app::Boot, seconds: u64) -> String {
        let (network, host, boot) = (self.network.clone(), self.host.clone(), boot.clone());
        let made = tokio::spawn(async move {
            sleep(Duration::from_secs(seconds)).await;
            let mut machine = network.machine(&host);
            let id = machine.create(&boot);
            let find = boot.find();
            if machine.given_up.contains(&(find.name, find.hostname)) {
                machine.stop(&id);
            }
            machine.check_health(std::slice::from_ref(&id));
            id
        });
        made.await.unwrap_or_default()
    }

    async fn start(&self, start: &app::Start) -> Output {
        if self.machine().is_down() {
            return no_daemon(Status::NotStarted);
        }
        let there = self
            .effect(|machine| {
                machine.changes.push(format!("start {}", start.name));
                machine.cords.extend(start.cord.clone().map(|cord| (cord, true)));
                let container = machine.find(&start.id)?;
                if !container.running {
                    container.healthy = container.healthy.map(|_| false);
                }
                container.running = true;
                container.stopped = false;
                container.policy = start.restart.clone().unwrap_or_else(|| container.policy.clone());
                Some(())
            })
            .await;
        if there.is_none() {
            return status(Status::NotStarted, "no such container");
        }
        let key = (self.host.clone(), start.role.clone(), start.version.clone());
        if let Some(Behaviour::Exits(code)) = self.network.faults().behaviour.get(&key)
            && start.ready == ready::Ready::Healthy
        {
            return flapping(*code);
        }
        sleep(Duration::from_millis(300)).await;
        self.effect(|machine| machine.check_health(std::slice::from_ref(&start.id))).await;
        self.until_ready(&start.id, start.ready, start.timeout, start.readiness_delay, None).await
    }

    async fn find(&self, find: &app::Find) -> Output {
        let mark = (find.name.clone(), find.hostname.clone());
        self.effect(|machine| machine.given_up.insert(mark)).await;
        for _ in 0..100 {
            let of_run = |c: &&FakeContainer| c.name == find.name && c.run == find.scope.run;
            let found = self.machine().containers.iter().find(of_run).map(|c| c.id.clone());
            if let Some(id) = found {
                return answer(ready::Answer { id: Some(id), ..ready::Answer::default() });
            }
            sleep(Duration::from_millis(100)).await;
        }
        answer("")
    }

    async fn stop(&self, stop: &app::Stop) -> Output {
        loop {
            if let Err(output) = self.ask().await {
                return output;
            }
            let stopped = self
                .effect(|machine| {
                    if machine.is_down() {
                        // The script tries again.
                        return None;
                    }
                    if let Some(state) = machine.not_serving(stop.instead.as_ref()) {
                        return Some(refused(&state));
                    }
                    if let Some(container) = machine.find(&stop.id) {
                        let healthy = container.running && container.healthy == Some(true);
                        if healthy && stop.if_healthy == app::IfHealthy::Leave {
                            return Some(status(Status::Healthy, ""));
                        }
                        container.policy = "unless-stopped".into();
                    }
                    machine.stop(&stop.id);
                    machine.cords.retain(|cord, _| Some(cord) != stop.cord.as_ref());
                    Some(answer(app::Stopped { drain: Some(app::Drained::Idle), ..app::Stopped::default() }))
                })
                .await;
            if let Some(output) = stopped {
                return output;
            }
        }
    }

    async fn tag(&self, tag: &app::Tag) -> Output {
        if let Err(output) = self.ask().await {
            return output;
        }
        self.effect(|machine| {
            if let Some(state) = tag.serving.iter().find_map(|serving| machine.not_serving(Some(serving))) {
                return refused(&state);
            }
            machine.latest.insert(tag.latest.clone(), tag.image.clone());
            machine.history.extend(tag.kind.map(|kind| format!("{kind} {}", tag.version)));
            machine.changes.push(format!("tag {}", tag.latest));
            answer("")
        })
        .await
    }

    /// The answer of a healthy server, with the changes that a test makes.
    fn examine(&self, examine: &Examine) -> Output {
        let mut machine = self.machine();
        let mut checkup = machine.checkup.clone();
        if checkup.user.is_empty() {
            checkup.user = "root".into();
        }
        if machine.docker == FakeDocker::Runs && !machine.is_down() {
            checkup.docker = Docker::Runs { version: "26.1.5".into(), arch: "amd64".into() };
            checkup.login = examine.login.as_ref().map(|_| checkup.login.unwrap_or(Ok(())));
            let observe = Observe {
                scope: examine.scope.clone(),
                repository: examine.repository.clone(),
                claim: false,
            };
            return answer(format!("{checkup}{}", machine.observe(&observe)));
        }
        answer(checkup)
    }

    async fn prune(&self, prune: &prune::Prune) -> Output {
        if self.machine().is_down() {
            return no_daemon(1_u32);
        }
        self.effect(|machine| {
            prune.assets.iter().for_each(|clean| machine.clean(clean));
            if prune.parts.is_some() {
                machine.prune(&prune.scope.names, &prune.roles, prune.retain);
            }
        })
        .await;
        answer("")
    }

    /// Starts the next part of a script, which takes time and checks the server's mark again.
    async fn next_part(&self, scope: &Scope) -> Result<(), Output> {
        sleep(STEP).await;
        self.fenced(scope).map_or(Ok(()), Err)
    }

    async fn finish(&self, finish: &Finish) -> Output {
        let mut done = finish::Answer::default();
        let after = |output: Output, done: &finish::Answer| Output {
            stdout: format!("{done}{}", output.stdout),
            ..output
        };
        if let Some(stop) = &finish.stop {
            let output = self.stop(stop).await;
            if !output.success() {
                return after(output, &done);
            }
            done.stopped = output.answer().ok();
        }
        if let Some(tag) = &finish.tag {
            if let Err(output) = self.next_part(&tag.scope).await {
                return after(output, &done);
            }
            let output = self.tag(tag).await;
            if !output.success() {
                return after(output, &done);
            }
            done.tagged = true;
        }
        if let Some(prune) = &finish.prune {
            if let Err(output) = self.next_part(&prune.scope).await {
                return after(output, &done);
            }
            let output = self.prune(prune).await;
            if !output.success() {
                return after(output, &done);
            }
            done.pruned = output.answer().ok();
        }
        answer(done)
    }

    async fn receive(&self, receive: &registry::Receive) -> Output {
        let image = &receive.image;
        let way = match &receive.way {
            Way::There if self.machine().images.contains(image) => "have",
            Way::There => return status(Status::NoSuchImage, ""),
            Way::Pull(_) | Way::Load if self.network.faults().no_pull.contains(&self.host) => {
                return status(Status::NotReceived, "connection refused");
            }
            Way::Pull(_) => "pull",
            Way::Load => "load",
        };
        self.effect(|machine| {
            machine.images.insert(image.clone());
            let build = machine.builds.get(image).copied().unwrap_or_default();
            machine.pulled.insert(image.clone(), build);
            machine.changes.push(format!("{way} {image}"));
        })
        .await;
        answer(registry::Pulled { image: self.machine().image_id(image) })
    }

    pub(super) async fn carry_out(&self, step: &Step, on_line: OnLine<'_>) -> Output {
        match step {
            Step::Observe(_) if self.machine().docker != FakeDocker::Runs => {
                status(127_u32, "docker: not found")
            }
            Step::Observe(_) | Step::Pull(_) | Step::Receive(_) if self.machine().is_down() => {
                no_daemon(1_u32)
            }
            Step::Observe(Observe { scope, claim: true, .. }) if self.released(scope).is_some() => {
                self.released(scope).unwrap_or_default()
            }
            Step::Observe(observe) => {
                let text = self.machine().observe(observe);
                self.boundary().await;
                answer(text)
            }
            Step::Pull(pull) => {
                if self.network.faults().no_pull.contains(&self.host) {
                    return status(Status::PullFailed, "manifest unknown");
                }
                self.effect(|machine| {
                    machine.images.insert(pull.image.clone());
                    let build = machine.builds.get(&pull.image).copied().unwrap_or_default();
                    machine.pulled.insert(pull.image.clone(), build);
                    machine.changes.push(format!("pull {}", pull.image));
                })
                .await;
                answer(registry::Pulled { image: self.machine().image_id(&pull.image) })
            }
            Step::Receive(receive) => self.receive(receive).await,
            Step::Run("ask for the platform", _) => answer("amd64\n"),
            Step::Proxy(proxy::Step::Traefik(step)) => self.traefik(step).await,
            Step::Proxy(proxy::Step::Kamal(step)) => self.kamal(step).await,
            Step::Proxy(proxy::Step::Survey(step)) => self.survey(step).await,
            Step::Proxy(proxy::Step::Settle(step)) => self.settle_both(step).await,
            Step::Boot(boot) => self.boot(boot, on_line).await,
            Step::Find(find) => self.find(find).await,
            Step::Start(start) => self.start(start).await,
            Step::Check(check) => {
                let Check { serving, timeout, readiness_delay, .. } = check;
                self.until_ready(&serving.id, serving.ready, *timeout, *readiness_delay, serving.restarts)
                    .await
            }
            Step::Stop(stop) => self.stop(stop).await,
            Step::Tag(tag) => self.tag(tag).await,
            Step::Prune(prune) => self.prune(prune).await,
            Step::Finish(finish) => self.finish(finish).await,
            Step::Remove(remove) => {
                self.effect(|machine| machine.remove(&remove.what)).await;
                answer("")
            }
            Step::Env(_) => {
                self.effect(|machine| machine.changes.push(step.describe())).await;
                answer("")
            }
            Step::Network(_) => {
                self.effect(|_| ()).await;
                answer("")
            }
            Step::Assets(prepare) => self.assets(prepare).await,
            Step::Accessory(act) => {
                let fault =
                    self.network.faults().accessories.get(&(self.host.clone(), act.describe())).cloned();
                match fault {
                    Some(output) => output,
                    None => self.act(act).await,
                }
            }
            Step::Prepare(exec) => {
                self.effect(|machine| machine.changes.push(format!("prepare {}", exec.container()))).await;
                answer("")
            }
            Step::Exec(exec) => program::run(&exec.words).await,
            Step::OnServer(command) => program::run(&program::words(&command.command)).await,
            Step::Examine(examine) => self.examine(examine),
            Step::Bootstrap(_) => {
                let (code, said) = self.effect(Machine::bootstrap).await;
                let stdout = said.to_string();
                stdout.lines().for_each(|line| on_line(Line::Out(line)));
                Output { exit: Exit::Status(code), stdout, ..Output::default() }
            }
            Step::Run("check the lock", _) => {
                answer(self.machine().lock.as_ref().map(|lock| lock.details.clone()).unwrap_or_default())
            }
            Step::Run("look who owns the lock", _) => {
                let owner = self.machine().lock.as_ref().and_then(|lock| lock.owner.clone());
                answer(lock::Owner(owner).to_string())
            }
            Step::Run("end the run that holds the lock", script) => {
                let line = script.text.split_once("released ").and_then(|(_, line)| line.split_once('\''));
                let named = line.and_then(|(line, _)| line.split_once(' '));
                self.machine().released = named.map(|(run, why)| (run.to_owned(), why.to_owned()));
                answer("")
            }
            Step::Run("release the deploy lock", _) => {
                let there = self.machine().lock.take().is_some();
                answer(if there { "" } else { "@none\n" })
            }
            Step::Run("take the deploy lock", _) => {
                let mut machine = self.machine();
                if machine.lock.is_some() {
                    return status(Status::Held, "");
                }
                machine.lock = Some(FakeLock { owner: None, orphaned: false, details: "by hand".into() });
                answer("")
            }
            Step::Wait("show the log", script, _) => {
                let machine = self.machine();
                let shown = machine.containers.iter().find(|c| script.text.contains(c.id.as_str()));
                answer(shown.map(|c| format!("{} says\n", c.name)).unwrap_or_default())
            }
            Step::Run("log in again", _) => {
                self.effect(Machine::log_in_again).await;
                answer("")
            }
            Step::Run("ask why Traefik does not route", _) => answer(self.machine().complaint()),
            Step::Run("look for a mirror", _) => answer(self.machine().mirror.clone()),
            Step::Run(name, _) | Step::Wait(name, ..) => {
                self.machine().changes.push((*name).into());
                answer("")
            }
            Step::Lock(_) => answer(""),
        }
    }
}
