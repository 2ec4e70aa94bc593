//! Several apps on one server: what a run's scripts and plans must leave to the other apps. The scripts run under a
//! real `sh`, with a `docker` that has a few containers and images and records what it is asked to change.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A panic fails the test.

#[path = "common/run.rs"]
mod run;
#[path = "common/shells.rs"]
mod shells;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use bowline_config::secret::Secret;
use bowline_config::{Config, Logging, SourceFile, Traefik, load};
use bowline_core::commands::env::SecretEnv;
use bowline_core::commands::{Scope, app, observe, prune, registry, remove};
use bowline_core::error::PlanError;
use bowline_core::names::Names;
use bowline_core::observed::Observed;
use bowline_core::plan::Plan;
use bowline_core::plan::deploy::plan;
use bowline_core::proxy::traefik::container as traefik;
use bowline_core::request::{DeployKind, DeployRequest};
use bowline_core::secrets::Secrets;
use bowline_core::selection::{Filters, Selection};
use bowline_core::shell::Script;
use run::run;
use serde_json::json;

/// A server whose `docker` runs these shell lines, with its arguments in `$*`. The server is claimed by the run of
/// [`scope`]. Each call is recorded in `calls`.
fn server(docker: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    shells::link(&home.path().join("bin"));
    let text = format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >> calls\n{docker}");
    for (program, text) in [("docker", text.as_str()), ("sleep", "#!/bin/sh\n")] {
        let program = home.path().join("bin").join(program);
        fs::write(&program, text).unwrap();
        assert!(Command::new("chmod").arg("+x").arg(&program).status().unwrap().success());
    }
    let claim = Command::new("sh").args(["-c", &scope().claim()]).current_dir(home.path()).status().unwrap();
    assert!(claim.success());
    home
}

fn scope() -> Scope {
    Scope { names: Names::new("app", Some("staging")), run: "f00d".into(), performer: "me".into() }
}

fn changes(home: &Path) -> Vec<String> {
    let calls = fs::read_to_string(home.join("calls")).unwrap();
    let looks = ["ps ", "container ls", "container inspect", "image ls", "image prune", "network inspect"];
    calls.lines().filter(|call| !looks.iter().any(|look| call.starts_with(look))).map(str::to_owned).collect()
}

#[test]
fn a_container_that_docker_lists_and_can_not_find_hides_no_other() {
    shells::each(|| {
        let (there, lost) = ("a".repeat(64), "b".repeat(64));
        let home = server(&format!(
            "case $* in
        version*) echo 26.1.5 ;;
        'container ls --all'*) echo '{there} app-web-1 app'; echo '{lost}  ' ;;
        'container inspect'*{lost}*) echo 'No such container: {lost}' >&2; exit 1 ;;
        'container inspect'*{there}*) echo '@network kamal' ;;
        esac\n"
        ));
        let look = observe::Observe { scope: scope(), repository: "r/app".into(), claim: false };
        let output = run(home.path(), &look.script());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "@docker 26.1.5\n@network kamal\n@end\n");
    });
}

fn prune(retain: usize, ended: &[&str]) -> Script {
    prune::Prune {
        scope: scope(),
        roles: vec!["web".into()],
        retain,
        repository: "r/app".into(),
        assets: Vec::new(),
        ended: ended.iter().map(|id| (*id).into()).collect(),
        unread: Vec::new(),
        parts: Some(prune::Parts::All),
    }
    .script()
}

#[test]
fn pruning_leaves_what_others_use_have_pulled_or_call_latest() {
    shells::each(|| {
        let home = server(
        "case $* in
        'image ls'*) for tag in v1 v2 v3 v4 v5 latest latest-live '<none>'; do echo r/app:$tag; done ;;
        'container ls --all'*) echo '1 running/app/live/web f-f/app-web-live-v2 r/app:v2 ,,'; echo '2 exited/x// /x r/other:v1 ,/data,'; echo '3 created/// /y r/app:v10 ,,' ;;
        esac\n",
    );
        fs::create_dir_all(home.path().join(".kamal/apps/app-live")).unwrap();
        fs::write(home.path().join(".kamal/apps/app-live/pulled"), "r/app:v3\n").unwrap();
        fs::write(home.path().join(".kamal/apps/app-staging/pulled"), "r/app:v4\n").unwrap();
        let output = run(home.path(), &prune(5, &[]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(changes(home.path()), ["rmi r/app:v1 r/app:v5"]);
        let calls = fs::read_to_string(home.path().join("calls")).unwrap();
        let at = |call: &str| calls.find(call).unwrap();
        assert!(at("image ls") < at("container ls --all"), "what comes meanwhile is no candidate\n{calls}");
    });
}

