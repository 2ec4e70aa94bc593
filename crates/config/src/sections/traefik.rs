//! `traefik`: settings of Traefik, which runs on every server with a role behind it.

use serde::Serialize;

use crate::decode::{Field, Report};
use crate::describe::{Form, Keys, OPTIONS, QUOTABLE_PORT, Setting, TEXTS};
use crate::env::FORM as ENV;
use crate::image::{self, Before};
use crate::shown;
use crate::{Env, OptionValue, Pairs};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Traefik {
    pub image: String,
    pub publish: bool,
    pub host_port: u16,
    pub docker_socket: String,
    #[serde(serialize_with = "shown::pairs")]
    pub labels: Pairs,
    /// `args`, as written: `--KEY=VALUE` each.
    #[serde(serialize_with = "shown::pairs")]
    pub args: Vec<(String, OptionValue)>,
    #[serde(serialize_with = "shown::pairs")]
    pub options: Vec<(String, OptionValue)>,
    pub env: Env,
}

impl Default for Traefik {
    fn default() -> Self {
        Self::decode(&Field::nothing(), &mut Report::default())
    }
}

/// Like `options`. An argument without a value is empty; Kamal 1 passes it as `--KEY=""`.
const ARGS: Form = Form::Map("NAME", &Form::Either(&[Form::Text, Form::List(&Form::Text), Form::Nothing]));

pub(crate) const KEYS: Keys = Keys::new(
    "traefik",
    "Settings of the container `traefik`, which runs on each server with a role behind Traefik.",
    &[
        Setting::new("image", Form::Filled, "Traefik's image").default("`traefik:v2.11`, as in Kamal 1").examples(&["traefik:v3.1"]),
        Setting::new("publish", Form::Boolean, "whether Docker publishes port 80 of the container").default("true"),
        Setting::new("host_port", QUOTABLE_PORT, "the port of the server on which Docker publishes it").default("80").examples(&["8080", "\"8080\""]),
        Setting::new(
            "docker_socket",
            Form::Filled,
            "the path of Docker's socket on the server, from which Traefik reads its routes. Rootless Docker: \
             `/run/user/UID/docker.sock`",
        )
        .default("`/var/run/docker.sock`")
        .examples(&["/run/user/1000/docker.sock"])
        .ours(),
        Setting::new(
            "args",
            ARGS,
            "Traefik's command-line arguments, as `KEY: VALUE`. They override the defaults `log.level=DEBUG`, \
             `providers.providersThrottleDuration=100ms` and `api.insecure=true`",
        )
        .examples(&["{log.level: INFO, accesslog: true}"]),
        Setting::new("labels", TEXTS, "labels of Traefik's container").examples(&["{team: platform}"]),
        Setting::new("options", OPTIONS, "more flags for `docker run`: a value, a list (repeats the flag), or `true` (a flag without a value)")
            .examples(&["{memory: 512m, volume: [\"/a:/a\", \"/b:/b\"]}"]),
        Setting::new("env", ENV, "environment variables of Traefik's container").examples(&["{A: b}", "{clear: {A: b}, secret: [TOKEN]}"]),
    ],
)
.notes(
    "With `api.insecure=true`, Traefik serves its API on port 8080 of its container, without a password. Docker doesn't publish \
     that port: Bowline reaches it through the SSH connection. Other containers on the network `kamal` and programs on the server \
     can reach it too. With `api.insecure: false`, Bowline can't ask Traefik which containers it routes to, and waits 5 s instead.\n\n\
     Bowline's tests run Traefik 3.7, not the default. For a new project that uses Traefik, set \
     `image: traefik:v3.7`.",
);

impl Traefik {
    pub(crate) fn decode(section: &Field, report: &mut Report) -> Self {
        if let Some(field) = section.get("image") {
            image::check(&field, &field.text().unwrap_or_default(), Before::Nothing, report);
        }
        Self {
            image: section.at("image").text().unwrap_or_else(|| "traefik:v2.11".into()),
            publish: section.at("publish").boolean().unwrap_or(true),
            host_port: section.at("host_port").port().unwrap_or(80),
            docker_socket: section
                .at("docker_socket")
                .text()
                .unwrap_or_else(|| "/var/run/docker.sock".into()),
            labels: section.at("labels").pairs(),
            args: section.at("args").options(),
            options: section.at("options").options(),
            env: Env::decode(&section.at("env"), report),
        }
    }
}
