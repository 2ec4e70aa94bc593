//! Tests the registry's answers against the distribution specification.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::time::Duration;

use bowline_registry::{Access, Digest, Limits, NotAName};
use common::*;
use hyper::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn sample() -> Files {
    let mut files = Files::default();
    let image = files.image(&[&layer(1, 400_000), &layer(2, 10)], true, "amd64");
    files.roots(&[image])
}

fn served() -> Served {
    Served::new(&sample(), None, Limits::default())
}

fn first_layer() -> (Vec<u8>, String) {
    let bytes = gzip(&layer(1, 400_000));
    let path = format!("/v2/me/app/blobs/{}", Digest::of(&bytes));
    (bytes, path)
}

#[tokio::test]
async fn an_image_is_pulled_by_its_tag() {
    let served = served();
    let mut client = served.client().await;
    let version = client.get("/v2/").await;
    assert_eq!(version.status, StatusCode::OK);
    assert_eq!(version.header("docker-distribution-api-version"), "registry/2.0");

    let tag = client.ask("GET", "/v2/me/app/manifests/v1", &[("accept", MANIFEST)]).await;
    let digest = served.image.root().digest;
    assert_eq!(tag.status, StatusCode::OK);
    assert_eq!(tag.header("content-type"), MANIFEST);
    assert_eq!(tag.header("docker-content-digest"), digest.to_string());
    assert_eq!(tag.header("etag"), format!("\"{digest}\""));
    assert_eq!(Digest::of(&tag.body), digest);
    let by_digest = client.get(&format!("/v2/me/app/manifests/{digest}")).await;
    assert_eq!((by_digest.status, &by_digest.body), (StatusCode::OK, &tag.body));
    assert_eq!(by_digest.header("content-type"), MANIFEST);

    let manifest: Value = serde_json::from_slice(&tag.body).unwrap();
    let mut sent = 2 * tag.body.len();
    for part in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
        let blob = client.get(&format!("/v2/me/app/blobs/{}", part["digest"].as_str().unwrap())).await;
        assert_eq!(blob.status, StatusCode::OK);
        assert_eq!(blob.header("content-length"), part["size"].to_string());
        assert_eq!(blob.header("docker-content-digest"), part["digest"].as_str().unwrap());
        assert_eq!(Digest::of(&blob.body).to_string(), part["digest"].as_str().unwrap());
        sent += blob.body.len();
    }
    assert_eq!(served.traffic.sent(), sent as u64);
}

#[tokio::test]
async fn a_head_has_the_headers_and_no_body() {
    let served = served();
    let mut client = served.client().await;
    let (_, blob) = first_layer();
    for path in ["/v2/", "/v2/me/app/manifests/v1", &blob, "/v2/me/app/manifests/v2", "/v2/me/app/blobs/x"] {
        let (head, get) = (client.ask("HEAD", path, &[]).await, client.get(path).await);
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
        let without_date = |mut answer: Answer| {
            answer.headers.remove("date");
            answer.headers
        };
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
        assert_eq!(without_date(head), without_date(get), "{path}");
    }
    let only_get = client.get("/v2/me/app/manifests/v1").await.body.len() + first_layer().0.len();
    assert_eq!(
        served.traffic.sent(),
        only_get as u64 + client.get("/v2/me/app/manifests/v1").await.body.len() as u64
    );
}

#[tokio::test]
async fn a_blob_goes_on_where_it_was_cut() {
    let served = served();
    let (bytes, path) = first_layer();
    let mut pipe = served.pipe(1000);
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    pipe.write_all(request.as_bytes()).await.unwrap();
    let mut start = vec![0; 150_000];
    pipe.read_exact(&mut start).await.unwrap();
    drop(pipe);
    let head = start.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    let had = start[head..].to_vec();
    let mut client = served.client().await;
    let etag = format!("\"{}\"", Digest::of(&bytes));
    let range = format!("bytes={}-", had.len());
    let rest = client.ask("GET", &path, &[("range", &range), ("if-range", &etag)]).await;
    assert_eq!(rest.status, StatusCode::PARTIAL_CONTENT);
    let said = format!("bytes {}-{}/{}", had.len(), bytes.len() - 1, bytes.len());
    assert_eq!(rest.header("content-range"), said);
    assert_eq!(rest.header("content-length"), (bytes.len() - had.len()).to_string());
    assert!([&had[..], &rest.body[..]].concat() == bytes);
}

