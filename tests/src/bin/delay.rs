//! Simulates distance to servers: `delay --ms 50 127.0.0.2:22=10.0.0.11:22 …` runs until it is killed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "says what it listens on, or why it can't")]

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use bowline_tests::delay::Delay;
use clap::Parser;

#[derive(Parser)]
#[command(name = "delay", about = "A TCP proxy that holds every chunk for a while in each direction")]
struct Args {
    /// How many milliseconds a chunk is held, one way
    #[arg(long)]
    ms: u64,
    /// Where to listen and where to pass it on, LISTEN=TARGET
    #[arg(required = true, value_parser = route)]
    routes: Vec<(SocketAddr, SocketAddr)>,
}

fn route(text: &str) -> Result<(SocketAddr, SocketAddr), String> {
    let (listen, target) = text.split_once('=').ok_or("expected LISTEN=TARGET, each ADDRESS:PORT")?;
    let parse = |part: &str| part.parse().map_err(|_| format!("{part} is not ADDRESS:PORT"));
    Ok((parse(listen)?, parse(target)?))
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut running = Vec::new();
    for (listen, target) in args.routes {
        match Delay::start(listen, target, Duration::from_millis(args.ms)) {
            Ok(delay) => {
                println!("{} to {target}, {} ms each way", delay.address(), args.ms);
                running.push(delay);
            }
            Err(error) => {
                eprintln!("can't listen on {listen}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    loop {
        std::thread::park();
    }
}
