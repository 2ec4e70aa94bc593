//! What files, commands and operators say, garbled: it is read or refused, and never the end of the proxy.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::panic, reason = "tests")]

#[path = "../../core/tests/common/garble.rs"]
mod garble;

use std::net::IpAddr;
use std::time::Duration;

use bowline_proxy::client_address::{self, Ranges};
use bowline_proxy::error_pages::ErrorPages;
use bowline_proxy::header_rules::Direction;
use bowline_proxy::options::{ServiceOptions, is_target, on_demand_is_local};
use bowline_proxy::{access, compress, control, duration, header_rules, proxy_protocol, service, state};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

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

#[test]
fn changes_of_a_successor() {
    let record = &STATES[0][1..STATES[0].len() - 1];
    let drain = r#""drain":{"requests":30000000000,"streams":5000000000}"#;
    let samples = [
        format!(r#"{{"service":"web","record":{record},{drain}}}"#),
        format!(r#"{{"service":"web","record":null,{drain}}}"#),
    ];
    let mut read = 0_u32;
    garble::each(&samples.each_ref().map(String::as_str), |text| {
        let Ok(change) = serde_json::from_str::<service::Change>(text) else { return };
        read += 1;
        let written = serde_json::to_string(&change).unwrap();
        assert_eq!(serde_json::from_str::<service::Change>(&written).unwrap(), change, "{written}");
    });
    assert!(read > 4, "only {read} were read");
}

#[test]
fn pages() {
    const MESSAGE: &str = "<x-message onload='1'>\"&";
    let directory = tempfile::tempdir().unwrap();
    let samples = [
        "<h1>Gone</h1>{{ if .Message }}<p title=\"{{ .Message }}\">{{ .Message }}</p>{{ else }}Back soon{{ end }}",
        "{{- /* a comment */ -}}{{with .Message}}{{.}}{{end}}<script>var a = 1;</script><style>p { color: red }</style>",
        "<!-- {{ .Message }} --><a href='/{{ .Message }}'>x</a>{{ .Message | html }}{{ \"text\" }}",
    ];
    let mut read = 0_u32;
    garble::each(&samples, |text| {
        std::fs::write(directory.path().join("503.html"), text).unwrap();
        let Ok(pages) = ErrorPages::load(directory.path()) else { return };
        read += 1;
        let page = pages.render(StatusCode::SERVICE_UNAVAILABLE, MESSAGE);
        // Whatever a page does with a message, it never becomes markup.
        assert!(!String::from_utf8_lossy(&page).contains("<x-message"), "{text}");
    });
    assert!(read > 50, "only {read} were read");
}

#[test]
fn headers_of_the_proxy_protocol() {
    const LONGEST: usize = 16 + 4096;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let samples = [
        "PROXY TCP4 203.0.113.7 198.51.100.1 4711 80\r\nGET / HTTP/1.1\r\n\r\n",
        "PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\nGET / HTTP/1.1\r\n\r\n",
        "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n\r\n",
        "\r\n\r\n\0\r\nQUIT\n!\u{11}\0\u{c}\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}\u{9}\u{a}\u{b}\u{c}GET / HTTP/1.1\r\n\r\n",
        "\r\n\r\n\0\r\nQUIT\n \0\0\0GET / HTTP/1.1\r\n\r\n",
    ];
    let mut read = 0_u32;
    garble::each(&samples, |text| {
        let mut rest = text.as_bytes();
        if runtime.block_on(proxy_protocol::read(&mut rest, Duration::from_secs(5))).is_ok() {
            read += 1;
            assert!(text.len() - rest.len() <= LONGEST, "the request was read too");
        }
    });
    assert!(read > 50, "only {read} were read");
}

#[test]
fn addresses_that_proxies_pass_on() {
    let peer: IpAddr = "10.0.0.1".parse().unwrap();
    let trusted = Ranges::parse(&["10.0.0.0/8", "fd00::/8"]).unwrap();
    let samples = [
        "203.0.113.7, 10.0.0.2, [fd00::1]:80",
        "for=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.3, for=10.0.0.2",
        "for=unknown, for=_hidden;host=\"a\\\"b\"",
        "203.0.113.0/24,::/0",
    ];
    garble::each(&samples, |text| {
        let _ = Ranges::parse(&text.split(',').collect::<Vec<_>>());
        let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) else { return };
        for name in ["x-forwarded-for", "forwarded"] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value.clone())]);
            // Someone whom we don't trust is whom we see, whatever they say.
            let stranger = "198.51.100.9".parse().unwrap();
            assert_eq!(client_address::of(stranger, &headers, &trusted), stranger);
            let _ = client_address::of(peer, &headers, &trusted);
        }
    });
}

#[test]
fn headers_and_rules() {
    let samples = [
        "Strict-Transport-Security: max-age=63072000",
        "Server:",
        "X-Forwarded-For: 10.0.0.1",
        "user:pass:word",
        "Basic dXNlcjpwYXNzOndvcmQ=",
        "gzip;q=0.5, br;q=1.0, zstd, *;q=0, identity;q=0.001",
    ];
    let open = access::Rules::new(&[], &["user:pass:word".to_owned()]).unwrap();
    let client: IpAddr = "10.0.0.1".parse().unwrap();
    garble::each(&samples, |text| {
        for direction in [Direction::Request, Direction::Response] {
            if let Ok(rules) = header_rules::Rules::parse(direction, &[text]) {
                let mut headers = HeaderMap::new();
                headers.insert("x-forwarded-for", HeaderValue::from_static("10.0.0.9"));
                headers.insert("content-length", HeaderValue::from_static("5"));
                rules.apply(&mut headers);
                assert_eq!(headers["content-length"], "5", "{text}");
                assert!(
                    direction == Direction::Response || headers["x-forwarded-for"] == "10.0.0.9",
                    "{text}"
                );
            }
        }
        let _ = access::Rules::new(&[text.to_owned()], &[text.to_owned()]);
        let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) else { return };
        let passes = open.check(client, Some(&value)) == access::Verdict::Pass;
        assert!(!passes || text.contains("dXNlcjpwYXNzOndvcmQ"), "{text}");
        let accepts = HeaderMap::from_iter([(http::header::ACCEPT_ENCODING, value)]);
        let (mut parts, ()) =
            Response::builder().header("content-type", "text/html").body(()).unwrap().into_parts();
        let _ = compress::choose(&Method::GET, &accepts, &mut parts);
    });
}