#[tokio::test]
async fn ranges_are_those_of_http() {
    let served = served();
    let mut client = served.client().await;
    let (bytes, path) = first_layer();
    let part = client.ask("GET", &path, &[("range", "bytes=131000-131100")]).await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    assert!(part.body == bytes[131_000..=131_100]);
    let last = client.ask("GET", &path, &[("range", "bytes=-5")]).await;
    assert!(last.body == bytes[bytes.len() - 5..]);
    let head = client.ask("HEAD", &path, &[("range", "bytes=-5")]).await;
    assert_eq!((head.status, head.header("content-length")), (StatusCode::PARTIAL_CONTENT, "5"));
    let whole = client.ask("GET", &path, &[("range", "bytes=1-"), ("if-range", "\"another\"")]).await;
    assert_eq!((whole.status, whole.body.len()), (StatusCode::OK, bytes.len()));
    let beyond = client.ask("GET", &path, &[("range", &format!("bytes={}-", bytes.len()))]).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", bytes.len()));
    beyond.code();
    let etag = format!("\"{}\"", Digest::of(&bytes));
    let known = client.ask("GET", &path, &[("if-none-match", &etag)]).await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
}

#[tokio::test]
async fn a_client_gets_what_it_can_read() {
    let mut files = Files::default();
    let arm = files.image(&[&layer(2, 10)], true, "arm64");
    let amd = files.image(&[&layer(1, 10)], true, "amd64");
    let index = files.index(&[arm.clone(), amd.clone()]);
    let served = Served::new(&files.roots(std::slice::from_ref(&index)), None, Limits::default());
    let mut client = served.client().await;
    let path = "/v2/me/app/manifests/v1";
    let docker = [("accept", DOCKER_MANIFEST), ("accept", INDEX), ("accept", MANIFEST)];
    let containerd = format!("{DOCKER_MANIFEST}, {INDEX};q=0.5, */*;q=0.1");
    for accept in [&docker[..], &[("accept", &containerd)], &[], &[("accept", "application/*")]] {
        let answer = client.ask("GET", path, accept).await;
        assert_eq!(answer.header("docker-content-digest"), index["digest"].as_str().unwrap());
        assert_eq!(answer.header("content-type"), INDEX);
    }
    let old = client.ask("GET", path, &[("accept", MANIFEST)]).await;
    assert_eq!(old.header("docker-content-digest"), amd["digest"].as_str().unwrap());
    assert_eq!(old.header("content-type"), MANIFEST);
    let older = client.ask("GET", path, &[("accept", DOCKER_MANIFEST)]).await;
    assert_eq!((older.status, &*older.code()), (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"));
    for manifest in [&arm, &amd] {
        let path = format!("/v2/me/app/manifests/{}", manifest["digest"].as_str().unwrap());
        assert_eq!(client.get(&path).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_not_offered_is_refused_in_the_form_of_the_specification() {
    let served = served();
    let mut client = served.client().await;
    let unknown = Digest::of(b"unknown");
    let (_, blob) = first_layer();
    let layer_as_manifest = blob.replace("/blobs/", "/manifests/");
    for (path, status, code) in [
        ("/v2/me/app/manifests/v2", 404, "MANIFEST_UNKNOWN"),
        (&*format!("/v2/me/app/manifests/{unknown}"), 404, "MANIFEST_UNKNOWN"),
        (&layer_as_manifest, 404, "MANIFEST_UNKNOWN"),
        (&format!("/v2/me/app/blobs/{unknown}"), 404, "BLOB_UNKNOWN"),
        ("/v2/me/app/blobs/sha256:abc", 400, "DIGEST_INVALID"),
        ("/v2/other/manifests/v1", 404, "NAME_UNKNOWN"),
        (&blob.replace("/me/app/", "/other/"), 404, "NAME_UNKNOWN"),
        ("/v2/ME/manifests/v1", 400, "NAME_INVALID"),
        ("/v2/../../etc/passwd", 404, "UNSUPPORTED"),
        ("/v2/_catalog", 404, "UNSUPPORTED"),
        ("/etc/passwd", 404, "UNSUPPORTED"),
    ] {
        let answer = client.get(path).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (status, code), "{path}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let answer = client.ask(method, "/v2/me/app/blobs/uploads/", &[]).await;
        assert_eq!((answer.status.as_u16(), &*answer.code()), (405, "UNSUPPORTED"), "{method}");
        assert_eq!(answer.header("allow"), "GET, HEAD");
    }
    for name in ["app", "../app:v1"] {
        let refused: NotAName = served.registry.offer(name, &served.image).unwrap_err();
        assert!(refused.to_string().contains(name));
    }
}

#[tokio::test]
async fn with_a_password_nothing_is_had_without_it() {
    let access = Access::new("bowline", "secret:with:colons");
    let served = Served::new(&sample(), Some(access), Limits::default());
    let mut client = served.client().await;
    let wrong =
        ["Basic Ym93bGluZTp3cm9uZw==", "Bearer Ym93bGluZTpzZWNyZXQ6d2l0aDpjb2xvbnM=", "Basic", "Basic ö", ""];
    for path in ["/v2/", "/v2/me/app/manifests/v1", &first_layer().1, "/v2/me/app/manifests/v2", "/other"] {
        for wrong in wrong {
            let answer = client.ask("GET", path, &[("authorization", wrong)]).await;
            assert_eq!((answer.status.as_u16(), &*answer.code()), (401, "UNAUTHORIZED"), "{path} {wrong}");
            assert!(answer.header("www-authenticate").starts_with("Basic realm="));
        }
        assert_eq!(client.get(path).await.status, StatusCode::UNAUTHORIZED);
    }
    let right = [("authorization", "basic Ym93bGluZTpzZWNyZXQ6d2l0aDpjb2xvbnM=")];
    assert_eq!(client.ask("GET", "/v2/me/app/manifests/v1", &right).await.status, StatusCode::OK);
    assert_eq!(client.ask("GET", &first_layer().1, &right).await.status, StatusCode::OK);
}

/// Requests the layer and then stops reading the response.
async fn stuck(served: &Served) -> tokio::io::DuplexStream {
    let mut pipe = served.pipe(1000);
    let request = format!("GET {} HTTP/1.1\r\nhost: localhost\r\n\r\n", first_layer().1);
    pipe.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 100];
    pipe.read_exact(&mut start).await.unwrap();
    pipe
}

#[tokio::test]
async fn connections_that_take_nothing_hold_up_no_other_and_little_memory() {
    let served = Served::new(&sample(), None, Limits { reads: 1, ..Limits::default() });
    let mut pipes = Vec::new();
    for _ in 0..50 {
        pipes.push(stuck(&served).await);
    }
    let (bytes, path) = first_layer();
    let read = served.traffic.sent();
    assert!(read <= 50 * 2 * 64 * 1024, "{read} bytes were read ahead of clients that take nothing");
    assert!(served.client().await.get(&path).await.body == bytes);
    // The layer's file is open only once.
    let layer = served.directory.path().join("store/blobs/sha256").join(Digest::of(&bytes).hex());
    let opened = std::fs::read_dir("/proc/self/fd").unwrap();
    let opened =
        opened.filter(|fd| std::fs::read_link(fd.as_ref().unwrap().path()).is_ok_and(|to| to == layer));
    assert_eq!(opened.count(), 1);
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_their_turn() {
    let served = Served::new(&sample(), None, Limits { connections: 1, ..Limits::default() });
    let first = stuck(&served).await;
    let (bytes, path) = first_layer();
    let mut client = served.client().await;
    let second = tokio::spawn(async move { client.get(&path).await });
    // The second request is served only after the first connection has closed.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!second.is_finished());
    drop(first);
    assert!(second.await.unwrap().body == bytes);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_is_closed_after_a_while() {
    let served = served();
    let mut idle = served.pipe(1000);
    idle.write_all(b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let begun = tokio::time::Instant::now();
    let mut said = Vec::new();
    idle.read_to_end(&mut said).await.unwrap();
    assert!(said.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&said));
    assert_eq!(begun.elapsed().as_secs(), Limits::default().idle.as_secs());
}

#[tokio::test]
async fn a_blob_that_breaks_while_it_is_sent_breaks_the_connection() {
    let served = served();
    let mut pipe = stuck(&served).await;
    let (bytes, _) = first_layer();
    let layer = served.directory.path().join("store/blobs/sha256").join(Digest::of(&bytes).hex());
    std::fs::OpenOptions::new().write(true).open(layer).unwrap().set_len(300_000).unwrap();
    let mut rest = Vec::new();
    pipe.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() < bytes.len());
}

#[tokio::test]
async fn a_blob_that_has_vanished_is_named() {
    let served = served();
    let (bytes, path) = first_layer();
    let layer = served.directory.path().join("store/blobs/sha256").join(Digest::of(&bytes).hex());
    std::fs::remove_file(layer).unwrap();
    let answer = served.client().await.get(&path).await;
    assert_eq!((answer.status, &*answer.code()), (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"));
    let said = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(said.contains(&format!("{} can no longer be read", Digest::of(&bytes))), "{said}");
}

#[tokio::test]
async fn whatever_comes_over_a_connection_ends_it_at_worst() {
    let served = served();
    for noise in [&b"\x16\x03\x01\x02\x00"[..], b"GET\r\n\r\n", b"\0\0\0\0\r\n\r\n", &[b'a'; 100_000]] {
        let mut pipe = served.pipe(200_000);
        pipe.write_all(noise).await.unwrap();
        pipe.shutdown().await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(10), pipe.read_to_end(&mut Vec::new())).await;
        ended.unwrap().unwrap();
    }
    assert_eq!(served.client().await.get("/v2/").await.status, StatusCode::OK);
}
