//! Changes to accessories: one accessory after the other, each on all its servers at once.

use super::{After, Basis, Brings, Piece, Stage, Turns, Work};
use crate::commands::accessory::{Act, Directory, What};
use crate::commands::{Action, policy};
use crate::error::PlanError;
use crate::observed::Observed;
use crate::plan::accessory as planning;
use crate::plan::step::Step;
use crate::proxy::kamal::container::Ensure;
use crate::proxy::kamal::files::Files;
use crate::proxy::{self, Attach, kamal};
use bowline_config::Accessory;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Make sure that it runs.
    Boot,
    /// Replace its container.
    Reboot,
    Power(Action),
    Pull,
    /// Remove it with all its data.
    Remove,
}

/// What happens to an accessory on one server. The fields are in the order in which they are carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct OnAccessory {
    pub unregister: Option<proxy::Step>,
    /// Creates its directories and uploads its files.
    pub files: Vec<Act>,
    /// Changes its container. `None` if only its image has to be sent.
    pub act: Option<Act>,
    pub serve: Serve,
}

/// How requests get to an accessory after the change.
#[derive(Debug, Clone, PartialEq)]
pub enum Serve {
    /// They don't, or nothing changes.
    No,
    /// Traefik routes by the container's labels.
    ByLabels(Attach),
    Registered {
        /// Files that kamal-proxy must read for this route.
        files: Option<Box<Files>>,
        /// Makes kamal-proxy run, if it doesn't.
        ensure: Option<Box<Ensure>>,
        route: Attach,
    },
}

impl Deed {
    pub fn verb(self) -> &'static str {
        match self {
            Deed::Boot => "boot",
            Deed::Reboot => "reboot",
            Deed::Power(action) => action.verb(),
            Deed::Pull => "pull-image",
            Deed::Remove => "remove",
        }
    }

    /// Whether it can create a container.
    pub fn makes(self) -> bool {
        matches!(self, Deed::Boot | Deed::Reboot)
    }
}

impl OnAccessory {
    pub(super) fn steps(&self) -> Vec<Step> {
        let act = |act: &Act| Step::Accessory(Box::new(act.clone()));
        let kamal = |step| Step::Proxy(proxy::Step::Kamal(step));
        let mut steps: Vec<Step> = self.unregister.clone().map(Step::Proxy).into_iter().collect();
        steps.extend(self.files.iter().chain(&self.act).map(act));
        if let Serve::Registered { files, ensure, route } = &self.serve {
            steps.extend(files.clone().map(kamal::Step::Files).map(kamal));
            steps.extend(ensure.clone().map(kamal::Step::Ensure).map(kamal));
            steps.extend(route.step("ID").map(Step::Proxy));
        }
        steps
    }
}

