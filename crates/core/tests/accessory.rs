//! Runs the accessories' scripts under a real `sh`, with a fake `docker` that keeps containers as files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic fails the test.

#[path = "common/shells.rs"]
mod shells;

use bowline_core::names::Names;
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use bowline_config::secret::{Secret, SecretBytes};
use bowline_config::{Config, SourceFile, load};
use bowline_core::commands::Action;
use bowline_core::commands::Scope;
use bowline_core::commands::accessory::{Act, Directory, Upload, What};
use bowline_core::commands::policy::configured;
use bowline_core::commands::status::Status;
use bowline_core::plan::accessory::container;
use bowline_core::secrets::Secrets;
use bowline_core::shell::Input;
use tempfile::TempDir;

/// A container is a file with its status, label and image, and a second file with its restart policy. `state` is the
/// state that a started container gets. Calls named in `broken` fail, and with `down` all do. A container's log looks
/// like lines of an answer, to check that the script escapes it.
/// script says.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>calls
[ ! -e down ] || { echo 'Cannot connect to the Docker daemon' >&2; exit 1; }
! grep -qx "$1" broken 2>/dev/null || { [ "$1" != run ] || echo 'created app-db new' >containers/app-db; exit 125; }
for last; do [ "$before" != --name ] || name=$last; [ "$before" != --env-file ] || cp "$last" seen.env; before=$last; done
container=containers/$last
read_it() { [ -e "$container" ] && read -r status label image <"$container"; }
case "$1 $2" in
'container inspect')
read_it || exit 1
case $* in
*'{{.ID}}'*) echo "$last" ;;
*PortBindings*) cat "ports/$last" 2>/dev/null ;;
*RestartPolicy*) echo "$status $(cat "policies/$last" 2>/dev/null || echo unless-stopped) $label" ;;
*RestartCount*) cat state 2>/dev/null || echo "$status none 0 0 false" ;;
*.Image*) echo "$image" ;;
esac; exit 0 ;;
'container ls') name=${last#name=^/\?}; [ ! -e "containers/${name%\$}" ] || echo there ;;
'update --restart') [ ! -e frozen ] && echo "$3" >"policies/$last" ;;
'container start') read_it && echo "running $label $image" >"$container" ;;
'container stop') read_it && echo "exited $label $image" >"$container" ;;
'container rename') mv "containers/$3" "containers/$4" && { [ ! -e "policies/$3" ] || mv "policies/$3" "policies/$4"; } ;;
'container rm') shift 2; for word; do rm -f "containers/$word"; done ;;
'container logs') echo '@failed timeout' ;;
'run --detach') echo 'running app-db new' >"containers/$name" ;;
'create --name') echo 'created app-db new' >"containers/$name" ;;
'images --quiet') echo id ;;
'image rm') [ ! -e used ] ;;
esac
"#;

const CONFIG: &str = "
service: app
image: app
servers: [10.0.0.1]
registry: {server: r.test, username: u, password: [PW]}
logging: {driver: local, options: {max-size: 5m}}
accessories:
  db:
    image: r.test/mysql:8
    host: 10.0.0.9
    port: '127.0.0.1:3306:3306'
    cmd: --max-connections 5
    env: {clear: {A: b c}, secret: [ROOT]}
    labels: {team: data}
    options: {memory: 1g, restart: always}
    volumes: ['/mnt/x:/x']
    files: ['config/my.cnf:/etc/my.cnf:ro']
    directories: ['data:/var/lib/mysql', '/mnt/logs:/logs:z']
";

fn config() -> Config {
    load(SourceFile::new("deploy.yml", CONFIG), None).unwrap().config
}

fn act(what: What) -> Act {
    let scope = Scope { names: Names::of(&config()), run: "f00d".into(), performer: "ada".into() };
    Act { scope, name: "db".into(), service: "app-db".into(), what }
}

fn made() -> Box<bowline_core::commands::accessory::Container> {
    let secret = |name: &str, value: &str| (name.to_owned(), Secret::new(value));
    let secrets = Secrets::from([secret("PW", "pass word"), secret("ROOT", "sentinel one")]);
    let config = config();
    Box::new(container(&config, &secrets, &config.accessories[0], "10.0.0.9").unwrap())
}

fn boot() -> Act {
    act(What::Boot(made()))
}

fn power(action: Action) -> Act {
    act(What::Power { action, restart: configured(&config().accessories[0].options) })
}

fn reboot() -> Act {
    act(What::Replace(made()))
}

struct Server(TempDir);

