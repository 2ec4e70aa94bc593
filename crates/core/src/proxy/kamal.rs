//! kamal-proxy, or Bowline's own proxy in its place. A command names the container that gets a service's requests. The
//! proxy checks that container's health itself and drains the previous one.

pub mod boot_config;
pub mod container;
pub mod files;
pub mod flags;
pub mod life;
mod listed;
mod notes;
pub mod secrets;
pub mod service;
pub mod takeover;
pub mod upgrade;
pub mod version;

use bowline_config::{Accessory, Config, Pairs, Role, Run};

pub use super::answer::Answer;
use super::takeover::{Ports, needs_no_ports_of_another};
use super::{Attach, Detach, Maintain, OfRole, Opens, Rules, Site, Takes};
use crate::commands::Scope;
use crate::commands::ready::Ready;
use crate::error::{PlanError, Refusal};
use crate::names::Names;
use crate::observed::{Container, Observed, plain_version};
use crate::request::{DeployKind, Direction, Page};
use crate::secrets::Secrets;
use crate::shell::{Line, Script};
use container::{Ensure, Image};
use files::{Files, Shelf};
pub use listed::{Listed, Service};
pub(crate) use notes::check_accessory;
use service::Pausing;
pub use service::Route;

/// The proxy's container. Kamal uses this name for any image.
pub const NAME: &str = "kamal-proxy";

/// How a new container is attached, for display.
pub(super) const ATTACHES: &str = "have kamal-proxy route all requests to it, once it is healthy";

#[derive(Debug, Clone, PartialEq)]
pub struct OnServer {
    /// Makes it run, if it doesn't.
    pub ensure: Option<Box<Ensure>>,
    /// The files that it must read, if any.
    pub files: Option<Box<Files>>,
    pub ports: Vec<u16>,
    /// Services to remove from the proxy, because no role will do so.
    pub orphans: Vec<service::Forget>,
    /// Moves Traefik's ports to it, if it waits for them.
    pub take_over: Option<Box<takeover::TakeOver>>,
}

impl OnServer {
    pub(super) fn steps(&self) -> Vec<super::Step> {
        let ensure = self.ensure.clone().map(Step::Ensure);
        let files = self.files.clone().map(Step::Files);
        let orphans = self.orphans.iter().cloned().map(Step::Forget);
        ensure.into_iter().chain(files).chain(orphans).map(super::Step::Kamal).collect()
    }
}

/// A command of the proxy, run in its container.
fn command(words: &[&str]) -> Line {
    Line::new("docker").words(["exec", NAME, NAME]).words(words.iter().copied())
}

/// How to run a server's proxy, if a role or an accessory on it configures that. Those that do must agree.
pub fn run_of<'c>(config: &'c Config, host: &str) -> Option<&'c Run> {
    let roles = config.roles.iter().filter(|role| role.hosts.iter().any(|at| at.host == host));
    let accessories =
        config.accessories.iter().filter(|accessory| accessory.hosts.iter().any(|at| at == host));
    let of_roles = roles.filter_map(|role| role.kamal_proxy()?.run.as_ref());
    of_roles.chain(accessories.filter_map(|accessory| accessory.proxy.as_ref()?.run.as_ref())).next()
}

/// Every `proxy/run` in the configuration, for all servers.
fn runs(config: &Config) -> impl Iterator<Item = &Run> {
    let of_roles = config.roles.iter().filter_map(|role| role.kamal_proxy()?.run.as_ref());
    of_roles.chain(config.accessories.iter().filter_map(|accessory| accessory.proxy.as_ref()?.run.as_ref()))
}

/// The step that creates or starts the proxy's container on a server as configured.
pub fn ensure(config: &Config, scope: &Scope, host: &str) -> Ensure {
    let run = run_of(config, host).cloned();
    let image = run.as_ref().map_or(Image::Own, Image::of);
    let needs_own = version::own_keys(config, host).next();
    Ensure { scope: scope.clone(), run, image, own: String::new(), ports: Ports::Published, needs_own }
}

