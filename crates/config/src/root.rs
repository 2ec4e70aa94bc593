//! The root of the configuration: its keys, and the checks that look at more than one of them.

mod hosts;
mod keys;
mod proxies;

use std::time::Duration;

use super::boot::Boot;
use super::builder::Builder;
use super::decode::{Field, Report};
use super::diagnostic::{Diagnostic, Span};
use super::env::{TaggedEnv, Tags};
use super::generation::Generation;
use super::hooks::HooksOutput;
use super::image::{self, Before};
use super::output::OutputPlaces;
use super::role::{AssetPath, Inherited};
use super::{
    Config, Logging, Proxy, Registry, Role, Ssh, Timeouts, Traefik, accessory, alias, healthcheck, servers,
    version,
};
pub(super) use keys::KEYS;

/// The default of `deploy_timeout`, and its minimum if a health check's attempts set it.
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the merged files. If something required is missing, it reports that, and the result is of no use.
pub(super) fn decode(
    root: &Field,
    destination: Option<&str>,
    (generation, decided_by): (Generation, Option<String>),
    report: &mut Report,
) -> Config {
    check_destination(destination, report);
    let service = service(root, report);
    // Without `servers`, no image name contains the registry: Bowline only logs in to it.
    let decode_registry = if root.has("servers") { Registry::decode_named } else { Registry::decode };
    let registry = match root.get("registry") {
        Some(field) => decode_registry(&field, report),
        None => Some(Registry::default()),
    };
    let image = image(root, &service, registry.as_ref(), report);
    let (env, mut tags) = envs(root, report);
    tags.kamal2 = generation == Generation::Two;
    let inherited = inherited(root, generation, report);
    let primary_role = root.at("primary_role").text().unwrap_or_else(|| "web".into());
    let roles = roles(root, &primary_role, &tags, &inherited, report);
    if !report.has_errors() {
        let used = roles.iter().flat_map(|role| &role.hosts).flat_map(|host| &host.tags);
        tags.warn_unused(&used.collect::<Vec<_>>(), destination, report);
    }
    let ssh = Ssh::decode(&root.at("ssh"), report);
    let context = accessory::Context { service: &service, destination, roles: &roles, tags: &tags };
    let accessories = accessory::decode(&root.at("accessories"), &context, report);
    hosts::check(root, &ssh, report);
    if let Some(servers) = root.get("servers") {
        proxies::check(&roles, &accessories, &servers, report);
    }
    let builder = Builder::decode(&root.at("builder"), report);
    check_cache(root, registry.as_ref(), &builder, report);
    Config {
        generation,
        decided_by,
        service,
        destination: destination.map(Into::into),
        image,
        registry: registry.unwrap_or_default(),
        builder,
        deploy_timeout: deploy_timeout(root, &roles),
        roles,
        primary_role,
        env,
        env_tags: tags.envs,
        accessories,
        volumes: root.at("volumes").strings(),
        logging: Logging::decode(&root.at("logging")),
        traefik: Traefik::decode(&root.at("traefik"), report),
        boot: Boot::decode(&root.at("boot"), report),
        ssh,
        timeouts: Timeouts::decode(&root.at("timeouts")),
        readiness_delay: root.at("readiness_delay").seconds().unwrap_or(Duration::from_secs(7)),
        drain_timeout: inherited.drain_timeout,
        retain_containers: retain_containers(root, report),
        hooks_path: root.at("hooks_path").text().unwrap_or_else(|| ".kamal/hooks".into()),
        hooks_output: HooksOutput::decode(&root.at("hooks_output"), report),
        secrets_path: root.at("secrets_path").text().unwrap_or_else(|| ".kamal/secrets".into()),
        aliases: alias::decode(&root.at("aliases"), report),
        error_pages_path: root.at("error_pages_path").text_unless_off(),
        output: OutputPlaces::decode(&root.at("output"), report),
        minimum_version: version::minimum(root, report),
        run_directory: run_directory(root, report),
    }
}

/// The error if `require_destination` is set and no destination is given. It is the only error then, because the
/// destination's file may contain whatever is missing.
pub(super) fn wants_destination(root: &Field) -> Option<Diagnostic> {
    let field = root.get("require_destination").filter(|field| field.boolean() == Some(true))?;
    Some(field.error("You must specify a destination").help("name it with `-d`, such as `-d production`"))
}

/// Checks the destination's name, which becomes part of container names.
fn check_destination(destination: Option<&str>, report: &mut Report) {
    let sound = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if let Some(name) = destination.filter(|name| name.is_empty() || !name.chars().all(sound)) {
        let message =
            format!("the destination's name {name:?} can only include letters, digits, `_`, `-` and `.`");
        report.push(Diagnostic::error(Span::whole(1), message));
    }
}

fn required<'n>(root: &Field<'n>, name: &str, report: &mut Report) -> Option<Field<'n>> {
    if !root.has(name) {
        report.missing(root, name, example(name));
    }
    root.get(name)
}

fn example(key: &str) -> &'static str {
    match key {
        "service" => "`service: myapp`, the first part of every container's name",
        "image" => "`image: me/myapp`, the image's name without server and tag",
        _ => "`servers: [192.0.2.1]`, or a map of roles",
    }
}