#[test]
fn pruning_counts_the_stopped_containers_of_its_own_role_and_destination_only() {
    shells::each(|| {
        let home = server(
        "case $* in
        'container ls --all'*) for id in 1 2 3 4; do
            ! grep -q \"^rm .*a$id\" calls || continue
            echo \"a$id exited/app/staging/web /app-web-staging-v$id r/app:v$id ,,\"; echo \"b$id running/app/staging/web /app-web-staging-v9 r/app:v9 ,,\"
            for owner in app-b/staging/web app/live/web app//web app/staging/web-b app/staging/we; do echo \"c$id exited/$owner /app-web-staging-v0 r/app:v0 ,,\"; done
            done; echo '-f exited/app/staging/web /app-web-staging-v8 r/app:v9 ,,'; grep -q '^rm ' calls || echo 'a5 created/app/staging/web /app-web-staging-v5 r/app:v5 ,,'; grep -q '^rm ' calls || echo 'a6 dead/app/staging/web /app-web-staging-v6 r/app:v6 ,,' ;;
        'image ls'*) for tag in 0 1 2 3 4 5 6; do echo r/app:v$tag; done ;;
        esac\n",
    );
        run(home.path(), &prune(2, &[]));
        // Images that only these containers used go with them.
        let gone = ["rm a3 a4 a5 a6", "rmi r/app:v3 r/app:v4 r/app:v5 r/app:v6"];
        assert_eq!(changes(home.path()), gone);
    });
}

#[test]
fn what_this_run_has_stopped_counts_as_stopped_even_while_docker_lists_it_as_running() {
    shells::each(|| {
        let home = server(
            "case $* in
        'container ls --all'*) echo 'a4 running/app/staging/web /app-web-staging-v4 r/app:v4 ,,'; echo 'a3 running/app/staging/web /app-web-staging-v3 r/app:v3 ,,'
            echo 'b3 running/app/live/web /app-web-live-v3 r/app:v3 ,,'
            for id in 2 1; do grep -q \"^rm .*a$id\" calls || echo \"a$id exited/app/staging/web /app-web-staging-v$id r/app:v$id ,,\"; done ;;
        esac\n",
        );
        run(home.path(), &prune(2, &["a3", "b3"]));
        assert_eq!(changes(home.path()), ["rm a1"]);
    });
}

/// Versions: v1 and v2 served, v3 failed at boot, v4 serves and was booted several times. Kamal booted v0.
const BOOTS: &str = "case $* in
    'container ls --all'*) while read -r id state made version; do
        grep -q \"^rm .*$id\" calls || echo \"$id $state/app/staging/web ${made#-}/app-web-staging-$version r/app:${version%%_*} ,,\"; done <<END
b9 running f0-0f v4
b8 exited f0-0f v4_replaced_02
b7 exited f0-0f v4_replaced_01
b6 exited f0-0f v4_replaced_00
b5 exited f0-0f v3
b4 exited f0-0f v2
b3 exited f0-0f v2_replaced_00
b2 exited f0-0f v1
b1 exited - v0
END
    esac\n";

