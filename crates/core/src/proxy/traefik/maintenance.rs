//! Maintenance mode: a container next to the app that responds to every request of the app's routers with 503 and a page.
//!
//! The container is another Traefik, from the image of the running one: the only web server that is certainly on the
//! server. Bowline's plugin (in Go, which Traefik interprets) serves the page. The container's labels repeat the app's
//! under other names and with a higher priority, so Traefik sends it the app's requests and the app stays unchanged.
//!
//! Traefik routes only to healthy containers, so this one needs a health check. It becomes healthy once it can respond,
//! and unhealthy when it is asked to stop. It then still responds for [`GRACE_S`]. The check must be a part of the
//! image, because `docker run` can only create one that needs a shell, which the image may not have.

mod turn;

use super::NAME as TRAEFIK;
use super::labels::{Route, SUFFIX, rename, routes};
use crate::commands::answer::sent;
use crate::commands::status::Status;
use crate::commands::{Scope, ask, drain, prune};
use crate::names::{NETWORK, Names};
use crate::shell::{Line, Script, function, quote};
use bowline_config::Pairs;
use bowline_config::secret::Secret;
pub use turn::Turn;
pub(super) use turn::{begin, end};

/// The label of the containers and images. Its value is `SERVICE/DESTINATION`.
pub(crate) const LABEL: &str = "bowline.maintenance";
/// The label with the role that a container replaces.
const ROLE: &str = "bowline.role";
/// The exit status of the scripts if no page can be shown.
pub const NO_PAGE: Status = Status::NoPage;
/// How long it may take until the page can be shown, in seconds.
const READY_S: u32 = 30;
/// How long a container still responds after it was asked to stop, in seconds. Traefik needs time to stop using it.
const GRACE_S: u32 = 60;
/// Added to every router's priority, so that the page's routers take precedence over all of the app's.
const PRIORITY: u64 = 1_000_000;

const PLUGIN: &str = include_str!("maintenance/plugin.go");
const MODULE: &str = "bowline.local/maintenance";
const PAGE: &str = include_str!("maintenance/page.html");

pub const MESSAGE: &str = "The site is down for maintenance.";

/// The project's own page, or the built-in one, with the message in place of `{{ .Message }}`, as in kamal-proxy.
pub fn page(own: Option<&str>, message: &str) -> String {
    let escaped = message
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;");
    let page = own.unwrap_or(PAGE);
    ["{{ .Message }}", "{{.Message}}"]
        .iter()
        .fold(page.to_owned(), |page, place| page.replace(place, &escaped))
}

fn app(names: &Names) -> String {
    format!("{}/{}", names.service(), names.destination().unwrap_or_default())
}

/// `bowline.maintenance=…`, as a filter or a label.
fn label(names: &Names) -> String {
    format!("{LABEL}={}", app(names))
}

/// The part of an inspection template that prints `@maintenance ROLE` if the container is a running page of this app.
pub(crate) fn template(names: &Names) -> String {
    format!(
        "{{{{if and .State.Running (eq (index .Config.Labels \"{LABEL}\") {:?})}}}}@maintenance {{{{index .Config.Labels \"{ROLE}\"}}}}\
         {{{{\"\\n\"}}}}{{{{end}}}}",
        app(names)
    )
}

/// Shell lines that remove all of the app's pages, which only a killed run leaves behind.
pub(crate) fn sweep(names: &Names) -> String {
    let filter = format!("label={}", label(names));
    let list = Line::new("docker").words(["container", "ls", "--all", "--quiet", "--filter", &filter]);
    format!(
        "bowline_ids=$({list}); [ -z \"$bowline_ids\" ] || docker container rm --force $bowline_ids >/dev/null\n{}",
        pages_gone(names)
    )
}

/// A shell line that removes the pages' images that no container uses.
fn pages_gone(names: &Names) -> String {
    format!("{}\n", prune::nameless(&format!("label={}", label(names))))
}

