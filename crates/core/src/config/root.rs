//! The root of the configuration: its keys, and the checks that look at more than one of them.

use std::time::Duration;

use super::boot::Boot;
use super::builder::Builder;
use super::decode::{Field, Keys, Report, Section};
use super::diagnostic::{Diagnostic, Span};
use super::env::{TaggedEnv, Tags};
use super::healthcheck::Parts;
use super::role::{AssetPath, Inherited};
use super::servers;
use super::{Accessory, Config, Logging, Pairs, Registry, Role, Ssh, Traefik, accessory, alias};

const KEYS: Keys = Keys {
    known: &[
        "service",
        "image",
        "labels",
        "volumes",
        "registry",
        "servers",
        "accessories",
        "env",
        "env_tags",
        "asset_path",
        "hooks_path",
        "secrets_path",
        "require_destination",
        "primary_role",
        "allow_empty_roles",
        "retain_containers",
        "minimum_version",
        "readiness_delay",
        "deploy_timeout",
        "drain_timeout",
        "stop_timeout",
        "stop_wait_time",
        "run_directory",
        "ssh",
        "sshkit",
        "builder",
        "boot",
        "logging",
        "healthcheck",
        "traefik",
        "aliases",
    ],
    later: &["error_pages_path", "hooks_output", "output", "proxy"],
};

/// Kamal's connection settings; Bowline has fixed ones.
const SSHKIT: Keys =
    Keys { known: &["max_concurrent_starts", "pool_idle_timeout", "dns_retries"], later: &[] };

/// The least a container gets to become ready.
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the merged files. `None` if something that is needed is missing; then it has been reported.
pub(super) fn decode(field: &Field, destination: Option<&str>, report: &mut Report) -> Option<Config> {
    let root = field.section(&KEYS, report)?;
    accept_without_effect(&root, report);
    check_destination(&root, destination, report);
    let service = required(&root, "service", report).and_then(|field| service(&field, report));
    let image = required(&root, "image", report).and_then(|field| image(&field, report));
    let registry = required(&root, "registry", report).and_then(|field| Registry::decode(&field, report));
    let (env, tags) = envs(&root, report);
    let inherited = inherited(&root, report);
    let primary_role = root.filled("primary_role", report).unwrap_or_else(|| "web".into());
    let roles = roles(&root, &primary_role, &tags, &inherited, report);
    if !report.has_errors() {
        tags.warn_unused(&roles, destination, report);
    }
    let accessories = accessories(&root, service.as_deref(), &roles, &tags, report);
    let deploy_timeout = deploy_timeout(&root, &inherited.healthcheck, &roles, report);
    let builder = root.get("builder").map(|field| Builder::decode(&field, report)).unwrap_or_default();
    let volumes = root.get("volumes").and_then(|field| field.strings(report)).unwrap_or_default();
    let traefik = root.get("traefik").map(|field| Traefik::decode(&field, report)).unwrap_or_default();
    let boot = root.get("boot").map(|field| Boot::decode(&field, report)).unwrap_or_default();
    let ssh = root.get("ssh").map(|field| Ssh::decode(&field, report)).unwrap_or_default();
    // Everything above and below is read before an absent one ends it, so that all errors are found.
    let rest = Rest::decode(&root, report);
    Some(Config {
        service: service?,
        destination: destination.map(Into::into),
        image: image?,
        registry: registry?,
        builder,
        roles,
        primary_role,
        env,
        env_tags: tags.envs,
        accessories,
        volumes,
        logging: inherited.logging,
        traefik,
        boot,
        ssh,
        readiness_delay: rest.readiness_delay,
        deploy_timeout,
        drain_timeout: rest.drain_timeout,
        stop_wait_time: rest.stop_wait_time,
        retain_containers: rest.retain_containers,
        hooks_path: rest.hooks_path,
        secrets_path: rest.secrets_path,
        aliases: rest.aliases,
        run_directory: rest.run_directory,
    })
}