#[test]
fn containers_that_a_rollback_needs_are_kept_before_those_of_failed_and_repeated_boots() {
    let history = "deploy v1\ndeploy v2\nrollback v1\ndeploy v2\n".to_owned() + &"deploy v4\n".repeat(200);
    let gone = |retain: usize| {
        let home = server(BOOTS);
        fs::write(home.path().join(".kamal/apps/app-staging/history"), &history).unwrap();
        let output = run(home.path(), &prune(retain, &[]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        changes(home.path())
    };
    shells::each(|| {
        assert_eq!(gone(1), ["rm b2 b1 b8 b7 b6 b5 b3"]);
        assert_eq!(gone(3), ["rm b8 b7 b6 b5 b3"]);
        assert_eq!(gone(5), ["rm b6 b5 b3"]);
        assert_eq!(gone(8), [""; 0]);
    });
}

#[test]
fn without_a_history_the_newest_stopped_containers_are_kept() {
    shells::each(|| {
        let home = server(&BOOTS.replace("b1 exited - v0\n", ""));
        run(home.path(), &prune(2, &[]));
        assert_eq!(changes(home.path()), ["rm b6 b5 b4 b3 b2"]);
    });
}

/// Two destinations that prune at the same time have listed each other's containers before either removes its own.
#[test]
fn an_image_that_another_prune_at_the_same_time_sets_free_is_not_left() {
    shells::each(|| {
        let home = server(
        "case $* in
        'container ls --all'*) grep -q '^rm ' calls || { echo 'b1 exited/app/live/web /app-web-live-v1 r/app:v1 ,,'; echo 'a1 exited/app/staging/web /app-web-staging-v1 r/app:v1 ,,'; } ;;
        'image ls'*) echo r/app:v1 ;;
        esac\n",
    );
        run(home.path(), &prune(0, &[]));
        assert_eq!(changes(home.path()), ["rm a1", "rmi r/app:v1"]);
    });
}

/// Destination `staging` of `app` and the service `app-staging` have the same directory.
#[test]
fn a_cord_that_a_container_of_another_service_mounts_is_left() {
    shells::each(|| {
        let home = server(
            "case $* in
        'container ls --all'*) cords=$PWD/.kamal/apps/app-staging/cords
            echo \"1 running/app-staging//web /app-staging-web-1 r/x:v1 ,/data,$cords/app-staging-web-1,\"
            echo \"2 running/app/staging/web /app-web-staging-1 r/app:v1 ,$cords/app-web-staging-22,\" ;;
        esac\n",
        );
        for cord in ["app-staging-web-1", "app-web-staging-2"] {
            fs::create_dir_all(home.path().join(".kamal/apps/app-staging/cords").join(cord)).unwrap();
        }
        run(home.path(), &prune(5, &[]));
        let left = fs::read_dir(home.path().join(".kamal/apps/app-staging/cords")).unwrap();
        assert_eq!(left.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>(), ["app-staging-web-1"]);
    });
}

#[test]
fn removing_an_app_leaves_what_others_have_pulled_and_a_directory_that_another_service_has_too() {
    shells::each(|| {
        let home = server(
        "case $* in
        'image ls'*) for tag in v1 v3 v4; do echo r/app:$tag sha256:$tag; done
            for tag in v5 latest-staging latest; do echo r/app:$tag sha256:latest; done ;;
        'container ls --all --quiet'*) echo theirs ;;
        'container inspect'*) echo /app-staging-web-1 $PWD/.kamal/apps/app-staging/cords/1; echo /x /srv/.kamal/apps/app-staging ;;
        esac\n",
    );
        fs::create_dir_all(home.path().join(".kamal/apps/app-live")).unwrap();
        fs::write(home.path().join(".kamal/apps/app-live/pulled"), "r/app:v3\n").unwrap();
        fs::write(home.path().join(".kamal/apps/app-staging/pulled"), "r/app:v4\n").unwrap();
        let images = remove::What::Images { repository: "r/app".into(), latest: "latest-staging".into() };
        let output = run(home.path(), &remove::Remove { scope: scope(), what: images }.script());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(
            changes(home.path()),
            ["image rm r/app:v1", "image rm r/app:v4", "image rm r/app:latest-staging"]
        );

        let directory = remove::Remove { scope: scope(), what: remove::What::Directory };
        let output = run(home.path(), &directory.script());
        assert_eq!(String::from_utf8_lossy(&output.stdout), "@shared app-staging-web-1\n");
        assert!(home.path().join(".kamal/apps/app-staging").exists());
        let alone = server(
            "case $* in 'container ls'*) echo theirs ;; 'container inspect'*) echo /x /srv/y ;; esac\n",
        );
        assert!(run(alone.path(), &directory.script()).status.success());
        assert!(!alone.path().join(".kamal/apps/app-staging").exists());
    });
}

