//! The proxy's own commands: hooks around each group, rolling reboots, the lock.

use std::collections::BTreeMap;

use super::*;
use crate::testing::FakeLocal;

#[tokio::test(start_paused = true)]
async fn a_rolling_reboot_goes_from_server_to_server_with_its_hooks_around_each() {
    let (first, project) = fleet().await;
    for (rolling, groups) in [(true, vec!["a", "b"]), (false, vec!["a,b"])] {
        let names = ["pre-traefik-reboot", "post-traefik-reboot"];
        let programs: BTreeMap<String, u32> = names.map(|name| (format!(".kamal/hooks/{name}"), 0)).into();
        let scripted = Scripted::on(first.network.clone(), FakeLocal { programs, ..FakeLocal::default() });
        let gathered = change(
            scripted.call(&project, &Options::default()),
            &proxies(ProxyKind::Traefik, life::Act::Reboot, rolling),
        )
        .await
        .unwrap();
        assert_eq!(gathered.failures, []);
        assert_eq!(gathered.outputs.len(), 2, "the worker's server has no Traefik: {gathered:?}");
        let ran: Vec<(String, String)> = scripted
            .local
            .ran()
            .into_iter()
            .filter(|(program, _)| program.contains("traefik"))
            .map(|(program, env)| (program.rsplit('/').next().unwrap().into(), env["KAMAL_HOSTS"].clone()))
            .collect();
        let around = |hosts: &&str| names.map(|name| (name.to_string(), (*hosts).to_string()));
        assert_eq!(ran, groups.iter().flat_map(around).collect::<Vec<_>>());
    }
    assert_only(&first, "v1");
}

#[tokio::test(start_paused = true)]
async fn the_hooks_of_kamal_2_run_where_there_are_none_by_traefiks_name() {
    let (first, project) = fleet().await;
    for (there, runs) in [
        (&["pre-proxy-reboot", "post-proxy-reboot"][..], &["pre-proxy-reboot", "post-proxy-reboot"][..]),
        (
            &["pre-traefik-reboot", "pre-proxy-reboot", "post-proxy-reboot"],
            &["pre-traefik-reboot", "post-proxy-reboot"],
        ),
    ] {
        let programs = there.iter().map(|name| (format!(".kamal/hooks/{name}"), 0)).collect();
        let scripted = Scripted::on(first.network.clone(), FakeLocal { programs, ..FakeLocal::default() });
        change(
            scripted.call(&project, &Options::default()),
            &proxies(ProxyKind::Traefik, life::Act::Reboot, false),
        )
        .await
        .unwrap();
        let ran = scripted.local.ran();
        let hooks = ran.iter().filter_map(|(program, _)| program.strip_prefix(".kamal/hooks/"));
        assert_eq!(hooks.collect::<Vec<_>>(), runs);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_stops_the_servers_to_come() {
    let (first, project) = fleet().await;
    let programs: BTreeMap<String, u32> = [(".kamal/hooks/post-traefik-reboot".to_string(), 1)].into();
    let scripted = Scripted::on(first.network.clone(), FakeLocal { programs, ..FakeLocal::default() });
    let error = change(
        scripted.call(&project, &Options::default()),
        &proxies(ProxyKind::Traefik, life::Act::Reboot, true),
    )
    .await
    .unwrap_err();
    assert!(matches!(&error, RunError::Local { what, .. } if what == "hook post-traefik-reboot"));
    let rebooted = |host: &str| {
        let machine = scripted.network.machine(host);
        machine.changes.iter().any(|change| change == "reboot Traefik")
    };
    assert!(rebooted("a") && !rebooted("b"));
    assert!(scripted.network.machine("a").lock.is_none());
}

#[tokio::test(start_paused = true)]
async fn servers_without_a_role_behind_it_are_an_error() {
    let (scripted, project) = fleet().await;
    let filters = bowline_core::selection::Filters { hosts: vec!["c".into()], ..Default::default() };
    let options = Options { filters, ..Options::default() };
    let ended =
        change(scripted.call(&project, &options), &proxies(ProxyKind::Traefik, life::Act::Boot, false)).await;
    assert!(matches!(ended, Err(RunError::Usage { .. })), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_is_let_into_the_registry_of_an_image_that_is_in_ours() {
    let log_ins = async |image: &str| {
        let scripted = Scripted::new(&HOSTS);
        let project = project(&format!("{CONFIG}traefik: {{image: '{image}'}}\n"));
        change(
            scripted.call(&project, &Options::default()),
            &proxies(ProxyKind::Traefik, life::Act::Boot, false),
        )
        .await
        .unwrap();
        let log_in = |event: &&Event| matches!(event, Event::StepStarted { what, .. } if what == "log in to the registry");
        scripted.recorder.events().iter().filter(log_in).count()
    };
    assert_eq!(log_ins("r.test/traefik:v3").await, 2);
    assert_eq!(log_ins("traefik:v3").await, 0, "a login is of no use there");
}