impl Server {
    fn new() -> Self {
        let server = Self(tempfile::tempdir().unwrap());
        for directory in ["bin", "containers", "policies", "ports", ".kamal/apps/app"] {
            fs::create_dir_all(server.path(directory)).unwrap();
        }
        shells::link(&server.path("bin"));
        server.program("docker", DOCKER);
        server.program("sleep", "#!/bin/sh\n");
        server.write(".kamal/apps/app/run", "f00d\n");
        server
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    fn program(&self, name: &str, text: &str) {
        let path = format!("bin/{name}");
        self.write(&path, text);
        fs::set_permissions(self.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn containers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("containers")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| format!("{name}: {}", self.read(&format!("containers/{name}")).trim()))
            .collect();
        names.sort();
        names
    }

    fn calls(&self, begins: &[&str]) -> Vec<String> {
        let calls = self.read("calls");
        let wanted = |call: &&str| begins.iter().any(|begin| call.starts_with(begin));
        calls.lines().filter(wanted).map(str::to_owned).collect()
    }

    fn run(&self, act: &Act) -> (u32, Vec<String>) {
        let script = act.script();
        let input = script.input.clone();
        self.run_on(act, input.expose())
    }

    fn run_on(&self, act: &Act, input: &[u8]) -> (u32, Vec<String>) {
        let Output { status, stdout, .. } = self.output(act, input);
        let answers = String::from_utf8(stdout).unwrap();
        let told = ["@id", "@ready", "@state", "@delay", "@ended", "@listening", "@check", "@log", "@health"];
        let answers = answers.lines().filter(|line| line.starts_with('@'));
        let answers = answers.filter(|line| !told.iter().any(|begin| line.starts_with(begin)));
        (status.code().unwrap().try_into().unwrap(), answers.map(str::to_owned).collect())
    }

    fn output(&self, act: &Act, input: &[u8]) -> Output {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut child = Command::new("sh")
            .args(["-c", &act.script().sent().replace("bowline_patience=30", "bowline_patience=1")])
            .current_dir(self.0.path())
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The script may end without reading its input.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }
}

const NONE: [&str; 0] = [];

fn is(answer: (u32, Vec<String>), status: u32, lines: &[&str]) {
    assert_eq!(answer, (status, lines.iter().map(|line| (*line).to_owned()).collect()));
}

#[test]
fn the_container_is_kamals() {
    shells::each(|| {
        let server = Server::new();
        is(server.run(&boot()), 0, &NONE);
        let home = fs::canonicalize(server.0.path()).unwrap();
        let home = home.display();
        assert_eq!(
            server.calls(&["run"]),
            [format!(
                "run --detach --name app-db --restart unless-stopped --network kamal --log-driver local --log-opt max-size=5m \
             --publish 127.0.0.1:3306:3306 --env KAMAL_HOST=10.0.0.9 --env A=b c \
             --env-file .kamal/apps/app/env/accessories/db.env --volume /mnt/x:/x \
             --volume {home}/app-db/etc/my.cnf:/etc/my.cnf:ro --volume {home}/app-db/data:/var/lib/mysql \
             --volume /mnt/logs:/logs:z --label service=app-db --label traefik.enable=false --label team=data --memory=1g --restart=always \
             r.test/mysql:8 --max-connections 5"
            )]
        );
        let env = ".kamal/apps/app/env/accessories/db.env";
        assert_eq!(server.read(env), "ROOT=sentinel one\n");
        assert_eq!(fs::metadata(server.path(env)).unwrap().mode() & 0o777, 0o600);
        assert!(!server.read("calls").contains("sentinel"));
        assert!(server.read(".kamal/app-audit.log").contains("Booted db accessory"));
    });
}

#[test]
fn what_is_there_decides_what_booting_does() {
    shells::each(|| {
        let cases = [
            ("running app-db old", 0, "@runs", "running app-db old"),
            ("exited app-db old", 0, "@started", "running app-db old"),
            ("created app-db old", 0, "", "running app-db new"),
            ("running other old", Status::NameTaken.code(), "", "running other old"),
        ];
        for (before, status, said, after) in cases {
            let server = Server::new();
            server.write("containers/app-db", &format!("{before}\n"));
            let said: &[&str] = if said.is_empty() { &[] } else { &[said] };
            is(server.run(&boot()), status, said);
            assert_eq!(server.containers(), [format!("app-db: {after}")], "{before}");
        }
    });
}

#[test]
fn what_does_not_come_up_is_not_left_behind() {
    shells::each(|| {
        let server = Server::new();
        server.write("broken", "run\n");
        is(server.run(&boot()), Status::NotStarted.code(), &NONE);
        assert_eq!(server.containers(), NONE);
        server.write("broken", "");
        server.write("state", "restarting none 1 3 false\n");
        is(server.run(&boot()), Status::NotReady.code(), &["@failed restarting", "@failed timeout"]);
        assert_eq!(server.containers(), NONE);
        // A container that finished its work counts as ready.
        server.write("state", "exited none 0 0 false\n");
        is(server.run(&boot()), 0, &["@failed exited", "@failed timeout"]);
        assert_eq!(server.containers(), ["app-db: running app-db new"]);
    });
}

#[test]
fn a_reboot_pulls_first_and_has_the_new_container_ready_before_the_old_one_stops() {
    shells::each(|| {
        let server = Server::new();
        server.write("containers/app-db", "running app-db old\n");
        is(server.run(&reboot()), 0, &["@newer"]);
        assert_eq!(server.containers(), ["app-db: running app-db new"]);
        let steps = ["pull", "create", "container stop", "container rename", "container start"];
        let order: Vec<String> = server
            .calls(&steps)
            .into_iter()
            .map(|call| call.split(" --").next().unwrap().to_owned())
            .collect();
        assert_eq!(
            order,
            [
                "pull",
                "create",
                "container stop app-db",
                "container rename app-db app-db_replaced",
                "container rename app-db_next app-db",
                "container start app-db"
            ]
        );
        is(server.run(&reboot()), 0, &NONE);
    });
}

#[test]
fn a_new_container_that_does_not_come_up_gives_way_to_the_old_one() {
    shells::each(|| {
        let server = Server::new();
        server.write("containers/app-db", "running app-db old\n");
        for broken in ["pull", "create"] {
            server.write("broken", &format!("{broken}\n"));
            let (status, answers) = server.run(&reboot());
            assert!(status != 0 && answers.is_empty(), "{broken}: {answers:?}");
            assert_eq!(server.containers(), ["app-db: running app-db old"], "{broken}");
            assert_eq!(server.calls(&["container stop"]), NONE, "{broken}");
        }
        server.write("broken", "");
        server.write("state", "restarting none 1 3 false\n");
        is(
            server.run(&reboot()),
            Status::NotReady.code(),
            &["@newer", "@failed restarting", "@failed timeout", "@back"],
        );
        assert_eq!(server.containers(), ["app-db: running app-db old"]);
        // This doesn't start a container that was stopped by hand.
        server.write("containers/app-db", "exited app-db old\n");
        is(
            server.run(&reboot()),
            Status::NotReady.code(),
            &["@newer", "@failed restarting", "@failed timeout"],
        );
        assert_eq!(server.containers(), ["app-db: exited app-db old"]);
    });
}

#[test]
fn a_port_that_somebody_else_has_is_told_before_anything_stops() {
    shells::each(|| {
        let server = Server::new();
        server.write("containers/app-db", "running app-db old\n");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let wants = |address: &str, protocol: &str| {
            server.write(
                "ports/app-db_next",
                &format!("{address}|{port}|3306/{protocol}\n|8000-8010|80/tcp\n||81/tcp\n"),
            );
        };
        for address in ["127.0.0.1", "", "0.0.0.0", "::"] {
            wants(address, "tcp");
            let (status, answers) = server.run(&reboot());
            assert_eq!((status, answers.len()), (Status::PortTaken.code(), 1), "{address}: {answers:?}");
            assert!(answers[0].starts_with(&format!("@taken {port}/tcp ")), "{answers:?}");
            assert_eq!(server.containers(), ["app-db: running app-db old"]);
        }
        assert_eq!(server.calls(&["container stop"]), NONE);
        // Another address or protocol, or a port that the old container gives up.
        for (address, protocol, given) in [("127.0.0.2", "tcp", ""), ("", "udp", ""), ("", "tcp", "0.0.0.0")]
        {
            wants(address, protocol);
            server.write(
                "ports/app-db",
                &if given.is_empty() { String::new() } else { format!("{given}|{port}|1/tcp\n") },
            );
            server.write("containers/app-db", "running app-db old\n");
            is(server.run(&reboot()), 0, &["@newer"]);
        }
    });
}

#[test]
fn what_a_killed_reboot_left_is_put_right() {
    shells::each(|| {
        let server = Server::new();
        server.write("containers/app-db_replaced", "exited app-db old\n");
        server.write("containers/app-db_next", "created app-db new\n");
        is(server.run(&boot()), 0, &["@started"]);
        assert_eq!(server.containers(), ["app-db: running app-db old"]);
    });
}

#[test]
fn a_container_is_started_and_stopped_if_there_is_one() {
    shells::each(|| {
        let server = Server::new();
        for action in [Action::Start, Action::Stop, Action::Restart] {
            is(server.run(&power(action)), 0, &["@none"]);
        }
        server.write("containers/app-db", "running app-db old\n");
        for (action, after) in
            [(Action::Stop, "exited"), (Action::Start, "running"), (Action::Restart, "running")]
        {
            is(server.run(&power(action)), 0, &NONE);
            assert_eq!(server.containers(), [format!("app-db: {after} app-db old")]);
        }
        assert_eq!(server.calls(&["container start", "container stop"]).len(), 4);
    });
}

#[test]
fn what_is_stopped_stays_so_when_docker_restarts_and_what_is_started_comes_back() {
    shells::each(|| {
        let server = Server::new();
        let policy = || server.read("policies/app-db").trim().to_owned();
        for before in ["always", "on-failure:5"] {
            server.write("containers/app-db", "running app-db old\n");
            server.write("policies/app-db", before);
            is(server.run(&power(Action::Stop)), 0, &NONE);
            assert_eq!(policy(), "unless-stopped");
            let update = server.calls(&["update", "container stop"]);
            assert!(update[update.len() - 2].starts_with("update"), "before it stops: {update:?}");
            is(server.run(&power(Action::Start)), 0, &NONE);
            assert_eq!(policy(), "always", "as configured");
            is(server.run(&power(Action::Stop)), 0, &NONE);
            is(server.run(&boot()), 0, &["@started"]);
            assert_eq!(policy(), "always");
            is(server.run(&power(Action::Stop)), 0, &NONE);
            is(server.run(&power(Action::Restart)), 0, &NONE);
            assert_eq!(policy(), "always");
        }
        for before in ["no", "unless-stopped"] {
            server.write("policies/app-db", before);
            is(server.run(&power(Action::Stop)), 0, &NONE);
            assert_eq!(policy(), before);
        }
        server.write("policies/app-db", "always");
        server.write("frozen", "");
        is(server.run(&power(Action::Stop)), 0, &["@returns always"]);
    });
}

#[test]
fn the_old_container_stays_stopped_while_the_new_one_comes_up_and_gets_its_policy_back_with_its_place() {
    shells::each(|| {
        let server = Server::new();
        server.write("containers/app-db", "running app-db old\n");
        server.write("policies/app-db", "on-failure:5");
        server.write("state", "restarting none 1 3 false\n");
        let (status, _) = server.run(&reboot());
        assert_eq!(status, Status::NotReady.code());
        let order = server.calls(&["update", "container stop", "container start"]);
        assert_eq!(
            order,
            [
                "update --restart unless-stopped app-db",
                "container stop app-db",
                "container start app-db",
                "update --restart on-failure:5 app-db",
                "container start app-db"
            ]
        );
    });
}

#[test]
fn a_docker_that_does_not_answer_is_no_container_that_is_missing() {
    shells::each(|| {
        let server = Server::new();
        server.write("containers/app-db", "running app-db old\n");
        fs::create_dir_all(server.path("app-db/data")).unwrap();
        server.write("down", "");
        let remove = act(What::Remove { image: "r.test/mysql:8".into() });
        for act in [power(Action::Stop), power(Action::Start), boot(), reboot(), remove] {
            let output = server.output(&act, act.script().input.expose());
            assert_eq!(
                output.status.code(),
                Some(Status::NoAnswer.code().try_into().unwrap()),
                "{}",
                act.describe()
            );
            assert_eq!(output.stdout, b"", "{}", act.describe());
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("Cannot connect to the Docker daemon"), "{said}");
        }
        assert!(server.path("app-db/data").exists());
        assert_eq!(server.containers(), ["app-db: running app-db old"]);
    });
}