fn boot() -> app::Boot {
    app::Boot {
        ready: bowline_core::commands::ready::Ready::Healthy,
        scope: scope(),
        role: "web".into(),
        version: "v1".into(),
        image: "r/app:v1".into(),
        environment: app::Environment {
            host: "h".into(),
            clear: Vec::new(),
            secret: SecretEnv::default(),
            volumes: Vec::new(),
            options: Vec::new(),
            logging: Logging::default(),
        },
        labels: Vec::new(),
        made: Default::default(),
        cmd: None,
        health: None,
        cord: None,
        assets: None,
        timeout: 1,
        readiness_delay: 0,
    }
}

#[test]
fn a_containers_name_is_taken_from_our_own_and_from_nobody_else() {
    shells::each(|| {
        let named = |whose: &str| {
            format!("case $* in 'container inspect'*index*) echo {whose} ;; *) exit 1 ;; esac\n")
        };
        for whose in ["app/web-staging/", "app-web/staging/", "app/web/live", "//"] {
            let home = server(&named(whose));
            let output = run(home.path(), &boot().script());
            assert_eq!(output.status.code(), Some(78), "{whose}");
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("@taken {whose}\n"));
            assert_eq!(changes(home.path()), [""; 0]);
        }
        let home = server(&named("app/web/staging"));
        run(home.path(), &boot().script());
        assert_eq!(
            changes(home.path()),
            ["container rename app-web-staging-v1 app-web-staging-v1_replaced_f00d"],
            "one of ours makes room"
        );
    });
}

