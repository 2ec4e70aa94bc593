//! A service's options, parsed once at deploy. Invalid options are refused here.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use http::HeaderName;

use crate::access;
use crate::client_address::Ranges;
use crate::error_pages::ErrorPages;
use crate::header_rules::{self, Direction};
use crate::options::{Credentials, ServiceOptions, TargetOptions};
use crate::tls::{self, Certificate};

#[derive(Debug)]
pub struct Rules {
    pub pages: ErrorPages,
    pub access: access::AccessRules,
    /// Peers whose headers name the client.
    pub trusted: Ranges,
    /// The certificate from `--tls-certificate-path`.
    pub certificate: Option<Arc<Certificate>>,
    /// The request header that contains the client's address.
    pub client_ip_header: Option<HeaderName>,
    pub request_headers: header_rules::HeaderRules,
    pub response_headers: header_rules::HeaderRules,
    pub log_request_headers: Vec<HeaderName>,
    pub log_response_headers: Vec<HeaderName>,
}

impl Rules {
    /// Parses the options of a service. The error is shown to the user.
    pub fn new(options: &ServiceOptions, target_options: &TargetOptions) -> Result<Self, String> {
        let client_ip_header = match options.client_ip_header.as_str() {
            "" => None,
            name => Some(header("client-ip-header", name)?),
        };
        let users: Vec<String> =
            options.basic_auth.iter().map(Credentials::reveal).map(str::to_owned).collect();
        let trusted =
            Ranges::parse(&options.trusted_proxies).map_err(|error| format!("--trusted-proxies: {error}"))?;
        Ok(Self {
            pages: pages(&options.error_page_path)?,
            access: access::AccessRules::new(&options.allow_ips, &users)?,
            trusted,
            certificate: certificate(options)?,
            client_ip_header,
            request_headers: header_rules::HeaderRules::parse(
                Direction::Request,
                &options.set_request_headers,
            )?,
            response_headers: header_rules::HeaderRules::parse(
                Direction::Response,
                &options.set_response_headers,
            )?,
            log_request_headers: headers("log-request-header", &target_options.log_request_headers)?,
            log_response_headers: headers("log-response-header", &target_options.log_response_headers)?,
        })
    }

    /// Whether a peer's `X-Forwarded-*` headers are trusted: by the trusted ranges if there are any, else by the flag.
    pub fn believes(&self, peer: IpAddr, forward_headers: bool) -> bool {
        if self.trusted.is_empty() { forward_headers } else { self.trusted.contains(peer) }
    }
}

fn certificate(options: &ServiceOptions) -> Result<Option<Arc<Certificate>>, String> {
    let (chain, key) = (&options.tls_certificate_path, &options.tls_private_key_path);
    if !options.tls_enabled {
        return Ok(None);
    }
    if chain.is_empty() || key.is_empty() {
        let wildcard = options.hosts.iter().any(|host| host.contains('*'));
        return if wildcard { Err(tls::NO_WILDCARDS.to_owned()) } else { Ok(None) };
    }
    let loaded = Certificate::load(Path::new(chain), Path::new(key));
    loaded.map(|certificate| Some(Arc::new(certificate))).map_err(|error| {
        crate::log::error("Error loading TLS certificate", &[("path", chain), ("error", &error)]);
        "unable to load certificate".to_owned()
    })
}

fn pages(directory: &str) -> Result<ErrorPages, String> {
    if directory.is_empty() {
        return Ok(ErrorPages::default());
    }
    ErrorPages::load(Path::new(directory)).map_err(|error| {
        crate::log::error("Error loading error pages", &[("path", &directory), ("error", &error)]);
        "unable to load error pages".to_owned()
    })
}

fn headers(flag: &str, names: &[String]) -> Result<Vec<HeaderName>, String> {
    names.iter().map(|name| header(flag, name)).collect()
}

fn header(flag: &str, name: &str) -> Result<HeaderName, String> {
    name.trim().parse().map_err(|_| format!("{flag}: {name:?} is not the name of a header"))
}
