//! The proxy's list of services.

use std::fmt;
use std::str::FromStr;

use crate::commands::answer::{Line, Unreadable, lines};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    /// The hosts that it responds to. `*` stands for all.
    pub hosts: Vec<String>,
    /// The path prefixes that it responds to.
    pub paths: Vec<String>,
    /// Its containers, as `ID:PORT` or `NAME:PORT`.
    pub targets: Vec<String>,
    /// `running`, `paused` or `stopped`.
    pub state: String,
}

impl Service {
    fn read(line: Line<'_>) -> Result<Self, Unreadable> {
        let cells: Vec<&str> = line.rest.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let [name, hosts, paths, targets, state, _] = cells[..] else { return Err(line.unknown()) };
        let list = |cell: &str| cell.split(',').map(|part| part.trim().to_owned()).collect();
        Ok(Self {
            name: name.into(),
            hosts: list(hosts),
            paths: list(paths),
            targets: list(targets),
            state: state.into(),
        })
    }

    /// Whether its requests go to the container with this id.
    pub fn is_served_by(&self, id: &str) -> bool {
        let host = |target: &String| target.rsplit_once(':').map_or(target.clone(), |(host, _)| host.into());
        self.targets.iter().map(host).any(|target| !target.is_empty() && id.starts_with(&target))
    }
}

/// The proxy's services, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed(pub Vec<Service>);

impl Listed {
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.0.iter().find(|service| service.name == name)
    }
}

impl FromStr for Listed {
    type Err = Unreadable;

    /// Reads rows of the proxy's table, each after `@service`. At least two spaces separate columns.
    fn from_str(answer: &str) -> Result<Self, Unreadable> {
        lines(answer)
            .filter(|line| line.word == "service")
            .map(Service::read)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Service { name, hosts, paths, targets, state }| {
            let [hosts, paths, targets] = [hosts, paths, targets].map(|list| list.join(","));
            writeln!(f, "@service {name}  {hosts}  {paths}  {targets}  {state}  no")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_proxys_table_is_read() {
        let table = "@service shop-web  a.test,b.test   /api  0123456789ab:3000  stopped  no\n";
        let listed: Listed = table.parse().unwrap();
        let shop = listed.service("shop-web").unwrap();
        assert_eq!((&shop.hosts[..], &shop.state[..]), (&["a.test".into(), "b.test".into()][..], "stopped"));
        assert!(shop.is_served_by("0123456789abcdef") && !shop.is_served_by("fff"));
        assert_eq!(listed.to_string().parse(), Ok(listed));
        assert!("@service Error: nothing\n".parse::<Listed>().is_err());
        assert_eq!("".parse(), Ok(Listed::default()));
    }
}
