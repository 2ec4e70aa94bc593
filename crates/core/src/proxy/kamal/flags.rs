//! The flags of `kamal-proxy deploy`, in the same order and form as Kamal's.

use bowline_config::{BowlineProxy, Config, Proxy, Tls};

/// The mount point of the apps' files in the proxy's container.
const FILES: &str = "/home/kamal-proxy/.apps-config";

/// What the flags depend on, in addition to the configuration.
pub struct Given<'a> {
    /// The app's directory among the apps' files: `SERVICE[-DEST]`.
    pub app: &'a str,
    /// The role or accessory, which determines the paths of certificate and logins.
    pub role: &'a str,
}

/// The flags for a service, without `--target`.
pub fn flags(config: &Config, proxy: &Proxy, given: &Given<'_>) -> Vec<String> {
    let mut flags = Flags(Vec::new());
    flags.each("host", &proxy.hosts);
    match &proxy.tls {
        Tls::Off => {}
        Tls::Automatic => flags.bare("tls"),
        Tls::Custom { .. } => {
            let file = |name: &str| format!("{FILES}/{}/tls/{}/{name}", given.app, given.role);
            flags.bare("tls");
            flags.value("tls-certificate-path", file("cert.pem"));
            flags.value("tls-private-key-path", file("key.pem"));
        }
    }
    let check = &proxy.healthcheck;
    flags.seconds("deploy-timeout", Some(config.deploy_timeout));
    flags.seconds("drain-timeout", Some(config.drain_timeout));
    flags.seconds("health-check-interval", check.interval);
    flags.seconds("health-check-timeout", check.timeout);
    flags.some("health-check-path", check.path.as_ref());
    flags.seconds("target-timeout", proxy.response_timeout);
    flags.boolean("buffer-requests", Some(proxy.buffering.requests));
    flags.boolean("buffer-responses", Some(proxy.buffering.responses));
    flags.some("buffer-memory", proxy.buffering.memory);
    flags.some("max-request-body", proxy.buffering.max_request_body);
    flags.some("max-response-body", proxy.buffering.max_response_body);
    flags.each("path-prefix", &proxy.path_prefixes);
    flags.boolean("strip-path-prefix", proxy.strip_path_prefix);
    flags.boolean("forward-headers", proxy.forward_headers);
    flags.boolean("tls-redirect", proxy.ssl_redirect);
    flags.each("log-request-header", &proxy.logging.request_headers);
    flags.each("log-response-header", &proxy.logging.response_headers);
    flags.beyond_kamal(proxy);
    flags.own(&proxy.own, given);
    flags.0
}

/// The file with the logins of a role or an accessory, relative to the app's directory.
pub(super) fn logins(of: &str) -> String {
    format!("auth/{of}/logins")
}

/// The flag for error pages at a path in the app's directory.
pub(super) fn error_pages(app: &str, path: &str) -> String {
    format!("--error-pages={FILES}/{app}/{path}")
}

struct Flags(Vec<String>);

impl Flags {
    fn bare(&mut self, name: &str) {
        self.0.push(format!("--{name}"));
    }

    fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push(format!("--{name}={value}"));
    }

    fn some(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        value.into_iter().for_each(|value| self.value(name, value));
    }

    fn seconds(&mut self, name: &str, value: Option<std::time::Duration>) {
        self.some(name, value.map(|time| format!("{}s", time.as_secs())));
    }

    fn boolean(&mut self, name: &str, value: Option<bool>) {
        match value {
            Some(true) => self.bare(name),
            Some(false) => self.value(name, false),
            None => {}
        }
    }

    /// Features of kamal-proxy that Kamal has no keys for.
    fn beyond_kamal(&mut self, proxy: &Proxy) {
        self.some("canonical-host", proxy.canonical_host.as_ref());
        self.boolean("tls-staging", proxy.tls_staging.then_some(true));
        self.some("health-check-host", proxy.healthcheck.host.as_ref());
        self.some("health-check-port", proxy.healthcheck.port);
        self.some("client-ip-header", proxy.client_ip_header.as_ref());
        self.each("exclude-metrics-path", &proxy.exclude_metrics_paths);
    }

    /// Features that only Bowline's own proxy has.
    fn own(&mut self, own: &BowlineProxy, given: &Given<'_>) {
        self.boolean("compress", own.compress.then_some(true));
        if !own.basic_auth.is_empty() {
            self.value("basic-auth-file", format!("{FILES}/{}/{}", given.app, logins(given.role)));
        }
        self.each("allow-ip", &own.allow_ips);
        self.each("trusted-proxies", &own.trusted_proxies);
        for (flag, headers) in
            [("set-request-header", &own.request_headers), ("set-response-header", &own.response_headers)]
        {
            headers
                .iter()
                .for_each(|(name, value)| self.value(flag, one_of_a_list(&format!("{name}: {value}"))));
        }
        self.seconds("stream-timeout", own.stream_timeout);
    }

    fn each(&mut self, name: &str, values: &[String]) {
        values.iter().for_each(|value| self.value(name, value));
    }
}

