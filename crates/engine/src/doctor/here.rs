//! Checks this machine and the project: programs, files, secrets, the registry.

use std::time::Duration;

use bowline_config::{Config, Diagnostics, Tls};
use bowline_core::commands::builder::{Builder, Here};
use bowline_core::doctor::{Finding, Level, Topic, expiry, server, untouched};
use bowline_core::error::PlanError;
use bowline_core::plan::secrets::check_secrets;
use bowline_core::proxy::ProxyKind;
use bowline_core::secrets::{Secrets, login as login_of};
use bowline_core::selection::Selection;

use super::{problem, said};
use crate::call::Call;
use crate::error::Result;
use crate::git;
use crate::hooks::{self, Fault};
use crate::ports::{Local, LocalCommand, Output};

/// The time limit for a program to print its version.
const PATIENCE: Duration = Duration::from_secs(10);
const LOGIN: Duration = Duration::from_secs(30);

/// Logs in with a temporary Docker configuration, so that the user's stays unchanged. Without the dummy login, Docker's
/// client would look for a credential helper.
const LOGIN_SCRIPT: &str = "d=$(mktemp -d) && trap 'rm -rf \"$d\"' EXIT && \
    printf '{\"auths\":{\"bowline.invalid\":{}}}\\n' >\"$d/config.json\" && docker --config \"$d\" login \"$@\"";

async fn run(local: &dyn Local, words: &[&str]) -> Option<Output> {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    let command = LocalCommand { words, ..LocalCommand::default() };
    let output = tokio::time::timeout(PATIENCE, local.run(&command, &|_| {})).await.ok()?.ok()?;
    output.success().then_some(output)
}

/// The first word in a program's output that looks like a version.
fn number(said: &str) -> &str {
    let starts = |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    said.split([' ', ',', '\n']).find(starts).unwrap_or("of unknown version")
}

pub(super) async fn tools(local: &dyn Local, config: Option<&Config>) -> Vec<Finding> {
    let mut found = vec![match run(local, &["git", "--version"]).await {
        Some(output) => Finding::ok(Topic::Tools, format!("git {}", number(&output.stdout))),
        None => Finding::problem(
            Topic::Tools,
            "git is not installed on this machine",
            "install it: a deploy takes its version from git, and builds the last commit",
        ),
    }];
    found.extend(docker(local, config).await);
    found.push(match run(local, &["ssh", "-V"]).await {
        Some(output) => {
            let said = if output.stderr.is_empty() { output.stdout } else { output.stderr };
            let version = said.split([',', '\n']).next().filter(|version| !version.is_empty());
            Finding::ok(Topic::Tools, version.unwrap_or("ssh").to_owned())
        }
        None => Finding::warning(
            Topic::Tools,
            "ssh is not installed on this machine",
            "Bowline needs it only where ~/.ssh/config uses Match or Include (Debian: openssh-client)",
        ),
    });
    found.extend(own_proxy(local, config).await);
    found
}

/// Checks the programs that build the image.
async fn docker(local: &dyn Local, config: Option<&Config>) -> Vec<Finding> {
    let elsewhere = match config {
        Some(config) if config.registry.is_absent() => {
            "or build elsewhere, and deploy with `--image-archive FILE --version V`"
        }
        _ => "or build elsewhere, and deploy with `--skip-push --version V`",
    };
    let Some(client) = run(local, &["docker", "--version"]).await else {
        return vec![Finding::problem(
            Topic::Tools,
            "Docker is not installed on this machine",
            format!("install it to build images here, {elsewhere}"),
        )];
    };
    let mut found = Vec::new();
    let remote = config.is_some_and(|config| config.builder.remote.is_some());
    let engine = run(local, &["docker", "version", "--format", "{{.Server.Version}} {{.Server.Arch}}"]).await;
    let said = engine.map(|output| output.stdout);
    let arch = said.as_deref().and_then(|said| said.trim().split_once(' ')).map_or("", |(_, arch)| arch);
    found.push(match &said {
        Some(said) => Finding::ok(Topic::Tools, format!("Docker {} ({arch})", number(said))),
        None if remote => Finding::ok(
            Topic::Tools,
            format!("Docker's command {}; another machine builds", number(&client.stdout)),
        ),
        None => Finding::problem(
            Topic::Tools,
            "Docker on this machine does not respond",
            format!("start it, and check that you can use it (`docker version`), {elsewhere}"),
        ),
    });
    let buildx = run(local, &["docker", "buildx", "version"]).await;
    let here = Here { buildx: buildx.is_some(), arch: arch.to_owned() };
    let Some(config) = config.filter(|_| said.is_some() || remote) else { return found };
    found.push(match (Builder::new(config, &here), buildx) {
        (Err(needs), _) => Finding::problem(
            Topic::Tools,
            needs.to_string(),
            format!("install it: https://docs.docker.com/go/buildx/, {elsewhere}"),
        ),
        (Ok(_), Some(output)) => Finding::ok(Topic::Tools, format!("buildx {}", number(&output.stdout))),
        (Ok(_), None) => Finding::ok(Topic::Tools, "no buildx: Docker builds without it"),
    });
    if config.builder.pack.is_some() && run(local, &["pack", "version"]).await.is_none() {
        found.push(Finding::problem(
            Topic::Tools,
            "`pack` is not installed on this machine, and `builder: pack:` needs it",
            "install it: https://buildpacks.io/docs/tools/pack/",
        ));
    }
    found
}

