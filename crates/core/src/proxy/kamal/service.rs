//! The proxy's services: which container gets a service's requests.

use bowline_config::{Config, Proxy, Role};

use super::flags::{Given, error_pages, flags};
use super::{NAME, command, files};
use crate::commands::answer::sent;
use crate::commands::{Scope, ask, ready};
use crate::observed::{Container, Observed, plain_version};
use crate::proxy::{Detach, OfRole};
use crate::shell::{Line, Script, quote};

/// How many digits of a container's id are in a target, as with Kamal.
const SHORT: usize = 12;

/// How a service's requests get to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub scope: Scope,
    /// `SERVICE-ROLE[-DEST]`, or the service of an accessory.
    pub service: String,
    /// The container's name, for display.
    pub container: String,
    /// The port on which the app listens in the container.
    pub port: u16,
    /// Arguments of `kamal-proxy deploy` other than the target.
    pub flags: Vec<String>,
    pub pages: Option<ErrorPages>,
    /// How long the container may take to become healthy, in seconds.
    pub timeout: u64,
    /// How long the previous container's open requests may take, in seconds.
    pub drain: u64,
}

/// Pages that the proxy shows for its own errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPages {
    /// The directory on the server. If it doesn't exist, the flag is left out.
    pub directory: String,
    /// The flag with the directory's path in the proxy's container.
    pub flag: String,
}

impl ErrorPages {
    fn at(scope: &Scope, path: &str) -> Self {
        Self {
            directory: format!("{}/{path}", files::directory(&scope.names)),
            flag: error_pages(&scope.names.app(), path),
        }
    }
}

impl Route {
    /// How long registering may take, in seconds.
    pub fn longest(&self) -> u64 {
        self.timeout + self.drain + ask::PATIENCE_S
    }

    pub fn target(&self, id: &str) -> String {
        format!("{}:{}", short(id), self.port)
    }

    pub fn register(&self, id: &str) -> Register {
        Register { route: self.clone(), id: id.into() }
    }
}

fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

pub(super) fn route(of: &OfRole<'_>, proxy: &Proxy, container: &str) -> Route {
    let OfRole { config, scope, role } = of;
    let app = scope.names.app();
    let given = Given { app: &app, role: &role.name };
    let version = scope.names.version_of(&role.name, container).map(plain_version);
    let pages = version.filter(|_| config.error_pages_path.is_some());
    Route {
        scope: (*scope).clone(),
        service: scope.names.prefix(&role.name),
        container: container.into(),
        port: proxy.app_port,
        flags: flags(config, proxy, &given),
        pages: pages.map(|version| ErrorPages::at(scope, &format!("error_pages/{version}"))),
        timeout: config.deploy_timeout.as_secs(),
        drain: config.drain_timeout.as_secs(),
    }
}

pub(crate) fn of_accessory(config: &Config, scope: &Scope, service: &str, proxy: &Proxy) -> Route {
    let given = Given { app: &scope.names.app(), role: service };
    Route {
        scope: scope.clone(),
        service: service.into(),
        container: service.into(),
        port: proxy.app_port,
        flags: flags(config, proxy, &given),
        pages: config
            .error_pages_path
            .is_some()
            .then(|| ErrorPages::at(scope, &files::accessory_pages(service))),
        timeout: config.deploy_timeout.as_secs(),
        drain: config.drain_timeout.as_secs(),
    }
}

/// Sends a service's requests to a container: the proxy checks its health, switches all requests to it, and waits until
/// the previous container has answered its open ones. If this fails, the previous container keeps the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register {
    pub route: Route,
    pub id: String,
}

impl Register {
    pub fn line(&self) -> Line {
        let target = format!("--target={}", self.route.target(&self.id));
        let flags = self.route.flags.iter().map(String::as_str);
        command(&["deploy", &self.route.service, &target]).words(flags)
    }

    fn function(&self) -> String {
        let line = self.line();
        match &self.route.pages {
            None => format!("register() {{ {line}; }}\n"),
            Some(ErrorPages { directory, flag }) => format!(
                "bowline_pages=\n[ ! -d {} ] || bowline_pages={}\nregister() {{ {line} ${{bowline_pages:+\"$bowline_pages\"}}; }}\n",
                quote(directory),
                quote(flag),
            ),
        }
    }

