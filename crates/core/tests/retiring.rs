//! The scripts that retire a container, under each shell. They must check their assumptions when they run, against a
//! `docker` whose containers a test changes.

#![allow(clippy::unwrap_used)] // A panic fails the test.

#[path = "common/shells.rs"]
mod shells;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bowline_config::secret::Secret;
use bowline_config::{Logging, Traefik};
use bowline_core::commands::app::{self, IfHealthy};
use bowline_core::commands::finish::{self, Finish};
use bowline_core::commands::serving::{Check, Serving};
use bowline_core::commands::status::Status;
use bowline_core::commands::{Action, Scope, env};
use bowline_core::names::Names;
use bowline_core::proxy::cord;
use bowline_core::proxy::traefik::{container as traefik, maintenance};
use bowline_core::shell::Script;

/// A container is a file of variables. `down` is the number of calls that Docker doesn't answer. With `trips`, Docker
/// goes down in the middle of a stop.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>calls
if [ -e down ]; then
left=$(cat down); [ "$left" -gt 1 ] && echo $((left - 1)) >down || rm down
echo 'Cannot connect to the Docker daemon' >&2; exit 1
fi
for id; do :; done
case "$1 $2" in
'container inspect')
[ -e "is/$id" ] || { echo "No such container: $id" >&2; exit 1; }
. "./is/$id"
case $4 in
*Hostname*) echo "$hostname $id" ;;
*OOMKilled*) echo "$status $health $code $restarts false 172.18.0.9" ;;
*RestartCount*) echo "$status $health $restarts" ;;
*RestartPolicy*) echo "$status $health $policy" ;;
*Mounts*) echo "$PWD" ;;
*Pid*) echo "$pid" ;;
*IPAddress*) echo "$status $health $address" ;;
esac ;;
'container ls')
case $id in name=*) id=${id#name=^/\?}; [ ! -e "is/${id%\$}" ] || echo "$id"; exit ;; esac
[ ! -e "is/${id#id=}" ] || echo "${id#id=}"
[ ! -e lost ] || case $* in *Names*) echo ;; *) echo "${id#id=}" ;; esac ;;
'stop '*)
if [ -e trips ]; then rm trips; echo 2 >down; exit 1; fi
[ ! -e "is/$id" ] || echo 'status=exited; health=unhealthy' >>"is/$id" ;;
'update '*) [ ! -e frozen ] || exit 1; echo "policy=$3" >>"is/$id" ;;
'exec '*) [ -e root ] && rm -r cord ;;
'run '*) echo 'status=running; health=healthy; restarts=0; code=0' >is/new; echo new ;;
'events '*) exit 1 ;;
esac
"#;

struct Server(tempfile::TempDir);

struct Ended {
    said: Vec<String>,
    status: Option<i32>,
}

impl Ended {
    fn says(&self, line: &str) -> bool {
        self.said.iter().any(|said| said == line)
    }

    fn with(&self, status: u32) {
        assert_eq!(self.status, i32::try_from(status).ok(), "{:?}", self.said);
    }
}

