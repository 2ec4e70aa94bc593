//! Traefik: reads its routes from the labels of containers, and sends requests only to healthy ones.

pub mod container;
pub mod cord;
pub mod labels;
pub mod life;
pub mod maintenance;
pub(crate) mod neighbours;
pub mod secrets;
pub mod takeover;
pub mod trouble;
pub(crate) mod wanted;

use std::net::SocketAddr;

use bowline_config::{Config, Cord, Pairs, Role};

pub use super::answer::Answer;
use super::takeover::needs_no_ports_of_another;
use super::{Attach, Detach, Maintain, OfRole, Opens, Rules, Site, Takes};
use crate::commands::Scope;
use crate::commands::app::Boot;
use crate::commands::ask::PATIENCE_S;
use crate::error::{PlanError, Refusal};
use crate::names::{NETWORK, Names};
use crate::observed::Observed;
use crate::request::{Direction, Page};
use crate::secrets::{Secrets, secret_env};
use crate::shell::{Script, quote};
use container::{API_PORT, Ensure, difference, has_api, will_have_api};

pub const NAME: &str = "traefik";

/// How a new container is attached, for display.
pub(super) const ATTACHES: &str = "until Traefik routes to it";

#[derive(Debug, Clone, PartialEq)]
pub struct OnServer {
    /// Makes it run, if it doesn't.
    pub ensure: Option<Box<Ensure>>,
    pub api: Api,
    pub ports: Vec<u16>,
    /// Moves kamal-proxy's ports to it, if it waits for them.
    pub take_over: Option<Box<takeover::TakeOver>>,
}

/// Where to ask Traefik which containers it routes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// It runs and responds at this address.
    At(SocketAddr),
    /// The step that starts it answers with the address.
    AfterStart,
    /// It has no API. Fixed pauses replace the questions.
    Silent,
}

impl OnServer {
    pub(super) fn step(&self) -> Option<super::Step> {
        self.ensure.clone().map(|ensure| super::Step::Traefik(Step::Ensure(ensure)))
    }

    pub(super) fn attaches(&self) -> &'static str {
        match self.api {
            Api::Silent => "give Traefik 5 s to route to it",
            Api::At(_) | Api::AfterStart => ATTACHES,
        }
    }
}

/// The API of a Traefik that runs on the app's network. `None` if none runs there.
pub fn running(observed: &Observed) -> Option<Api> {
    let traefik = observed.proxy(NAME).filter(|traefik| traefik.status == "running")?;
    let address = traefik.networks.get(NETWORK)?.ip_address.parse().ok()?;
    let at = Api::At(SocketAddr::new(address, API_PORT));
    Some(if has_api(&traefik.args) { at } else { Api::Silent })
}

/// The step that creates or starts Traefik's container on a server as configured.
pub fn ensure(config: &Config, secrets: &Secrets, scope: &Scope) -> Result<Ensure, PlanError> {
    Ok(Ensure {
        scope: scope.clone(),
        traefik: config.traefik.clone(),
        secret: secret_env(secrets, &config.traefik.env)?,
        logging: config.logging.clone(),
    })
}

/// Shell lines that set `$bowline_network` to `network` if Traefik is in it, otherwise to the network that all apps
/// share. Traefik can't reach containers on a network that it isn't in, whatever the labels say.
pub(crate) fn shared_network(network: &str) -> String {
    if network == NETWORK {
        return format!("bowline_network={NETWORK}\n");
    }
    let template = quote(&format!("{{{{if index .NetworkSettings.Networks {network:?}}}}}yes{{{{end}}}}"));
    format!(
        "bowline_network={NETWORK}\n\
         ! ask_name {NAME} {template} || [ -z \"$bowline_said\" ] || bowline_network={}\n",
        quote(network)
    )
}

pub(super) struct Traefik;

