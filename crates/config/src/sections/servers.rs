//! `servers`: decodes a list of hosts, or a map of roles, into roles with hosts and tags.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::decode::{Field, Report};
use crate::describe::Form;
use crate::diagnostic::{Diagnostic, Span};
use crate::env::Tags;
use crate::given::given;
use crate::pairs::unique;
use crate::role::{self, HOSTS, Inherited};
use crate::suggest::{did_you_mean, variable_help};
use crate::{Role, RoleHost};

const ROLE: Form = Form::Either(&[HOSTS, Form::Keys(&role::KEYS)]);
pub(crate) const FORM: Form = Form::Either(&[HOSTS, Form::Map("ROLE", &ROLE)]);

pub(crate) struct Context<'c> {
    pub(crate) primary_role: &'c str,
    /// The position of `primary_role`, if it is given.
    pub(crate) primary_field: Option<&'c Field<'c>>,
    pub(crate) allow_empty_roles: bool,
    pub(crate) tags: &'c Tags,
    /// Tags that select servers for accessories. They need no env.
    pub(crate) placing: &'c [String],
    pub(crate) inherited: &'c Inherited<'c>,
}

/// The roles, the primary one first, then by name.
pub(crate) fn decode(field: &Field, context: &Context, report: &mut Report) -> Vec<Role> {
    let mut roles = Vec::new();
    if field.is_list() {
        roles.push((decode_role("web", field, context, report), field.clone()));
    }
    for (key, field) in field.entries() {
        if let Some(problem) = bad_role(&key.text) {
            report.push(field.error_at(key.span, problem));
        }
        roles.push((decode_role(&key.text, &field, context, report), field));
    }
    check(field, &roles, context, report);
    let mut roles: Vec<Role> = roles.into_iter().map(|(role, _)| role).collect();
    roles.sort_by(|a, b| {
        let order = |role: &Role| (role.name != context.primary_role, role.name.clone());
        order(a).cmp(&order(b))
    });
    roles
}

fn decode_role(name: &str, field: &Field, context: &Context, report: &mut Report) -> Role {
    let primary = name == context.primary_role;
    let hosts = if field.is_map() { field.at("hosts") } else { field.clone() };
    let hosts = decode_hosts(&hosts, context, report);
    Role { hosts, ..Role::decode(name, field, primary, context.inherited, report) }
}

/// A host listed twice is one host with the tags of both entries.
fn decode_hosts(field: &Field, context: &Context, report: &mut Report) -> Vec<RoleHost> {
    let mut hosts: Vec<RoleHost> = Vec::new();
    for entry in field.list() {
        let Some((host, tags)) = decode_host(&entry, context, report) else { continue };
        let index = hosts.iter().position(|known| known.host == host).unwrap_or_else(|| {
            hosts.push(RoleHost { host, tags: Vec::new() });
            hosts.len() - 1
        });
        if let Some(known) = hosts.get_mut(index) {
            known.tags = unique(known.tags.drain(..).chain(tags));
        }
    }
    hosts
}

/// All hosts of all roles, as written.
pub(crate) fn hosts<'n>(field: &Field<'n>) -> Vec<(String, Field<'n>)> {
    let roles = match field.is_list() {
        true => vec![field.clone()],
        false => field.entries().into_iter().map(|(_, role)| role).collect(),
    };
    let lists = roles.into_iter().map(|role| if role.is_map() { role.at("hosts") } else { role });
    let entries = lists.flat_map(|list| list.list());
    let host = |entry: Field<'n>| {
        let tagged = || entry.entries().first().map(|(key, _)| key.text.clone());
        Some((entry.text().or_else(tagged)?, entry))
    };
    entries.filter_map(host).collect()
}

/// `HOST`, or `HOST: TAG`, or `HOST: [TAG, …]`.
fn decode_host(entry: &Field, context: &Context, report: &mut Report) -> Option<(String, Vec<String>)> {
    if let Some(host) = entry.text() {
        check_host(entry, entry.span(), &host, report);
        return Some((host, Vec::new()));
    }
    if !entry.is_map() {
        return None;
    }
    let entries = entry.entries();
    let [(key, value)] = entries.as_slice() else {
        report.push(entry.error("multiple hosts found").help("begin a new `- ` entry for each host"));
        return None;
    };
    check_host(entry, key.span, &key.text, report);
    Some((key.text.clone(), decode_tags(value, context, report)))
}

fn decode_tags(field: &Field, context: &Context, report: &mut Report) -> Vec<String> {
    let fields = if field.is_list() { field.list() } else { vec![field.clone()] };
    let mut tags = Vec::new();
    for field in fields {
        let Some(tag) = field.text() else { continue };
        if !context.tags.names().any(|known| known == tag) && !context.placing.contains(&tag) {
            report.push(unknown_tag(&field, &tag, context.tags));
        }
        tags.push(tag);
    }
    tags
}