/// The labels that make Traefik send a role's requests to its page: the routers and middlewares of the role's own
/// labels under other names and with higher priorities, and one service.
pub fn labels(own: &Pairs, prefix: &str) -> Pairs {
    let is = |key: &str, kind: &str| key.to_ascii_lowercase().starts_with(kind);
    let kept: Pairs = own
        .iter()
        .filter(|(key, _)| {
            is(key, "traefik.http.routers.")
                || is(key, "traefik.http.middlewares.")
                || is(key, "traefik.enable")
                || key == SUFFIX
        })
        .cloned()
        .collect();
    let service = format!("{prefix}-maintenance");
    let routes = routes(&kept);
    let mut labels = rename(&kept, "-maintenance");
    labels.retain(|(key, _)| {
        let key = key.to_ascii_lowercase();
        !(is(&key, "traefik.http.routers.") && (key.ends_with(".priority") || key.ends_with(".service")))
    });
    for (name, (rule, priority)) in routes {
        let router = format!("traefik.http.routers.{name}-maintenance");
        // Without a priority, Traefik uses the rule's length.
        let own = priority.trim().parse().unwrap_or(rule.len() as u64);
        labels.push((format!("{router}.priority"), (PRIORITY + own).to_string()));
        labels.push((format!("{router}.service"), service.clone()));
    }
    labels.push((format!("traefik.http.services.{service}.loadbalancer.server.port"), "80".into()));
    labels
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    pub scope: Scope,
    pub role: String,
    /// See [`labels`].
    pub labels: Pairs,
    /// Whether the labels come from the configuration, so that the server must expand `${NAME}`.
    pub configured: bool,
    /// The page as HTML.
    pub page: String,
    /// The value of `Retry-After`, in seconds.
    pub retry_after: u32,
}

impl Begin {
    fn name(&self) -> String {
        format!("{}-maintenance-{}", self.scope.names.prefix(&self.role), self.scope.token())
    }

    pub fn route(&self) -> Route {
        let labels = self.labels.iter().map(|(key, value)| (key, value));
        Route::new(&format!("the maintenance page of {}", self.role), labels)
    }

    /// Runs the container and waits until it responds. Prints [`super::Answer`].
    pub fn script(&self) -> Script {
        let name = self.name();
        let build = format!("{name}-image");
        let create = self.labelled(Line::new("docker").words(["container", "create", "--name", &build]));
        let manifest = format!(
            "displayName: maintenance\ntype: middleware\nimport: {MODULE}\nsummary: Answers 503 with a page.\ntestData: {{}}\n"
        );
        let text = format!(
            "{fence}{ask}bowline_traefik={TRAEFIK} bowline_no_page={NO_PAGE} bowline_build={build} bowline_module={MODULE} bowline_ready={READY_S}\n\
             bowline_plugin={plugin} bowline_manifest={manifest} bowline_go_mod={go_mod} bowline_address={address}\n\
             create() {{ {create} \"$bowline_image\"; }}\ncommit() {{ {commit}; }}\nrun() {{ {run}; }}\n{prune}{begin}{audit}",
            fence = self.scope.fence(),
            ask = ask::functions(),
            build = quote(&build),
            plugin = quote(PLUGIN),
            manifest = quote(&manifest),
            go_mod = quote(&format!("module {MODULE}\n\ngo 1.19\n")),
            address = quote(ADDRESS),
            commit = self.commit(&build),
            run = self.run(&name),
            prune = function("pages_gone", &pages_gone(&self.scope.names)),
            begin = sent(include_str!("maintenance/begin.sh")),
            audit = self.scope.audit(Some(&self.role), "Put the app into maintenance"),
        );
        Script::new(text).with_input(Secret::new(self.routes()))
    }

    /// Traefik's configuration in the container: a page, or a bare status if the plugin can't be used.
    fn routes(&self) -> String {
        let route = |priority: u32, middlewares: &[&str]| {
            serde_json::json!({
                "rule": "PathPrefix(`/`)", "entryPoints": ["web"], "priority": priority,
                "service": "nobody", "middlewares": middlewares,
            })
        };
        let routes = serde_json::json!({ "http": {
            "routers": {
                "page": route(2, &["page"]),
                "plain": route(1, &[]),
                "ready": { "rule": "Path(`/ping`)", "entryPoints": ["ready"], "service": "ping@internal" },
            },
            "services": { "nobody": { "loadBalancer": { "servers": [] } } },
            "middlewares": { "page": { "plugin": { "maintenance": {
                "page": self.page, "retryAfter": self.retry_after.to_string(),
            } } } },
        } });
        // Traefik first reads the file as a template, so `{{` must be escaped.
        routes.to_string().replace("{{", "\\u007b{")
    }