impl Rules for Traefik {
    fn name(&self) -> &'static str {
        "Traefik"
    }

    fn opens(&self) -> Opens {
        Opens::Ready
    }

    fn secrets(&self, config: &Config) -> Vec<String> {
        secrets::of_env(config)
    }

    fn check_secrets(&self, config: &Config, secrets: &Secrets) -> Result<(), PlanError> {
        secret_env(secrets, &config.traefik.env).map(drop)
    }

    fn on_server(&self, site: &Site<'_>) -> Result<Option<super::OnServer>, PlanError> {
        let Site { config, secrets, scope, observed, request, .. } = *site;
        let ports: Vec<u16> =
            config.traefik.publish.then_some(config.traefik.host_port).into_iter().collect();
        let takes_over = request.kind.direction().is_some();
        if !takes_over {
            needs_no_ports_of_another(site, Direction::Downgrade, &ports)?;
        }
        let wanted = ensure(config, secrets, scope)?;
        let take_over = takes_over.then(|| Box::new(takeover::TakeOver { ensure: wanted.clone() }));
        let (ensure, api) = match running(observed) {
            Some(api) => (None, api),
            None => {
                let has_api = match observed.proxy(NAME) {
                    Some(traefik) => has_api(&traefik.args),
                    None => will_have_api(&config.traefik),
                };
                let api = if has_api { Api::AfterStart } else { Api::Silent };
                let traefik =
                    if takes_over { takeover::waiting(&config.traefik) } else { wanted.traefik.clone() };
                (Some(Box::new(Ensure { traefik, ..wanted })), api)
            }
        };
        Ok(Some(super::OnServer::Traefik(OnServer { ensure, api, ports, take_over })))
    }

    fn notes(&self, site: &Site<'_>) -> Vec<String> {
        let Site { config, host, observed, .. } = *site;
        let mut notes = Vec::new();
        let found = observed.proxy(NAME);
        let answers = found.map_or_else(|| will_have_api(&config.traefik), |found| has_api(&found.args));
        if !answers {
            notes.push(
                "Traefik here was booted without its API: Bowline waits 5 s instead of asking it \
                 (it needs the argument `--api.insecure=true`)"
                    .into(),
            );
        } else if let Some(difference) = found.and_then(|found| difference(&config.traefik, found)) {
            notes.push(format!(
                "Traefik here differs from `traefik:` in the configuration: {difference}; `traefik reboot` applies the configuration"
            ));
        }
        notes.extend(neighbours::exposed(config, host, observed));
        notes
    }

    fn labels(&self, names: &Names, role: &Role) -> Pairs {
        labels::route_labels(&names.prefix(&role.name))
    }

    fn cord(&self, role: &Role) -> Option<String> {
        match role.healthcheck.as_ref().map(|health| &health.cord) {
            Some(Cord::At(path)) => Some(path.clone()),
            _ => None,
        }
    }

    fn detach_new(&self, boot: &Boot, id: &str) -> Detach {
        Detach::by(cord::Cut::of_new(boot, id))
    }

    fn leaves_open_requests(&self) -> bool {
        true
    }

    fn attach(&self, _: &OfRole<'_>, container: &str, labels: &[(&String, &String)]) -> Attach {
        Attach::Traefik(labels::Route::new(container, labels.iter().copied()))
    }

    fn pause(
        &self,
        of: &OfRole<'_>,
        observed: &Observed,
        page: &Page,
        own: Option<&str>,
    ) -> Result<Option<Maintain>, Refusal> {
        maintenance::begin(of, observed, page, own).map(Box::new).map(Maintain::Traefik).map(Some)
    }

    fn resume(&self, of: &OfRole<'_>, observed: &Observed) -> Result<Option<Maintain>, Refusal> {
        maintenance::end(of, observed).map(Box::new).map(Maintain::Traefik).map(Some)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make sure that Traefik and the network exist.
    Ensure(Box<container::Ensure>),
    Replace(Box<container::Replace>),
    TakeOver(Box<takeover::TakeOver>),
    /// Keep the new Traefik, or restore the previous one.
    Settle(container::Settle),
    Power(container::Power),
    Remove(container::Remove),
    /// Cut a cord and wait until its container is unhealthy.
    Cut(cord::Cut),
    BeginPage(Box<maintenance::Begin>),
    /// Ask a role's maintenance pages to stop.
    EndPages(maintenance::End),
    /// Remove a role's maintenance pages after they were asked to stop.
    RemovePages(maintenance::End),
    /// Wait for the open requests of a container whose role is in maintenance.
    Idle(maintenance::Idle),
}

impl Step {
    pub fn script(&self) -> Script {
        match self {
            Step::Ensure(step) => step.script(),
            Step::Replace(step) => step.script(),
            Step::TakeOver(step) => step.script(),
            Step::Settle(step) => step.script(),
            Step::Power(step) => step.script(),
            Step::Remove(step) => step.script(),
            Step::Cut(step) => step.script(),
            Step::BeginPage(step) => step.script(),
            Step::EndPages(step) => step.stop(),
            Step::RemovePages(step) => step.remove(),
            Step::Idle(step) => step.script(),
        }
    }

    pub fn describe(&self) -> String {
        match self {
            Step::Ensure(_) => "make sure Traefik runs".into(),
            Step::Replace(_) => "reboot Traefik".into(),
            Step::TakeOver(_) => "replace kamal-proxy with Traefik".into(),
            Step::Settle(step) => step.describe().into(),
            Step::Power(step) => format!("{} Traefik", step.action.verb()),
            Step::Remove(_) => "remove Traefik".into(),
            Step::Cut(step) => format!("cut the cord of {}", step.name),
            Step::BeginPage(_) => "boot the maintenance page".into(),
            Step::EndPages(_) => "end the maintenance page".into(),
            Step::RemovePages(_) => "remove the maintenance page".into(),
            Step::Idle(_) => "wait for open requests".into(),
        }
    }

    /// `None` if it changes nothing.
    pub fn scope(&self) -> Option<&Scope> {
        Some(match self {
            Step::Ensure(step) => &step.scope,
            Step::Replace(step) => &step.ensure.scope,
            Step::TakeOver(step) => &step.ensure.scope,
            Step::Settle(step) => &step.scope,
            Step::Power(step) => &step.scope,
            Step::Remove(step) => &step.scope,
            Step::Cut(step) => &step.scope,
            Step::BeginPage(step) => &step.scope,
            Step::EndPages(step) | Step::RemovePages(step) => &step.scope,
            Step::Idle(_) => return None,
        })
    }

    pub fn takes(&self) -> Takes {
        match self {
            Step::Ensure(_) | Step::Replace(_) | Step::TakeOver(_) => Takes::Pull,
            Step::Remove(_) => Takes::Seconds(300),
            Step::Cut(cut) => Takes::Seconds(cut.timeout + PATIENCE_S),
            Step::Idle(idle) => Takes::Seconds(idle.seconds),
            Step::Settle(_)
            | Step::Power(_)
            | Step::BeginPage(_)
            | Step::EndPages(_)
            | Step::RemovePages(_) => Takes::Seconds(60),
        }
    }
}
