//! `accessories`: other containers that the app needs, such as a database. Deploys leave them alone.
//!
//! The servers of an accessory are resolved here, since the file may name them by role or by tag. A tag means exactly the
//! servers that have this tag, regardless of how the roles list them.

mod keys;
mod names;
mod port;

use serde::{Serialize, Serializer};

use crate::decode::{Field, Report};
use crate::diagnostic::Diagnostic;
use crate::env::Tags;
use crate::given::given;
use crate::image::{self, Before};
use crate::pairs::unique;
use crate::role::{labels, options};
use crate::servers::{bad_role, check_host};
use crate::shown;
use crate::suggest::{did_you_mean, quoted};
use crate::{Env, OptionValue, Pairs, Proxy, Registry, Role};
pub(crate) use keys::KEYS;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accessory {
    /// Its key under `accessories`.
    #[serde(skip)]
    pub name: String,
    /// `service` (`SERVICE-NAME`): its container's name, and the name of its directory on a server.
    pub service: String,
    /// `image`, prefixed with its registry's server.
    pub image: String,
    pub registry: Option<Registry>,
    /// Where it runs, each host once: `host`, `hosts`, or the hosts of `role`, `roles`, `tag` or `tags`.
    pub hosts: Vec<String>,
    /// `port`, as `docker run --publish` takes it: `PORT` alone is `PORT:PORT`.
    pub port: Option<String>,
    /// `cmd`, appended after the image.
    pub cmd: Option<String>,
    pub env: Env,
    /// `files`: files of the project to upload and mount.
    pub files: Vec<AccessoryMount>,
    /// `directories`: directories to create on the server and mount.
    pub directories: Vec<AccessoryMount>,
    pub volumes: Vec<String>,
    /// `labels`, without the label `service` that Bowline sets.
    #[serde(serialize_with = "shown::pairs")]
    pub labels: Pairs,
    #[serde(serialize_with = "shown::pairs")]
    pub options: Vec<(String, OptionValue)>,
    pub network: String,
    /// `proxy`: how kamal-proxy sends requests to it, if it does. The root's `proxy` doesn't apply.
    pub proxy: Option<Proxy>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessoryMount {
    /// The path of a file in the project, or of a directory on the server. A relative one is below the accessory's directory.
    pub local: String,
    pub remote: String,
    /// `chmod` on the server (`755` for files; directories keep the mode that `mkdir` gives them).
    pub mode: Option<String>,
    /// `chown` on the server.
    pub owner: Option<String>,
    /// Mount options: `ro`, `z`, …
    pub options: Option<String>,
}

/// The keys that say where an accessory runs. Exactly one of them is required.
const WHERE: &[&str] = &["host", "hosts", "role", "roles", "tag", "tags"];

pub(crate) struct Context<'c> {
    /// The app's service.
    pub(crate) service: &'c str,
    pub(crate) destination: Option<&'c str>,
    pub(crate) roles: &'c [Role],
    pub(crate) tags: &'c Tags,
}

pub(crate) fn tags(accessories: &Field) -> Vec<String> {
    let entries = accessories.entries();
    let fields = entries.iter().flat_map(|(_, section)| [section.at("tag"), section.at("tags")]);
    fields.flat_map(|field| names(&field)).map(|(tag, _)| tag).collect()
}

/// The hosts that accessories name directly, as written.
pub(crate) fn hosts_of<'n>(accessories: &Field<'n>) -> Vec<(String, Field<'n>)> {
    let entries = accessories.entries();
    let fields = entries.iter().flat_map(|(_, section)| [section.at("host"), section.at("hosts")]);
    fields.flat_map(|field| names(&field)).collect()
}

pub(crate) fn decode(field: &Field, context: &Context, report: &mut Report) -> Vec<Accessory> {
    let mut accessories = Vec::new();
    for (key, field) in field.entries() {
        if let Some(problem) = bad_role(&key.text) {
            report.push(field.error_at(key.span, &problem.replace("a role", "an accessory")));
        } else if key.text == "all" {
            let error = field.error_at(key.span, "an accessory can't be called `all`");
            report.push(error.help("rename it: `bowline accessory boot all` means all accessories"));
        }
        if field.is_map() {
            let accessory = Accessory::decode(&key.text, &field, context, report);
            names::check(&accessory, &field, &accessories, context, report);
            accessories.push(accessory);
        }
    }
    accessories
}

