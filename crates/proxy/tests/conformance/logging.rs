//! The log and the metrics.

use serde_json::json;

use crate::app::{Answer, App};
use crate::client::Connection;
use crate::ports::free_port;
use crate::proxy::{Proxy, until};

#[test]
fn a_request_is_one_line_with_these_fields() {
    let app = App::with("app", |request| {
        let headers = vec![
            ("Content-Type", "text/plain".into()),
            ("X-Cache", "hit".into()),
            ("X-Cache", "disk".into()),
        ];
        (request.target != "/up").then(|| Answer::Plain(201, headers, b"hello".to_vec()))
    });
    let proxy = Proxy::start();
    proxy.deploy(
        "web",
        &app,
        "--log-request-header Accept-Language --log-response-header x-cache,X-None --path-prefix /api",
    );
    let request = "POST /api/x?a=1&b HTTP/1.1\r\nHost: a.example:8080\r\nUser-Agent: me\r\nContent-Type: text/csv\r\nContent-Length: 3\r\nX-Request-ID: id-1\r\nAccept-Language: de\r\nX-Forwarded-For: 1.2.3.4\r\n\r\nabc";
    let mut connection = proxy.connect();
    let port = connection.reader.get_ref().local_addr().unwrap().port();
    connection.send(request.as_bytes());
    assert_eq!(connection.answer("POST").unwrap().status, 201);
    let mut line = proxy.logged_request("/api/x");
    let fields = line.as_object_mut().unwrap();
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert!(names.len() == 26, "{names:?}");
    let (time, duration) = (fields.remove("time").unwrap(), fields.remove("duration").unwrap());
    fields.remove("port").unwrap().as_u64().expect("a number");
    assert!(
        time.as_str().unwrap().starts_with("20") && duration.as_u64().unwrap() > 1000,
        "{time} {duration}"
    );
    let expected = json!({
        "level": "INFO", "msg": "Request", "host": "a.example:8080", "path": "/api/x", "request_id": "id-1", "status": 201,
        "service": "web", "target": app.address, "method": "POST", "req_content_length": 3, "req_content_type": "text/csv",
        "resp_content_length": 5, "resp_content_type": "text/plain", "client_addr": "127.0.0.1", "client_port": port.to_string(),
        "remote_addr": "1.2.3.4", "user_agent": "me", "proto": "HTTP/1.1", "scheme": "http", "query": "a=1&b",
        "req_accept_language": "de", "resp_x_cache": "hit,disk", "resp_x_none": "",
    });
    assert_eq!(line, expected);
}

#[test]
fn what_was_not_routed_is_logged_without_service() {
    let proxy = Proxy::start();
    proxy.get("a.example", "/nowhere");
    let line = proxy.logged_request("/nowhere");
    assert_eq!((&line["status"], &line["service"], &line["target"]), (&json!(404), &json!(""), &json!("")));
    assert_eq!(line["remote_addr"], "127.0.0.1");
    assert_eq!(line["req_content_length"], 0);
}

#[test]
fn debug_shows_more() {
    let (proxy, app) = (Proxy::start_with(&["--debug"]), App::start("app"));
    proxy.deploy("web", &app, "");
    proxy.logged("Saved state", |line| line["level"] == "DEBUG");
}

fn metrics(port: u16, path: &str) -> String {
    let mut connection = Connection::open(port);
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes());
    let answer = connection.answer("GET").unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.header("Content-Type").unwrap().starts_with("text/plain"), "{answer:?}");
    answer.text()
}

/// The value of the sample with this name and these labels, in any order.
fn sample(text: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let rest = line.strip_prefix(name)?.strip_prefix('{')?;
        let (inside, value) = rest.split_once("} ")?;
        let right = labels
            .iter()
            .all(|(label, value)| inside.split(',').any(|part| part == format!("{label}=\"{value}\"")));
        right.then(|| value.parse().unwrap())
    })
}

#[test]
fn metrics_have_kamals_names() {
    let port = free_port();
    let proxy = Proxy::start_with(&["--metrics-port", &port.to_string()]);
    let app = App::start("app");
    proxy.deploy("web", &app, "--host a.example");
    for _ in 0..3 {
        proxy.get("a.example", "/");
    }
    proxy.request("PURGE / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    proxy.get("b.example", "/");
    let held = proxy.later("a.example", "/hold");
    app.wait_held(1);
    let total = |labels: &[(&str, &str)]| {
        sample(&metrics(port, "/metrics"), "kamal_proxy_http_requests_total", labels)
    };
    let got = [("service", "web"), ("method", "GET"), ("status", "200")];
    until("counted", || total(&got) == Some(3.0));
    until("counted", || total(&[("service", "web"), ("method", "OTHER"), ("status", "200")]) == Some(1.0));
    until("counted", || total(&[("service", ""), ("method", "GET"), ("status", "404")]) == Some(1.0));
    let text = metrics(port, "/anything");
    assert_eq!(sample(&text, "kamal_proxy_http_in_flight_requests", &[("service", "web")]), Some(1.0));
    let duration = "kamal_proxy_http_request_duration_seconds";
    assert_eq!(sample(&text, &format!("{duration}_count"), &got), Some(3.0));
    assert!(sample(&text, &format!("{duration}_sum"), &got).unwrap() > 0.0);
    for bound in ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"] {
        let labels = [got[0], got[1], got[2], ("le", bound)];
        assert!(sample(&text, &format!("{duration}_bucket"), &labels).is_some(), "{bound}");
    }
    app.release();
    held.get();
    let in_flight =
        || sample(&metrics(port, "/"), "kamal_proxy_http_in_flight_requests", &[("service", "web")]);
    until("none in flight", || in_flight() == Some(0.0));
}

#[test]
fn excluded_paths_are_not_counted() {
    let port = free_port();
    let proxy = Proxy::start_with(&["--metrics-port", &port.to_string()]);
    let app = App::start("app");
    proxy.deploy("web", &app, "--exclude-metrics-path /hold,/ping --path-prefix /api");
    let held = proxy.later("a.example", "/api/hold");
    app.wait_held(1);
    let text = metrics(port, "/");
    let in_flight = sample(&text, "kamal_proxy_http_in_flight_requests", &[("service", "web")]);
    assert!(in_flight.is_none_or(|requests| requests == 0.0), "{text}");
    app.release();
    held.get();
    proxy.get("a.example", "/api/ping");
    proxy.get("a.example", "/api/pinged");
    let got = [("service", "web"), ("method", "GET"), ("status", "200")];
    until("counted", || sample(&metrics(port, "/"), "kamal_proxy_http_requests_total", &got).is_some());
    assert_eq!(sample(&metrics(port, "/"), "kamal_proxy_http_requests_total", &got), Some(1.0));
}
