//! The keys of `builder`.

use crate::describe::{Form, Keys, LIST, Like, Setting};

/// Platforms that images are built for.
const PLATFORMS: &[&str] =
    &["amd64", "arm64", "arm", "arm/v7", "arm/v6", "386", "ppc64le", "s390x", "riscv64"];

const DRIVER: Like = Like {
    wanted: "`docker-container`, `docker`, or `cloud ORGANISATION/BUILDER`",
    help: "",
    reads: |text| {
        let cloud = text.strip_prefix("cloud ").map(str::trim).and_then(|builder| builder.split_once('/'));
        ["docker-container", "docker"].contains(&text)
            || cloud.is_some_and(|(organisation, builder)| !organisation.is_empty() && !builder.is_empty())
    },
    pattern: "^(docker-container|docker|cloud +[^/]+/.+)$",
    words: &["docker-container", "docker"],
    examples: &["docker-container", "docker", "cloud me/app"],
};

/// The address of a Docker engine.
const ENGINE: Like = Like {
    wanted: "the URL of a Docker engine",
    help: "such as `ssh://builder@10.0.0.9`",
    reads: is_engine,
    pattern: "^((ssh|tcp|unix)://|/).+",
    words: &[],
    examples: &["ssh://builder@10.0.0.9", "tcp://10.0.0.9:2375"],
};

/// The same, or empty: with that a destination takes back what the base file gives.
const ENGINE_OR_NONE: Like = Like {
    reads: |text| text.is_empty() || is_engine(text),
    pattern: "^$|^((ssh|tcp|unix)://|/).+",
    ..ENGINE
};

/// A URL, or the path of a socket on this machine.
fn is_engine(text: &str) -> bool {
    ["ssh://", "tcp://", "unix://", "/"].iter().any(|scheme| text.starts_with(scheme) && text != *scheme)
}

/// Values that end up in the image's history, for all to see.
const ARGS: Form = Form::Map(
    "NAME",
    &Form::Either(&[
        Form::Text,
        Form::Refused(
            "build arguments are no place for secrets, they stay in the image: name them under `builder: {secrets: […]}`",
        ),
    ]),
);

pub(crate) const KEYS: Keys = Keys::new(
    "builder",
    "How the image is built, once for all servers: docs/building.md.",
    &[
        Setting::new(
            "context",
            Form::Filled,
            "a directory or URL that is built as it is, changes that aren't committed too",
        )
        .default("a clone of the last commit")
        .examples(&[".", "app"]),
        Setting::new("dockerfile", Form::Filled, "relative to the project")
            .default("`Dockerfile`")
            .examples(&["docker/Dockerfile"]),
        Setting::new("target", Form::Filled, "the stage").default("the last").examples(&["production"]),
        Setting::new("args", ARGS, "`--build-arg` each; `${NAME}` is a variable of your environment")
            .examples(&["{RUBY_VERSION: \"3.4\"}"]),
        Setting::new(
            "arch",
            Form::Either(&[Form::Usual(PLATFORMS), Form::List(&Form::Usual(PLATFORMS))]),
            "`amd64`, `arm64` or a list; needs `docker buildx`. Kamal 2 insists on it",
        )
        .default("the engine's own")
        .kamal2("multiarch")
        .examples(&["arm64", "[amd64, arm64]"]),
        Setting::new("multiarch", Form::Boolean, "`true`: the same as `arch: [amd64, arm64]`")
            .default("false")
            .kamal1("arch"),
        Setting::new(
            "driver",
            Form::Like(&DRIVER),
            "buildx's: a builder of its own in a container, Docker itself, or Docker's cloud",
        )
        .default("`docker-container`")
        .kamal2(""),
        Setting::new(
            "remote",
            Form::Either(&[Form::False, Form::Like(&ENGINE_OR_NONE), Form::Keys(&REMOTE)]),
            "another machine that builds; `false` for none. Kamal 1 writes it as a map",
        )
        .examples(&[
            "ssh://builder@10.0.0.9",
            "{arch: amd64, host: ssh://builder@10.0.0.9}",
            "false",
        ]),
        Setting::new(
            "local",
            Form::Either(&[Form::Boolean, Form::Keys(&LOCAL)]),
            "with `remote`: whether this machine builds its own platform; Kamal 1 writes it as a map",
        )
        .default("true")
        .examples(&["true", "{arch: arm64, host: unix:///var/run/docker.sock}"]),
        Setting::new("pack", Form::Keys(&PACK), "buildpacks in place of a Dockerfile")
            .kamal2("")
            .examples(&["{builder: \"heroku/builder:24\", buildpacks: [heroku/ruby]}"]),
        Setting::new("cache", Form::Keys(&CACHE), "layers of earlier builds").examples(&["{type: registry}"]),
        Setting::new("secrets", LIST, "secrets that the build may read, by name")
            .examples(&["[BUNDLE_GITHUB__COM]"]),
        Setting::new("ssh", Form::Filled, "the agent or keys that the build may use")
            .examples(&["default=$SSH_AUTH_SOCK"]),
        Setting::new("provenance", Form::Text, "provenance in the image: `true`, `false`, `mode=max`")
            .kamal2("")
            .examples(&["false", "mode=max"]),
        Setting::new("sbom", Form::Boolean, "a bill of materials in the image").kamal2(""),
    ],
)
.slips(&[("platform", "arch"), ("file", "dockerfile"), ("build_args", "args")]);

const REMOTE: Keys = Keys::new(
    "builder/remote",
    "Kamal 1's form.",
    &[
        Setting::new("arch", Form::Usual(PLATFORMS), "what it builds")
            .kamal1("builder/arch")
            .examples(&["amd64"]),
        Setting::new("host", Form::Like(&ENGINE), "the URL of its engine").kamal1("builder/remote"),
    ],
);

const LOCAL: Keys = Keys::new(
    "builder/local",
    "Kamal 1's form.",
    &[
        Setting::new("arch", Form::Usual(PLATFORMS), "what this machine builds")
            .kamal1("builder/arch")
            .examples(&["arm64"]),
        Setting::new("host", Form::Like(&ENGINE), "the URL of its engine")
            .kamal1("")
            .examples(&["unix:///var/run/docker.sock"]),
    ],
);

const PACK: Keys = Keys::new(
    "builder/pack",
    "",
    &[
        Setting::new("builder", Form::Filled, "the image that builds")
            .default("required")
            .examples(&["\"heroku/builder:24\""]),
        Setting::new("buildpacks", LIST, "its buildpacks").examples(&["[heroku/ruby, heroku/procfile]"]),
    ],
);

const CACHE: Keys = Keys::new(
    "builder/cache",
    "",
    &[
        Setting::new("type", Form::Word(&["registry", "gha"]), "where: in the registry, or GitHub's")
            .default("`registry`"),
        Setting::new("options", Form::Filled, "further ones, with commas")
            .examples(&["\"mode=max,image-manifest=true\""]),
        Setting::new("image", Form::Filled, "the image that holds it")
            .default("the app's with `-build-cache`")
            .examples(&["me/app-build-cache"]),
    ],
);
