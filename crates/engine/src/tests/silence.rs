//! Servers that stop answering at any step: every wait ends, the error names each of them, and the others finish.

use std::collections::BTreeSet;

use super::*;
use crate::testing::{How, Silent};

/// Longer than any sum of deadlines.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Deploys `v2` while a server falls silent after this many boundaries; `None` if the run never got that far.
async fn silenced(host: &str, after: usize, how: How) -> Option<(Scripted, Project, RunError)> {
    let (scripted, project) = fleet().await;
    scripted.network.faults().silent = Some(Silent { host: host.into(), after, how });
    let options = options("v2");
    let run = deploy::deploy(scripted.call(&project, &options), DeployKind::Deploy);
    let ended =
        timeout(DAY, run).await.unwrap_or_else(|_| panic!("{host} silent after {after} hangs the run"));
    if !scripted.network.fell_silent() {
        assert_eq!(ended, Ok(()));
        return None;
    }
    let error = ended.err().unwrap_or_else(|| panic!("{host} silent after {after} was no error"));
    Some((scripted, project, error))
}

/// Tests every boundary of a server. Returns the number of boundaries.
async fn at_every_boundary(host: &str, how: How) -> usize {
    let mut after = 0;
    while let Some((scripted, project, error)) = silenced(host, after, how).await {
        let named: BTreeSet<String> = failures_of(&error).into_iter().map(|(host, _)| host).collect();
        assert_eq!(named, BTreeSet::from([host.to_owned()]), "silent after {after}: {error:?}");
        for (other, role) in
            [("a", "web"), ("b", "web"), ("c", "workers")].iter().filter(|(other, _)| *other != host)
        {
            let machine = scripted.network.machine(other);
            assert_eq!(
                machine.running(),
                [format!("app-{role}-v2")],
                "{other}, {host} silent after {after}: {error:?}"
            );
            assert!(machine.lock.is_none(), "{other}, {host} silent after {after}");
        }
        assert_eq!(scripted.losses(), [""; 0], "{host} silent after {after}");
        // The server comes back. The process that held its lock is gone.
        scripted.network.faults().silent = None;
        let again = deploy(&scripted, &project, "v2").await;
        assert!(again.is_ok(), "{host} silent after {after}: {again:?}");
        assert_only(&scripted, "v2");
        after += 1;
    }
    after
}

#[tokio::test(start_paused = true)]
async fn a_server_that_vanishes_at_any_step_is_named_and_the_others_finish() {
    assert!(at_every_boundary("b", How::Vanishes).await > 10);
}

#[tokio::test(start_paused = true)]
async fn a_lock_holder_that_vanishes_at_any_step_is_named_and_the_others_finish() {
    assert!(at_every_boundary("a", How::Vanishes).await > 10);
}

#[tokio::test(start_paused = true)]
async fn a_docker_that_stops_answering_at_any_step_is_named_and_the_others_finish() {
    assert!(at_every_boundary("b", How::DockerHangs).await > 10);
}

#[tokio::test(start_paused = true)]
async fn of_two_hundred_servers_three_are_dead_and_the_rest_finish() {
    let names: Vec<String> = (0..200).map(|number| format!("s{number:03}")).collect();
    let hosts: Vec<&str> = names.iter().map(String::as_str).collect();
    let scripted = Scripted::new(&hosts);
    let config =
        format!("service: app\nimage: app\nservers: [{}]\nhealthcheck: {{cmd: 'true'}}\n", names.join(", "));
    let project = project(&config);
    deploy(&scripted, &project, "v1").await.unwrap();
    let dead = ["s000", "s077", "s199"];
    scripted.network.faults().unreachable.extend(dead.map(String::from));
    let error = deploy(&scripted, &project, "v2").await.unwrap_err();
    let named: Vec<String> = failures_of(&error).into_iter().map(|(host, _)| host).collect();
    assert_eq!(named, dead);
    let on = |version: &str| {
        let name = format!("app-web-{version}");
        hosts.iter().filter(|host| scripted.network.machine(host).running() == [name.as_str()]).count()
    };
    assert_eq!((on("v1"), on("v2")), (3, 197));
}

#[tokio::test(start_paused = true)]
async fn a_question_to_a_docker_that_hangs_ends_with_an_error_and_the_others_answer() {
    let (scripted, project) = fleet().await;
    scripted.network.faults().silent = Some(Silent { host: "b".into(), after: 0, how: How::DockerHangs });
    let options = Options::default();
    let asked = crate::proxy::life::details(scripted.call(&project, &options), ProxyKind::Traefik);
    let gathered = timeout(Duration::from_secs(120), asked).await.expect("it ends").unwrap();
    assert_eq!(gathered.failures.iter().map(|failure| failure.host.as_str()).collect::<Vec<_>>(), ["b"]);
    assert_eq!(gathered.outputs.iter().map(|output| output.host.as_str()).collect::<Vec<_>>(), ["a"]);
}
