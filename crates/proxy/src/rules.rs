//! What a service's options say, read once at deploy and made ready for use. Nonsense is refused here.

use std::path::Path;

use http::HeaderName;

use crate::error_pages::ErrorPages;
use crate::options::{ServiceOptions, TargetOptions};

/// The rules of one service.
#[derive(Debug, Default)]
pub struct Rules {
    /// The pages the proxy answers with.
    pub pages: ErrorPages,
    /// The header that holds the client's address.
    pub client_ip_header: Option<HeaderName>,
    /// Request headers to log.
    pub log_request_headers: Vec<HeaderName>,
    /// Response headers to log.
    pub log_response_headers: Vec<HeaderName>,
}

impl Rules {
    /// Reads the options of a service. The error is what the user sees.
    pub fn new(options: &ServiceOptions, target_options: &TargetOptions) -> Result<Self, String> {
        let client_ip_header = match options.client_ip_header.as_str() {
            "" => None,
            name => Some(header("client-ip-header", name)?),
        };
        Ok(Self {
            pages: pages(&options.error_page_path)?,
            client_ip_header,
            log_request_headers: headers("log-request-header", &target_options.log_request_headers)?,
            log_response_headers: headers("log-response-header", &target_options.log_response_headers)?,
        })
    }
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
