//! Why something could not be done to an accessory, in the words of what it means.

use bowline_config::Accessory;
use bowline_core::commands::accessory::BACK;
use bowline_core::commands::published::PORT_TAKEN;
use bowline_core::commands::{app, network, ready, registry};
use bowline_core::plan::deploy::PlanError;

use crate::error::{Cause, Failure};
use crate::ports::{Exit, Output};
use crate::run::{health, published};

/// Why a step ended with another status than 0.
pub(super) fn cause(accessory: &Accessory, output: Output) -> Cause {
    let Exit::Status(status) = output.exit else { return Cause::Command(output) };
    let back = super::said(&output, BACK);
    let name = &accessory.name;
    let (reason, hint) = match status {
        ready::NOT_READY => return not_ready(accessory, output, back),
        PORT_TAKEN => (
            published::taken(&output),
            format!("end that first, or see `accessories: {name}: port:`, and `publish` in its `options:`"),
        ),
        app::NOT_STARTED if health::is_port_taken(&output.stderr) => (
            "docker would not run the container".into(),
            format!("something else has the port: see `accessories: {name}: port:`"),
        ),
        app::NOT_STARTED => (
            "docker would not run the container".into(),
            format!("see `accessories: {name}:` in the configuration"),
        ),
        app::NAME_TAKEN => (
            format!("the name {} is taken by a container that is not this accessory's", accessory.service),
            format!(
                "remove that container, or give the accessory another name with `accessories: {name}: service:`"
            ),
        ),
        registry::LOGIN_REFUSED => (
            "the registry refused the login".into(),
            "see `registry:` (the accessory's own, else the one at the root): server, username, password"
                .into(),
        ),
        registry::PULL_FAILED => (
            format!("the image {} could not be pulled", accessory.image),
            format!(
                "see `accessories: {name}: image:`; one of a private registry needs that server's login in `registry:`"
            ),
        ),
        network::FAILED => {
            ("the network could not be made".into(), "`docker network create kamal` there says why".into())
        }
        _ if ["Permission denied", "not permitted"].iter().any(|said| output.stderr.contains(said)) => (
            "the user that we log in as may not do that".into(),
            "only root may give files away, or remove what a container made: do it there with sudo, or set `ssh: user:`"
                .into(),
        ),
        _ => return Cause::Command(output),
    };
    let said = output.stderr.trim();
    let reason = if said.is_empty() { reason } else { format!("{reason}: {said}") };
    Cause::Told { reason: reason + restored(back), hint: Some(hint) }
}

fn not_ready(accessory: &Accessory, output: Output, back: bool) -> Cause {
    // Its own deadline is no failure, so none is named.
    match health::outcome(&accessory.service, 0, output) {
        Err(Cause::NotReady(mut found)) => {
            found.summary.push_str(restored(back));
            Cause::NotReady(found)
        }
        Err(cause) => cause,
        Ok(_) => Cause::Told { reason: "it did not come up".into(), hint: None },
    }
}

fn restored(back: bool) -> &'static str {
    if back { "; the container before runs again" } else { "" }
}

/// There is nothing to start.
pub(super) fn no_container(accessory: &Accessory, host: &str) -> Failure {
    let name = &accessory.name;
    told(
        accessory,
        host,
        "find the container",
        "there is none",
        &format!("`accessory boot {name}` makes one"),
    )
}

/// The configuration gives no container. It was checked before anything was begun.
pub(super) fn unusable(error: &PlanError, accessory: &Accessory, host: &str) -> Failure {
    told(accessory, host, "read the configuration", &error.to_string(), "see the secrets of its env")
}

fn told(accessory: &Accessory, host: &str, doing: &str, reason: &str, hint: &str) -> Failure {
    Failure {
        host: host.into(),
        role: Some(accessory.name.clone()),
        doing: doing.into(),
        cause: Cause::Told { reason: reason.into(), hint: Some(hint.into()) },
    }
}