#[test]
fn the_audit_log_calls_no_container_booted_that_docker_did_not_start() {
    shells::each(|| {
        let audited = |run_of_docker: &str, script: &Script| {
            let home = server(&format!(
                "case $* in 'container inspect'*) echo 'No such container' >&2; exit 1 ;; run*) {run_of_docker} ;; esac\n"
            ));
            run(home.path(), script);
            let log = fs::read_to_string(home.path().join(".kamal/app-staging-audit.log")).unwrap();
            log.lines().map(|line| line.rsplit("] ").next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(audited("exit 125", &boot().script()), ["Could not start app version v1"]);
        assert_eq!(audited("echo abc", &boot().script()), ["Booted app version v1"]);
        let stop = app::Stop {
            scope: scope(),
            role: "web".into(),
            name: "app-web-staging-v1".into(),
            id: "abc".into(),
            drain: None,
            stop_wait: None,
            cord: None,
            if_healthy: app::IfHealthy::Stop,
            instead: None,
            undoes: Some("v1".into()),
        };
        assert_eq!(audited("", &stop.script()), ["Undoing the boot of app version v1"]);
    });
}

#[test]
fn a_login_that_another_apps_overwrote_is_made_once_more() {
    shells::each(|| {
        let pull = |docker: &str| {
            let home = server(docker);
            let login = registry::Login {
                server: Some("r.test".into()),
                username: Secret::new("u"),
                password: Secret::new("a $HOME `b` \\ 'c'"),
            };
            let pull = registry::Pull {
                scope: scope(),
                locked: true,
                login: Some(login),
                image: "r/app:v1".into(),
                version: "v1".into(),
            };
            let output = run(home.path(), &pull.script());
            let said = String::from_utf8(output.stderr).unwrap();
            let passwords = fs::read_to_string(home.path().join("passwords")).unwrap();
            assert!(passwords.lines().all(|password| password == "a $HOME `b` \\ 'c'"), "{passwords}");
            assert_eq!(
                fs::read_to_string(home.path().join(".kamal/apps/app-staging/pulled")).unwrap(),
                "r/app:v1\n"
            );
            let calls: Vec<String> =
                changes(home.path()).iter().map(|call| call.split(' ').next().unwrap().to_owned()).collect();
            (output.status.code().unwrap(), said, calls.join(" "))
        };
        let docker = |pull: &str| {
            format!("case $1 in login) cat >> passwords ;; pull) {pull} ;; image) echo app ;; esac\n")
        };
        let overwritten = "[ -e seen ] || { touch seen; echo 'no basic auth credentials' >&2; exit 1; }";
        assert_eq!(pull(&docker(overwritten)), (0, String::new(), "login pull login pull image".into()));
        let missing = "echo 'manifest unknown' >&2; exit 1";
        assert_eq!(pull(&docker(missing)), (72, "manifest unknown\n".into(), "login pull".into()));
        let refused = "echo 'denied' >&2; exit 1";
        assert_eq!(pull(&docker(refused)), (72, "denied\n".into(), "login pull login pull".into()));
        let foreign = "case $1 in login) cat >> passwords ;; image) echo other ;; esac\n";
        assert_eq!(
            pull(foreign),
            (73, String::new(), "login pull image".into()),
            "pruning would not find it"
        );
        let login = "case $1 in login) cat >> passwords; echo 'bad password'; exit 1 ;; esac\n";
        assert_eq!(pull(login), (71, "bad password\n".into(), "login".into()));
    });
}

#[test]
fn of_two_deploys_that_run_traefik_the_second_waits_for_the_firsts() {
    shells::each(|| {
        let ensure = |docker: &str| {
            let home = server(docker);
            let ensure = traefik::Ensure {
                scope: scope(),
                traefik: Traefik::default(),
                secret: SecretEnv::new(vec![("A".into(), Secret::new("x"))]).unwrap(),
                logging: Logging::default(),
            };
            let output = run(home.path(), &ensure.script());
            let starts =
                changes(home.path()).iter().filter(|call| call.starts_with("container start")).count();
            let left: Vec<_> = fs::read_dir(home.path().join(".kamal/env/traefik"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), starts, left.join(" "))
        };
        let docker = |start: &str, run: &str| {
            format!(
                "case $* in
            *State*) echo 'true 0 172.18.0.2' ;; *IPAddress*) echo 172.18.0.2 ;;
            'container start'*) {start} ;; run*) {run} ;;
            esac\n"
            )
        };
        // The name is taken as soon as the other container begins to be created. It can be started only later.
        let later = "[ $(grep -c 'container start' calls) -gt 3 ]";
        let conflict = "echo 'Conflict. The container name is already in use' >&2; exit 125";
        assert_eq!(ensure(&docker(later, conflict)), (0, "@address 172.18.0.2\n".into(), 4, String::new()));
        assert_eq!(
            ensure(&docker("exit 1", "echo id")),
            (0, "@made\n@address 172.18.0.2\n".into(), 1, "traefik.env".into())
        );
        let (status, _, starts, left) = ensure(&docker("exit 1", "echo 'port is taken' >&2; exit 125"));
        assert_eq!((status, starts, left.as_str()), (76, 1, ""), "another failure is told at once");
        let (status, _, starts, _) = ensure(&docker("exit 1", conflict));
        assert_eq!((status, starts), (76, 101), "nobody waits for ever");
    });
}

fn config(more: &str) -> Config {
    let text = format!(
        "service: app\nimage: org/app\nregistry: {{server: r.test, username: u, password: p}}\nservers: [a]\n{more}"
    );
    load(SourceFile::new("deploy.yml", text), None).unwrap_or_else(|e| panic!("{e}")).config
}

/// The plan of a deploy next to a running container with these labels.
fn beside(config: &Config, labels: &[(&str, &str)]) -> Result<Plan, PlanError> {
    let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
    let other = json!({"name": "/neighbour", "labels": labels});
    let observed =
        Observed::parse(&format!("@docker 26.1.5\n@other {other}\n@network kamal\n@end\n")).unwrap();
    let selection = Selection::new(config, &Filters::default()).unwrap();
    let scope = Scope { names: Names::of(config), run: "f".repeat(32), performer: "me".into() };
    let request = DeployRequest {
        kind: DeployKind::Deploy,
        version: "v1".into(),
        scope,
        secrets_known: true,
        pages: Default::default(),
    };
    plan(config, &selection, &Secrets::new(), &request, &[("a".to_owned(), observed)].into())
}

