//! `setup`: bare servers end up serving, under one lock, and a server that fails doesn't affect the others.

use super::*;
use crate::ports::{Exit, Output};
use crate::setup::setup;
use crate::testing::{FakeDocker, FakeLocal, FakeNetwork, project_with};
use bowline_core::commands::server::Refusal;

async fn set_up(scripted: &Scripted, options: &Options) -> Result<(), RunError> {
    let project = project(CONFIG);
    let run = setup(scripted.call(&project, options));
    timeout(Duration::from_secs(600), run).await.expect("the run ends")
}

fn locks(scripted: &Scripted) -> usize {
    let lock = |event: &&Event| matches!(event, Event::Phase(crate::event::Phase::Lock(_)));
    scripted.recorder.events().iter().filter(lock).count()
}

#[tokio::test(start_paused = true)]
async fn from_bare_servers_to_an_app_that_serves_under_one_lock() {
    let scripted = Scripted::new(&HOSTS);
    scripted.network.machine("b").docker = FakeDocker::Missing;
    set_up(&scripted, &options("v1")).await.unwrap();
    assert_only(&scripted, "v1");
    assert_eq!(locks(&scripted), 1);
    let events = scripted.recorder.events();
    let note = |text: &'static str| move |event: &Event| matches!(event, Event::Note { host: Some(_), text: told } if told.contains(text));
    let installed =
        position(&events, note("installed Docker, Docker 26.1.5 runs, created the network")).unwrap();
    assert!(position(&events, note("installing it")).unwrap() < installed);
    assert!(installed < position(&events, started("b", "boot app-web-v1")).unwrap());
    set_up(&scripted, &options("v2")).await.unwrap();
    assert_only(&scripted, "v2");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_docker_is_left_out_unless_it_is_the_only_one_that_could_serve() {
    let scripted = Scripted::new(&HOSTS);
    scripted.network.machine("b").docker = FakeDocker::Refused(Refusal::NotRoot);
    let error = set_up(&scripted, &options("v1")).await.unwrap_err();
    let failed = failures_of(&error);
    assert!(failed.len() == 1 && failed[0].0 == "b" && failed[0].1.contains("not root"), "{failed:?}");
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v1"]);
    assert_eq!(scripted.network.machine("c").running(), ["app-workers-v1"]);
    let scripted = Scripted::new(&HOSTS);
    for host in ["a", "b"] {
        scripted.network.machine(host).docker = FakeDocker::Refused(Refusal::NoTool);
    }
    assert_eq!(failures_of(&set_up(&scripted, &options("v1")).await.unwrap_err()).len(), 2);
    for host in HOSTS {
        assert!(
            scripted.network.machine(host).containers.is_empty()
                && scripted.network.machine(host).lock.is_none()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_lock_is_taken_again_where_its_connection_had_to_be_left_and_given_back_after_a_failure() {
    let scripted = Scripted::new(&HOSTS);
    scripted.network.machine("a").docker = FakeDocker::MissingForUser;
    set_up(&scripted, &options("v1")).await.unwrap();
    assert_only(&scripted, "v1");
    assert_eq!(locks(&scripted), 2);
    let programs = [(".kamal/hooks/docker-setup".to_string(), 1)].into();
    let failing = Scripted::on(scripted.network.clone(), FakeLocal { programs, ..FakeLocal::default() });
    let error = set_up(&failing, &options("v2")).await.unwrap_err();
    assert!(matches!(error, RunError::Local { ref what, .. } if what == "hook docker-setup"), "{error:?}");
    assert_only(&scripted, "v1");
}

#[tokio::test(start_paused = true)]
async fn accessories_run_before_the_app_and_without_one_it_is_not_deployed() {
    let config = format!(
        "{CONFIG}accessories: {{db: {{image: mysql:8, host: d}}, cache: {{image: redis, host: a}}}}\n"
    );
    let run = async |scripted: &Scripted| setup(scripted.call(&project(&config), &options("v1"))).await;
    let scripted = Scripted::new(&["a", "b", "c", "d"]);
    run(&scripted).await.unwrap();
    assert_only(&scripted, "v1");
    let events = scripted.recorder.events();
    let at = |host, what| position(&events, started(host, what)).unwrap();
    assert!(at("d", "boot db") < at("a", "boot app-web-v1") && at("a", "boot cache") < at("a", "pull"));
    assert!(scripted.network.machine("d").accessories["app-db"]);
    assert_eq!(locks(&scripted), 1);

    let scripted = Scripted::new(&["a", "b", "c", "d"]);
    scripted.network.faults().accessories =
        [(("d".into(), "boot db".into()), Output { exit: Exit::Status(72), ..Output::default() })].into();
    let failed = failures_of(&run(&scripted).await.unwrap_err());
    assert_eq!(failed, [("d".into(), "the image mysql:8 could not be pulled".into())]);
    assert!(
        scripted.network.machine("a").running().is_empty() && scripted.network.machine("a").lock.is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn of_a_project_with_accessories_alone_they_run_after_it_and_there_is_no_build() {
    let config = "service: app\nimage: app\naccessories: {db: {image: mysql:8, hosts: [a, b]}}\n";
    let run = async |scripted: &Scripted| setup(scripted.call(&project(config), &Options::default())).await;
    let scripted = Scripted::new(&["a", "b"]);
    scripted.network.machine("b").docker = FakeDocker::Missing;
    run(&scripted).await.unwrap();
    for host in ["a", "b"] {
        let machine = scripted.network.machine(host);
        assert!(machine.accessories["app-db"] && machine.containers.is_empty() && machine.lock.is_none());
        assert!(!machine.routes(), "nothing is behind it");
    }
    assert_eq!(locks(&scripted), 1);
    assert!(
        scripted.local.ran().iter().all(|(program, _)| program != "docker"),
        "{:?}",
        scripted.local.ran()
    );

    let scripted = Scripted::new(&["a", "b"]);
    scripted.network.machine("b").docker = FakeDocker::Refused(Refusal::NotRoot);
    let failed = failures_of(&run(&scripted).await.unwrap_err());
    assert!(failed.len() == 1 && failed[0].0 == "b", "{failed:?}");
    assert!(scripted.network.machine("a").accessories["app-db"]);
    assert!(scripted.network.machine("a").lock.is_none());
}

#[tokio::test(start_paused = true)]
async fn secrets_that_are_missing_and_those_that_fail_are_in_one_report() {
    let config = format!(
        "{CONFIG}env: {{secret: [TOKEN, ABSENT]}}\naccessories: {{db: {{image: i, host: a, env: {{secret: [DB_PW]}}}}}}\n"
    );
    let project = project_with(&config, "TOKEN=$(ask-the-vault)\n");
    for sets_up in [true, false] {
        let network = std::sync::Arc::new(FakeNetwork::new(&HOSTS));
        let local = FakeLocal { hangs: Some("ask-the-vault".into()), ..FakeLocal::default() };
        let mut scripted = Scripted::on(network, local);
        scripted.world.timeouts = project.config.timeouts;
        let options = options("v1");
        let call = scripted.call(&project, &options);
        let ended = match sets_up {
            true => setup(call).await,
            false => deploy::deploy(call, DeployKind::Deploy).await,
        };
        let Err(RunError::Invalid(found)) = ended else { panic!("{ended:?}") };
        let found = found.render(false);
        let told = [
            ("no secrets file defines `ABSENT`", true),
            ("TOKEN: it did not finish within", true),
            ("no secrets file defines `DB_PW`", sets_up),
        ];
        for (text, expected) in told {
            assert_eq!(found.contains(text), expected, "{text}: {found}");
        }
    }
}
