//! The proxy's own HTTPS client, for ACME and for on-demand policies: no redirects, and a limit for every wait.
//!
//! It trusts Mozilla's authorities, which are built in, and those in `SSL_CERT_FILE`, for private authorities.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The limit for a whole request to an ACME server.
const PATIENCE: Duration = Duration::from_secs(30);
/// The maximum size of a response, in bytes.
const LARGEST_ANSWER: usize = 1 << 20;

/// A handle. Clones share their connections.
#[derive(Clone)]
pub(super) struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

tokio::task_local! {
    /// Until when the server, in its last refusal, asked the current task to wait.
    static RETRY_AFTER: Cell<Option<SystemTime>>;
}

/// Runs requests. Also returns until when the server asked us to wait.
pub(super) async fn with_retry_after<F: Future>(requests: F) -> (F::Output, Option<SystemTime>) {
    RETRY_AFTER
        .scope(Cell::new(None), async {
            let output = requests.await;
            (output, RETRY_AFTER.with(Cell::get))
        })
        .await
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    pub(super) fn new() -> Result<Self, String> {
        let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()) {
            let more =
                CertificateDer::pem_file_iter(&file).and_then(|iter| iter.collect::<Result<Vec<_>, _>>());
            roots.add_parsable_certificates(
                more.map_err(|e| format!("SSL_CERT_FILE {}: {e}", file.display()))?,
            );
        }
        Self::with_roots(roots)
    }

    pub(super) fn with_roots(roots: RootCertStore) -> Result<Self, String> {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.set_connect_timeout(Some(Duration::from_secs(10)));
        http.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let pool =
            Pool::builder(TokioExecutor::new()).pool_idle_timeout(Duration::from_secs(30)).build(https);
        Ok(Client { pool })
    }

    /// Sends a GET. Returns the status and at most `limit` bytes of the body. `host` overrides the URL's in `Host`.
    pub(super) async fn get(
        &self,
        url: &str,
        host: Option<&str>,
        limit: usize,
        patience: Duration,
    ) -> Result<(StatusCode, Bytes), String> {
        let mut request = Request::get(url).header(header::USER_AGENT, USER_AGENT);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        let request = request.body(Full::default()).map_err(|e| e.to_string())?;
        let answer = async {
            let answer = self.pool.request(request).await.map_err(|e| chain(&e))?;
            Ok((answer.status(), start_of(answer.into_body(), limit).await))
        };
        let late = |_| Err(format!("no response within {} s", patience.as_secs()));
        tokio::time::timeout(patience, answer).await.unwrap_or_else(late)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, String> {
        let answer = self.pool.request(request).await.map_err(|e| chain(&e))?;
        let (parts, body) = answer.into_parts();
        if matches!(parts.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let wait =
                parts.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let until = wait.and_then(|seconds| SystemTime::now().checked_add(Duration::from_secs(seconds)));
            let _ = RETRY_AFTER.try_with(|last| last.set(until));
        }
        let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|e| e.to_string())?;
        Ok(Response::from_parts(parts, Full::new(body.to_bytes())))
    }
}

const USER_AGENT: &str = concat!("bowline-proxy/", env!("CARGO_PKG_VERSION"));

async fn start_of(mut body: Incoming, limit: usize) -> Bytes {
    let mut start = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            start.extend_from_slice(&data[..data.len().min(limit - start.len())]);
        }
        if start.len() == limit {
            break;
        }
    }
    start.into()
}

/// An error with its causes, because hyper's own text rarely says what was wrong.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let sent = client.send(Request::from_parts(parts, Full::new(body)));
            let answer = tokio::time::timeout(PATIENCE, sent)
                .await
                .unwrap_or_else(|_| Err(format!("no response within {} s", PATIENCE.as_secs())));
            answer.map(BytesResponse::from).map_err(|e| instant_acme::Error::Other(e.into()))
        })
    }
}
