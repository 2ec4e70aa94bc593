//! `proxy`: how kamal-proxy, the proxy of Kamal 2, serves a role or an accessory.

mod keys;
mod own;
mod run;

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::decode::{Field, Report};
use crate::diagnostic::Diagnostic;
use crate::given::given;
use crate::shown;
pub(crate) use keys::KEYS;
pub use own::BowlineProxy;
pub use run::Run;

/// `proxy` of a role (with the root's already merged in) or of an accessory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proxy {
    /// `host` or `hosts`: the host names of the app; if empty, it gets requests for every host.
    pub hosts: Vec<String>,
    pub app_port: u16,
    #[serde(rename = "ssl")]
    pub tls: Tls,
    /// `ssl_redirect`; kamal-proxy redirects by default.
    pub ssl_redirect: Option<bool>,
    /// `forward_headers`; by default, kamal-proxy forwards them only without TLS.
    pub forward_headers: Option<bool>,
    /// `response_timeout`; kamal-proxy's 30 s if absent.
    #[serde(serialize_with = "shown::seconds")]
    pub response_timeout: Option<Duration>,
    pub path_prefixes: Vec<String>,
    /// `strip_path_prefix`; kamal-proxy strips by default.
    pub strip_path_prefix: Option<bool>,
    #[serde(skip_serializing_if = "shown::is_default")]
    pub healthcheck: ProxyCheck,
    pub buffering: Buffering,
    pub logging: ProxyLogging,
    pub run: Option<Run>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canonical_host: Option<String>,
    #[serde(skip_serializing_if = "shown::is_default")]
    pub tls_staging: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip_header: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude_metrics_paths: Vec<String>,
    /// The settings that only Bowline's own proxy has.
    #[serde(flatten)]
    pub own: BowlineProxy,
}

/// `ssl`: where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP.
    Off,
    /// Certificates from Let's Encrypt.
    Automatic,
    /// The user's own certificate: the names of the secrets with the certificate and its key.
    Custom { certificate: String, private_key: String },
}

/// `healthcheck` of the proxy. The defaults are kamal-proxy's: `/up`, every second, within 5 s.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ProxyCheck {
    pub path: Option<String>,
    #[serde(serialize_with = "shown::seconds")]
    pub interval: Option<Duration>,
    #[serde(serialize_with = "shown::seconds")]
    pub timeout: Option<Duration>,
    /// `host`: the check's Host header; the container's address if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `port`; the app's if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Buffering {
    pub requests: bool,
    pub responses: bool,
    /// `memory`: bytes kept in memory.
    pub memory: Option<u64>,
    /// `max_request_body`: bytes.
    pub max_request_body: Option<u64>,
    /// `max_response_body`: bytes.
    pub max_response_body: Option<u64>,
}

/// `logging` of the proxy: the headers that it logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProxyLogging {
    /// `request_headers` (`Cache-Control`, `Last-Modified`, `User-Agent`).
    pub request_headers: Vec<String>,
    pub response_headers: Vec<String>,
}

impl Default for Proxy {
    fn default() -> Self {
        Self::decode(&Field::nothing(), &mut Report::default())
    }
}

impl Proxy {
    /// Reads a `proxy`, with the root's already merged in.
    pub(crate) fn decode(section: &Field, report: &mut Report) -> Self {
        let hosts = alternatives(section, "host", "hosts", report);
        let tls = Tls::decode(section, &hosts, report);
        beyond_kamal(section, &hosts, &tls, report);
        let proxy = Self {
            tls,
            hosts,
            app_port: section.at("app_port").port().unwrap_or(80),
            ssl_redirect: section.at("ssl_redirect").boolean(),
            forward_headers: section.at("forward_headers").boolean(),
            response_timeout: section.at("response_timeout").seconds(),
            path_prefixes: alternatives(section, "path_prefix", "path_prefixes", report),
            strip_path_prefix: section.at("strip_path_prefix").boolean(),
            healthcheck: ProxyCheck::decode(&section.at("healthcheck")),
            buffering: Buffering::decode(&section.at("buffering")),
            logging: ProxyLogging::decode(&section.at("logging")),
            run: section.get("run").map(|field| Run::decode(&field, report)),
            canonical_host: section.at("canonical_host").text(),
            tls_staging: section.at("tls_staging").boolean().unwrap_or(false),
            client_ip_header: section.at("client_ip_header").text(),
            exclude_metrics_paths: section.at("exclude_metrics_paths").strings(),
            own: BowlineProxy::decode(section, report),
        };
        proxy.check_image(section, report);
        proxy
    }

    /// Rejects keys that only Bowline's own proxy has, if `run` chooses Kamal's image.
    fn check_image(&self, section: &Field, report: &mut Report) {
        let (Some(run), Some(key)) = (&self.run, self.own.keys().first().copied()) else { return };
        let kamals = run.repository.as_deref().is_none_or(|name| name == "basecamp/kamal-proxy");
        let given = ["registry", "repository", "version"].into_iter();
        let section_run = section.at("run");
        let Some(image) = given.filter_map(|name| section_run.get(name)).next().filter(|_| kamals) else {
            return;
        };
        let error = section.at(key).error("needs Bowline's own proxy, and `run` chooses Kamal's");
        let error = Diagnostic { span: section.key_span(key).unwrap_or(error.span), ..error };
        let error = error.also(image.span(), "Kamal's proxy is chosen here");
        report
            .push(error.help(format!(
                "remove `registry`, `repository` and `version` from `run`, or remove `{key}`"
            )));
    }

