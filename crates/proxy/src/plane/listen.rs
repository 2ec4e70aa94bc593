//! Accepting connections, sharing them out among the workers, and serving each by its protocol.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use super::body::Received;
use super::client::{Client, Scheme};
use super::forward::answer;
use super::http1::{self, Io};
use super::io_watch::Watched;
use super::worker::{Worker, tick};
use super::{Shared, Which};
use crate::log;
use crate::proxy_protocol::{self, Source};

/// Requests of one HTTP/2 connection at the same time.
const MAX_STREAMS: u32 = 128;
/// Bytes of an answer that wait for its HTTP/2 client. A whole piece of up to 64 KiB may come on top.
const MAX_UNSENT: usize = 32 << 10;
/// Resets of a client that wait to be seen; a client that sends more is flooding.
const MAX_PENDING_RESETS: usize = 20;
/// Resets that a client may cause in all.
const MAX_CAUSED_RESETS: usize = 1024;

/// For the header of the PROXY protocol.
const PROXY_HEADER: Duration = Duration::from_secs(5);

/// A connection on its way to the worker that serves it.
pub(super) struct Accepted {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) which: Which,
}

/// Accepts until the plane closes. Connections go to the worker that has the fewest.
pub(super) async fn accept(worker: Rc<Worker>, listener: TcpListener, which: Which) {
    let shared = Arc::clone(&worker.shared);
    let mut phase = shared.phase.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| phase.is_closing()) => return,
            accepted = next(&shared, &listener) => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // No descriptors left, or the like: others have to end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let to = shared.least_loaded(worker.id);
        shared.load[to].fetch_add(1, Ordering::Relaxed);
        if to == worker.id {
            serve(&worker, stream, peer, which);
        } else if let Ok(stream) = stream.into_std() {
            let _ = shared.handover[to].send(Accepted { stream, peer, which });
        }
    }
}

/// A connection that has its place among those that may be open at the same time.
async fn next(shared: &Shared, listener: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr)> {
    let accepted = listener.accept().await?;
    shared.take_place().await;
    Ok(accepted)
}

/// Serves what other workers have accepted.
pub(super) async fn take_over(worker: Rc<Worker>, mut accepted: mpsc::UnboundedReceiver<Accepted>) {
    while let Some(Accepted { stream, peer, which }) = accepted.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => serve(&worker, stream, peer, which),
            Err(_) => give_up(&worker),
        }
    }
}

fn serve(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, which: Which) {
    let balancers = worker.shared.settings.balancers.as_ref();
    if !balancers.is_some_and(|balancers| balancers.contains(peer.ip())) {
        return begin(worker, stream, peer, which);
    }
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        let mut stream = stream;
        match proxy_protocol::read(&mut stream, PROXY_HEADER).await {
            Ok(Source::Client(client)) => begin(&worker, stream, client, which),
            Ok(Source::Balancer) => begin(&worker, stream, peer, which),
            Err(error) => {
                log::debug("Connection refused", &[("client_addr", &peer.ip()), ("error", &error)]);
                give_up(&worker);
            }
        }
    });
}

/// A connection that is never served.
fn give_up(worker: &Worker) {
    worker.shared.load[worker.id].fetch_sub(1, Ordering::Relaxed);
    worker.shared.connection_ended();
}

fn begin(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, which: Which) {
    let scheme = if which == Which::Https { Scheme::Https } else { Scheme::Http };
    let port = worker.shared.port(which);
    let client = Arc::new(Client::new(peer, port, scheme, tick()));
    let (entry, registered) = tokio::sync::oneshot::channel();
    let task = tokio::task::spawn_local({
        let (worker, client) = (Rc::clone(worker), Arc::clone(&client));
        async move {
            let _entry = registered.await;
            // A connection that ends badly has no one left to hear of it.
            let _ = connection(&worker, client, stream, which).await;
        }
    });
    let _ = entry.send(worker.register(client, task.abort_handle()));
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn connection(worker: &Rc<Worker>, client: Arc<Client>, stream: TcpStream, which: Which) -> Ended {
    let stream = Watched::new(stream, Arc::clone(&client));
    if which == Which::Http {
        return Ok(http1::serve(worker, &client, Io::Plain(stream)).await?);
    }
    // Boxed, so that connections in the clear don't reserve memory for TLS.
    Box::pin(secure(worker, client, stream)).await
}

async fn secure(worker: &Rc<Worker>, client: Arc<Client>, stream: Watched<TcpStream>) -> Ended {
    let Some(tls) = worker.shared.tls.clone() else { return Ok(()) };
    let stream = Box::new(tls.accept(stream).await?);
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => http2(worker, client, stream).await,
        // A challenge of TLS-ALPN-01 is answered by the handshake.
        Some(b"acme-tls/1") => Ok(()),
        _ => Ok(http1::serve(worker, &client, Io::Tls(stream)).await?),
    }
}

async fn http2<S>(worker: &Rc<Worker>, client: Arc<Client>, stream: S) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (asked, goodbye) = (Cell::new(false), Arc::new(Notify::new()));
    let service = service_fn(|request: Request<Incoming>| {
        asked.set(true);
        client.speaks_http2(&goodbye);
        let (worker, client) = (Rc::clone(worker), Arc::clone(&client));
        let request = request.map(Received::Http2);
        async move { Ok::<_, Infallible>(answer(&worker, &client, request).await) }
    });
    let connection = http2::Builder::new(Local)
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(64 << 10)
        .max_send_buf_size(MAX_UNSENT)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_CAUSED_RESETS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let mut phase = worker.shared.phase.subscribe();
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = goodbye.notified() => {}
        _ = phase.wait_for(|phase| phase.is_closing()) => {}
    }
    // Before the first request the two may still be shaking hands, and a shutdown then would close the connection without a word.
    let begun = poll_fn(|cx| match connection.as_mut().poll(cx) {
        Poll::Pending if asked.get() => Poll::Ready(None),
        polled => polled.map(Some),
    });
    if let Some(ended) = begun.await {
        return Ok(ended?);
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}

/// Runs the tasks of HTTP/2 connections on their own worker.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