/// Checks that `bowline-proxy` is installed here, if servers without a proxy would get it.
async fn own_proxy(local: &dyn Local, config: Option<&Config>) -> Option<Finding> {
    let config = config?;
    let gets_ours = |proxy: &bowline_config::Proxy| proxy.run.is_none();
    config.roles.iter().filter_map(|role| role.kamal_proxy()).find(|proxy| gets_ours(proxy))?;
    let program = local.companion("bowline-proxy");
    Some(match run(local, &[&program, "image", "--reference"]).await {
        Some(output) => {
            Finding::ok(Topic::Tools, format!("{} for servers without a proxy", output.stdout.trim()))
        }
        None => Finding::warning(
            Topic::Tools,
            "bowline-proxy is not installed on this machine, so servers without a proxy can't get it",
            "install it next to `bowline` or on PATH, or choose Kamal's proxy: `proxy: {run: {version: v0.9.2}}`",
        ),
    })
}

/// Checks the project's files, as far as that needs no secrets.
pub(super) async fn project(call: Call<'_>, warnings: Option<&Diagnostics>) -> Vec<Finding> {
    let config = call.config();
    let roles: Vec<&str> = config.roles.iter().map(|role| role.name.as_str()).collect();
    let kinds = ProxyKind::of_all(config.roles.iter());
    let proxies: Vec<&str> =
        kinds.into_iter().filter(|kind| *kind != ProxyKind::None).map(ProxyKind::name).collect();
    let behind =
        if proxies.is_empty() { String::new() } else { format!(", behind {}", proxies.join(" and ")) };
    let text = format!(
        "{} with {} on {}{behind}",
        config.service,
        if roles.is_empty() { "no role".into() } else { roles.join(", ") },
        match config.all_hosts().len() {
            1 => "1 server".into(),
            number => format!("{number} servers"),
        },
    );
    let mut found = vec![Finding::ok(Topic::Configuration, text)];
    found.extend(warnings.map(|all| said(Topic::Configuration, all, Finding::warning)).unwrap_or_default());
    found.extend(untouched(config));
    found.extend(of_version(call).await);
    let hooks = hooks::doubtful(call.world.local.as_ref(), config);
    found.extend(hooks.into_iter().map(|hook| {
        let level = if hook.kind == Fault::Extension { Level::Warning } else { Level::Problem };
        Finding { level, ..Finding::problem(Topic::Hooks, hook.text, hook.hint) }
    }));
    found
}

/// Checks the version and the source that a deploy would build.
async fn of_version(call: Call<'_>) -> Vec<Finding> {
    let config = call.config();
    let mut found = match call.version().await {
        Ok(version) => {
            vec![Finding::ok(Topic::Configuration, format!("version {version} would be deployed"))]
        }
        Err(error) => problem(Topic::Configuration, error).unwrap_or_default(),
    };
    let changed = git::uncommitted(call.world).await.len();
    let known = found.iter().all(|finding| finding.level == Level::Ok);
    if known && config.builder.context.is_none() && changed > 0 {
        let what = if changed == 1 {
            "1 uncommitted change".into()
        } else {
            format!("{changed} uncommitted changes")
        };
        found.push(Finding::warning(
            Topic::Configuration,
            format!("{what} would not be deployed: Bowline builds the last commit"),
            "commit your changes, or set `builder: {context: .}`",
        ));
    }
    let file = &config.builder.dockerfile;
    if config.builder.pack.is_none() && call.world.local.kind(file).is_none() {
        found.push(Finding::problem(
            Topic::Configuration,
            format!("there is no {file} to build from"),
            "write one, or name another with `builder: dockerfile:`",
        ));
    }
    found
}

