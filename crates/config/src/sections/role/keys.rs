//! The keys of a role.

use crate::describe::{Form, Keys, LIST, Like, OPTIONS, Setting, TEXTS};
use crate::{env, healthcheck, logging, proxy};

const ASSETS: Like = Like {
    wanted: "an absolute path in the image",
    help: "such as `/app/public/assets`, with mount options after a `:`",
    reads: |text| text.starts_with('/'),
    pattern: "^/",
    words: &[],
    examples: &["/app/public/assets", "/app/public/assets:ro"],
};

pub(crate) const ASSET_PATH: Form = Form::Either(&[Form::False, Form::Like(&ASSETS)]);

const HOST: Form = Form::Either(&[Form::Filled, Form::One("HOST", &Form::Either(&[Form::Filled, LIST]))]);
pub(crate) const HOSTS: Form = Form::List(&HOST);

pub(in crate) const KEYS: Keys = Keys::new(
    "servers/ROLE",
    "A role is a list of hosts, or a map with these keys.",
    &[
        Setting::new(
            "hosts",
            HOSTS,
            "the servers: `HOST`, `HOST: TAG` or `HOST: [TAG, …]`, where `HOST` can be `USER@HOST:PORT`. A host that is listed twice gets the tags of both entries",
        )
        .examples(&["[10.0.0.2]", "[10.0.0.2: fast, 10.0.0.3: [fast, slow]]"]),
        Setting::new("cmd", Form::Filled, "the command that the containers run. Bowline splits it into words as a shell does, but supports no redirections and only one command")
            .default("the image's command")
            .examples(&["bin/jobs"]),
        Setting::new("env", env::FORM, "variables in addition to the root's; the role's value wins").examples(&["{A: b}", "{secret: [TOKEN]}"]),
        Setting::new("labels", TEXTS, "labels in addition to the root's; the role's value wins").examples(&["{team: jobs}"]),
        Setting::new("logging", Form::Keys(&logging::KEYS), "log settings; each option overrides the root's").examples(&["{driver: local}"]),
        Setting::new(
            "options",
            OPTIONS,
            "more flags for `docker run`: a value, a list (repeats the flag), or `true` (a flag without a value). \
             `restart` overrides the default `unless-stopped`. `app exec` ignores `publish` and `restart`",
        )
        .examples(&["{memory: 1g, init: true, add-host: [\"a:1\", \"b:2\"]}", "{restart: \"on-failure:3\"}"]),
        Setting::new("asset_path", ASSET_PATH, "the role's own `asset_path`, if the role gets requests; `false` turns it off")
            .default("the root's")
            .examples(&["/app/public/assets", "/app/public/assets:ro"]),
        Setting::new("stop_timeout", Form::Seconds(0), "the time between SIGTERM and SIGKILL").default("the root's").kamal2(""),
        Setting::new(
            "proxy",
            Form::Either(&[Form::Boolean, Form::Keys(&proxy::KEYS)]),
            "whether and how kamal-proxy sends requests to the role. The keys of a map override the root's",
        )
        .default("true for the primary role")
        .kamal2("servers/ROLE/traefik")
        .examples(&["true", "false", "{app_port: 3000}"]),
        Setting::new("traefik", Form::Boolean, "whether Traefik sends requests to the role")
            .default("true for the primary role")
            .kamal1("servers/ROLE/proxy"),
        Setting::new(
            "healthcheck",
            Form::Keys(&healthcheck::KEYS),
            "the role's health check; its keys override the root's. A role without Traefik has a health check only if it sets `cmd`, `port` or `path` itself",
        )
        .kamal1("servers/ROLE/proxy/healthcheck")
        .examples(&["{cmd: bin/check}"]),
    ],
)
.notes(
    "**Variables.** Bowline expands variables in some values:\n\n\
     | values | what is expanded | where the value comes from |\n\
     |---|---|---|\n\
     | `env: clear:`, `labels`, `options`, `logging`, `cmd`; an accessory's `port`; Traefik's `args` | `${NAME}` | the SSH user's shell on the server |\n\
     | `volumes` | `${NAME}`, `$NAME`, `$(pwd)`, `~/` at the start | the same |\n\
     | `builder: args:` | `${NAME}` | the environment of your machine |\n\n\
     Everything else is literal. There is no escape for `${NAME}`, except that `cmd` leaves it alone after a backslash and in single \
     quotes: `sh -c 'echo ${PORT}'` uses the container's `PORT`. Put a value that contains `${NAME}` into the secrets file, in single \
     quotes: the server expands nothing in a secret.\n\n\
     **Traefik's routes** come from labels. Bowline gives each role behind Traefik a router that is named after the role's containers \
     (`SERVICE-ROLE`, or `SERVICE-ROLE-DESTINATION`), with the rule ``PathPrefix(`/`)`` and up to five retries. Each label \
     that you set replaces Bowline's:\n\n\
     ```yaml\n\
     labels:\n\
     \u{20} traefik.http.routers.shop-web.rule: Host(`shop.example.com`)\n\
     ```\n\n\
     If several apps share a server, give each app such a rule. Otherwise each router matches all requests. Traefik labels at the \
     root apply only to roles behind Traefik. (Kamal gives them to every role, so a worker's labels can contradict the web role's.)",
)
.slips(&[("command", "cmd"), ("servers", "hosts"), ("host", "hosts"), ("environment", "env")]);
