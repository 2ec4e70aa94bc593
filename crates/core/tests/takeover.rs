//! One kind of proxy takes over from the other, on a server whose `docker` keeps a few containers as files. Checks what
//! the scripts leave when something fails, and when they are killed or interrupted at any call.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic fails the test.

#[path = "common/run.rs"]
mod run;
#[path = "common/shells.rs"]
mod shells;

use std::fs;
use std::process::{Command, Output};

use bowline_config::secret::Secret;
use bowline_config::{Logging, SourceFile, Traefik, load};
use bowline_core::commands::Scope;
use bowline_core::commands::env::SecretEnv;
use bowline_core::names::Names;
use bowline_core::observed::Observed;
use bowline_core::plan::deploy::plan;
use bowline_core::plan::show;
use bowline_core::proxy::kamal::{container as kamal, takeover as of_kamal};
use bowline_core::proxy::takeover::{Others, Ports, Settle, Survey, Verdict};
use bowline_core::proxy::traefik::{container as traefik, takeover as of_traefik};
use bowline_core::request::{DeployKind, DeployRequest, Direction};
use bowline_core::selection::{Filters, Selection};
use bowline_core::shell::Script;
use run::run;
use serde_json::json;

/// Keeps each container in a file with its name: whether it runs, and whether it waits. `fault` names the call after
/// which the script gets a signal, and the signal.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>calls
read -r at signal <fault
runs() { read -r state _ <"box/$1" && [ "$state" = true ]; }
has_ports() { read -r state other_waits <"box/$1" && [ "$state" = true ] && [ -z "$other_waits" ]; }
act() {
    case "$1 $2" in
        'container create')
            name=$4
            [ ! -e "box/$name" ] || { echo 'the container name is already in use' >&2; return 1; }
            case $* in *bowline.waits=yes*) echo 'false yes' ;; *) echo 'false ' ;; esac >"box/$name"
            ;;
        'create --name')
            [ ! -e "box/$3" ] || return 1
            echo 'false ' >"box/$3"
            ;;
        'run --detach')
            [ ! -e "box/$4" ] || { echo 'the container name is already in use' >&2; return 1; }
            case $* in *bowline.waits=yes*) echo 'true yes' ;; *) echo 'true ' ;; esac >"box/$4"
            ;;
        'container start')
            [ -e "box/$3" ] || return 1
            [ "$3" != "$(cat broken)" ] || return 1
            runs "$3" && return
            read -r _ waits <"box/$3"
            if [ -z "$waits" ]; then
                for other in box/*; do ! has_ports "${other#box/}" || { echo 'port is already allocated' >&2; return 1; }; done
            fi
            echo "true $waits" >"box/$3"
            ;;
        'container stop') [ -e "box/$5" ] && read -r _ waits <"box/$5" && echo "false $waits" >"box/$5" ;;
        'container rm')
            shift 2
            [ "$1" != --force ] || { shift; forced=yes; }
            for name; do
                [ -n "$forced" ] || ! runs "$name" || return 1
                rm -f "box/$name"
            done
            ;;
        'container rename') [ -e "box/$3" ] && [ ! -e "box/$4" ] && mv "box/$3" "box/$4" ;;
        'container logs') echo 'its log' ;;
        'container ls')
            case $* in
                *--all*) for name; do :; done; name=${name#*/?}; name=${name%\$}; [ ! -e "box/$name" ] || echo "$name" ;;
                *) cat listed ;;
            esac
            ;;
        'container inspect')
            for name; do :; done
            [ -e "box/$name" ] || return 1
            read -r state waits <"box/$name"
            case $4 in
                '{{.State.Running}} {{index'*) echo "$state $waits" ;;
                '{{.State.Running}} {{.RestartCount}}') echo "$state 0" ;;
                '{{.State.Running}} {{.RestartCount}}'*) echo "$state 0 172.18.0.9" ;;
                '{{.State.Running}}') echo "$state" ;;
                '{{index .Config.Labels'*) echo "$waits" ;;
                *RestartPolicy*) echo unless-stopped ;;
                *PortBindings*) ;;
                *IPAddress*) echo 172.18.0.9 ;;
                *) echo id ;;
            esac
            ;;
        'exec kamal-proxy')
            runs kamal-proxy || { echo 'container is not running' >&2; return 1; }
            echo 'Service  Host  Path  Target  State  TLS'
            cat services
            has_ports kamal-proxy && cat lost >services
            return 0
            ;;
    esac
}
act "$@"
status=$?
[ "$(wc -l <calls)" != "$at" ] || kill -s "$signal" 0
exit $status
"#;

struct Server {
    home: tempfile::TempDir,
    direction: Direction,
}

