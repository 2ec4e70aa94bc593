//! Building without deploying: the clone of the last commit, the build's inputs, pushing and pulling, the registry.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bowline_tests::expect;
use bowline_tests::project::{Project, wait_for_version};
use bowline_tests::sandbox::{Sandbox, Server, run, wait_until};
use bowline_tests::spy::Spy;

/// A project whose image contains the sources and arguments it was built from.
fn project(sandbox: &Sandbox, lease: &bowline_tests::sandbox::Lease) -> Project {
    let mut project = Project::new(sandbox, lease, "build");
    let temporary = project.home().join("tmp");
    project.env("TMPDIR", temporary.to_str().unwrap());
    let base = &sandbox.app_base;
    let dockerfile = format!(
        "FROM {base} AS whole\nARG WORD\nCOPY . /from\nRUN echo \"$WORD\" > /word\n\nFROM whole\nRUN exit 1\n"
    );
    project.write("Dockerfile", &dockerfile);
    project.write("said", "committed");
    project.set("builder", "\n  target: whole\n  args: {WORD: 'a \"b\" $c ${TMPDIR}'}");
    project.commit();
    project
}

/// The output of a command in a new container of the image.
fn inside(server: &Server, image: &str, command: &str) -> String {
    server.ssh(&format!("docker run --rm {image} {command}")).ok().to_owned()
}

#[test]
fn what_is_committed_is_built_pushed_and_pulled_and_nothing_else() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let project = project(sandbox, &lease);
    let head = || {
        let mut git = Command::new("git");
        run(git.args(["rev-parse", "HEAD"]).current_dir(project.path())).ok().trim().to_owned()
    };
    project.write("said", "not committed");
    project.write("extra", "");
    let image = project.image(&head());
    let ran = project.bowline(&["build", "push"]);
    ran.says("without these uncommitted changes: M said, ?? extra").says(&image).ok();
    let containers = server.ssh("docker images -q").stdout;
    assert!(!containers.contains(&head()), "a push is nothing to servers");

    project.bowline(&["build", "pull"]).says(&format!("pulled {image}")).ok();
    assert_eq!(inside(server, &image, "cat /from/said"), "committed");
    assert_eq!(inside(server, &image, "ls /from"), "Dockerfile\napp\nconfig\nsaid");
    let word = format!("a \"b\" $c {}", project.home().join("tmp").display());
    assert_eq!(inside(server, &image, "cat /word"), word);

    project.commit();
    let image = project.image(&head());
    project.bowline(&["build", "deliver"]).says(&format!("pulled {image}")).ok();
    assert_eq!(inside(server, &image, "cat /from/said"), "not committed", "the clone was brought up to date");
    let clones = fs::read_dir(project.home().join(".cache/bowline/clones")).unwrap();
    let clones = clones.filter(|entry| entry.as_ref().unwrap().file_type().unwrap().is_dir());
    assert_eq!(clones.count(), 1, "one clone is kept");

    project.write("said", "tried out");
    let ran = project.bowline(&["build", "dev"]);
    ran.says("files with uncommitted changes will be in the image: said").ok();
    let listed = run(Command::new("docker").args([
        "image",
        "ls",
        "--format",
        "{{.Repository}}:{{.Tag}}",
        &project.image("*"),
    ]));
    let dirty =
        listed.ok().lines().find(|image| image.ends_with("-dirty") || image.contains("_uncommitted_"));
    let said = run(Command::new("docker").args(["run", "--rm", dirty.unwrap(), "cat", "/from/said"]));
    assert_eq!(said.ok(), "tried out");
}

