//! Corrupted answers of servers: each is parsed or rejected, and none makes Bowline panic.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "common/garble.rs"]
mod garble;

use std::fmt::Display;
use std::str::FromStr;

use bowline_config::Traefik;
use bowline_core::commands::answer::Unreadable;
use bowline_core::commands::policy::Returns;
use bowline_core::commands::ready::{self, Failed, State, Why};
use bowline_core::commands::{
    accessory, app, doctor, lock, logs, prune, published, registry, remove, server,
};
use bowline_core::names::Names;
use bowline_core::observed::{Container, Observed, base64_text};
use bowline_core::proxy::traefik::container as traefik;

const ANSWERS: [&str; 5] = [
    r#"@docker 26.1.5
@container {"id":"aaa","name":"/app-web-1","created":"2026-01-01T00:00:00Z","image":"r/app:1","image_id":"sha256:1","status":"running","health":"healthy","labels":{"service":"app","role":"web","destination":""},"mounts":[{"Type":"bind","Source":"/root/.kamal/cords/app-web-f0","Destination":"/tmp/kamal-cord"}],"healthcheck":{"Test":["CMD-SHELL","(true) && (stat /tmp/kamal-cord/cord > /dev/null || exit 1)"],"Interval":1000000000},"networks":{"kamal":{"IPAddress":"172.18.0.3"}},"args":["--a=b"]}
@end
"#,
    r#"@container {"id":"bbb","name":"/app-web-2_replaced_00","created":"2026-01-02T00:00:00Z","image":"r/app:2","image_id":"sha256:2","status":"exited","health":null,"labels":{"service":"app","role":"web","destination":""},"mounts":[{"Source":"/root/.kamal/apps/app/assets/volumes/web-2","Destination":"/a"}],"healthcheck":null,"networks":null,"args":null}
@end
"#,
    r#"@proxy {"id":"ddd","name":"/traefik","created":"2026-01-02T00:00:00Z","image":"traefik:v3","image_id":"sha256:2","status":"running","health":null,"labels":{},"mounts":null,"healthcheck":null,"networks":{"bridge":{"IPAddress":""}},"args":["--providers.docker","--api.insecure=true"]}
@end
"#,
    "@other {\"name\":\"/shop-web-1\",\"labels\":{\"service\":\"shop\",\"role\":\"web\"}}\n@network kamal\n@maintenance web\n@end\n",
    "@image sha256:1 r/app:latest\n@lock TG9ja2VkIGJ5OiBhCg==\n@served deploy 1\n@served rollback 1\n@end\n",
];

/// Calls everything that parses a container's fields.
fn ask(names: &Names, container: &Container) {
    let _ = (container.is_running(), container.version(names, "web"), container.address(), container.cord());
    let _ = (container.asset_volume(), traefik::difference(&Traefik::default(), container));
    assert!(container.unhealthy_within() <= 3600);
}

#[test]
fn what_a_server_is_seen_to_have() {
    let names = Names::new("app", None);
    let mut read = 0_u32;
    garble::each(&ANSWERS, |text| {
        let Ok(observed) = Observed::parse(text) else { return };
        read += 1;
        observed.docker_major();
        observed.current(&names, "web", "r/app:latest");
        observed.containers.iter().chain(&observed.proxies).for_each(|container| ask(&names, container));
    });
    assert!(read > 100, "only {read} were read");
}

#[test]
fn base64_of_details() {
    garble::each(&["TG9ja2VkIGJ5OiBhCg==", "Zm9vYmFy", ""], |text| {
        assert!(base64_text(text).len() <= 3 * text.len())
    });
}

fn given_up() -> ready::Answer {
    let failed = Failed {
        ends: "oom die=137".into(),
        listening: "0100007F:0BB8".into(),
        command: "[\"CMD-SHELL\",\"wget -q http://localhost:3000/up\"]".into(),
        log: vec!["@ready 172.18.0.3".into(), String::new(), "@id 0123".into()],
        health: vec![(1, "wget: 404\n".into())],
        ..Failed::new(Why::Exited)
    };
    let states = vec![State::running("starting", 0), State { code: 4, ..State::running("none", 1) }];
    ready::Answer { id: Some("0123".into()), states, failed: Some(failed), ..ready::Answer::default() }
}

fn ready() -> ready::Answer {
    let addresses = vec![[172, 18, 0, 3].into(), "fd00::3".parse().unwrap()];
    ready::Answer { ready: Some(addresses), failed: None, ..given_up() }
}

