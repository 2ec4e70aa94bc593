//! The keys at the root of the configuration.

use super::super::describe::{Form, Keys, LIST, Like, Setting, TEXTS};
use super::super::version;
use super::super::{
    accessory, alias, boot, builder, env, healthcheck, logging, output, proxy, registry, role, servers,
};
use super::super::{ssh, sshkit, timeouts, traefik};

/// How a hook's output is shown.
const LEVEL: Form = Form::Word(&["quiet", "verbose"]);

const PROXY: Form = Form::Either(&[
    Form::Keys(&proxy::KEYS),
    Form::Refused("whether a proxy serves a role is the role's to say: `servers/ROLE/proxy`"),
]);

const VERSION: Like = Like {
    wanted: "a version",
    help: "such as `2.3.0`",
    reads: |text| version::parse(text).is_some(),
    pattern: "^[0-9]+(\\.[0-9A-Za-z]+)*$",
    words: &[],
    examples: &["1.9.2", "\"2.10\""],
};

pub(in crate) const KEYS: Keys = Keys::new(
    "",
    include_str!("../docs/opening.md"),
    &[
        Setting::new("service", Form::Filled, "first part of container names: letters, digits, `_`, `-`")
            .default("required")
            .examples(&["shop"]),
        Setting::new("image", Form::Filled, "the image's name, without server and tag")
            .default("required; without a registry the service's name")
            .examples(&["me/shop"]),
        Setting::new("servers", servers::FORM, "a list of hosts (one role `web`), or a map of roles")
            .default("required, unless there are accessories")
            .examples(&["[10.0.0.1, 10.0.0.2]", "{web: [10.0.0.1], jobs: {hosts: [10.0.0.2], cmd: bin/jobs}}"]),
        Setting::new("registry", Form::Keys(&registry::KEYS), "where the image is pushed to and pulled from")
            .default("none: servers get the image from your machine")
            .examples(&["{server: ghcr.io, username: me, password: [REGISTRY_PASSWORD]}"]),
        Setting::new("primary_role", Form::Filled, "the role that opens the barrier, and that requests are sent to")
            .default("`web`")
            .examples(&["jobs"]),
        Setting::new("allow_empty_roles", Form::Boolean, "whether a role may have no servers (the primary one never)")
            .default("false"),
        Setting::new("require_destination", Form::Boolean, "whether `-d` must be given").default("false").examples(&["false"]),
        Setting::new(
            "env",
            env::ROOT_FORM,
            "variables for all containers of the app: a plain map, or `clear` (a map), `secret` (a list) and `tags`",
        )
        .examples(&["{A: b}", "{clear: {A: b}, secret: [TOKEN], tags: {fast: {A: c}}}"]),
        Setting::new("env_tags", Form::Map("TAG", &env::FORM), "tag to env; `env: tags:` means the same")
            .kamal1("env/tags")
            .examples(&["{fast: {A: c}}"]),
        Setting::new("labels", TEXTS, "labels for all containers of the app").examples(&["{team: shop}"]),
        Setting::new(
            "volumes",
            LIST,
            "`docker run --volume` each, for all app containers. `$NAME`, `${NAME}`, `$(pwd)` and a leading `~/` are the \
             server's; nothing else is expanded",
        )
        .examples(&["[\"data:/data\", \"$(pwd)/files:/files:ro\"]"]),
        Setting::new(
            "asset_path",
            role::ASSET_PATH,
            "directory in the image whose files the versions share: `PATH` or `PATH:MOUNT_OPTIONS`; see [assets](#assets)",
        )
        .examples(&["/app/public/assets", "/app/public/assets:ro"]),
        Setting::new("logging", Form::Keys(&logging::KEYS), "Docker's logs")
            .default("`max-size=10m`")
            .examples(&["{driver: local}"]),
        Setting::new("accessories", Form::Map("NAME", &Form::Keys(&accessory::KEYS)), "containers beside the app, such as a database")
            .examples(&["{db: {image: \"mysql:8\", host: 10.0.0.3}}"]),
        Setting::new("proxy", PROXY, "kamal-proxy, the proxy of Kamal 2")
            .kamal2("traefik, and labels for routing")
            .examples(&["{host: shop.example.com, ssl: true}"]),
        Setting::new("traefik", Form::Keys(&traefik::KEYS), "Traefik, the proxy of Kamal 1")
            .kamal1("proxy")
            .examples(&["{}", "{image: \"traefik:v3.1\"}"]),
        Setting::new("healthcheck", Form::Keys(&healthcheck::KEYS), "how Docker knows that a container can serve")
            .kamal1("proxy/healthcheck")
            .examples(&["{path: /health}"]),
        Setting::new("boot", Form::Keys(&boot::KEYS), "how many servers at once, and in which order the roles").examples(&["{limit: 25%}"]),
        Setting::new("builder", Form::Keys(&builder::KEYS), "how the image is built").examples(&["{dockerfile: docker/Dockerfile}"]),
        Setting::new("ssh", Form::Keys(&ssh::KEYS), "how servers are reached").examples(&["{user: deploy}"]),
        Setting::new("deploy_timeout", Form::Seconds(1), "how long a new container may take to become ready")
            .default("30; with `max_attempts: n` 1+2+…+n, at least 30")
            .kamal2("healthcheck/max_attempts"),
        Setting::new("readiness_delay", Form::Seconds(0), "how long a container without health check must keep running to count as ready")
            .default("7"),
        Setting::new("drain_timeout", Form::Seconds(0), "how long an old container's open requests may take before it is stopped")
            .default("30")
            .kamal2(""),
        Setting::new("stop_timeout", Form::Seconds(0), "seconds between SIGTERM and SIGKILL")
            .default("Docker's 10; with `proxy` the `drain_timeout` for roles without one")
            .kamal2("stop_wait_time"),
        Setting::new("stop_wait_time", Form::Seconds(0), "the same").kamal1("stop_timeout"),
        Setting::new("timeouts", Form::Keys(&timeouts::KEYS), "the longest that other things may take").examples(&["{hook: 3600}"]).ours(),
        Setting::new("retain_containers", Form::Integer(i64::MIN, i64::MAX), "stopped containers kept for each role and destination; what \
             `rollback` can go back to")
            .default("5")
            .examples(&["2"]),
        Setting::new("hooks_path", Form::Filled, "where hooks are").default("`.kamal/hooks`").examples(&["deploy/hooks"]),
        Setting::new(
            "hooks_output",
            Form::Either(&[LEVEL, Form::Map("HOOK", &LEVEL)]),
            "for all hooks or for each: `verbose` shows what they print, `quiet` not even that they run. With `-v` all is shown, with `-q` nothing; \
             the end of what a failed one printed always is",
        )
        .default("that they run is shown")
        .kamal2("")
        .examples(&["quiet", "{pre-build: quiet, post-deploy: :verbose}"]),
        Setting::new("secrets_path", Form::Filled, "where secrets are").default("`.kamal/secrets`").kamal2("").examples(&["deploy/secrets"]),
        Setting::new("error_pages_path", Form::Filled, "directory with pages that kamal-proxy shows in place of errors of its own (`502.html`, …); `503.html` is also the page of `app maintenance`, with its message at `{{ .Message }}`")
            .kamal2("")
            .examples(&["public"]),
        Setting::new("output", Form::Keys(&output::KEYS), "where else a run's output goes")
            .kamal2("")
            .not_yet("nothing is written, and a warning says so")
            .examples(&["{file: {path: log/deploys}}"]),
        Setting::new("aliases", alias::FORM, "your own commands, see [aliases](#aliases)")
            .kamal2("")
            .examples(&["{console: app exec -i bin/console}"]),
        Setting::new("minimum_version", Form::Like(&VERSION), "the oldest Kamal that the file is for. Bowline knows the format of Kamal 1 \
             and of Kamal 2 up to 2.12; a file for a later one is refused"),
        Setting::new("run_directory", Form::Filled, "where files are kept on servers")
            .default("`.kamal`")
            .no_effect("the layout on servers is always `.kamal`; another value gives a warning")
            .examples(&[".kamal"]),
        Setting::new("sshkit", Form::Keys(&sshkit::KEYS), "the connections of Kamal's SSH library")
            .no_effect("Bowline has limits of its own")
            .examples(&["{max_concurrent_starts: 10}"]),
    ],
)
.slips(&[
    ("roles", "servers"),
    ("environment", "env"),
    ("name", "service"),
    ("app", "service"),
    ("docker", "builder"),
]);
