//! The sample app of the sandbox. It reports its version and, depending on its environment, misbehaves as apps do:
//! slow to start, never healthy, exiting at boot, or ignoring SIGTERM. `sandbox/README.md` lists the variables.
#![allow(clippy::print_stdout, reason = "its log is its standard output, as for any app in a container")]

mod behaviour;
mod routes;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use behaviour::{Behaviour, OnTerm};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

#[tokio::main]
async fn main() -> ExitCode {
    let behaviour = match Behaviour::from_env() {
        Ok(behaviour) => behaviour,
        Err(message) => {
            println!("bad setting: {message}");
            return ExitCode::from(2);
        }
    };
    if let Some(code) = behaviour.exit_at_boot {
        println!("cannot boot: EXIT_AT_BOOT={code} asks version {} to exit at once", behaviour.version);
        return ExitCode::from(code);
    }
    match run(behaviour).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves, or only ticks as a worker, until it is stopped.
async fn run(behaviour: Behaviour) -> std::io::Result<()> {
    let term = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    let (stop, stopping) = watch::channel(false);
    let deadline = behaviour.drain;
    let mut ended = stopping.clone();
    tokio::spawn(obey(term, interrupt, behaviour.on_term, stop));

    println!("version {} starting", behaviour.version);
    tokio::time::sleep(behaviour.start_delay).await;

    if std::env::args().nth(1).as_deref() == Some("worker") {
        return work(&behaviour.version, ended).await;
    }
    let listener = listen(behaviour.port).await?;
    println!("version {} listening on {}", behaviour.version, listener.local_addr()?);
    let router = routes::router(behaviour, stopping);
    let mut stopping = ended.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        stopped(&mut stopping).await;
    });
    let overdue = async move {
        stopped(&mut ended).await;
        tokio::time::sleep(deadline).await;
    };
    tokio::select! {
        served = async { serving.await } => {
            println!("drained, exiting");
            served
        }
        () = overdue => {
            println!("not drained within {} ms, exiting", deadline.as_millis());
            Ok(())
        }
    }
}

/// Waits until the app should stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// Listens on both IP families if possible, otherwise only on IPv4. Inside a container, `localhost` may mean either.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await,
    }
}

/// Runs as a worker, a role without a port. Prints a line every second.
async fn work(version: &str, mut stopping: watch::Receiver<bool>) -> std::io::Result<()> {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = tick.tick() => println!("version {version} working"),
            () = stopped(&mut stopping) => {
                println!("drained, exiting");
                return Ok(());
            }
        }
    }
}

/// Handles SIGTERM and Ctrl-C as this version's behaviour says.
async fn obey(mut term: Signal, mut interrupt: Signal, on_term: OnTerm, stop: watch::Sender<bool>) {
    loop {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        match on_term {
            OnTerm::Drain => {
                println!("SIGTERM: draining");
                stop.send_replace(true);
            }
            OnTerm::Exit => {
                println!("SIGTERM: exiting at once");
                std::process::exit(0);
            }
            OnTerm::Ignore => println!("SIGTERM: ignored"),
        }
    }
}
