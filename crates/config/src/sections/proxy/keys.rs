//! The keys of `proxy`.

use crate::describe::{COUNT, Form, Keys, LIST, Like, OPTIONS, Setting};

pub(in crate) const KEYS: Keys = Keys::new(
    "proxy",
    "How kamal-proxy, the proxy of Kamal 2, or Bowline's own proxy serves the app. The keys of a role's `proxy` override the root's. \
     `proxy: true` gives a role the root's settings, `proxy: false` takes it off the proxy. By default, only the primary role is behind the proxy. \
     Accessories don't inherit the root's `proxy`.",
    &[
        Setting::new("host", Form::Filled, "the host name of the app, or several, comma-separated; by default the app gets requests for every host")
            .examples(&["app.example.com", "\"a.example.com, b.example.com\""]),
        Setting::new("hosts", LIST, "the same as `host`, as a list").examples(&["[a.example.com, b.example.com]"]),
        Setting::new("app_port", Form::Port, "the port on which the app listens in its container").default("80"),
        Setting::new(
            "ssl",
            Form::Either(&[Form::Boolean, Form::Keys(&SSL)]),
            "`true` gets a certificate from Let's Encrypt, which works only for a role on one server, and not for a wildcard. A map names your own certificate",
        )
        .default("false")
        .examples(&["true", "false", "{certificate_pem: CERTIFICATE, private_key_pem: KEY}"]),
        Setting::new("ssl_redirect", Form::Boolean, "whether the proxy redirects HTTP to HTTPS if `ssl` is set")
            .default("true"),
        Setting::new("forward_headers", Form::Boolean, "whether the proxy passes a client's `X-Forwarded-For` and `X-Forwarded-Proto` to the app")
            .default("true without `ssl`, false with it"),
        Setting::new("response_timeout", Form::Seconds(1), "how long the app may take to start its response")
            .default("30"),
        Setting::new("path_prefix", Form::Filled, "the path below which the app gets requests, or several, comma-separated")
            .examples(&["/api", "\"/api, /oauth\""]),
        Setting::new("path_prefixes", LIST, "the same as `path_prefix`, as a list").examples(&["[/api, /oauth]"]),
        Setting::new("strip_path_prefix", Form::Boolean, "whether the proxy removes the prefix before the app gets the request")
            .default("true"),
        Setting::new("healthcheck", Form::Keys(&HEALTHCHECK), "the check that a new container must pass before it gets requests")
            .examples(&["{path: /health, interval: 3, timeout: 10}"]),
        Setting::new("buffering", Form::Keys(&BUFFERING), "whether the proxy buffers bodies, and how much of them")
            .examples(&["{requests: false, memory: 2_000_000}"]),
        Setting::new("logging", Form::Keys(&LOGGING), "which headers the proxy logs")
            .examples(&["{request_headers: [X-Request-ID], response_headers: [X-Request-ID]}"]),
        Setting::new("canonical_host", Form::Filled, "one of the hosts; the proxy redirects requests for all others to it")
            .examples(&["a.example.com"])
            .ours(),
        Setting::new("tls_staging", Form::Boolean, "whether `ssl: true` gets test certificates, from Let's Encrypt's staging environment")
            .default("false")
            .ours(),
        Setting::new("client_ip_header", Form::Filled, "the request header in which a CDN or load balancer passes the client's address. Needs Bowline's own proxy, or a kamal-proxy later than v0.9.2")
            .examples(&["CF-Connecting-IP"])
            .ours(),
        Setting::new("exclude_metrics_paths", LIST, "paths that the metrics don't count. Needs Bowline's own proxy, or a kamal-proxy later than v0.9.2")
            .examples(&["[/up]"])
            .ours(),
        Setting::new("compress", Form::Boolean, "whether the proxy compresses responses (zstd, Brotli, gzip). Needs Bowline's own proxy")
            .default("false")
            .ours(),
        Setting::new("basic_auth", LIST, "names of secrets that each hold a `USER:PASSWORD`; clients must log in with one of them. Needs Bowline's own proxy")
            .examples(&["[STAGING_LOGIN]"])
            .ours(),
        Setting::new("allow_ips", Form::List(&Form::Like(&NETWORK)), "the addresses and networks that may use the app; others get 403. Needs Bowline's own proxy")
            .default("all")
            .examples(&["[203.0.113.0/24, \"2001:db8::/32\"]"])
            .ours(),
        Setting::new("trusted_proxies", Form::List(&Form::Like(&NETWORK)), "the networks of your load balancers: the proxy takes the client's address from their `X-Forwarded-For`. Needs Bowline's own proxy")
            .examples(&["[10.0.0.0/8]"])
            .ours(),
        Setting::new("request_headers", HEADERS, "headers that the proxy sets on requests to the app; an empty value removes the header. Needs Bowline's own proxy")
            .examples(&["{X-Served-By: bowline}"])
            .ours(),
        Setting::new("response_headers", HEADERS, "headers that the proxy sets on responses to the client; an empty value removes the header. Needs Bowline's own proxy")
            .examples(&["{Strict-Transport-Security: max-age=63072000, Server: \"\"}"])
            .ours(),
        Setting::new("stream_timeout", Form::Seconds(0), "how long WebSockets and event streams of the old version stay open after a switch (kamal-proxy closes WebSockets immediately and event streams after `drain_timeout`). Needs Bowline's own proxy")
            .default("5")
            .ours(),
        Setting::new("run", Form::Keys(&RUN), "how the proxy's container runs. Roles and accessories on the same server must agree")
            .examples(&["{http_port: 8080, https_port: 8443}"]),
    ],
)
.slips(&[("port", "app_port"), ("domain", "host"), ("domains", "hosts"), ("tls", "ssl")]);

