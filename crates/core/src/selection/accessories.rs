//! Which accessories a command acts on, and on which servers.
//!
//! An accessory can be on servers that no role has. As in Kamal, `--roles` selects the accessories on servers of these
//! roles. If the filters leave nothing, that is an error.

use super::{Filters, NoMatch, Selection, servers};
use bowline_config::{Accessory, Config, unique};

/// Accessories in the order of the file, each with its servers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Accessories<'a> {
    /// Each has at least one server.
    pub placed: Vec<(&'a Accessory, Vec<&'a str>)>,
    /// The server on which a run for these accessories takes the lock. A deploy with the same filters takes it there as
    /// well, so the two never run at the same time.
    lock: &'a str,
}

impl<'a> Accessories<'a> {
    /// The accessory with this name, or all of them (`all`), on the servers that the filters leave.
    pub fn new(config: &'a Config, filters: &Filters, name: &str) -> Result<Self, NoMatch> {
        if config.accessories.is_empty() {
            return Err(NoMatch::NoAccessories);
        }
        let known = |accessory: &Accessory| name == "all" || accessory.name == name;
        let Some(first) = config.accessories.iter().find(|accessory| known(accessory)) else {
            let names: Vec<&str> =
                config.accessories.iter().map(|accessory| accessory.name.as_str()).collect();
            return Err(NoMatch::Accessory { given: name.into(), known: names.join(", ") });
        };
        let mut all = Self::within(config, filters)?;
        all.placed.retain(|(accessory, _)| known(accessory));
        if all.placed.is_empty() {
            let hosts = match name {
                "all" => config.accessories.iter().flat_map(|accessory| accessory.hosts.clone()).collect(),
                _ => first.hosts.clone(),
            };
            let accessory = if name == "all" { "an accessory" } else { name };
            return Err(NoMatch::Nowhere { accessory: accessory.into(), known: hosts.join(", ") });
        }
        Ok(all)
    }

    /// All accessories on the servers that the filters leave. There may be none.
    pub fn within(config: &'a Config, filters: &Filters) -> Result<Self, NoMatch> {
        let hosts = servers(config, filters)?;
        let placed = config.accessories.iter().filter_map(|accessory| {
            let on = accessory.hosts.iter().map(String::as_str).filter(|host| hosts.contains(host));
            let on: Vec<&str> = on.collect();
            (!on.is_empty()).then_some((accessory, on))
        });
        let selected =
            Selection::new(config, filters).or_else(|_| Selection::new(config, &Filters::default()));
        let lock = match selected {
            Ok(selection) => selection.primary_host(),
            Err(_) => hosts.first().copied().unwrap_or_default(),
        };
        Ok(Self { placed: placed.collect(), lock })
    }

    pub fn of_host(&self, host: &str) -> impl Iterator<Item = &'a Accessory> {
        self.placed.iter().filter(move |(_, hosts)| hosts.contains(&host)).map(|(accessory, _)| *accessory)
    }

    /// Every server that has one of them, once.
    pub fn hosts(&self) -> Vec<&'a str> {
        unique(self.placed.iter().flat_map(|(_, hosts)| hosts.iter().copied()))
    }

    /// The servers for a run that changes something. The one with the lock comes first, with or without accessory.
    pub fn hosts_to_lock(&self) -> Vec<&'a str> {
        unique(std::iter::once(self.lock).chain(self.hosts()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bowline_config::{SourceFile, load};

    const CONFIG: &str = "
service: app
image: app
registry: {username: u, password: p}
servers: {web: [w1, w2], workers: {hosts: [k1], cmd: work}}
accessories:
  db: {image: mysql, host: d1}
  cache: {image: redis, hosts: [w2, k1]}
";

    fn selected(filters: Filters, name: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let config = load(SourceFile::new("d", CONFIG), None).unwrap().config;
        let accessories = Accessories::new(&config, &filters, name).map_err(|error| error.to_string())?;
        let placed = accessories.placed.iter();
        let placed = placed.map(|(accessory, hosts)| format!("{} {}", accessory.name, hosts.join(" ")));
        let hosts = accessories.hosts_to_lock().into_iter().map(Into::into).collect();
        Ok((placed.collect(), hosts))
    }

    fn hosts(pattern: &str) -> Filters {
        Filters { hosts: vec![pattern.into()], ..Filters::default() }
    }

    fn roles(pattern: &str) -> Filters {
        Filters { roles: vec![pattern.into()], ..Filters::default() }
    }

    #[test]
    fn where_a_command_acts_and_where_it_takes_the_lock() {
        let cases: [(Filters, &str, &[&str], &[&str]); 7] = [
            (Filters::default(), "all", &["db d1", "cache w2 k1"], &["w1", "d1", "w2", "k1"]),
            (Filters::default(), "db", &["db d1"], &["w1", "d1"]),
            (hosts("?1"), "all", &["db d1", "cache k1"], &["w1", "d1", "k1"]),
            // A deploy to these servers takes its lock there.
            (hosts("w2"), "all", &["cache w2"], &["w2"]),
            (hosts("d1"), "db", &["db d1"], &["w1", "d1"]),
            (roles("workers"), "all", &["cache k1"], &["k1"]),
            (Filters { primary: true, ..hosts("w2") }, "cache", &["cache w2"], &["w2"]),
        ];
        for (filters, name, placed, hosts) in cases {
            let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            assert_eq!(selected(filters.clone(), name), Ok((own(placed), own(hosts))), "{filters:?} {name}");
        }
    }

    #[test]
    fn nothing_left_is_an_error_that_says_what_there_is() {
        let cases = [
            (Filters::default(), "cash", "there is no accessory `cash`; the accessories are: db, cache"),
            (hosts("w1"), "db", "none of the selected servers has db; choose from: d1"),
            (hosts("w1"), "all", "none of the selected servers has an accessory; choose from: d1, w2, k1"),
            (roles("web"), "db", "none of the selected servers has db; choose from: d1"),
            (hosts("x"), "db", "no host matches x; the hosts are: w1, w2, k1, d1"),
            (roles("x"), "db", "no role matches x; the roles are: web, workers"),
            (
                Filters { primary: true, ..Filters::default() },
                "db",
                "none of the selected servers has db; choose from: d1",
            ),
        ];
        for (filters, name, message) in cases {
            assert_eq!(selected(filters, name), Err(message.into()));
        }
        let config =
            load(SourceFile::new("d", &CONFIG[..CONFIG.find("accessories").unwrap()]), None).unwrap();
        let none = Accessories::new(&config.config, &Filters::default(), "all");
        assert_eq!(none, Err(NoMatch::NoAccessories));
    }

    #[test]
    fn a_configuration_of_accessories_alone_has_its_lock_on_the_first_server() {
        let text = "service: app\nimage: app\nregistry: {username: u, password: p}\n\
                    accessories: {db: {image: i, hosts: [b, a]}, c: {image: i, host: c}}\n";
        let config = load(SourceFile::new("d", text), None).unwrap().config;
        let all = Accessories::new(&config, &Filters::default(), "c").unwrap();
        assert_eq!(all.hosts_to_lock(), ["b", "c"]);
    }
}