fn service(root: &Field, report: &mut Report) -> String {
    let Some(field) = required(root, "service", report) else { return String::new() };
    let name = field.text().unwrap_or_default();
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
        let message = "Service name can only include alphanumeric characters, hyphens, and underscores";
        report.push(field.error(message));
    }
    name
}

/// The image's name. Without a registry, the default is the service's name.
fn image(root: &Field, service: &str, registry: Option<&Registry>, report: &mut Report) -> String {
    if !root.has("image") && registry.is_some_and(Registry::is_absent) {
        return service.to_lowercase();
    }
    let Some(field) = required(root, "image", report) else { return String::new() };
    let image = field.text().unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        let help = "the tag is the version that is deployed";
        report.push(field.error("should be the image's name without a tag").help(help));
    } else if image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        report.push(field.error("an image's name can't contain blanks"));
    } else if let Some(registry) = registry {
        let before = match &registry.server {
            None if registry.is_absent() => Before::Nothing,
            server => Before::Registry(server.as_deref()),
        };
        image::check(&field, &image, before, report);
    }
    image
}

/// The root's env, and its tags from `env_tags` or `env/tags`.
fn envs(root: &Field, report: &mut Report) -> (super::Env, Tags) {
    let tagged = TaggedEnv::decode(&root.at("env"), report);
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

fn inherited<'n>(root: &Field<'n>, generation: Generation, report: &mut Report) -> Inherited<'n> {
    let proxy = root.get("proxy");
    // Errors in the root's own `proxy` are reported here, and not again by each role that inherits it.
    let unchanged = proxy.as_ref().map(|field| Proxy::decode(field, report));
    Inherited {
        generation,
        labels: super::role::labels(&root.at("labels"), report),
        root: root.clone(),
        asset_path: root.get("asset_path").and_then(|field| AssetPath::decode(&field, report)),
        proxy: proxy.zip(unchanged),
        drain_timeout: root.at("drain_timeout").seconds().unwrap_or(Duration::from_secs(30)),
        stop_timeout: stop_timeout(root, report),
    }
}

fn roles(
    root: &Field,
    primary_role: &str,
    tags: &Tags,
    inherited: &Inherited,
    report: &mut Report,
) -> Vec<Role> {
    if root.has("accessories") && !root.has("servers") {
        return Vec::new();
    }
    let primary_field = root.get("primary_role");
    let Some(servers) = required(root, "servers", report) else { return Vec::new() };
    let context = servers::Context {
        primary_role,
        primary_field: primary_field.as_ref(),
        allow_empty_roles: root.at("allow_empty_roles").boolean().unwrap_or(false),
        tags,
        placing: &accessory::tags(&root.at("accessories")),
        inherited,
    };
    servers::decode(&servers, &context, report)
}

/// Checks that there is a registry for a build cache that is kept in one.
fn check_cache(root: &Field, registry: Option<&Registry>, builder: &Builder, report: &mut Report) {
    let Some(cache) = builder.cache.as_ref().filter(|cache| cache.kind.as_deref() != Some("gha")) else {
        return;
    };
    let elsewhere = cache.image.as_deref().is_some_and(image::names_a_registry);
    let absent = registry.is_some_and(Registry::is_absent);
    if absent
        && (registry.is_some_and(Registry::is_local) || !elsewhere)
        && let Some(field) = root.at("builder").get("cache")
    {
        let error = field.error("needs a registry, but none is configured");
        report.push(
            error.help("leave it out (the builder has its own cache), or use `type: gha` in GitHub Actions"),
        );
    }
}

/// The given value, or else the longest time that a health check's `max_attempts` allows (1+2+…+n seconds).
fn deploy_timeout(root: &Field, roles: &[Role]) -> Duration {
    if let Some(given) = root.at("deploy_timeout").seconds() {
        return given;
    }
    let of_roles = roles.iter().filter_map(|role| role.healthcheck.as_ref()?.max_attempts);
    let of_root = healthcheck::max_attempts(&root.at("healthcheck"));
    let attempts = of_roles.chain(of_root).max().map_or(0, u64::from);
    Duration::from_secs(attempts * (attempts + 1) / 2).max(DEPLOY_TIMEOUT)
}

/// Kamal 1's `stop_wait_time` or Kamal 2's `stop_timeout`.
fn stop_timeout(root: &Field, report: &mut Report) -> Option<Duration> {
    if let (Some(old), Some(new)) = (root.key_span("stop_wait_time"), root.key_span("stop_timeout")) {
        let error = Diagnostic::error(new, "stop_timeout and stop_wait_time are the same setting");
        report.push(error.also(old, "given here too").help("keep one of them"));
    }
    root.at("stop_wait_time").seconds().or(root.at("stop_timeout").seconds())
}

fn retain_containers(root: &Field, report: &mut Report) -> usize {
    let field = root.at("retain_containers");
    let count = field.integer().unwrap_or(5);
    if count < 1 {
        report.push(field.error("Must retain at least 1 container"));
    }
    usize::try_from(count).unwrap_or_default()
}

fn run_directory(root: &Field, report: &mut Report) -> Option<String> {
    let field = root.get("run_directory")?;
    let directory = field.text()?;
    if directory != ".kamal" {
        report.push(field.warning("is ignored: Bowline always uses .kamal on servers"));
    }
    Some(directory)
}