#[test]
fn removing_leaves_nothing_but_what_others_need() {
    shells::each(|| {
        let server = Server::new();
        is(server.run(&boot()), 0, &NONE);
        fs::create_dir_all(server.path("app-db/data")).unwrap();
        server.write("used", "");
        let remove = act(What::Remove { image: "r.test/mysql:8".into() });
        is(server.run(&remove), 0, &["@kept"]);
        assert_eq!(server.containers(), NONE);
        assert!(!server.path("app-db").exists());
        assert!(!server.path(".kamal/apps/app/env/accessories/db.env").exists());
        is(server.run(&remove), 0, &["@kept"]);
        server.write("containers/app-db", "running other old\n");
        is(server.run(&remove), Status::NameTaken.code(), &NONE);
        assert_eq!(server.containers(), ["app-db: running other old"]);
    });
}

#[test]
fn nothing_is_done_on_a_server_of_a_later_run() {
    shells::each(|| {
        let server = Server::new();
        server.write(".kamal/apps/app/run", "later\n");
        for act in [boot(), reboot(), upload("x"), act(What::Remove { image: "i".into() })] {
            is(server.run(&act), Status::Fenced.code(), &NONE);
        }
        assert_eq!(server.read("calls"), "");
    });
}

fn upload(text: &str) -> Act {
    act(What::Upload(Upload {
        path: "/etc/my conf/a.cnf".into(),
        mode: Some("0640".into()),
        owner: Some("999:999".into()),
        content: SecretBytes::new(text.as_bytes()),
    }))
}

