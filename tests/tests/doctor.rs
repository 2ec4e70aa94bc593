//! `doctor`: its findings on healthy and on faulty projects and servers, and that it changes nothing.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::time::Duration;

use bowline_tests::project::Project;
use bowline_tests::sandbox::{Sandbox, Server, run, wait_until};

/// Everything on a server that a command could change: Docker's objects, and files in home directories.
fn state(server: &Server) -> String {
    let ran = server.run(
        "docker container ls -a --no-trunc --format '{{.ID}} {{.Names}} {{.State}}' | sort
         docker images --no-trunc --format '{{.ID}} {{.Repository}}:{{.Tag}}' | sort
         docker network ls --format '{{.Name}}' | sort
         docker volume ls --format '{{.Name}}' | sort
         find /root /home/deploy /tmp -xdev ! -path '*/.cache*' \\( -type d -printf '%p d\n' -o -printf '%p %y %s %T@\n' \\) | sort",
    );
    ran.ok().to_owned()
}

/// Everything in the project and its home directory that a command could change.
fn files(project: &Project) -> String {
    let mut find = std::process::Command::new("find");
    find.current_dir(project.path()).args([
        ".",
        "-path",
        "./.git",
        "-prune",
        "-o",
        "-printf",
        "%p %y %s %T@\n",
    ]);
    run(&mut find).ok().to_owned()
}

/// A program that occupies port 80 until this is dropped.
struct Squatter<'a>(&'a Server);

impl<'a> Squatter<'a> {
    fn new(server: &'a Server) -> Self {
        let listens = "$s = IO::Socket::INET->new(LocalPort => 80, Listen => 1) or die; sleep 600";
        server.run(&format!("nohup perl -MIO::Socket::INET -e '{listens}' >/dev/null 2>&1 &")).ok();
        wait_until("a taken port", Duration::from_secs(20), || {
            server.run("grep -q ':0050 .* 0A ' /proc/net/tcp").code == Some(0)
        });
        Self(server)
    }
}

impl Drop for Squatter<'_> {
    fn drop(&mut self) {
        let _ = self.0.run("pkill -x perl");
    }
}

#[test]
fn a_healthy_project_has_no_problems_and_nothing_is_changed() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let mut project = Project::proxied(sandbox, &lease, "healthy");
    let all = lease.addresses();
    project.roles(&[("web", &all[..1], ""), ("worker", &all[1..], "cmd: sleep 1000")]);
    project.commit();
    // Before the first deploy.
    let before = (state(&lease[0]), state(&lease[1]), files(&project));
    let ran = project.run_as_is(&["doctor"]);
    ran.exits(0).says("no problems").never_says("problem  ");
    ran.says("git ").says("1 secret has a value").says("port 80 is free").says("port 443 is free");
    ran.says("accepts the login from this machine")
        .says(&format!("all 2 servers: {} accepts", sandbox.registry));
    ran.says(&format!("root@{} logs in with {}", all[0], sandbox.ssh_key.display()))
        .says("host key ssh-ed25519");
    ran.says("MaxSessions 10")
        .says("Docker 26")
        .says("the clock agrees")
        .says("no deploy lock")
        .says("no leftovers");
    ran.says("no kamal-proxy yet").says(&format!("{} does not resolve", project.host()));
    assert_eq!((state(&lease[0]), state(&lease[1]), files(&project)), before);

    // After the first deploy.
    project.deploy("v1").ok();
    let before = (state(&lease[0]), state(&lease[1]), files(&project));
    let ran = project.run_as_is(&["doctor"]);
    ran.exits(0).says("port 80 is used by the container kamal-proxy").says("kamal-proxy runs bowline-proxy:");
    let json = project.run_as_is(&["doctor", "--json", "-h", all[1]]);
    json.exits(0).says(r#""event":"finding""#).says(&format!(r#""host":"{}""#, all[1]));
    json.never_says(&format!(r#""host":"{}""#, all[0]));
    json.says(r#"{"event":"ended","status":0}"#);
    let quiet = project.run_as_is(&["doctor", "-q"]);
    quiet.exits(0).never_says("  ok  ");
    assert_eq!((state(&lease[0]), state(&lease[1]), files(&project)), before);
}

#[test]
fn what_is_broken_is_a_problem_with_its_fix_and_the_others_are_examined() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(3);
    let all: Vec<String> = lease.addresses().into_iter().map(Into::into).collect();
    let mut project = Project::proxied(sandbox, &lease, "broken");
    project.without_registry();
    project.commit();

    // First server: port 80 is taken, forwarding is forbidden, the disk is full.
    let _forwarding = lease[0].without_forwarding();
    let _squatter = Squatter::new(&lease[0]);
    lease[0].with_small_disk();
    let _full = lease[0].without_blocks();
    // Second server: the lock is held.
    project.bowline(&["lock", "acquire", "-m", "maintenance", "-h", &all[1]]).ok();
    let _gone = lease[2].without_sshd();

    let ran = project.run_as_is(&["doctor"]);
    ran.exits(1).says(&format!("{}: port 80 is taken by perl", all[0]));
    ran.says(&format!("{}: sshd doesn't forward connections: each deploy sends the whole image", all[0]));
    ran.says("AllowTcpForwarding").says(&format!("{}: full: 0 kB free", all[0]));
    ran.says(&format!("{}: the deploy lock is held (Locked by: ", all[1])).says("Message: maintenance");
    ran.says(&format!("bowline lock release -h {}", all[1]));
    ran.says(&format!("{}: could not connect: ", all[2])).says("is sshd running on port 22?");
    ran.says("no registry: servers get the image from this machine");
    ran.says(&format!("{}, {}: Docker 26", all[0], all[1]));
    project.bowline(&["lock", "release", "-h", &all[1]]).ok();
}

#[test]
fn a_wrong_user_missing_secrets_and_names_that_lead_nowhere_are_found() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::proxied(sandbox, &lease, "astray");
    let ssh = project.section("ssh").replace("root", "deploy");
    project.set("ssh", &ssh).forget_secret("KAMAL_REGISTRY_PASSWORD");
    let certified = project.section("proxy").replace("app_port", "ssl: true\n  app_port");
    project.set("proxy", &certified);
    project.set(
        "servers",
        &format!("\n  web: {{hosts: [{}]}}\n  far: {{hosts: [nowhere.invalid], cmd: x}}", lease[0].address),
    );
    project.hook("pre-deploy.sh", "#!/bin/sh\n");
    project.write(".kamal/hooks/post-deploy", "#!/bin/sh\n");
    project.commit();
    let _lonely = lease[0].without_group();
    let ran = project.run_as_is(&["doctor"]);
    ran.exits(1).says("deploy may not use Docker").says("bowline server bootstrap");
    ran.says("KAMAL_REGISTRY_PASSWORD").says(".kamal/secrets");
    ran.says("does not resolve, so it gets no certificate")
        .says("the name nowhere.invalid can't be resolved");
    ran.says(".kamal/hooks/pre-deploy.sh never runs: hooks have no extension");
    ran.says("the hook .kamal/hooks/post-deploy is not executable").says("chmod +x .kamal/hooks/post-deploy");
}

#[test]
fn half_a_project_is_told_what_to_run_next() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let project = Project::proxied(sandbox, &lease, "half");
    let ran = project.run_as_is(&["doctor"]);
    ran.exits(1).says("git ").says("there is no configuration at config/deploy.yml").says("bowline init");
    project.write("config/deploy.yml", "service: a\nimage: b\nservers: [x\nproxy: {}\n");
    project.run_as_is(&["doctor"]).exits(1).says("config/deploy.yml:").says("git ").says("1 problem");
}

