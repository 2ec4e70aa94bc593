//! `port`, and the databases that it may expose: Docker publishes a port on all addresses of the server unless the value names
//! one, and Docker's firewall rules come before the server's.

use crate::decode::{Field, Report};
use crate::given::given;
use crate::publish;

/// Ports that should not be public, and the software that listens on them.
const PRIVATE: &[(&str, &str)] = &[
    ("1433", "SQL Server"),
    ("2379", "etcd"),
    ("3306", "MySQL"),
    ("4222", "NATS"),
    ("5432", "PostgreSQL"),
    ("5672", "RabbitMQ"),
    ("5984", "CouchDB"),
    ("6379", "Redis"),
    ("7700", "Meilisearch"),
    ("8086", "InfluxDB"),
    ("8123", "ClickHouse"),
    ("9042", "Cassandra"),
    ("9200", "Elasticsearch"),
    ("11211", "memcached"),
    ("26257", "CockroachDB"),
    ("27017", "MongoDB"),
];

/// Reads a value for `docker run --publish`, with `PORT` as `PORT:PORT`. Warns if it exposes a database.
pub(super) fn decode(field: &Field, service: &str, report: &mut Report) -> Option<String> {
    let text = field.text()?;
    publish::check(field, report);
    let port = if text.contains(':') { text } else { format!("{text}:{text}") };
    if let Some((published, inside, who)) = exposed(&port) {
        let warning =
            field.warning(&format!("publishes {who} on all addresses of the server, bypassing its firewall"));
        let number = number(inside);
        report.push(warning.help(format!(
            "`port: \"127.0.0.1:{}:{}\"` keeps it on the server; containers there reach it as `{}:{}`, with or \
             without `port`",
            given(published),
            given(inside),
            given(service),
            given(number)
        )));
    }
    Some(port)
}

/// The port on the server, the port in the container and its usual software, if the port is open on all addresses.
fn exposed(port: &str) -> Option<(&str, &str, &'static str)> {
    let (rest, inside) = port.rsplit_once(':')?;
    let (address, published) = rest.rsplit_once(':').unwrap_or(("", rest));
    let (_, who) = PRIVATE.iter().find(|(known, _)| *known == number(inside))?;
    matches!(address, "" | "0.0.0.0" | "[::]").then_some((published, inside, *who))
}

/// Removes the protocol.
fn number(port: &str) -> &str {
    port.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_database_on_all_addresses_is_exposed() {
        let cases = [
            ("3306:3306", Some(("3306", "3306", "MySQL"))),
            ("33060:3306", Some(("33060", "3306", "MySQL"))),
            ("0.0.0.0:1:6379/tcp", Some(("1", "6379/tcp", "Redis"))),
            ("[::]:5432:5432", Some(("5432", "5432", "PostgreSQL"))),
            ("127.0.0.1:5432:5432", None),
            ("[::1]:5432:5432", None),
            ("10.0.0.5::5432", None),
            ("5432:8080", None),
            ("53:53/udp", None),
        ];
        for (port, open) in cases {
            assert_eq!(exposed(port), open, "{port}");
        }
    }
}
