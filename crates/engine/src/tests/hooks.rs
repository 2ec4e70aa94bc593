//! Hooks: when they run, with which variables, and what a failing one stops.

use std::collections::BTreeMap;

use bowline_config::HookLevel;

use super::*;
use crate::testing::{FakeLocal, Scripted as World};

const ALL: [&str; 9] = [
    "pre-connect",
    "docker-setup",
    "pre-build",
    "pre-deploy",
    "pre-app-boot",
    "post-app-boot",
    "post-deploy",
    "pre-traefik-reboot",
    "post-traefik-reboot",
];

/// The same servers, deployed to from a machine with these hooks, each with its exit status.
fn with_hooks(fleet: &World, hooks: &[(&str, u32)]) -> World {
    let files = [("Dockerfile".to_string(), String::new())].into();
    let path = |(name, status): &(&str, u32)| (format!(".kamal/hooks/{name}"), *status);
    let local = FakeLocal { programs: hooks.iter().map(path).collect(), files, ..FakeLocal::default() };
    World::on(fleet.network.clone(), local)
}

fn hooks_run(world: &World) -> Vec<(String, BTreeMap<String, String>)> {
    let name =
        |(path, env): (String, _)| path.strip_prefix(".kamal/hooks/").map(|name| (name.to_string(), env));
    world.local.ran().into_iter().filter_map(name).collect()
}

struct Case {
    command: (&'static str, Option<&'static str>),
    /// The version, empty if it isn't known at the beginning.
    version: &'static str,
    /// Each hook, whether the lock is held, and for which servers.
    hooks: &'static [(&'static str, bool, &'static str)],
}

const BOTH: &str = "a,b,c";
const DEPLOY: [(&str, bool, &str); 8] = [
    ("pre-connect", false, BOTH),
    ("pre-build", false, BOTH),
    ("pre-deploy", true, BOTH),
    ("pre-app-boot", true, "a,b"),
    ("post-app-boot", true, "a,b"),
    ("pre-app-boot", true, "c"),
    ("post-app-boot", true, "c"),
    ("post-deploy", false, BOTH),
];
const CASES: [Case; 8] = [
    Case { command: ("deploy", None), version: "v2", hooks: &DEPLOY },
    Case { command: ("redeploy", None), version: "v2", hooks: &DEPLOY },
    Case {
        command: ("rollback", None),
        version: "v1",
        hooks: &[
            ("pre-connect", false, BOTH),
            ("pre-deploy", true, BOTH),
            ("pre-app-boot", true, "a,b"),
            ("post-app-boot", true, "a,b"),
            ("pre-app-boot", true, "c"),
            ("post-app-boot", true, "c"),
            ("post-deploy", false, BOTH),
        ],
    },
    Case {
        command: ("setup", None),
        version: "v2",
        hooks: &[
            ("pre-connect", false, BOTH),
            ("docker-setup", true, BOTH),
            ("pre-build", true, BOTH),
            ("pre-deploy", true, BOTH),
            ("pre-app-boot", true, "a,b"),
            ("post-app-boot", true, "a,b"),
            ("pre-app-boot", true, "c"),
            ("post-app-boot", true, "c"),
            ("post-deploy", true, BOTH),
        ],
    },
    Case {
        command: ("app", Some("boot")),
        version: "latest",
        hooks: &[
            ("pre-connect", false, BOTH),
            ("pre-app-boot", true, "a,b"),
            ("post-app-boot", true, "a,b"),
            ("pre-app-boot", true, "c"),
            ("post-app-boot", true, "c"),
        ],
    },
    Case {
        command: ("server", Some("bootstrap")),
        version: "v2",
        hooks: &[("pre-connect", false, BOTH), ("docker-setup", true, BOTH)],
    },
    Case {
        command: ("traefik", Some("reboot")),
        version: "v2",
        hooks: &[
            ("pre-connect", false, BOTH),
            ("pre-traefik-reboot", true, "a,b"),
            ("post-traefik-reboot", true, "a,b"),
        ],
    },
    Case { command: ("app", Some("details")), version: "v2", hooks: &[("pre-connect", false, BOTH)] },
];

