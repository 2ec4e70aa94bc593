//! Parses the state file, in older formats too.

use serde::Deserialize;
use serde_json::Value;

use super::{Service, State};
use crate::options::or_default;

/// A service that can't be parsed.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreadable {
    /// Empty if it has no name.
    pub name: String,
    /// The service as it is in the file.
    pub value: Value,
    pub error: String,
}

/// Fields that older versions wrote.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Older {
    #[serde(deserialize_with = "or_default")]
    active_target: String,
    #[serde(deserialize_with = "or_default")]
    rollout_target: String,
    #[serde(deserialize_with = "or_default")]
    hosts: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    path_prefixes: Vec<String>,
}

/// Returns all services of a file, and those that can't be parsed. Fails if the file is not a list.
pub fn read(text: &str) -> Result<(State, Vec<Unreadable>), String> {
    // As in Go, `null` is an empty list.
    let values: Option<Vec<Value>> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let (mut services, mut unreadable) = (State::new(), Vec::new());
    for value in values.unwrap_or_default() {
        match service(&value) {
            Ok(service) => {
                services.retain(|other: &Service| other.name != service.name);
                services.push(service);
            }
            Err(error) => {
                let name = value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                unreadable.push(Unreadable { name, value, error });
            }
        }
    }
    Ok((services, unreadable))
}

fn service(value: &Value) -> Result<Service, String> {
    let mut service = Service::deserialize(value).map_err(|error| error.to_string())?;
    let older = Older::deserialize(value).map_err(|error| error.to_string())?;
    if service.name.is_empty() {
        return Err("it has no name".to_owned());
    }
    if service.active_targets.is_empty() && !older.active_target.is_empty() {
        service.active_targets.push(older.active_target);
    }
    if service.rollout_targets.is_empty() && !older.rollout_target.is_empty() {
        service.rollout_targets.push(older.rollout_target);
    }
    if service.options.hosts.is_empty() {
        service.options.hosts = older.hosts;
    }
    if service.options.path_prefixes.is_empty() {
        service.options.path_prefixes = older.path_prefixes;
    }
    service.options.normalize();
    Ok(service)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::state::{Pause, Rollout};

    /// As kamal-proxy v0.9.2 writes it.
    const KAMALS: &str = r#"[{"name":"web","options":{"hosts":["a.example"],"path_prefixes":["/"],"tls_enabled":false,
"tls_certificate_path":"","tls_private_key_path":"","tls_redirect":true,"canonical_host":"","acme_directory":"",
"acme_cache_path":"/home/kamal-proxy/.config/kamal-proxy/certs","error_page_path":"","strip_prefix":true,
"writer_affinity_timeout":1000000000,"read_targets_accept_websockets":false},"target_options":{"health_check_config":
{"path":"/up","port":0,"interval":1000000000,"timeout":5000000000,"host":""},"response_timeout":30000000000,
"buffer_requests":true,"buffer_responses":true,"max_memory_buffer_size":1048576,"max_request_body_size":0,
"max_response_body_size":0,"log_request_headers":["Cache-Control"],"log_response_headers":null,"forward_headers":true,
"scope_cookie_paths":false},"active_targets":["web-1:3000"],"active_readers":[],"rollout_targets":null,
"rollout_readers":null,"pause_controller":{"state":1,"stop_message":"","fail_after":30000000000},
"rollout_controller":{"percentage":20,"percentage_split_point":858993459,"allowlist":null}}]
"#;

    #[test]
    fn kamals_file_is_read_as_it_is() {
        let (services, unreadable) = read(KAMALS).unwrap();
        assert_eq!(unreadable, []);
        let [web] = services.as_slice() else { panic!("{services:?}") };
        assert_eq!(
            (web.name.as_str(), web.active_targets.as_slice()),
            ("web", &["web-1:3000".to_owned()][..])
        );
        assert_eq!(web.options.hosts, ["a.example"]);
        assert_eq!(web.target_options.health_check_config.timeout, Duration::from_secs(5));
        assert_eq!(web.target_options.max_memory_buffer_size, 1 << 20);
        let paused = Pause {
            state: 1,
            stop_message: String::new(),
            fail_after: Duration::from_secs(30),
            ..Pause::default()
        };
        assert_eq!(web.pause_controller, paused);
        let rollout = Rollout { percentage: 20, percentage_split_point: 858_993_459.0, allowlist: vec![] };
        assert_eq!(web.rollout_controller, Some(rollout));
    }

    #[test]
    fn what_is_written_is_what_kamal_reads() {
        let (services, _) = read(KAMALS).unwrap();
        let (ours, kamals): (Value, Value) =
            (serde_json::to_value(&services).unwrap(), serde_json::from_str(KAMALS).unwrap());
        // Ignores empty lists, and newer fields, which are empty.
        let without = |value: &Value, path: &str| {
            value
                .as_object()
                .unwrap()
                .iter()
                .filter(|(_, v)| !v.is_null() && **v != serde_json::json!([]) && **v != "")
                .map(|(k, v)| (k.clone(), v.clone()))
                .filter(|(k, _)| k != path)
                .collect::<Vec<_>>()
        };
        for part in ["options", "target_options", "pause_controller"] {
            assert_eq!(without(&ours[0][part], ""), without(&kamals[0][part], ""), "{part}");
        }
        assert_eq!(read(&ours.to_string()).unwrap().0, services);
    }

    #[test]
    fn older_forms() {
        let text = r#"[{"name":"a","active_target":"a:80","rollout_target":"b:80","hosts":["x"],"path_prefixes":["api"]},
            {"name":"b","active_target":"old:80","active_targets":["new:80"],"options":null,"pause_controller":null}]"#;
        let (services, _) = read(text).unwrap();
        assert_eq!(services[0].active_targets, ["a:80"]);
        assert_eq!(services[0].rollout_targets, ["b:80"]);
        assert_eq!(services[0].options.hosts, ["x"]);
        assert_eq!(services[0].options.path_prefixes, ["/api"]);
        assert_eq!(services[1].active_targets, ["new:80"]);
        assert_eq!(services[1].options.hosts, [""]);
    }

    #[test]
    fn one_bad_service_discards_no_other() {
        let text = r#"[{"name":"a"},{"name":"b","options":{"hosts":7}},{"no":"name"},3,{"name":"c"}]"#;
        let (services, unreadable) = read(text).unwrap();
        assert_eq!(services.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(unreadable.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(), ["b", "", ""]);
        assert!(read("[{").is_err() && read("{}").is_err() && read("").is_err());
        assert_eq!(read("null").unwrap().0, []);
    }
}
