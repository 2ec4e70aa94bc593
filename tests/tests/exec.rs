//! `app exec`: where a command runs and with what environment, and what it exchanges with a pipe or terminal.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bowline_tests::process;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Sandbox, Server, run, wait_until};
use bowline_tests::terminal::Terminal;

fn deployed(name: &str) -> (Project, Lease) {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::new(sandbox, &lease, name);
    project.roles(&[("web", &lease.addresses(), "traefik: false")]);
    project.deploy("v1").ok();
    (project, lease)
}

/// Waits until the commands have left nothing on the server: no container, no environment file, no process.
#[track_caller]
fn nothing_left(project: &Project, server: &Server) {
    let find = format!(
        "docker ps -a --format '{{{{.Names}}}}' | grep -F {0}- | grep -F -- -exec-
         ls .kamal/apps/{0}/env/roles | grep -F exec; ps -eo stat=,comm= | grep -E '^[^Z ]+ +(yes|sleep|docker)$'",
        project.service
    );
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        let left = server.run(&find).stdout;
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "left on {}:\n{left}", server.name);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a shell command line that uses `bowline`.
fn shell(project: &Project, line: &str) -> bowline_tests::sandbox::Ran {
    let bowline = project.command(&[]);
    let mut shell = Command::new("bash");
    shell.args(["-c", line]).current_dir(project.path()).env("BOWLINE", bowline.get_program());
    shell.envs(bowline.get_envs().filter_map(|(name, value)| Some((name, value?))));
    run(&mut shell)
}

#[test]
fn s12_once_for_each_role_on_each_server_with_its_env_volumes_and_options() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "exec");
    let (all, second) = (lease.addresses(), [lease[1].address.as_str()]);
    let worker = "cmd: /app/server worker\nenv: {clear: {WHO: worker}}\n\
                  options: {hostname: special, restart: always, publish: '9000:9000'}";
    project.roles(&[("web", &all, ""), ("worker", &second, worker)]);
    project.set("env", "{clear: {WHO: everybody}, secret: [TOKEN]}").secret("TOKEN", "'a $secret'");
    project.set("volumes", "[/root/shared:/shared]");
    // Before the first deploy: no server has the image, the registry login or the network.
    sandbox.push_version(&project.service, &project.service, "v0", &[]);
    let ran = project.bowline(&[
        "app",
        "exec",
        "-q",
        "-p",
        "-r",
        "web",
        "--version",
        "v0",
        "sh -c 'echo $VERSION'",
    ]);
    assert_eq!(ran.ok(), "v0");
    project
        .bowline(&["app", "exec", "-p", "-r", "web", "--version", "v9", "true"])
        .exits(1)
        .says("could not be pulled")
        .says("v9");
    project.deploy("v1").ok();
    for server in lease.iter() {
        server.run(&format!("echo {} >shared/name", server.address)).ok();
    }
    let ask = r#"sh -c 'echo "$WHO $TOKEN $VERSION $MORE $(cat /shared/name)"; [ "$(hostname)" != special ] || exit 7'"#;
    let ran = project.bowline(&["app", "exec", "-e", "MORE=a b", ask]);
    ran.exits(7);
    let block = |host: &str, role: &str, who: &str| {
        format!("App Host: {host} ({role})\n{who} a $secret v1 a b {host}\n")
    };
    let expected = [
        block(all[0], "web", "everybody"),
        block(all[1], "web", "everybody"),
        block(all[1], "worker", "worker"),
    ];
    assert_eq!(ran.stdout.trim_end(), expected.join("\n").trim_end(), "{ran}");

    // In the running container: its environment and files, and one more variable.
    let ran = project.bowline(&[
        "app",
        "exec",
        "-q",
        "--reuse",
        "-r",
        "worker",
        "-e",
        "A=1",
        "--",
        "sh",
        "-c",
        "echo $WHO $A $KAMAL_HOST",
    ]);
    assert_eq!(ran.ok(), format!("worker 1 {}", all[1]));
    let ran = project.bowline(&["app", "exec", "--reuse", "--version", "v0", "true"]);
    ran.exits(1).says("no container of version v0 is running");

    for server in lease.iter() {
        nothing_left(&project, server);
    }

    // A detached container keeps running, and the output is its id.
    let ran = project.bowline(&["app", "exec", "--detach", "-r", "web", "sleep", "600"]);
    for server in lease.iter() {
        let id = server.run("docker ps -q --no-trunc --filter name=-exec-latest-");
        let id = id.ok();
        assert!(
            id.len() == 64 && ran.stdout.contains(&format!("App Host: {}\n{id}\n", server.address)),
            "{ran}"
        );
    }
    project.bowline(&["app", "exec", "--detach", "--reuse", "true"]).exits(2).says("can't be used together");
}

