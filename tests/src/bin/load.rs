//! Sends load to the servers of a sandbox and prints the counts. Exits with 1 if a request failed or a version that
//! `--expect` doesn't name answered.
#![allow(clippy::print_stdout, reason = "the counts are what it is for")]

use std::process::ExitCode;
use std::time::Duration;

use bowline_tests::load::{Load, Mode, Options};
use clap::Parser;

#[derive(Parser)]
#[command(name = "load", about = "Send requests and count exactly what came of them")]
struct Args {
    /// Addresses to send to, http:// only; the clients are spread over them
    #[arg(required = true)]
    urls: Vec<String>,
    /// A new connection for each request, instead of one connection for each client
    #[arg(long)]
    new_connections: bool,
    /// How many requests to send in all; without it, as many as fit in the time
    #[arg(short = 'n', long)]
    count: Option<u64>,
    /// For how many seconds at most
    #[arg(short, long, default_value_t = 10.0)]
    seconds: f64,
    /// How many clients send at the same time
    #[arg(short, long, default_value_t = 4)]
    clients: usize,
    /// Each client's pause between two requests, in milliseconds
    #[arg(long, default_value_t = 0.0)]
    pause: f64,
    /// After how many milliseconds without a whole answer a request has failed
    #[arg(long, default_value_t = 5000)]
    timeout: u64,
    /// The Host header to send
    #[arg(long)]
    host: Option<String>,
    /// The versions (X-Version) that may answer, comma-separated
    #[arg(long, value_delimiter = ',')]
    expect: Vec<String>,
    /// Print versions, connections and samples of failures too
    #[arg(short, long)]
    verbose: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mode = if args.new_connections { Mode::NewConnection } else { Mode::KeepAlive };
    let load = Load::start(Options {
        certificate: None,
        urls: args.urls,
        mode,
        clients: args.clients,
        pause: Duration::from_secs_f64(args.pause / 1000.0),
        timeout: Duration::from_millis(args.timeout),
        host: args.host,
        count: args.count,
        at_most: Duration::from_secs_f64(args.seconds),
    });
    if !args.expect.is_empty() {
        let versions: Vec<&str> = args.expect.iter().map(String::as_str).collect();
        load.allow_from_now_on(&versions);
    }
    let report = load.finish();
    if args.verbose {
        println!("{report:#}");
    } else {
        println!("{report}");
    }
    if report.failed + report.wrong_version == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
