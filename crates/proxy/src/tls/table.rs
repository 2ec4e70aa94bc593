//! Finds the certificate for a name.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::keeper::Kept;
use super::on_demand::OnDemand;

#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The service of this name has no TLS.
    Off,
    Custom(Arc<Certificate>),
    Kept(Arc<Kept>),
}

/// The names of all services, rebuilt on every change.
#[derive(Debug, Default)]
pub(super) struct CertificateTable {
    pub(super) names: HashMap<String, Source>,
    /// By the part after `*.`.
    pub(super) wildcards: HashMap<String, Source>,
    /// For names that are not listed.
    pub(super) any: Option<Source>,
    pub(super) on_demand: Option<Arc<OnDemand>>,
    /// For clients that send no host name.
    pub(super) default_name: Option<String>,
}

/// What is known about a name at the start of a handshake.
#[derive(Debug)]
pub(super) enum Found {
    Certificate(Arc<CertifiedKey>),
    /// The certificate is being obtained.
    Expected(Arc<Kept>),
    Unknown(Arc<OnDemand>),
    Nothing,
}

impl CertificateTable {
    /// Stops ordering and renewing.
    pub(super) fn stop(&self) {
        for source in self.names.values() {
            if let Source::Kept(kept) = source {
                kept.stop();
            }
        }
        if let Some(on_demand) = &self.on_demand {
            on_demand.stop();
        }
    }

    pub(super) fn find(&self, name: Option<&str>) -> Found {
        let Some(name) = name.or(self.default_name.as_deref()) else {
            return Found::Nothing;
        };
        let wildcard = || self.wildcards.get(name.split_once('.')?.1);
        match self.names.get(name).or_else(wildcard).or(self.any.as_ref()) {
            Some(Source::Off) => Found::Nothing,
            Some(Source::Custom(certificate)) => Found::Certificate(Arc::clone(&certificate.key)),
            Some(Source::Kept(kept)) => of(kept),
            None => match &self.on_demand {
                Some(on_demand) => on_demand
                    .kept(name)
                    .map_or_else(|| Found::Unknown(Arc::clone(on_demand)), |kept| of(&kept)),
                None => Found::Nothing,
            },
        }
    }
}

fn of(kept: &Arc<Kept>) -> Found {
    match kept.certificate() {
        Some(certificate) => Found::Certificate(Arc::clone(&certificate.key)),
        None => Found::Expected(Arc::clone(kept)),
    }
}
