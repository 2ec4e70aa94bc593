//! Carries out the planned work on an accessory on one server.

use bowline_config::Accessory;
use bowline_core::commands::Action;
use bowline_core::commands::accessory::{Act, Answer, What};
use bowline_core::plan::change::{OnAccessory, Serve};
use bowline_core::plan::step::Step;
use bowline_core::proxy::{Attach, ProxyKind, kamal, traefik};

use super::explain;
use crate::error::{Cause, Failure};
use crate::proxy::{self, At, Seen, Target};
use crate::run::change::Done;
use crate::run::retire::note_returns;
use crate::run::work::Crew;

#[derive(Clone, Copy)]
pub(crate) struct OnServer<'a> {
    pub crew: Crew<'a>,
    pub at: At<'a>,
    pub accessory: &'a Accessory,
}

impl OnServer<'_> {
    pub(crate) async fn carry_out(self, work: &OnAccessory) -> Done {
        let (name, host) = (&self.accessory.name, self.at.host);
        if let Some(step) = work.unregister.clone() {
            self.at.fleet.run(host, Some(name), &Step::Proxy(step)).await?;
        }
        let mut changed = Vec::new();
        for file in &work.files {
            if let (true, What::Upload(upload)) = (self.act(file).await?.changed, &file.what) {
                changed.push(upload.path.as_str());
            }
        }
        let Some(act) = &work.act else { return Ok(format!("received {}", self.accessory.image)) };
        let answer = self.act(act).await?;
        let done = match &act.what {
            What::Boot(_) => booted(name, &answer, &changed),
            What::Replace(_) => {
                let newer = if answer.newer { " with a newer image" } else { "" };
                format!("rebooted {name}{newer}{}", waiting(&answer))
            }
            What::Pull { image, .. } => format!("pulled {image}"),
            What::Power { action, .. } => {
                note_returns(self.at.fleet, host, name, &answer.returns);
                match (action, answer.none) {
                    (Action::Stop, true) => return Ok(format!("{name} has no container here")),
                    (_, true) => return Err(explain::no_container(self.accessory, host)),
                    (_, false) => format!("{} {name}", action.done()),
                }
            }
            What::Remove { .. } => {
                let kept = if answer.kept { "; kept its image, which something else uses" } else { "" };
                format!("removed {name}{kept}")
            }
            What::Directories(_) | What::Upload(_) => String::new(),
        };
        Ok(done + self.serve(&work.serve, &answer).await?)
    }

    async fn act(self, act: &Act) -> Result<Answer, Failure> {
        let At { fleet, host } = self.at;
        let step = Step::Accessory(Box::new(act.clone()));
        let output = fleet.run_watched(host, Some(&self.accessory.name), &step, &|_| {}).await?;
        let cause = match output.answer() {
            Ok(answer) if output.success() => return Ok(answer),
            Ok(answer) => explain::cause(self.accessory, answer, output),
            Err(error) => error.into(),
        };
        Err(fleet.failed(host, Some(&self.accessory.name), &step, cause))
    }

    /// Makes sure that requests reach a container that has come up. Returns text to add to the result.
    async fn serve(self, serve: &Serve, answer: &Answer) -> Result<&'static str, Failure> {
        match serve {
            Serve::No => Ok(""),
            Serve::ByLabels(attach) => self.routed(attach, answer).await,
            Serve::Registered { files, ensure, route } => {
                let At { fleet, host } = self.at;
                if let Some(files) = files.clone() {
                    let step = proxy::kamal::step(kamal::Step::Files(files));
                    fleet.run(host, Some(&self.accessory.name), &step).await?;
                }
                if let Some(wanted) = ensure {
                    proxy::kamal::ensure(self.at, &self.crew.call.world.own_proxy, wanted).await?;
                }
                let Some(id) = &answer.came_up.id else { return Ok("") };
                let ready = Target { role: Some(&self.accessory.name), id, addresses: &[] };
                let attached = self.crew.proxy(ProxyKind::Kamal, self.at).attach(route, ready).await;
                let doing = format!("route requests to {}", self.accessory.name);
                attached.map(|_| ", serving").map_err(|cause| self.failure(doing, cause))
            }
        }
    }

    /// Waits until requests reach the container through the routers that its own labels define.
    async fn routed(self, attach: &Attach, answer: &Answer) -> Result<&'static str, Failure> {
        let kind = attach.kind();
        let Some(addresses) = answer.came_up.ready.as_ref().filter(|_| kind != ProxyKind::None) else {
            return Ok("");
        };
        let proxy = self.crew.proxy(kind, self.at);
        let runs = |observed| traefik::running(observed).is_some();
        if !self.crew.observed.get(self.at.host).is_some_and(runs) {
            let (proxy, service) = (kind.name(), &self.accessory.service);
            self.at.note(format!(
                "{proxy} is not running here, so Bowline could not check that requests reach {service}"
            ));
            return Ok("");
        }
        let id = answer.came_up.id.as_deref().unwrap_or_default();
        match proxy.attach(attach, Target { role: None, id, addresses }).await {
            Ok(Seen::Routed | Seen::Registered { .. }) => Ok(", serving"),
            Ok(Seen::Unseen) => Ok(""),
            Err(cause) => {
                let doing = format!("route requests to {}", self.accessory.name);
                Err(self.failure(doing, cause))
            }
        }
    }

    fn failure(self, doing: String, cause: Cause) -> Failure {
        Failure::new(self.at.host, Some(&self.accessory.name), doing, cause)
    }
}

fn booted(name: &str, answer: &Answer, changed: &[&str]) -> String {
    if answer.runs && !changed.is_empty() {
        let files = changed.join(", ");
        return format!(
            "{name} is already running; run `accessory restart {name}` to apply the changed files ({files})"
        );
    }
    let done = match (answer.runs, answer.started) {
        (true, _) => format!("{name} is already running"),
        (_, true) => format!("started the existing container of {name}"),
        (false, false) => format!("booted {name}"),
    };
    done + waiting(answer)
}

fn waiting(answer: &Answer) -> &'static str {
    if answer.is_starting() { "; its health check hasn't succeeded yet" } else { "" }
}
