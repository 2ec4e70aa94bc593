//! Tests renewal information (RFC 9773) with a small authority that takes orders but issues nothing.
#![allow(clippy::unwrap_used)]

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::testing::make_ec_pem;
use super::tests::tls_hello;
use super::*;

const NAME: &str = "a.example.com";

/// The renewal window that the authority suggests: start and end.
type Window = (&'static str, &'static str);
const PAST: Window = ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
const FUTURE: Window = ("2199-01-01T00:00:00Z", "2199-01-02T00:00:00Z");

/// The requests to the authority, in order: paths, and for an order the certificate that it replaces.
type Asked = mpsc::UnboundedReceiver<String>;

/// An authority that suggests this window.
async fn authority(window: Window) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (say, asked) = mpsc::unbounded_channel();
    let base = url.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(BufReader::new(stream), base.clone(), window, say.clone()));
        }
    });
    (format!("{url}/dir"), asked)
}

async fn serve(
    mut stream: BufReader<TcpStream>,
    url: String,
    window: Window,
    say: mpsc::UnboundedSender<String>,
) -> Option<()> {
    loop {
        let (mut head, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            let line = line.trim_end().to_owned();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
            head.push(line);
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let path = head[0].split(' ').nth(1).unwrap();
        let (status, answer) = answer(&url, path, &payload(&body), window, &say);
        let text = answer.to_string();
        let length = text.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nReplay-Nonce: n\r\nLocation: {url}/account\r\nRetry-After: 21600\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + &text).as_bytes()).await.ok()?;
    }
}

/// The payload of a signed request.
fn payload(body: &[u8]) -> Value {
    let signed: Value = serde_json::from_slice(body).unwrap_or_default();
    let payload = BASE64.decode(signed["payload"].as_str().unwrap_or_default()).unwrap();
    serde_json::from_slice(&payload).unwrap_or_default()
}

fn answer(
    url: &str,
    path: &str,
    payload: &Value,
    window: Window,
    say: &mpsc::UnboundedSender<String>,
) -> (&'static str, Value) {
    let said = |what: String| drop(say.send(what));
    match path {
        "/dir" => (
            "200 OK",
            json!({"newNonce": format!("{url}/nonce"), "newAccount": format!("{url}/account"),
                "newOrder": format!("{url}/order"), "renewalInfo": format!("{url}/renewal")}),
        ),
        "/nonce" => ("200 OK", Value::Null),
        "/account" => ("201 Created", json!({"status": "valid"})),
        "/order" => {
            said(format!("order replacing {}", payload["replaces"].as_str().unwrap_or("nothing")));
            let problem = json!({"type": "urn:ietf:params:acme:error:alreadyReplaced", "detail": "no"});
            ("409 Conflict", problem)
        }
        _ => {
            said(path.to_owned());
            let (start, end) = window;
            ("200 OK", json!({"suggestedWindow": {"start": start, "end": end}}))
        }
    }
}

/// A proxy whose cache has a certificate for the name, valid for ninety days from today.
fn serving(directory: String, cache: &std::path::Path) -> (Tls, String) {
    let acme = Acme { directory, cache_path: cache.to_owned() };
    let pem = make_ec_pem(NAME);
    let (key, chain) = pem.split_at(pem.find("-----BEGIN CERTIFICATE").unwrap());
    Cache::new(&acme.cache_path, &acme.directory).store(NAME, key, chain).unwrap();
    let certificate = Certificate::from_pem(pem.as_bytes(), pem.as_bytes()).unwrap();
    let id = instant_acme::CertificateIdentifier::try_from(certificate.leaf().unwrap()).unwrap().to_string();
    let backoff = Backoff::of(vec![LONG]);
    let tls = Tls::new(tokio::runtime::Handle::current(), Arc::new(|_| None), backoff).unwrap();
    let hosts = vec![NAME.to_owned()];
    tls.set(vec![TlsService { name: "one".into(), hosts, certificates: Certificates::Automatic(acme) }]);
    (tls, id)
}

/// Prevents a second attempt.
const LONG: Duration = Duration::from_secs(24 * 3600);

async fn next(asked: &mut Asked) -> String {
    asked.recv().await.unwrap()
}

#[tokio::test]
async fn a_young_certificate_is_renewed_when_the_authority_says_so() {
    let cache = tempfile::tempdir().unwrap();
    let (directory, mut asked) = authority(PAST).await;
    let (tls, id) = serving(directory, cache.path());
    assert_eq!(next(&mut asked).await, format!("/renewal/{id}"));
    assert_eq!(next(&mut asked).await, format!("order replacing {id}"));
    // The authority rejects the reference to the old certificate, so the order is made without it.
    assert_eq!(next(&mut asked).await, "order replacing nothing");
    // Meanwhile, and whatever the result of the order, the old certificate serves.
    assert!(tls_hello(&tls, NAME, &[]).await.is_some());
}

#[tokio::test]
async fn a_certificate_whose_time_has_not_come_is_asked_about_and_kept() {
    let cache = tempfile::tempdir().unwrap();
    let (directory, mut asked) = authority(FUTURE).await;
    let (tls, id) = serving(directory, cache.path());
    assert_eq!(next(&mut asked).await, format!("/renewal/{id}"));
    for _ in 0..10 {
        assert!(tls_hello(&tls, NAME, &[]).await.is_some());
    }
    assert!(asked.try_recv().is_err());
}