pub(crate) fn unknown_tag(field: &Field, tag: &str, tags: &Tags) -> Diagnostic {
    let mut error =
        field.error(&format!("unknown tag: {}", given(tag))).label("no env is given for this tag");
    if let Some(span) = tags.span {
        error = error.also(span, "the tags are given here");
    }
    let question = did_you_mean(tag, tags.names());
    error.help(question.unwrap_or_else(|| format!("give the tag an env: {}", tags.example(tag))))
}

/// Checks that the primary role exists and has hosts, and that all others have hosts unless they may be empty.
fn check(field: &Field, roles: &[(Role, Field)], context: &Context, report: &mut Report) {
    let primary = context.primary_role;
    if !roles.iter().any(|(role, _)| role.name == primary) {
        let message = format!("The primary_role {} isn't defined", given(primary));
        let names: Vec<&str> = roles.iter().map(|(role, _)| role.name.as_str()).collect();
        let error = match context.primary_field {
            Some(given) => given.error("").also(field.span(), "the roles are given here"),
            None => Diagnostic::error(field.span(), ""),
        };
        let help = format!("it must be one of the roles under `servers`: {}", given(names.join(", ")));
        report.push(Diagnostic { message, ..error }.help(help));
    }
    for (role, field) in roles {
        // A host with an error isn't in `hosts`. Don't report it a second time.
        let listed = field.is_list() || field.is_map();
        if !role.hosts.is_empty() || !listed || lists_something(field) {
            continue;
        }
        if role.name == primary {
            let message = format!("No servers specified for the {} primary_role", given(primary));
            report.push(Diagnostic::error(field.span(), message));
        } else if !context.allow_empty_roles {
            let message = format!("No servers specified for the {} role", given(&role.name));
            report.push(
                Diagnostic::error(field.span(), message)
                    .help("you can ignore this with allow_empty_roles: true"),
            );
        }
    }
}

fn lists_something(section: &Field) -> bool {
    match section.is_map() {
        // A wrong list has already been reported.
        true => section.has("hosts") && section.get("hosts").is_none_or(|hosts| !hosts.list().is_empty()),
        false => !section.list().is_empty(),
    }
}

/// Why a text can't be the name or address of a server, with or without a user.
pub(crate) fn bad_host(host: &str) -> Option<&'static str> {
    let (user, address) = host.rsplit_once('@').unwrap_or(("root", host));
    if host.contains("://") {
        return Some("a server is written without `http://` or another scheme");
    }
    let (name, port) = split_port(address);
    if name.is_empty() || name.starts_with('-') {
        return Some("a host's name can't be empty or start with `-`");
    }
    if user.is_empty() || user.starts_with('-') || user.contains('@') {
        return Some("a host with a user is written `USER@HOST`");
    }
    if port.is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0)) {
        return Some("a port after a host's name is a number from 1 to 65535");
    }
    if name.contains(':') && name.split('%').next().is_none_or(|name| name.parse::<Ipv6Addr>().is_err()) {
        return Some("this is not an IPv6 address; with a port, it is written `[ADDRESS]:PORT`");
    }
    let four_numbers = name.split('.').count() == 4 && name.chars().all(|c| c.is_ascii_digit() || c == '.');
    if four_numbers && name.parse::<Ipv4Addr>().is_err() {
        return Some("this is not an IPv4 address: its four numbers are from 0 to 255");
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/,;'\"$`\\|&<>(){}[]".contains(c);
    (user.contains(odd) || name.contains(odd)).then_some("this is not the name or address of a host")
}

/// Splits `HOST[:PORT]`. An IPv6 address with a port is in brackets; anything else after them is a bad port.
pub(crate) fn split_port(address: &str) -> (&str, Option<&str>) {
    match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, after)) => (host, Some(after.strip_prefix(':').unwrap_or_default())),
        None if address.matches(':').count() > 1 => (address, None),
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    }
}

pub(crate) fn check_host(field: &Field, span: Span, host: &str, report: &mut Report) {
    let Some(problem) = bad_host(host) else { return };
    let error = Diagnostic { span, ..field.error(problem) };
    report.push(match host.contains('$') {
        true => error.help(variable_help(host)),
        false => error,
    });
}

/// Why a name can't be a role's. It becomes part of container names.
pub(crate) fn bad_role(name: &str) -> Option<&'static str> {
    let sound = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (name.is_empty() || !name.chars().all(sound))
        .then_some("a role's name can only include letters, digits, `_`, `-` and `.`")
}
