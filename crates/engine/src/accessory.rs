//! `accessory boot|reboot|start|stop|restart|pull-image|remove|details|logs|exec`: the containers next to the app.
//!
//! A change runs under the deploy lock. It handles one accessory after the other, in the order of the file, and each on
//! all its servers at once, and a server that fails keeps no other from its end.

pub mod exec;
mod explain;
mod files;
mod image;

use std::collections::BTreeMap;

use bowline_config::{Accessory, Config};
use bowline_core::commands::accessory::{Act, Answer, Directory, Upload, What};
use bowline_core::commands::{Action, Scope, listing, logs, policy};
use bowline_core::observed::Observed;
use bowline_core::plan::accessory as planning;
use bowline_core::plan::secrets::Secrets;
use bowline_core::plan::step::Step;
use bowline_core::proxy::kamal::files::Pages;
use bowline_core::proxy::{Attach, ProxyKind, kamal};
use bowline_core::selection::{Accessories, Selection};
use futures_util::future::join_all;

use crate::call::Call;
use crate::error::{Failure, Result};
use crate::error_pages;
use crate::event::Event;
use crate::logs::{follow_all, until_stopped};
use crate::proxy::{self, At, Seen, Target};
use crate::run::change::{Change, Told};
use crate::run::fleet::{Fleet, run_all};
use crate::run::retire::tell_returns;
use crate::world::{Gathered, HostOutput, World};

/// Accessories with everything that their containers need, so that anything missing is known before the run starts.
pub struct Prepared<'a> {
    config: &'a Config,
    accessories: Accessories<'a>,
    secrets: Secrets,
    files: BTreeMap<&'a str, Vec<Upload>>,
    /// Pages that the proxy shows for those behind it.
    pages: Pages,
}

/// A run that holds the lock.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    pub world: &'a World,
    pub fleet: &'a Fleet,
    pub scope: &'a Scope,
    /// What was seen on its servers.
    pub observed: &'a BTreeMap<String, Observed>,
    /// The servers that are this run's (see [`Scope::claim`]); on others nothing is done.
    pub hosts: &'a [&'a str],
}

/// How a container comes to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Unless there is a container.
    Boot,
    /// In place of the existing container.
    Replace,
}

impl<'a> Prepared<'a> {
    /// Resolves secrets and reads files, without a connection.
    ///
    /// # Errors
    /// Missing secrets, unreadable files, and features that aren't implemented.
    pub async fn new(call: Call<'a>, accessories: Accessories<'a>) -> Result<Self> {
        let config = call.config();
        let wanted = || accessories.placed.iter().map(|(accessory, _)| *accessory);
        let mut names: Vec<String> =
            wanted().flat_map(|accessory| planning::secrets_needed(config, accessory)).collect();
        names.sort();
        names.dedup();
        let secrets = call.project.secrets(call.world, &names).await?;
        let mut files = BTreeMap::new();
        for (accessory, hosts) in &accessories.placed {
            if let Some(host) = hosts.first() {
                // Whether its secrets can reach a container is the same for every server.
                planning::environment(config, &secrets, accessory, host)?;
            }
            files.insert(accessory.name.as_str(), files::read(call, accessory, &secrets).await?);
        }
        let proxied = accessories.placed.iter().any(|(accessory, _)| accessory.proxy.is_some());
        let pages = if proxied { error_pages::read(call)? } else { Pages::new() };
        Ok(Self { config, accessories, secrets, files, pages })
    }

