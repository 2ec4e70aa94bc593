//! Garbled requests and responses on real connections: the proxy and its target always agree on where a message ends.

#[allow(clippy::print_stdout, reason = "it says how much was tried")]
#[path = "../../../core/tests/common/garble.rs"]
mod garble;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Next, Proxy, Target, deploy, respond};

/// Requests with other requests in their bodies, and pieces of heads.
const REQUESTS: [&str; 14] = [
    "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 42\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: b.test\r\nA: b\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2a\r\nGET /smuggled HTTP/1.1\r\nHost: b.test\r\nA:b\r\n\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-End: 1\r\n\r\n",
    "GET /one HTTP/1.1\r\nHost: a.test\r\n\r\nGET /two HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "PUT http://a.test/x?y=z HTTP/1.1\r\nHost: c.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    "GET /smuggled HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, Content-Length\r\nUpgrade: websocket\r\n\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding : identity\r\n",
    "Content-Length: 5\r\n",
    "\r\n",
    "\r\n\r\n",
    "0\r\n\r\n",
    "\t chunked",
];

/// Responses with other responses in their bodies, and pieces of heads.
const ANSWERS: [&str; 10] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 47\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 8\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 0\r\n",
    "\r\n\r\n",
    "0\r\n\r\n",
];

/// A target that takes each message literally, and notes faults in the requests that reach it.
struct Strict {
    name: String,
    seen: Arc<Mutex<(usize, Vec<String>)>>,
}

impl Strict {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let seen = Arc::<Mutex<(usize, Vec<String>)>>::default();
        let (own, noted) = (name.clone(), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (own, noted) = (own.clone(), Arc::clone(&noted));
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream);
                    while let Some(head) = head(&mut stream) {
                        if let Some(fault) = fault(&head, &own) {
                            noted.lock().unwrap().1.push(format!("{fault}: {head:?}"));
                        }
                        if skip_body(&mut stream, &head).is_none() {
                            return;
                        }
                        noted.lock().unwrap().0 += 1;
                        let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    }
                });
            }
        });
        Self { name, seen }
    }
}

/// Reads up to an empty line.
fn head(stream: &mut impl BufRead) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_until(b'\n', &mut head).ok().filter(|read| *read > 0)?;
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

fn skip_body(stream: &mut impl BufRead, head: &str) -> Option<()> {
    let mut skip = |length: u64| {
        let skipped = std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink()).ok()?;
        (skipped == length).then_some(())
    };
    if let Some(length) = value(head, "content-length") {
        return skip(length.parse().ok()?);
    }
    if value(head, "transfer-encoding").is_none() {
        return Some(());
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let length = u64::from_str_radix(line.strip_suffix("\r\n")?, 16).ok()?;
        if length == 0 {
            break;
        }
        std::io::copy(&mut stream.by_ref().take(length + 2), &mut std::io::sink()).ok()?;
    }
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line == "\r\n" {
            return Some(());
        }
    }
}

fn value<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)))
        .map(|(_, value)| value)
}

/// What is wrong with a request that has reached the target.
fn fault(head: &str, own: &str) -> Option<&'static str> {
    let lower = head.to_ascii_lowercase();
    let count = |name: &str| lower.lines().filter(|line| line.split(':').next() == Some(name)).count();
    let lines_end_soundly = !head.replace("\r\n", "").contains(['\r', '\n', '\0']);
    if value(head, "x-kamal-target") != Some(own) || count("x-kamal-target") != 1 {
        return Some("it did not come from the proxy");
    }
    match (count("host"), count("content-length") + count("transfer-encoding")) {
        _ if !lines_end_soundly => Some("its lines end in an odd way"),
        (1, 0 | 1) => None,
        (1, _) => Some("it has several lengths"),
        _ => Some("it has several hosts or none"),
    }
}

#[test]
fn no_request_is_smuggled_past_the_proxy() {
    let (target, proxy) = (Strict::start(), Proxy::start());
    let mut service = deploy("app", &Target::saying(""));
    service.targets = vec![target.name.clone()];
    service.target_options.forward_headers = false;
    proxy.runtime.block_on(proxy.services.deploy(service)).unwrap();
    let reached = || target.seen.lock().unwrap().0;
    // Forgets the health check, which isn't a client's request.
    *target.seen.lock().unwrap() = (0, Vec::new());
    garble::each(&REQUESTS, |text| {
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The proxy may refuse the first bytes and close.
        let _ = client.write_all(text.as_bytes());
        let _ = client.shutdown(Shutdown::Write);
        let _ = client.read_to_end(&mut Vec::new());
        assert_eq!(target.seen.lock().unwrap().1, Vec::<String>::new(), "{text:?}");
    });
    assert!(reached() > 50, "only {} requests reached the target", reached());
    assert!(proxy.get("/").ends_with("ok"));
}

#[test]
fn no_answer_is_taken_for_that_of_another_request() {
    let answer = Arc::new(Mutex::new(String::new()));
    let given = Arc::clone(&answer);
    let target = Target::new(move |request, stream| {
        if request.path() == "/good" {
            return respond(stream, "good");
        }
        let _ = stream.write_all(given.lock().unwrap().as_bytes());
        Next::Stay
    });
    let proxy = Proxy::start();
    proxy.deploy(&target);
    for number in 0..400 {
        let text = garble::text(number, &ANSWERS);
        answer.lock().unwrap().clone_from(&text);
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
        // Long enough for anything that arrives at all.
        client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        client.write_all(b"GET /bad HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
        let _ = client.read_to_end(&mut Vec::new());
        drop(client);
        for _ in 0..2 {
            let good = proxy.get("/good");
            assert!(
                good.starts_with("HTTP/1.1 200 ") && good.ends_with("\r\n\r\ngood"),
                "{good:?} after {text:?}"
            );
        }
    }
}
