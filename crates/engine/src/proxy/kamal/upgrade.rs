//! `proxy upgrade` on a server: replaces the program in the proxy's container if that works, otherwise the container.

use bowline_core::commands::status::Status;
use bowline_core::proxy::kamal::container::{Ensure, Image, Replace};
use bowline_core::proxy::kamal::upgrade::{Found, InPlace, Look, Way};
use bowline_core::proxy::kamal::{self, NAME};

use super::image::OwnImage;
use super::{At, step, with_image};
use crate::error::{Cause, Failure};
use crate::run::change::Done;

pub(crate) async fn upgrade(at: At<'_>, image: &OwnImage, wanted: &Ensure) -> Done {
    let own = match wanted.image {
        Image::Own => image.reference().await.map_err(|cause| unmade(at, cause))?,
        Image::Named(_) => String::new(),
    };
    let look = step(kamal::Step::Look(Box::new(Look { ensure: Ensure { own, ..wanted.clone() } })));
    let found: Found = at.fleet.ask(at.host, None, &look).await?;
    match found.way() {
        Way::Already(what) => Ok(format!("{NAME} is already {what}")),
        Way::Newer { runs, wanted } => Ok(format!("{NAME} is {runs}, which is newer than {wanted}")),
        // A stopped container may be of an older version.
        Way::Boot | Way::Reboot => by_reboot(at, image, wanted, &found).await,
        Way::InPlace { from, to } => {
            let made = |ensure| kamal::Step::InPlace(Box::new(InPlace { ensure, version: to.clone() }));
            match with_image(at, image, wanted, made).await {
                Ok(_) => Ok(format!("upgraded {NAME} from {from} to {to} without delaying requests")),
                Err(failure) if failure.has_status(Status::NotInPlace) => {
                    at.note(format!(
                        "rebooting {NAME}, because its container can't take the new version{}",
                        said(&failure)
                    ));
                    by_reboot(at, image, wanted, &found).await
                }
                Err(failure) => Err(goes_on(failure, &from)),
            }
        }
    }
}

/// Replaces the container, with a short downtime.
async fn by_reboot(at: At<'_>, image: &OwnImage, wanted: &Ensure, found: &Found) -> Done {
    let replace = |ensure| kamal::Step::Replace(Box::new(Replace { ensure }));
    let answer = with_image(at, image, wanted, replace).await?;
    if !found.is_running {
        return Ok(format!("booted {NAME}, which was not running"));
    }
    let from = found.image.iter().map(|image| format!(" from {image}")).collect::<String>();
    Ok(format!("upgraded {NAME}{from} to {}{}", found.wanted, super::gap(&answer)))
}

fn unmade(at: At<'_>, cause: Cause) -> Failure {
    Failure::new(at.host, None, format!("upgrade {NAME}"), cause)
}

/// The last line that the programs on the server printed, if any.
fn said(failure: &Failure) -> String {
    let Cause::Command(output) = &failure.cause else { return String::new() };
    let line = output.stderr.trim().lines().last().unwrap_or_default();
    if line.is_empty() { String::new() } else { format!(": {}", line.trim_start_matches("Error: ")) }
}

fn goes_on(mut failure: Failure, from: &str) -> Failure {
    if matches!(failure.cause, Cause::Command(_)) {
        let reason = format!("it was not upgraded; {from} keeps running{}", said(&failure));
        let hint =
            "`docker logs kamal-proxy` there may say more; `bowline proxy reboot` replaces the container";
        failure.cause = Cause::Other { reason, hint: Some(hint.into()) };
    }
    failure
}
