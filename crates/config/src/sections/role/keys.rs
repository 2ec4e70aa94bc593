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

/// `asset_path`; `false` for none.
pub(crate) const ASSET_PATH: Form = Form::Either(&[Form::False, Form::Like(&ASSETS)]);

/// A host, with tags or without.
const HOST: Form = Form::Either(&[Form::Filled, Form::One("HOST", &Form::Either(&[Form::Filled, LIST]))]);
pub(crate) const HOSTS: Form = Form::List(&HOST);

pub(in crate) const KEYS: Keys = Keys::new(
    "servers/ROLE",
    "A role is a list of hosts, or a map:",
    &[
        Setting::new(
            "hosts",
            HOSTS,
            "the servers: `HOST`, `HOST: TAG` or `HOST: [TAG, …]`; `HOST` may be `USER@HOST:PORT`. A host listed twice is one host with both entries' tags",
        )
        .examples(&["[10.0.0.2]", "[10.0.0.2: fast, 10.0.0.3: [fast, slow]]"]),
        Setting::new("cmd", Form::Filled, "split into words as a shell does; no redirection, no second command")
            .default("the image's own")
            .examples(&["bin/jobs"]),
        Setting::new("env", env::FORM, "added to the root's; on conflict the role's wins").examples(&["{A: b}", "{secret: [TOKEN]}"]),
        Setting::new("labels", TEXTS, "added to the root's; on conflict the role's wins").examples(&["{team: jobs}"]),
        Setting::new("logging", Form::Keys(&logging::KEYS), "overrides the root's options one by one").examples(&["{driver: local}"]),
        Setting::new(
            "options",
            OPTIONS,
            "further flags of `docker run`: a value, a list (the flag once for each), or `true` (the bare flag). \
             `restart` takes the place of `unless-stopped`. `app exec` leaves `publish` and `restart` out",
        )
        .examples(&["{memory: 1g, init: true, add-host: [\"a:1\", \"b:2\"]}", "{restart: \"on-failure:3\"}"]),
        Setting::new("asset_path", ASSET_PATH, "only for roles that requests are sent to; `false` for none")
            .default("the root's")
            .examples(&["/app/public/assets", "/app/public/assets:ro"]),
        Setting::new("stop_timeout", Form::Seconds(0), "seconds between SIGTERM and SIGKILL").default("the root's").kamal2(""),
        Setting::new(
            "proxy",
            Form::Either(&[Form::Boolean, Form::Keys(&proxy::KEYS)]),
            "whether and how kamal-proxy sends requests to it; the keys of a map override the root's",
        )
        .default("true for the primary role")
        .kamal2("servers/ROLE/traefik")
        .examples(&["true", "false", "{app_port: 3000}"]),
        Setting::new("traefik", Form::Boolean, "whether Traefik sends requests to it")
            .default("true for the primary role")
            .kamal1("servers/ROLE/proxy"),
        Setting::new(
            "healthcheck",
            Form::Keys(&healthcheck::KEYS),
            "its keys override the root's. A role without Traefik has a check only if it gives `cmd`, `port` or `path` itself",
        )
        .kamal1("servers/ROLE/proxy/healthcheck")
        .examples(&["{cmd: bin/check}"]),
    ],
)
.notes(
    "In values `${NAME}` is a variable of the server's shell; everything else is literal. In `cmd` that is so outside of \
     single quotes only: `sh -c 'echo ${PORT}'` is the container's `PORT`.\n\n\
     Traefik learns its routes from labels. Bowline gives each role with Traefik a router named after the role's containers \
     (`SERVICE-ROLE`, with a destination `SERVICE-ROLE-DESTINATION`), with the rule ``PathPrefix(`/`)`` and up to five \
     retries. Your own labels replace these one by one:\n\n\
     ```yaml\n\
     labels:\n\
     \u{20} traefik.http.routers.shop-web.rule: Host(`shop.example.com`)\n\
     ```\n\n\
     Several apps on one server need such rules, as each would take all requests otherwise. Labels for Traefik at the root are \
     for the roles behind it; Kamal gives them to all, where they contradict those of the router's own role.",
)
.slips(&[("command", "cmd"), ("servers", "hosts"), ("host", "hosts"), ("environment", "env")]);