/// Traefik's certificate storage for the resolver `le`, with two certificates. The second one expires soon.
fn storage(project: &Project) -> String {
    let made = "\
        pack() { base64 < \"$1\" | tr -d '\\n'; }
        certificate() {
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj \"/CN=$1\" -days \"$2\" \\
                -keyout \"$1.key\" -out \"$1.pem\" 2>/dev/null || exit 1
            printf '{\"domain\": {\"main\": \"%s\"}, \"certificate\": \"%s\", \"key\": \"%s\", \"Store\": \"default\"}' \\
                \"$1\" \"$(pack \"$1.pem\")\" \"$(pack \"$1.key\")\"
        }
        printf '{\"le\": {\"Account\": null, \"Certificates\": [%s, %s]}}' \"$(certificate fresh.test 60)\" \"$(certificate late.test 5)\"";
    run(std::process::Command::new("sh").current_dir(project.home()).args(["-c", made])).ok().to_owned()
}

#[test]
fn the_certificates_of_traefik_are_shown_and_a_router_without_one_is_a_problem() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "acme");
    let text = storage(&project);
    server
        .run(&format!(
            "rm -rf acme && mkdir -m 700 acme && umask 77 && printf '%s' '{text}' > acme/acme.json"
        ))
        .ok();
    let traefik = format!(
        "{}\n  args: {{certificatesResolvers.le.acme.storage: /kept/acme.json, certificatesResolvers.le.acme.tlsChallenge: true}}\n  \
         options: {{volume: [\"/root/acme:/kept\"]}}",
        project.section("traefik")
    );
    let router = format!("traefik.http.routers.{}-web", project.service);
    let labels = |hosts: &str| format!("\n  {router}.rule: {hosts}\n  {router}.tls.certresolver: le");
    project.set("traefik", &traefik).set("labels", &labels("Host(`fresh.test`)"));
    project.deploy("v1").ok();
    project.commit();
    let before = state(server);
    let ran = project.run_as_is(&["doctor"]);
    assert_eq!(state(server), before);
    ran.exits(0).says("the certificate of fresh.test ends in 59 days");
    ran.says("the certificate of late.test ends in 4 days").says("bowline traefik logs");
    project.set("labels", &labels("Host(`fresh.test`) || Host(`none.test`)"));
    project.deploy("v2").ok();
    project.commit();
    let ran = project.run_as_is(&["doctor"]);
    ran.exits(1).says(&format!(
        "there is no certificate of none.test, which the router {}-web needs from the resolver le",
        project.service
    ));
    server.run("rm -r acme").ok();
}
