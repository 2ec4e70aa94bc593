//! `traefik boot|reboot|start|stop|restart|remove` on a server. Traefik counts as started when it gets its routes from
//! Docker.

use bowline_core::proxy::traefik::container::{Replace, Verdict, will_have_api};
use bowline_core::proxy::traefik::life::{Life, Routes};
use bowline_core::proxy::traefik::{self, Answer, Api, NAME};

use super::settle::{client_at, deaf, explained, gives_way, settle, start};
use super::{Client, step};
use crate::proxy::At;
use crate::run::change::Done;
use crate::run::retire::note_returns;

pub(crate) async fn carry_out(at: At<'_>, life: &Life) -> Done {
    let At { fleet, host } = at;
    match life {
        Life::Boot { ensure, routes } => {
            start(at, ensure, routes.clone()).await?;
            Ok("Traefik runs".into())
        }
        Life::Reboot { ensure, before, restart } => {
            let routed = match before {
                Some(Api::At(api)) => Client { api: Some(*api) }.routed(at).await,
                _ => None,
            };
            let routed = routed.unwrap_or_default();
            let replace = Box::new(Replace { ensure: ensure.as_ref().clone() });
            let replaced = fleet.ask(host, None, &step(traefik::Step::Replace(replace))).await;
            let answer: Answer = replaced.map_err(explained)?;
            if let Some(address) = answer.address() {
                let client = client_at(address, will_have_api(&ensure.traefik));
                let routes = async {
                    client.hears_docker(at, &ensure.route()).await?;
                    client.routes_again(at, &routed).await
                };
                if let Err(cause) = routes.await {
                    return Err(gives_way(at, ensure, restart.clone(), cause).await);
                }
            }
            settle(at, ensure, Verdict::Stays).await?;
            Ok("rebooted Traefik".into())
        }
        Life::Power { power, routes } => {
            let answer: Answer = fleet.ask(host, None, &step(traefik::Step::Power(power.clone()))).await?;
            note_returns(fleet, host, NAME, &answer.returns);
            if let (Some(Routes { own, has_api }), Some(address)) = (routes, answer.address()) {
                let heard = client_at(address, *has_api).hears_docker(at, own).await;
                heard.map_err(|cause| deaf(host, cause))?;
            }
            Ok(format!("{} Traefik", power.action.done()))
        }
        Life::Remove(remove) => {
            let answer: Answer = fleet.ask(host, None, &step(traefik::Step::Remove(remove.clone()))).await?;
            Ok(match answer.kept {
                Some(others) => format!("kept Traefik: it routes to {others}"),
                None => "removed Traefik".into(),
            })
        }
    }
}
