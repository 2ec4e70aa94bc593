//! The daemon: restores the state, opens the listeners, and serves until it is stopped.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::client_address::Ranges;
use crate::control::{self, Busy, Control};
use crate::drain::Limits;
use crate::log;
use crate::options::{self, RunOptions};
use crate::plane::{Plane, Scheme, Settings};
use crate::service::{self, Services};
use crate::state::Store;
use crate::tls::{self, Backoff, Tls};
use crate::upgrade::{self, ParentLink, Predecessor, Wish};

/// How long open connections may last when the daemon stops.
const SHUTDOWN: Limits = Limits { requests: Duration::from_secs(10), streams: Duration::from_secs(10) };
/// How long they may last after another process has taken over, unless the command says otherwise.
const UPGRADE: Limits =
    Limits { requests: options::UPGRADE_DRAIN_TIMEOUT, streams: options::UPGRADE_STREAM_TIMEOUT };
/// How long former processes may take to confirm a change, in addition to their drains.
const FOLLOWED: Duration = Duration::from_secs(10);
const BACKLOG: i32 = 4096;

/// Runs the daemon until SIGTERM or SIGINT.
pub fn run(options: &RunOptions) -> io::Result<()> {
    log::set_debug(options.debug);
    if !upgrade::is_child() {
        return upgrade::supervise(listeners(options)?, SHUTDOWN.requests, &options.newer_binary);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(serve(options));
    // This doesn't wait for a DNS lookup in progress.
    runtime.shutdown_background();
    served
}

/// HTTP, HTTPS, and metrics if enabled. Child processes get them in this order.
fn listeners(options: &RunOptions) -> io::Result<Vec<TcpListener>> {
    let mut ports = vec![options.http_port, options.https_port];
    ports.extend(Some(options.metrics_port).filter(|port| *port != 0));
    ports.into_iter().map(listen).collect()
}

async fn serve(options: &RunOptions) -> io::Result<()> {
    let settings = settings(options)?;
    let services = Services::new(settings.workers);
    // Before the state is restored, because restored services need certificates too.
    let tls = start_tls(&services)?;
    let (mut process_1, listeners) = ParentLink::take(DrainingProcess(services.clone()))?;
    let mut listeners = listeners.into_iter();
    let (Some(http), Some(https)) = (listeners.next(), listeners.next()) else {
        return Err(io::Error::other("process 1 has handed over no listeners"));
    };
    let store = control::keep(Store::new(options.state_path()), &services);
    process_1.ready().await?;
    if let Some(metrics) = listeners.next() {
        log::info("Metrics enabled", &[("address", &format_args!(":{}", options.metrics_port))]);
        tokio::spawn(crate::metrics::serve(metrics));
    }
    let plane = Plane::start(
        services.clone(),
        settings,
        Some(Arc::clone(&tls)),
        &[(Scheme::Http, &http), (Scheme::Https, &https)],
    )?;
    tell_predecessors(&services, &process_1);
    let upgrade = upgrade_by(&process_1);
    let busy = Busy::default();
    let socket = control::listen(&options.socket)?;
    let control = Control { services: services.clone(), store, upgrade, busy: busy.clone() };
    tokio::spawn(control.serve(socket));
    let (http_port, https_port) = (http.local_addr()?.port(), https.local_addr()?.port());
    log::write("INFO", "Server started", |line| {
        line.raw("http", http_port);
        line.raw("https", https_port);
    });
    process_1.serving().await;
    drop((http, https));
    let mut wish = process_1.wish();
    let limits = ended(wish.clone()).await?;
    tls.stop_ordering();
    plane.close();
    let drained = async { tokio::join!(drain(&plane, &services, limits), busy.idle(limits.requests)) };
    tokio::select! {
        _ = drained => {}
        _ = wish.wait_for(|wish| *wish == Wish::Orphaned) => {}
    }
    log::info("Server stopped", &[]);
    log::flush();
    Ok(())
}

/// What this process does for its successor.
struct DrainingProcess(Services);

impl Predecessor for DrainingProcess {
    fn freeze(&self, frozen: bool) {
        self.0.freeze(frozen);
    }

    fn follow(&self, change: &str) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match serde_json::from_str::<service::Change>(change) {
            Ok(change) => {
                let services = self.0.clone();
                Box::pin(async move { services.follow(change).await })
            }
            Err(error) => {
                log::error("Error reading a change of a service", &[("error", &error)]);
                Box::pin(std::future::ready(()))
            }
        }
    }
}