    pub fn hosts(&self) -> Vec<&'a str> {
        self.accessories.hosts()
    }

    /// Boots the accessories that don't run, for a run that holds the lock (`setup`).
    pub async fn boot(&self, held: Held<'_>) -> Gathered {
        self.install(held, How::Boot).await
    }

    async fn install(&self, held: Held<'_>, how: How) -> Gathered {
        let one =
            async |accessory: &Accessory, host: &str| self.install_one(held, accessory, host, how).await;
        let missing = image::bring(held, self.config, &self.accessories, how).await;
        each(held, &self.accessories, image::unless(&missing, one)).await
    }

    /// Whether any has the app's own image, which this run sends.
    pub(crate) fn need_the_app(&self, scope: &Scope) -> bool {
        let mut all = self.accessories.placed.iter();
        all.any(|(accessory, _)| planning::receive(self.config, scope, accessory).is_some())
    }

    /// Directories, files, then the container.
    async fn install_one(&self, held: Held<'_>, accessory: &Accessory, host: &str, how: How) -> Told {
        if let Some(observed) = held.observed.get(host) {
            let checked = planning::check_route(self.config, held.scope, accessory, host, observed);
            checked.map_err(|refusal| explain::refused(&refusal, accessory, host))?;
        }
        let directories: Vec<Directory> = accessory.directories.iter().map(Directory::new).collect();
        if !directories.is_empty() {
            held.act(accessory, host, What::Directories(directories)).await?;
        }
        let mut changed = Vec::new();
        for file in self.files.get(accessory.name.as_str()).into_iter().flatten() {
            if held.act(accessory, host, What::Upload(file.clone())).await?.changed {
                changed.push(file.path.as_str());
            }
        }
        let container = planning::container(self.config, &self.secrets, accessory, host);
        let container = Box::new(container.map_err(|error| explain::unusable(&error, accessory, host))?);
        let attach = container.attach(&accessory.service);
        let (answer, done) = match how {
            How::Boot => {
                let answer = held.act(accessory, host, What::Boot(container)).await?;
                let done = booted(accessory, &answer, &changed);
                (answer, done)
            }
            How::Replace => {
                let answer = held.act(accessory, host, What::Replace(container)).await?;
                let newer = if answer.newer { " with a newer image" } else { "" };
                let done = format!("rebooted {}{newer}{}", accessory.name, waiting(&answer));
                (answer, done)
            }
        };
        if accessory.proxy.is_some() {
            let files = planning::files(held.scope, &self.secrets, accessory, &self.pages);
            if let Some(files) = files.map_err(|error| explain::unusable(&error, accessory, host))? {
                let step = proxy::kamal::step(kamal::Step::Files(files));
                held.fleet.run(host, Some(&accessory.name), &step).await?;
            }
            return Ok(done + held.registered(self.config, accessory, host, &answer).await?);
        }
        Ok(done + held.serving(accessory, host, &attach, &answer).await?)
    }
}

impl Held<'_> {
    async fn act(&self, accessory: &Accessory, host: &str, what: What) -> Result<Answer, Failure> {
        let act = Act {
            scope: self.scope.clone(),
            name: accessory.name.clone(),
            service: accessory.service.clone(),
            what,
        };
        let step = Step::Accessory(Box::new(act));
        let output = self.fleet.run_watched(host, Some(&accessory.name), &step, &|_| {}).await?;
        let cause = match output.answer() {
            Ok(answer) if output.success() => return Ok(answer),
            Ok(answer) => explain::cause(accessory, answer, output),
            Err(error) => error.into(),
        };
        Err(self.fleet.failed(host, Some(&accessory.name), &step, cause))
    }
}

impl Held<'_> {
    /// Has kamal-proxy send an accessory's requests to its container; in a word.
    async fn registered(
        &self,
        config: &Config,
        accessory: &Accessory,
        host: &str,
        answer: &Answer,
    ) -> Result<&'static str, Failure> {
        let at = At { fleet: self.fleet, host };
        let Some(observed) = self.observed.get(host) else { return Ok("") };
        let proxy = proxy::observed(ProxyKind::Kamal, at, observed);
        if !proxy.runs() {
            let wanted = kamal::ensure(config, self.scope, host);
            proxy::kamal::ensure(at, &self.world.own_proxy, &wanted).await?;
        }
        let (Some(attach), Some(id)) = (planning::route(config, self.scope, accessory), &answer.came_up.id)
        else {
            return Ok("");
        };
        let ready = Target { role: Some(&accessory.name), id, addresses: &[] };
        proxy.attach(&attach, ready).await.map(|_| ", serving").map_err(|cause| Failure {
            host: host.into(),
            role: Some(accessory.name.clone()),
            doing: format!("route requests to {}", accessory.name),
            cause,
        })
    }

    /// Has it send them to none any more.
    async fn unregistered(&self, config: &Config, accessory: &Accessory, host: &str) -> Result<(), Failure> {
        let Some(step) = planning::detach(config, self.scope, accessory).step() else { return Ok(()) };
        self.fleet.run(host, Some(&accessory.name), &Step::Proxy(step)).await.map(drop)
    }
}

