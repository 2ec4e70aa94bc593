//! Turns the flags of `deploy`, `prepare` and `rollout` into control commands.

use super::commands::Command;
use super::flags::Flags;
use super::{required, run};
use crate::control::{self, Targets};
use crate::options::{
    ACME_STAGING, Credentials, DeploymentOptions, HealthCheckConfig, ServiceOptions, TargetOptions,
};
use crate::service::Deploy;

/// Builds a deploy, with every check that doesn't need the daemon.
pub(super) fn deploy(command: &Command, service: String, flags: &Flags<'_>) -> Result<Box<Deploy>, String> {
    for (limit, buffer, what) in [
        ("max-request-body", "buffer-requests", "request"),
        ("max-response-body", "buffer-responses", "response"),
    ] {
        if flags.given.has(limit) && !flags.given.has(buffer) {
            return Err(format!("{limit} can only be set when {what} buffering is enabled"));
        }
    }
    let mut options = options(flags);
    options.basic_auth.extend(logins(&flags.text("basic-auth-file"))?);
    options.validate().map_err(|error| error.to_string())?;
    required(command, flags.given)?;
    together(flags, &["tls-certificate-path", "tls-private-key-path"])?;
    let target_options = target_options(flags, options.tls_enabled)?;
    let Targets { service: name, targets, readers, deployment } = targets(service, flags);
    Ok(Box::new(Deploy { name, targets, readers, deployment, options, target_options }))
}

/// Reads a file of `USER:PASSWORD` lines. A file without any is an error: it would leave the service open to all.
fn logins(path: &str) -> Result<Vec<Credentials>, String> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("basic-auth-file: {path}: {error}"))?;
    let logins: Vec<_> = text.lines().filter(|line| !line.is_empty()).map(Credentials::new).collect();
    if logins.is_empty() { Err(format!("basic-auth-file: {path} has no USER:PASSWORD")) } else { Ok(logins) }
}

/// Fails if only some flags of the group are set.
fn together(flags: &Flags<'_>, group: &[&str]) -> Result<(), String> {
    let missing: Vec<&str> = group.iter().copied().filter(|name| !flags.given.has(name)).collect();
    if missing.is_empty() || missing.len() == group.len() {
        return Ok(());
    }
    Err(format!(
        "if any flags in the group [{}] are set they must all be set; missing [{}]",
        group.join(" "),
        missing.join(" ")
    ))
}

fn options(flags: &Flags<'_>) -> ServiceOptions {
    let acme_directory =
        if flags.bool("tls-staging") { ACME_STAGING.to_owned() } else { flags.text("tls-acme-directory") };
    let cache = flags.text("tls-acme-cache-path");
    ServiceOptions {
        hosts: flags.list("host"),
        path_prefixes: flags.list("path-prefix"),
        tls_enabled: flags.bool("tls"),
        tls_certificate_path: flags.text("tls-certificate-path"),
        tls_private_key_path: flags.text("tls-private-key-path"),
        tls_on_demand_url: flags.text("tls-on-demand-url"),
        tls_redirect: flags.bool("tls-redirect"),
        canonical_host: flags.text("canonical-host"),
        acme_directory,
        acme_cache_path: if cache.is_empty() {
            run::data().join("certs").display().to_string()
        } else {
            cache
        },
        error_page_path: flags.text("error-pages"),
        strip_prefix: flags.bool("strip-path-prefix"),
        writer_affinity_timeout: flags.duration("writer-affinity-timeout"),
        read_targets_accept_websockets: flags.bool("read-target-websockets"),
        exclude_metrics_paths: flags.list("exclude-metrics-path"),
        client_ip_header: flags.text("client-ip-header"),
        trusted_proxies: flags.list("trusted-proxies"),
        compress: flags.bool("compress"),
        basic_auth: flags.list("basic-auth").into_iter().map(Credentials::new).collect(),
        allow_ips: flags.list("allow-ip"),
        set_request_headers: flags.list("set-request-header"),
        set_response_headers: flags.list("set-response-header"),
    }
}