    pub fn script(&self) -> Script {
        Script::new(format!(
            "{fence}{ask}bowline_id={id}\nbowline_proxy={NAME}\nbowline_target={target}\n{function}{wait}{register}",
            fence = self.route.scope.fence(),
            ask = ask::functions(),
            id = quote(&self.id),
            target = quote(&self.route.target(&self.id)),
            function = self.function(),
            wait = ready::registered(self.route.timeout + self.route.drain),
            register = sent(include_str!("register.sh")),
        ))
    }
}

/// Removes a service before its container stops: open requests are answered, new ones get 404.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unregister {
    pub scope: Scope,
    pub service: String,
    /// The container's id. Nothing happens if the service's requests go to another container. `None` skips this check.
    pub id: Option<String>,
    /// How long open requests may take, in seconds.
    pub drain: u64,
}

pub(crate) fn unregister(of: &OfRole<'_>, container: &Container) -> Detach {
    Detach::Kamal(Box::new(Unregister {
        scope: of.scope.clone(),
        service: of.scope.names.prefix(&of.role.name),
        id: Some(container.id.clone()),
        drain: of.config.drain_timeout.as_secs(),
    }))
}

impl Unregister {
    pub fn script(&self) -> Script {
        let drain = format!("--drain-timeout={}s", self.drain);
        Script::new(format!(
            "{fence}{services}\
             bowline_list=$(services 2>&1) || case $bowline_list in *'is not running'*|*'No such container'*) exit 0 ;; \
             *) printf '%s\\n' \"$bowline_list\" >&2; exit 1 ;; esac\n\
             printf '%s\\n' \"$bowline_list\" | grep -F {target} | grep -q {service} || exit 0\n\
             {stop} && {remove}\n",
            fence = self.scope.fence(),
            services = services(),
            target = quote(&self.id.as_ref().map_or_else(|| ":".into(), |id| format!(" {}:", short(id)))),
            service = quote(&format!("^{} ", basic(&self.service))),
            stop = command(&["stop", &self.service, &drain]),
            remove = command(&["remove", &self.service]),
        ))
    }
}

/// Removes a service whose role no longer exists, because no other step would. Does nothing if the container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forget {
    pub scope: Scope,
    pub service: String,
    /// The container's id, or the prefix of it that the proxy lists.
    pub id: String,
}

impl Forget {
    pub fn script(&self) -> Script {
        let Self { scope, service, id } = self.clone();
        let unregister = Unregister { scope, service, id: Some(id), drain: 0 }.script();
        Script::new(format!(
            "{fence}{ask}! ask {id} '{{{{.State.Running}}}}' || [ \"$bowline_said\" = false ] || exit 0\n{unregister}",
            fence = self.scope.fence(),
            ask = ask::functions(),
            id = quote(&self.id),
            unregister = unregister.text,
        ))
    }
}

/// The services of roles that the server no longer has and whose containers have stopped or are gone.
pub(super) fn orphans(config: &Config, scope: &Scope, host: &str, observed: &Observed) -> Vec<Forget> {
    let names = &scope.names;
    let here = |role: &Role| role.hosts.iter().any(|at| at.host == host);
    let roles: Vec<String> =
        config.roles.iter().filter(|role| here(role)).map(|role| names.prefix(&role.name)).collect();
    let accessories: Vec<&str> =
        config.accessories.iter().map(|accessory| accessory.service.as_str()).collect();
    let mut orphans = Vec::new();
    for service in observed.services.iter().flat_map(|listed| &listed.0) {
        let [target] = service.targets.as_slice() else { continue };
        let id = target.rsplit_once(':').map_or(target.as_str(), |(id, _)| id);
        if roles.contains(&service.name) || accessories.contains(&service.name.as_str()) || id.is_empty() {
            continue;
        }
        let of_service = |container: &&Container| {
            let role = container.labels.get("role").map(String::as_str).unwrap_or_default();
            let is_ours = observed.of_role(names, role).any(|ours| ours.id == container.id);
            is_ours && names.prefix(role) == service.name
        };
        let ours: Vec<&Container> = observed.containers.iter().filter(of_service).collect();
        let runs = |container: &&Container| container.is_running() && container.id.starts_with(id);
        if !ours.is_empty() && !ours.iter().any(runs) {
            orphans.push(Forget { scope: scope.clone(), service: service.name.clone(), id: id.into() });
        }
    }
    orphans
}