impl Held<'_> {
    /// Whether requests reach a container that has come up, by the routers that its own labels define; in a word.
    async fn serving(
        &self,
        accessory: &Accessory,
        host: &str,
        attach: &Attach,
        answer: &Answer,
    ) -> Result<&'static str, Failure> {
        let Some(addresses) = &answer.came_up.ready else { return Ok("") };
        let kind = attach.kind();
        let Some(observed) = self.observed.get(host).filter(|_| kind != ProxyKind::None) else {
            return Ok("");
        };
        let proxy = proxy::observed(kind, At { fleet: self.fleet, host }, observed);
        if !proxy.runs() {
            let (proxy, service) = (kind.name(), &accessory.service);
            let text = format!("{proxy} does not run here: that requests reach {service} was not seen");
            self.fleet.emit(Event::Note { host: Some(host.into()), text });
            return Ok("");
        }
        let id = answer.came_up.id.as_deref().unwrap_or_default();
        match proxy.attach(attach, Target { role: None, id, addresses }).await {
            Ok(Seen::Routed | Seen::Registered { .. }) => Ok(", serving"),
            Ok(Seen::Unseen) => Ok(""),
            Err(cause) => {
                let doing = format!("see requests reach {}, which runs", accessory.name);
                Err(Failure { host: host.into(), role: Some(accessory.name.clone()), doing, cause })
            }
        }
    }
}

fn booted(accessory: &Accessory, answer: &Answer, changed: &[&str]) -> String {
    let name = &accessory.name;
    if answer.runs && !changed.is_empty() {
        let files = changed.join(", ");
        return format!("{name} runs already; `accessory restart {name}` lets it see what changed ({files})");
    }
    let done = match (answer.runs, answer.started) {
        (true, _) => format!("{name} runs already"),
        (_, true) => format!("started {name}, which was there"),
        (false, false) => format!("booted {name}"),
    };
    done + waiting(answer)
}

fn waiting(answer: &Answer) -> &'static str {
    if answer.is_starting() { "; its health check doesn't succeed yet" } else { "" }
}

/// Does work for each accessory on each of its servers, and keeps the results. An interrupt lets unfinished work come to
/// its end.
async fn each(
    held: Held<'_>,
    accessories: &Accessories<'_>,
    work: impl AsyncFn(&Accessory, &str) -> Told,
) -> Gathered {
    let mut gathered = Gathered { total: accessories.hosts().len(), ..Gathered::default() };
    for (accessory, hosts) in &accessories.placed {
        if held.world.stop.is_set() {
            break;
        }
        let hosts: Vec<&str> = hosts.iter().copied().filter(|host| held.hosts.contains(host)).collect();
        let done = join_all(hosts.iter().map(|host| work(accessory, host))).await;
        for (host, told) in hosts.into_iter().zip(done) {
            match told {
                Ok(text) => gathered.outputs.push(HostOutput::said(host, Some(&accessory.name), &text)),
                Err(failure) => {
                    held.fleet.emit(Event::Failed(failure.clone()));
                    gathered.failures.push(failure);
                }
            }
        }
    }
    gathered
}