fn target_options(flags: &Flags<'_>, tls: bool) -> Result<TargetOptions, String> {
    let port = flags.int("health-check-port");
    let port = u16::try_from(port).map_err(|_| format!("health-check-port {port} is not a port"))?;
    Ok(TargetOptions {
        health_check_config: HealthCheckConfig {
            path: flags.text("health-check-path"),
            port,
            interval: flags.duration("health-check-interval"),
            timeout: flags.duration("health-check-timeout"),
            host: flags.text("health-check-host"),
        },
        response_timeout: flags.duration("target-timeout"),
        buffer_requests: flags.bool("buffer-requests"),
        buffer_responses: flags.bool("buffer-responses"),
        max_memory_buffer_size: flags.size("buffer-memory"),
        max_request_body_size: flags.size("max-request-body"),
        max_response_body_size: flags.size("max-response-body"),
        log_request_headers: flags.list("log-request-header"),
        log_response_headers: flags.list("log-response-header"),
        forward_headers: if flags.given.has("forward-headers") {
            flags.bool("forward-headers")
        } else {
            !tls
        },
        scope_cookie_paths: flags.bool("scope-cookie-paths"),
        dial_timeout: flags.duration("dial-timeout"),
    })
}

pub(super) fn targets(service: String, flags: &Flags<'_>) -> Targets {
    Targets {
        service,
        targets: flags.list("target"),
        readers: flags.list("read-target"),
        deployment: DeploymentOptions {
            deploy_timeout: flags.duration("deploy-timeout"),
            drain_timeout: flags.duration("drain-timeout"),
            stream_timeout: flags.duration("stream-timeout"),
            force: flags.bool("force"),
        },
    }
}

pub(super) fn rollout_set(service: String, flags: &Flags<'_>) -> Result<control::Command, String> {
    if !flags.given.has("percent") && !flags.given.has("list") {
        return Err("at least one of the flags in the group [percent list] is required".to_owned());
    }
    let (percentage, allowlist) = (flags.int("percent"), flags.list("list"));
    Ok(control::Command::RolloutSet { service, percentage, allowlist })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::Given;

    fn read(line: &str) -> Result<Deploy, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (command, named) = Command::find(&words).unwrap();
        let given = Given::read(command.flags, &words[named..])?;
        let flags = Flags { known: command.flags, given: &given };
        deploy(command, given.arguments.join(" "), &flags).map(|deploy| *deploy)
    }

    #[test]
    fn a_bare_deploy_asks_for_kamals_defaults() {
        let deploy = read("deploy web --target web:80").unwrap();
        assert_eq!(deploy.name, "web");
        assert_eq!(deploy.targets, ["web:80"]);
        assert_eq!(deploy.deployment, DeploymentOptions::default());
        let cache = deploy.options.acme_cache_path.clone();
        assert!(cache.ends_with("certs"), "{cache}");
        assert_eq!(
            deploy.options,
            ServiceOptions { acme_cache_path: cache, ..ServiceOptions::of_command_line() }
        );
        let dial_timeout = crate::options::DIAL_TIMEOUT;
        assert_eq!(deploy.target_options, TargetOptions { dial_timeout, ..TargetOptions::of_command_line() });
    }

    #[test]
    fn headers_are_forwarded_unless_tls_is_on_or_the_flag_says_otherwise() {
        let forwards = |line: &str| {
            read(&format!("deploy web --target web {line}")).unwrap().target_options.forward_headers
        };
        assert!(forwards(""));
        assert!(!forwards("--tls --host a.example"));
        assert!(forwards("--tls --host a.example --forward-headers"));
        assert!(!forwards("--forward-headers=false"));
    }

    #[test]
    fn refusals_in_kamals_order_and_words() {
        for (line, error) in [
            ("deploy web", "required flag(s) \"target\" not set"),
            ("deploy web --tls", "service options invalid: host must be set when using TLS"),
            (
                "deploy web --target web --max-request-body 5",
                "max-request-body can only be set when request buffering is enabled",
            ),
            (
                "deploy web --max-response-body=5",
                "max-response-body can only be set when response buffering is enabled",
            ),
            (
                "deploy web --target web --tls-certificate-path x",
                "if any flags in the group [tls-certificate-path tls-private-key-path] are set they must all be set; missing [tls-private-key-path]",
            ),
            ("deploy web --target web --health-check-port 70000", "health-check-port 70000 is not a port"),
        ] {
            assert_eq!(read(line).unwrap_err(), error, "{line}");
        }
        assert!(read("deploy web --target web --max-request-body 5 --buffer-requests=false").is_ok());
    }
}