const FILE: &str = "app-db/etc/my conf/a.cnf";

/// Records the mode of files before their mode or owner changes. `chown` does nothing, because it needs root.
fn with_watched_rights(server: &Server) {
    let watch = |name: &str, then: &str| {
        let text = format!("#!/bin/sh\necho \"{name} $2 $(stat -c %a \"$3\") $3\" >>rights\n{then}\n");
        server.program(name, &text);
    };
    watch("chmod", "exec /bin/chmod \"$2\" \"$3\"");
    watch("chown", ":");
}

#[test]
fn a_file_is_its_owners_alone_until_it_is_whole_and_then_in_its_place() {
    shells::each(|| {
        let server = Server::new();
        with_watched_rights(&server);
        is(server.run(&upload("one")), 0, &["@changed"]);
        assert_eq!(server.read(FILE), "one");
        let rights = server
            .read("rights")
            .replace(&format!("{}/", fs::canonicalize(server.0.path()).unwrap().display()), "");
        assert_eq!(rights, format!("chown 999:999 600 {FILE}.new\nchmod 0640 600 {FILE}.new\n"));
        let metadata = fs::metadata(server.path(FILE)).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o640);

        // Uploading the same content keeps the file (and its inode), because a container has it open.
        is(server.run(&upload("one")), 0, &NONE);
        assert_eq!(fs::metadata(server.path(FILE)).unwrap().ino(), metadata.ino());
        // An incomplete upload changes nothing.
        is(server.run_on(&upload("two, longer"), b"two"), 1, &NONE);
        assert_eq!(server.read(FILE), "one");
        is(server.run(&upload("two")), 0, &["@changed"]);
        assert_eq!(server.read(FILE), "two");
        let files = fs::read_dir(server.path("app-db/etc/my conf")).unwrap();
        assert_eq!(files.count(), 1, "nothing is left beside it");
    });
}