impl Accessory {
    fn decode(name: &str, section: &Field, context: &Context, report: &mut Report) -> Self {
        let registry = section.get("registry").and_then(|field| Registry::decode_named(&field, report));
        let image = image(section, registry.as_ref(), report);
        let service = service(section, report).unwrap_or_else(|| format!("{}-{name}", context.service));
        let hosts = hosts(section, context, report);
        let port = section.get("port").and_then(|field| port::decode(&field, &service, report));
        Self {
            name: name.into(),
            service,
            image: image.unwrap_or_default(),
            registry,
            hosts,
            cmd: section.at("cmd").text(),
            port,
            env: Env::decode(&section.at("env"), report),
            files: mounts(section, "files", Some("755"), report),
            directories: mounts(section, "directories", None, report),
            volumes: section.at("volumes").strings(),
            options: options(&section.at("options"), report),
            labels: labels(&section.at("labels"), report),
            network: section.at("network").text().unwrap_or_else(|| crate::NETWORK.into()),
            proxy: section
                .get("proxy")
                .filter(|field| !field.entries().is_empty())
                .map(|field| Proxy::decode(&field, report)),
        }
    }
}

fn image(section: &Field, registry: Option<&Registry>, report: &mut Report) -> Option<String> {
    let Some(field) = section.get("image") else {
        report.missing(section, "image", "`image: mysql:8.4`, the image's name with its tag");
        return None;
    };
    let image = field.text()?;
    if image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        report.push(field.error("an image's name can't contain blanks"));
        return None;
    }
    let server = registry.and_then(|registry| registry.server.as_deref());
    let before = server.map_or(Before::Nothing, |server| Before::Registry(Some(server)));
    if !image::check(&field, &image, before, report) {
        return None;
    }
    Some(match server {
        Some(server) => format!("{server}/{image}"),
        None => image,
    })
}

fn service(section: &Field, report: &mut Report) -> Option<String> {
    let field = section.get("service")?;
    let service = field.text()?;
    let sound = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !service.starts_with(|c: char| c.is_ascii_alphanumeric()) || !service.chars().all(sound) {
        report.push(field.error("should be letters, digits, `_`, `-` and `.`: it names a container"));
    }
    Some(service)
}

fn hosts(section: &Field, context: &Context, report: &mut Report) -> Vec<String> {
    let given: Vec<&str> = WHERE.iter().copied().filter(|key| section.has(key)).collect();
    let [key] = given.as_slice() else {
        report.push(one_of(section, &given));
        return Vec::new();
    };
    let Some(field) = section.get(key) else { return Vec::new() };
    let known = report.items.len();
    let hosts = unique(chosen(&field, context, report));
    if hosts.is_empty() && report.items.len() == known {
        report.push(field.warning("matches no server, so this accessory runs nowhere"));
    }
    hosts
}

fn one_of(section: &Field, given: &[&str]) -> Diagnostic {
    let error = section.error("specify one of `host`, `hosts`, `role`, `roles`, `tag` or `tags`");
    let error = if given.is_empty() { error.label("none of them is here") } else { error };
    let places = given.iter().filter_map(|key| section.key_span(key));
    places.fold(error, |error, place| error.also(place, "given here"))
}

/// The hosts that the given key selects, possibly with duplicates.
fn chosen(field: &Field, context: &Context, report: &mut Report) -> Vec<String> {
    let key = field.path.rsplit('/').next().unwrap_or_default();
    let names = names(field);
    let all = context.roles.iter().flat_map(|role| role.hosts.iter().map(move |host| (role, host)));
    match key {
        "role" | "roles" => {
            unknown_roles(&names, context, report);
            let chosen = all.filter(|(role, _)| names.iter().any(|(name, _)| *name == role.name));
            chosen.map(|(_, host)| host.host.clone()).collect()
        }
        "tag" | "tags" => {
            let on_hosts = all.clone().flat_map(|(_, host)| &host.tags).map(String::as_str);
            let known = context.tags.names().chain(on_hosts).collect::<Vec<_>>();
            for (tag, field) in names.iter().filter(|(tag, _)| !known.contains(&tag.as_str())) {
                report.push(unplaced(field, tag, known.iter().copied()));
            }
            let chosen = all.filter(|(_, host)| names.iter().any(|(tag, _)| host.tags.contains(tag)));
            chosen.map(|(_, host)| host.host.clone()).collect()
        }
        _ => {
            for (host, field) in &names {
                check_host(field, field.span(), host, report);
            }
            names.into_iter().map(|(host, _)| host).collect()
        }
    }
}

