//! What our proxy does beyond kamal-proxy, and what it refuses from the internet.

use serde_json::Value;

use crate::app::{Answer, App};
use crate::proxy::Proxy;

fn json(proxy: &Proxy, words: &[&str]) -> Value {
    let outcome = proxy.run(words);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn list_speaks_json() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--host a.example");
    let list = json(&proxy, &["list", "--json"]);
    assert_eq!((&list[0]["name"], &list[0]["hosts"][0]), (&"web".into(), &"a.example".into()));
    assert_eq!(
        (&list[0]["targets"][0]["name"], &list[0]["targets"][0]["state"]),
        (&app.address.as_str().into(), &"healthy".into())
    );
}

#[test]
fn stats_count_since_the_switch() {
    ours_alone!();
    let (proxy, old, new) = (Proxy::start(), App::start("old"), App::start("new"));
    proxy.deploy("web", &old, "");
    for path in ["/", "/status/500", "/"] {
        proxy.get("a.example", path);
    }
    let counted = |requests: u64, errors: u64| {
        let stats = json(&proxy, &["stats", "web", "--json"]);
        stats.as_array().unwrap().len() == 1
            && stats[0]["requests"] == requests
            && stats[0]["errors"] == errors
    };
    crate::proxy::until("counted", || counted(3, 1));
    proxy.deploy("web", &new, "");
    crate::proxy::until("counted from the start", || counted(0, 0));
    assert_eq!(proxy.run(&["stats", "web"]).code, 0);
    assert_eq!(proxy.fails("stats other"), "service not found");
}

#[test]
fn prepare_and_switch_are_a_deploy_in_two_steps() {
    ours_alone!();
    let (proxy, old, new) = (Proxy::start(), App::start("old"), App::start("new"));
    proxy.deploy("web", &old, "");
    assert_eq!(proxy.fails("switch web"), "nothing is prepared for this service");
    proxy.ok(&format!("prepare web --target {}", new.address));
    assert_eq!(proxy.get("a.example", "/").text(), "old GET /");
    proxy.ok("switch web");
    assert_eq!(proxy.get("a.example", "/").text(), "new GET /");
    let sick = App::start("sick");
    sick.set_healthy(false);
    let line = format!("prepare web --target {} --deploy-timeout 100ms", sick.address);
    assert!(proxy.fails(&line).starts_with("target failed to become healthy"));
}

/// The checks' last results in the error of a failed deploy, after kamal-proxy's words.
fn last_seen(proxy: &Proxy, targets: &[&str], flags: &str) -> String {
    let targets = targets.join(",");
    let flags = format!("--deploy-timeout 1s --health-check-interval 50ms {flags}");
    let error = proxy.fails(&format!("deploy web --target {targets} {flags}"));
    let (words, seen) = error.split_once(": ").unwrap_or_else(|| panic!("{error}"));
    assert_eq!(words, "target failed to become healthy within configured timeout (1s)");
    seen.to_owned()
}

#[test]
fn a_failed_deploy_says_what_its_checks_saw() {
    ours_alone!();
    let (proxy, well, sick) = (Proxy::start(), App::start("well"), App::start("sick"));
    sick.set_healthy(false);
    let status = format!("http://{}/up: unexpected status (500)", sick.address);
    assert_eq!(last_seen(&proxy, &[&sick.address], ""), status);

    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let refused = format!("http://{gone}/up: Connection refused (os error 111)");
    assert_eq!(last_seen(&proxy, &[&well.address, &sick.address, &gone], ""), format!("{status}, {refused}"));

    let path = format!("http://{gone}/health?x=1: Connection refused (os error 111)");
    assert_eq!(last_seen(&proxy, &[&gone], "--health-check-path health?x=1"), path);
}