/// Sends each change of the services to former processes that still drain.
fn tell_predecessors(services: &Services, process_1: &ParentLink) {
    let process_1 = process_1.clone();
    services.tell(move |change| {
        let limit = change.drain.requests.saturating_add(FOLLOWED);
        let followed = process_1.tell(serde_json::to_string(&change).unwrap_or_default());
        Box::pin(async move {
            if tokio::time::timeout(limit, followed).await.is_err() {
                log::warn("A former process did not follow a change", &[("service", &change.service)]);
            }
        })
    });
}

/// Performs the command `upgrade`.
fn upgrade_by(process_1: &ParentLink) -> control::Upgrade {
    let process_1 = process_1.clone();
    Arc::new(move |path, limits| {
        let process_1 = process_1.clone();
        Box::pin(async move { process_1.upgrade(path, limits).await })
    })
}

/// Waits until the daemon must end. Returns how long open connections may last.
async fn ended(mut wish: watch::Receiver<Wish>) -> io::Result<Limits> {
    tokio::select! {
        stopped = stopped() => stopped.map(|()| SHUTDOWN),
        wish = wish.wait_for(|wish| matches!(wish, Wish::End(_) | Wish::Orphaned)) => {
            Ok(match wish.as_deref() {
                Ok(Wish::End(limits)) => limits.unwrap_or(UPGRADE),
                _ => Limits::ZERO,
            })
        }
    }
}

/// Waits until all connections are closed, and cancels streams at their deadline. The rest ends with the process.
async fn drain(plane: &Plane, services: &Services, limits: Limits) {
    let rest = limits.requests.saturating_sub(limits.streams);
    if tokio::time::timeout(limits.streams.min(limits.requests), plane.closed()).await.is_ok() {
        return;
    }
    services.cancel_streams();
    if tokio::time::timeout(rest, plane.closed()).await.is_err() {
        log::warn("Closing active connections", &[]);
    }
}

/// Starts TLS, and updates it whenever the services change.
fn start_tls(services: &Services) -> io::Result<Arc<Tls>> {
    let runtime = tokio::runtime::Handle::current();
    let tls = Tls::new(runtime, tls::targets_of(services), Backoff::default()).map_err(io::Error::other)?;
    let tls = Arc::new(tls);
    let changed = Arc::clone(&tls);
    services.on_change(move |table| changed.set(tls::services(table)));
    Ok(tls)
}

fn settings(options: &RunOptions) -> io::Result<Settings> {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok(Settings {
        workers: if options.threads == 0 { cores() } else { options.threads },
        http_port: options.http_port,
        https_port: options.https_port,
        header_timeout: options.header_timeout,
        idle_timeout: options.idle_timeout,
        body_timeout: options.idle_timeout,
        max_connections: options.max_connections,
        balancers: balancers(options)?,
    })
}

/// Networks that use the PROXY protocol, if it is on: all, unless some are named.
fn balancers(options: &RunOptions) -> io::Result<Option<Ranges>> {
    let named = &options.trusted_proxies;
    let all = ["0.0.0.0/0".to_owned(), "::/0".to_owned()];
    let ranges = Ranges::parse(if named.is_empty() { &all } else { named });
    let ranges = ranges.map_err(|error| io::Error::other(format!("--trusted-proxies: {error}")))?;
    Ok(options.proxy_protocol.then_some(ranges))
}

async fn stopped() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Listens on a port for IPv6 and IPv4, or for IPv4 only if there is no IPv6.
pub fn listen(port: u16) -> io::Result<TcpListener> {
    let both = bind(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, port).into());
    let socket = match both {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            bind(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, port).into())?
        }
        both => both?,
    };
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bind(domain: Domain, address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
