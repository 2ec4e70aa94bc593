//! `doctor`: it examines all servers in parallel, turns failures into findings, and changes nothing.

use std::collections::BTreeMap;

use bowline_core::commands::doctor::Holder;
use bowline_core::doctor::{Finding, Level};

use super::*;
use crate::doctor::{examine, without_project};
use crate::project::LoadError;
use crate::testing::{FakeDocker, FakeLocal};

/// The findings, a line each.
async fn said(scripted: &Scripted, project: &Project) -> Vec<String> {
    let options = options("v2");
    let run = examine(scripted.call(project, &options), None);
    let found = timeout(Duration::from_secs(600), run).await.expect("it ends").unwrap();
    found.iter().map(line).collect()
}

fn line(found: &Finding) -> String {
    let host = found.host.as_ref().map_or(String::new(), |host| format!("{host}: "));
    format!("{} {host}{}", found.level.name(), found.text)
}

#[track_caller]
fn says(all: &[String], line: &str) {
    assert!(all.iter().any(|said| said.starts_with(line)), "{line} is not in {all:#?}");
}

/// Servers behind kamal-proxy, deployed to from a machine with a Dockerfile. The clocks agree.
async fn well() -> (Scripted, Project) {
    let (scripted, project) = fleet_behind(By::Kamal).await;
    let files = [("Dockerfile".to_owned(), String::new())].into();
    let there = Scripted::on(scripted.network.clone(), FakeLocal { files, ..FakeLocal::default() });
    for host in HOSTS {
        let mut machine = there.network.machine(host);
        machine.checkup.clock = 1_750_000_000;
        machine.changes.clear();
    }
    there.network.names.lock().unwrap().insert("app.test".into(), vec!["192.0.2.1".parse().unwrap()]);
    (there, project)
}

#[tokio::test(start_paused = true)]
async fn a_healthy_fleet_has_no_problem_and_is_left_as_it_is() {
    let (scripted, project) = well().await;
    let all = said(&scripted, &project).await;
    assert!(!all.iter().any(|line| line.starts_with("problem")), "{all:#?}");
    says(&all, "ok app with web, workers on 3 servers, behind kamal-proxy");
    says(&all, "ok version v2 would be deployed");
    says(&all, "ok 1 secret has a value");
    says(&all, "ok r.test accepts the login from this machine");
    says(&all, "ok app.test is 192.0.2.1");
    for host in HOSTS {
        says(&all, &format!("ok {host}: Docker 26.1.5 (amd64), used as root"));
        says(&all, &format!("ok {host}: r.test accepts the login"));
        says(&all, &format!("ok {host}: no deploy lock"));
        assert_eq!(scripted.network.machine(host).changes, ["open", "closed"], "on {host}");
    }
    assert_only_web(&scripted);
}