/// The settings that are one value at the root.
struct Rest {
    readiness_delay: Duration,
    drain_timeout: Duration,
    stop_wait_time: Option<Duration>,
    retain_containers: usize,
    hooks_path: String,
    secrets_path: String,
    aliases: Pairs,
    run_directory: Option<String>,
}

impl Rest {
    fn decode(root: &Section, report: &mut Report) -> Self {
        Self {
            readiness_delay: root.seconds("readiness_delay", 0, report).unwrap_or(Duration::from_secs(7)),
            drain_timeout: root.seconds("drain_timeout", 0, report).unwrap_or(Duration::from_secs(30)),
            stop_wait_time: stop_wait_time(root, report),
            retain_containers: retain_containers(root, report),
            hooks_path: root.filled("hooks_path", report).unwrap_or_else(|| ".kamal/hooks".into()),
            secrets_path: root.filled("secrets_path", report).unwrap_or_else(|| ".kamal/secrets".into()),
            aliases: root.get("aliases").and_then(|field| alias::decode(&field, report)).unwrap_or_default(),
            run_directory: run_directory(root, report),
        }
    }
}

/// Keys that are checked and then have no effect: they set up Kamal itself.
fn accept_without_effect(root: &Section, report: &mut Report) {
    root.string("minimum_version", report);
    let Some(sshkit) = root.get("sshkit").and_then(|field| field.section(&SSHKIT, report)) else { return };
    for name in SSHKIT.known {
        sshkit.get(name).and_then(|field| field.integer(0, i64::MAX, report));
    }
}

/// `require_destination`; and the destination's name itself, which becomes part of container names.
fn check_destination(root: &Section, destination: Option<&str>, report: &mut Report) {
    let wanted = root.boolean("require_destination", report).unwrap_or(false);
    match (destination, root.get("require_destination")) {
        (None, Some(field)) if wanted => report.push(
            field.error("You must specify a destination").help("name it with `-d`, such as `-d production`"),
        ),
        _ => {}
    }
    let sound = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if let Some(name) = destination.filter(|name| name.is_empty() || !name.chars().all(sound)) {
        let message =
            format!("the destination's name {name:?} can only include letters, digits, `_`, `-` and `.`");
        report.push(Diagnostic::error(Span::whole(1), message));
    }
}

fn required<'n>(root: &Section<'n>, name: &str, report: &mut Report) -> Option<Field<'n>> {
    let field = root.get(name);
    if field.is_none() {
        let message = format!("Missing required configuration for {name}");
        report.push(Diagnostic::error(Span::whole(0), message).help(example(name)));
    }
    field
}

fn example(key: &str) -> &'static str {
    match key {
        "service" => "`service: myapp`, the first part of every container's name",
        "image" => "`image: me/myapp`, the image's name without server and tag",
        "registry" => "`registry: {server: …, username: …, password: [NAME_OF_A_SECRET]}`",
        _ => "`servers: [192.0.2.1]`, or a hash of roles",
    }
}

fn service(field: &Field, report: &mut Report) -> Option<String> {
    let name = field.filled(report)?;
    if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        return Some(name);
    }
    report
        .push(field.error("Service name can only include alphanumeric characters, hyphens, and underscores"));
    None
}

fn image(field: &Field, report: &mut Report) -> Option<String> {
    let image = field.filled(report)?;
    let last = image.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        let help = "the tag is the version that is deployed";
        report.push(field.error("should be the image's name without a tag").help(help));
        return None;
    }
    if image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        report.push(field.error("an image's name can't contain blanks"));
        return None;
    }
    Some(image)
}

/// The root env, and the tags from either of the two places they may stand at.
fn envs(root: &Section, report: &mut Report) -> (super::Env, Tags) {
    let tagged = root.get("env").map(|field| TaggedEnv::decode(&field, report)).unwrap_or_default();
    let Some(field) = root.get("env_tags") else { return (tagged.env, tagged.tags.unwrap_or_default()) };
    let mut tags = Tags::decode(&field, report);
    let span = root.key_span("env_tags").unwrap_or(field.span());
    tags.span = Some(span);
    if let Some(other) = tagged.tags.and_then(|tags| tags.span) {
        let error = Diagnostic::error(span, "tags are given twice: as `env_tags` and as `env/tags`");
        report.push(error.also(other, "and here").help("keep one of them"));
    }
    (tagged.env, tags)
}

