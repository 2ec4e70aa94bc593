//! Pulling without a deploy, and the registry's own commands.

use std::sync::Arc;

use bowline_config::{SourceFile, load};

use super::*;
use crate::error::Cause;
use crate::image::pull::pull;
use crate::image::registry::{Where, log_in, log_out};
use crate::testing::{Shop, says};
use crate::world::Gathered;

/// What was said of each server.
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
    let gathered = pull(&scripted.world, &project(CONFIG), &options("v1")).await.unwrap();
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
    let gathered = pull(&scripted.world, &project(CONFIG), &options("v1")).await.unwrap();
    assert_eq!(said(&gathered), [("a", "pulled r.test/app:v1")]);
    let mut failed: Vec<&str> = gathered.failures.iter().map(|failure| failure.host.as_str()).collect();
    failed.sort_unstable();
    assert_eq!(failed, ["b", "c"]);
    let why = gathered.failures.iter().find(|failure| failure.host == "b").unwrap();
    assert!(matches!(&why.cause, Cause::Told { hint: Some(_), .. }), "{why:?}");
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
        let (world, options) = (&scripted.world, Options::default());
        for word in ["in", "out"] {
            let gathered = match word {
                "in" => log_in(world, &project, &options, place).await,
                _ => log_out(world, &project, &options, place).await,
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

/// A project whose registry is on the machine that deploys.
fn own_registry(setting: &str) -> Project {
    let project = project(CONFIG);
    let text = format!("{CONFIG}registry: {{server: 'localhost:5555'}}\n{setting}");
    let loaded = load(SourceFile::new("config/deploy.yml", text), None).unwrap();
    Project { config: loaded.config, ..project }
}

fn about_ports(scripted: &Scripted, host: &str) -> Vec<String> {
    let about = |change: &&String| ["lent", "taken back", "pull"].iter().any(|word| change.starts_with(word));
    scripted.network.machine(host).changes.iter().filter(about).cloned().collect()
}

#[tokio::test(start_paused = true)]
async fn servers_reach_a_registry_on_this_machine_while_they_pull_and_no_longer() {
    let project = own_registry("");
    let expected = ["lent 5555", "pull localhost:5555/app:v1", "taken back"];
    let scripted = Scripted::new(&HOSTS);
    deploy(&scripted, &project, "v1").await.unwrap();
    assert_eq!(about_ports(&scripted, "a"), expected);
    for (setting, seconds) in [("", 30), ("timeouts: {lend: 20}\n", 20)] {
        let mut scripted = Scripted::new(&HOSTS);
        let project = own_registry(setting);
        scripted.world.timeouts = project.config.timeouts;
        // Somebody else has it for a while on one, for ever on another.
        scripted.network.faults().port_taken = [("b".to_string(), 15), ("c".to_string(), 1000)].into();
        let gathered = pull(&scripted.world, &project, &options("v1")).await.unwrap();
        assert_eq!(said(&gathered).len(), 2);
        assert_eq!(about_ports(&scripted, "b"), expected);
        assert_eq!(about_ports(&scripted, "c"), [""; 0]);
        let [failure] = gathered.failures.as_slice() else { panic!("{gathered:?}") };
        let told = format!("port 5555 is not to be had there, in {seconds} s");
        assert!(failure.cause.to_string().contains(&told), "{failure:?}");
        assert!(failure.hint().unwrap().contains("`timeouts: {lend: SECONDS}`"), "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_on_this_machine_is_started_or_run_and_removed() {
    let project = own_registry("");
    let ran = async |shop: Shop, set_up: bool| {
        let shop = Arc::new(shop);
        let mut scripted = Scripted::new(&HOSTS);
        scripted.world.local = shop.clone();
        let place = Where { here: true, servers: true };
        let (world, options) = (&scripted.world, Options::default());
        let ended = match set_up {
            true => log_in(world, &project, &options, place).await,
            false => log_out(world, &project, &options, place).await,
        };
        assert_eq!(said(&ended.unwrap()).len(), 1, "servers have nothing to do");
        shop.lines()
    };
    let start = "docker start kamal-docker-registry";
    let run = "docker run --detach -p 127.0.0.1:5555:5000 --name kamal-docker-registry registry:3";
    assert_eq!(ran(Shop::new(&[(start, says("", 0))]), true).await, [start]);
    let none = says("No such container: kamal-docker-registry", 1);
    let shop = Shop::new(&[(start, none.clone()), (run, says("", 0))]);
    assert_eq!(ran(shop, true).await, [start, run]);
    let rm = "docker rm --force --volumes kamal-docker-registry";
    assert_eq!(ran(Shop::new(&[(rm, none)]), false).await, [rm]);
}