/// Each answer is read back as written. Corrupted, it is parsed or rejected.
fn answers<A: FromStr<Err = Unreadable> + Display + PartialEq + std::fmt::Debug>(answers: &[A]) {
    let written: Vec<String> = answers.iter().map(ToString::to_string).collect();
    for (answer, text) in answers.iter().zip(&written) {
        assert_eq!(text.parse::<A>().as_ref(), Ok(answer), "{text}");
    }
    let written: Vec<&str> = written.iter().map(String::as_str).collect();
    garble::each(&written, |text| drop(text.parse::<A>().map(|answer| answer.to_string())));
}

#[test]
fn what_became_of_a_container() {
    answers(&[given_up(), ready(), ready::Answer::default()]);
    garble::each(&[&given_up().to_string()], |text| {
        text.lines().for_each(|line| drop(ready::Event::heard(line).and_then(|event| event.describe())));
        let read = text.parse::<ready::Answer>().and_then(|answer| answer.not_ready("app-web-1", 30));
        drop(read.map_err(|error| error.to_string()));
    });
}

#[test]
fn what_was_seen_while_it_was_stopped() {
    let returns = || Returns(Some("on-failure:3".into()));
    answers(&[
        app::Stopped {
            drain: Some(app::Drained::Blind),
            unseen: true,
            returns: returns(),
            left: Some(".kamal/cords/a b".into()),
        },
        app::Stopped { drain: Some(app::Drained::Idle), ..app::Stopped::default() },
    ]);
    answers(&[returns(), Returns(None)]);
    answers(&[app::NameTaken("shop/web/".into())]);
}

#[test]
fn what_came_of_the_other_commands() {
    answers(&[registry::Pulled { image: "sha256:1".into() }]);
    answers(&[prune::Left(vec![]), prune::Left(vec!["a b".into(), "c".into()])]);
    answers(&[published::Taken(vec![
        ("80/tcp".into(), Some("nginx (process 7)".into())),
        ("53/udp".into(), None),
    ])]);
    let refused = Some(server::Refusal::NoTool);
    answers(&[
        server::Answer { installing: true, refused, ..server::Answer::default() },
        server::Answer { network: true, docker: Some("26.1.5".into()), ..server::Answer::default() },
        server::Answer { installed: true, joined: Some("ada".into()), ..server::Answer::default() },
    ]);
    answers(&[
        accessory::Answer { newer: true, back: true, came_up: given_up(), ..accessory::Answer::default() },
        accessory::Answer { runs: true, came_up: ready(), ..accessory::Answer::default() },
    ]);
    let (login, docker) = (Some(Err("unauthorized".into())), doctor::Docker::Denied("no".into()));
    answers(&[doctor::Checkup {
        user: "ada".into(),
        disks: vec![doctor::Disk {
            holds: doctor::Holds::Files,
            path: "/a b".into(),
            room: Some((2, 1)),
            files: None,
        }],
        ports: vec![(80, None)],
        docker,
        login,
        ..doctor::Checkup::default()
    }]);
    garble::each(&["@shared shop-web-1 shop-web-2\n"], |text| {
        drop(text.parse::<remove::Removed>());
    });
}

#[test]
fn what_programs_say_that_are_kept() {
    let details = || "Locked by: ada\nVersion: 1".to_owned();
    use lock::Said::{Held, Locked, Lost, Released, Taken};
    for said in [Locked, Taken(details()), Taken(String::new()), Held(details()), Lost(details()), Released] {
        assert_eq!(lock::Said::heard(&said.to_string()), Some(said));
    }
    let ended = logs::Said::Ended("1750000000".into());
    assert_eq!(logs::Said::heard(&ended.to_string()), Some(ended));
    garble::each(&[&Held(details()).to_string(), "@refused grep: no"], |line| {
        drop((lock::Said::heard(line), logs::Said::heard(line)));
    });
}

#[test]
fn a_wrong_answer_is_an_error_that_names_the_line() {
    let wrong = |error: Option<Unreadable>| matches!(error, Some(Unreadable::Line { .. }));
    for text in ["@state running", "@state running none x 0 false", "@delay soon", "@failed so", "@id"] {
        assert!(wrong(text.parse::<ready::Answer>().err()), "{text}");
    }
    for text in ["@drain so", "@left", "@returns "] {
        assert!(wrong(text.parse::<app::Stopped>().err()), "{text}");
    }
    assert!(wrong("@refused so".parse::<server::Answer>().err()));
    assert!(wrong("@shared ".parse::<remove::Removed>().err()));
    assert_eq!("done\n".parse::<registry::Pulled>(), Err(Unreadable::Missing("@image")));
    assert_eq!("".parse::<published::Taken>(), Err(Unreadable::Missing("@taken")));
    assert_eq!("".parse::<app::NameTaken>(), Err(Unreadable::Missing("@taken")));
}
