//! What files, commands and operators say, garbled: it is read or refused, and never the end of the proxy.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "tests")]

#[path = "../../core/tests/common/garble.rs"]
mod garble;

use bowline_proxy::options::{ServiceOptions, is_target, on_demand_is_local};
use bowline_proxy::{control, duration, state};

const STATES: [&str; 3] = [
    r#"[{"name":"web","options":{"hosts":["a.example"],"path_prefixes":["/"],"tls_enabled":false,"writer_affinity_timeout":1000000000,"strip_prefix":true},
"target_options":{"health_check_config":{"path":"/up","port":0,"interval":1000000000,"timeout":5000000000,"host":""},"response_timeout":30000000000,"max_memory_buffer_size":1048576},
"active_targets":["web-1:3000"],"active_readers":[],"rollout_targets":null,"pause_controller":{"state":1,"stop_message":"","fail_after":30000000000},
"rollout_controller":{"percentage":20,"percentage_split_point":858993459,"allowlist":null}}]"#,
    r#"[{"name":"a","active_target":"a:80","rollout_target":"b:80","hosts":["x"],"path_prefixes":["api"]},{"name":"b","options":null}]"#,
    "null",
];

#[test]
fn state_files() {
    let mut read = 0_u32;
    garble::each(&STATES, |text| {
        let Ok((services, _)) = state::read(text) else { return };
        read += 1;
        // What was read can be written, and is read again as the same.
        let written = serde_json::to_string(&services).unwrap();
        let (again, unreadable) = state::read(&written).unwrap();
        assert_eq!((again, unreadable.len()), (services, 0), "{written}");
    });
    assert!(read > 50, "only {read} were read");
}

#[test]
fn commands() {
    let lines = [
        r#"{"version":1,"command":"deploy","service":"web","targets":["web:80"],"readers":[],"deployment":{"deploy_timeout":30000000000,"drain_timeout":30000000000,"stream_timeout":5000000000,"force":false},"options":{"hosts":["a.example"]},"target_options":{}}"#,
        r#"{"version":1,"command":"pause","service":"web","drain":{"requests":30000000000,"streams":1},"wait":30000000000}"#,
        r#"{"version":1,"command":"rollout-set","service":"web","percentage":20,"allowlist":["a"]}"#,
        r#"{"version":1,"command":"list"}"#,
    ];
    let mut read = 0_u32;
    garble::each(&lines, |text| {
        let Ok(command) = control::read(text.as_bytes()) else { return };
        read += 1;
        let request = control::Request { version: control::VERSION, command };
        let written = serde_json::to_vec(&request).unwrap();
        assert_eq!(control::read(&written).unwrap(), request.command);
    });
    assert!(read > 4, "only {read} were read");
}

#[test]
fn durations() {
    garble::each(&["1m30s", "250ms", "1.5h", "-3s", "0", "10µs"], |text| {
        let Ok(duration) = duration::parse(text) else { return };
        let written = duration::text(duration);
        let again = duration::parse(&written).unwrap_or_else(|error| panic!("{text} {written}: {error}"));
        // Go keeps nanoseconds; fractions of hours are floating-point numbers on the way.
        assert!(
            again.abs_diff(duration).as_nanos() <= duration.as_nanos() / 1_000_000_000_000,
            "{text} {written}"
        );
    });
}

#[test]
fn what_operators_name() {
    garble::each(
        &["web-1:3000", "[::1]:80", "/ask?x", "https://a.example/ask", "*.a.example", "//api/"],
        |text| {
            let (target, _) = (is_target(text), on_demand_is_local(text));
            assert!(!target || text.starts_with('[') || text.is_ascii(), "{text}");
            let mut options = ServiceOptions {
                hosts: vec![text.to_owned()],
                path_prefixes: vec![text.to_owned()],
                tls_enabled: true,
                tls_on_demand_url: text.to_owned(),
                canonical_host: text.to_owned(),
                ..ServiceOptions::default()
            };
            let _ = options.validate();
            options.normalize();
            let once = options.clone();
            options.normalize();
            assert_eq!(options, once);
            assert!(options.path_prefixes[0].starts_with('/'));
        },
    );
}
