//! The registry that Kamal runs on this machine for `server: localhost:PORT`. Servers get the image from us, so nothing starts it;
//! it can be removed.

use super::Where;
use crate::error::RunError;
use crate::local::{ask, words};
use crate::world::{HostOutput, World};

/// Its container.
const NAME: &str = "kamal-docker-registry";

/// `registry remove`: with the images in it.
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
