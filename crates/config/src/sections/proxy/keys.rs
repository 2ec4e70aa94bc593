//! The keys of `proxy`.

use crate::describe::{COUNT, Form, Keys, LIST, Like, OPTIONS, Setting};

/// `proxy` at the root, of a role, of an accessory.
pub(in crate) const KEYS: Keys = Keys::new(
    "proxy",
    "How kamal-proxy, the proxy of Kamal 2, serves the app. The keys of a role's `proxy` override the root's; \
     `proxy: true` gives a role the root's settings, `proxy: false` no proxy. By default only the primary role has one. \
     An accessory has its own `proxy` or none.",
    &[
        Setting::new("host", Form::Filled, "the host name it answers to, or several with commas; by default all")
            .examples(&["app.example.com", "\"a.example.com, b.example.com\""]),
        Setting::new("hosts", LIST, "the same as a list").examples(&["[a.example.com, b.example.com]"]),
        Setting::new("app_port", Form::Port, "where the app listens in its container").default("80"),
        Setting::new(
            "ssl",
            Form::Either(&[Form::Boolean, Form::Keys(&SSL)]),
            "`true`: a certificate from Let's Encrypt, for a role on one server; or a certificate of your own",
        )
        .default("false")
        .examples(&["true", "false", "{certificate_pem: CERTIFICATE, private_key_pem: KEY}"]),
        Setting::new("ssl_redirect", Form::Boolean, "whether HTTP is redirected to HTTPS, with `ssl`")
            .default("true"),
        Setting::new("forward_headers", Form::Boolean, "whether `X-Forwarded-For` and `-Proto` of a request are passed on")
            .default("true without `ssl`"),
        Setting::new("response_timeout", Form::Seconds(1), "how long the app may take to answer")
            .default("30"),
        Setting::new("path_prefix", Form::Filled, "only requests below this path; several with commas")
            .examples(&["/api", "\"/api, /oauth\""]),
        Setting::new("path_prefixes", LIST, "the same as a list").examples(&["[/api, /oauth]"]),
        Setting::new("strip_path_prefix", Form::Boolean, "whether the app sees the path without the prefix")
            .default("true"),
        Setting::new("healthcheck", Form::Keys(&HEALTHCHECK), "what a new container is asked before it serves")
            .examples(&["{path: /health, interval: 3, timeout: 10}"]),
        Setting::new("buffering", Form::Keys(&BUFFERING), "whether bodies are buffered, and how much")
            .examples(&["{requests: false, memory: 2_000_000}"]),
        Setting::new("logging", Form::Keys(&LOGGING), "headers in its log")
            .examples(&["{request_headers: [X-Request-ID], response_headers: [X-Request-ID]}"]),
        Setting::new("canonical_host", Form::Filled, "the one of the hosts to which requests for the others are redirected. Not in Kamal")
            .examples(&["a.example.com"]),
        Setting::new("tls_staging", Form::Boolean, "certificates from Let's Encrypt's staging authority, to try `ssl: true` out. Not in Kamal")
            .default("false"),
        Setting::new("client_ip_header", Form::Filled, "the header in which a proxy in front passes the client's address. Not in Kamal; needs a kamal-proxy later than v0.9.2, or Bowline's")
            .examples(&["CF-Connecting-IP"]),
        Setting::new("exclude_metrics_paths", LIST, "paths that metrics leave out. Not in Kamal; needs a kamal-proxy later than v0.9.2, or Bowline's")
            .examples(&["[/up]"]),
        Setting::new("compress", Form::Boolean, "whether answers are compressed (zstd, Brotli, gzip). Only Bowline's own proxy does this")
            .default("false"),
        Setting::new("basic_auth", LIST, "secrets with `USER:PASSWORD`, one of which a client must give. Only Bowline's own proxy does this")
            .examples(&["[STAGING_LOGIN]"]),
        Setting::new("allow_ips", Form::List(&Form::Like(&NETWORK)), "the addresses and networks that are let in. Only Bowline's own proxy does this")
            .default("all")
            .examples(&["[203.0.113.0/24, \"2001:db8::/32\"]"]),
        Setting::new("trusted_proxies", Form::List(&Form::Like(&NETWORK)), "the networks whose `X-Forwarded-For` names the client. Only Bowline's own proxy does this")
            .examples(&["[10.0.0.0/8]"]),
        Setting::new("request_headers", HEADERS, "headers set on requests before the app gets them; an empty one is removed. Only Bowline's own proxy does this")
            .examples(&["{X-Served-By: bowline}"]),
        Setting::new("response_headers", HEADERS, "headers set on answers before the client gets them; an empty one is removed. Only Bowline's own proxy does this")
            .examples(&["{Strict-Transport-Security: max-age=63072000, Server: \"\"}"]),
        Setting::new("stream_timeout", Form::Seconds(0), "how long open WebSockets and event streams may go on after the next version took over. Only Bowline's own proxy does this")
            .default("5"),
        Setting::new("run", Form::Keys(&RUN), "how kamal-proxy's own container is run; one way for each server")
            .examples(&["{http_port: 8080, https_port: 8443}"]),
    ],
)
.slips(&[("port", "app_port"), ("domain", "host"), ("domains", "hosts"), ("tls", "ssl")]);

