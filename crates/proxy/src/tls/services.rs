//! The TLS settings of the services.

use std::sync::Arc;

use super::{Acme, Certificate, Certificates, TargetOf, TlsService};
use crate::balance::Class;
use crate::options::ServiceOptions;
use crate::service::{Service, Services, Table};

/// The TLS settings of the services that serve `/`. Others use those of the service at the root of their host.
pub fn services(table: &Table) -> Vec<TlsService> {
    let roots = table.services().filter(|service| service.options.serves_root());
    roots.map(|service| of(service)).collect()
}

fn of(service: &Service) -> TlsService {
    let certificates = certificates(&service.options, service.rules.certificate.as_ref());
    TlsService { name: service.name.to_string(), hosts: service.options.hosts.clone(), certificates }
}

fn certificates(options: &ServiceOptions, custom: Option<&Arc<Certificate>>) -> Certificates {
    let acme = || Acme {
        directory: options.acme_directory.clone(),
        cache_path: options.acme_cache_path.clone().into(),
    };
    match custom {
        _ if !options.tls_enabled => Certificates::Off,
        Some(certificate) => Certificates::Custom(Arc::clone(certificate)),
        None if options.tls_on_demand_url.is_empty() => Certificates::Automatic(acme()),
        None => Certificates::OnDemand(acme(), options.tls_on_demand_url.clone()),
    }
}

/// Finds targets for on-demand policies: a healthy one, of a service that is neither paused nor stopped.
pub fn targets_of(services: &Services) -> TargetOf {
    let services = services.clone();
    Arc::new(move |name| {
        let table = services.table();
        let service = table.services().find(|service| *service.name == *name)?;
        let target = service.gate.is_open().then(|| service.active.balancer.pick(Class::Read)).flatten()?;
        Some(target.name().to_string())
    })
}
