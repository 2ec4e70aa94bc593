//! Hooks: in their places, with their variables, and what a failing one stops.

use std::collections::BTreeMap;

use super::*;
use crate::testing::{FakeLocal, Scripted as World};

const ALL: [&str; 6] =
    ["pre-connect", "pre-build", "pre-deploy", "pre-app-boot", "post-app-boot", "post-deploy"];

/// The same fleet, deployed to from a machine with these hooks; each with the status it ends with.
fn with_hooks(fleet: &World, hooks: &[(&str, u32)]) -> World {
    let path = |(name, status): &(&str, u32)| (format!(".kamal/hooks/{name}"), *status);
    let local = FakeLocal { programs: hooks.iter().map(path).collect(), ..FakeLocal::default() };
    World::on(fleet.network.clone(), local)
}

/// The hooks that ran, in order, with their environments.
fn hooks_run(world: &World) -> Vec<(String, BTreeMap<String, String>)> {
    let name =
        |(path, env): (String, _)| path.strip_prefix(".kamal/hooks/").map(|name| (name.to_string(), env));
    world.local.ran().into_iter().filter_map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn each_runs_in_its_place_and_knows_what_it_should() {
    let (first, project) = fleet().await;
    let world = with_hooks(&first, &ALL.map(|name| (name, 0)));
    let options = Options { skip_push: false, ..options("v2") };
    deploy::deploy(&world.world, &project, &options, Kind::Deploy).await.unwrap();
    let ran = hooks_run(&world);
    assert_eq!(ran.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ALL);
    for (name, env) in &ran {
        let get = |key: &str| env.get(key).map(String::as_str);
        assert_eq!(get("KAMAL_VERSION"), Some("v2"), "{name}");
        assert_eq!(get("KAMAL_SERVICE"), Some("app"));
        assert_eq!(get("KAMAL_SERVICE_VERSION"), Some("app@v2"));
        assert_eq!(get("KAMAL_HOSTS"), Some("a,b,c"));
        assert_eq!(get("KAMAL_COMMAND"), Some("deploy"));
        assert!(get("KAMAL_RECORDED_AT").unwrap().ends_with('Z') && get("KAMAL_PERFORMER").is_some());
        let locked = ["pre-deploy", "pre-app-boot", "post-app-boot"].contains(&name.as_str());
        assert_eq!(get("KAMAL_LOCK"), Some(if locked { "true" } else { "false" }), "{name}");
        assert_eq!(get("KAMAL_RUNTIME").is_some(), name == "post-deploy");
        let secrets = ["pre-connect", "pre-deploy", "post-deploy"].contains(&name.as_str());
        assert_eq!(get("PW").is_some(), secrets, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_one_stops_what_comes_after_it_and_changes_nothing() {
    for failing in ["pre-connect", "pre-build", "pre-deploy", "pre-app-boot"] {
        let (first, project) = fleet().await;
        let world = with_hooks(&first, &[(failing, 3), ("post-deploy", 0)]);
        let options = Options { skip_push: false, ..options("v2") };
        let error = deploy::deploy(&world.world, &project, &options, Kind::Deploy).await.unwrap_err();
        assert!(
            matches!(&error, RunError::Local { what, .. } if what == &format!("hook {failing}")),
            "{error:?}"
        );
        assert_eq!(hooks_run(&world).len(), 1, "nothing ran after {failing}");
        assert_only(&world, "v1");
    }
}

#[tokio::test(start_paused = true)]
async fn skip_hooks_runs_none_and_a_boot_is_no_deploy() {
    let (first, project) = fleet().await;
    let world = with_hooks(&first, &ALL.map(|name| (name, 0)));
    let options = Options { skip_hooks: true, ..options("v2") };
    deploy::deploy(&world.world, &project, &options, Kind::Deploy).await.unwrap();
    assert_eq!(hooks_run(&world), []);
    let options = Options { command: "app".into(), ..Options::default() };
    deploy::deploy(&world.world, &project, &options, Kind::Boot).await.unwrap();
    let names: Vec<String> = hooks_run(&world).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["pre-connect", "pre-app-boot", "post-app-boot"]);
    assert_eq!(hooks_run(&world)[0].1["KAMAL_VERSION"], "latest");
}

#[tokio::test(start_paused = true)]
async fn what_hooks_print_is_shown_unless_the_configuration_is_quiet_about_it() {
    let (first, _) = fleet().await;
    let shown = async |more: &str| {
        let world = with_hooks(&first, &[("pre-connect", 0), ("post-deploy", 0)]);
        deploy(&world, &project(&format!("{CONFIG}{more}\n")), "v2").await.unwrap();
        assert_eq!(hooks_run(&world).len(), 2);
        let line = |event| match event {
            Event::Output { host: None, line } => line.strip_prefix(".kamal/hooks/").map(str::to_string),
            _ => None,
        };
        world.recorder.events().into_iter().filter_map(line).collect::<Vec<_>>()
    };
    let (pre, post) = ("pre-connect was here".to_string(), "post-deploy was here".to_string());
    assert_eq!(shown("").await, [pre.clone(), post.clone()]);
    assert_eq!(shown("hooks_output: quiet").await, [""; 0]);
    assert_eq!(shown("hooks_output: {pre-connect: quiet}").await, std::slice::from_ref(&post));
    assert_eq!(shown("hooks_output: :verbose").await, [pre, post]);
}