    /// The command that makes an image with the page and the health check.
    fn commit(&self, build: &str) -> String {
        let check = [&["traefik", "healthcheck"][..], &READY_FLAGS].concat();
        let health =
            format!("HEALTHCHECK --interval=500ms --timeout=5s --retries=1 CMD {}", serde_json::json!(check));
        let line = Line::new("docker").words(["commit", "--change", &health]);
        line.word(build).to_string()
    }

    /// Adds the labels by which containers and images of a page can be found, even after a killed run.
    fn labelled(&self, line: Line) -> Line {
        let labels = [label(&self.scope.names), format!("{ROLE}={}", self.role)];
        labels.iter().fold(line, |line, label| line.words(["--label", label]))
    }

    fn run(&self, name: &str) -> String {
        let docker =
            Line::new("docker").words(["run", "--detach", "--restart", "unless-stopped", "--name", name]);
        let mut line = self.labelled(docker.words(["--network", NETWORK]));
        for (key, value) in &self.labels {
            let label = format!("{key}={value}");
            line = line.word("--label");
            line = if self.configured { line.expanding(&label) } else { line.word(&label) };
        }
        let grace = |entry: &str| {
            format!("--entrypoints.{entry}.transport.lifecycle.requestacceptgracetimeout={GRACE_S}s")
        };
        line.var("bowline_image")
            .words(["--entrypoints.web.address=:80", &grace("web"), &grace("ready"), "--ping"])
            .words(READY_FLAGS)
            .word("--providers.file.filename=/maintenance/routes.yml")
            .word(&format!("--experimental.localplugins.maintenance.modulename={MODULE}"))
            .to_string()
    }
}

/// Where the container's health check asks whether it can respond.
const READY_FLAGS: [&str; 3] =
    ["--ping.entrypoint=ready", "--ping.manualrouting=true", "--entrypoints.ready.address=:8081"];

const ADDRESS: &str = "{{with index .NetworkSettings.Networks \"kamal\"}}{{.IPAddress}}{{end}}";

/// Ends a role's maintenance: asks the pages' containers to stop, and removes them once Traefik no longer uses them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub scope: Scope,
    pub role: String,
    /// Whether to keep containers of this run, because one page replaces another.
    pub others: bool,
}

impl End {
    /// Shell lines that list the containers in `$bowline_ids`.
    fn ids(&self) -> String {
        let list = Line::new("docker")
            .words(["container", "ls", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}}"])
            .words(["--filter", &format!("label={}", label(&self.scope.names))])
            .words(["--filter", &format!("label={ROLE}={}", self.role)]);
        let keep = if self.others { format!("-maintenance-{}", self.scope.token()) } else { "/".into() };
        format!(
            "bowline_ids=$({list}) || exit\nbowline_ids=$(printf '%s\\n' \"$bowline_ids\" | grep -v -e {} | cut -d' ' -f1)\n",
            quote(&keep)
        )
    }

    /// Asks the containers to stop, and waits until they are unhealthy. They still respond. Prints [`super::Answer`].
    pub fn stop(&self) -> Script {
        Script::new(format!(
            "{fence}{ask}{ids}bowline_address={address}\n{stop}",
            fence = self.scope.fence(),
            ask = ask::functions(),
            ids = self.ids(),
            address = quote(ADDRESS),
            stop = sent(include_str!("maintenance/end.sh")),
        ))
    }

    pub fn remove(&self) -> Script {
        let done =
            if self.others { String::new() } else { self.scope.audit(Some(&self.role), "Ended maintenance") };
        Script::new(format!(
            "{fence}{ids}for bowline_id in $bowline_ids; do docker container rm --force \"$bowline_id\" >/dev/null || exit; done\n{prune}{done}",
            fence = self.scope.fence(),
            ids = self.ids(),
            prune = pages_gone(&self.scope.names),
        ))
    }
}