impl Server {
    /// An old and a new container, both healthy.
    fn new() -> Self {
        let server = Self(tempfile::tempdir().unwrap());
        shells::link(&server.path("bin"));
        fs::create_dir_all(server.path("is")).unwrap();
        fs::create_dir_all(server.path(".kamal/apps/app")).unwrap();
        server.write(".kamal/apps/app/run", "f00d\n");
        server.program("docker", DOCKER);
        server.write("cord", "");
        server.is("old", "running", "healthy");
        server.is("new", "running", "healthy");
        server
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn program(&self, name: &str, text: &str) {
        self.write(&format!("bin/{name}"), text);
        fs::set_permissions(self.path(&format!("bin/{name}")), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn is(&self, id: &str, status: &str, health: &str) {
        let text = format!(
            "status={status}; health={health}; restarts=0; code=0; policy=unless-stopped; pid=0; address=172.18.0.2; hostname=h\n"
        );
        self.write(&format!("is/{id}"), &text);
    }

    fn also(&self, id: &str, variables: &str) {
        let path = format!("is/{id}");
        let text = fs::read_to_string(self.path(&path)).unwrap();
        self.write(&path, &(text + variables + "\n"));
    }

    fn run(&self, script: &Script) -> Ended {
        // Shortens the waits: half a minute for a daemon, and ten seconds for a container.
        let text = script
            .text
            .replace("bowline_patience=30", "bowline_patience=2")
            .replace("bowline_tries=100\n", "bowline_tries=3\n");
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("timeout");
        command.args(["60", "sh", "-c", &text]).current_dir(self.0.path());
        let input = self.path("input");
        fs::write(&input, script.input.expose()).unwrap();
        let output = command.env("PATH", path).stdin(fs::File::open(input).unwrap()).output().unwrap();
        let said =
            String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim_end().into()).collect();
        Ended { said, status: output.status.code() }
    }

    fn changes(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let changes =
            |call: &&str| ["stop", "update", "tag", "run"].iter().any(|verb| call.starts_with(verb));
        calls.lines().filter(changes).map(Into::into).collect()
    }

    fn has(&self, path: &str) -> bool {
        Path::new(&self.path(path)).exists()
    }
}

fn scope() -> Scope {
    Scope { names: Names::new("app", None), run: "f00d".into(), performer: "me".into() }
}

fn new() -> Serving {
    Serving { id: "new".into(), restarts: Some(0), ready: bowline_core::commands::ready::Ready::Healthy }
}

fn stop() -> app::Stop {
    app::Stop {
        scope: scope(),
        role: "web".into(),
        name: "app-web-1".into(),
        id: "old".into(),
        drain: None,
        stop_wait: Some(7),
        cord: None,
        if_healthy: IfHealthy::Leave,
        instead: Some(new()),
        undoes: None,
    }
}

fn cut() -> cord::Cut {
    cord::Cut {
        scope: scope(),
        name: "app-web-1".into(),
        id: "old".into(),
        directory: ".".into(),
        timeout: 1,
        protocols: [].into(),
        instead: Some(new()),
    }
}

fn tag() -> app::Tag {
    app::Tag {
        scope: scope(),
        image: "r/app:2".into(),
        latest: "r/app:latest".into(),
        version: "2".into(),
        kind: None,
        serving: vec![new()],
    }
}

#[test]
fn a_container_that_is_healthy_now_is_not_stopped_whatever_it_was_when_that_was_planned() {
    shells::each(|| {
        let server = Server::new();
        server.run(&stop().script()).with(Status::Healthy.code());
        assert_eq!(server.changes(), [""; 0]);
        server.run(&app::Stop { if_healthy: IfHealthy::Stop, ..stop() }.script()).with(0);
        assert_eq!(server.changes(), ["stop -t 7 old"]);
        server.is("old", "running", "starting");
        server.run(&stop().script()).with(0);
        assert_eq!(server.changes().len(), 2);
    });
}

#[test]
fn what_follows_a_stop_waits_for_it_and_looks_again() {
    let all = || Finish { stop: Some(stop()), tag: Some(tag()), prune: None };
    let answer = |ended: &Ended| ended.said.join("\n").parse::<finish::Answer>().unwrap();
    shells::each(|| {
        let server = Server::new();
        let ended = server.run(&all().script());
        ended.with(Status::Healthy.code());
        assert_eq!(answer(&ended), finish::Answer::default());
        assert_eq!(server.changes(), [""; 0]);
        server.is("old", "running", "unhealthy");
        // The new container ends while the old one stops.
        server.write(
            "is/old",
            &(fs::read_to_string(server.path("is/old")).unwrap() + "echo 'status=exited' >>is/new\n"),
        );
        let ended = server.run(&all().script());
        ended.with(Status::NotServing.code());
        let answer = answer(&ended);
        assert!(answer.stopped.is_some() && !answer.tagged, "{:?}", ended.said);
        assert_eq!(server.changes(), ["stop -t 7 old"]);
        server.is("new", "running", "healthy");
        server.run(&all().rest(&answer).script()).with(0);
        assert_eq!(server.changes(), ["stop -t 7 old", "tag r/app:2 r/app:latest"]);
    });
}

#[test]
fn nothing_is_taken_from_the_old_one_while_the_new_one_does_not_serve() {
    let states = [
        "status=exited",
        "status=restarting",
        "health=unhealthy",
        "health=starting",
        "restarts=1; health=none",
        "status=exited; health=none",
    ];
    shells::each(|| {
        let server = Server::new();
        for state in states {
            server.is("new", "running", "healthy");
            server.also("new", state);
            for script in [cut().script(), stop().script(), tag().script()] {
                server.run(&script).with(Status::NotServing.code());
            }
            assert!(server.has("cord") && server.changes().is_empty(), "{state}: {:?}", server.changes());
        }
        fs::remove_file(server.path("is/new")).unwrap();
        let ended = server.run(&cut().script());
        ended.with(Status::NotServing.code());
        assert!(ended.says("@instead gone") && server.has("cord"), "{:?}", ended.said);
        server.is("new", "running", "none");
        server.run(&tag().script()).with(0);
        server.is("old", "running", "unhealthy");
        server.run(&stop().script()).with(0);
        assert_eq!(server.changes(), ["tag r/app:2 r/app:latest", "stop -t 7 old"]);
    });
}

#[test]
fn the_address_is_the_one_that_it_has_when_its_cord_is_cut() {
    shells::each(|| {
        let server = Server::new();
        server.also("old", "health=unhealthy; address=172.18.0.77");
        let ended = server.run(&cut().script());
        ended.with(0);
        assert_eq!(ended.said, ["@address 172.18.0.77", "@unhealthy"]);
        assert!(!server.has("cord"), "one that is not healthy may be so in a moment");
        server.is("old", "running", "healthy");
        let ended = server.run(&cut().script());
        assert_eq!(ended.said, ["@address 172.18.0.2", "@healthy", "@still-healthy"]);
    });
}

#[test]
fn a_docker_that_does_not_answer_is_no_container_that_is_gone() {
    shells::each(|| {
        let server = Server::new();
        server.is("old", "running", "unhealthy");
        // Each script makes more calls than that, and tries each again until it is answered.
        for calls in 1..=4 {
            server.is("old", "running", "unhealthy");
            server.write("down", &calls.to_string());
            server.run(&stop().script()).with(0);
            assert_eq!(server.changes().len(), calls, "stopped after {calls} calls without an answer");
            server.write("cord", "");
            server.write("down", &calls.to_string());
            let ended = server.run(&cut().script());
            ended.with(0);
            assert!(!ended.says("@gone") && !server.has("cord"), "{:?}", ended.said);
        }
        // Docker goes down in the middle of the stop.
        server.is("old", "running", "unhealthy");
        server.write("trips", "");
        server.run(&stop().script()).with(0);
        assert!(fs::read_to_string(server.path("is/old")).unwrap().contains("status=exited"));
        // Docker stays down.
        for script in
            [stop().script(), cut().script(), maintenance::Idle { id: "old".into(), seconds: 1 }.script()]
        {
            server.write("down", "1000");
            server.run(&script).with(Status::NoAnswer.code());
        }
        fs::remove_file(server.path("down")).unwrap();
        fs::remove_file(server.path("is/old")).unwrap();
        let before = server.changes().len();
        server.run(&stop().script()).with(0);
        let ended = server.run(&cut().script());
        assert!(ended.says("@gone"), "{:?}", ended.said);
        // Docker failed to remove the container: it still lists it, but can't find it.
        server.write("lost", "");
        server.run(&stop().script()).with(0);
        assert_eq!(server.changes().len(), before);
    });
}

#[test]
fn a_docker_that_does_not_answer_is_no_name_that_is_free() {
    let ensure = traefik::Ensure {
        scope: scope(),
        traefik: Traefik::default(),
        secret: env::SecretEnv::default(),
        logging: Logging::default(),
    };
    let power = |action| traefik::Power { scope: scope(), action, restart: None };
    let begin = maintenance::Begin {
        scope: scope(),
        role: "web".into(),
        labels: Vec::new(),
        configured: false,
        page: String::new(),
        retry_after: 1,
    };
    let replace = traefik::Replace { ensure }.script();
    let asked = [
        Script { text: replace.text.replace("docker network", "true network"), ..replace },
        power(Action::Stop).script(),
        begin.script(),
        boot().script(),
        boot().find().script(),
    ];
    // Another test covers the patience.
    let asked = asked.map(|script| Script {
        text: script.text.replace("bowline_patience=30", "bowline_patience=0"),
        ..script
    });
    shells::each(|| {
        let server = Server::new();
        for script in &asked {
            server.write("down", "1000");
            let ended = server.run(script);
            ended.with(Status::NoAnswer.code());
            assert_eq!((ended.said.len(), server.changes().len()), (0, 0), "{}", script.text);
        }
        let traefik = traefik::Remove { scope: scope() };
        server.run(&traefik.script()).with(1);
        fs::remove_file(server.path("down")).unwrap();
        server.run(&traefik.script()).with(0);
    });
}

#[test]
fn what_docker_would_start_again_with_itself_stays_stopped() {
    shells::each(|| {
        let server = Server::new();
        for (policy, changed) in
            [("always", true), ("on-failure", true), ("unless-stopped", false), ("no", false)]
        {
            server.is("old", "running", "unhealthy");
            server.also("old", &format!("policy={policy}"));
            let before = server.changes().len();
            server.run(&stop().script()).with(0);
            let changes = server.changes().split_off(before);
            let update = ["update --restart unless-stopped old"];
            assert_eq!(changes, [&update[..usize::from(changed)], &["stop -t 7 old"]].concat(), "{policy}");
        }
        server.is("old", "running", "unhealthy");
        server.also("old", "policy=always");
        server.write("frozen", "");
        let ended = server.run(&stop().script());
        ended.with(0);
        assert!(ended.says("@returns always"), "{:?}", ended.said);
    });
}

#[test]
fn a_cord_that_this_user_can_not_delete_is_cut_from_inside_or_told() {
    shells::each(|| {
        let server = Server::new();
        // Behaves like a file of another user.
        fs::remove_file(server.path("cord")).unwrap();
        fs::create_dir(server.path("cord")).unwrap();
        let ended = server.run(&cut().script());
        ended.with(0);
        assert!(ended.said.last().unwrap().starts_with("@uncut "), "{:?}", ended.said);
        server.write("root", "");
        let ended = server.run(&cut().script());
        assert!(!server.has("cord"));
        assert!(ended.says("@still-healthy"), "{:?}", ended.said);
    });
}

fn boot() -> app::Boot {
    app::Boot {
        ready: bowline_core::commands::ready::Ready::Healthy,
        scope: scope(),
        role: "web".into(),
        version: "2".into(),
        image: "r/app:2".into(),
        environment: app::Environment {
            host: "h".into(),
            clear: Vec::new(),
            secret: env::SecretEnv::default(),
            volumes: Vec::new(),
            options: Vec::new(),
            logging: Logging::default(),
        },
        labels: Vec::new(),
        made: Secret::new("bowline.config=x"),
        cmd: None,
        health: None,
        cord: None,
        assets: None,
        timeout: 1,
        readiness_delay: 0,
    }
}

#[test]
fn a_container_that_turns_up_after_its_run_has_given_up_is_stopped_by_its_own_boot() {
    shells::each(|| {
        let server = Server::new();
        let boot = boot();
        server.run(&boot.script()).with(0);
        let ended = server.run(&boot.find().script());
        assert_eq!((ended.said.len(), ended.status), (0, Some(0)), "nothing turned up");
        server.run(&boot.script()).with(Status::NotStarted.code());
        assert_eq!(server.changes().last().unwrap(), "stop new");
        // The next run has other file names.
        let next = Scope { run: "beef".into(), ..scope() };
        let claimed = server.run(&Script::new(next.claim()));
        claimed.with(0);
        server.run(&app::Boot { scope: next, ..boot }.script()).with(0);
        assert!(!server.has(".kamal/apps/app/given-up"));
    });
}

#[test]
fn a_container_that_ended_since_it_was_ready_has_failed_though_docker_started_it_again() {
    let check = Check {
        scope: scope(),
        name: "n".into(),
        serving: new(),
        network: "kamal".into(),
        timeout: 1,
        readiness_delay: 0,
    };
    shells::each(|| {
        let server = Server::new();
        let ended = server.run(&check.script());
        ended.with(0);
        assert!(ended.says("@ready 172.18.0.9"), "{:?}", ended.said);
        server.also("new", "health=none");
        server.run(&check.script()).with(0);
        for (state, reason) in [
            ("restarts=1", "restarting"),
            ("restarts=0; status=exited", "exited"),
            ("status=running; health=unhealthy", "timeout"),
        ] {
            server.also("new", state);
            let ended = server.run(&check.script());
            ended.with(Status::NotReady.code());
            assert!(ended.says(&format!("@failed {reason}")), "{:?}", ended.said);
        }
        fs::remove_file(server.path("is/new")).unwrap();
        assert!(server.run(&check.script()).says("@failed gone"));
    });
}

/// `ss` before iproute2 5.0, without `-O`, in the network of a container with an open request.
const OLD_SS: &str = r#"#!/bin/sh
case $* in
*' -O'*|*' -iO'*) echo "ss: invalid option -- 'O'" >&2; exit 255 ;;
*' -l'*) printf 'State  Recv-Q Send-Q Local Address:Port Peer Address:Port\nLISTEN 0 128 *:3000 *:*\n' ;;
*) cat open ;;
esac
"#;

