//! What kamal-proxy is told, shown. What it decides by itself is left out.

use super::super::Proxy;
use super::super::proxy::{Run, Tls};
use super::Lines;

pub(super) fn show(proxy: &Proxy, out: &mut Lines) {
    out.map("proxy", |out| {
        out.list("hosts", &proxy.hosts);
        out.raw("app_port", proxy.app_port);
        match &proxy.tls {
            Tls::Off => out.raw("ssl", false),
            Tls::Automatic => out.raw("ssl", true),
            Tls::Custom { certificate, private_key } => out.map("ssl", |out| {
                out.value("certificate_pem", &format!("secret {certificate}"));
                out.value("private_key_pem", &format!("secret {private_key}"));
            }),
        }
        out.given("ssl_redirect", proxy.ssl_redirect);
        out.given("forward_headers", proxy.forward_headers);
        out.given("response_timeout", proxy.response_timeout.map(|timeout| timeout.as_secs()));
        out.list("path_prefixes", &proxy.path_prefixes);
        out.given("strip_path_prefix", proxy.strip_path_prefix);
        let check = &proxy.healthcheck;
        if *check != Default::default() {
            out.map("healthcheck", |out| {
                out.option("path", check.path.as_deref());
                out.given("interval", check.interval.map(|interval| interval.as_secs()));
                out.given("timeout", check.timeout.map(|timeout| timeout.as_secs()));
            });
        }
        let buffering = &proxy.buffering;
        out.map("buffering", |out| {
            out.raw("requests", buffering.requests);
            out.raw("responses", buffering.responses);
            out.given("memory", buffering.memory);
            out.given("max_request_body", buffering.max_request_body);
            out.given("max_response_body", buffering.max_response_body);
        });
        out.map("logging", |out| {
            out.list("request_headers", &proxy.logging.request_headers);
            out.list("response_headers", &proxy.logging.response_headers);
        });
        if let Some(run) = &proxy.run {
            out.map("run", |out| show_run(run, out));
        }
    });
}

fn show_run(run: &Run, out: &mut Lines) {
    out.raw("publish", run.publish);
    if run.publish {
        out.raw("http_port", run.http_port);
        out.raw("https_port", run.https_port);
        out.list("bind_ips", &run.bind_ips);
    }
    out.given("metrics_port", run.metrics_port);
    out.raw("debug", run.debug);
    match &run.log_max_size {
        Some(size) => out.value("log_max_size", size),
        None => out.value("log_max_size", ""),
    }
    out.option("registry", run.registry.as_deref());
    out.value("repository", &run.repository);
    out.value("version", &run.version);
    out.options("options", &run.options);
}
