//! The keys of `builder`.

use crate::describe::{Form, Keys, LIST, Like, Setting};

/// The usual platforms. `arch` accepts others too.
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

const ENGINE: Like = Like {
    wanted: "the URL of a Docker engine",
    help: "such as `ssh://builder@10.0.0.9`",
    reads: is_engine,
    pattern: "^((ssh|tcp|unix)://|/).+",
    words: &[],
    examples: &["ssh://builder@10.0.0.9", "tcp://10.0.0.9:2375"],
};

/// Like [`ENGINE`], but can be empty, so that a destination can remove the value of the base file.
const ENGINE_OR_NONE: Like = Like {
    reads: |text| text.is_empty() || is_engine(text),
    pattern: "^$|^((ssh|tcp|unix)://|/).+",
    ..ENGINE
};

/// A URL, or the path of a socket on this machine.
fn is_engine(text: &str) -> bool {
    ["ssh://", "tcp://", "unix://", "/"].iter().any(|scheme| text.starts_with(scheme) && text != *scheme)
}

/// Anyone with the image can read its build arguments in the image's history.
const ARGS: Form = Form::Map(
    "NAME",
    &Form::Either(&[
        Form::Text,
        Form::Refused(
            "build arguments stay in the image: list secrets under `builder: {secrets: […]}` instead",
        ),
    ]),
);

pub(crate) const KEYS: Keys = Keys::new(
    "builder",
    "How the image is built. [building.md](building.md) has examples.",
    &[
        Setting::new(
            "context",
            Form::Filled,
            "the directory or URL to build as it is, including uncommitted changes",
        )
        .default("a clone of the last commit")
        .examples(&[".", "app"]),
        Setting::new("dockerfile", Form::Filled, "the path of the Dockerfile, relative to the current directory (in a build from a clone, to the same place in the clone)")
            .default("`Dockerfile`")
            .examples(&["docker/Dockerfile"]),
        Setting::new("target", Form::Filled, "the stage of the Dockerfile to build").default("the last stage").examples(&["production"]),
        Setting::new("args", ARGS, "build arguments (`--build-arg`). `${NAME}` is replaced by that variable of your environment. Bowline reports an error if it isn't set")
            .examples(&["{RUBY_VERSION: \"3.4\"}"]),
        Setting::new(
            "arch",
            Form::Either(&[Form::Usual(PLATFORMS), Form::List(&Form::Usual(PLATFORMS))]),
            "the CPU to build for: `amd64`, `arm64` or a list. Kamal 2 requires this key, Bowline doesn't. Building for another CPU needs `docker buildx`",
        )
        .default("that of the machine that builds")
        .kamal2("multiarch")
        .examples(&["arm64", "[amd64, arm64]"]),
        Setting::new("multiarch", Form::Boolean, "`true` is the same as `arch: [amd64, arm64]`")
            .default("false")
            .kamal1("arch"),
        Setting::new(
            "driver",
            Form::Like(&DRIVER),
            "the buildx driver: `docker-container` builds in a container, `docker` in Docker itself, `cloud ORGANISATION/BUILDER` in Docker Build Cloud",
        )
        .default("`docker-container`")
        .kamal2(""),
        Setting::new(
            "remote",
            Form::Either(&[Form::False, Form::Like(&ENGINE_OR_NONE), Form::Keys(&REMOTE)]),
            "the URL of a Docker engine on another machine that builds (`ssh://…`); `false` for none. In Kamal 1, a map",
        )
        .examples(&[
            "ssh://builder@10.0.0.9",
            "{arch: amd64, host: ssh://builder@10.0.0.9}",
            "false",
        ]),
        Setting::new(
            "local",
            Form::Either(&[Form::Boolean, Form::Keys(&LOCAL)]),
            "if `remote` is set, whether this machine builds for its own CPU. In Kamal 1, a map",
        )
        .default("true")
        .examples(&["true", "{arch: arm64, host: unix:///var/run/docker.sock}"]),
        Setting::new("pack", Form::Keys(&PACK), "buildpacks to use instead of a Dockerfile")
            .kamal2("")
            .examples(&["{builder: \"heroku/builder:24\", buildpacks: [heroku/ruby]}"]),
        Setting::new("cache", Form::Keys(&CACHE), "where the build keeps its layers for the next build").examples(&["{type: registry}"]),
        Setting::new("secrets", LIST, "names of secrets that the Dockerfile can read")
            .examples(&["[BUNDLE_GITHUB__COM]"]),
        Setting::new("ssh", Form::Filled, "the SSH agent or keys that the build can use, as in `docker build --ssh`")
            .examples(&["default=$SSH_AUTH_SOCK"]),
        Setting::new("provenance", Form::Text, "whether to attach provenance to the image: `true`, `false` or `mode=max`")
            .kamal2("")
            .examples(&["false", "mode=max"]),
        Setting::new("sbom", Form::Boolean, "whether to attach a bill of materials (SBOM) to the image").kamal2(""),
    ],
)
.slips(&[("platform", "arch"), ("file", "dockerfile"), ("build_args", "args")]);

const REMOTE: Keys = Keys::new(
    "builder/remote",
    "The remote builder in Kamal 1's form.",
    &[
        Setting::new("arch", Form::Usual(PLATFORMS), "the CPU that the remote machine builds for")
            .kamal1("builder/arch")
            .examples(&["amd64"]),
        Setting::new("host", Form::Like(&ENGINE), "the URL of the remote Docker engine")
            .kamal1("builder/remote"),
    ],
);

const LOCAL: Keys = Keys::new(
    "builder/local",
    "The local builder in Kamal 1's form.",
    &[
        Setting::new("arch", Form::Usual(PLATFORMS), "the CPU that this machine builds for")
            .kamal1("builder/arch")
            .examples(&["arm64"]),
        Setting::new("host", Form::Like(&ENGINE), "the URL of the local Docker engine")
            .kamal1("")
            .examples(&["unix:///var/run/docker.sock"]),
    ],
);

const PACK: Keys = Keys::new(
    "builder/pack",
    "",
    &[
        Setting::new("builder", Form::Filled, "the builder image")
            .default("required")
            .examples(&["\"heroku/builder:24\""]),
        Setting::new("buildpacks", LIST, "the buildpacks to use")
            .examples(&["[heroku/ruby, heroku/procfile]"]),
    ],
);

const CACHE: Keys = Keys::new(
    "builder/cache",
    "",
    &[
        Setting::new(
            "type",
            Form::Word(&["registry", "gha"]),
            "where the cache is: in the registry, or in GitHub Actions",
        )
        .default("`registry`"),
        Setting::new("options", Form::Filled, "more options of buildx, comma-separated")
            .examples(&["\"mode=max,image-manifest=true\""]),
        Setting::new("image", Form::Filled, "the image that holds the cache")
            .default("`IMAGE-build-cache`")
            .examples(&["me/app-build-cache"]),
    ],
);