/// Quotes a value for a flag that accepts a comma-separated list.
fn one_of_a_list(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use bowline_config::{SourceFile, load};

    use super::*;

    fn of(proxy: &str) -> String {
        let text = format!(
            "service: app\nimage: app\nregistry: {{username: u, password: [PW]}}\nbuilder: {{arch: amd64}}\n\
             servers: [a]\n{proxy}"
        );
        let config = load(SourceFile::new("config/deploy.yml", text), None).unwrap().config;
        let given = Given { app: "app", role: "web" };
        flags(&config, config.roles[0].kamal_proxy().unwrap(), &given).join(" ")
    }

    #[test]
    fn a_proxy_without_a_word_gets_what_kamal_gives_it() {
        assert_eq!(
            of(""),
            "--deploy-timeout=30s --drain-timeout=30s --buffer-requests --buffer-responses \
             --log-request-header=Cache-Control --log-request-header=Last-Modified --log-request-header=User-Agent"
        );
    }

    #[test]
    fn what_kamal_has_no_key_for_follows_kamals_flags() {
        let proxy = "
proxy:
  hosts: [a.test, b.test]
  ssl: true
  canonical_host: a.test
  tls_staging: true
  healthcheck: {host: app.test, port: 9000}
  client_ip_header: X-Real-IP
  exclude_metrics_paths: [/up]
  compress: true
  basic_auth: [LOGIN]
  allow_ips: [10.0.0.0/8, \"::1\"]
  trusted_proxies: [192.0.2.7]
  request_headers: {X-One: 1}
  response_headers: {Cache-Control: 'public, max-age=60, \"x\"', Server: \"\"}
  stream_timeout: 60
";
        let flags = of(proxy);
        let (_, beyond) = flags.split_once("User-Agent ").unwrap();
        assert_eq!(
            beyond,
            "--canonical-host=a.test --tls-staging --health-check-host=app.test --health-check-port=9000 \
             --client-ip-header=X-Real-IP --exclude-metrics-path=/up --compress \
             --basic-auth-file=/home/kamal-proxy/.apps-config/app/auth/web/logins --allow-ip=10.0.0.0/8 --allow-ip=::1 \
             --trusted-proxies=192.0.2.7 --set-request-header=X-One: 1 \
             --set-response-header=\"Cache-Control: public, max-age=60, \"\"x\"\"\" --set-response-header=Server:  \
             --stream-timeout=60s"
        );
    }

    #[test]
    fn every_key_is_a_flag_in_kamals_order() {
        let proxy = "deploy_timeout: 9\ndrain_timeout: 8
proxy:
  hosts: [a.test, b.test]
  app_port: 3000
  ssl: {certificate_pem: CERT, private_key_pem: KEY}
  ssl_redirect: false
  forward_headers: true
  response_timeout: 7
  path_prefixes: [/api, /oauth]
  strip_path_prefix: false
  healthcheck: {path: /health, interval: 3, timeout: 2}
  buffering: {requests: false, responses: true, memory: 1000, max_request_body: 2000, max_response_body: 0}
  logging: {request_headers: [X-One], response_headers: [X-Two, X-Three]}
";
        assert_eq!(
            of(proxy),
            "--host=a.test --host=b.test --tls \
             --tls-certificate-path=/home/kamal-proxy/.apps-config/app/tls/web/cert.pem \
             --tls-private-key-path=/home/kamal-proxy/.apps-config/app/tls/web/key.pem \
             --deploy-timeout=9s --drain-timeout=8s --health-check-interval=3s --health-check-timeout=2s \
             --health-check-path=/health --target-timeout=7s --buffer-requests=false --buffer-responses \
             --buffer-memory=1000 --max-request-body=2000 --max-response-body=0 --path-prefix=/api \
             --path-prefix=/oauth --strip-path-prefix=false --forward-headers --tls-redirect=false \
             --log-request-header=X-One --log-response-header=X-Two --log-response-header=X-Three"
        );
    }
}
