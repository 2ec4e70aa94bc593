//! The requests of one connection: which ones follow each other, and when the connection ends.

use crate::support::{Proxy, Target, respond};

const GET: &str = "GET /next HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";

fn deployed(target: &Target) -> Proxy {
    let proxy = Proxy::start();
    proxy.deploy(target);
    proxy
}

fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let proxy = deployed(&Target::echo());
    let post =
        "POST /first HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let head = "HEAD /second HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let answers = proxy.raw(&format!("{post}{head}{GET}"));
    assert_eq!(statuses(&answers), ["200", "200", "200"], "{answers}");
    let (first, third) = (answers.find("POST /first").unwrap(), answers.find("GET /next").unwrap());
    assert!(first < third && !answers.contains("HEAD /second"), "{answers}");
}

#[test]
fn a_body_that_nothing_has_read_does_not_become_the_next_request() {
    let proxy = Proxy::start();
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let length = smuggled.len();
    let post = format!("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {length}\r\n\r\n");
    // Nothing is deployed, so the first request is refused without reading its body.
    let answers = proxy.raw(&format!("{post}{smuggled}{GET}"));
    assert_eq!(statuses(&answers), ["404", "404"], "{answers}");
    let mut client = proxy.connect();
    client.send(&post);
    assert!(client.until("\r\n\r\n").starts_with("HTTP/1.1 404 "));
    client.send(&format!("{smuggled}{GET}"));
    assert_eq!(statuses(&client.rest()), Vec::<&str>::new(), "the rest of it had not come yet");
}

#[test]
fn a_refused_client_that_waits_for_100_continue_sends_nothing_that_is_misread() {
    let proxy = Proxy::start();
    let mut client = proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 86\r\n\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 404 ") && !answer.contains("100 Continue"), "{answer}");
}

#[test]
fn http_1_0_keeps_a_connection_only_if_it_asks_for_it() {
    let target = Target::new(|request, stream| match request.path() {
        "/chunks" => {
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlast\r\n0\r\n\r\n";
            std::io::Write::write_all(stream, answer.as_bytes()).unwrap();
            crate::support::Next::Stay
        }
        _ => respond(stream, "first"),
    });
    let proxy = deployed(&target);
    let get = |path: &str, connection: &str| {
        format!("GET {path} HTTP/1.0\r\nHost: a.test\r\nConnection: {connection}\r\n\r\n")
    };
    let answers = proxy.raw(&(get("/", "keep-alive") + &get("/chunks", "keep-alive")));
    let (first, second) = answers.split_at(answers.rfind("HTTP/1.0 ").unwrap());
    assert!(first.contains("connection: keep-alive\r\n") && first.ends_with("first"), "{answers}");
    // Without a length, the response ends with the connection.
    assert!(second.contains("connection: close\r\n") && second.ends_with("\r\n\r\nlast"), "{answers}");
    assert!(!second.contains("transfer-encoding"), "{answers}");
    assert!(proxy.raw(&get("/", "x")).contains("connection: close\r\n"));
}

#[test]
fn answers_of_the_proxy_to_head_have_a_length_and_no_body() {
    let answers = Proxy::start().raw(&GET.replace("GET", "HEAD"));
    let (head, body) = answers.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: ") && head.contains("date: ") && body.is_empty(), "{answers}");
}

#[test]
fn a_large_body_comes_back_whole() {
    let target = Target::new(|request, stream| respond(stream, &String::from_utf8_lossy(&request.body)));
    let proxy = deployed(&target);
    let body = "0123456789abcdef".repeat(200_000);
    let post = format!(
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = proxy.raw(&(post + &body));
    assert!(answer.split_once("\r\n\r\n").unwrap().1 == body);
}
