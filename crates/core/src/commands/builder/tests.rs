use super::*;
use bowline_config::{SourceFile, load};

const LEAST: &str =
    "service: app\nimage: me/app\nservers: [h]\nregistry: {server: r.io, username: u, password: [P]}\n";
const KAMAL_2: &str = "proxy: {host: a.example.com}\n";

fn config(more: &str) -> Config {
    load(SourceFile::new("config/deploy.yml", format!("{LEAST}{more}")), None).unwrap().config
}

fn here(buildx: bool) -> Here {
    Here { buildx, arch: "amd64".into() }
}

fn lines(commands: Vec<Vec<String>>) -> Vec<String> {
    commands.into_iter().map(|words| words.join(" ")).collect()
}

fn request() -> BuildRequest {
    let images = vec!["r.io/me/app:v1".to_string(), "r.io/me/app:latest".to_string()];
    BuildRequest { images, context: ".".into(), output: BuildOutput::Registry, no_cache: false }
}

fn built(more: &str) -> Vec<String> {
    let config = config(more);
    let builder = Builder::new(&config, &here(true)).unwrap();
    let variable = |name: &str| (name == "SSH_AUTH_SOCK").then(|| "/run/agent".to_string());
    let commands = builder.build(&request(), variable).unwrap();
    lines(commands.into_iter().map(|command| command.words).collect())
}

/// The builder's class, its name, and the commands that create it.
fn made(more: &str) -> (&'static str, String, Vec<String>) {
    let config = config(more);
    let builder = Builder::new(&config, &here(true)).unwrap();
    (builder.class(), builder.name.clone().unwrap_or_default(), lines(builder.create()))
}

#[test]
fn builders_of_kamal_2() {
    let kind = |builder: &str| made(&format!("{KAMAL_2}builder: {{{builder}}}\n"));
    let name = "kamal-local-docker-container";
    let create = format!("docker buildx create --name {name} --driver=docker-container");
    assert_eq!(kind("arch: amd64"), ("local", name.into(), vec![create]));
    assert_eq!(kind("arch: amd64, driver: docker"), ("local", String::new(), vec![]));
    assert_eq!(
        kind("arch: amd64, driver: cloud me/app"),
        ("cloud", "cloud-me-app".into(), vec!["docker buildx create --driver cloud me/app".into()])
    );
    assert_eq!(kind("arch: amd64, pack: {builder: b}"), ("pack", String::new(), vec![]));

    let name = "kamal-remote-ssh---root-10-0-0-9-2222";
    let context = |name: &str| {
        format!(
            "docker context create {name}-context --description {name} host --docker host=ssh://root@10.0.0.9:2222"
        )
    };
    let remote = vec![context(name), format!("docker buildx create --name {name} {name}-context")];
    let url = "remote: 'ssh://root@10.0.0.9:2222'";
    assert_eq!(kind(&format!("arch: arm64, {url}")), ("remote", name.into(), remote.clone()));
    let both = format!("arch: [amd64, arm64], local: false, {url}");
    assert_eq!(kind(&both), ("remote", name.into(), remote));
    assert_eq!(kind(&format!("arch: amd64, {url}")).0, "local", "nothing is left for the other machine");

    let name = "kamal-hybrid-docker-container-ssh---root-10-0-0-9-2222";
    let hybrid = vec![
        format!("docker buildx create --platform linux/amd64 --name {name} --driver=docker-container"),
        context(name),
        format!("docker buildx create --platform linux/arm64 --append --name {name} {name}-context"),
    ];
    assert_eq!(kind(&format!("arch: [amd64, arm64], {url}")), ("hybrid", name.into(), hybrid));
}