    /// The host and path pairs that it serves. Two services of a proxy can't have the same pair.
    pub fn routes(&self) -> Vec<(String, String)> {
        let or =
            |all: &[String], usual: &str| if all.is_empty() { vec![usual.to_owned()] } else { all.to_vec() };
        let paths = or(&self.path_prefixes, "/");
        let paths: Vec<String> = paths.iter().map(|path| format!("/{}", path.trim_matches('/'))).collect();
        let of = |host: String| paths.iter().map(move |path| (host.to_lowercase(), path.clone()));
        or(&self.hosts, "*").into_iter().flat_map(of).collect()
    }
}

/// A human-readable route.
pub fn display_route((host, path): &(String, String)) -> String {
    match (host.as_str(), path.as_str()) {
        ("*", "/") => "all hosts".into(),
        ("*", path) => format!("{path} of all hosts"),
        (host, "/") => host.into(),
        (host, path) => format!("{host}{path}"),
    }
}

/// Checks keys that Kamal doesn't have against the keys that they depend on.
fn beyond_kamal(section: &Field, hosts: &[String], tls: &Tls, report: &mut Report) {
    if let Some(field) = section.get("canonical_host")
        && field.text().is_some_and(|host| !hosts.iter().any(|known| known.eq_ignore_ascii_case(&host)))
    {
        report.push(
            field
                .error("should be one of the hosts")
                .help("requests for the other `hosts` are redirected to it"),
        );
    }
    if section.at("tls_staging").boolean() == Some(true)
        && *tls != Tls::Automatic
        && let Some(field) = section.get("tls_staging")
    {
        report.push(
            field.error("needs `ssl: true`").help("it chooses which authority issues the certificates"),
        );
    }
}

/// A comma-separated text under one key, or a list under the other.
fn alternatives(section: &Field, one: &str, several: &str, report: &mut Report) -> Vec<String> {
    if let (Some(first), Some(second)) = (section.key_span(one), section.key_span(several)) {
        let error = section.error_at(second, &format!("Specify one of '{one}' or '{several}', not both"));
        report.push(error.also(first, "and here"));
    }
    let split = |text: String| {
        let parts = text.split(',').map(|part| part.trim().to_owned());
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>()
    };
    match section.get(several) {
        Some(list) => list.strings(),
        None => section.at(one).text().map(split).unwrap_or_default(),
    }
}

impl Serialize for Tls {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Tls::Off => to.serialize_bool(false),
            Tls::Automatic => to.serialize_bool(true),
            Tls::Custom { certificate, private_key } => to.collect_map([
                ("certificate_pem", shown::secret(certificate)),
                ("private_key_pem", shown::secret(private_key)),
            ]),
        }
    }
}

impl Tls {
    fn decode(section: &Field, hosts: &[String], report: &mut Report) -> Self {
        let Some(field) = section.get("ssl") else { return Tls::Off };
        let tls = match field.is_map() {
            true => Self::custom(&field, report),
            false if field.boolean() == Some(true) => Tls::Automatic,
            false => Tls::Off,
        };
        let wrong = |key| section.has(key) && section.get(key).is_none();
        if tls != Tls::Off && hosts.is_empty() && !wrong("host") && !wrong("hosts") {
            let error = field.error("Must set a host to enable automatic SSL");
            report.push(error.help("add `host: app.example.com`"));
        }
        if let (Tls::Automatic, Some(host)) = (&tls, hosts.iter().find(|host| host.contains('*'))) {
            let error = field.error(&format!("can't get a certificate for the wildcard `{}`", given(host)));
            let named = section.get("hosts").or(section.get("host"));
            let error =
                named.map_or(error.clone(), |field| error.also(field.span(), "the hosts are given here"));
            report.push(error.help(
                "list each name instead, or name your own certificate: `ssl: {certificate_pem: NAME, private_key_pem: NAME}`",
            ));
        }
        tls
    }

    fn custom(section: &Field, report: &mut Report) -> Self {
        for field in ["certificate_pem", "private_key_pem"].iter().filter_map(|name| section.get(name)) {
            if let Some(name) = field.text() {
                report.names_secret(&field, &name);
            }
        }
        match (section.at("certificate_pem").text(), section.at("private_key_pem").text()) {
            (Some(certificate), Some(private_key)) => return Tls::Custom { certificate, private_key },
            (None, None) if !section.has("certificate_pem") && !section.has("private_key_pem") => {
                report.push(section.error("should name the secrets with the certificate and its key").help(
                    "`ssl: {certificate_pem: NAME, private_key_pem: NAME}`, or `ssl: true` for one from Let's Encrypt",
                ));
            }
            _ => {
                for key in ["private_key_pem", "certificate_pem"].iter().filter(|key| !section.has(key)) {
                    report.missing(section, key, "a certificate needs both secrets");
                }
            }
        }
        Tls::Off
    }
}

impl ProxyCheck {
    fn decode(section: &Field) -> Self {
        Self {
            path: section.at("path").text(),
            interval: section.at("interval").seconds(),
            timeout: section.at("timeout").seconds(),
            host: section.at("host").text(),
            port: section.at("port").port(),
        }
    }
}

impl Buffering {
    fn decode(section: &Field) -> Self {
        Self {
            requests: section.at("requests").boolean().unwrap_or(true),
            responses: section.at("responses").boolean().unwrap_or(true),
            memory: section.at("memory").count(),
            max_request_body: section.at("max_request_body").count(),
            max_response_body: section.at("max_response_body").count(),
        }
    }
}

impl ProxyLogging {
    fn decode(section: &Field) -> Self {
        let usual = || ["Cache-Control", "Last-Modified", "User-Agent"].map(String::from).into();
        Self {
            request_headers: section.get("request_headers").map_or_else(usual, |list| list.strings()),
            response_headers: section.at("response_headers").strings(),
        }
    }
}