fn inherited(root: &Section, report: &mut Report) -> Inherited {
    Inherited {
        labels: root.get("labels").and_then(|field| super::role::labels(&field, report)).unwrap_or_default(),
        logging: root.get("logging").map(|field| Logging::decode(&field, report)).unwrap_or_default(),
        asset_path: root.get("asset_path").and_then(|field| AssetPath::decode(&field, report)),
        healthcheck: root.get("healthcheck").map(|field| Parts::decode(&field, report)).unwrap_or_default(),
    }
}

fn roles(
    root: &Section,
    primary_role: &str,
    tags: &Tags,
    inherited: &Inherited,
    report: &mut Report,
) -> Vec<Role> {
    let allow_empty_roles = root.boolean("allow_empty_roles", report).unwrap_or(false);
    let primary_field = root.get("primary_role");
    if root.get("accessories").is_some() && root.get("servers").is_none() {
        return Vec::new();
    }
    let Some(servers) = required(root, "servers", report) else { return Vec::new() };
    let context = servers::Context {
        primary_role,
        primary_field: primary_field.as_ref(),
        allow_empty_roles,
        tags,
        inherited,
    };
    servers::decode(&servers, &context, report)
}

fn accessories(
    root: &Section,
    service: Option<&str>,
    roles: &[Role],
    tags: &Tags,
    report: &mut Report,
) -> Vec<Accessory> {
    let context = accessory::Context { service, roles, tags };
    root.get("accessories").map(|field| accessory::decode(&field, &context, report)).unwrap_or_default()
}

/// As given; else what the most patient health check asks for with its `max_attempts` (1+2+…+n seconds).
fn deploy_timeout(root: &Section, healthcheck: &Parts, roles: &[Role], report: &mut Report) -> Duration {
    if let Some(given) = root.get("deploy_timeout") {
        return given.seconds(1, report).unwrap_or(DEPLOY_TIMEOUT);
    }
    let of_roles = roles.iter().filter_map(|role| role.healthcheck.as_ref()?.max_attempts);
    let attempts = of_roles.chain(healthcheck.max_attempts()).max().map_or(0, u64::from);
    Duration::from_secs(attempts * (attempts + 1) / 2).max(DEPLOY_TIMEOUT)
}

/// `stop_wait_time` of Kamal 1, `stop_timeout` of Kamal 2.
fn stop_wait_time(root: &Section, report: &mut Report) -> Option<Duration> {
    let old = root.seconds("stop_wait_time", 0, report);
    let new = root.seconds("stop_timeout", 0, report);
    if let (Some(old), Some(new)) = (root.key_span("stop_wait_time"), root.key_span("stop_timeout")) {
        let error = Diagnostic::error(new, "stop_timeout and stop_wait_time are the same setting");
        report.push(error.also(old, "given here too").help("keep one of them"));
    }
    old.or(new)
}

fn retain_containers(root: &Section, report: &mut Report) -> usize {
    const DEFAULT: usize = 5;
    let Some(field) = root.get("retain_containers") else { return DEFAULT };
    match field.integer(i64::MIN, i64::MAX, report) {
        Some(count) if count < 1 => report.push(field.error("Must retain at least 1 container")),
        Some(count) => return usize::try_from(count).unwrap_or(DEFAULT),
        None => {}
    }
    DEFAULT
}

fn run_directory(root: &Section, report: &mut Report) -> Option<String> {
    let field = root.get("run_directory")?;
    let directory = field.filled(report)?;
    if directory != ".kamal" {
        report.push(field.warning("has no effect: what Bowline keeps on a server is always under .kamal"));
    }
    Some(directory)
}
