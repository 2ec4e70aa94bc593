//! The maintenance page: a container next to the app that Traefik sends the app's requests to.
//!
//! Each step waits until Traefik has followed, so that every request is answered: the page answers before Traefik
//! leaves the app, and Traefik routes to the app before the page goes.

use bowline_core::commands::app::{Drained, Stopped};
use bowline_core::proxy::traefik::labels::Protocol;
use bowline_core::proxy::traefik::maintenance::{End, Turn};
use bowline_core::proxy::traefik::{self, Answer};

use super::{Client, step};
use crate::error::{Cause, Failure};
use crate::proxy::At;
use crate::run::change::Done;

pub(super) async fn turn(client: Client, at: At<'_>, role: &str, turn: &Turn) -> Done {
    let At { fleet, host } = at;
    let failed = |cause: Cause| Failure::new(host, Some(role), "change to or from maintenance", cause);
    match turn {
        Turn::Begin { page, leave: earlier, idle } => {
            let begin = step(traefik::Step::BeginPage(Box::new(page.clone())));
            let answer: Answer = fleet.ask(host, Some(role), &begin).await?;
            client.routes_to(at, &page.route(), &answer.addresses).await.map_err(failed)?;
            leave(client, at, role, earlier).await?;
            let mut busy = false;
            for idle in idle {
                let wait = step(traefik::Step::Idle(idle.clone()));
                let stopped: Stopped = fleet.ask(host, Some(role), &wait).await?;
                busy |= stopped.drain == Some(Drained::Busy);
            }
            let requests =
                if busy { "the app still has open requests" } else { "the app has no open requests" };
            Ok(format!("in maintenance; {requests}"))
        }
        Turn::End { app: None, leave: any } => {
            leave(Client { api: None }, at, role, any).await?;
            Ok("was not in maintenance".into())
        }
        Turn::End { app: Some((route, addresses)), leave: all } => {
            client.routes_to(at, route, addresses).await.map_err(failed)?;
            leave(client, at, role, all).await?;
            Ok("live".into())
        }
    }
}

async fn leave(client: Client, at: At<'_>, role: &str, end: &End) -> Result<(), Failure> {
    let At { fleet, host } = at;
    let ended: Answer = fleet.ask(host, Some(role), &step(traefik::Step::EndPages(end.clone()))).await?;
    if ended.addresses.is_empty() && end.others {
        return Ok(());
    }
    for address in ended.addresses {
        if let Err(cause) = client.let_go_of(at, address, &[Protocol::Http].into()).await {
            at.note(format!("Traefik may still route to the maintenance page: {cause}"));
        }
    }
    fleet.run(host, Some(role), &step(traefik::Step::RemovePages(end.clone()))).await.map(drop)
}
