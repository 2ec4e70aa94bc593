//! Accepts connections, distributes them among the workers, and serves each by its protocol.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::client::Client;
use super::http1::{self, Io};
use super::http2;
use super::io_watch::Watched;
use super::worker::{Worker, tick};
use super::{Scheme, Shared};
use crate::log;
use crate::proxy_protocol::{self, Source};

/// How long the header of the PROXY protocol may take.
const PROXY_HEADER: Duration = Duration::from_secs(5);

/// A connection in transit to the worker that serves it.
pub(super) struct Accepted {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) scheme: Scheme,
}

/// Accepts connections until the plane closes. Each goes to the least loaded worker.
pub(super) async fn accept(worker: Rc<Worker>, listener: TcpListener, scheme: Scheme) {
    let shared = Arc::clone(&worker.shared);
    let mut phase = shared.phase.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| phase.is_closing()) => return,
            accepted = next(&shared, &listener) => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, for example: other connections must end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let to = shared.least_loaded(worker.id);
        shared.load[to].fetch_add(1, Ordering::Relaxed);
        if to == worker.id {
            serve(&worker, stream, peer, scheme);
        } else {
            hand_over(&shared, to, (stream, peer), scheme);
        }
    }
}

fn hand_over(shared: &Shared, to: usize, (stream, peer): (TcpStream, SocketAddr), scheme: Scheme) {
    let send = |stream| shared.handover[to].send(Accepted { stream, peer, scheme }).is_ok();
    if !stream.into_std().is_ok_and(send) {
        give_up(shared, to);
    }
}

/// Accepts a connection and waits until the limit of open connections allows it.
async fn next(shared: &Shared, listener: &TcpListener) -> std::io::Result<(TcpStream, SocketAddr)> {
    let accepted = listener.accept().await?;
    shared.take_place().await;
    Ok(accepted)
}

/// Serves connections that other workers have accepted.
pub(super) async fn take_over(worker: Rc<Worker>, mut accepted: mpsc::UnboundedReceiver<Accepted>) {
    while let Some(Accepted { stream, peer, scheme }) = accepted.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => serve(&worker, stream, peer, scheme),
            Err(_) => give_up(&worker.shared, worker.id),
        }
    }
}

fn serve(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, scheme: Scheme) {
    let balancers = worker.shared.settings.balancers.as_ref();
    if !balancers.is_some_and(|balancers| balancers.contains(peer.ip())) {
        return begin(worker, stream, peer, scheme);
    }
    let worker = Rc::clone(worker);
    tokio::task::spawn_local(async move {
        let mut stream = stream;
        match proxy_protocol::read(&mut stream, PROXY_HEADER).await {
            Ok(Source::Client(client)) => begin(&worker, stream, client, scheme),
            Ok(Source::Balancer) => begin(&worker, stream, peer, scheme),
            Err(error) => {
                log::debug("Connection refused", &[("client_addr", &peer.ip()), ("error", &error)]);
                give_up(&worker.shared, worker.id);
            }
        }
    });
}

/// Stops counting a connection that is never served.
fn give_up(shared: &Shared, worker: usize) {
    shared.load[worker].fetch_sub(1, Ordering::Relaxed);
    shared.connection_ended();
}

fn begin(worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr, scheme: Scheme) {
    let port = worker.shared.port(scheme);
    let client = Arc::new(Client::new(peer, port, scheme, tick()));
    let (entry, registered) = tokio::sync::oneshot::channel();
    let task = tokio::task::spawn_local({
        let (worker, client) = (Rc::clone(worker), Arc::clone(&client));
        async move {
            let _entry = registered.await;
            // There is no client left to report a failed connection to.
            let _ = connection(&worker, client, stream, scheme).await;
        }
    });
    let _ = entry.send(worker.register(client, task.abort_handle()));
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn connection(worker: &Rc<Worker>, client: Arc<Client>, stream: TcpStream, scheme: Scheme) -> Ended {
    let stream = Watched::new(stream, Arc::clone(&client));
    if scheme == Scheme::Http {
        return Ok(http1::serve(worker, &client, Io::Plain(stream)).await?);
    }
    // Boxed, so that connections in the clear don't reserve memory for TLS.
    Box::pin(secure(worker, client, stream)).await
}

async fn secure(worker: &Rc<Worker>, client: Arc<Client>, stream: Watched<TcpStream>) -> Ended {
    let Some(tls) = worker.shared.tls.clone() else { return Ok(()) };
    let stream = Box::new(tls.accept(stream).await?);
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Ok(http2::serve(worker, client, stream).await?),
        // The handshake itself answers a TLS-ALPN-01 challenge.
        Some(b"acme-tls/1") => Ok(()),
        _ => Ok(http1::serve(worker, &client, Io::Tls(stream)).await?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::Settings;
    use crate::service::Services;

    #[tokio::test]
    async fn a_connection_that_cannot_be_handed_over_is_not_counted() {
        let second = Duration::from_secs(1);
        let settings = Settings {
            workers: 2,
            http_port: 80,
            https_port: 443,
            header_timeout: second,
            idle_timeout: second,
            body_timeout: second,
            max_connections: 1,
            balancers: None,
        };
        let (shared, receivers) = Shared::new(Services::new(2), settings, None);
        // The other worker has ended.
        drop(receivers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let accepted = next(&shared, &listener).await.unwrap();
        shared.load[1].fetch_add(1, Ordering::Relaxed);
        hand_over(&shared, 1, accepted, Scheme::Http);
        assert_eq!(shared.load[1].load(Ordering::Relaxed), 0);
        assert_eq!(shared.connections.load(Ordering::Relaxed), 0);
        shared.load[0].fetch_add(100, Ordering::Relaxed);
        assert_eq!(shared.least_loaded(0), 0);
    }
}
