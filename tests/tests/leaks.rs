//! Plants a unique word in every place that takes a secret, and checks that it appears in no output, log, command
//! line, file that others can read, image or Docker metadata, except where it belongs.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Lease, Ran, Sandbox, Server, run};
use bowline_tests::spy::{Spy, told_by_docker};

/// Files that define the secrets, and the fake programs, which contain them.
const KNOWN: &[&str] = &[".kamal/secrets", "bin/op", "bin/docker"];

/// Every place that takes a secret. The name is part of its word.
const PLACES: [&str; 11] =
    ["ROOT", "ALIAS", "PEM", "ROLE", "TAG", "TRAEFIK", "TOOL", "VAULT", "BUILD", "UNUSED", "TEMPLATE"];

struct Sown {
    project: Project,
    mark: String,
    registry_password: String,
}

/// A fake `docker` with buildx that takes long enough to be seen. Passes everything else to Docker.
const DOCKER: &str = r#"#!/bin/sh
case "$*" in
  'buildx version') echo v0 ;;
  'buildx inspect'*|'buildx create'*) ;;
  'buildx build'*)
    [ -n "$BUILD" ] || exit 9
    sleep 0.2
    shift 2
    for word; do
      shift
      case $word in --output=*|--secret|id=*|--builder|kamal-local-*) ;; *) set -- "$@" "$word" ;; esac
    done
    "$REAL" build -q "$@" && for image in $("$REAL" images --format '{{.Repository}}:{{.Tag}}' "$PUSHED"); do
      "$REAL" push -q "$image" || exit
    done ;;
  *) exec "$REAL" "$@" ;;
esac
"#;

impl Sown {
    fn new(sandbox: &Sandbox, lease: &Lease) -> Self {
        let mut project = Project::new(sandbox, lease, "leaks");
        let mark = format!("sentinel-{}-", project.service);
        let word = |place: &str| format!("{mark}{}", place.to_lowercase());
        let host = lease[0].address.as_str();
        let tagged = format!("{{{host}: blue}}");
        project.roles(&[
            ("web", &[&tagged], ""),
            ("worker", &[host], "cmd: /app/server worker\nenv: {secret: [ROLE]}"),
        ]);
        project.set("env", "\n  secret: [ROOT, 'NAMED:ALIAS', PEM, VAULT]\n  tags: {blue: {secret: [TAG]}}");
        let traefik = format!("{}\n  env: {{secret: [TRAEFIK]}}", project.section("traefik"));
        project.set("traefik", &traefik);
        let image = format!("{}:v1", project.service);
        project.set(
            "accessories",
            &format!(
                "\n  tool:\n    image: {image}\n    host: {host}\n    cmd: /app/server worker\n    options: {{restart: 'no'}}\n    registry: {{server: '{registry}', \
                 username: {user}, password: [TOOL_PASSWORD]}}\n    env: {{secret: [TOOL, TEMPLATE]}}\n    \
                 files: [{{local: config/tool.erb, remote: /etc/tool, mode: '0600'}}]",
                registry = sandbox.registry,
                user = sandbox.registry_user,
            ),
        );
        project.write("config/tool.erb", "token=<%= ENV['TEMPLATE'] %>\n");
        project.set(
            "builder",
            "\n  context: app\n  dockerfile: app/Dockerfile\n  driver: docker\n  secrets: [BUILD]\n  args: {VERSION: v1}",
        );
        for place in PLACES {
            project.secret(place, &word(place));
        }
        project.secret("PEM", &format!("'begin\n{}\nend'", word("PEM")));
        project.secret("TOOL_PASSWORD", &sandbox.registry_password);
        project.secret("A_VAULT", "$(kamal secrets fetch -a 1password --account acc --from Shop/app TOKEN)");
        project.secret("VAULT", "$(kamal secrets extract TOKEN $A_VAULT)");
        let mut sown = Self { project, mark, registry_password: sandbox.registry_password.clone() };
        sown.stand_ins();
        sown
    }