impl Basis<'_> {
    /// The stages for the selected accessories. With turns, a server's stages wait for success on the previous server.
    pub fn accessories(&self, deed: Deed, turns: Turns) -> Vec<Stage> {
        let hosts = self.given.accessories.hosts();
        let groups = match turns {
            Turns::Together => vec![hosts],
            Turns::OneByOne => hosts.into_iter().map(|host| vec![host]).collect(),
        };
        let mut stages = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            let first = stages.len();
            for (accessory, hosts) in &self.given.accessories.placed {
                let here = hosts.iter().filter(|host| group.contains(host));
                let pieces: Vec<Piece> =
                    here.filter_map(|host| self.on_accessory(accessory, host, deed)).collect();
                if !pieces.is_empty() {
                    let begins_turn = number > 0 && stages.len() == first;
                    let after = if begins_turn { After::Success } else { After::Anything };
                    let brings = self.brings(accessory, deed);
                    stages.push(Stage { after, brings, ..Stage::from(pieces) });
                }
            }
        }
        stages
    }

    fn brings(&self, accessory: &Accessory, deed: Deed) -> Option<Brings> {
        let receive = planning::receive(self.config, self.scope, accessory)?;
        match deed {
            // For a container that doesn't exist yet, an image that the server already has is good enough.
            Deed::Boot => Some(Brings { receive, always: false }),
            Deed::Reboot | Deed::Pull => Some(Brings { receive, always: true }),
            Deed::Power(_) | Deed::Remove => None,
        }
    }

    fn on_accessory(&self, accessory: &Accessory, host: &str, deed: Deed) -> Option<Piece> {
        let observed = self.observed.get(host)?;
        let unusable = |error: PlanError| Work::Refused {
            doing: "read the configuration".into(),
            reason: error.to_string(),
            hint: Some("check the secrets of its env".into()),
        };
        let refused = match deed.makes() {
            true => planning::check_proxy(self.config, self.scope, accessory, host, observed).err(),
            false => None,
        };
        let work = match refused {
            Some(refusal) => Work::refused(&format!("boot {}", accessory.name), refusal),
            None => match self.deed(accessory, (host, observed), deed) {
                Ok(work) => Work::Accessory(Box::new(work)),
                Err(error) => unusable(error),
            },
        };
        Some(Piece { host: host.into(), role: Some(accessory.name.clone()), work })
    }

    fn deed(
        &self,
        accessory: &Accessory,
        (host, observed): (&str, &Observed),
        deed: Deed,
    ) -> Result<OnAccessory, PlanError> {
        let secrets = &self.given.secrets;
        let act = |what| Act {
            scope: self.scope.clone(),
            name: accessory.name.clone(),
            service: accessory.service.clone(),
            what,
        };
        let nothing = OnAccessory { unregister: None, files: Vec::new(), act: None, serve: Serve::No };
        let unregister = || planning::detach(self.config, self.scope, accessory).step();
        Ok(match deed {
            Deed::Boot | Deed::Reboot => {
                let container = Box::new(planning::container(self.config, secrets, accessory, host)?);
                let serve = match accessory.proxy {
                    Some(_) => {
                        let files = planning::files(self.scope, secrets, accessory, &self.given.pages)?;
                        self.registered(accessory, host, observed, files)
                    }
                    None => Serve::ByLabels(container.attach(&accessory.service)),
                };
                let make = if deed == Deed::Boot { What::Boot } else { What::Replace };
                OnAccessory {
                    files: self.files(accessory, act),
                    act: Some(act(make(container))),
                    serve,
                    ..nothing
                }
            }
            Deed::Power(action) => {
                let restart = policy::configured(&accessory.options);
                let starts = action != Action::Stop && accessory.proxy.is_some();
                OnAccessory {
                    unregister: if action == Action::Start { None } else { unregister() },
                    act: Some(act(What::Power { action, restart })),
                    serve: if starts { self.registered(accessory, host, observed, None) } else { Serve::No },
                    ..nothing
                }
            }
            Deed::Pull if planning::receive(self.config, self.scope, accessory).is_some() => nothing,
            Deed::Pull => {
                let login = planning::login(self.config, secrets, accessory)?;
                OnAccessory {
                    act: Some(act(What::Pull { image: accessory.image.clone(), login })),
                    ..nothing
                }
            }
            Deed::Remove => {
                let remove = What::Remove { image: accessory.image.clone() };
                OnAccessory { unregister: unregister(), act: Some(act(remove)), ..nothing }
            }
        })
    }

    fn files(&self, accessory: &Accessory, act: impl Fn(What) -> Act) -> Vec<Act> {
        let directories: Vec<Directory> = accessory.directories.iter().map(Directory::new).collect();
        let directories = (!directories.is_empty()).then_some(What::Directories(directories));
        let files = self.given.files.get(&accessory.name).into_iter().flatten();
        directories.into_iter().chain(files.cloned().map(What::Upload)).map(act).collect()
    }

    fn registered(
        &self,
        accessory: &Accessory,
        host: &str,
        observed: &Observed,
        files: Option<Box<Files>>,
    ) -> Serve {
        let Some(route) = planning::route(self.config, self.scope, accessory) else { return Serve::No };
        let runs = observed.proxy(kamal::NAME).is_some_and(|proxy| proxy.status == "running");
        let ensure = (!runs).then(|| Box::new(kamal::ensure(self.config, self.scope, host)));
        Serve::Registered { files, ensure, route }
    }
}
