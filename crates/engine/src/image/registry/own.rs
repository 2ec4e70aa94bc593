//! A registry on this machine (`server: localhost:PORT`): a container here, which servers reach through their SSH
//! connections while they pull.

use bowline_config::Config;

use super::Where;
use crate::error::RunError;
use crate::local::{Failed, ask, run, words};
use crate::ports::LocalCommand;
use crate::world::{HostOutput, World};

/// Its container, as with Kamal.
const NAME: &str = "kamal-docker-registry";
const IMAGE: &str = "registry:3";

/// Sees to it that it runs.
pub(super) async fn start(world: &World, port: u16) -> Result<(), RunError> {
    match ask(world, &words(&["docker", "start", NAME])).await {
        Ok(_) => return Ok(()),
        Err(Failed::Stopped) => return Err(RunError::interrupted()),
        // There is none yet; what else it may be, the next command says.
        Err(Failed::Because(_)) => {}
    }
    let publish = format!("127.0.0.1:{port}:5000");
    let words = words(&["docker", "run", "--detach", "-p", &publish, "--name", NAME, IMAGE]);
    let command = LocalCommand { words, ..Default::default() };
    run(world, &command).await.map(drop).map_err(|failed| {
        let hint = format!("it needs port {port} of this machine, and the image {IMAGE}");
        failed.at("running a registry on this machine", Some(hint))
    })
}

/// `registry setup`. Servers have nothing to be set up.
pub(super) async fn set_up(
    world: &World,
    config: &Config,
    place: Where,
) -> Result<Vec<HostOutput>, RunError> {
    let Some(port) = config.registry.local_port().filter(|_| place.here) else { return Ok(Vec::new()) };
    start(world, port).await?;
    Ok(vec![HostOutput::said("this machine", None, &format!("the registry {NAME} runs on port {port}"))])
}

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
