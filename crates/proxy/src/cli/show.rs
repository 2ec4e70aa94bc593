//! The output of `list` and `stats`.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::service::Listed;
use crate::stats::Stats;

#[derive(Clone, Copy)]
enum Style {
    Plain,
    Heading,
    First,
}

impl Style {
    /// Like kamal-proxy's tables, ours are styled even when they go to a pipe.
    fn of(row: usize, column: usize) -> Self {
        match (row, column) {
            (0, _) => Self::Heading,
            (_, 0) => Self::First,
            _ => Self::Plain,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Heading => "3;94",
            Self::First => "1;34",
        }
    }
}

fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let code = Style::of(number, column).code();
            let pad = " ".repeat(widths[column] - cell.chars().count() + 2);
            text.push_str(&format!("\x1b[{code}m{cell}\x1b[0m{pad}"));
        }
        text.push('\n');
    }
    text
}

fn read<T: DeserializeOwned>(data: Value) -> Result<Vec<T>, String> {
    serde_json::from_value(data).map_err(|error| format!("can't parse the proxy's reply: {error}"))
}

fn json(data: &Value) -> Result<String, String> {
    serde_json::to_string_pretty(data).map(|text| text + "\n").map_err(|error| error.to_string())
}

pub(super) fn list(data: Value, as_json: bool) -> Result<String, String> {
    if as_json {
        return json(&data);
    }
    let mut services: Vec<Listed> = read(data)?;
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rows = vec![["Service", "Host", "Path", "Target", "State", "TLS"].map(str::to_owned)];
    rows.extend(services.into_iter().map(|service| {
        let hosts = service.hosts.join(",");
        let targets: Vec<&str> = service.targets.iter().map(|target| target.name.as_str()).collect();
        let hosts = if hosts.is_empty() { "*".to_owned() } else { hosts };
        let tls = if service.tls { "yes" } else { "no" }.to_owned();
        [service.name, hosts, service.paths.join(","), targets.join(","), service.state, tls]
    }));
    Ok(table(&rows))
}

/// A table of how each target has responded since the switch to it.
pub(super) fn stats(data: Value, as_json: bool) -> Result<String, String> {
    if as_json {
        return json(&data);
    }
    let stats: Vec<Stats> = read(data)?;
    let mut rows =
        vec![["Target", "State", "Requests", "5xx", "p50 ms", "p90 ms", "p99 ms"].map(str::to_owned)];
    rows.extend(stats.into_iter().map(|target| {
        let [p50, p90, p99] = [target.p50_ms, target.p90_ms, target.p99_ms].map(|ms| format!("{ms:.1}"));
        [target.target, target.state, target.requests.to_string(), target.errors.to_string(), p50, p90, p99]
    }));
    Ok(table(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kamals_table() {
        let data = serde_json::json!([
            {"name": "web", "hosts": [""], "paths": ["/", "/api"], "state": "paused", "tls": false, "rollout": [],
             "targets": [{"name": "w1:80", "state": "healthy", "requests": 0, "streams": 0},
                         {"name": "w2:80", "state": "healthy", "requests": 0, "streams": 0}]},
            {"name": "a", "hosts": ["a.example", "b.example"], "paths": ["/"], "state": "running", "tls": true, "rollout": [],
             "targets": [{"name": "a:80", "state": "healthy", "requests": 0, "streams": 0}]},
        ]);
        let plain = |text: &str| {
            ["\x1b[m", "\x1b[0m", "\x1b[3;94m", "\x1b[1;34m"]
                .iter()
                .fold(text.to_owned(), |text, code| text.replace(code, ""))
        };
        let text = list(data, false).unwrap();
        assert_eq!(
            plain(&text),
            "Service  Host                 Path    Target       State    TLS  \n\
             a        a.example,b.example  /       a:80         running  yes  \n\
             web      *                    /,/api  w1:80,w2:80  paused   no   \n"
        );
        assert!(text.starts_with("\x1b[3;94mService\x1b[0m  ") && text.contains("\x1b[1;34mweb\x1b[0m"));
    }
}
