//! `proxy boot|reboot|upgrade|start|stop|restart|remove` on a server.

use bowline_core::proxy::kamal::container::Replace;
use bowline_core::proxy::kamal::life::Life;
use bowline_core::proxy::kamal::{self, Answer, NAME};

use super::image::OwnImage;
use super::{ensure, explained, gap, step, upgrade, with_image};
use crate::proxy::At;
use crate::run::change::Done;

pub(crate) async fn carry_out(at: At<'_>, image: &OwnImage, life: &Life) -> Done {
    let At { fleet, host } = at;
    match life {
        Life::Boot(wanted) => {
            let answer = ensure(at, image, wanted).await?;
            Ok(format!("{} {NAME}", if answer.made { "booted" } else { "started" }))
        }
        Life::Reboot(wanted) => {
            let replace = |ensure| kamal::Step::Replace(Box::new(Replace { ensure }));
            let answer = with_image(at, image, wanted, replace).await?;
            Ok(format!("rebooted {NAME}{}", gap(&answer)))
        }
        Life::Upgrade(wanted) => upgrade::upgrade(at, image, wanted).await,
        Life::Power(power) => {
            let power_step = step(kamal::Step::Power(power.clone()));
            fleet.run(host, None, &power_step).await.map_err(explained)?;
            Ok(format!("{} {NAME}", power.action.done()))
        }
        Life::Remove(remove) => {
            let answer: Answer = fleet.ask(host, None, &step(kamal::Step::Remove(remove.clone()))).await?;
            Ok(match answer.kept {
                Some(services) => format!("kept {NAME}: it routes to {services}"),
                None => format!("removed {NAME}"),
            })
        }
    }
}
