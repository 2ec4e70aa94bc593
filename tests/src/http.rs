//! An HTTP connection that never repeats a request.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::tls;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Where requests go, parsed once.
#[derive(Clone)]
pub(crate) struct Target {
    address: String,
    pub(crate) host: String,
    /// Only set for `https://`.
    tls: Option<TlsConnector>,
    /// The URL's path and query.
    pub(crate) path: String,
}

impl Target {
    /// Parses a URL. An `https://` URL needs the certificate to trust.
    ///
    /// # Panics
    /// When it isn't such an address, or a plain `http://` one.
    pub(crate) fn parse(url: &str, host: Option<&str>, certificate: Option<&[u8]>) -> Self {
        let uri: Uri = url.parse().unwrap_or_else(|error| panic!("{url} is no address: {error}"));
        let (port, tls) = match (uri.scheme_str(), certificate) {
            (Some("http"), _) => (80, None),
            (Some("https"), Some(certificate)) => (443, Some(tls::connector(certificate))),
            _ => panic!("{url} is not a plain http:// address, nor an https:// one with a certificate"),
        };
        let authority = uri.authority().unwrap_or_else(|| panic!("{url} names no host"));
        Self {
            tls,
            address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(port)),
            host: host.unwrap_or(authority.as_str()).to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        }
    }

    pub(crate) async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let address = &self.address;
        let stream =
            TcpStream::connect(address).await.map_err(|error| format!("connecting to {address}: {error}"))?;
        let _ = stream.set_nodelay(true);
        // Closing resets the connection, once the whole response is read. Otherwise tens of thousands of connections
        // in TIME_WAIT would use up this machine's ports, which real visitors don't share.
        let _ = stream.set_zero_linger();
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name =
            ServerName::try_from(self.host.clone()).map_err(|error| story("the host's name", &error))?;
        let stream = tls.connect(name, stream).await.map_err(|error| story("TLS", &error))?;
        Ok(Box::new(stream))
    }
}

/// A complete response with status 200.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The header `X-Version`.
    pub(crate) version: Option<String>,
    pub(crate) body: Bytes,
}

/// A connection, which opens when it is first used.
pub(crate) struct Connection {
    target: Target,
    sender: Option<SendRequest<Empty<Bytes>>>,
    pub(crate) opened: u64,
}

impl Connection {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, sender: None, opened: 0 }
    }

    /// Closes the connection. The next request opens a new one.
    pub(crate) fn drop_it(&mut self) {
        self.sender = None;
    }

    /// Sends a request and returns the whole response, or why there is none. With `close`, the request has
    /// `Connection: close`.
    ///
    /// A connection that the server closed before the request is replaced, as any client would do. A later break is a
    /// failure.
    pub(crate) async fn get(&mut self, path: &str, close: bool) -> Result<Answer, String> {
        let usable = match &mut self.sender {
            Some(open) => open.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.sender = Some(open(&self.target).await?);
            self.opened += 1;
        }
        let Some(open) = self.sender.as_mut() else { return Err("no connection".into()) };
        let mut request = Request::get(path).header("host", &self.target.host);
        if close {
            request = request.header("connection", "close");
        }
        let request = request.body(Empty::new()).map_err(|error| format!("bad request: {error}"))?;
        let answer = open.send_request(request).await.map_err(|error| story("sending", &error))?;
        let status = answer.status();
        let version = answer.headers().get("x-version").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let body = answer.into_body().collect().await.map_err(|error| story("torn body", &error))?.to_bytes();
        if status != 200 {
            let text = String::from_utf8_lossy(&body[..body.len().min(80)]).trim().to_owned();
            return Err(format!("status {}: {text}", status.as_u16()));
        }
        Ok(Answer { version, body })
    }
}

async fn open(target: &Target) -> Result<SendRequest<Empty<Bytes>>, String> {
    let stream = target.connect().await?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| story("handshake", &error))?;
    tokio::spawn(connection);
    Ok(sender)
}

/// An error with its causes. hyper's own message doesn't include them.
fn story(what: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("{what}: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
