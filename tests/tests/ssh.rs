//! Connections to servers: host keys, users, a jump host, distance.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use bowline_tests::delay::Delay;
use bowline_tests::expect;
use bowline_tests::project::{Project, wait_for_version};
use bowline_tests::rollout::{Visitors, under_load};
use bowline_tests::sandbox::{Sandbox, run};

#[test]
fn a_new_server_s_key_is_accepted_once_and_a_changed_one_never() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let project = Project::new(sandbox, &lease, "keys");
    let known = project.home().join(".ssh/known_hosts");
    fs::remove_file(&known).unwrap();
    project.bowline(&["app", "version"]);
    let text = fs::read_to_string(&known).unwrap();
    for server in lease.iter() {
        assert!(text.contains(&server.address), "{text}");
    }
    // The second server's key is recorded for the first one, as if another machine answered.
    let swapped: String = text
        .lines()
        .map(|line| {
            let (name, key) = line.split_once(' ').unwrap();
            let other = if name.contains(lease[0].address.as_str()) { &lease[1] } else { &lease[0] };
            format!("{} {key}\n", other.address)
        })
        .collect();
    fs::write(&known, &swapped).unwrap();
    let ran = project.bowline(&["deploy", "--version", "v1"]);
    ran.exits(4).says("key").says(&lease[0].address).says(&lease[1].address).says("hint:");
    assert_eq!(fs::read_to_string(&known).unwrap(), swapped, "it is not quietly overwritten");
    for server in lease.iter() {
        expect::untouched(&project, server);
    }
}

#[test]
fn a_key_that_is_a_secret_lets_in_and_is_never_shown_or_written_down() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::new(sandbox, &lease, "key-data");
    let key = fs::read_to_string(&sandbox.ssh_key).unwrap();
    let inside = key.lines().nth(2).unwrap();
    project.set("ssh", "{keys_only: true, key_data: [DEPLOY_KEY]}");
    project.bowline(&["lock", "status"]).says("no secrets file defines `DEPLOY_KEY`").exits(2);
    project.secret("DEPLOY_KEY", &format!("'{key}'"));
    project.bowline(&["lock", "acquire", "-m", "by its own key", "-v"]).never_says(inside).ok();
    assert!(lease[0].has(&format!("/root/.kamal/lock-{}", project.service)));
    project.bowline(&["config"]).says("secret DEPLOY_KEY").never_says(inside).ok();
    let kept = run(Command::new("grep").arg("-rlF").args([inside, "--"]).arg(project.path()));
    assert_eq!(kept.ok(), project.path().join(".kamal/secrets").to_str().unwrap());
    project.secret("DEPLOY_KEY", "nonsense");
    project.bowline(&["lock", "status"]).says("the secret DEPLOY_KEY (not a supported private key").exits(4);
}

#[test]
fn a_user_who_is_not_root_deploys_as_well_and_loses_nothing() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "not-root");
    project.set(
        "ssh",
        &format!("\n  user: deploy\n  keys_only: true\n  keys:\n    - {}", sandbox.ssh_key.display()),
    );
    project.build_arg("ON_TERM", "exit");
    project.deploy("v1").ok();
    wait_for_version(server, "v1");
    let visitors = Visitors::new(vec![server.url("/version")], 2, 2000);
    under_load(&visitors, "v1", "v2", || project.deploy("v2")).assert_clean(2000);
    expect::runs(&project, server, &[("web", "v2")]);
    assert!(
        server.has("/home/deploy/.kamal") && !server.has("/root/.kamal"),
        "its files lie in its own home"
    );
    assert_eq!(server.run("ls -d /home/deploy/.kamal/lock-* 2>/dev/null").stdout, "");
}

#[test]
fn a_jump_host_leads_to_a_server() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::new(sandbox, &lease, "jump");
    project.set("servers", &format!("\n  - {}", lease[1].address)).set(
        "ssh",
        &format!(
            "\n  proxy: root@{}\n  keys_only: true\n  keys:\n    - {}",
            lease[0].address,
            sandbox.ssh_key.display()
        ),
    );
    lease[1].run(": >/var/log/sshd.log").ok();
    project.deploy("v1").ok();
    expect::runs(&project, &lease[1], &[("web", "v1")]);
    let came = lease[1].run("grep -ao 'Accepted publickey for root from [^ ]*' /var/log/sshd.log | sort -u");
    assert_eq!(came.ok(), format!("Accepted publickey for root from {}", lease[0].address));
    expect::runs(&project, &lease[0], &[]);
}

#[test]
fn a_deploy_over_a_distance_of_a_hundred_milliseconds_takes_few_round_trips() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "far");
    let target = format!("{}:22", server.address).parse().unwrap();
    let line = Delay::start("127.0.0.2:0".parse().unwrap(), target, Duration::from_millis(50)).unwrap();
    project.set("servers", "\n  - 127.0.0.2").set(
        "ssh",
        &format!(
            "\n  port: {}\n  keys_only: true\n  keys:\n    - {}",
            line.address().port(),
            sandbox.ssh_key.display()
        ),
    );
    // Keepalives on a slow machine would add round trips.
    project.set("timeouts", "\n  silence: 300");
    project.deploy("v1").ok();
    project.deploy("v2").ok();
    expect::runs(&project, server, &[("web", "v2")]);
    // The first deploy takes 20 round trips, and the second 22, because it retires a container. A busy machine needs
    // up to 26, when data that usually arrives together arrives separately.
    assert!((15..=30).contains(&line.trips()), "{} round trips", line.trips());
}
