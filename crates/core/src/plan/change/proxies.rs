//! Changes to the proxies, which all apps of a server share.

use super::{After, Basis, Piece, Stage, Turns, Work};
use crate::error::{PlanError, Refusal};
use crate::plan::step::Step;
use crate::proxy::ProxyKind;
use crate::proxy::kamal::boot_config::{self, BootConfig};
use crate::proxy::kamal::run_of;
use crate::proxy::life::{Act, Here};

impl Basis<'_> {
    /// Changes the proxies of a kind. Hooks run around a reboot, and after a failure no further server is rebooted.
    pub(super) fn proxies(&self, kind: ProxyKind, act: Act, turns: Turns) -> Vec<Stage> {
        let pieces: Vec<Piece> =
            self.given.behind.iter().filter_map(|host| self.proxy(host, kind, act)).collect();
        let reboots = act.reboots().then_some(kind);
        let after = if act.reboots() { After::Success } else { After::Anything };
        let stage = |pieces| Stage { after, reboots, ..Stage::from(pieces) };
        match turns {
            Turns::Together => vec![stage(pieces)],
            Turns::OneByOne => pieces.into_iter().map(|piece| stage(vec![piece])).collect(),
        }
    }

    fn proxy(&self, host: &str, kind: ProxyKind, act: Act) -> Option<Piece> {
        let Basis { config, scope, given, .. } = *self;
        let observed = self.observed.get(host)?;
        let here = Here { config, secrets: &given.secrets, scope, host, observed };
        let decided = || -> Result<Option<Work>, PlanError> {
            let life = here.life(kind, act)?.map(Box::new);
            let login = here.login(kind, act)?;
            Ok(life.map(|life| Work::Proxy { login, life }))
        };
        let refused = |error| match error {
            PlanError::Proxy(Refusal { message, hint }) => {
                Work::Refused { doing: "run this proxy".into(), reason: message, hint: Some(hint) }
            }
            error => Work::Refused {
                doing: "read the configuration".into(),
                reason: error.to_string(),
                hint: None,
            },
        };
        let work = decided().unwrap_or_else(|error| Some(refused(error)));
        Some(Piece { host: host.into(), role: None, work: work? })
    }

    /// Writes or removes the boot settings, for servers whose configuration has no `proxy/run`.
    pub(super) fn boot_config(&self, files: Option<&BootConfig>) -> Stage {
        let (script, said) = match files {
            Some(files) => (boot_config::set(files), "the next reboot applies it"),
            None => (boot_config::reset(), "the next reboot restores the defaults"),
        };
        let piece = |host: &&str| {
            let overridden = run_of(self.config, host).is_some();
            let note = "`proxy: run:` in the configuration overrides these files";
            let work = Work::Run {
                steps: vec![Step::Run("write the boot configuration", script.clone())],
                note: overridden.then(|| note.into()),
                said: said.into(),
            };
            Piece { host: (*host).into(), role: None, work }
        };
        let there = self.given.behind.iter().filter(|host| self.observed.contains_key(**host));
        there.map(piece).collect::<Vec<_>>().into()
    }

    /// Removes the proxies that serve the app's roles, unless they also serve other apps.
    pub(super) fn remove_proxies(&self) -> Stage {
        let of = |(host, kinds): (&String, Vec<ProxyKind>)| {
            kinds.into_iter().filter_map(|kind| self.proxy(host, kind, Act::Remove)).collect::<Vec<_>>()
        };
        let roles = |host| self.selection.roles_of(host).map(|(role, _)| role);
        let kinds = self.observed.keys().map(|host| (host, ProxyKind::of_all(roles(host))));
        kinds.flat_map(of).collect::<Vec<_>>().into()
    }
}