/// Escapes a text for use in a basic regular expression.
fn basic(text: &str) -> String {
    let special = |c: char| matches!(c, '\\' | '.' | '*' | '[' | ']' | '^' | '$');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Makes the proxy answer a service's requests with 503, or send them to the container again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    pub scope: Scope,
    pub role: String,
    pub service: String,
    pub to: Pausing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pausing {
    /// Answer with 503.
    Stop {
        /// How long open requests may take, in seconds.
        drain: u64,
        /// The message on the page.
        message: Option<String>,
        /// The seconds of `Retry-After`, for Bowline's own proxy. Kamal's can't send this header.
        retry_after: u32,
    },
    /// Send requests to the container again.
    Resume,
}

pub(super) fn pause(of: &OfRole<'_>, to: Pausing) -> Pause {
    let role = of.role.name.clone();
    Pause { scope: of.scope.clone(), service: of.scope.names.prefix(&role), role, to }
}

impl Pause {
    pub(super) fn describe(&self) -> String {
        match self.to {
            Pausing::Stop { .. } => format!("show the maintenance page for {}", self.service),
            Pausing::Resume => format!("resume {}", self.service),
        }
    }

    pub(super) fn drain(&self) -> u64 {
        match self.to {
            Pausing::Stop { drain, .. } => drain,
            Pausing::Resume => 0,
        }
    }

    pub fn script(&self) -> Script {
        let (line, done) = match &self.to {
            Pausing::Stop { drain, message, retry_after } => {
                // A variable, because Kamal's program would reject a flag that it doesn't know.
                let retry = format!("KAMAL_PROXY_RETRY_AFTER={retry_after}");
                let line = Line::new("docker").words(["exec", "--env", &retry, NAME, NAME]);
                let line = line.words(["stop", &self.service, &format!("--drain-timeout={drain}s")]);
                let line = message.iter().fold(line, |line, text| line.word(&format!("--message={text}")));
                (line, "Put the app into maintenance")
            }
            Pausing::Resume => (command(&["resume", &self.service]), "Ended maintenance"),
        };
        let audit = self.scope.audit(Some(&self.role), done);
        Script::new(format!("{}{line} || exit\n{audit}", self.scope.fence()))
    }
}

/// Defines the shell function `services`, which prints the rows of the proxy's table, without header and styles.
pub(crate) fn services() -> String {
    format!(
        "services() {{\n\
         bowline_table=$({list}) || return\n\
         printf '%s\\n' \"$bowline_table\" | sed -e 1d -e \"s/$(printf '\\033')\\[[0-9;]*m//g\"\n\
         }}\n",
        list = command(&["list"])
    )
}

/// A shell line that prints the rows in `$bowline_list`, from `services`, in the form that [`super::Listed`] reads.
pub(crate) const ROWS: &str =
    "[ -z \"$bowline_list\" ] || printf '%s\\n' \"$bowline_list\" | sed 's/^/@service /'";

pub(super) fn list() -> Script {
    let services = services();
    Script::new(format!("{services}bowline_list=$(services) || exit\n{ROWS}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Names;

    #[test]
    fn a_stop_passes_retry_after_in_a_way_that_any_proxy_accepts() {
        let scope = Scope { names: Names::new("app", None), run: "f00d".into(), performer: "me".into() };
        let to = Pausing::Stop { drain: 30, message: Some("at noon".into()), retry_after: 3600 };
        let script = Pause { scope, role: "web".into(), service: "app-web".into(), to }.script();
        let stop = "docker exec --env 'KAMAL_PROXY_RETRY_AFTER=3600' kamal-proxy kamal-proxy stop app-web \
                    '--drain-timeout=30s' '--message=at noon'";
        assert!(script.text.contains(stop), "{}", script.text);
    }
}
