//! Compares containers by their `docker inspect` output.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::sandbox::Server;

/// The output of `docker inspect`, one value per path, without values that differ from run to run.
///
/// # Panics
/// When there is no such container.
#[must_use]
pub fn inspected(server: &Server, container: &str) -> BTreeMap<String, String> {
    let text = server.run(&format!("docker container inspect {container}")).ok().to_owned();
    let all: Vec<Value> = serde_json::from_str(&text).expect("an array of containers");
    let mut found = BTreeMap::new();
    flatten("", &all[0], &mut found);
    let chance = [
        "/Id",
        "/Created",
        "/State/",
        "/ResolvConfPath",
        "/HostnamePath",
        "/HostsPath",
        "/LogPath",
        "/GraphDriver/",
        "/SizeRw",
        "/NetworkSettings/SandboxID",
        "/NetworkSettings/SandboxKey",
        "/NetworkSettings/Networks/kamal/",
        "/NetworkSettings/Ports",
    ];
    found.retain(|path, _| !chance.iter().any(|start| path.starts_with(start)));
    for value in found.values_mut() {
        *value = value.replace(&server.address, "ADDRESS").replace(&server.name, "SERVER");
    }
    let hostname = found.get_mut("/Config/Hostname").expect("a host name");
    let plain = hostname.trim_matches('"');
    let (name, random) = plain.rsplit_once('-').unwrap_or(("", plain));
    assert!(random.len() == 12 && random.bytes().all(|c| c.is_ascii_hexdigit()), "{hostname}");
    *hostname = name.to_owned();
    found
}

fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, value)| flatten(&format!("{path}/{key}"), value, found))
        }
        // Their order is arbitrary.
        Value::Array(items)
            if path.ends_with("/Env") || path.ends_with("/Binds") || path.ends_with("/Mounts") =>
        {
            let mut items: Vec<String> = items.iter().map(ToString::to_string).collect();
            items.sort();
            found.insert(path.to_owned(), items.join("\n"));
        }
        value => drop(found.insert(path.to_owned(), value.to_string())),
    }
}

/// Where two containers differ: `PATH: KAMAL'S -> BOWLINE'S`. For lists, only the lines that one of them has.
#[must_use]
pub fn differences(kamals: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) -> Vec<String> {
    let paths: BTreeSet<&String> = kamals.keys().chain(ours.keys()).collect();
    let lines = |of: &BTreeMap<String, String>, path: &str| -> BTreeSet<String> {
        of.get(path).map(String::as_str).unwrap_or("nothing").lines().map(str::to_owned).collect()
    };
    let differing = paths.into_iter().filter_map(|path| {
        let (theirs, ours) = (lines(kamals, path), lines(ours, path));
        let only =
            |one: &BTreeSet<String>, other| one.difference(other).cloned().collect::<Vec<_>>().join(" ");
        (theirs != ours).then(|| format!("{path}: {} -> {}", only(&theirs, &ours), only(&ours, &theirs)))
    });
    differing.collect()
}