/// Takes the lock for these accessories.
async fn begin<'a>(call: Call<'a>, accessories: &Accessories<'a>) -> Result<Change<'a>> {
    let selection = Selection { roles: Vec::new(), hosts: accessories.hosts_to_lock() };
    Change::of(call, selection).await
}

/// Does work under the lock, for all accessories on the servers of a group; one group after the other as long as all
/// went well.
async fn change(
    call: Call<'_>,
    accessories: &Accessories<'_>,
    groups: &[Vec<&str>],
    work: impl AsyncFn(Held<'_>) -> Gathered,
) -> Result<Gathered> {
    let mut change = begin(call, accessories).await?;
    for (number, group) in groups.iter().enumerate() {
        if number > 0 && !change.goes_on() {
            break;
        }
        let there: Vec<&str> =
            group.iter().copied().filter(|host| change.observed.contains_key(*host)).collect();
        let part = work(change.held(&there)).await;
        change.keep(part);
    }
    change.end().await
}

/// `accessory boot`.
pub async fn boot(call: Call<'_>, name: &str) -> Result<Gathered> {
    let accessories = Accessories::new(call.config(), &call.options.filters, name)?;
    let prepared = Prepared::new(call, accessories).await?;
    let all = [prepared.hosts()];
    let work = async |held: Held<'_>| prepared.boot(held).await;
    change(call, &prepared.accessories, &all, work).await
}

/// `accessory reboot`, `accessory upgrade`: a new container with the configuration as it is now, on all servers at once
/// or (`rolling`) one after the other.
pub async fn reboot(call: Call<'_>, name: &str, rolling: bool) -> Result<Gathered> {
    let accessories = Accessories::new(call.config(), &call.options.filters, name)?;
    let prepared = Prepared::new(call, accessories).await?;
    let hosts = prepared.hosts();
    let groups = if rolling { hosts.into_iter().map(|host| vec![host]).collect() } else { vec![hosts] };
    let work = async |held: Held<'_>| prepared.install(held, How::Replace).await;
    change(call, &prepared.accessories, &groups, work).await
}

/// `accessory start`, `stop`, `restart`.
pub async fn power(call: Call<'_>, name: &str, action: Action) -> Result<Gathered> {
    let accessories = Accessories::new(call.config(), &call.options.filters, name)?;
    let work = async |held: Held<'_>| {
        let config = call.config();
        let one =
            async |accessory: &Accessory, host: &str| power_one(held, config, accessory, host, action).await;
        each(held, &accessories, one).await
    };
    change(call, &accessories, &[accessories.hosts()], work).await
}

async fn power_one(
    held: Held<'_>,
    config: &Config,
    accessory: &Accessory,
    host: &str,
    action: Action,
) -> Told {
    let name = &accessory.name;
    if action != Action::Start {
        held.unregistered(config, accessory, host).await?;
    }
    let restart = policy::configured(&accessory.options);
    let answer = held.act(accessory, host, What::Power { action, restart }).await?;
    tell_returns(held.fleet, host, name, &answer.returns);
    match (action, answer.none) {
        (Action::Stop, true) => return Ok(format!("{name} has no container here")),
        (_, true) => return Err(explain::no_container(accessory, host)),
        (_, false) => {}
    }
    let serving = match (&accessory.proxy, action) {
        (Some(_), Action::Start | Action::Restart) => {
            held.registered(config, accessory, host, &answer).await?
        }
        _ => "",
    };
    Ok(format!("{} {name}{serving}", action.done()))
}