/// The text of a singular key, or the texts of a plural one, each with its position.
fn names<'n>(field: &Field<'n>) -> Vec<(String, Field<'n>)> {
    let fields = if field.is_list() { field.list() } else { vec![field.clone()] };
    fields.into_iter().filter_map(|field| Some((field.text()?, field))).collect()
}

fn unplaced<'t>(field: &Field, tag: &str, known: impl Iterator<Item = &'t str>) -> Diagnostic {
    let error = field.error(&format!("unknown tag: {}", given(tag))).label("no server has this tag");
    let question = did_you_mean(tag, known);
    error.help(question.unwrap_or_else(|| format!("give it to a server: `- HOST: {}`", given(tag))))
}

fn unknown_roles(names: &[(String, Field)], context: &Context, report: &mut Report) {
    let known = || context.roles.iter().map(|role| role.name.as_str());
    for (name, field) in names.iter().filter(|(name, _)| known().all(|known| known != name)) {
        let error = field.error(&format!("unknown role {}", given(name)));
        let known_roles = || match context.roles {
            [] => "the configuration has no `servers`, and so no roles".into(),
            _ => format!("the roles are {}", quoted(&known().map(given).collect::<Vec<_>>(), "and")),
        };
        report.push(error.help(did_you_mean(name, known()).unwrap_or_else(known_roles)));
    }
}

fn mounts(section: &Field, key: &str, mode: Option<&str>, report: &mut Report) -> Vec<AccessoryMount> {
    let fields = section.at(key).list();
    let mounts = fields.iter().filter_map(|field| AccessoryMount::decode(field, report));
    let with_mode =
        |mount: AccessoryMount| AccessoryMount { mode: mount.mode.or(mode.map(Into::into)), ..mount };
    mounts.map(with_mode).collect()
}

impl Serialize for AccessoryMount {
    /// `LOCAL:REMOTE[:OPTIONS]`, followed by mode and owner.
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { local, remote, mode, owner, options } = self;
        let options = shown::suffix(options.as_deref());
        let mode = mode.as_ref().map(|mode| format!(" (mode {mode})")).unwrap_or_default();
        let owner = owner.as_ref().map(|owner| format!(" (owner {owner})")).unwrap_or_default();
        to.collect_str(&format_args!("{local}:{remote}{options}{mode}{owner}"))
    }
}

impl AccessoryMount {
    /// `LOCAL:REMOTE[:OPTIONS]`, or a map.
    fn decode(field: &Field, report: &mut Report) -> Option<Self> {
        let mount = if field.is_map() { Self::of_map(field, report)? } else { Self::of_text(field, report)? };
        if !mount.remote.starts_with('/') {
            report.push(field.error("the path in the container should be absolute"));
        }
        Some(mount)
    }

    fn of_text(field: &Field, report: &mut Report) -> Option<Self> {
        let text = field.text()?;
        let mut parts = text.splitn(3, ':').map(|part| Some(part.to_owned()).filter(|part| !part.is_empty()));
        match (parts.next().flatten(), parts.next().flatten()) {
            (Some(local), Some(remote)) => {
                Some(Self { local, remote, mode: None, owner: None, options: parts.next().flatten() })
            }
            _ => {
                report.push(field.error("should be `LOCAL:REMOTE`, or `LOCAL:REMOTE:OPTIONS`"));
                None
            }
        }
    }

    fn of_map(section: &Field, report: &mut Report) -> Option<Self> {
        for key in ["local", "remote"] {
            if !section.has(key) {
                report.missing(section, key, "`{local: PATH, remote: PATH}`");
            }
        }
        Some(Self {
            local: section.at("local").text()?,
            remote: section.at("remote").text()?,
            mode: section.at("mode").text(),
            owner: section.at("owner").text(),
            options: section.at("options").text(),
        })
    }
}
