//! Looks at a server: one script returns everything that a decision needs. [`crate::observed`] reads its answer.

use super::Scope;
use super::answer::Explanation;
use crate::names::{NETWORK, Names};
use crate::proxy::kamal::NAME as KAMAL;
use crate::proxy::kamal::service::{ROWS, services};
use crate::proxy::kamal::upgrade::UPGRADED;
use crate::proxy::{self, maintenance};
use crate::shell::{Line, Script, quote};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observe {
    pub scope: Scope,
    /// `[SERVER/]IMAGE`.
    pub repository: String,
    /// Whether the server becomes this run's: only while holding the lock. Otherwise nothing is changed.
    pub claim: bool,
}

/// What `docker container inspect` tells of a container, one JSON object a line. Absent maps come as `null`.
///
/// Fields have their names in Docker's own types: with one that is only in the JSON (`.Id`), the whole template is
/// read against the JSON, where a container without health check has no `.State.Health` and the template fails.
const CONTAINER: &str = concat!(
    r#"{"id":{{json .ID}},"name":{{json .Name}},"created":{{json .Created}},"image":{{json .Config.Image}},"#,
    r#""image_id":{{json .Image}},"status":{{json .State.Status}},"exit_code":{{json .State.ExitCode}},"#,
    r#""health":{{if .State.Health}}{{json .State.Health.Status}}{{else}}null{{end}},"#,
    r#""finished":{{json .State.FinishedAt}},"labels":{{json .Config.Labels}},"mounts":{{json .Mounts}},"#,
    r#""healthcheck":{{json .Config.Healthcheck}},"networks":{{json .NetworkSettings.Networks}},"#,
    r#""stop_timeout":{{json .Config.StopTimeout}},"args":{{json .Args}},"ports":{{json .HostConfig.PortBindings}}}"#,
);

/// What the answer has about a running container of another service: its owner, and its labels, which a proxy reads.
const OTHER: &str = r#"{"name":{{json .Name}},"labels":{{json .Config.Labels}}}"#;

/// The template for a container: everything about ours and a proxy, the labels of other running ones, and the role of a
/// maintenance page. A container that runs in the network proves that the network exists, which then isn't asked for.
fn told(names: &Names) -> String {
    let told =
        |name: &&str| format!("{{{{if eq .Name \"/{name}\"}}}}@proxy {CONTAINER}{{{{\"\\n\"}}}}{{{{end}}}}");
    let proxies: String = proxy::CONTAINERS.iter().map(told).collect();
    format!(
        "{{{{$service := index .Config.Labels \"service\"}}}}\
         {{{{if eq $service {service:?}}}}}@container {CONTAINER}{{{{\"\\n\"}}}}\
         {{{{else if and $service .State.Running}}}}@other {OTHER}{{{{\"\\n\"}}}}{{{{end}}}}\
         {proxies}\
         {{{{if .State.Running}}}}{{{{if eq .Name \"/{KAMAL}\"}}}}@routes{{{{\"\\n\"}}}}{{{{end}}}}{{{{if index .NetworkSettings.Networks \"{NETWORK}\"}}}}@network {NETWORK}{{{{\"\\n\"}}}}{{{{end}}}}{{{{end}}}}\
         {maintenance}",
        service = names.service(),
        maintenance = maintenance::told(names),
    )
}

impl Observe {
    /// The script. It exits with Docker's own status when Docker can't be asked.
    pub fn script(&self) -> Script {
        let docker = || Line::new("docker");
        let names = &self.scope.names;
        // One list and one look at all that matters: each program that is started on the server costs it as much as
        // most of what it tells.
        let list = docker().words(["container", "ls", "--all", "--no-trunc", "--format"]).word(&format!(
            "{{{{.ID}}}} {{{{.Names}}}} {{{{.Label \"service\"}}}}{{{{.Label \"{}\"}}}}",
            maintenance::LABEL
        ));
        let inspect = docker().words(["container", "inspect", "--format"]).word(&told(names));
        let images = docker().words(["image", "ls", "--no-trunc", "--format"]);
        let lock = quote(&names.lock());
        // A container that Docker failed to remove is listed without a name, and can't be found.
        let mut text =
            String::from("bowline_version=$(docker version --format '{{.Server.Version}}') || exit\n");
        if self.claim {
            text.push_str(&self.scope.claim());
        }
        text.push_str(&format!(
            "echo \"@docker $bowline_version\"\n\
             containers() {{\n\
             bowline_all=$({list}) || return\n\
             bowline_ids=$(printf '%s\\n' \"$bowline_all\" | sed -n '/^[0-9a-f]\\{{64\\}} [^ ]/{{{proxies}s/ [^ ]* ..*//p}}')\n\
             [ -z \"$bowline_ids\" ] || {inspect} $bowline_ids\n\
             }}\n\
             # A container may vanish between the two: then again.\n\
             bowline_tries=4; until bowline_found=$(containers 2>/dev/null) || [ $((bowline_tries -= 1)) = 0 ]; do :; done\n\
             [ $bowline_tries != 0 ] || bowline_found=$(containers) || exit\n\
             printf '%s\\n' \"$bowline_found\"\n\
             printf '%s\\n' \"$bowline_found\" | grep -q '^@network ' || docker network inspect {NETWORK} --format '@network {{{{.Name}}}}' 2>/dev/null\n\
             # What the proxy routes where; one that is just being started is not waited for.\n\
             {services}case $bowline_found in *@routes*)\n\
             ! bowline_list=$(services 2>/dev/null) || {{ echo @services; {ROWS}; }}\n\
             [ ! -f {UPGRADED} ] || sed 's/^/@upgraded /' {UPGRADED} ;;\n\
             esac\n\
             {images} '@image {{{{.ID}}}} {{{{.Repository}}}}:{{{{.Tag}}}}' {repository} || exit\n\
             if [ -d {lock} ]; then echo \"@lock $(base64 -d < {lock}/details 2>/dev/null | base64 | tr -d '\\n')\"; fi\n\
             [ ! -f {history} ] || tail -n 100 {history} | sed 's/^/@served /'\n\
             echo @end\n",
            services = services(),
            proxies = proxy::CONTAINERS.map(|name| format!("s/ {name}\\(,[^ ]*\\)* $//p; ")).concat(),
            repository = quote(&self.repository),
            history = quote(&names.history()),
        ));
        Script::new(text)
    }
}

/// The usual reasons why Docker can't be asked, with what to do, by how a script ended and what it said on standard error.
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
        ("the Docker daemon does not run", "start it there: `systemctl start docker`")
    } else {
        return None;
    };
    Some(Explanation::new(reason, hint))
}
