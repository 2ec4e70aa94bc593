//! Observes a server: one script prints everything that decisions need. [`crate::observed`] parses its answer.

use super::answer::{Explanation, sent};
use super::{Scope, policy};
use crate::names::{NETWORK, Names};
use crate::proxy::kamal::NAME as KAMAL;
use crate::proxy::kamal::service::{ROWS, services};
use crate::proxy::kamal::upgrade::UPGRADED;
use crate::proxy::{self, maintenance};
use crate::shell::{Script, function, quote};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observe {
    pub scope: Scope,
    /// `[SERVER/]IMAGE`.
    pub repository: String,
    /// Whether to claim the server for this run, which needs the lock. Otherwise the script changes nothing.
    pub claim: bool,
}

/// A template for `docker container inspect` that prints one JSON object per line. Missing maps become `null`.
///
/// Fields have the names of Docker's Go types. If one exists only in the JSON (`.Id`), Docker applies the whole template to
/// the JSON, where a container without health check has no `.State.Health`, and the template fails.
fn container() -> String {
    let most = concat!(
        r#"{"id":{{json .ID}},"name":{{json .Name}},"created":{{json .Created}},"image":{{json .Config.Image}},"#,
        r#""image_id":{{json .Image}},"status":{{json .State.Status}},"#,
        r#""health":{{if .State.Health}}{{json .State.Health.Status}}{{else}}null{{end}},"#,
        r#""labels":{{json .Config.Labels}},"mounts":{{json .Mounts}},"#,
        r#""healthcheck":{{json .Config.Healthcheck}},"networks":{{json .NetworkSettings.Networks}},"#,
        r#""stop_timeout":{{json .Config.StopTimeout}},"args":{{json .Args}},"ports":{{json .HostConfig.PortBindings}}"#,
    );
    format!("{most},\"restart\":\"{}\"}}", policy::FORMAT)
}

/// The template for a running container of another service: its owner, and its labels, which a proxy reads.
const OTHER: &str = r#"{"name":{{json .Name}},"labels":{{json .Config.Labels}}}"#;

/// The template for all containers. It prints everything about ours and the proxies, the labels of other running ones, and
/// the role of a maintenance page. A running container in the network proves that the network exists, which saves a call.
fn template(names: &Names) -> String {
    let container = container();
    let proxy =
        |name: &str| format!("{{{{if eq .Name \"/{name}\"}}}}@proxy {container}{{{{\"\\n\"}}}}{{{{end}}}}");
    let proxies: String = proxy::containers().map(proxy).collect();
    format!(
        "{{{{$service := index .Config.Labels \"service\"}}}}\
         {{{{if eq $service {service:?}}}}}@container {container}{{{{\"\\n\"}}}}\
         {{{{else if and $service .State.Running}}}}@other {OTHER}{{{{\"\\n\"}}}}{{{{end}}}}\
         {proxies}\
         {{{{if .State.Running}}}}{{{{if eq .Name \"/{KAMAL}\"}}}}@routes{{{{\"\\n\"}}}}{{{{end}}}}{{{{if index .NetworkSettings.Networks \"{NETWORK}\"}}}}@network {NETWORK}{{{{\"\\n\"}}}}{{{{end}}}}{{{{end}}}}\
         {maintenance}",
        service = names.service(),
        maintenance = maintenance::template(names),
    )
}

impl Observe {
    /// Exits with Docker's own status if Docker doesn't respond.
    pub fn script(&self) -> Script {
        let names = &self.scope.names;
        let list = format!(
            "{{{{.ID}}}} {{{{.Names}}}} {{{{.Label \"service\"}}}}{{{{.Label \"{}\"}}}}",
            maintenance::LABEL
        );
        // A proxy's container may lack our labels.
        let proxies: String =
            proxy::containers().map(|name| format!("s/ {name}\\(,[^ ]*\\)* $//p; ")).collect();
        let claim = if self.claim { self.scope.claim() } else { String::new() };
        Script::new(format!(
            "bowline_list_format={list} bowline_proxies={proxies} bowline_template={template} bowline_network={NETWORK}\n\
             bowline_upgraded={UPGRADED} bowline_repository={repository} bowline_lock={lock} bowline_history={history}\n\
             {claim}{services}rows() {{ {ROWS}; }}\n{observe}",
            list = quote(&list),
            proxies = quote(&proxies),
            template = quote(&template(names)),
            repository = quote(&self.repository),
            lock = quote(&names.lock()),
            history = quote(&names.history()),
            claim = function("claim", &claim),
            services = services(),
            observe = sent(include_str!("observe.sh")),
        ))
    }
}

/// Explains the usual reasons why Docker can't be used, from the exit status of a script and its standard error.
pub fn explain(status: u32, said: &str) -> Option<Explanation> {
    let said = said.to_lowercase();
    let missing =
        status == 127 && said.lines().any(|line| line.contains("docker") && line.contains("not found"));
    let (reason, hint) = if said.contains("permission denied") && said.contains("docker") {
        (
            "this user may not use Docker",
            "`bowline server bootstrap` adds it to the group `docker` where it has sudo; or set `ssh: user:` to a user who may",
        )
    } else if missing {
        (
            "Docker is neither on this user's PATH nor on that of its login shell",
            "`bowline server bootstrap` installs it, and so does `bowline setup`",
        )
    } else if said.contains("cannot connect to the docker daemon")
        || said.contains("is the docker daemon running")
    {
        ("the Docker daemon is not running", "start it there: `systemctl start docker`")
    } else {
        return None;
    };
    Some(Explanation::new(reason, hint))
}