fn scope() -> Scope {
    Scope { names: Names::new("app", None), run: "f00d".into(), performer: "me".into() }
}

impl Server {
    /// The old proxy runs and the new one waits.
    fn new(direction: Direction) -> Self {
        let home = tempfile::tempdir().unwrap();
        shells::link(&home.path().join("bin"));
        for (program, text) in [("docker", DOCKER), ("sleep", "#!/bin/sh\n")] {
            let program = home.path().join("bin").join(program);
            fs::write(&program, text).unwrap();
            assert!(Command::new("chmod").arg("+x").arg(&program).status().unwrap().success());
        }
        let claim =
            Command::new("sh").args(["-c", &scope().claim()]).current_dir(home.path()).status().unwrap();
        assert!(claim.success());
        fs::create_dir(home.path().join("box")).unwrap();
        let server = Self { home, direction };
        let [from, to] = server.names();
        for (file, text) in [("fault", "0 KILL\n"), ("broken", ""), ("listed", "")] {
            server.write(file, text);
        }
        let service = "app-web  *  /  0123456789ab:80  running  no\n";
        server.write("services", service);
        server.write("lost", service);
        server.write(&format!("box/{from}"), "true \n");
        server.write(&format!("box/{to}"), "true yes\n");
        server
    }

    fn names(&self) -> [&'static str; 2] {
        match self.direction {
            Direction::Upgrade => ["traefik", "kamal-proxy"],
            Direction::Downgrade => ["kamal-proxy", "traefik"],
        }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.home.path().join(file), text).unwrap();
    }

    fn run(&self, script: &Script) -> Output {
        self.write("calls", "");
        run(self.home.path(), script)
    }

    /// Every container, and whether it runs. `waits` marks one without ports.
    fn containers(&self) -> String {
        let mut all: Vec<String> = fs::read_dir(self.home.path().join("box"))
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let text = fs::read_to_string(entry.path()).unwrap();
                let state = if text.starts_with("true") { "runs" } else { "stopped" };
                let waits = if text.contains("yes") { " waits" } else { "" };
                format!("{} {state}{waits}", entry.file_name().into_string().unwrap())
            })
            .collect();
        all.sort();
        all.join(", ")
    }

    fn wait(&self) -> Script {
        match self.direction {
            Direction::Upgrade => ensure_kamal(Ports::Unpublished).script(),
            Direction::Downgrade => {
                let traefik = of_traefik::waiting(&Traefik::default());
                traefik::Ensure { traefik, ..ensure_traefik() }.script()
            }
        }
    }

    fn take_over(&self) -> Script {
        match self.direction {
            Direction::Upgrade => of_kamal::TakeOver { ensure: ensure_kamal(Ports::Published) }.script(),
            Direction::Downgrade => of_traefik::TakeOver { ensure: ensure_traefik() }.script(),
        }
    }

    fn settle(&self, verdict: Verdict) -> Script {
        Settle { scope: scope(), direction: self.direction, verdict, services: vec!["app-web".into()] }
            .script()
    }

    fn survey(&self) -> Script {
        Survey { scope: scope(), direction: self.direction, services: vec!["app-web".into()] }.script()
    }

    /// Runs the same command again, which must succeed.
    #[track_caller]
    fn again(&self, when: &str) {
        let [from, to] = self.names();
        self.write("fault", "0 KILL\n");
        for script in [self.survey(), self.wait(), self.take_over(), self.settle(Verdict::Stays)] {
            let output = self.run(&script);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{from} to {to} {when}: {}\n{said}", self.containers());
        }
        assert_eq!(self.containers(), format!("{to} runs"), "{from} to {to} {when}");
    }
}

fn ensure_kamal(ports: Ports) -> kamal::Ensure {
    kamal::Ensure {
        scope: scope(),
        run: None,
        image: kamal::Image::Named("proxy:v1".into()),
        own: String::new(),
        ports,
        needs_own: None,
    }
}

fn ensure_traefik() -> traefik::Ensure {
    traefik::Ensure {
        scope: scope(),
        traefik: Traefik::default(),
        secret: SecretEnv::new(Vec::new()).unwrap(),
        logging: Logging::default(),
    }
}

fn gives_back(policy: &str) -> Verdict {
    Verdict::GivesBack { restart: Some(policy.into()) }
}

const BOTH: [Direction; 2] = [Direction::Upgrade, Direction::Downgrade];