#[test]
fn labels_that_contradict_another_apps_are_refused() {
    shells::each(|| {
        let shared = config(
            "labels: {traefik.http.routers.shop.rule: Host(`a`), traefik.http.middlewares.auth.users: x}\n",
        );
        let error =
            beside(&shared, &[("service", "app-web"), ("traefik.http.routers.shop.rule", "Host(`b`)")])
                .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`traefik.http.routers.shop` is set differently by neighbour of another app on a: Traefik would drop both"
        );
        let same = [("service", "app-web"), ("traefik.http.middlewares.auth.users", "x")];
        assert_eq!(
            beside(&shared, &same).unwrap().servers[0].notes,
            [""; 0],
            "what is the same may be shared"
        );
        assert!(
            beside(&shared, &[("service", "app-web"), ("traefik.http.routers.other.rule", "Host(`b`)")])
                .is_ok()
        );
    });
}

/// Service `app` with destination `staging` has the directory of the service `app-staging`.
#[test]
fn assets_of_a_role_of_the_same_name_in_a_shared_directory_stay() {
    shells::each(|| {
        let config = config("asset_path: /public\n");
        let neighbour = |service: &str, name: &str| {
            let labels = json!({"service": service, "role": "web", "destination": "staging"});
            format!("@other {}\n", json!({"name": name, "labels": labels}))
        };
        let theirs = Config { service: "app-staging".into(), ..config.clone() };
        for (config, keeps) in [(&config, "v1"), (&theirs, "v1 v0 v7")] {
            let others = [
                neighbour("app", "/app-web-staging-v0"),
                neighbour("app", "/app-web-staging-v7_replaced_0f"),
            ];
            let observed = format!("@docker 26.1.5\n{}@network kamal\n@end\n", others.concat());
            let observed = [("a".to_owned(), Observed::parse(&observed).unwrap())].into();
            let selection = Selection::new(config, &Filters::default()).unwrap();
            let scope = Scope { names: Names::of(config), run: "f".repeat(32), performer: "me".into() };
            let planned = |version: &str| {
                let request = DeployRequest {
                    kind: DeployKind::Deploy,
                    version: version.into(),
                    scope: scope.clone(),
                    secrets_known: true,
                    pages: Default::default(),
                };
                plan(config, &selection, &Secrets::new(), &request, &observed).unwrap().servers.remove(0)
            };
            assert_eq!(planned("v1").prune.unwrap().assets[0].keep.join(" "), keeps);
            assert_eq!(planned("v7").assets[0].in_use, keeps.contains("v7"));
        }
    });
}

#[test]
fn requests_or_directories_that_two_apps_share_are_told() {
    shells::each(|| {
        let plain = config("");
        let rule = ("traefik.http.routers.app-web-web.rule", "PathPrefix(`/`)");
        let priority = ("traefik.http.routers.app-web-web.priority", "2");
        let notes = |labels: &[(&str, &str)]| beside(&plain, labels).unwrap().servers[0].notes.clone();
        let shared = notes(&[("service", "app-web"), rule, priority]);
        assert_eq!(shared.len(), 1);
        assert!(shared[0].contains("neighbour matches the same requests (PathPrefix(`/`))"), "{shared:?}");
        assert!(shared[0].ends_with("`traefik.http.routers.app-web.rule`"), "{shared:?}");
        assert_eq!(notes(&[("service", "app-web"), rule]), [""; 0], "another priority decides");
        let staging = Config { service: "app".into(), destination: Some("staging".into()), ..config("") };
        let labels = [("service", "app-staging"), ("role", "web"), ("destination", "")];
        let notes = beside(&staging, &labels).unwrap().servers[0].notes.clone();
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].contains("`app-staging` has the same directory .kamal/apps/app-staging"),
            "{notes:?}"
        );
        assert_eq!(beside(&plain, &labels).unwrap().servers[0].notes, [""; 0]);
        let accessory = [("service", "app-staging")];
        assert_eq!(beside(&staging, &accessory).unwrap().servers[0].notes, [""; 0]);
    });
}
