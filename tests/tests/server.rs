//! Commands for the servers themselves: preparing them for a first deploy, and running commands on them.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::process::Stdio;
use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Sandbox, Server, run, wait_until};
use bowline_tests::terminal::Terminal;

#[test]
fn a_bootstrap_installs_docker_and_lets_the_user_use_it_and_repeats_nothing() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "bootstrap");
    let ssh = project.section("ssh").replace("root", "deploy");
    project.set("ssh", &ssh);
    project.hook("docker-setup", "#!/bin/sh\necho \"$KAMAL_COMMAND $KAMAL_LOCK $KAMAL_HOSTS\" >>hooked\n");
    let _bare = lease[0].without_docker_installed();
    let refused = project.bowline(&["server", "bootstrap"]);
    refused.exits(1).says("not root").says("ssh: user:").says("created the network");
    let _lonely = lease[0].without_group();
    let ran = project.bowline(&["server", "bootstrap"]);
    ran.exits(0).says("Docker is missing: installing it").says("installed Docker");
    ran.says("deploy can now use Docker").says("created the network").never_says("gone");
    let again = project.bowline(&["server", "bootstrap"]);
    again.exits(0).says("Docker 26").never_says("install").never_says("made");
    for server in lease.iter() {
        server.run("docker network inspect kamal; test -d /home/deploy/.kamal").ok();
        expect::unlocked(&project, server);
    }
    let hooked = std::fs::read_to_string(project.path().join("hooked")).unwrap();
    let (one, all) = (&lease[1].address, lease.addresses().join(","));
    assert_eq!(hooked, format!("server true {one}\nserver true {all}\nserver true {all}\n"));
}

/// Waits until no process of a command runs on a server.
#[track_caller]
fn nothing_left(server: &Server) {
    wait_until("the end of the command", Duration::from_secs(10), || {
        server.run("ps -eo stat=,comm= | grep -E '^[^Z ]+ +sleep$'").code == Some(1)
    });
}

#[test]
fn a_command_runs_on_the_servers_and_ends_with_whoever_asked() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "on-servers");
    let all = lease.addresses();
    project.roles(&[("web", &all[..1], ""), ("worker", &all[1..], "")]);
    let ran = project.bowline(&["server", "exec", "echo it is $SSH_CONNECTION | cut -d' ' -f5; exit 3"]);
    ran.exits(3);
    let block = |host: &str| format!("App Host: {host}\n{host}\n");
    assert_eq!(ran.stdout.trim_end(), format!("{}\n{}", block(all[0]), block(all[1])).trim_end(), "{ran}");
    project.bowline(&["server", "exec", "-h", "10.9.*", "true"]).exits(2).says(all[0]).says(all[1]);
    let json = project.bowline(&["server", "exec", "--json", "-r", "work*", "echo", "one", "two"]);
    json.exits(0).says(&format!(r#""host":"{}""#, all[1])).says(r#""stdout":"one two""#).never_says(all[0]);
    project.bowline(&["audit"]).says("Executed cmd 'echo one two' on").ok();

    // With `-i`, bytes pass through a pipe to one server, and the exit status is the command's.
    let mut piped = project.command(&["server", "exec", "-i", "tr a-z A-Z; exit 4"]);
    let mut child = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"abc").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.stdout.as_slice(), output.status.code()), (b"ABC".as_slice(), Some(4)));
    project.bowline(&["server", "exec", "--raw", "true"]).exits(2).says("--primary");
    let raw = run(&mut project.command(&["server", "exec", "--raw", "-p", "printf 'a\\0b'"]));
    assert_eq!(raw.ok(), "a\0b");

    // At a terminal, until it ends and until it is killed.
    let mut terminal = Terminal::start(&project.command(&["server", "exec", "-i", "sh", "-i"]), 90, 20);
    terminal.wait_for("# ").keys("stty size\r").wait_for("20 90").keys("exit 6\r");
    assert_eq!(terminal.exit_code(), Some(6));
    let terminal = Terminal::start(&project.command(&["server", "exec", "-i", "sleep 601 & wait"]), 80, 24);
    wait_until("the command", Duration::from_secs(10), || lease[0].run("pgrep -x sleep").code == Some(0));
    terminal.kill();
    nothing_left(&lease[0]);

    // Interrupted on all servers.
    let running = project.spawn(&["server", "exec", "sleep 602 | cat"]);
    for server in lease.iter() {
        wait_until("the command", Duration::from_secs(10), || server.run("pgrep -x sleep").code == Some(0));
    }
    running.signal("TERM");
    running.wait(Duration::from_secs(10)).exits(130);
    lease.iter().for_each(nothing_left);
}
