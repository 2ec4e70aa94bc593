//! kamal-proxy: its command `deploy` names the container that gets a service's requests, and returns when it does.

pub(crate) mod image;
pub(crate) mod life;
pub(crate) mod upgrade;

use async_trait::async_trait;
use bowline_core::commands::app::IfHealthy;
use bowline_core::commands::status::Status;
use bowline_core::plan::step::Step;
use bowline_core::proxy::kamal::container::{Ensure, Load};
use bowline_core::proxy::kamal::service::Pausing;
use bowline_core::proxy::kamal::takeover::TakeOver;
use bowline_core::proxy::kamal::{self, Answer, Listed, NAME, OnServer};
use bowline_core::proxy::{self, Attach, Detach, Maintain};

use super::{At, Proxy, Seen, Serves, Target};
use crate::error::{Cause, Failure};
use crate::run::change::Done;
use crate::run::health;
use crate::world::OwnImage;

pub(super) struct KamalProxy<'a> {
    at: At<'a>,
    plan: Option<&'a OnServer>,
    image: Option<&'a OwnImage>,
}

pub(crate) fn step(step: kamal::Step) -> Step {
    Step::Proxy(proxy::Step::Kamal(step))
}

impl<'a> KamalProxy<'a> {
    /// The proxy in a plan. `plan` is `None` if no role on that server is behind it.
    pub(super) fn planned(at: At<'a>, plan: Option<&'a OnServer>, image: &'a OwnImage) -> Self {
        Self { at, plan, image: Some(image) }
    }

    pub(super) fn observed(at: At<'a>) -> Self {
        Self { at, plan: None, image: None }
    }
}

/// Makes sure that the proxy runs and responds on a server. Sends Bowline's own image if the server needs and lacks it.
pub(crate) async fn ensure(at: At<'_>, image: &OwnImage, ensure: &Ensure) -> Result<Answer, Failure> {
    with_image(at, image, ensure, |ensure| kamal::Step::Ensure(Box::new(ensure))).await
}

/// Runs a step that creates the proxy's container. If the server lacks the image, sends it and tries again.
pub(crate) async fn with_image(
    at: At<'_>,
    image: &OwnImage,
    ensure: &Ensure,
    made: impl Fn(Ensure) -> kamal::Step,
) -> Result<Answer, Failure> {
    let At { fleet, host } = at;
    let named = |own: &str| step(made(Ensure { own: own.into(), ..ensure.clone() }));
    let own = match ensure.image {
        kamal::container::Image::Own => image.reference().await.unwrap_or_default(),
        kamal::container::Image::Named(_) => String::new(),
    };
    match fleet.ask(host, None, &named(&own)).await {
        Err(failure) if failure.has_status(Status::NoImage) => {
            let (reference, archive) =
                image.archive().await.map_err(|cause| Failure { cause, ..failure.clone() })?;
            let load = Load { scope: ensure.scope.clone(), image: reference.clone(), archive };
            fleet.run(host, None, &step(kamal::Step::Load(load))).await?;
            fleet.ask(host, None, &named(&reference)).await.map_err(explained)
        }
        ended => ended.map_err(explained),
    }
}

pub(crate) fn gap(answer: &Answer) -> String {
    answer.gap_ms.map(|gap| format!(", down for {:.1} s", gap as f64 / 1000.0)).unwrap_or_default()
}

pub(crate) fn explained(mut failure: Failure) -> Failure {
    let Cause::Command(output) = &failure.cause else { return failure };
    if output.status() == Some(Status::PortTaken)
        && let Ok(taken) = output.answer::<bowline_core::commands::published::Taken>()
    {
        failure.cause = Cause::Other { reason: taken.describe(), hint: None };
        return failure;
    }
    if output.status() != Some(Status::ProxyFailed) {
        return failure;
    }
    let said = output.stderr.trim();
    let hint = if bowline_core::commands::ready::is_port_taken(said) {
        "something else on the server uses port 80 or 443 (`ss -ltnp` there names it): stop it, or give kamal-proxy other \
         ports (`proxy: run: {http_port, https_port}`). `bowline upgrade` replaces Traefik with kamal-proxy"
    } else {
        "`docker logs kamal-proxy` there may say more"
    };
    failure.cause =
        Cause::Other { reason: format!("{NAME} is not running: {said}"), hint: Some(hint.into()) };
    failure
}

#[async_trait(?Send)]
impl Proxy for KamalProxy<'_> {
    async fn ensure(&self) -> Result<(), Failure> {
        let (Some(plan), Some(image)) = (self.plan, self.image) else { return Ok(()) };
        if let Some(wanted) = &plan.ensure {
            ensure(self.at, image, wanted).await?;
        }
        if let Some(files) = &plan.files {
            self.at.fleet.run(self.at.host, None, &step(kamal::Step::Files(files.clone()))).await?;
        }
        for orphan in &plan.orphans {
            self.at.fleet.run(self.at.host, None, &step(kamal::Step::Forget(orphan.clone()))).await?;
        }
        Ok(())
    }

    async fn take_over(&self) -> Result<Option<u64>, Failure> {
        let plan = self.plan.and_then(|plan| plan.take_over.as_ref());
        let (Some(wanted), Some(image)) = (plan, self.image) else { return Ok(None) };
        let take_over = |ensure| kamal::Step::TakeOver(Box::new(TakeOver { ensure }));
        Ok(with_image(self.at, image, &wanted.ensure, take_over).await?.gap_ms)
    }

    async fn attach(&self, to: &Attach, container: Target<'_>) -> Result<Seen, Cause> {
        let (Attach::Kamal(route), Some(step)) = (to, to.step(container.id)) else { return Ok(Seen::Routed) };
        let At { fleet, host } = self.at;
        let step = Step::Proxy(step);
        let output =
            fleet.run_watched(host, container.role, &step, &|_| {}).await.map_err(|failure| failure.cause)?;
        let restarts = health::restarts(&output);
        health::outcome(&route.container, route.timeout, output)?;
        Ok(Seen::Registered { restarts })
    }

    async fn detach(&self, role: &str, container: &Detach) -> Result<IfHealthy, Failure> {
        if let Some(step) = container.step() {
            self.at.fleet.run(self.at.host, Some(role), &Step::Proxy(step)).await?;
        }
        Ok(IfHealthy::Stop)
    }

    async fn maintain(&self, role: &str, how: &Maintain) -> Done {
        let Maintain::Kamal(pause) = how else { return Ok(String::new()) };
        let At { fleet, host } = self.at;
        let step = step(kamal::Step::Pause(pause.as_ref().clone()));
        fleet.run(host, Some(role), &step).await.map_err(|failure| without_service(failure, role))?;
        Ok(match pause.to {
            Pausing::Stop { .. } => "in maintenance; the app has no open requests".into(),
            Pausing::Resume => "live".into(),
        })
    }

    async fn serves(&self) -> Serves {
        match self.at.fleet.ask::<Listed>(self.at.host, None, &step(kamal::Step::List)).await {
            Ok(listed) => Serves::By(listed),
            Err(_) => Serves::Unknown,
        }
    }
}

/// Explains why a service couldn't be paused or resumed, if the proxy doesn't have it.
fn without_service(mut failure: Failure, role: &str) -> Failure {
    if let Cause::Command(output) = &failure.cause
        && output.stderr.contains("service not found")
    {
        let reason = format!("{NAME} has no service for the role {role}");
        failure.cause =
            Cause::Other { reason, hint: Some("`app boot` boots it; `app start` starts it again".into()) };
    }
    failure
}
