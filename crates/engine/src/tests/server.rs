//! `server exec` and `server bootstrap`: their servers, their output, and the lock.

use bowline_core::commands::exec::Mode;
use bowline_core::commands::server::Refusal;
use bowline_core::selection::Filters;

use super::*;
use crate::bootstrap::bootstrap;
use crate::ports::Exit;
use crate::server;
use crate::testing::{FakeConsole, FakeDocker, FakeLocal};

const WITH_ACCESSORY: &str = "service: app
image: app
servers: {web: {hosts: [a]}, workers: {hosts: [b], cmd: work}}
primary_role: web
accessories: {db: {image: postgres, host: c}}
";

fn on(roles: &[&str], primary: bool) -> Options {
    let roles = roles.iter().map(|role| (*role).into()).collect();
    Options { filters: Filters { roles, primary, ..Filters::default() }, ..Options::default() }
}

fn told(gathered: &crate::world::Gathered) -> Vec<(String, String)> {
    let said = |out: &crate::world::HostOutput| (out.host.clone(), out.output.stdout.trim().to_owned());
    gathered.outputs.iter().map(said).collect()
}

fn pair(host: &str, said: &str) -> (String, String) {
    (host.into(), said.into())
}

#[tokio::test(start_paused = true)]
async fn a_command_runs_on_every_server_that_is_meant() {
    let project = project(WITH_ACCESSORY);
    for (options, hosts) in [
        (on(&[], false), vec!["a", "b", "c"]),
        (on(&["work*"], false), vec!["b"]),
        (on(&[], true), vec!["a"]),
    ] {
        let scripted = Scripted::new(&HOSTS);
        let gathered = server::exec(scripted.call(&project, &options), "echo hi").await.unwrap();
        assert_eq!(told(&gathered), hosts.iter().map(|host| pair(host, "hi")).collect::<Vec<_>>());
    }
    let none = server::exec(Scripted::new(&HOSTS).call(&project, &on(&["x"], false)), "echo").await;
    let RunError::Usage { message, .. } = none.unwrap_err() else { panic!("a filter without match") };
    assert!(message.contains("web, workers"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn one_server_down_does_not_keep_the_others_from_answering() {
    let scripted = Scripted::new(&HOSTS);
    scripted.network.faults().unreachable.insert("b".into());
    let gathered = server::exec(scripted.call(&project(WITH_ACCESSORY), &on(&[], false)), "exit 75").await;
    let gathered = gathered.unwrap();
    // A script of ours exits with 75 if another run has taken over the server. A user's command may exit with 75 too.
    let statuses: Vec<_> = gathered.outputs.iter().map(|out| out.output.exit.clone()).collect();
    assert_eq!(statuses, [Exit::Status(75), Exit::Status(75)]);
    assert!(gathered.failures.len() == 1 && gathered.failures[0].is_unreachable());
}

#[tokio::test(start_paused = true)]
async fn attached_it_runs_on_the_first_and_raw_only_where_there_is_one() {
    let scripted = Scripted::new(&HOSTS);
    let project = project(WITH_ACCESSORY);
    let console = FakeConsole::default();
    let attach = async |mode, options: &Options, command: &str| {
        server::attach(scripted.call(&project, options), command, mode, &console).await
    };
    assert_eq!(attach(Mode::Piped, &on(&[], false), "exit 3").await, Ok(Exit::Status(3)));
    assert_eq!(scripted.network.machine("a").attached.first().map(String::as_str), Some("attach"));
    let several = attach(Mode::Raw, &on(&[], false), "both").await.unwrap_err();
    assert!(several.to_string().contains("3: a, b, c"), "{several}");
    assert_eq!(attach(Mode::Raw, &on(&[], true), "both").await, Ok(Exit::Status(0)));
    let workers = on(&["workers"], false);
    let (ended, ()) = tokio::join!(attach(Mode::Piped, &workers, "hang"), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        scripted.trigger.stop();
    });
    assert_eq!(ended, Err(RunError::interrupted()));
    assert_eq!(scripted.network.machine("b").changes, ["end the command"]);
}

fn with_hook(scripted: &Scripted, status: u32) -> Scripted {
    let programs = [(".kamal/hooks/docker-setup".to_string(), status)].into();
    Scripted::on(scripted.network.clone(), FakeLocal { programs, ..FakeLocal::default() })
}

#[tokio::test(start_paused = true)]
async fn a_bootstrap_does_what_is_missing_and_says_it_of_each_server() {
    let first = Scripted::new(&HOSTS);
    first.network.machine("b").docker = FakeDocker::Missing;
    first.network.machine("c").docker = FakeDocker::Refused(Refusal::NoTool);
    let scripted = with_hook(&first, 0);
    let options = Options { command: "server".into(), ..Options::default() };
    let gathered = bootstrap(scripted.call(&project(WITH_ACCESSORY), &options)).await.unwrap();
    assert_eq!(
        told(&gathered),
        [
            pair("a", "Docker 26.1.5 runs\nthe network exists"),
            pair("b", "installed Docker\nDocker 26.1.5 runs\ncreated the network"),
        ]
    );
    let reasons: Vec<String> = gathered.failures.iter().map(|failure| failure.cause.to_string()).collect();
    assert!(reasons.len() == 1 && reasons[0].contains("neither curl nor wget"), "{reasons:?}");
    assert!(gathered.failures[0].hint().unwrap().contains("by hand"));
    let ran = scripted.local.ran();
    let hook = ran.iter().find(|(path, _)| path.ends_with("docker-setup")).unwrap();
    assert_eq!((hook.1["KAMAL_HOSTS"].as_str(), hook.1["KAMAL_LOCK"].as_str()), ("a,b", "true"));
    assert_eq!(first.network.machine("a").lock, None);
    let again = bootstrap(with_hook(&first, 1).call(&project(WITH_ACCESSORY), &options)).await;
    assert!(matches!(again, Err(RunError::Local { what, .. }) if what == "hook docker-setup"));
    assert_eq!(first.network.machine("a").lock, None, "given back after a hook that fails");
}

#[tokio::test(start_paused = true)]
async fn a_user_who_joined_the_group_logs_in_again_and_no_lock_is_lost_with_the_connection() {
    let scripted = Scripted::new(&HOSTS);
    scripted.network.machine("a").docker = FakeDocker::MissingForUser;
    let gathered = bootstrap(scripted.call(&project(WITH_ACCESSORY), &Options::default())).await.unwrap();
    let expected = "installed Docker\nada can now use Docker\nDocker 26.1.5 runs\nthe network exists";
    assert!(told(&gathered).contains(&pair("a", expected)), "{gathered:?}");
    let machine = scripted.network.machine("a");
    assert_eq!(machine.changes, ["bootstrap", "log in again", "bootstrap"]);
    assert_eq!(machine.lock, None);
    let events = scripted.recorder.events();
    assert!(!events.iter().any(|event| matches!(event, Event::Note { text, .. } if text.contains("gone"))));
}