/// Waits until a container of the app has answered its open requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    pub id: String,
    pub seconds: u64,
}

impl Idle {
    /// Prints [`crate::commands::app::Stopped`].
    pub fn script(&self) -> Script {
        let (ask, drain) = (ask::functions(), drain::drain(self.seconds));
        Script::new(format!("{ask}bowline_id={}\n{drain}", quote(&self.id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(all: &[(&str, &str)]) -> Pairs {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn routers_are_taken_over_whatever_they_are_called() {
        let own = pairs(&[
            ("service", "app"),
            ("traefik.http.routers.app-web.rule", "Host(`a.test`)"),
            ("traefik.http.routers.app-web.priority", "2"),
            ("traefik.http.routers.app-web.middlewares", "app-web-retry@docker, secure@file"),
            ("traefik.http.routers.api.rule", "Host(`b.test`)"),
            ("traefik.http.routers.api.service", "api"),
            ("traefik.http.routers.api.tls.certresolver", "le"),
            ("traefik.http.middlewares.app-web-retry.retry.attempts", "5"),
            ("traefik.http.services.api.loadbalancer.server.port", "3000"),
            ("traefik.enable", "true"),
            ("traefik.tcp.routers.x.rule", "HostSNI(`*`)"),
        ]);
        let mut labels = labels(&own, "app-web");
        labels.sort();
        let expected = pairs(&[
            ("bowline.suffix", "-maintenance"),
            ("traefik.enable", "true"),
            ("traefik.http.middlewares.app-web-retry-maintenance.retry.attempts", "5"),
            ("traefik.http.routers.api-maintenance.priority", "1000014"),
            ("traefik.http.routers.api-maintenance.rule", "Host(`b.test`)"),
            ("traefik.http.routers.api-maintenance.service", "app-web-maintenance"),
            ("traefik.http.routers.api-maintenance.tls.certresolver", "le"),
            (
                "traefik.http.routers.app-web-maintenance.middlewares",
                "app-web-retry-maintenance@docker,secure@file",
            ),
            ("traefik.http.routers.app-web-maintenance.priority", "1000002"),
            ("traefik.http.routers.app-web-maintenance.rule", "Host(`a.test`)"),
            ("traefik.http.routers.app-web-maintenance.service", "app-web-maintenance"),
            ("traefik.http.services.app-web-maintenance.loadbalancer.server.port", "80"),
        ]);
        assert_eq!(labels, expected);
    }

    #[test]
    fn a_message_is_text_in_the_page() {
        let page = page(None, "<b>\"5\" & more</b>");
        assert!(page.contains("<p>&lt;b&gt;&quot;5&quot; &amp; more&lt;/b&gt;</p>"), "{page}");
        assert_eq!(super::page(Some("a {{.Message}} {{ .Message }} b"), "x"), "a x x b");
    }

    fn begin(page: &str) -> Begin {
        Begin {
            scope: Scope { names: Names::new("app", None), run: "r".repeat(32), performer: "me".into() },
            role: "web".into(),
            labels: Pairs::new(),
            configured: false,
            page: page.into(),
            retry_after: 60,
        }
    }

    #[test]
    fn what_is_made_on_the_way_to_a_page_is_found_when_a_kill_leaves_it() {
        let script = begin("page").script().sent();
        let made: Vec<&str> = script.lines().filter(|line| line.contains(" --name ")).collect();
        assert_eq!(made.len(), 2, "the container for the image, and the one that answers: {made:?}");
        for line in made {
            assert!(line.contains("bowline.maintenance=app/") && line.contains("bowline.role=web"), "{line}");
        }
    }

    #[test]
    fn a_page_is_no_template_for_traefik() {
        let begin = begin("{{ if }} \"é\" \u{1f600} </script>\n");
        let routes = begin.routes();
        assert!(!routes.contains("{{"), "{routes}");
        let read: serde_json::Value = serde_json::from_str(&routes).unwrap();
        let page = &read["http"]["middlewares"]["page"]["plugin"]["maintenance"]["page"];
        assert_eq!(page.as_str(), Some(begin.page.as_str()));
    }
}