#[test]
fn builders_of_kamal_1() {
    let kind = |builder: &str| made(&format!("traefik: {{}}\nbuilder: {{{builder}}}\n"));
    assert_eq!(kind("target: t"), ("native", String::new(), vec![]));
    assert_eq!(
        kind("multiarch: true"),
        (
            "multiarch",
            "kamal-app-multiarch".into(),
            vec!["docker buildx create --name kamal-app-multiarch".into()]
        )
    );
    assert_eq!(kind("arch: arm64").0, "multiarch", "Docker's own builder is for its own platform");
    let name = "kamal-app-native-cached";
    let create = format!("docker buildx create --name {name} --driver=docker-container");
    assert_eq!(kind("cache: {type: gha}"), ("native/cached", name.into(), vec![create]));

    let name = "kamal-app-native-remote";
    let create = vec![
        format!(
            "docker context create {name}-arm64 --description {name} arm64 native host --docker host=ssh://b@h"
        ),
        format!("docker buildx create --name {name} {name}-arm64 --platform linux/arm64"),
    ];
    let remote = "remote: {arch: arm64, host: 'ssh://b@h'}";
    assert_eq!(kind(remote), ("native/remote", name.into(), create));

    let name = "kamal-app-multiarch-remote";
    let context = |arch: &str, host: &str| {
        format!(
            "docker context create {name}-{arch} --description {name} {arch} native host --docker host={host}"
        )
    };
    let create = vec![
        context("amd64", "unix:///var/run/docker.sock"),
        context("arm64", "ssh://b@h"),
        format!("docker buildx create --name {name} {name}-amd64 --platform linux/amd64"),
        format!("docker buildx create --append --name {name} {name}-arm64 --platform linux/arm64"),
    ];
    let local = "local: {arch: amd64, host: 'unix:///var/run/docker.sock'}";
    assert_eq!(kind(&format!("{remote}, {local}")), ("multiarch/remote", name.into(), create));
    let line = &built(&format!("traefik: {{}}\nbuilder: {{{remote}, {local}}}\n"))[0];
    assert!(line.contains(&format!(" --platform linux/amd64,linux/arm64 --builder {name} ")), "{line}");
}

#[test]
fn the_command_line_of_a_build() {
    let whole = built(&format!(
        "{KAMAL_2}builder:\n  arch: [amd64, arm64]\n  args: {{A: 'x y', B: '$C'}}\n  secrets: [TOKEN, OTHER]\n  \
         dockerfile: D\n  target: t\n  ssh: default=$SSH_AUTH_SOCK\n  provenance: mode=max\n  sbom: true\n  \
         cache: {{type: registry, options: 'mode=max'}}\n"
    ));
    assert_eq!(
        whole,
        ["docker buildx build --output=type=registry --platform linux/amd64,linux/arm64 \
          --builder kamal-local-docker-container -t r.io/me/app:v1 -t r.io/me/app:latest \
          --cache-to type=registry,ref=r.io/me/app-build-cache,mode=max \
          --cache-from type=registry,ref=r.io/me/app-build-cache --label service=app --build-arg A=x y \
          --build-arg B=$C --secret id=TOKEN --secret id=OTHER --file D --target t \
          --ssh default=/run/agent --provenance mode=max --sbom true ."]
    );
    let least = built(&format!("{KAMAL_2}builder: {{arch: amd64, driver: docker, provenance: false}}\n"));
    assert_eq!(
        least,
        ["docker buildx build --output=type=registry --platform linux/amd64 -t r.io/me/app:v1 \
          -t r.io/me/app:latest --label service=app --file Dockerfile --provenance false ."]
    );
}

#[test]
fn this_machines_docker_gets_the_image_for_its_own_platform() {
    let config = config(&format!("{KAMAL_2}builder: {{arch: [arm64, amd64]}}\n"));
    let builder = Builder::new(&config, &here(true)).unwrap();
    let request = BuildRequest { output: BuildOutput::Docker, ..request() };
    let line = builder.build(&request, |_| None).unwrap().remove(0).words.join(" ");
    assert!(
        line.starts_with("docker buildx build --output=type=docker --platform linux/amd64 --builder"),
        "{line}"
    );
}