#[test]
fn a_failed_deploy_says_where_its_checks_were_sent_and_what_did_not_answer() {
    ours_alone!();
    let proxy = Proxy::start();
    let app = App::with("app", |request| match request.target.as_str() {
        "/up" => Some(Answer::Plain(302, vec![("Location", "/login".into())], vec![])),
        "/secure" => Some(Answer::Plain(301, vec![("Location", "https://a.example/".into())], vec![])),
        _ => Some(Answer::Plain(404, vec![], vec![])),
    });
    let url = format!("http://{}", app.address);
    let redirected = format!("{url}/up: unexpected status (404) after a redirect to {url}/login");
    assert_eq!(last_seen(&proxy, &[&app.address], ""), redirected);
    let secure = format!("{url}/secure: cannot follow the redirect to https://a.example/");
    assert_eq!(last_seen(&proxy, &[&app.address], "--health-check-path /secure"), secure);

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let timed_out = format!("http://{address}/up: request timed out");
    assert_eq!(last_seen(&proxy, &[&address], "--health-check-timeout 50ms"), timed_out);
    assert_eq!(last_seen(&proxy, &[&address], ""), format!("http://{address}/up: no response yet"));
}

/// Requests that two servers in a row could interpret differently.
#[test]
fn ambiguous_requests_are_refused() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let body = "5\r\nabcde\r\n0\r\n\r\n";
    let refused = [
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n{body}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n{body}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n{body}"),
        format!("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n".to_owned(),
    ];
    for request in refused {
        let mut connection = proxy.connect();
        connection.send(request.as_bytes());
        let answer = connection.answer("POST");
        assert!(
            answer.as_ref().is_none_or(|answer| answer.status == 400 || answer.status == 501),
            "{request:?}: {answer:?}"
        );
    }
    assert_eq!(app.seen().len(), 0, "{:?}", app.seen());
}

#[test]
fn the_host_of_an_absolute_form_counts() {
    ours_alone!();
    let (proxy, one, two) = (Proxy::start(), App::start("one"), App::start("two"));
    proxy.deploy("one", &one, "--host one.example");
    proxy.deploy("two", &two, "--host two.example");
    let answer = proxy.request("GET http://two.example/x HTTP/1.1\r\nHost: one.example\r\n\r\n");
    assert_eq!(answer.text(), "two GET /x");
    assert_eq!(two.last().header("Host").as_deref(), Some("two.example"));
}

/// With a length and chunks, the chunks count, the length is removed, and the response ends the connection.
#[test]
fn of_two_lengths_one_counts() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let mut connection = proxy.connect();
    connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = connection.answer("POST").unwrap();
    assert!(answer.status == 400 || answer.header("Connection") == Some("close"), "{answer:?}");
    assert!(connection.is_closed());
    assert!(
        app.seen().iter().all(|request| request.target == "/" && request.header("Content-Length").is_none())
    );
}

#[test]
fn too_many_headers_are_refused() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "");
    let headers: String = (0..20_000).map(|number| format!("X-{number}: {number}\r\n")).collect();
    let mut connection = proxy.connect();
    let _ = std::io::Write::write_all(
        connection.reader.get_mut(),
        format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes(),
    );
    let answer = connection.answer("GET");
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 431 || answer.status == 400), "{answer:?}");
    assert!(app.seen().is_empty());
}

#[test]
fn slow_headers_end_the_connection() {
    ours_alone!();
    let proxy = Proxy::start_with(&["--header-timeout", "200ms", "--idle-timeout", "200ms"]);
    let mut silent = proxy.connect();
    assert!(silent.is_closed());
    let mut slow = proxy.connect();
    slow.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-");
    let answer = slow.answer("GET");
    assert!(answer.as_ref().is_none_or(|answer| answer.status == 408), "{answer:?}");
}

#[test]
fn idle_connections_end() {
    ours_alone!();
    let (proxy, app) = (Proxy::start_with(&["--idle-timeout", "200ms"]), App::start("app"));
    proxy.deploy("web", &app, "");
    let mut connection = proxy.connect();
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(connection.answer("GET").unwrap().status, 200);
    assert!(connection.is_closed());
}
