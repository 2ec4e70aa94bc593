//! Which roles and hosts a run acts on: `--hosts`, `--roles` and `--primary`, with Kamal's patterns (`*`, `?`, `[ab]`,
//! comma-separated). A filter that matches nothing is an error and never means everything.

mod accessories;

pub use accessories::Accessories;
use bowline_config::{Config, Role, RoleHost, unique};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filters {
    pub hosts: Vec<String>,
    pub roles: Vec<String>,
    /// `--primary`: only the primary host of those that the other filters leave.
    pub primary: bool,
}

/// The roles and hosts that match the filters.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection<'a> {
    /// The primary role comes first. Each role has at least one host.
    pub roles: Vec<(&'a Role, Vec<&'a RoleHost>)>,
    /// Every host once. Those of the primary role come first.
    pub hosts: Vec<&'a str>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMatch {
    #[error("the configuration has no `servers`, only accessories: there is no app to deploy")]
    NoServers,
    #[error("the configuration has no servers")]
    NoHosts,
    #[error("no host matches {given}; the hosts are: {known}")]
    Hosts { given: String, known: String },
    #[error("no role matches {given}; the roles are: {known}")]
    Roles { given: String, known: String },
    /// Each filter matches something, but no role runs on a matching host.
    #[error("none of the roles {roles} runs on {hosts}")]
    Together { roles: String, hosts: String },
    #[error("there is no accessory `{given}`; the accessories are: {known}")]
    Accessory { given: String, known: String },
    #[error("the configuration has no `accessories`")]
    NoAccessories,
    /// The accessory is on none of the servers that the filters leave.
    #[error("none of the selected servers has {accessory}; choose from: {known}")]
    Nowhere { accessory: String, known: String },
    #[error("`{0}` is not a valid pattern: {1}")]
    Pattern(String, String),
}

impl<'a> Selection<'a> {
    pub fn new(config: &'a Config, filters: &Filters) -> Result<Self, NoMatch> {
        if config.roles.is_empty() {
            return Err(NoMatch::NoServers);
        }
        let known: Vec<&str> = config.roles.iter().map(|role| role.name.as_str()).collect();
        let names = matching(&filters.roles, &known)?;
        if names.is_empty() {
            return Err(NoMatch::Roles { given: filters.roles.join(","), known: known.join(", ") });
        }
        let known = config.hosts();
        let wanted = matching(&filters.hosts, &known)?;
        if wanted.is_empty() && !known.is_empty() {
            return Err(NoMatch::Hosts { given: filters.hosts.join(","), known: known.join(", ") });
        }
        let mut roles: Vec<(&Role, Vec<&RoleHost>)> = config
            .roles
            .iter()
            .filter(|role| names.contains(&role.name.as_str()))
            .map(|role| {
                (
                    role,
                    role.hosts.iter().filter(|host| wanted.contains(&host.host.as_str())).collect::<Vec<_>>(),
                )
            })
            .filter(|(_, hosts)| !hosts.is_empty())
            .collect();
        roles.sort_by_key(|(role, _)| role.name != config.primary_role);
        if filters.primary
            && let Some(primary) =
                roles.first().and_then(|(_, hosts)| hosts.first()).map(|host| host.host.clone())
        {
            for (_, hosts) in &mut roles {
                hosts.retain(|host| host.host == primary);
            }
            roles.retain(|(_, hosts)| !hosts.is_empty());
        }
        let hosts = unique(roles.iter().flat_map(|(_, hosts)| hosts).map(|host| host.host.as_str()));
        if hosts.is_empty() {
            return Err(NoMatch::Together { roles: names.join(", "), hosts: wanted.join(", ") });
        }
        Ok(Self { roles, hosts })
    }

    /// The roles of a host, in order, each with the host's entry.
    pub fn roles_of(&self, host: &str) -> impl Iterator<Item = (&'a Role, &'a RoleHost)> {
        self.roles.iter().filter_map(move |(role, hosts)| {
            hosts.iter().find(|entry| entry.host == host).map(|entry| (*role, *entry))
        })
    }

    /// All roles and accessories on the servers that the filters leave. Servers that only have accessories come last.
    pub fn whole(config: &'a Config, filters: &Filters) -> Result<(Self, Accessories<'a>), NoMatch> {
        let accessories = Accessories::within(config, filters)?;
        let mut selection = match Self::new(config, filters) {
            Err(_) if !accessories.placed.is_empty() => Self { roles: Vec::new(), hosts: Vec::new() },
            selection => selection?,
        };
        selection.hosts = unique(selection.hosts.into_iter().chain(accessories.hosts()));
        Ok((selection, accessories))
    }

    /// The first host, where runs take the lock.
    pub fn primary_host(&self) -> &'a str {
        self.hosts.first().copied().unwrap_or_default()
    }
}

/// The servers that the filters leave. Those of the primary role come first, those that only have accessories last.
/// With `--roles`, only the servers of these roles.
pub fn servers<'a>(config: &'a Config, filters: &Filters) -> Result<Vec<&'a str>, NoMatch> {
    let of_roles = |names: &[&str]| {
        let mut roles: Vec<&Role> =
            config.roles.iter().filter(|role| names.contains(&role.name.as_str())).collect();
        roles.sort_by_key(|role| role.name != config.primary_role);
        roles.into_iter().flat_map(|role| &role.hosts).map(|host| host.host.as_str()).collect::<Vec<_>>()
    };
    let roles: Vec<&str> = config.roles.iter().map(|role| role.name.as_str()).collect();
    let names = matching(&filters.roles, &roles)?;
    if names.is_empty() && !filters.roles.is_empty() {
        return Err(NoMatch::Roles { given: filters.roles.join(","), known: roles.join(", ") });
    }
    let known = config.all_hosts();
    if known.is_empty() {
        return Err(NoMatch::NoHosts);
    }
    let wanted = matching(&filters.hosts, &known)?;
    if wanted.is_empty() {
        return Err(NoMatch::Hosts { given: filters.hosts.join(","), known: known.join(", ") });
    }
    let mut candidates = of_roles(&names);
    if filters.roles.is_empty() {
        candidates.extend(known);
    }
    let mut hosts = unique(candidates.into_iter().filter(|host| wanted.contains(host)));
    if hosts.is_empty() {
        return Err(NoMatch::Together { roles: names.join(", "), hosts: wanted.join(", ") });
    }
    if filters.primary {
        hosts.truncate(1);
    }
    Ok(hosts)
}

/// The known names that match a pattern, in the order of the patterns. Without patterns, all known names.
fn matching<'a>(patterns: &[String], known: &[&'a str]) -> Result<Vec<&'a str>, NoMatch> {
    if patterns.is_empty() {
        return Ok(known.to_vec());
    }
    let mut found = Vec::new();
    for pattern in patterns {
        let glob = glob::Pattern::new(pattern.trim())
            .map_err(|error| NoMatch::Pattern(pattern.clone(), error.msg.to_string()))?;
        for name in known {
            // A host can include its user, but the filter need not.
            let address = name.rsplit_once('@').map_or(*name, |(_, address)| address);
            if (glob.matches(name) || glob.matches(address)) && !found.contains(name) {
                found.push(*name);
            }
        }
    }
    Ok(found)
}