const SSL: Keys = Keys::new(
    "proxy/ssl",
    "Your own certificate. Both keys hold the name of a secret.",
    &[
        Setting::new(
            "certificate_pem",
            Form::Filled,
            "the secret with the certificate, followed by its intermediate certificates, as PEM",
        )
        .examples(&["CERTIFICATE"]),
        Setting::new(
            "private_key_pem",
            Form::Filled,
            "the secret with the certificate's private key, as PEM",
        )
        .examples(&["KEY"]),
    ],
);

const HEALTHCHECK: Keys = Keys::new(
    "proxy/healthcheck",
    "",
    &[
        Setting::new("path", Form::Filled, "the path that the check requests; any 2xx response passes")
            .default("`/up`")
            .examples(&["/health"]),
        Setting::new("interval", Form::Seconds(1), "the time between two checks").default("1"),
        Setting::new("timeout", Form::Seconds(1), "how long one check may take").default("5"),
        Setting::new("host", Form::Filled, "the `Host` header of the check")
            .default("the container's address")
            .examples(&["app.example.com"])
            .ours(),
        Setting::new("port", Form::Port, "the port that the check requests").default("`app_port`").ours(),
    ],
);

const BUFFERING: Keys = Keys::new(
    "proxy/buffering",
    "As in Kamal 2, the proxy buffers requests and responses unless you turn it off. It never buffers event streams (`text/event-stream`). Bowline's own proxy \
     also honours `X-Accel-Buffering: no`.",
    &[
        Setting::new(
            "requests",
            Form::Boolean,
            "whether the proxy reads a whole request body before it passes the request to the app",
        )
        .default("true"),
        Setting::new(
            "responses",
            Form::Boolean,
            "whether the proxy reads a whole response before it passes it to the client",
        )
        .default("true"),
        Setting::new(
            "memory",
            COUNT,
            "how many bytes of a body the proxy keeps in memory; the rest goes to a file",
        )
        .default("1048576 (1 MiB)"),
        Setting::new("max_request_body", COUNT, "the largest request body in bytes; a larger one gets 413")
            .default("unlimited"),
        Setting::new(
            "max_response_body",
            COUNT,
            "the largest response body in bytes; for a larger one the client gets 500",
        )
        .default("unlimited"),
    ],
);

const LOGGING: Keys = Keys::new(
    "proxy/logging",
    "",
    &[
        Setting::new("request_headers", LIST, "the request headers that the proxy logs")
            .default("`Cache-Control`, `Last-Modified`, `User-Agent`")
            .examples(&["[X-Request-ID]"]),
        Setting::new("response_headers", LIST, "the response headers that the proxy logs")
            .examples(&["[X-Request-ID]"]),
    ],
);

const HEADERS: Form = Form::Map("HEADER", &Form::Text);

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
    "How the proxy's container runs. If you set none of `registry`, `repository` and `version`, Bowline starts its own proxy, and \
     ignores the server's files of `proxy boot-config`. If you set any of them, Bowline starts an image instead: `basecamp/kamal-proxy:v0.9.2`, with the parts that you set replaced.",
    &[
        Setting::new("http_port", Form::Port, "the server's port for HTTP").default("80"),
        Setting::new("https_port", Form::Port, "the server's port for HTTPS").default("443"),
        Setting::new(
            "publish",
            Form::Boolean,
            "whether Docker publishes the ports; with `false`, you can't set the two ports or `bind_ips`",
        )
        .default("true"),
        Setting::new(
            "bind_ips",
            Form::List(&Form::Like(&ADDRESS)),
            "the addresses of the server on which Docker publishes the ports",
        )
        .default("all")
        .examples(&["[127.0.0.1, \"::1\"]"]),
        Setting::new("metrics_port", Form::Port, "the port for Prometheus metrics; none by default"),
        Setting::new("debug", Form::Boolean, "whether the proxy also logs debug messages").default("false"),
        Setting::new(
            "log_max_size",
            Form::Text,
            "Docker's size limit for the proxy's log; empty for no limit",
        )
        .default("`10m`")
        .examples(&["100m", "\"\""]),
        Setting::new("registry", Form::Filled, "the registry of the proxy's image")
            .default("if you set one of the next two: Docker Hub")
            .examples(&["ghcr.io"]),
        Setting::new("repository", Form::Filled, "the name of the proxy's image")
            .default("if you set `registry` or `version`: `basecamp/kamal-proxy`")
            .examples(&["me/kamal-proxy"]),
        Setting::new("version", Form::Filled, "the tag of the proxy's image")
            .default("if you set one of the other two: `v0.9.2`")
            .examples(&["v0.9.3"]),
        Setting::new("options", OPTIONS, "more flags for `docker run`").examples(&["{memory: 512m}"]),
    ],
);
