//! Bodies in both directions: buffered or not, limited, with trailers, or absent.

use std::io::Write;

use crate::support::{Next, Proxy, Target, respond};

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn a_buffered_request_arrives_whole_from_memory_and_from_disk() {
    let proxy = Proxy::start();
    let target = Target::echo();
    for memory in [10, 1 << 20] {
        let options = |options: &mut bowline_proxy::options::TargetOptions| {
            options.buffer_requests = true;
            options.max_memory_buffer_size = memory;
        };
        proxy.deploy_with(&target, |_, target| options(target)).unwrap();
        let body = "0123456789".repeat(20_000);
        assert!(proxy.raw(&post(&body)).ends_with(&body), "{memory}");
    }
}

#[test]
fn the_target_is_asked_only_once_a_buffered_request_is_complete() {
    let proxy = Proxy::start();
    let target = Target::echo();
    proxy.deploy_with(&target, |_, options| options.buffer_requests = true).unwrap();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(target.count(), 0);
    client.send("0\r\n\r\n");
    let answer = client.rest();
    assert!(answer.contains("content-length: 3\r\n") && answer.ends_with("abc"), "{answer}");
}

#[test]
fn limits_hold_for_buffered_bodies_alone() {
    let proxy = Proxy::start();
    let target = Target::echo();
    let body = "x".repeat(2000);
    let limited = |buffered: bool| {
        proxy
            .deploy_with(&target, |_, options| {
                options.buffer_requests = buffered;
                options.max_request_body_size = 1000;
            })
            .unwrap();
        proxy.raw(&post(&body))
    };
    assert!(limited(true).starts_with("HTTP/1.1 413 "));
    assert!(limited(false).starts_with("HTTP/1.1 200 "));
    let chunked =
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n";
    limited(true);
    assert!(proxy.raw(&format!("{chunked}{body}\r\n0\r\n\r\n")).starts_with("HTTP/1.1 413 "));
    proxy
        .deploy_with(&target, |_, options| {
            options.buffer_responses = true;
            options.max_response_body_size = 1000;
        })
        .unwrap();
    assert!(proxy.raw(&post(&body)).starts_with("HTTP/1.1 500 "));
    assert!(proxy.raw(&post("short")).starts_with("HTTP/1.1 200 "));
}

#[test]
fn malformed_chunks_of_a_buffered_request_are_the_clients_fault() {
    let proxy = Proxy::start();
    let target = Target::echo();
    proxy.deploy_with(&target, |_, options| options.buffer_requests = true).unwrap();
    let request =
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert!(proxy.raw(request).starts_with("HTTP/1.1 400 "));
    assert_eq!(target.count(), 0);
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::echo());
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 100 Continue"));
    client.send("abc");
    assert!(client.rest().ends_with("abc"));
}

#[test]
fn answers_without_a_body_stay_without_one() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::new(|request, stream| {
        let answer: &[u8] = match request.path() {
            "/204" => b"HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 10\r\n\r\n",
            _ => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
        };
        stream.write_all(answer).map_or(Next::Close, |()| Next::Stay)
    }));
    let mut client = proxy.connect();
    for (method, path, status) in
        [("GET", "/204", 204), ("GET", "/304", 304), ("HEAD", "/x", 200), ("GET", "/204", 204)]
    {
        client.send(&format!("{method} {path} HTTP/1.1\r\nHost: a.test\r\n\r\n"));
        let head = client.until("\r\n\r\n");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(head.contains("content-length: 10"), method == "HEAD", "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
    }
}

#[test]
fn trailers_pass_in_both_directions() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::new(|request, stream| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        assert!(body.to_lowercase().contains("x-sum: 1"), "{body}");
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Total\r\n\r\n2\r\nok\r\n0\r\nX-Total: 2\r\n\r\n";
        stream.write_all(answer.as_bytes()).map_or(Next::Close, |()| Next::Stay)
    }));
    let answer = proxy.raw(concat!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close, TE\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n",
        "Trailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"
    ));
    assert!(answer.to_lowercase().ends_with("2\r\nok\r\n0\r\nx-total: 2\r\n\r\n"), "{answer}");
}

#[test]
fn buffered_answers_have_a_length() {
    let proxy = Proxy::start();
    let target = Target::new(|_, stream| {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n";
        stream.write_all(answer).map_or(Next::Close, |()| Next::Stay)
    });
    proxy.deploy_with(&target, |_, options| options.buffer_responses = true).unwrap();
    let answer = proxy.get("/");
    assert!(answer.contains("content-length: 4\r\n") && answer.ends_with("abcd"), "{answer}");
    let text = Target::new(|_, stream| respond(stream, "plain"));
    proxy.deploy(&text);
    assert!(proxy.get("/").ends_with("plain"));
}

#[test]
fn a_get_may_have_a_body_in_chunks() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::echo());
    let body = "3\r\nabc\r\n0\r\n\r\n";
    let answer = proxy.raw(&format!(
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
    ));
    assert!(answer.contains("transfer-encoding: chunked\r\n") && answer.ends_with(body), "{answer}");
}
