//! `traefik`: the proxy that every server with a routed role runs.

use serde::Serialize;

use crate::decode::{Field, Report};
use crate::describe::{Form, Keys, OPTIONS, QUOTABLE_PORT, Setting, TEXTS};
use crate::env::FORM as ENV;
use crate::image::{self, Before};
use crate::shown;
use crate::{Env, OptionValue, Pairs};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traefik {
    /// `image` (`traefik:v2.11`).
    pub image: String,
    /// `publish` (true): whether port 80 of the container is published.
    pub publish: bool,
    /// `host_port` (80).
    pub host_port: u16,
    /// `docker_socket` (`/var/run/docker.sock`): where Docker listens on the server.
    pub docker_socket: String,
    /// `labels`, as written.
    #[serde(serialize_with = "shown::pairs")]
    pub labels: Pairs,
    /// `args`, as written: `--KEY=VALUE` each.
    #[serde(serialize_with = "shown::pairs")]
    pub args: Vec<(String, OptionValue)>,
    /// `options`: further flags of `docker run`.
    #[serde(serialize_with = "shown::pairs")]
    pub options: Vec<(String, OptionValue)>,
    pub env: Env,
}

impl Default for Traefik {
    fn default() -> Self {
        Self::decode(&Field::nothing(), &mut Report::default())
    }
}

/// As `options`; one without a value is an empty one, which Kamal 1 passes on as `--KEY=""`.
const ARGS: Form = Form::Map("NAME", &Form::Either(&[Form::Text, Form::List(&Form::Text), Form::Nothing]));

pub(crate) const KEYS: Keys = Keys::new(
    "traefik",
    "For the container `traefik` on each server that has a role with Traefik.",
    &[
        Setting::new("image", Form::Filled, "its image").default("`traefik:v2.11`").examples(&["traefik:v3.1"]),
        Setting::new("publish", Form::Boolean, "whether port 80 of the container is published").default("true"),
        Setting::new("host_port", QUOTABLE_PORT, "on which port of the server").default("80").examples(&["8080", "\"8080\""]),
        Setting::new(
            "docker_socket",
            Form::Filled,
            "the socket of the server's Docker, by which Traefik learns what to route to; with rootless Docker \
             `/run/user/UID/docker.sock`",
        )
        .default("`/var/run/docker.sock`")
        .examples(&["/run/user/1000/docker.sock"])
        .ours(),
        Setting::new(
            "args",
            ARGS,
            "Traefik's arguments, `--KEY=VALUE` each, over the defaults `log.level=DEBUG`, \
             `providers.providersThrottleDuration=100ms`, `api.insecure=true`",
        )
        .examples(&["{log.level: INFO, accesslog: true}"]),
        Setting::new("labels", TEXTS, "labels of its container").examples(&["{team: platform}"]),
        Setting::new("options", OPTIONS, "further flags of `docker run`: a value, a list, or `true` for the bare flag")
            .examples(&["{memory: 512m, volume: [\"/a:/a\", \"/b:/b\"]}"]),
        Setting::new("env", ENV, "its variables").examples(&["{A: b}", "{clear: {A: b}, secret: [TOKEN]}"]),
    ],
)
.notes(
    "`api.insecure=true` makes Traefik's API answer on port 8080 of its container. That port is not published; Bowline \
     reaches it through the SSH connection. Other containers on the network `kamal`, and programs on the server \
     itself, can reach it too. With `api.insecure: false` Bowline waits 5 s where it would ask.",
);

impl Traefik {
    pub(crate) fn decode(field: &Field, report: &mut Report) -> Self {
        let section = field.section();
        if let Some(field) = section.get("image") {
            image::check(&field, &field.text().unwrap_or_default(), Before::Nothing, report);
        }
        Self {
            image: section.text("image").unwrap_or_else(|| "traefik:v2.11".into()),
            publish: section.boolean("publish").unwrap_or(true),
            host_port: section.port("host_port").unwrap_or(80),
            docker_socket: section.text("docker_socket").unwrap_or_else(|| "/var/run/docker.sock".into()),
            labels: section.pairs("labels"),
            args: section.options("args"),
            options: section.options("options"),
            env: Env::decode(&section.part("env"), report),
        }
    }
}