/// `accessory pull-image`.
pub async fn pull(call: Call<'_>, name: &str) -> Result<Gathered> {
    let config = call.config();
    let accessories = Accessories::new(config, &call.options.filters, name)?;
    let wanted = accessories.placed.iter();
    let names: Vec<String> =
        wanted.flat_map(|(accessory, _)| planning::pull_secrets(config, accessory)).collect();
    let secrets = call.project.secrets(call.world, &names).await?;
    let work = async |held: Held<'_>| {
        let one = async |accessory: &Accessory, host: &str| {
            if planning::receive(config, held.scope, accessory).is_some() {
                return Ok(format!("received {}", accessory.image));
            }
            let login = planning::login(config, &secrets, accessory);
            let login = login.map_err(|error| explain::unusable(&error, accessory, host))?;
            let image = accessory.image.clone();
            held.act(accessory, host, What::Pull { image, login }).await?;
            Ok(format!("pulled {}", accessory.image))
        };
        let missing = image::bring(held, config, &accessories, How::Replace).await;
        each(held, &accessories, image::unless(&missing, one)).await
    };
    change(call, &accessories, &[accessories.hosts()], work).await
}

/// `accessory remove`: the container, the image unless something else needs it, and the directory with all data in it.
pub async fn remove(call: Call<'_>, name: &str) -> Result<Gathered> {
    let accessories = Accessories::new(call.config(), &call.options.filters, name)?;
    let work = async |held: Held<'_>| remove_all(held, call.config(), &accessories).await;
    change(call, &accessories, &[accessories.hosts()], work).await
}

/// Removes them for a run that holds the lock.
pub(crate) async fn remove_all(held: Held<'_>, config: &Config, accessories: &Accessories<'_>) -> Gathered {
    let one = async |accessory: &Accessory, host: &str| {
        held.unregistered(config, accessory, host).await?;
        let image = accessory.image.clone();
        let answer = held.act(accessory, host, What::Remove { image }).await?;
        let kept = if answer.kept { "; its image stays, something else needs it" } else { "" };
        Ok(format!("removed {}{kept}", accessory.name))
    };
    each(held, accessories, one).await
}

/// Connected servers of a command that changes nothing.
async fn look<'a>(
    call: Call<'_>,
    accessories: &Accessories<'a>,
) -> Result<(Fleet, Vec<Failure>, Vec<(&'a Accessory, &'a str)>)> {
    let hosts = accessories.hosts();
    let (fleet, failures) = call.connect(&hosts).await?;
    let places = accessories.placed.iter();
    let places = places.flat_map(|(accessory, hosts)| hosts.iter().map(|host| (*accessory, *host)));
    let there = places.filter(|(_, host)| fleet.has(host)).collect();
    Ok((fleet, failures, there))
}

/// `accessory details`.
pub async fn details(call: Call<'_>, name: &str) -> Result<Gathered> {
    let accessories = Accessories::new(call.config(), &call.options.filters, name)?;
    let (fleet, failures, places) = look(call, &accessories).await?;
    let step = |(accessory, host): (&Accessory, &str)| {
        let list = Step::Run("list", listing::accessory(&accessory.service));
        (host.to_string(), Some(accessory.name.clone()), list)
    };
    let steps = places.into_iter().map(step).collect();
    Ok(run_all(&fleet, steps, failures, accessories.hosts().len()).await)
}

/// `accessory logs`: of every server, once or followed until the run is interrupted.
pub async fn logs(call: Call<'_>, name: &str, lines: &logs::Lines) -> Result<Gathered> {
    let accessories = Accessories::new(call.config(), &call.options.filters, name)?;
    let (fleet, failures, places) = look(call, &accessories).await?;
    let total = accessories.hosts().len();
    let step = |service: &str| Step::Wait("show the log", logs::logs(service, lines), logs::LONGEST_S);
    if !lines.follow {
        let one = |(accessory, host): (&Accessory, &str)| {
            (host.to_string(), Some(accessory.name.clone()), step(&accessory.service))
        };
        return Ok(run_all(&fleet, places.into_iter().map(one).collect(), failures, total).await);
    }
    let one = |(accessory, host): (&Accessory, &str)| {
        (host.to_string(), accessory.name.clone(), step(&accessory.service))
    };
    let followed = follow_all(&fleet, places.into_iter().map(one).collect());
    let failed = until_stopped(call.world, followed).await?;
    Ok(Gathered { outputs: Vec::new(), failures: failures.into_iter().chain(failed).collect(), total })
}