fn assert_only_web(scripted: &Scripted) {
    assert_eq!(scripted.network.machine("a").running(), ["app-web-v1"]);
    assert_eq!(scripted.losses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_on_one_server_is_said_of_that_one() {
    let (scripted, project) = well().await;
    scripted.network.faults().unreachable.insert("a".into());
    scripted.network.faults().no_forwarding.insert("b".into());
    {
        let mut machine = scripted.network.machine("b");
        machine.checkup.holder = Some(Holder::Person);
        machine.checkup.clock += 7200;
        machine.checkup.login = Some(Err("unauthorized".into()));
    }
    scripted.network.machine("c").docker = FakeDocker::Missing;
    let all = said(&scripted, &project).await;
    says(&all, "problem a: could not connect: connection refused");
    says(&all, "ok b: sshd doesn't forward connections, but nothing here needs it");
    says(&all, "problem b: the deploy lock is held");
    says(&all, "warning b: the clock is 2 hours ahead of this machine's");
    says(&all, "problem b: r.test refused the login: unauthorized");
    says(&all, "problem c: Docker is not installed");
    assert!(!all.iter().any(|line| line.contains("a: Docker")), "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_plan_would_note_is_a_warning_already() {
    let (scripted, project) = well().await;
    scripted.network.machine("a").paused.insert("app-web".into());
    let all = said(&scripted, &project).await;
    says(&all, "warning a: web is in maintenance here");
    assert_eq!(all.iter().filter(|line| line.contains("maintenance")).count(), 1, "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn secrets_that_are_missing_keep_nothing_else_from_being_looked_at() {
    let (scripted, _) = well().await;
    let config = By::Kamal.serves(CONFIG) + "env: {secret: [GONE]}\n";
    let project = crate::testing::project(&config);
    let all = said(&scripted, &project).await;
    assert!(all.iter().any(|line| line.starts_with("problem") && line.contains("GONE")), "{all:#?}");
    says(&all, "ok b: no deploy lock");
    assert!(!all.iter().any(|line| line.contains("the login")), "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn names_that_lead_elsewhere_or_nowhere_are_found() {
    let (scripted, _) = well().await;
    let config = By::Kamal
        .serves(CONFIG)
        .replace("proxy: {host: app.test}", "proxy: {hosts: [app.test, gone.test, '*.app.test']}");
    let project = crate::testing::project(&config);
    scripted.network.names.lock().unwrap().extend(
        ["a", "b"]
            .map(|host| (host.to_owned(), vec![format!("192.0.2.{}", host.len() + 8).parse().unwrap()])),
    );
    let all = said(&scripted, &project).await;
    says(&all, "warning app.test is 192.0.2.1, which is not one of its servers");
    says(&all, "warning gone.test does not resolve");
    assert_eq!(all.iter().filter(|line| line.contains("app.test")).count(), 1, "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_should_point_to_servers_without_their_user_and_port() {
    let (scripted, _) = well().await;
    let config = By::Kamal.serves(CONFIG).replace("[a, b]", "[deploy@a:2222, b]");
    scripted.network.names.lock().unwrap().insert("a".into(), vec!["192.0.2.9".parse().unwrap()]);
    let project = crate::testing::project(&config);
    let options = options("v2");
    let found = examine(scripted.call(&project, &options), None).await.unwrap();
    let name = found.iter().find(|finding| finding.text.starts_with("app.test is")).unwrap();
    let hint = name.hint.as_deref().unwrap_or_default();
    assert!(hint.ends_with("create a DNS record that points to a, b"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_with_a_wrong_value_is_found_where_it_is_named() {
    let (scripted, _) = well().await;
    let config =
        By::Kamal.serves(CONFIG).replace("{host: app.test}", "{host: app.test, basic_auth: [LOGIN]}");
    let project = crate::testing::project_with(&config, "LOGIN=nobody\n");
    let all = said(&scripted, &project).await;
    let problem = "problem config/deploy.yml:";
    let line = all.iter().find(|line| line.contains("the secret LOGIN of `basic_auth` is not a login"));
    assert!(line.is_some_and(|line| line.starts_with(problem)), "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn hooks_that_never_run_are_found() {
    let (scripted, project) = well().await;
    let files = [
        "Dockerfile",
        ".kamal/hooks/pre-deploy.sh",
        ".kamal/hooks/pre-build.sample",
        ".kamal/hooks/post-deploy",
        ".kamal/hooks/pre-connect/check",
    ];
    let files: BTreeMap<String, String> = files.map(|path| (path.to_owned(), String::new())).into();
    let scripted = Scripted::on(scripted.network.clone(), FakeLocal { files, ..FakeLocal::default() });
    let all = said(&scripted, &project).await;
    says(&all, "warning .kamal/hooks/pre-deploy.sh never runs: hooks have no extension");
    says(&all, "problem the hook .kamal/hooks/post-deploy is not executable");
    says(&all, "problem the hook .kamal/hooks/pre-connect is a directory");
    assert!(!all.iter().any(|line| line.contains("sample")), "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_project_it_says_what_to_run() {
    let local = FakeLocal::default();
    let missing = LoadError::Missing { path: "config/deploy.yml".into(), hint: "look".into() };
    let found = without_project(&local, &missing).await;
    let last = found.last().unwrap();
    assert_eq!(
        (last.level, last.text.as_str()),
        (Level::Problem, "there is no configuration at config/deploy.yml")
    );
    assert!(last.hint.as_ref().unwrap().contains("bowline init"), "{found:#?}");
}

#[tokio::test(start_paused = true)]
async fn addresses_of_examples_and_a_proxy_that_no_key_chose_are_found() {
    let scripted = Scripted::new(&["192.0.2.1"]);
    let untouched = crate::testing::project("service: app\nimage: app\nservers: [192.0.2.1]\n");
    let all = said(&scripted, &untouched).await;
    says(&all, "problem 192.0.2.1 is an example address");
    says(&all, "warning no key says whether this is for Kamal 1 or Kamal 2, so Traefik serves the app");
    let chosen = crate::testing::project("service: app\nimage: app\nservers: [192.0.2.1]\ntraefik: {}\n");
    let all = said(&scripted, &chosen).await;
    assert!(!all.iter().any(|said| said.contains("which generation")), "{all:#?}");
}
