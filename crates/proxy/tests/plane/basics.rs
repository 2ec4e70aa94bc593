//! Routing to a target and back.

use crate::support::{Proxy, Target};

#[test]
fn a_request_is_answered_by_the_target() {
    let proxy = Proxy::start();
    assert!(proxy.get("/").starts_with("HTTP/1.1 404 Not Found\r\n"));
    proxy.deploy(&Target::echo());
    let answer = proxy.get("/a%2Fb?x=1;y");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("GET /a%2Fb?x=1;y HTTP/1.1\r\n"), "{answer}");
    assert!(answer.contains("host: a.test\r\n"), "{answer}");
    assert!(answer.contains("x-forwarded-for: 127.0.0.1\r\n"), "{answer}");
}

#[test]
fn a_connection_serves_many_requests() {
    let proxy = Proxy::start();
    let target = Target::echo();
    proxy.deploy(&target);
    let mut client = proxy.connect();
    for i in 0..20 {
        let body = "x".repeat(i);
        let answer = client
            .request(&format!("POST /{i} HTTP/1.1\r\nHost: a.test\r\nContent-Length: {i}\r\n\r\n{body}"));
        assert!(answer.contains(&format!("POST /{i} HTTP/1.1")) && answer.ends_with(&body), "{answer}");
    }
    assert_eq!(target.count(), 20);
}

#[test]
fn a_redeploy_moves_all_requests() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::saying("first"));
    let mut client = proxy.connect();
    let get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    assert!(client.request(get).ends_with("first"));
    proxy.deploy(&Target::saying("second"));
    assert!(client.request(get).ends_with("second"));
}
