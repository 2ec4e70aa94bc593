use std::collections::BTreeMap;

use super::*;
use crate::commands::doctor::{Contents, Issued, Storage};
use crate::observed::Mount;
use bowline_config::SourceFile;

const PROXIED: &str =
    "service: app\nimage: app\nservers: [a]\nbuilder: {arch: amd64}\nproxy: {host: x.test}\n";
const TRAEFIK: &str =
    "service: app\nimage: app\nservers: [a]\nregistry: {username: u, password: [PW]}\ntraefik: {}\n";

fn healthy() -> Checkup {
    let disk = |holds, path: &str| Disk {
        holds,
        path: path.into(),
        room: Some((50_000_000, 20_000_000)),
        files: Some((3_000_000, 2_000_000)),
    };
    Checkup {
        user: "root".into(),
        clock: 1000,
        sshd: vec![("maxsessions".into(), "10".into()), ("maxstartups".into(), "10:30:100".into())],
        disks: vec![disk(Holds::Files, "/root"), disk(Holds::Images, "/var/lib/docker")],
        docker: Docker::Runs { version: "26.1.5".into(), arch: "amd64".into() },
        store: Some("overlay2 Backing Filesystem extfs".into()),
        ..Checkup::default()
    }
}

fn said(yaml: &str, checkup: &Checkup, observed: Option<&Observed>, ahead: i64) -> Vec<String> {
    let config = bowline_config::load(SourceFile::new("config/deploy.yml", yaml), None).unwrap().config;
    let names = Names::of(&config);
    let forwards = Some(checkup.lacks.is_empty());
    let seen = Seen {
        config: &config,
        names: &names,
        host: "a",
        checkup,
        observed,
        forwards,
        ahead,
        now: 1_800_000_000,
    };
    let all = seen.findings();
    assert!(all.iter().all(|one| one.host.as_deref() == Some("a")));
    let hinted =
        |one: &&Finding| one.level == Level::Ok || one.hint.as_ref().is_some_and(|hint| !hint.is_empty());
    assert!(all.iter().all(|one| hinted(&one)), "what to do about {all:?}");
    all.into_iter().map(|one| format!("{} {}", one.level.name(), one.text)).collect()
}

#[track_caller]
fn says(all: &[String], line: &str) {
    assert!(all.iter().any(|said| said == line), "{line} is not in {all:#?}");
}

#[test]
fn a_healthy_server_has_nothing_but_good() {
    let all = said(PROXIED, &healthy(), Some(&Observed::default()), 3);
    assert!(all.iter().all(|line| line.starts_with("ok ")), "{all:#?}");
    for line in [
        "ok sshd: MaxSessions 10, MaxStartups 10:30:100",
        "ok sshd forwards connections",
        "ok Docker 26.1.5 (amd64), Docker's own store (overlay2), used as root",
        "ok 20 GB free of 50 GB for images (/var/lib/docker)",
        "ok the clock agrees with this machine's",
        "ok port 443 is free",
        "ok no kamal-proxy yet: the first deploy starts it",
        "ok no leftovers",
        "ok no deploy lock",
    ] {
        says(&all, line);
    }
}

#[test]
fn each_thing_that_can_be_wrong_is_named() {
    let mut checkup = healthy();
    checkup.lacks = vec!["curl".into()];
    checkup.sshd[0].1 = "1".into();
    checkup.disks[0].room = Some((256, 0));
    checkup.disks[1].files = Some((3_000_000, 4000));
    checkup.ports =
        vec![(80, Some("nginx (process 7)".into())), (443, Some("the container kamal-proxy".into()))];
    checkup.certificates = vec![("x.test".into(), "?".into())];
    checkup.left = vec!["the container kamal-proxy_next".into()];
    checkup.holder = Some(Holder::Person);
    checkup.login = Some(Err("unauthorized".into()));
    let observed = Observed {
        lock: Some("Locked by: ada at noon\nVersion: 1\nMessage: x".into()),
        ..Observed::default()
    };
    let all = said(PROXIED, &checkup, Some(&observed), -400);
    for line in [
        "warning sshd: MaxSessions 1, MaxStartups 10:30:100: steps wait for each other",
        "warning sshd doesn't forward connections: each deploy sends the whole image",
        "problem full: 0 kB free of 256 kB for files (/root)",
        "warning nearly full: 20 GB free of 50 GB for images (/var/lib/docker), and room for 4000 more files (inodes)",
        "warning the clock is 6 minutes behind this machine's",
        "problem port 80 is taken by nginx (process 7)",
        "ok port 443 is used by the container kamal-proxy",
        "warning the certificate of x.test can't be read",
        "warning the container kamal-proxy_next is left from a command that did not finish",
        "problem the deploy lock is held (Locked by: ada at noon; Version: 1; Message: x)",
        "problem Docker Hub refused the login: unauthorized",
    ] {
        says(&all, line);
    }
}

#[test]
fn a_docker_that_can_not_be_used_says_why() {
    for (docker, line) in [
        (Docker::Missing, "problem Docker is not installed"),
        (Docker::Denied("no".into()), "problem ada may not use Docker"),
        (Docker::Silent("no daemon".into()), "problem Docker does not respond: no daemon"),
        (
            Docker::Runs { version: "19.03.1".into(), arch: "amd64".into() },
            "warning Docker 19.03.1 (amd64), used as ada: older than 20, which Bowline needs",
        ),
    ] {
        let checkup = Checkup { user: "ada".into(), docker, store: None, ..healthy() };
        says(&said(PROXIED, &checkup, None, 0), line);
    }
}