/// Rejects an accessory with keys that the server's proxy, or the one that would be created, doesn't know.
pub(crate) fn knows_accessory(
    config: &Config,
    scope: &Scope,
    accessory: &Accessory,
    host: &str,
    observed: &Observed,
) -> Result<(), Refusal> {
    let Some(proxy) = &accessory.proxy else { return Ok(()) };
    match observed.proxy(NAME) {
        Some(found) => version::knows(host, found, proxy.own.keys().into_iter()),
        None => version::makes(host, &ensure(config, scope, host)),
    }
}

pub(super) struct KamalProxy;

impl Rules for KamalProxy {
    fn name(&self) -> &'static str {
        NAME
    }

    fn opens(&self) -> Opens {
        Opens::Attached
    }

    fn switches(&self) -> bool {
        true
    }

    fn ready(&self) -> Ready {
        Ready::Started
    }

    fn secrets(&self, config: &Config) -> Vec<String> {
        files::secrets(config)
    }

    fn check_secrets(&self, config: &Config, secrets: &Secrets) -> Result<(), PlanError> {
        let mut proxies = config.roles.iter().filter_map(|role| role.kamal_proxy());
        proxies.try_for_each(|proxy| files::check_logins(proxy, secrets))
    }

    fn on_server(&self, site: &Site<'_>) -> Result<Option<super::OnServer>, PlanError> {
        let Site { config, secrets, scope, host, observed, request } = *site;
        let found = observed.proxy(NAME);
        if let Some(proxy) = found {
            version::check(host, &proxy.image)?;
            version::knows(host, proxy, version::keys_of_roles(config, host))?;
        }
        notes::check(site)?;
        let has_ports = found.is_some_and(|proxy| proxy.status == "running" && !proxy.waits());
        let ports = container::ports(run_of(config, host));
        let takes_over = request.kind.direction().is_some();
        if !takes_over {
            needs_no_ports_of_another(site, Direction::Upgrade, &ports)?;
        }
        let waits = if takes_over { Ports::Unpublished } else { Ports::Published };
        let wanted = ensure(config, scope, host);
        if found.is_none() {
            version::makes(host, &wanted)?;
        }
        let take_over = takes_over.then(|| Box::new(takeover::TakeOver { ensure: wanted.clone() }));
        let ensure = (!has_ports).then(|| Box::new(Ensure { ports: waits, ..wanted }));
        let of = |role: &Role| {
            let running =
                observed.of_role(&scope.names, &role.name).filter(|container| container.is_running());
            let version =
                |container: &Container| plain_version(container.version(&scope.names, &role.name)).into();
            running.map(version).collect::<Vec<String>>()
        };
        let files = Files {
            scope: scope.clone(),
            private: files::private(config, secrets, host)?,
            pages: request.pages.clone(),
            shelf: Shelf::Version {
                version: request.version.clone(),
                keep: config.roles.iter().flat_map(of).collect(),
            },
        };
        let files = (!files.is_empty()).then(|| Box::new(files));
        let orphans = match request.kind {
            DeployKind::Deploy => service::orphans(config, scope, host, observed),
            _ => Vec::new(),
        };
        Ok(Some(super::OnServer::Kamal(OnServer { ensure, files, ports, orphans, take_over })))
    }

    fn notes(&self, site: &Site<'_>) -> Vec<String> {
        notes::notes(site)
    }

    fn labels(&self, _: &Names, _: &Role) -> Pairs {
        Pairs::new()
    }

    fn attach(&self, of: &OfRole<'_>, container: &str, _: &[(&String, &String)]) -> Attach {
        let Some(proxy) = of.role.kamal_proxy() else { return Attach::None };
        Attach::Kamal(Box::new(service::route(of, proxy, container)))
    }

    fn detach(&self, of: &OfRole<'_>, container: &Container) -> Detach {
        service::unregister(of, container)
    }

    fn pause(
        &self,
        of: &OfRole<'_>,
        _: &Observed,
        page: &Page,
        _: Option<&str>,
    ) -> Result<Option<Maintain>, Refusal> {
        let drain = page.drain_timeout.unwrap_or(of.config.drain_timeout.as_secs());
        let pause = service::pause(
            of,
            Pausing::Stop { drain, message: page.message.clone(), retry_after: page.retry_after },
        );
        Ok(Some(Maintain::Kamal(Box::new(pause))))
    }

    fn resume(&self, of: &OfRole<'_>, _: &Observed) -> Result<Option<Maintain>, Refusal> {
        Ok(Some(Maintain::Kamal(Box::new(service::pause(of, Pausing::Resume)))))
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make sure that the proxy and the network exist.
    Ensure(Box<Ensure>),
    Load(container::Load),
    Replace(Box<container::Replace>),
    /// Find out how to upgrade it.
    Look(Box<upgrade::Look>),
    /// Upgrade it in its container.
    InPlace(Box<upgrade::InPlace>),
    TakeOver(Box<takeover::TakeOver>),
    Power(container::Power),
    Remove(container::Remove),
    /// Write the files that it reads.
    Files(Box<Files>),
    /// Send a service's requests to a container.
    Register(Box<service::Register>),
    /// Remove a service, before its container stops.
    Unregister(service::Unregister),
    /// Remove a service whose container has stopped.
    Forget(service::Forget),
    /// Begin or end a service's maintenance.
    Pause(service::Pause),
    /// List the services with their containers.
    List,
}

