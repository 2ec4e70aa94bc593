//! Pulling without a deploy, and the registry's own commands.

use super::*;
use crate::error::Cause;
use crate::image::pull::pull;
use crate::image::registry::{Where, log_in, log_out};
use crate::world::Gathered;

fn said(gathered: &Gathered) -> Vec<(&str, &str)> {
    gathered.outputs.iter().map(|said| (said.host.as_str(), said.output.stdout.trim())).collect()
}

fn ended(host: &str, begins: &str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::StepEnded { host: at, what, .. } if at == host && what.starts_with(begins))
}

#[tokio::test(start_paused = true)]
async fn a_server_of_each_mirror_pulls_before_the_others() {
    let scripted = Scripted::new(&HOSTS);
    for host in ["b", "c"] {
        scripted.network.machine(host).mirror = "http://mirror:5000/\n".into();
    }
    let gathered = pull(scripted.call(&project(CONFIG), &options("v1"))).await.unwrap();
    assert_eq!(said(&gathered).len(), 3, "{gathered:?}");
    let events = scripted.recorder.events();
    let seeded = position(&events, ended("b", "pull")).unwrap();
    for other in ["a", "c"] {
        assert!(position(&events, started(other, "pull")).unwrap() > seeded, "{other} waits for the mirror");
    }
    for host in HOSTS {
        let machine = scripted.network.machine(host);
        assert!(machine.images.contains("r.test/app:v1"));
        assert!(machine.lock.is_none() && machine.mark.is_none(), "it is no deploy");
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_shares_a_mirror_all_pull_at_once_and_to_their_own_end() {
    let scripted = Scripted::new(&HOSTS);
    scripted.network.faults().no_pull.insert("b".into());
    scripted.network.faults().unreachable.insert("c".into());
    let gathered = pull(scripted.call(&project(CONFIG), &options("v1"))).await.unwrap();
    assert_eq!(said(&gathered), [("a", "pulled r.test/app:v1")]);
    let mut failed: Vec<&str> = gathered.failures.iter().map(|failure| failure.host.as_str()).collect();
    failed.sort_unstable();
    assert_eq!(failed, ["b", "c"]);
    let why = gathered.failures.iter().find(|failure| failure.host == "b").unwrap();
    assert!(matches!(&why.cause, Cause::Other { hint: Some(_), .. }), "{why:?}");
    let events = scripted.recorder.events();
    assert!(position(&events, started("b", "pull")) < position(&events, ended("a", "pull")), "at once");
}

#[tokio::test(start_paused = true)]
async fn logging_in_and_out_happens_where_it_should() {
    let project = project(CONFIG);
    for (place, here, there) in [
        (Where { here: true, servers: true }, true, true),
        (Where { here: true, servers: false }, true, false),
        (Where { here: false, servers: true }, false, true),
    ] {
        let scripted = Scripted::new(&HOSTS);
        let options = Options::default();
        let call = scripted.call(&project, &options);
        for word in ["in", "out"] {
            let gathered = match word {
                "in" => log_in(call, place).await,
                _ => log_out(call, place).await,
            };
            let gathered = gathered.unwrap();
            let text = format!("logged {word}");
            let hosts = ["this machine", "a", "b", "c"];
            let expected: Vec<(&str, &str)> = hosts
                .into_iter()
                .filter(|host| if *host == "this machine" { here } else { there })
                .map(|host| (host, text.as_str()))
                .collect();
            assert_eq!(said(&gathered), expected);
        }
        let docker = scripted.local.ran().iter().filter(|(program, _)| program == "docker").count();
        assert_eq!(docker, if here { 2 } else { 0 });
        let changes = if there { vec!["log in to the registry", "log out of the registry"] } else { vec![] };
        assert_eq!(scripted.network.machine("a").changes, changes);
    }
}