#[test]
fn for_a_registry_on_localhost_kamals_builders_are_used() {
    let text = format!("{LEAST}{KAMAL_2}builder: {{arch: amd64}}\n")
        .replace("{server: r.io, username: u, password: [P]}", "{server: 'localhost:5555'}");
    let config = load(SourceFile::new("config/deploy.yml", text.clone()), None).unwrap().config;
    let builder = Builder::new(&config, &here(true)).unwrap();
    let create = "docker buildx create --name kamal-local-registry-docker-container --driver=docker-container \
                  --driver-opt network=host";
    assert_eq!(lines(builder.create()), [create]);
    for (arch, name, create) in [
        (
            "arm64",
            "kamal-remote-ssh---b-h-22-local-registry",
            vec!["docker buildx create --name NAME --driver-opt network=host NAME-context"],
        ),
        (
            "[amd64, arm64]",
            "kamal-hybrid-docker-container-ssh---b-h-22-local-registry",
            vec![
                "docker buildx create --platform linux/amd64 --name NAME --driver=docker-container --driver-opt \
                 network=host",
                "docker buildx create --platform linux/arm64 --append --name NAME --driver-opt network=host NAME-context",
            ],
        ),
    ] {
        let text = text.replace("arch: amd64", &format!("arch: {arch}, remote: 'ssh://b@h:22'"));
        let config = load(SourceFile::new("config/deploy.yml", text), None).unwrap().config;
        let builder = Builder::new(&config, &here(true)).unwrap();
        assert_eq!(builder.name.as_deref(), Some(name));
        let made = lines(builder.create()).into_iter().filter(|line| line.starts_with("docker buildx"));
        assert_eq!(made.map(|line| line.replace(name, "NAME")).collect::<Vec<_>>(), create);
    }
}

#[test]
fn caches() {
    let cache = |cache: &str| {
        let line = built(&format!("{KAMAL_2}builder: {{arch: amd64, cache: {{{cache}}}}}\n")).remove(0);
        let words: Vec<String> = line.split(' ').map(Into::into).collect();
        let after = |flag: &str| {
            let at = words.iter().position(|word| word == flag).unwrap();
            words[at + 1].clone()
        };
        (after("--cache-to"), after("--cache-from"))
    };
    let pair = |to: &str, from: &str| (to.to_string(), from.to_string());
    assert_eq!(
        cache("type: gha, options: 'mode=max,scope=app,url=u'"),
        pair("type=gha,mode=max,scope=app,url=u", "type=gha,scope=app,url=u")
    );
    assert_eq!(cache("type: gha"), pair("type=gha", "type=gha"));
    let own = "type=registry,ref=r.io/me/cache";
    assert_eq!(cache("image: me/cache"), pair(own, own), "a registry is the default");
}

#[test]
fn without_buildx_docker_builds_and_pushes() {
    let config = config("builder: {args: {A: '${HOME}/x'}, provenance: false}\n");
    let builder = Builder::new(&config, &here(false)).unwrap();
    let variable = |name: &str| (name == "HOME").then(|| "/home/me".to_string());
    let commands = builder.build(&BuildRequest { no_cache: true, ..request() }, variable).unwrap();
    assert_eq!(
        lines(commands.into_iter().map(|command| command.words).collect()),
        [
            "docker build -t r.io/me/app:v1 -t r.io/me/app:latest --label service=app \
             --build-arg A=/home/me/x --file Dockerfile --no-cache .",
            "docker push --quiet r.io/me/app:v1",
            "docker push --quiet r.io/me/app:latest",
        ]
    );
    let kept = builder.build(&BuildRequest { output: BuildOutput::Docker, ..request() }, variable).unwrap();
    assert_eq!(kept.len(), 1, "nothing is pushed");
    let other = BuildRequest { output: BuildOutput::new("cacheonly", "/work"), ..request() };
    let error = builder.build(&other, variable).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--output=cacheonly needs `docker buildx`, which is not installed on this machine"
    );
    let error = builder.build(&request(), |_| None).unwrap_err();
    assert_eq!(error.to_string(), "builder/args/A names the variable HOME, which isn't set here");
}

#[test]
fn an_output_is_a_place_where_one_stands_not_where_the_build_runs_and_never_the_screen() {
    let config = config("");
    let builder = Builder::new(&config, &here(true)).unwrap();
    let built = |output: &str| {
        let request = BuildRequest { output: BuildOutput::new(output, "/work/shop"), ..request() };
        let built = builder.build(&request, |_| None);
        built.map(|mut commands| commands.remove(0).words.remove(3)).map_err(|error| error.to_string())
    };
    for (output, word) in [
        ("registry", "--output=type=registry"),
        ("docker", "--output=type=docker"),
        ("cacheonly", "--output=type=cacheonly"),
        ("oci,dest=out/app.tar,name=x", "--output=type=oci,dest=/work/shop/out/app.tar,name=x"),
        ("local,dest=/tmp/x", "--output=type=local,dest=/tmp/x"),
    ] {
        assert_eq!(built(output).as_deref(), Ok(word));
    }
    for output in ["oci", "tar", "local", "oci,name=x", "oci,dest=-"] {
        assert_eq!(built(output), Err(format!("`--output {output}` needs a destination")));
    }
}