#[test]
fn behind_traefik_other_things_count() {
    let checkup = Checkup { lacks: vec!["nsenter".into(), "curl".into()], ..healthy() };
    let all = said(TRAEFIK, &checkup, Some(&Observed::default()), 0);
    says(
        &all,
        "warning sshd doesn't forward connections, and curl is missing: Traefik can't be asked what it routes",
    );
    says(&all, "warning nsenter is missing: a deploy pauses for 5 s instead of waiting for open requests");
    says(&all, "ok port 80 is free");
    let checkup = Checkup { ports: vec![(80, Some("the container kamal-proxy".into()))], ..healthy() };
    says(&said(TRAEFIK, &checkup, None, 0), "problem port 80 is taken by the container kamal-proxy");
}

#[test]
fn a_lock_and_a_certificate_have_their_time() {
    for (holder, level) in
        [(Holder::Run, "warning a run holds"), (Holder::Gone, "warning the deploy lock belongs to a run")]
    {
        let all = said(PROXIED, &Checkup { holder: Some(holder), ..healthy() }, None, 0);
        assert!(all.iter().any(|line| line.starts_with(level)), "{all:#?}");
    }
    for (end, said) in [
        (-3 * 86_400, "problem the certificate of x ended 3 days ago"),
        (86_400, "warning the certificate of x ends in 24 hours"),
        (60 * 86_400, "ok the certificate of x ends in 60 days"),
    ] {
        let found = ends("x", end, 0, ProxyKind::Kamal);
        assert_eq!(format!("{} {}", found.level.name(), found.text), said);
    }
}

/// A server with a Traefik with these arguments, and a container with these labels.
fn routed(arguments: &[&str], labels: &[(&str, &str)]) -> Observed {
    let container =
        |name: &str| Container { name: name.into(), status: "running".into(), ..Container::default() };
    let args = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Observed {
        proxies: vec![Container { args, ..container("traefik") }],
        containers: vec![
            Container { labels: labels.clone(), ..container("app-web-v2") },
            Container { labels, ..container("app-web-v1") },
        ],
        ..Observed::default()
    }
}

#[test]
fn the_certificates_of_traefik_have_their_time_and_those_that_routers_lack_are_named() {
    const PEM: &str = include_str!("../testing.pem");
    let text: String = PEM.lines().filter(|line| !line.starts_with("-----")).collect();
    let issued = |names: &[&str], text: &str| Issued {
        resolver: "le".into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        text: text.into(),
    };
    let storage = |holds| Storage { resolver: "le".into(), file: "/acme.json".into(), holds };
    let labels = [
        ("traefik.http.routers.app.rule", "Host(`a.test`, `x.b.test`) || Host(`c.test`)"),
        ("traefik.http.routers.app.tls.certresolver", "LE"),
        ("traefik.http.routers.all.rule", "PathPrefix(`/`)"),
        ("traefik.http.routers.all.tls.certresolver", "le"),
        ("traefik.http.routers.bad.rule", "Host(`d.test`)"),
        ("traefik.http.routers.bad.tls.certresolver", "el"),
    ];
    let observed = routed(&["--certificatesResolvers.le.acme.storage=/acme.json"], &labels);
    let mut checkup = healthy();
    checkup.storages = vec![storage(Contents::Read)];
    checkup.issued = vec![
        issued(&["a.test", "www.a.test", "b.a.test", "c.a.test"], &text),
        issued(&["*.b.test", "b.test"], "MIIB"),
    ];
    let of_certificates = |checkup: &Checkup, observed: &Observed| -> Vec<String> {
        let all = said(TRAEFIK, checkup, Some(observed), 0);
        all.into_iter().filter(|line| line.contains("certificate") || line.contains("resolver")).collect()
    };
    assert_eq!(
        of_certificates(&checkup, &observed),
        [
            "ok the certificate of a.test and 3 other names ends in 44 days",
            "warning the certificate of *.b.test, b.test can't be read",
            "warning the router all gets no certificate from the resolver le: its rule names no host",
            "problem there is no certificate of c.test, which the router app needs from the resolver LE",
            "warning the router bad uses the resolver el, which Traefik's arguments don't define",
        ]
    );
    checkup.storages = vec![storage(Contents::Unreadable)];
    checkup.issued.clear();
    let unread = of_certificates(&checkup, &observed);
    assert_eq!(unread.len(), 2, "{unread:#?}");
    says(&unread, "warning the certificates of the resolver le can't be read (/acme.json)");
    // A resolver of another kind doesn't store certificates in a file.
    checkup.storages.clear();
    let other = routed(&["--certificatesResolvers.le.tailscale=true"], &labels[..2]);
    assert_eq!(of_certificates(&checkup, &other), [""; 0]);
    // The arguments don't count.
    let own = routed(&["--configFile=/etc/t.yml", "--certificatesResolvers.le.acme.storage=/a"], &labels);
    let unchecked = ["warning the certificate resolvers in Traefik's own file /etc/t.yml are not checked"];
    assert_eq!(of_certificates(&checkup, &own), unchecked);
    let mut mounted = routed(&[], &labels);
    let destination = "/etc/traefik/traefik.yml".to_owned();
    mounted.proxies[0].mounts = vec![Mount { destination, ..Mount::default() }];
    assert_eq!(of_certificates(&checkup, &mounted), [unchecked[0].replace("t.yml", "traefik/traefik.yml")]);
}
