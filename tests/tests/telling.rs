//! What is told: few commands, counted; no secret, ever.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Ran, Sandbox};

/// The numbers that `-v` prints at the end: server and commands in sequence.
fn commands(ran: &Ran) -> Vec<(String, usize)> {
    let text = format!("{}{}", ran.stdout, ran.stderr);
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("commands in sequence: "))
        .filter_map(|rest| rest.rsplit_once(' '))
        .map(|(host, number)| (host.to_owned(), number.parse().unwrap()))
        .collect()
}

#[test]
fn a_deploy_takes_few_commands_on_each_server_and_says_how_many() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(3);
    let mut project = Project::new(sandbox, &lease, "counted");
    let all = lease.addresses();
    project.roles(&[("web", &all, ""), ("worker", &[all[2]], "cmd: /app/server worker")]);
    for version in ["v1", "v2", "v3"] {
        project.build_arg("VERSION", version);
        let ran = project.bowline(&["deploy", "-v", "--version", version]);
        ran.exits(0);
        let numbers = commands(&ran);
        assert_eq!(numbers.len(), 3, "{ran}");
        for (host, number) in numbers {
            let most = if host == lease[0].address { 12 } else { 10 };
            assert!(
                (3..=most).contains(&number),
                "{number} commands in sequence on {host}, at most {most}\n{ran}"
            );
        }
    }
    for server in lease.iter() {
        expect::unlocked(&project, server);
    }
}

#[test]
fn a_secret_is_in_the_container_and_never_on_the_screen_in_a_log_or_in_a_process_list() {
    const SENTINEL: &str = "sentinel-3f2a9c-never-to-be-seen";
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "secret");
    project.set("env", "\n  secret:\n    - TOKEN\n    - PEM").secret("TOKEN", SENTINEL);
    project.secret("PEM", &format!("'begin\n{SENTINEL}\nend'"));
    let unseen = |ran: &Ran| {
        ran.never_says(SENTINEL).never_says(&sandbox.registry_password);
    };
    // What the server's processes are called, the whole time; it sees what it should see.
    let watcher = "rm -f stop; (while [ ! -e stop ]; do cat /proc/[0-9]*/cmdline; done 2>/dev/null | tr '\\0' '\\n' \
                   | grep -ao --line-buffered '[s]entinel-3f2a9c-[a-z-]*' >seen) >/dev/null 2>&1 &";
    server.run(watcher).ok();
    server.run("bash -c 'exec -a sentinel-3f2a9c-decoy sleep 1'").ok();
    project.build_arg("VERSION", "v1");
    let ran = project.bowline(&["deploy", "-v", "--version", "v1"]);
    ran.exits(0);
    unseen(&ran);
    let seen = server.run("touch stop; sleep 0.5; sort -u seen; rm -f seen stop");
    assert_eq!(seen.ok(), "sentinel-3f2a9c-decoy", "in the process list");
    assert_eq!(server.get("/env?name=TOKEN").as_deref(), Some(SENTINEL));
    assert_eq!(server.get("/env?name=PEM"), Some(format!("begin\n{SENTINEL}\nend")));
    for args in [
        &["config"][..],
        &["plan", "-v", "--version", "v2"],
        &["audit"],
        &["app", "details"],
        &["app", "version", "-v"],
        &["app", "logs", "-v"],
        &["lock", "status", "-v"],
        &["deploy", "--json", "--version", "v2"],
        &["rollback", "-v"],
    ] {
        unseen(&project.bowline(args));
    }
    project.build_arg("EXIT_AT_BOOT", "4");
    let ran = project.bowline(&["deploy", "-v", "--version", "v3"]);
    ran.exits(1);
    unseen(&ran);
    // On the server it lies in one file that only its owner can read.
    let files = server.run(&format!("grep -rlF '{SENTINEL}' .kamal"));
    assert_eq!(files.ok(), format!(".kamal/apps/{}/env/roles/web.env", project.service));
    assert_eq!(server.run(&format!("stat -c %a {}", files.ok())).ok(), "600");
}

#[test]
fn the_commands_that_look_tell_what_is_there() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "looks");
    project.deploy("v1").ok();
    let version = project.bowline(&["app", "version"]);
    version.exits(0).says("v1").says(&lease[0].address).says(&lease[1].address);
    project.bowline(&["app", "details"]).says(&project.container("web", "v1")).exits(0);
    project.bowline(&["app", "logs", "-n", "20"]).says("v1").exits(0);
    // Followed, from all servers at once: lines come as they are written, until somebody has seen enough.
    let mut followed = project.spawn(&["app", "logs", "-f", "-T", "-g", "listening"]);
    for server in lease.iter() {
        followed.wait_for(&server.address, Duration::from_secs(20));
    }
    followed.signal("INT");
    followed.wait(Duration::from_secs(10)).says("version v1 listening");
    project.bowline(&["audit"]).says("Booted app version v1").exits(0);
    project.bowline(&["config"]).says(&project.service).never_says(&sandbox.registry_password).exits(0);
    project.bowline(&["version"]).says("0.1.0").exits(0);
    let exec = project.bowline(&["app", "exec", "--reuse", "sh -c 'echo here; exit 5'"]);
    exec.exits(5).says("here");
    let once =
        project.bowline(&["app", "exec", "-h", &lease[1].address, "sh -c 'echo on $KAMAL_HOST$VERSION'"]);
    once.exits(0).says("v1").never_says(&lease[0].address);
    assert_eq!(lease[1].containers(&project.service).len(), 1, "exec leaves no container");
}
