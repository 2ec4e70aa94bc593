//! Connections to targets: opened, kept idle per worker and target, and used for one request at a time.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::body::RequestBody;
use crate::target::{Registered, Target};

/// Idle connections kept per worker and target.
const MAX_IDLE: usize = 256;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(60);
/// The largest head of an answer.
const MAX_HEAD: usize = 64 << 10;

/// Idle connections of one worker to one target.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Idle>>);

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<RequestBody>,
    streaming: Arc<AtomicBool>,
    task: AbortHandle,
}

/// A connection that is given up in the middle of an answer is closed at once: the target learns that the client has gone.
impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pool {
    /// Closes all of them.
    pub(crate) fn clear(&self) {
        let idle = std::mem::take(&mut *self.lock());
        drop(idle);
    }

    /// Closes those that have not been used for long.
    pub(super) fn expire(&self) {
        self.lock().retain(|idle| idle.since.elapsed() < IDLE && !idle.connection.sender.is_closed());
    }

    fn take(&self) -> Option<Connection> {
        loop {
            let idle = self.lock().pop()?;
            if !idle.connection.sender.is_closed() && idle.since.elapsed() < IDLE {
                return Some(idle.connection);
            }
        }
    }

    fn put(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.len() < MAX_IDLE {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no answer from a target.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection could be made.
    Unreachable(io::Error),
    /// Connecting took too long.
    DialTimeout,
    /// The connection broke, or what came was not HTTP.
    Broken(hyper::Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "cannot connect: {error}"),
            Self::DialTimeout => f.write_str("timed out connecting"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

/// Sends a request and waits for the head of its answer.
///
/// An idle connection may have been closed by the target just now. A request that was not written is sent again on another one;
/// a request without a body whose method is safe to repeat is so too when it may have been written.
pub(super) async fn send(
    target: &Arc<Target>,
    worker: usize,
    mut request: Request<RequestBody>,
    dial: Duration,
) -> Result<Response<AnswerBody>, Failure> {
    let cancels = target.cancels();
    loop {
        let (mut connection, reused) = match reusable(target, worker, &request).await {
            Some(connection) => (connection, true),
            None => (open(target, dial).await?, false),
        };
        let again = if reused { copy(&request) } else { None };
        match connection.sender.try_send_request(request).await {
            Ok(answer) => {
                let switched = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
                let lease = Lease { connection, target: Arc::clone(target), worker };
                return Ok(answer.map(|body| AnswerBody::new(body, lease, switched)));
            }
            Err(mut error) => match (error.take_message(), again) {
                (Some(unsent), _) if reused => request = unsent,
                (None, Some(copy)) if target.cancels() == cancels => request = copy,
                _ => return Err(Failure::Broken(error.into_error())),
            },
        }
    }
}

async fn reusable(target: &Target, worker: usize, request: &Request<RequestBody>) -> Option<Connection> {
    let pool = target.pool(worker);
    let repeatable = is_repeatable(request);
    loop {
        let mut connection = pool.take()?;
        if !repeatable {
            // Lets the connection's task see that the target has closed it, while the request can still go elsewhere.
            tokio::task::yield_now().await;
        }
        if !connection.sender.is_closed() && connection.sender.ready().await.is_ok() {
            return Some(connection);
        }
    }
}

fn is_repeatable(request: &Request<RequestBody>) -> bool {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    safe && request.body().is_end_stream()
}

fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !is_repeatable(request) {
        return None;
    }
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(copy)
}

async fn open(target: &Arc<Target>, dial: Duration) -> Result<Connection, Failure> {
    let stream = timeout(dial, connect(target.host(), target.port()))
        .await
        .map_err(|_| Failure::DialTimeout)?
        .map_err(Failure::Unreachable)?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::Broken)?;
    let streaming = Arc::new(AtomicBool::new(false));
    let (entry, registered) = tokio::sync::oneshot::channel::<Registered>();
    let task = tokio::spawn(async move {
        let _registered = registered.await;
        // What goes wrong here is what the request sees.
        let _ = connection.with_upgrades().await;
    });
    let task = task.abort_handle();
    let _ = entry.send(target.register(task.clone(), Arc::clone(&streaming)));
    Ok(Connection { sender, streaming, task })
}

/// Connects to the first address of a host that accepts.
pub(crate) async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = match host.parse::<IpAddr>() {
        Ok(address) => TcpStream::connect((address, port)).await?,
        Err(_) => TcpStream::connect((host, port)).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The body of a target's answer. Its connection goes back to the pool when the body has been read to its end.
#[derive(Debug)]
pub(super) struct AnswerBody {
    body: Incoming,
    lease: Option<Lease>,
}

#[derive(Debug)]
struct Lease {
    connection: Connection,
    target: Arc<Target>,
    worker: usize,
}

impl AnswerBody {
    /// A connection that has switched protocols is kept for as long as the body is.
    fn new(body: Incoming, lease: Lease, switched: bool) -> Self {
        let mut answer = Self { body, lease: Some(lease) };
        if !switched && answer.body.is_end_stream() {
            answer.done();
        }
        answer
    }

    /// From here on a drain counts the connection among streams.
    pub(super) fn becomes_stream(&self) {
        if let Some(lease) = &self.lease {
            lease.connection.streaming.store(true, Ordering::Relaxed);
        }
    }

    fn done(&mut self) {
        let Some(Lease { connection, target, worker }) = self.lease.take() else { return };
        connection.streaming.store(false, Ordering::Relaxed);
        if !target.is_draining() && !connection.sender.is_closed() {
            target.pool(worker).put(connection);
            // A drain that began meanwhile has already closed what was idle.
            if target.is_draining() {
                target.pool(worker).clear();
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.done(),
            Poll::Ready(None) => self.done(),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
