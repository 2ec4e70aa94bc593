//! A target's requests, errors and latencies since the switch to it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Buckets per doubling of the latency: a quantile is at most an eighth too high.
const STEPS: u64 = 8;
/// From a microsecond to more than an hour.
const BUCKETS: usize = 33 * STEPS as usize;

/// Counts one target's requests. All threads share it.
#[derive(Debug)]
pub struct Counter {
    since: SystemTime,
    errors: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub target: String,
    /// `healthy`, `unhealthy`, `adding` or `draining`.
    pub state: String,
    /// When the target was switched to, in seconds since 1970.
    pub since: u64,
    /// Requests that got a response.
    pub requests: u64,
    /// Responses with status 500 or above.
    pub errors: u64,
    /// Half of the requests took at most this long, in milliseconds.
    pub p50_ms: f64,
    /// 90 % of them.
    pub p90_ms: f64,
    /// 99 % of them.
    pub p99_ms: f64,
}

impl Default for Counter {
    fn default() -> Self {
        let buckets = std::array::from_fn(|_| AtomicU64::new(0));
        Self { since: SystemTime::now(), errors: AtomicU64::new(0), buckets }
    }
}

/// The bucket of a latency in microseconds.
fn bucket(micros: u64) -> usize {
    if micros < STEPS {
        return micros as usize;
    }
    let doubling = u64::from(micros.ilog2());
    let step = (micros >> (doubling - 3)) & (STEPS - 1);
    (((doubling - 2) * STEPS + step) as usize).min(BUCKETS - 1)
}

/// The largest latency of a bucket, in microseconds.
fn bound(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let doubling = bucket / STEPS + 2;
    ((STEPS + bucket % STEPS + 1) << (doubling - 3)) - 1
}

impl Counter {
    /// Counts a request that got a response.
    pub fn observe(&self, status: u16, duration: Duration) {
        if status >= 500 {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)].fetch_add(1, Ordering::Relaxed);
    }

    pub fn stats(&self, target: &str, state: &str) -> Stats {
        let counts = self.buckets.each_ref().map(|count| count.load(Ordering::Relaxed));
        let since = self.since.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Stats {
            target: target.to_owned(),
            state: state.to_owned(),
            since: since.as_secs(),
            requests: counts.iter().sum(),
            errors: self.errors.load(Ordering::Relaxed),
            p50_ms: quantile(&counts, 0.5),
            p90_ms: quantile(&counts, 0.9),
            p99_ms: quantile(&counts, 0.99),
        }
    }
}

/// A quantile in milliseconds; zero if nothing was counted.
fn quantile(counts: &[u64], share: f64) -> f64 {
    let all: u64 = counts.iter().sum();
    let rank = ((all as f64 * share).ceil() as u64).max(1);
    let mut below = 0;
    for (bucket, count) in counts.iter().enumerate() {
        below += count;
        if below >= rank {
            return bound(bucket) as f64 / 1000.0;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_within_an_eighth_of_its_bound() {
        for micros in (0..5000).chain([10_000, 123_456, 9_999_999, 3_600_000_000]) {
            let bound = bound(bucket(micros));
            assert!(micros <= bound && bound <= micros + micros / 8, "{micros} {bound}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_of_what_was_counted() {
        let counter = Counter::default();
        assert_eq!(counter.stats("web:80", "healthy").p99_ms, 0.0);
        for millis in 1..=100 {
            counter.observe(if millis > 95 { 502 } else { 200 }, Duration::from_millis(millis));
        }
        let stats = counter.stats("web:80", "healthy");
        assert_eq!((stats.requests, stats.errors), (100, 5));
        for (seen, right) in [(stats.p50_ms, 50.0), (stats.p90_ms, 90.0), (stats.p99_ms, 99.0)] {
            assert!(seen >= right && seen <= right * 1.125, "{seen} for {right}");
        }
    }
}