async fn run(case: &Case, world: &World, project: &Project) {
    let (command, subcommand) = case.command;
    let options = Options {
        skip_push: false,
        command: command.into(),
        subcommand: subcommand.map(Into::into),
        ..options("v2")
    };
    let call = world.call(project, &options);
    match case.command {
        ("deploy", _) => deploy::deploy(call, DeployKind::Deploy).await.unwrap(),
        ("redeploy", _) => deploy::deploy(call, DeployKind::Redeploy).await.unwrap(),
        ("rollback", _) => deploy::rollback(call, Some("v1".into())).await.unwrap(),
        ("setup", _) => crate::setup::setup(call).await.unwrap(),
        ("app", Some("boot")) => {
            let options = Options { version: None, ..options };
            deploy::deploy(world.call(project, &options), DeployKind::Boot).await.unwrap();
        }
        ("server", _) => drop(crate::bootstrap::bootstrap(call).await.unwrap()),
        ("traefik", _) => {
            drop(change(call, &proxies(ProxyKind::Traefik, life::Act::Reboot, false)).await.unwrap())
        }
        _ => {
            let listing = crate::listing::Listing::Running;
            drop(crate::listing::list(call, listing).await.unwrap());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_runs_in_its_place_and_knows_what_it_should() {
    for case in &CASES {
        let (first, _) = fleet().await;
        let project = project(&format!("{CONFIG}boot: {{limit: 2}}\n"));
        let world = with_hooks(&first, &ALL.map(|name| (name, 0)));
        run(case, &world, &project).await;
        let ran = hooks_run(&world);
        let told = |(name, env): &(String, BTreeMap<String, String>)| {
            (name.clone(), env["KAMAL_LOCK"].clone(), env["KAMAL_HOSTS"].clone())
        };
        let expected: Vec<_> = case
            .hooks
            .iter()
            .map(|(name, locked, hosts)| ((*name).to_owned(), locked.to_string(), (*hosts).to_owned()))
            .collect();
        assert_eq!(ran.iter().map(told).collect::<Vec<_>>(), expected, "{:?}", case.command);
        for (name, env) in &ran {
            let get = |key: &str| env.get(key).map(String::as_str);
            assert_eq!(get("KAMAL_VERSION"), Some(case.version), "{name} of {:?}", case.command);
            assert_eq!(get("KAMAL_SERVICE_VERSION"), Some(format!("app@{}", case.version).as_str()));
            assert_eq!(get("KAMAL_SERVICE"), Some("app"));
            assert_eq!(
                (get("KAMAL_COMMAND"), get("KAMAL_SUBCOMMAND")),
                (Some(case.command.0), case.command.1)
            );
            assert!(get("KAMAL_RECORDED_AT").unwrap().ends_with('Z') && get("KAMAL_PERFORMER").is_some());
            assert_eq!((get("KAMAL_ROLES"), get("KAMAL_DESTINATION")), (None, None));
            assert_eq!(get("KAMAL_RUNTIME").is_some(), name == "post-deploy");
            let secrets = ["pre-connect", "pre-deploy", "post-deploy"].contains(&name.as_str());
            assert_eq!(get("PW").is_some(), secrets, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn roles_are_told_by_their_names_where_some_were_asked_for() {
    let (first, project) = fleet().await;
    let world = with_hooks(&first, &[("pre-connect", 0)]);
    let filters = bowline_core::selection::Filters { roles: vec!["w*r*".into()], ..Default::default() };
    let options = Options { filters, ..options("v2") };
    deploy::deploy(world.call(&project, &options), DeployKind::Deploy).await.unwrap();
    assert_eq!(hooks_run(&world)[0].1["KAMAL_ROLES"], "workers");
}

#[tokio::test(start_paused = true)]
async fn a_failing_one_stops_what_comes_after_it_and_changes_nothing() {
    for failing in ["pre-connect", "pre-build", "pre-deploy", "pre-app-boot"] {
        let (first, project) = fleet().await;
        let world = with_hooks(&first, &[(failing, 3), ("post-deploy", 0)]);
        let options = Options { skip_push: false, ..options("v2") };
        let error = deploy::deploy(world.call(&project, &options), DeployKind::Deploy).await.unwrap_err();
        assert!(
            matches!(&error, RunError::Local { what, reason, .. }
                if what == &format!("hook {failing}") && reason.starts_with("exit code 3")),
            "{error:?}"
        );
        assert_eq!(hooks_run(&world).len(), 1, "nothing ran after {failing}");
        assert_only(&world, "v1");
    }
}

#[tokio::test(start_paused = true)]
async fn one_with_windows_line_ends_says_so() {
    let (first, project) = fleet().await;
    let hook = ".kamal/hooks/pre-connect".to_owned();
    let files = [(hook.clone(), "#!/usr/bin/env bash\r\nset -e\r\n".to_owned())].into();
    let local = FakeLocal { programs: [(hook, 127)].into(), files, ..FakeLocal::default() };
    let world = World::on(first.network.clone(), local);
    let error = deploy::deploy(world.call(&project, &options("v2")), DeployKind::Deploy).await.unwrap_err();
    assert!(
        matches!(&error, RunError::Local { hint: Some(hint), .. } if hint.contains("Windows line endings")),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn skip_hooks_runs_none_and_a_boot_is_no_deploy() {
    let (first, project) = fleet().await;
    let world = with_hooks(&first, &ALL.map(|name| (name, 0)));
    let options = Options { skip_hooks: true, ..options("v2") };
    deploy::deploy(world.call(&project, &options), DeployKind::Deploy).await.unwrap();
    assert_eq!(hooks_run(&world), []);
    let options = Options { command: "app".into(), ..Options::default() };
    deploy::deploy(world.call(&project, &options), DeployKind::Boot).await.unwrap();
    let names: Vec<String> = hooks_run(&world).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["pre-connect", "pre-app-boot", "post-app-boot"]);
    assert_eq!(hooks_run(&world)[0].1["KAMAL_VERSION"], "latest");
}

#[tokio::test(start_paused = true)]
async fn what_hooks_print_is_told_with_what_the_configuration_says_of_it() {
    let (first, _) = fleet().await;
    let told = async |more: &str| {
        let world = with_hooks(&first, &[("pre-connect", 0), ("post-deploy", 0)]);
        deploy(&world, &project(&format!("{CONFIG}{more}\n")), "v2").await.unwrap();
        let line = |event| match event {
            Event::Hook { name, line, level } => {
                assert_eq!(line, format!(".kamal/hooks/{name} was here"));
                Some((name, level))
            }
            _ => None,
        };
        world.recorder.events().into_iter().filter_map(line).collect::<Vec<_>>()
    };
    let (quiet, verbose) = (Some(HookLevel::Quiet), Some(HookLevel::Verbose));
    let both = |pre, post| [("pre-connect".to_owned(), pre), ("post-deploy".to_owned(), post)];
    assert_eq!(told("").await, both(None, None));
    assert_eq!(told("hooks_output: quiet").await, both(quiet, quiet));
    assert_eq!(told("hooks_output: {pre-connect: quiet, post-deploy: verbose}").await, both(quiet, verbose));
    assert_eq!(told("hooks_output: :verbose").await, both(verbose, verbose));
}