impl Step {
    pub fn script(&self) -> Script {
        match self {
            Step::Ensure(step) => step.script(),
            Step::Load(step) => step.script(),
            Step::Replace(step) => step.script(),
            Step::Look(step) => step.script(),
            Step::InPlace(step) => step.script(),
            Step::TakeOver(step) => step.script(),
            Step::Power(step) => step.script(),
            Step::Remove(step) => step.script(),
            Step::Files(step) => step.script(),
            Step::Register(step) => step.script(),
            Step::Unregister(step) => step.script(),
            Step::Forget(step) => step.script(),
            Step::Pause(step) => step.script(),
            Step::List => service::list(),
        }
    }

    pub fn describe(&self) -> String {
        match self {
            Step::Ensure(_) => format!("make sure {NAME} runs"),
            Step::Load(step) => format!("send the image {}", step.image),
            Step::Replace(_) => format!("reboot {NAME}"),
            Step::Look(_) => format!("check which {NAME} runs"),
            Step::InPlace(step) => format!("upgrade {NAME} to {}", step.version),
            Step::TakeOver(_) => format!("replace Traefik with {NAME}"),
            Step::Power(step) => format!("{} {NAME}", step.action.verb()),
            Step::Remove(_) => format!("remove {NAME}"),
            Step::Files(_) => "write certificates and error pages".into(),
            Step::Register(step) => format!("route {} to {}", step.route.service, step.route.container),
            Step::Unregister(step) => format!("stop routing {}", step.service),
            Step::Forget(step) => format!("stop routing {}, which no role uses any more", step.service),
            Step::Pause(step) => step.describe(),
            Step::List => format!("ask {NAME} for its routes"),
        }
    }

    pub fn scope(&self) -> Option<&Scope> {
        Some(match self {
            Step::Ensure(step) => &step.scope,
            Step::Load(step) => &step.scope,
            Step::Replace(step) => &step.ensure.scope,
            Step::InPlace(step) => step.scope(),
            Step::TakeOver(step) => &step.ensure.scope,
            Step::Power(step) => &step.scope,
            Step::Remove(step) => &step.scope,
            Step::Files(step) => &step.scope,
            Step::Register(step) => &step.route.scope,
            Step::Unregister(step) => &step.scope,
            Step::Forget(step) => &step.scope,
            Step::Pause(step) => &step.scope,
            Step::Look(_) | Step::List => return None,
        })
    }

    pub fn takes(&self) -> Takes {
        match self {
            Step::Ensure(_) | Step::Load(_) | Step::Replace(_) | Step::InPlace(_) | Step::TakeOver(_) => {
                Takes::Pull
            }
            Step::Register(step) => Takes::Seconds(step.route.longest()),
            Step::Unregister(step) => Takes::Seconds(step.drain + 60),
            Step::Pause(step) => Takes::Seconds(step.drain() + 60),
            Step::Remove(_) | Step::Files(_) => Takes::Seconds(300),
            Step::Look(_) | Step::Power(_) | Step::Forget(_) | Step::List => Takes::Seconds(60),
        }
    }
}
