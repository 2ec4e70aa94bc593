//! Measures how long it takes to load the largest project in `tests/projects`. `bin/bench` runs it.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "it prints a figure")]

use std::time::{Duration, Instant};

use bowline_config::{SourceFile, load};

/// The number of measured loads, after some that don't count.
const ROUNDS: usize = 200;

fn main() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/projects/large/deploy.yml");
    let text = std::fs::read_to_string(path).expect("the largest project");
    let once = || {
        let file = SourceFile::new("config/deploy.yml", text.clone());
        let started = Instant::now();
        let loaded = load(file, None).expect("a configuration");
        (started.elapsed(), loaded.config.hosts().len())
    };
    let mut times: Vec<(Duration, usize)> = (0..ROUNDS + 20).map(|_| once()).skip(20).collect();
    times.sort();
    let (median, servers) = times.get(ROUNDS / 2).copied().unwrap_or_default();
    let lines = text.lines().count();
    println!("loading {lines} lines with {servers} servers: {:.2} ms", median.as_secs_f64() * 1000.0);
}