    /// Installs a fake vault, a fake Docker with buildx, and hooks that check for their secrets.
    fn stand_ins(&mut self) {
        let (mark, project) = (&self.mark, &mut self.project);
        let answer =
            format!(r#"{{"label":"TOKEN","reference":"op://Shop/app/TOKEN","value":"{mark}vault"}}"#);
        project.write(
            "bin/op",
            &format!("#!/bin/sh\n[ \"$1 $2\" != 'item get' ] || echo '{answer}'\nsleep 0.1\n"),
        );
        project.write("bin/docker", DOCKER);
        for name in ["op", "docker"] {
            let path = project.path().join("bin").join(name);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for hook in ["pre-connect", "pre-deploy", "post-deploy"] {
            project.hook(hook, "#!/bin/sh\n[ -n \"$UNUSED\" ] && sleep 0.1 && echo the hook was here\n");
        }
        let real = run(std::process::Command::new("sh").args(["-c", "command -v docker"])).ok().to_owned();
        let path = format!("{}/bin:{}", project.path().display(), std::env::var("PATH").unwrap());
        let temporary = project.home().join("tmp");
        fs::create_dir_all(&temporary).unwrap();
        let pushed = project.image("*");
        project.env("REAL", &real).env("PUSHED", &pushed).env("PATH", &path);
        project.env("TMPDIR", temporary.to_str().unwrap());
    }

    fn spy(&self, lease: &Lease) -> Spy {
        Spy::on(&self.mark, lease, self.project.path(), KNOWN)
    }

    /// Runs a command, whose output must contain no secret.
    #[track_caller]
    fn quietly(&self, words: &[&str], code: i32) -> Ran {
        let ran = self.project.bowline(words);
        ran.exits(code).never_says(&self.mark).never_says(&self.registry_password);
        ran
    }

    /// The files on a server that contain secrets, each with its mode.
    fn files(&self, server: &Server) -> Vec<String> {
        let found = server
            .run(&format!("grep -rlF '{}' /root /tmp /home | xargs -r stat -c '%a %n' | sort", self.mark));
        found.ok().lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_secret_of_any_kind_reaches_its_place_and_is_seen_nowhere_else() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let sown = Sown::new(sandbox, &lease);
    let spy = sown.spy(&lease);
    let deploy = sown.quietly(&["deploy", "-v", "--version", "v1"], 0);
    deploy.says("the hook was here");
    // A label on the container has a hash of its configuration. The output must not show it, because short secrets
    // could be guessed from it.
    let made = expect::inspect(
        server,
        &sown.project.container("web", "v1"),
        "{{index .Config.Labels \"bowline.config\"}}",
    );
    let (_, hash) = made.split_once('-').unwrap();
    deploy.never_says(hash);
    sown.quietly(&["accessory", "boot", "tool", "-v"], 0);
    for words in [
        &["config", "-v"][..],
        &["plan", "-v", "--version", "v2"],
        &["audit", "-v"],
        &["app", "logs", "-v"],
        &["app", "exec", "-v", "-r", "worker", "sh -c 'test -n \"$ROLE$PEM\"'"],
        &["env", "push", "-v"],
        &["details", "--json"],
        &["redeploy", "--skip-push", "--json", "--version", "v1"],
    ] {
        sown.quietly(words, 0);
    }
    assert_eq!(spy.stop(), [""; 0]);

    let (service, mark) = (&sown.project.service, &sown.mark);
    assert_eq!(server.get("/env?name=NAMED"), Some(format!("{mark}alias")));
    assert_eq!(server.get("/env?name=TAG"), Some(format!("{mark}tag")));
    assert_eq!(server.get("/env?name=VAULT"), Some(format!("{mark}vault")));
    assert_eq!(server.get("/env?name=PEM"), Some(format!("begin\n{mark}pem\nend")));
    assert_eq!(server.get("/env?name=ROLE").unwrap_or_default(), "", "each has its own alone");
    let env = format!("/root/.kamal/apps/{service}/env");
    let files = [
        format!("600 {env}/accessories/tool.env"),
        format!("600 {env}/roles/web.env"),
        format!("600 {env}/roles/worker.env"),
        "600 /root/.kamal/env/traefik/traefik.env".to_owned(),
        format!("600 /root/{service}-tool/etc/tool"),
    ];
    let mut files = files.to_vec();
    files.sort();
    assert_eq!(sown.files(server), files, "all that is left of secrets on the server");
    for told in [
        told_by_docker(Some(server), "label=service", "*/*"),
        told_by_docker(Some(server), "name=traefik", "none"),
        told_by_docker(None, "label=none", &sown.project.image("*")),
    ] {
        assert!(!told.contains(mark.as_str()) && !told.contains(&sown.registry_password), "{told}");
    }
    // Only `secrets print` shows them.
    sown.project
        .bowline(&["secrets", "print"])
        .says(&format!("ROOT={mark}root"))
        .says(&format!("{mark}vault"))
        .ok();
}

#[test]
fn what_fails_tells_what_failed_and_no_secret() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut sown = Sown::new(sandbox, &lease);
    let spy = sown.spy(&lease);
    let deploy = ["deploy", "-v", "--version", "v1"];
    let without_build = ["deploy", "-v", "--skip-push", "--version", "v1"];

    // A build that fails, then an app that exits at boot.
    let builder = sown.project.section("builder").to_owned();
    sown.project.set("builder", &format!("{builder}\n  target: none"));
    sown.quietly(&deploy, 1).says("build failed");
    sown.project.set("builder", &builder.replace("VERSION: v1", "VERSION: v1, EXIT_AT_BOOT: '4'"));
    sown.quietly(&deploy, 1).says("code 4");

    let env = format!(".kamal/apps/{}/env", sown.project.service);
    server.run(&format!("rm -rf {env} && touch {env}")).ok();
    sown.quietly(&without_build, 1).says("env");
    server.run(&format!("rm {env}")).ok();

    sown.project.hook("pre-deploy", "#!/bin/sh\n[ -n \"$ROOT\" ] && exit 7\n");
    sown.quietly(&["redeploy", "--skip-push", "--json", "--version", "v1"], 1).says("pre-deploy");
    sown.project.hook("pre-deploy", "#!/bin/sh\n");

    let wrong = format!("{}wrong-password", sown.mark);
    let right = sown.registry_password.clone();
    sown.project.secret("KAMAL_REGISTRY_PASSWORD", &wrong);
    sown.quietly(&["registry", "login", "-v"], 1).says("registry login failed");
    server
        .run(&format!(
            "docker logout {}; docker images -q '*/{}' | xargs -r docker rmi -f",
            sandbox.registry, sown.project.service
        ))
        .ok();
    sown.quietly(&without_build, 1).says("the registry refused the login");
    sown.project.secret("KAMAL_REGISTRY_PASSWORD", &right);

    // Secrets that can't be resolved, or can't be passed to a container.
    for (line, said) in [
        // The shell assembles the mark, because the command is visible in the process list.
        (
            format!("$(echo {}''{}said >&2; echo $ROOT >&2; exit 3)", &sown.mark[..4], &sown.mark[4..]),
            "exit code 3",
        ),
        (format!("\"{}open", sown.mark), "quote"),
        (format!("$(kamal secrets extract NONE '{{\"A\":\"{}json\"}}')", sown.mark), "NONE"),
        ("$(printf 'a\\000b')".to_owned(), ""),
    ] {
        sown.project.secret("BROKEN", &line).secret("ROOT", "$BROKEN");
        let ran = sown.project.bowline(&without_build);
        assert_ne!(ran.code, Some(0), "{ran}");
        ran.says(said).never_says(&format!("{}json", sown.mark)).never_says(&format!("{}open", sown.mark));
    }
    assert_eq!(spy.stop(), [""; 0]);
}
