//! A deploy succeeds only after requests were seen to reach the new containers.

use super::*;
use crate::testing::project_with;

fn told(scripted: &Scripted) -> Vec<String> {
    let events = scripted.recorder.events();
    events
        .iter()
        .filter_map(|event| if let Event::Note { text, .. } = event { Some(text.clone()) } else { None })
        .collect()
}

fn hints(error: &RunError) -> String {
    let RunError::Servers { failures, .. } = error else { panic!("{error:?}") };
    failures.iter().filter_map(|failure| failure.hint()).collect()
}

/// Asserts that the web servers serve this version, and nothing was lost.
fn serve(scripted: &Scripted, version: &str) {
    for host in ["a", "b"] {
        assert_eq!(scripted.network.machine(host).running(), [format!("app-web-{version}")], "on {host}");
    }
    assert_eq!(scripted.losses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_fails_is_tried_again_and_nothing_stands_in_for_it() {
    let (scripted, project) = fleet().await;
    scripted.network.faults().api_fails.extend([("a".into(), 5), ("b".into(), 1)]);
    deploy(&scripted, &project, "v2").await.unwrap();
    serve(&scripted, "v2");
    assert!(!told(&scripted).iter().any(|note| note.contains("pause")), "{:?}", told(&scripted));
}

#[tokio::test(start_paused = true)]
async fn an_old_container_waits_until_no_router_of_any_protocol_leads_to_it() {
    let scripted = Scripted::new(&HOSTS);
    let project = project_with(
        "service: app
image: app
servers:
  web:
    hosts: [a]
    labels:
      traefik.tcp.routers.queue.rule: HostSNI(`*`)
      traefik.tcp.services.queue.loadbalancer.server.port: 5672
",
        "",
    );
    for version in ["v1", "v2"] {
        deploy(&scripted, &project, version).await.unwrap();
    }
    let asked = &scripted.network.machine("a").asked;
    let last: Vec<&str> = asked[asked.len() - 2..].iter().filter_map(|path| path.split('?').next()).collect();
    assert_eq!(last, ["/api/http/services", "/api/tcp/services"], "after the cord was cut");
}

#[tokio::test(start_paused = true)]
async fn without_any_answer_until_the_time_is_over_the_old_version_goes_on() {
    let (scripted, project) = fleet().await;
    scripted.network.faults().api_fails.extend([("a".into(), usize::MAX), ("b".into(), usize::MAX)]);
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    let failures = failures_of(&error);
    assert!(
        failures[0].1.contains("app-web-v2") && failures[0].1.contains("did not respond"),
        "{failures:?}"
    );
    serve(&scripted, "v1");
}

#[tokio::test(start_paused = true)]
async fn a_router_that_traefik_refuses_fails_the_role_in_traefiks_words() {
    let (scripted, project) = fleet().await;
    for host in ["a", "b"] {
        let refused = ("app-web".to_owned(), "entryPoint \"websecure\" doesn't exist".to_owned());
        scripted.network.machine(host).refused.extend([refused]);
    }
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    let (_, said) = &failures_of(&error)[0];
    assert!(said.contains("it refuses the router app-web: entryPoint \"websecure\" doesn't exist"), "{said}");
    assert!(hints(&error).contains("traefik.http.routers.app-web.entrypoints"), "{}", hints(&error));
    serve(&scripted, "v1");
}

#[tokio::test(start_paused = true)]
async fn where_traefik_has_no_api_the_report_says_that_nothing_was_seen() {
    let (scripted, project) = fleet().await;
    scripted.network.machine("a").no_api = true;
    deploy(&scripted, &project, "v2").await.unwrap();
    serve(&scripted, "v2");
    let unseen =
        told(&scripted).into_iter().filter(|note| note.contains("could not check")).collect::<Vec<_>>();
    assert_eq!(
        unseen,
        [
            "Traefik here has no API, so Bowline could not check that requests reach app-web-v2; it waited 5 s instead"
        ]
    );
    let states = scripted.recorder.events();
    let serving = |host: &str, wanted: &str| {
        states.iter().any(
            |event| matches!(event, Event::State { host: at, state, .. } if at == host && state == wanted),
        )
    };
    assert!(serving("a", "running, routing not confirmed") && serving("b", "serving"));
}

#[tokio::test(start_paused = true)]
async fn a_traefik_that_hears_nothing_from_docker_does_not_stay() {
    let (scripted, project) = fleet().await;
    scripted.network.machine("a").next_is_deaf = true;
    scripted.network.machine("a").policies = [("traefik".to_owned(), "always".to_owned())].into();
    let ended = change(
        scripted.call(&project, &Options::default()),
        &proxies(ProxyKind::Traefik, life::Act::Reboot, false),
    )
    .await
    .unwrap();
    let failed: Vec<(&str, String)> =
        ended.failures.iter().map(|failure| (failure.host.as_str(), failure.cause.to_string())).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    let (host, said) = &failed[0];
    assert_eq!(*host, "a");
    assert!(said.contains("Cannot connect to the Docker daemon"), "{said}");
    assert!(said.ends_with("the old one was started again"), "{said}");
    {
        let machine = scripted.network.machine("a");
        assert!(machine.routes() && !machine.deaf);
        assert_eq!(machine.policies.get("traefik").map(String::as_str), Some("always"), "as it had before");
    }

    scripted.network.machine("a").proxies.clear();
    let ended = change(
        scripted.call(&project, &Options::default()),
        &proxies(ProxyKind::Traefik, life::Act::Boot, false),
    )
    .await
    .unwrap();
    assert!(ended.failures[0].cause.to_string().ends_with("it was removed"), "{ended:?}");
    assert!(scripted.network.machine("a").proxies.is_empty(), "the next boot makes another");

    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    let (host, said) = &failures_of(&error)[0];
    assert!(host == "a" && said.contains("Cannot connect to the Docker daemon"), "{said}");
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v1"], "nothing was booted there");
}

#[tokio::test(start_paused = true)]
async fn without_traefik_neither_a_start_nor_the_end_of_a_maintenance_is_called_done() {
    let (scripted, project) = fleet().await;
    let pause = Intent::Pause(Page { message: None, retry_after: 60, drain_timeout: None });
    change(scripted.call(&project, &Options::default()), &pause).await.unwrap();
    scripted.network.machine("a").proxies.clear();
    let ended = change(scripted.call(&project, &Options::default()), &Intent::Resume).await.unwrap();
    assert_eq!(ended.failures.len(), 1, "{ended:?}");
    assert_eq!(ended.failures[0].cause.to_string(), "Traefik is not running");
    assert_eq!(scripted.network.machine("a").pages.len(), 1, "the page stays");

    for container in &mut scripted.network.machine("a").containers {
        (container.running, container.stopped) = (false, true);
    }
    let ended = change(scripted.call(&project, &Options::default()), &Intent::Start(None)).await.unwrap();
    assert_eq!(ended.failures.len(), 1, "{ended:?}");
    assert!(ended.failures[0].cause.to_string().ends_with("no request reaches it"), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn what_serves_in_the_end_is_what_is_seen_then() {
    let (scripted, project) = fleet().await;
    scripted.network.machine("a").deaf = true;
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    let (_, said) = &failures_of(&error)[0];
    assert!(said.contains("it can't read from Docker") && said.contains("Cannot connect"), "{said}");
    let RunError::Servers { standing, .. } = error else { panic!() };
    assert_eq!(standing, ["a (web): nothing", "b (web): v2", "c (workers): v2"]);
}