#[test]
fn the_registry_is_logged_in_to_and_out_of_here_and_on_servers() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let project = Project::new(sandbox, &lease, "registry");
    let here = || fs::read_to_string(project.home().join(".docker/config.json")).unwrap_or_default();
    let there = || lease[0].ssh("cat .docker/config.json").stdout;
    let knows = |config: &str| config.contains(&sandbox.registry);
    project.bowline(&["registry", "login", "-R"]).says("this machine").ok();
    assert_eq!((knows(&here()), knows(&there())), (true, false));
    project.bowline(&["registry", "setup", "-L"]).says(lease[0].address.as_str()).ok();
    assert!(knows(&there()));
    project.bowline(&["registry", "logout"]).says("logged out").ok();
    assert_eq!((knows(&here()), knows(&there())), (false, false));
}

/// A secret that only the step that mounts it may see.
const SENTINEL: &str = "sentinel-7b41c0 $x 'y'";

struct Agent(Child);

impl Agent {
    fn start(project: &mut Project) -> Self {
        let socket = project.home().join("agent");
        let mut agent = Command::new("ssh-agent");
        let child = agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        wait_until("the agent", Duration::from_secs(5), || socket.exists());
        project.env("SSH_AUTH_SOCK", socket.to_str().unwrap());
        Self(child)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_real_buildx_gets_all_that_is_configured_and_what_it_built_is_deployed() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "real");
    let _agent = Agent::start(&mut project);
    project.with_buildx().secret("TOKEN", &format!("\"{}\"", SENTINEL.replace('$', "\\$")));
    let base = &sandbox.app_base;
    let dockerfile = format!(
        "FROM {base} AS app\nARG VERSION WORD\nENV VERSION=${{VERSION}}\n\
         RUN --mount=type=secret,id=TOKEN --mount=type=ssh \\\n  \
           test -S \"$SSH_AUTH_SOCK\" && wc -c </run/secrets/TOKEN >/bytes && echo \"$WORD\" >/word\n\
         RUN /app/bake \"${{VERSION}}\"\nEXPOSE 3000\nCMD [\"/app/server\"]\n\n\
         FROM app AS fails\nRUN seq 1 50 && echo last words >&2 && exit 3\n"
    );
    project.write("docker/web.Dockerfile", &dockerfile);
    let builder = |target: &str, args: &str| {
        format!(
            "\n  driver: docker\n  context: .\n  dockerfile: docker/web.Dockerfile\n  target: {target}\n  ssh: default\n  \
             secrets: [TOKEN]\n  arch: amd64\n  args: {{VERSION: v1, WORD: 'a \"b\" $c'}}{args}"
        )
    };
    project.set("builder", &builder("app", ""));
    let spy = Spy::on(&SENTINEL[..14], &lease, project.path(), &[".kamal/secrets", "docker-buildx"]);
    let ran = project.bowline(&["deploy", "-v", "--version", "v1"]);
    ran.says("building with \"default\" instance using docker driver").never_says(&SENTINEL[..14]).ok();
    assert_eq!(spy.stop(), [""; 0]);
    wait_for_version(server, "v1");
    let image = project.image("v1");
    let length = (SENTINEL.len()).to_string();
    assert_eq!(inside(server, &image, "cat /bytes /word"), format!("{length}\na \"b\" $c"));
    let history = format!("docker history --no-trunc {image}; docker inspect {image}");
    assert!(!server.ssh(&history).ok().contains(&SENTINEL[..14]));
    project.bowline(&["build", "details"]).says("Builder: local\n").says("docker").ok();
    project.bowline(&["build", "create"]).says("this project needs no builder").ok();

    // The output of the failed step is repeated after the error, without the steps before it.
    project.set("builder", &builder("fails", ""));
    let ran = project.bowline(&["deploy", "--version", "v2"]);
    ran.exits(1);
    let told = ran.stderr.split_once("error: build failed\n").unwrap().1;
    assert!(told.trim_start().starts_with("------\n   > [fails"), "{told}");
    assert!(
        told.contains("last words") && told.contains("exit code: 3") && !told.contains("CACHED"),
        "{told}"
    );
    expect::runs(&project, server, &[("web", "v1")]);
    expect::unlocked(&project, server);

    project.set("builder", &builder("app", "\n  provenance: true"));
    let ran = project.bowline(&["build", "push", "--version", "v2"]);
    ran.says("Attestation is not supported").says("driver: docker-container").exits(1);
}

