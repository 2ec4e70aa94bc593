//! Carries out the pieces of a change.

use std::collections::BTreeMap;

use bowline_core::commands::remove::Removed;
use bowline_core::observed::Observed;
use bowline_core::plan::Retire;
use bowline_core::plan::change::{Piece, Stage, Work, log_in};
use bowline_core::plan::step::Step;
use bowline_core::proxy::ProxyKind;
use bowline_core::proxy::life::Life;

use futures_util::future::join_all;

use crate::accessory::image;
use crate::accessory::work::OnServer;
use crate::call::Call;
use crate::error::{Cause, Failure};
use crate::proxy::{self, At, Proxy, kamal, traefik};
use crate::run::change::Done;
use crate::run::fleet::Fleet;
use crate::run::retire::retire;
use crate::run::start::Spot;
use crate::world::{Gathered, HostOutput};

/// The failure to report for a piece that the plan refuses.
pub(crate) fn refused(piece: &Piece) -> Option<Failure> {
    let Work::Refused { doing, reason, hint } = &piece.work else { return None };
    Some(Failure::new(
        &piece.host,
        piece.role.as_deref(),
        doing.clone(),
        Cause::Other { reason: reason.clone(), hint: hint.clone() },
    ))
}

/// What a piece needs from a run that holds the lock: its connections and observations.
#[derive(Clone, Copy)]
pub(crate) struct Crew<'a> {
    pub call: Call<'a>,
    pub fleet: &'a Fleet,
    pub observed: &'a BTreeMap<String, Observed>,
}

impl Crew<'_> {
    /// Does all work of a stage in parallel, after this machine has sent the images that it needs.
    pub(crate) async fn stage(self, stage: &Stage) -> Gathered {
        let missing = match &stage.brings {
            Some(brings) => image::bring(self, brings, stage).await,
            None => BTreeMap::new(),
        };
        let done = join_all(stage.pieces.iter().map(|piece| async {
            match missing.get(&piece.host) {
                Some(failure) => Err(Failure { role: piece.role.clone(), ..failure.clone() }),
                None => self.work(piece).await,
            }
        }));
        let mut gathered = Gathered::default();
        for (Piece { host, role, .. }, result) in stage.pieces.iter().zip(done.await) {
            let said = self.fleet.report(result, &mut gathered.failures).filter(|said| !said.is_empty());
            gathered.outputs.extend(said.map(|said| HostOutput::said(host, role.as_deref(), &said)));
        }
        gathered
    }

    async fn work(self, piece: &Piece) -> Done {
        let at = At { fleet: self.fleet, host: &piece.host };
        let role = piece.role.as_deref().unwrap_or_default();
        if let Some(failure) = refused(piece) {
            return Err(failure);
        }
        match &piece.work {
            Work::Refused { .. } => Ok(String::new()),
            Work::Nothing(why) => Ok(why.clone()),
            Work::Start(start) => {
                let spot = Spot { at, role, tell: &|_| {} };
                spot.start(start, self.proxy(start.attach.kind(), at).as_ref()).await?;
                Ok(format!("started {}", start.name))
            }
            Work::Retire { retire, then } => self.retire(at, retire, then).await,
            Work::Run { steps, note, said } => {
                if let Some(text) = note.clone() {
                    at.note(text);
                }
                let mut said = said.clone();
                for step in steps {
                    if let Removed { shared: Some(others) } =
                        at.fleet.ask(at.host, piece.role.as_deref(), step).await?
                    {
                        said = format!("kept the app's directory: it also holds files of {others}");
                    }
                }
                Ok(said)
            }
            Work::Proxy { login, life } => {
                if let Some(login) = login {
                    at.fleet.run(at.host, None, &log_in(login)).await?;
                }
                match life.as_ref() {
                    Life::Traefik(life) => traefik::life::carry_out(at, life).await,
                    Life::Kamal(life) => kamal::life::carry_out(at, &self.call.world.own_proxy, life).await,
                }
            }
            Work::Accessory(work) => {
                let own = self.call.config().accessories.iter().find(|accessory| accessory.name == role);
                match own {
                    Some(accessory) => OnServer { crew: self, at, accessory }.carry_out(work).await,
                    None => Ok(String::new()),
                }
            }
            Work::Maintain(how) => self.proxy(how.kind(), at).maintain(role, how).await,
        }
    }

    /// The proxy of this kind on a server; none if the server wasn't observed.
    pub(crate) fn proxy<'s>(self, kind: ProxyKind, at: At<'s>) -> Box<dyn Proxy + 's> {
        match self.observed.get(at.host) {
            Some(observed) => proxy::observed(kind, at, observed),
            None => proxy::none(),
        }
    }

    async fn retire(self, at: At<'_>, all: &[Retire], then: &[Step]) -> Done {
        let mut stopped = Vec::new();
        for one in all {
            let proxy = self.proxy(one.detach.kind(), at);
            retire(at.fleet, at.host, &one.stop.role, one, proxy.as_ref()).await?;
            stopped.push(one.stop.name.as_str());
        }
        for step in then {
            at.fleet.run(at.host, all.last().map(|last| last.stop.role.as_str()), step).await?;
        }
        Ok(format!("stopped {}", stopped.join(", ")))
    }
}