#[test]
fn s12_raw_output_is_the_same_byte_for_byte_and_never_piles_up() {
    let (project, lease) = deployed("exec-raw");
    // 200 MB. The remote side reports the checksum of what it sent.
    let script =
        "mkfifo /tmp/f; sha256sum </tmp/f >&2 & head -c 200000000 /dev/urandom | tee /tmp/f; wait; exit 5";
    let mut command = project.command(&["app", "exec", "--raw", "--reuse", "sh", "-c", script]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut sum = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut from, mut to) = (child.stdout.take().unwrap(), sum.stdin.take().unwrap());
    let (mut buffer, mut bytes, mut peak) = (vec![0; 1 << 16], 0, 0);
    // Nothing reads the output for a while.
    std::thread::sleep(Duration::from_secs(1));
    loop {
        let count = from.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        to.write_all(&buffer[..count]).unwrap();
        bytes += count;
        if bytes % (1 << 20) < count {
            peak = peak.max(process::most_memory(child.id()).unwrap_or(0));
        }
    }
    drop(to);
    let mut sent = String::new();
    child.stderr.take().unwrap().read_to_string(&mut sent).unwrap();
    let received = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!((bytes, received), (200_000_000, sent));
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!((1..64 << 20).contains(&peak), "{peak} bytes at most");

    // When the reader closes the pipe, the command ends silently, in a new container too.
    for reuse in ["", "--reuse"] {
        let ran = shell(
            &project,
            &format!("\"$BOWLINE\" app exec --raw {reuse} yes | head -c 4; echo ${{PIPESTATUS[0]}}"),
        );
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("y\ny\n141\n", ""), "{ran}");
        nothing_left(&project, &lease[0]);
    }
    // Raw output needs exactly one container. Input that the command doesn't read stays in the pipe.
    let address = &lease[0].address;
    let mut both = Project::new(Sandbox::get(), &lease, "exec-raw-two");
    both.roles(&[("web", &[address], ""), ("worker", &[address], "")]);
    both.bowline(&["app", "exec", "--raw", "true"]).exits(2).says("would run in 2").says("--roles");
    let ran = shell(&project, "echo unread | ( \"$BOWLINE\" app exec --raw -- sh -c 'cat; echo end'; cat )");
    assert_eq!(ran.ok(), "end\nunread");
}

#[test]
fn s12_interactive_passes_everything_on_and_leaves_nothing_behind() {
    let (project, lease) = deployed("exec-tty");
    let server = &lease[0];
    for reuse in [None, Some("--reuse")] {
        through_a_pipe(&project, reuse);
        at_a_terminal(&project, server, reuse);
        killed(&project, server, reuse);
    }
    interrupted(&project, server);
    // The terminal is restored when the connection breaks, too.
    let mut terminal = Terminal::start(&project.command(&["app", "exec", "-i", "--reuse", "sh"]), 80, 24);
    terminal.wait_for("# ");
    let _broken = server.without_sshd();
    terminal.wait_for("the connection was lost");
    assert_eq!(terminal.exit_code(), Some(4));
}

/// Sends a file with all byte values through the command and back.
fn through_a_pipe(project: &Project, reuse: Option<&str>) {
    let all: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
    std::fs::write(project.path().join("all"), &all).unwrap();
    let reuse = reuse.unwrap_or_default();
    let line = format!("\"$BOWLINE\" app exec -i {reuse} -- sh -c 'tty; cat; exit 3' <all >back; echo $?");
    assert_eq!(shell(project, &line).ok(), "3");
    let back = std::fs::read(project.path().join("back")).unwrap();
    assert!(back.strip_prefix(b"not a tty\n") == Some(&all[..]), "{} bytes", back.len());
}

fn shell_at_a_terminal(project: &Project, reuse: Option<&str>) -> Terminal {
    let args: Vec<&str> = ["app", "exec", "-i"].into_iter().chain(reuse).chain(["sh"]).collect();
    let mut terminal = Terminal::start(&project.command(&args), 97, 31);
    terminal.wait_for("# ");
    terminal
}

fn wait_for_sleep(server: &Server) {
    let sleeps = || server.run("pgrep -x sleep -a | grep -w 60[0-9]").code == Some(0);
    wait_until("the command runs", Duration::from_secs(20), sleeps);
}

/// Window size and its changes, Ctrl-C, exit code.
fn at_a_terminal(project: &Project, server: &Server, reuse: Option<&str>) {
    let mut terminal = shell_at_a_terminal(project, reuse);
    terminal.keys("stty size; echo $VERSION\r").wait_for("\r\n31 97\r\nv1\r\n");
    terminal.resize(60, 20).keys("until stty size | grep '20 60'; do :; done\r").wait_for("\r\n20 60\r\n");
    terminal.keys("sleep 602\r");
    wait_for_sleep(server);
    terminal.keys("\x03").wait_for("# ").keys("echo status $?\r").wait_for("status 130\r\n");
    terminal.keys("exit 5\r");
    assert_eq!(terminal.exit_code(), Some(5));
    nothing_left(project, server);
}

/// Kills Bowline, which then can't clean up. The remote command ends all the same.
fn killed(project: &Project, server: &Server, reuse: Option<&str>) {
    let mut terminal = shell_at_a_terminal(project, reuse);
    terminal.keys("trap exit HUP; sleep 603\r");
    wait_for_sleep(server);
    terminal.kill();
    nothing_left(project, server);
}

/// Interrupts a command whose output is only collected.
fn interrupted(project: &Project, server: &Server) {
    // The command handles the hangup, which not every program does.
    let command = "trap 'exit 0' HUP; sleep 601 & wait";
    let mut running = project.spawn(&["app", "exec", "--", "sh", "-c", command]);
    wait_for_sleep(server);
    running.signal("INT");
    running.wait_for("interrupted", Duration::from_secs(20));
    running.wait(Duration::from_secs(5)).exits(130);
    nothing_left(project, server);
}
