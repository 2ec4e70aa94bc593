//! One HTTP connection as a visitor has it: a request, its whole answer, nothing tried again.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Where requests go, taken apart once.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    address: String,
    host: String,
    /// The path of the address, with its query.
    pub(crate) path: String,
}

impl Target {
    /// # Panics
    /// When it isn't a plain `http://` address.
    pub(crate) fn parse(url: &str, host: Option<&str>) -> Self {
        let uri: Uri = url.parse().unwrap_or_else(|error| panic!("{url} is no address: {error}"));
        assert!(uri.scheme_str() == Some("http"), "{url} is not a plain http:// address");
        let authority = uri.authority().unwrap_or_else(|| panic!("{url} names no host"));
        Self {
            address: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)),
            host: host.unwrap_or(authority.as_str()).to_owned(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        }
    }
}

/// A whole answer with status 200.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Its header `X-Version`.
    pub(crate) version: Option<String>,
    pub(crate) body: Bytes,
}

/// A connection, open or not yet.
#[derive(Debug)]
pub(crate) struct Connection {
    target: Target,
    sender: Option<SendRequest<Empty<Bytes>>>,
    /// How often it was opened.
    pub(crate) opened: u64,
}

impl Connection {
    pub(crate) fn new(target: Target) -> Self {
        Self { target, sender: None, opened: 0 }
    }

    /// The next request opens it anew.
    pub(crate) fn drop_it(&mut self) {
        self.sender = None;
    }

    /// One request and its whole answer, or why there is none. With `close` it says that it is the last.
    ///
    /// A connection that the server closed before the request began is replaced, as any client would; one that breaks
    /// after that is a failure.
    pub(crate) async fn get(&mut self, path: &str, close: bool) -> Result<Answer, String> {
        let usable = match &mut self.sender {
            Some(open) => open.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            self.sender = Some(connect(&self.target.address).await?);
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

async fn connect(address: &str) -> Result<SendRequest<Empty<Bytes>>, String> {
    let stream =
        TcpStream::connect(address).await.map_err(|error| format!("connecting to {address}: {error}"))?;
    let _ = stream.set_nodelay(true);
    // Closed without a trace once the whole answer is read: tens of thousands of connections waiting out their last
    // minute would use up this machine's ports, which no crowd of real visitors shares.
    let _ = stream.set_zero_linger();
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| story("handshake", &error))?;
    tokio::spawn(connection);
    Ok(sender)
}

/// An error with its causes: hyper keeps the one that matters in the second line.
fn story(what: &str, error: &dyn std::error::Error) -> String {
    let mut text = format!("{what}: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
