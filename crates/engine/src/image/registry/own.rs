//! The registry that Kamal runs on this machine for `server: localhost:PORT`. Bowline's servers pull from Bowline itself,
//! so it never starts this registry, but can remove it.

use super::Where;
use crate::error::RunError;
use crate::local::{ask, words};
use crate::world::{HostOutput, World};

const NAME: &str = "kamal-docker-registry";

/// `registry remove`: removes the registry and its images.
pub(super) async fn remove(world: &World, place: Where) -> Result<Vec<HostOutput>, RunError> {
    if !place.here {
        return Ok(Vec::new());
    }
    let said = match ask(world, &words(&["docker", "rm", "--force", "--volumes", NAME])).await {
        Err(failed) if !failed.said().contains("No such container") => {
            return Err(failed.at("removing the registry on this machine", None));
        }
        _ => format!("the registry {NAME} is gone"),
    };
    Ok(vec![HostOutput::said("this machine", None, &said)])
}