#[test]
fn builders_are_made_looked_at_and_removed_by_the_real_buildx() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::new(sandbox, &lease, "builders");
    project.with_buildx();
    let docker = |project: &Project, line: &str| {
        let mut docker = Command::new("docker");
        run(docker.args(line.split(' ')).env("HOME", project.home()).env_remove("DOCKER_HOST")).stdout
    };
    let address = "unix:///var/run/docker.sock";
    // A `unix:` address replaces a machine reachable by SSH. buildx treats its context the same way.
    for (builder, name, nodes) in [
        ("driver: docker-container, arch: [amd64, arm64]", "kamal-local-docker-container", 1),
        (
            &*format!("driver: docker-container, arch: [amd64, arm64], remote: '{address}'"),
            "kamal-hybrid-docker-container-unix----var-run-docker-sock",
            2,
        ),
        (
            &*format!("arch: amd64, local: false, remote: '{address}'"),
            "kamal-remote-unix----var-run-docker-sock",
            1,
        ),
    ] {
        project.set("builder", &format!("{{{builder}}}"));
        project.bowline(&["build", "create"]).says(&format!("created the builder {name}")).ok();
        project.bowline(&["build", "create"]).says("already exists").ok();
        let inspected = docker(&project, &format!("buildx inspect {name}"));
        assert_eq!(inspected.matches("Endpoint:").count(), nodes, "{inspected}");
        project.bowline(&["build", "details"]).says(&format!("({name})")).ok();
        if nodes == 2 {
            // Its context has another address, so the builder is created again.
            let context = format!("context update {name}-context --docker host=tcp://elsewhere:1");
            docker(&project, &context);
            project.bowline(&["build", "create"]).says(&format!("created the builder {name}")).ok();
        }
        project.bowline(&["build", "remove"]).says(&format!("removed the builder {name}")).ok();
        project.bowline(&["build", "remove"]).says(&format!("there is no builder {name}")).ok();
        assert!(!docker(&project, "context ls").contains(name));
    }
}

/// Puts the test's own `docker` first in `PATH`.
fn stand_in(project: &mut Project, script: &str) {
    project.write("home/bin/docker", script);
    let docker = project.home().join("bin/docker");
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", docker.parent().unwrap().display(), std::env::var("PATH").unwrap());
    project.env("PATH", &path);
}

/// A fake `docker` with buildx that records its arguments and the secret's value.
const STAND_IN: &str = r#"#!/bin/sh
cat > /dev/null
echo "$* TOKEN=$TOKEN" >> "$LOG"
case "$*" in
  *'{{.Server.Arch}}'*) echo amd64 ;;
  'buildx inspect'*) [ -e "$LOG.made" ] || { echo 'no builder found' >&2; exit 1; } ;;
  'buildx create'*) touch "$LOG.made" ;;
  'buildx rm'*) [ -e "$LOG.made" ] || { echo 'no builder found' >&2; exit 1; }; rm "$LOG.made" ;;
  'buildx build'*) echo 'step 1 of 2'; [ ! -e fails ] || { echo 'step 2: exec format error' >&2; exit 1; } ;;
esac
"#;