const HEADER: &str = "Recv-Q Send-Q Local Address:Port Peer Address:Port\n";

#[test]
fn requests_under_way_are_seen_by_an_ss_that_tells_of_them_in_two_lines() {
    shells::each(|| {
        let server = Server::new();
        server.program("nsenter", OLD_SS);
        server.also("old", &format!("pid={}; health=unhealthy", std::process::id()));
        let drained = |open: &str| {
            server.write("open", &format!("{HEADER}{open}"));
            server.run(&app::Stop { drain: Some(1), ..stop() }.script()).said
        };
        let busy = "0 0 172.18.0.2:3000 172.18.0.3:40000\n\t cubic wscale:7,7 data_segs_out:1 data_segs_in:2 lastsnd:2000 lastrcv:900 lastack:900\n";
        let idle = "0 0 172.18.0.2:3000 172.18.0.3:40001\n\t cubic wscale:7,7 data_segs_out:2 data_segs_in:2 lastsnd:800 lastrcv:900 lastack:800\n";
        assert_eq!(drained(&format!("{idle}{busy}")), ["@drain busy"]);
        assert_eq!(drained(&format!("{busy}{idle}")), ["@drain busy"]);
        assert_eq!(drained(idle), ["@drain idle"]);
        assert_eq!(drained(""), ["@drain idle"]);
    });
}

#[test]
fn what_can_not_be_seen_is_not_taken_for_idle() {
    let blind = [
        ("nsenter", "#!/bin/sh\nexit 1\n"),
        ("nsenter", "#!/bin/sh\ncase $* in *' -i '*) exit 255 ;; esac\n"),
        ("awk", "#!/bin/sh\nexit 127\n"),
    ];
    shells::each(|| {
        let server = Server::new();
        server.also("old", &format!("pid={}; health=unhealthy", std::process::id()));
        for (program, text) in blind {
            server.program("nsenter", OLD_SS);
            server.write("open", HEADER);
            server.program(program, text);
            let ended = server.run(&app::Stop { drain: Some(1), ..stop() }.script());
            assert!(ended.says("@drain blind"), "{text}: {:?}", ended.said);
        }
        // A container that doesn't run has no requests.
        server.also("old", "pid=0");
        assert_eq!(server.run(&app::Stop { drain: Some(1), ..stop() }.script()).said, ["@drain idle"]);
    });
}