#[test]
fn the_one_that_waits_takes_the_ports_and_the_one_before_goes_when_that_is_settled() {
    shells::each(|| {
        for direction in BOTH {
            let server = Server::new(direction);
            let [from, to] = server.names();
            let output = server.run(&server.take_over());
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && said.contains("@gap "), "{said}{output:?}");
            let old = if direction == Direction::Upgrade { "kamal-proxy_old" } else { "traefik_replaced" };
            let mut all = [format!("{from} stopped"), format!("{old} stopped waits"), format!("{to} runs")];
            all.sort();
            assert_eq!(server.containers(), all.join(", "));
            // Run again, the script finds that the proxy already has the ports.
            let output = server.run(&server.take_over());
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && !said.contains("@gap"), "{said}");
            assert_eq!(server.containers(), all.join(", "));
            assert!(server.run(&server.settle(Verdict::Stays)).status.success());
            assert_eq!(server.containers(), format!("{to} runs"));
            // The old proxy no longer exists, so nothing can go back to it.
            assert!(!server.run(&server.settle(gives_back("always"))).status.success());
            assert!(server.run(&server.settle(Verdict::GivesUp)).status.success());
            assert_eq!(server.containers(), format!("{to} runs"));
        }
    });
}

#[test]
fn one_that_does_not_come_up_gives_the_ports_back() {
    shells::each(|| {
        for direction in BOTH {
            let server = Server::new(direction);
            let [from, to] = server.names();
            server.write("broken", to);
            let output = server.run(&server.take_over());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(76), "{said}");
            assert!(
                said.contains("its log") && said.contains(&format!("{from} was started again")),
                "{said}"
            );
            let mut all = [format!("{from} runs"), format!("{to} stopped waits")];
            all.sort();
            assert_eq!(server.containers(), all.join(", "));
            assert!(server.run(&server.settle(Verdict::GivesUp)).status.success());
            assert_eq!(server.containers(), format!("{from} runs"));
        }
        let server = Server::new(Direction::Upgrade);
        server.write("lost", "");
        let output = server.run(&server.take_over());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("no longer has the service app-web"), "{said}");
        assert_eq!(server.containers(), "kamal-proxy stopped waits, traefik runs");
    });
}

#[test]
fn the_one_before_gets_its_restart_policy_back_with_the_ports() {
    shells::each(|| {
        for direction in BOTH {
            let server = Server::new(direction);
            let [from, _] = server.names();
            assert!(server.run(&server.take_over()).status.success());
            assert!(server.run(&server.settle(gives_back("on-failure:5"))).status.success());
            assert_eq!(server.containers(), format!("{from} runs"));
            let calls = fs::read_to_string(server.home.path().join("calls")).unwrap();
            let given = format!("update --restart on-failure:5 {from}\ncontainer start {from}\n");
            assert!(calls.contains(&given), "{calls}");
        }
    });
}

/// Sends the script a signal after each of its calls in turn.
fn ended_everywhere(direction: Direction, signal: &str) {
    for at in 1.. {
        let server = Server::new(direction);
        let [from, to] = server.names();
        server.write("fault", &format!("{at} {signal}\n"));
        let output = server.run(&server.take_over());
        let (all, told) = (server.containers(), format!("{signal} after call {at}"));
        if signal == "TERM" {
            let has_ports = all.split(", ").any(|one| one == format!("{to} runs"));
            assert!(has_ports || all.contains(&format!("{from} runs")), "{from} to {to}, {told}: {all}");
        }
        if signal == "KILL" {
            server.again(&told);
        }
        if output.status.success() {
            return;
        }
    }
}

#[test]
fn killed_after_any_call_the_same_again_finishes() {
    // The shell makes no difference here, so one is enough.
    for direction in BOTH {
        shells::all().take(1).for_each(|_| ended_everywhere(direction, "KILL"));
    }
}

#[test]
fn ended_after_any_call_one_of_the_two_has_the_ports() {
    shells::each(|| BOTH.into_iter().for_each(|direction| ended_everywhere(direction, "TERM")));
}