#[test]
fn a_file_takes_the_place_of_the_directory_that_docker_made_for_want_of_it() {
    shells::each(|| {
        let server = Server::new();
        with_watched_rights(&server);
        fs::create_dir_all(server.path(FILE)).unwrap();
        is(server.run(&upload("one")), 0, &["@changed"]);
        assert_eq!(server.read(FILE), "one");
        // Bowline must not remove a directory that isn't empty.
        let server = Server::new();
        with_watched_rights(&server);
        fs::create_dir_all(server.path(FILE).join("x")).unwrap();
        assert_ne!(server.run(&upload("one")).0, 0);
        assert!(server.path(FILE).join("x").exists());
    });
}

#[test]
fn directories_are_made_below_the_accessorys_own_unless_absolute() {
    shells::each(|| {
        let server = Server::new();
        with_watched_rights(&server);
        let absolute = server.path("mnt/x y");
        let directory = |path: &str, mode: Option<&str>| Directory {
            path: path.into(),
            mode: mode.map(Into::into),
            owner: None,
        };
        let directories = vec![directory("data", None), directory(absolute.to_str().unwrap(), Some("0700"))];
        is(server.run(&act(What::Directories(directories))), 0, &NONE);
        assert!(server.path("app-db/data").is_dir());
        assert_eq!(fs::metadata(&absolute).unwrap().mode() & 0o777, 0o700);
        assert_eq!(server.read("rights").lines().count(), 1);
    });
}

#[test]
fn a_files_bytes_are_sent_as_they_are_and_never_shown() {
    shells::each(|| {
        let bytes: Vec<u8> = (0..=255).collect();
        let upload = Upload {
            path: "/a".into(),
            mode: None,
            owner: None,
            content: SecretBytes::new(bytes.as_slice()),
        };
        let act = act(What::Upload(upload));
        let server = Server::new();
        is(server.run(&act), 0, &["@changed"]);
        assert_eq!(fs::read(server.path("app-db/a")).unwrap(), bytes);
        let script = act.script();
        assert!(matches!(script.input, Input::Bytes(_)));
        assert!(script.shown().ends_with("# standard input: 256 bytes"), "{}", script.shown());
        assert!(format!("{act:?}").contains("[REDACTED]"));
    });
}
