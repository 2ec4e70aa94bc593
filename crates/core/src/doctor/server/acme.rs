//! Findings about the certificates of Traefik's resolvers.

use super::{Seen, ends};
use crate::commands::doctor::Contents;
use crate::doctor::{Finding, Topic, expiry};
use crate::proxy::ProxyKind;
use crate::proxy::traefik::NAME;
use crate::proxy::traefik::trouble::defines;
use crate::proxy::traefik::wanted::{Wanted, covers, own_file, wanted};

const LOG: &str = "see Traefik's log: `bowline traefik logs`";

impl Seen<'_> {
    /// A finding for each certificate, and for each name in a router of this app that has no certificate.
    pub(super) fn issued(&self) -> Vec<Finding> {
        let unreadable = self.checkup.storages.iter().filter(|storage| storage.holds == Contents::Unreadable);
        let unreadable = unreadable.map(|storage| {
            let text = format!(
                "the certificates of the resolver {} can't be read ({})",
                storage.resolver, storage.file
            );
            Finding::warning(Topic::Certificates, text, LOG)
        });
        let issued = self.checkup.issued.iter().map(|issued| {
            let name = match issued.names.as_slice() {
                [first, rest @ ..] if rest.len() > 2 => format!("{first} and {} other names", rest.len()),
                names => names.join(", "),
            };
            match expiry(&issued.text) {
                Some(end) => ends(&name, end, self.now, ProxyKind::Traefik),
                None => Finding::warning(
                    Topic::Certificates,
                    format!("the certificate of {name} can't be read"),
                    LOG,
                ),
            }
        });
        unreadable.chain(issued).chain(self.missing()).collect()
    }

    fn missing(&self) -> Vec<Finding> {
        let Some(observed) = self.observed else { return Vec::new() };
        let Some(traefik) = observed.proxy(NAME) else { return Vec::new() };
        if let Some(file) = own_file(traefik) {
            return vec![Finding::warning(
                Topic::Certificates,
                format!("the certificate resolvers in Traefik's own file {file} are not checked"),
                "with such a file, Traefik ignores its arguments: `traefik: args:` can have the same options instead",
            )];
        }
        let mut all: Vec<Wanted> = Vec::new();
        for container in observed.containers.iter().filter(|container| container.is_running()) {
            for one in wanted(&container.labels, &traefik.args) {
                if !all.contains(&one) {
                    all.push(one);
                }
            }
        }
        all.iter().flat_map(|one| self.without(one, &traefik.args)).collect()
    }

    fn without(&self, wanted: &Wanted, arguments: &[String]) -> Vec<Finding> {
        let Wanted { router, resolver, names } = wanted;
        let mut storages = self.checkup.storages.iter();
        let Some(storage) = storages.find(|storage| storage.resolver.eq_ignore_ascii_case(resolver)) else {
            if defines(arguments, resolver) {
                return Vec::new();
            }
            return vec![Finding::warning(
                Topic::Certificates,
                format!(
                    "the router {router} uses the resolver {resolver}, which Traefik's arguments don't define"
                ),
                format!(
                    "unless a file of Traefik's defines it: set `certificatesresolvers.{resolver}.acme.…` in `traefik: args:`; `bowline traefik reboot` applies that"
                ),
            )];
        };
        if storage.holds == Contents::Unreadable {
            return Vec::new();
        }
        if names.is_empty() {
            return vec![Finding::warning(
                Topic::Certificates,
                format!(
                    "the router {router} gets no certificate from the resolver {resolver}: its rule names no host"
                ),
                format!(
                    "add Host(`shop.example.com`) to its rule, or set `traefik.http.routers.{router}.tls.domains[0].main`"
                ),
            )];
        }
        let has = |name: &&String| !self.checkup.issued.iter().any(|issued| covers(&issued.names, name));
        let lacking = names.iter().filter(has).map(|name| {
            Finding::problem(
                Topic::Certificates,
                format!("there is no certificate of {name}, which the router {router} needs from the resolver {resolver}"),
                "Traefik's log says why: `bowline traefik logs`. The name must resolve to this server",
            )
        });
        lacking.collect()
    }
}
