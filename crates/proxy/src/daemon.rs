//! The daemon: restores the state, opens the listeners, serves until it is asked to stop.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};

use crate::control::{self, Control};
use crate::log;
use crate::options::RunOptions;
use crate::plane::{Plane, Settings, Which};
use crate::service::Services;
use crate::state::Store;

/// How long open connections may take when the daemon stops.
const SHUTDOWN: Duration = Duration::from_secs(10);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// Runs the daemon until SIGTERM or SIGINT.
pub fn run(options: &RunOptions) -> io::Result<()> {
    log::set_debug(options.debug);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(options))
}

async fn serve(options: &RunOptions) -> io::Result<()> {
    let settings = settings(options);
    let services = Services::new(settings.workers);
    let store = control::keep(Store::new(options.state_path()), &services);
    if options.metrics_port != 0 {
        let metrics = listen(options.metrics_port)?;
        log::info("Metrics enabled", &[("address", &format_args!(":{}", options.metrics_port))]);
        tokio::spawn(crate::metrics::serve(metrics));
    }
    let http = listen(options.http_port)?;
    let https = listen(options.https_port)?;
    let plane =
        Plane::start(services.clone(), settings, None, &[(Which::Http, &http), (Which::Https, &https)])?;
    let upgrade: control::Upgrade = Arc::new(|_| {
        Box::pin(async { Err("this version cannot hand its listeners over: restart it".to_owned()) })
    });
    let socket = control::listen(&options.socket)?;
    tokio::spawn(Control { services, store, upgrade }.serve(socket));
    let (http_port, https_port) = (http.local_addr()?.port(), https.local_addr()?.port());
    log::write("INFO", "Server started", |line| {
        line.raw("http", http_port);
        line.raw("https", https_port);
    });
    stopped().await?;
    drop((http, https));
    plane.close();
    if tokio::time::timeout(SHUTDOWN, plane.closed()).await.is_err() {
        log::warn("Closing active connections", &[]);
    }
    log::info("Server stopped", &[]);
    log::flush();
    Ok(())
}

fn settings(options: &RunOptions) -> Settings {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Settings {
        workers: if options.threads == 0 { cores() } else { options.threads },
        http_port: options.http_port,
        https_port: options.https_port,
        header_timeout: options.header_timeout,
        idle_timeout: options.idle_timeout,
        body_timeout: options.idle_timeout,
        max_connections: options.max_connections,
    }
}

async fn stopped() -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Listens on a port for IPv6 and IPv4; for IPv4 alone where there is no IPv6.
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