/// The values of all secrets that the configuration names, if they can be resolved.
pub(super) async fn secrets(call: Call<'_>) -> Result<(Option<Secrets>, Vec<Finding>)> {
    let names: Vec<String> = call.project.secret_uses.names().into_iter().map(Into::into).collect();
    if names.is_empty() {
        return Ok((
            Some(Secrets::new()),
            vec![Finding::ok(Topic::Secrets, "the configuration needs no secrets")],
        ));
    }
    match call.project.secrets(call.world, &names).await {
        Ok(secrets) => {
            let what = if names.len() == 1 {
                "1 secret has a value".into()
            } else {
                format!("{} secrets have values", names.len())
            };
            let empty = secrets.iter().filter(|(_, value)| value.expose().is_empty()).map(|(name, _)| {
                Finding::warning(Topic::Secrets, format!("the secret {name} is empty"), "is that intended?")
            });
            let mut found: Vec<Finding> =
                [Finding::ok(Topic::Secrets, what)].into_iter().chain(empty).collect();
            found.extend(wrong(call, &secrets)?);
            Ok((Some(secrets), found))
        }
        Err(error) => Ok((None, problem(Topic::Secrets, error)?)),
    }
}

/// A secret whose value has the wrong form. The plans for the servers report values that a container can't get.
fn wrong(call: Call<'_>, secrets: &Secrets) -> Result<Vec<Finding>> {
    let Ok(selection) = Selection::new(call.config(), &call.options.filters) else { return Ok(Vec::new()) };
    match check_secrets(call.config(), secrets, &selection) {
        Err(error @ PlanError::WrongSecret { .. }) => problem(Topic::Secrets, call.project.unplanned(error)),
        _ => Ok(Vec::new()),
    }
}

/// Checks that the registry accepts the login from this machine.
pub(super) async fn login(call: Call<'_>, secrets: Option<&Secrets>) -> Option<Finding> {
    let registry = &call.config().registry;
    if registry.is_absent() {
        return Some(Finding::ok(Topic::Registry, "no registry: servers get the image from this machine"));
    }
    let login = login_of(registry, secrets?).ok()??;
    let server = login.server.as_deref().unwrap_or("Docker Hub");
    let words = ["sh", "-c", LOGIN_SCRIPT, "sh"].into_iter().chain(login.words().into_iter().skip(1));
    let command = LocalCommand {
        words: words.map(Into::into).collect(),
        input: Some(login.password.clone()),
        ..LocalCommand::default()
    };
    let hint = "check `registry:` (server, username, password), and that this machine can reach it";
    Some(match tokio::time::timeout(LOGIN, call.world.local.run(&command, &|_| {})).await {
        Ok(Ok(output)) if output.success() => {
            Finding::ok(Topic::Registry, format!("{server} accepts the login from this machine"))
        }
        Ok(Ok(output)) => {
            let said =
                output.stderr.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with("WARNING"));
            let text =
                format!("{server} refused the login from this machine: {}", said.unwrap_or("no message"));
            Finding::problem(Topic::Registry, text, hint)
        }
        // Another finding reports that Docker is missing.
        Ok(Err(_)) => return None,
        Err(_) => Finding::problem(
            Topic::Registry,
            format!("{server} did not respond to this machine within {} s", LOGIN.as_secs()),
            hint,
        ),
    })
}

/// Checks the certificates in the project's secrets.
pub(super) fn certificates(call: Call<'_>, secrets: Option<&Secrets>) -> Vec<Finding> {
    let Some(secrets) = secrets else { return Vec::new() };
    let mut names: Vec<&str> = Vec::new();
    for proxy in call.config().roles.iter().filter_map(|role| role.kamal_proxy()) {
        if let Tls::Custom { certificate, .. } = &proxy.tls
            && !names.contains(&certificate.as_str())
        {
            names.push(certificate);
        }
    }
    let of = |name: &str| {
        let value = secrets.get(name)?;
        let Some(end) = expiry(value.expose()) else {
            return Some(Finding::problem(
                Topic::Certificates,
                format!("the secret {name} is not a certificate in PEM form"),
                "a certificate starts with `-----BEGIN CERTIFICATE-----`",
            ));
        };
        let found =
            server::ends(&format!("the secret {name}"), end, call.world.local.now(), ProxyKind::Kamal);
        let renew = || "put a newer one into the secret, and deploy".to_owned();
        Some(Finding { hint: found.hint.as_ref().map(|_| renew()), ..found })
    };
    names.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        assert_eq!(number("git version 2.47.3\n"), "2.47.3");
        assert_eq!(number("Docker version 26.1.5+dfsg1, build a72d7cd"), "26.1.5+dfsg1");
        assert_eq!(number("github.com/docker/buildx v0.13.1 788433953"), "v0.13.1");
        assert_eq!(number("?"), "of unknown version");
    }
}