const SSL: Keys = Keys::new(
    "proxy/ssl",
    "A certificate of your own. Both are names of secrets.",
    &[
        Setting::new("certificate_pem", Form::Filled, "the certificate, with those between it and its root")
            .examples(&["CERTIFICATE"]),
        Setting::new("private_key_pem", Form::Filled, "its key").examples(&["KEY"]),
    ],
);

const HEALTHCHECK: Keys = Keys::new(
    "proxy/healthcheck",
    "",
    &[
        Setting::new("path", Form::Filled, "the path that is asked for")
            .default("`/up`")
            .examples(&["/health"]),
        Setting::new("interval", Form::Seconds(1), "between two checks").default("1"),
        Setting::new("timeout", Form::Seconds(1), "how long one may take").default("5"),
        Setting::new("host", Form::Filled, "the `Host` that is asked for. Not in Kamal")
            .examples(&["app.example.com"]),
        Setting::new("port", Form::Port, "another port than the app's. Not in Kamal"),
    ],
);

const BUFFERING: Keys = Keys::new(
    "proxy/buffering",
    "",
    &[
        Setting::new("requests", Form::Boolean, "whether a request's body is read before the app gets it")
            .default("true"),
        Setting::new("responses", Form::Boolean, "whether an answer is read before the client gets it")
            .default("true"),
        Setting::new("memory", COUNT, "bytes kept in memory; more goes to a file"),
        Setting::new("max_request_body", COUNT, "bytes; larger ones are refused"),
        Setting::new("max_response_body", COUNT, "bytes; larger ones are refused"),
    ],
);

const LOGGING: Keys = Keys::new(
    "proxy/logging",
    "",
    &[
        Setting::new("request_headers", LIST, "of requests")
            .default("`Cache-Control`, `Last-Modified`, `User-Agent`")
            .examples(&["[X-Request-ID]"]),
        Setting::new("response_headers", LIST, "of answers").examples(&["[X-Request-ID]"]),
    ],
);

const HEADERS: Form = Form::Map("HEADER", &Form::Text);

/// Addresses of clients.
const NETWORK: Like = Like {
    wanted: "an IP address or a network",
    help: "as in 203.0.113.7, 203.0.113.0/24 or 2001:db8::/32",
    reads: is_network,
    pattern: "^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$",
    words: &[],
    examples: &["203.0.113.0/24", "2001:db8::/32"],
};

fn is_network(text: &str) -> bool {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let Ok(address) = address.parse::<std::net::IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    length.is_none_or(|length| length.parse::<u8>().is_ok_and(|length| length <= longest))
}

/// An address to listen on.
const ADDRESS: Like = Like {
    wanted: "an IP address",
    help: "IPv6 addresses without brackets",
    reads: |text| text.parse::<std::net::IpAddr>().is_ok(),
    pattern: "^[0-9A-Fa-f.:]+$",
    words: &[],
    examples: &["127.0.0.1", "::1"],
};

const RUN: Keys = Keys::new(
    "proxy/run",
    "",
    &[
        Setting::new("http_port", Form::Port, "the server's port for HTTP").default("80"),
        Setting::new("https_port", Form::Port, "the server's port for HTTPS").default("443"),
        Setting::new(
            "publish",
            Form::Boolean,
            "whether the ports are published; `false` rules the two ports and `bind_ips` out",
        )
        .default("true"),
        Setting::new("bind_ips", Form::List(&Form::Like(&ADDRESS)), "the server's addresses to publish on")
            .default("all")
            .examples(&["[127.0.0.1, \"::1\"]"]),
        Setting::new("metrics_port", Form::Port, "where its metrics are"),
        Setting::new("debug", Form::Boolean, "whether it logs more").default("false"),
        Setting::new("log_max_size", Form::Text, "Docker's limit for its log; empty for none")
            .default("`10m`")
            .examples(&["100m", "\"\""]),
        Setting::new("registry", Form::Filled, "the server of its image")
            .default("Docker Hub")
            .examples(&["ghcr.io"]),
        Setting::new("repository", Form::Filled, "its image")
            .default("Bowline's own; `basecamp/kamal-proxy` with `version` or `registry`")
            .examples(&["me/kamal-proxy"]),
        Setting::new("version", Form::Filled, "its image's tag")
            .default("`v0.9.2` with `repository` or `registry`")
            .examples(&["v0.9.3"]),
        Setting::new("options", OPTIONS, "further flags of `docker run`").examples(&["{memory: 512m}"]),
    ],
);
