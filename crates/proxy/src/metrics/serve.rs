//! The metrics port.

use std::convert::Infallible;
use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

/// The limit for reading a request's headers, and for the pause between two requests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Responds to every path with the metrics. Never returns.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(answer(stream))),
            Err(error) => {
                crate::log::error("Error accepting metrics connection", &[("error", &error)]);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: TcpStream) {
    let service = service_fn(|_| async {
        let mut response = Response::new(Full::new(Bytes::from(super::text())));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Ok::<_, Infallible>(response)
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    // A scraper that disconnects is not an error.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}