#[test]
fn what_only_buildx_can_do_is_refused_without_it() {
    for (builder, wanted) in [
        ("remote: ssh://b@h", "builder/remote"),
        ("driver: cloud me/app", "builder/driver: cloud"),
        ("cache: {type: gha}", "builder/cache"),
        ("secrets: [A]", "builder/secrets"),
        ("ssh: default", "builder/ssh"),
        ("provenance: mode=max", "builder/provenance"),
        ("sbom: true", "builder/sbom"),
        ("arch: [amd64, arm64]", "building for arm64 (`builder/arch`) with a Docker that builds for amd64"),
    ] {
        for generation in ["traefik: {}\n", KAMAL_2] {
            let config = config(&format!("{generation}builder: {{{builder}}}\n"));
            assert_eq!(Builder::new(&config, &here(false)).unwrap_err().wanted, wanted);
        }
    }
    let own = config(&format!("{KAMAL_2}builder: {{arch: amd64}}\n"));
    let builder = Builder::new(&own, &here(false)).unwrap();
    assert_eq!((builder.buildx, builder.name, builder.config.builder.arch.len()), (false, None, 1));
}

#[test]
fn what_may_be_a_secret_is_not_shown() {
    let config = config("builder: {args: {NPM_TOKEN: sentinel, RUBY: '3 4'}}\n");
    let builder = Builder::new(&config, &here(true)).unwrap();
    let shown = builder.build(&request(), |_| None).unwrap()[0].shown();
    assert!(shown.contains("--build-arg NPM_TOKEN=[REDACTED] --build-arg 'RUBY=3 4'"), "{shown}");
}

#[test]
fn buildpacks() {
    let lines = built(&format!(
        "{KAMAL_2}builder: {{arch: amd64, pack: {{builder: 'heroku/builder:24', buildpacks: [heroku/ruby]}}, \
         secrets: [TOKEN], args: {{A: 1}}}}\n"
    ));
    assert_eq!(
        lines,
        [
            "pack build r.io/me/app --platform linux/amd64 --creation-time now --builder heroku/builder:24 \
             --buildpack heroku/ruby --buildpack paketo-buildpacks/image-labels -t r.io/me/app:v1 \
             -t r.io/me/app:latest --env BP_IMAGE_LABELS=service=app --env A=1 --env TOKEN --path .",
            "docker push --quiet r.io/me/app:v1",
            "docker push --quiet r.io/me/app:latest",
        ]
    );
}

#[test]
fn a_builder_is_looked_at_and_removed() {
    let config = config(&format!("{KAMAL_2}builder: {{arch: arm64, remote: 'ssh://b@h:22'}}\n"));
    let builder = Builder::new(&config, &here(true)).unwrap();
    let name = "kamal-remote-ssh---b-h-22";
    let checks = builder.inspect();
    assert_eq!(
        lines(checks.iter().map(|check| check.words.clone()).collect()),
        [
            format!("docker buildx inspect {name}"),
            format!("docker context inspect {name}-context --format {{{{.Endpoints.docker.Host}}}}")
        ]
    );
    assert!(checks[0].passes(&format!("Name: x\nEndpoint:   {name}-context\n")));
    assert!(!checks[0].passes("Name: x\nEndpoint: default\n"));
    assert!(checks[1].passes("ssh://b@h:22\n") && !checks[1].passes("ssh://b@h:222\n"));
    assert_eq!(
        lines(builder.remove()),
        [format!("docker buildx rm {name}"), format!("docker context rm {name}-context")]
    );
    assert_eq!(lines(builder.ssh()), ["ssh -o ConnectTimeout=30 -o BatchMode=yes -l b -p 22 -- h true"]);
    assert_eq!(lines(builder.details()), ["docker context ls", "docker buildx ls"]);
    assert!(Builder::is_absent("ERROR: no builder \"x\" found") && !Builder::is_absent("permission denied"));
}
