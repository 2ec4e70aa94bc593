//! The keys at the root of the configuration.

use super::super::describe::{Form, Keys, LIST, Like, Setting, TEXTS};
use super::super::version;
use super::super::{
    accessory, alias, boot, builder, env, healthcheck, logging, output, proxy, registry, role, servers,
};
use super::super::{ssh, sshkit, timeouts, traefik};

const LEVEL: Form = Form::Word(&["quiet", "verbose"]);

const PROXY: Form = Form::Either(&[
    Form::Keys(&proxy::KEYS),
    Form::Refused("set `proxy: false` in the role: `servers/ROLE/proxy`"),
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
        Setting::new("service", Form::Filled, "the first part of container names: letters, digits, `_`, `-`")
            .default("required")
            .examples(&["shop"]),
        Setting::new("image", Form::Filled, "the image's name, without the registry's address and without a tag")
            .default("required with a `registry`; otherwise the service's name")
            .examples(&["me/shop"]),
        Setting::new("servers", servers::FORM, "a list of hosts, which form the role `web`, or a map of roles")
            .default("required unless there are accessories")
            .examples(&["[10.0.0.1, 10.0.0.2]", "{web: [10.0.0.1], jobs: {hosts: [10.0.0.2], cmd: bin/jobs}}"]),
        Setting::new("registry", Form::Keys(&registry::KEYS), "the registry that the image is pushed to and pulled from")
            .default("none: your machine sends the image to the servers")
            .examples(&["{server: ghcr.io, username: me, password: [REGISTRY_PASSWORD]}"]),
        Setting::new("primary_role", Form::Filled, "the role that gets requests and opens the barrier ([boot](#boot))")
            .default("`web`")
            .examples(&["jobs"]),
        Setting::new("allow_empty_roles", Form::Boolean, "whether a role may have no servers; the primary role always needs one")
            .default("false"),
        Setting::new("require_destination", Form::Boolean, "whether every command needs `-d`").default("false").examples(&["false"]),
        Setting::new(
            "env",
            env::ROOT_FORM,
            "environment variables of all containers of the app: a plain map, or `clear` (a map), `secret` (a list) and `tags`",
        )
        .examples(&["{A: b}", "{clear: {A: b}, secret: [TOKEN], tags: {fast: {A: c}}}"]),
        Setting::new("env_tags", Form::Map("TAG", &env::FORM), "the env of each tag; the same as `env: tags:`")
            .kamal1("env/tags")
            .examples(&["{fast: {A: c}}"]),
        Setting::new("labels", TEXTS, "labels for all containers of the app").examples(&["{team: shop}"]),
        Setting::new(
            "volumes",
            LIST,
            "values of `docker run --volume` for all containers of the app. The server expands `$NAME`, `${NAME}`, `$(pwd)` \
             and a leading `~/`, and nothing else",
        )
        .examples(&["[\"data:/data\", \"$(pwd)/files:/files:ro\"]"]),
        Setting::new(
            "asset_path",
            role::ASSET_PATH,
            "the directory in the image whose files all versions share: `PATH` or `PATH:MOUNT_OPTIONS`. See [assets](#assets)",
        )
        .examples(&["/app/public/assets", "/app/public/assets:ro"]),
        Setting::new("logging", Form::Keys(&logging::KEYS), "how Docker keeps the containers' logs")
            .default("`max-size=10m`")
            .examples(&["{driver: local}"]),
        Setting::new("accessories", Form::Map("NAME", &Form::Keys(&accessory::KEYS)), "other containers that the app needs, such as a database")
            .examples(&["{db: {image: \"mysql:8\", host: 10.0.0.3}}"]),
        Setting::new("proxy", PROXY, "settings of kamal-proxy, the proxy of Kamal 2")
            .kamal2("traefik, and labels for routing")
            .examples(&["{host: shop.example.com, ssl: true}"]),
        Setting::new("traefik", Form::Keys(&traefik::KEYS), "settings of Traefik, the proxy of Kamal 1")
            .kamal1("proxy")
            .examples(&["{}", "{image: \"traefik:v3.1\"}"]),
        Setting::new("healthcheck", Form::Keys(&healthcheck::KEYS), "how Docker checks that a container can serve requests")
            .kamal1("proxy/healthcheck")
            .examples(&["{path: /health}"]),
        Setting::new("boot", Form::Keys(&boot::KEYS), "how many servers boot at the same time, and in which order their roles start").examples(&["{limit: 25%}"]),
        Setting::new("builder", Form::Keys(&builder::KEYS), "how the image is built").examples(&["{dockerfile: docker/Dockerfile}"]),
        Setting::new("ssh", Form::Keys(&ssh::KEYS), "how Bowline connects to servers").examples(&["{user: deploy}"]),
        Setting::new("deploy_timeout", Form::Seconds(1), "how long a new container may take to become ready")
            .default("30. A Kamal 1 `max_attempts: n` sets it to n(n+1)/2, at least 30")
            .kamal2("healthcheck/max_attempts"),
        Setting::new("readiness_delay", Form::Seconds(0), "how long a container without a health check must run before it counts as ready")
            .default("7"),
        Setting::new("drain_timeout", Form::Seconds(0), "how long an old container may take to finish its open requests before Bowline stops it")
            .default("30")
            .kamal2(""),
        Setting::new("stop_timeout", Form::Seconds(0), "the time between SIGTERM and SIGKILL when a container stops")
            .default("10 for roles behind a proxy; others get `drain_timeout`, or 10 in a Kamal 1 file")
            .kamal2("stop_wait_time"),
        Setting::new("stop_wait_time", Form::Seconds(0), "the same as `stop_timeout`").kamal1("stop_timeout"),
        Setting::new("timeouts", Form::Keys(&timeouts::KEYS), "time limits for everything else").examples(&["{hook: 3600}"]).ours(),
        Setting::new("retain_containers", Form::Integer(i64::MIN, i64::MAX), "how many stopped containers Bowline keeps for each role and destination. \
             `rollback` can go back to these. One for each other version that served comes first, then those of failed deploys and of earlier boots of a version")
            .default("5")
            .examples(&["2"]),
        Setting::new("hooks_path", Form::Filled, "the directory of the [hooks](#hooks)").default("`.kamal/hooks`").examples(&["deploy/hooks"]),
        Setting::new(
            "hooks_output",
            Form::Either(&[LEVEL, Form::Map("HOOK", &LEVEL)]),
            "how much output of the hooks Bowline shows: one value for all hooks, or a map of hook names. `verbose` prints the output, `quiet` prints nothing. `-v` and `-q` \
             override this. Bowline always prints the last lines of a failed hook",
        )
        .default("only the hook's name")
        .kamal2("")
        .examples(&["quiet", "{pre-build: quiet, post-deploy: :verbose}"]),
        Setting::new("secrets_path", Form::Filled, "the path of the secrets file; `-common` or `.DESTINATION` is appended to it, see [secrets](#secrets)").default("`.kamal/secrets`").kamal2("").examples(&["deploy/secrets"]),
        Setting::new("error_pages_path", Form::Filled, "the directory with pages that kamal-proxy shows for its own errors (`502.html`, …). `503.html` is also the page of `app maintenance`; `{{ .Message }}` in it becomes the message")
            .kamal2("")
            .examples(&["public"]),
        Setting::new("output", Form::Keys(&output::KEYS), "other places for the output of a run")
            .kamal2("")
            .not_yet("Bowline accepts the keys, prints a warning and ignores them")
            .examples(&["{file: {path: log/deploys}}"]),
        Setting::new("aliases", alias::FORM, "your own commands. See [aliases](#aliases)")
            .kamal2("")
            .examples(&["{console: app exec -i bin/console}"]),
        Setting::new("minimum_version", Form::Like(&VERSION), "the oldest version of Kamal that the file works with. Bowline knows the formats of \
             Kamal 1 and of Kamal 2 up to 2.12, and rejects a file for a later version"),
        Setting::new("run_directory", Form::Filled, "the directory for files on servers")
            .default("`.kamal`")
            .no_effect("Bowline always uses `.kamal`, and warns about any other value")
            .examples(&[".kamal"]),
        Setting::new("sshkit", Form::Keys(&sshkit::KEYS), "settings of Kamal's SSH library")
            .no_effect("Bowline has its own limits")
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