#[test]
fn who_else_is_behind_the_proxy_is_seen_and_one_that_stopped_for_nothing_is_started() {
    shells::each(|| {
        let server = Server::new(Direction::Upgrade);
        let labels = |name: &str, service: &str, more: &str| format!("{name}|{service}||a=b,{more}\n");
        let rule = "traefik.http.routers.x.rule=Host(`a`) || Host(`b`)";
        let listed = [
            labels("traefik", "", "traefik.http.routers.catchall.rule=x"),
            labels("app-web-1", "app", rule),
            labels("blog-web-1", "blog", rule),
            labels("compose_site_1", "", rule),
            labels("app-web", "other", rule),
            labels("hidden", "", &format!("traefik.enable=false,{rule}")),
            labels("db", "app-db", "x=y"),
        ];
        server.write("listed", &listed.concat());
        server.write("box/traefik", "false \n");
        let output = server.run(&server.survey());
        let others: Others = String::from_utf8_lossy(&output.stdout).parse().unwrap();
        assert_eq!(others.0, ["blog-web-1", "compose_site_1"]);
        assert_eq!(server.containers(), "kamal-proxy runs waits, traefik runs");

        let server = Server::new(Direction::Downgrade);
        let rows = "app-web  *  /  0:80  running  no\nblog-web  b.test  /  1:80  running  no\n";
        server.write("services", rows);
        server.write("box/traefik", "false \n");
        let output = server.run(&server.survey());
        let others: Others = String::from_utf8_lossy(&output.stdout).parse().unwrap();
        assert_eq!(others.0, ["blog-web"]);
        assert_eq!(server.containers(), "kamal-proxy runs", "a Traefik that is stopped would want its port");
        assert!(server.run(&server.wait()).status.success());
        assert_eq!(server.containers(), "kamal-proxy runs, traefik runs waits");
    });
}

/// The plan for a server with these proxies, for an app that moves behind kamal-proxy.
fn planned(kind: DeployKind, proxies: &[serde_json::Value]) -> Result<String, String> {
    let text = "service: app\nimage: app\nservers: [a]\nregistry: {server: r.test, username: u, password: [PW]}\n\
                proxy: {host: a.test}\nbuilder: {arch: amd64}\n";
    let config = load(SourceFile::new("deploy.yml", text.to_owned()), None).unwrap().config;
    let container = json!({
        "id": "1", "name": "/app-web-v1", "created": "2026-01-01T00:00:00Z", "image": "r.test/app:v1", "image_id": "i",
        "status": "running", "health": "healthy", "mounts": [], "healthcheck": null,
        "labels": {"service": "app", "role": "web", "destination": ""}, "networks": {}, "args": [],
    });
    let proxies: String = proxies.iter().map(|proxy| format!("@proxy {proxy}\n")).collect();
    let observed = format!(
        "@docker 26.1.5\n@container {container}\n{proxies}@network kamal\n@image i r.test/app:v1\n@end\n"
    );
    let observed = [("a".to_owned(), Observed::parse(&observed).unwrap())].into();
    let secrets = [("PW".to_owned(), Secret::new("x"))].into();
    let request = DeployRequest {
        kind,
        version: "v1".into(),
        scope: scope(),
        secrets_known: true,
        pages: Default::default(),
    };
    let selection = Selection::new(&config, &Filters::default()).unwrap();
    let planned = plan(&config, &selection, &secrets, &request, &observed);
    planned.map(|plan| show::text(&plan)).map_err(|error| error.to_string())
}

fn proxy(name: &str, port: &str, labels: &serde_json::Value) -> serde_json::Value {
    json!({
        "id": name, "name": format!("/{name}"), "created": "", "image": "bowline-proxy:v10.0.1.0", "image_id": "",
        "status": "running", "health": null, "labels": labels, "mounts": [],
        "healthcheck": null, "networks": {"kamal": {"IPAddress": "172.18.0.2"}}, "args": ["--api.insecure=true"],
        "ports": {"80/tcp": [{"HostIp": "", "HostPort": port}], "443/tcp": null},
    })
}

#[test]
fn a_plan_knows_who_has_the_ports_and_what_happens_before_they_change_hands() {
    let traefik = |port: &str| proxy("traefik", port, &json!({}));
    let refused = planned(DeployKind::Deploy, &[traefik("80")]).unwrap_err();
    assert_eq!(refused, "Traefik on a uses port 80, which kamal-proxy needs");
    assert!(planned(DeployKind::Deploy, &[traefik("8080")]).is_ok());
    let both = [traefik("8080"), proxy("kamal-proxy", "80", &json!({}))];
    assert!(planned(DeployKind::Deploy, &both).is_ok());
    let waiting = proxy("kamal-proxy", "", &json!({"bowline.waits": "yes"}));
    let refused = planned(DeployKind::Deploy, std::slice::from_ref(&waiting)).unwrap_err();
    assert_eq!(refused, "kamal-proxy on a is still waiting for the ports of Traefik");

    let take_over = planned(DeployKind::TakeOver(Direction::Upgrade), &[traefik("80"), waiting]).unwrap();
    let mut rest = take_over.as_str();
    let order = [
        "upgrade app version v1",
        "make sure kamal-proxy runs",
        "boot app-web-v1",
        "have kamal-proxy route all requests to it",
        "replace Traefik with kamal-proxy",
        "stop app-web-v1",
    ];
    for line in order {
        rest = rest.split_once(line).unwrap_or_else(|| panic!("no {line:?} in its place:\n{take_over}")).1;
    }
}