#[test]
fn a_build_with_buildx_gets_its_secrets_by_name_and_a_failure_shows_its_words() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::new(sandbox, &lease, "buildx");
    stand_in(&mut project, STAND_IN);
    let log = project.path().join("log");
    project.env("LOG", log.to_str().unwrap()).secret("TOKEN", "sentinel-1");
    let builder = "\n  context: app\n  dockerfile: app/Dockerfile\n  arch: [amd64, arm64]\n  secrets: [TOKEN]\n  \
                   driver: docker-container\n  cache: {type: registry, options: mode=max}";
    project.set("builder", builder);
    let ran = project.bowline(&["build", "push", "--version", "v1", "-v", "--no-cache"]);
    ran.says("step 1 of 2")
        .says("$ docker buildx build '--output=type=registry'")
        .never_says("sentinel-1")
        .ok();
    let called = fs::read_to_string(&log).unwrap();
    let name = "kamal-local-docker-container";
    let create = format!("buildx create --name {name} --driver=docker-container TOKEN=\n");
    assert!(called.contains(&create), "{called}");
    let image = project.image("v1");
    let cache = format!("type=registry,ref={}/{}-build-cache", sandbox.registry, project.service);
    let build = format!(
        "buildx build --output=type=registry --platform linux/amd64,linux/arm64 --builder {name} -t {image} -t {} \
         --cache-to {cache},mode=max --cache-from {cache} --label service={} --secret id=TOKEN --file app/Dockerfile \
         --no-cache app TOKEN=sentinel-1\n",
        project.image("latest"),
        project.service,
    );
    assert!(called.contains(&build), "{called}");
    assert_eq!(called.matches("sentinel-1").count(), 1, "{called}");

    project.write("fails", "");
    let ran = project.bowline(&["build", "push", "--version", "v2"]);
    ran.says("step 2: exec format error").says("builder: {remote: ssh://").exits(1);
    project.bowline(&["build", "details"]).says(&format!("Builder: local ({name})")).ok();
    project.bowline(&["build", "remove"]).says("removed the builder").ok();
    project.bowline(&["build", "create"]).says("created the builder").ok();
}

/// Runs the sandbox's registry image, under a name of this test, in place of Docker's. Passes the rest to Docker.
const OWN_REGISTRY: &str = r#"#!/bin/sh
case "$*" in
  'start kamal-docker-registry') exit 1 ;;
  run*kamal-docker-registry*) exec "$REAL" run --detach -p "$4" --name "$NAME" -v "$CONFIG:/config.yml:ro" \
    --entrypoint docker-registry "$IMAGE" serve /config.yml ;;
  'rm '*' kamal-docker-registry') exec "$REAL" rm --force --volumes "$NAME" ;;
  *) exec "$REAL" "$@" ;;
esac
"#;

struct OwnRegistry(String);

impl Drop for OwnRegistry {
    fn drop(&mut self) {
        let _ = run(Command::new("docker").args(["rm", "-fv", &self.0]));
    }
}

#[test]
fn a_deploy_needs_no_registry_but_one_on_this_machine() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let mut project = Project::new(sandbox, &lease, "own");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let registry = OwnRegistry(format!("{}-registry", project.service));
    let real = run(Command::new("sh").args(["-c", "command -v docker"])).ok().trim().to_owned();
    stand_in(&mut project, OWN_REGISTRY);
    // Servers still pull Traefik's image from the sandbox's registry.
    project.bowline(&["registry", "login", "-L"]).ok();
    let image = run(Command::new("docker").args(["inspect", "-f", "{{.Config.Image}}", &lease[0].name]));
    let config = "version: 0.1\nhttp: {addr: ':5000'}\nstorage: {filesystem: {rootdirectory: /registry}}\n";
    project.write("home/registry.yml", config);
    let config = project.home().join("registry.yml");
    project.env("REAL", &real).env("NAME", &registry.0).env("IMAGE", image.ok().trim());
    project.env("CONFIG", config.to_str().unwrap());
    project.set("registry", &format!("{{server: 'localhost:{port}'}}"));
    let ran = project.deploy("v1");
    let image = |tag: &str| format!("localhost:{port}/{}:{tag}", project.service);
    let _ = run(Command::new("docker").args(["rmi", "-f", &image("v1"), &image("latest")]));
    ran.ok();
    wait_for_version(&lease[0], "v1");
    let open = lease[0].ssh(&format!("ss -tln | grep -c ':{port} '")).stdout;
    assert_eq!(open.trim(), "0", "the port is lent no longer");
    project.bowline(&["registry", "remove"]).ok();
    let left = run(Command::new("docker").args(["ps", "-aq", "--filter", &format!("name={}", registry.0)]));
    assert_eq!(left.ok(), "");
}
