//! Prometheus metrics, under kamal-proxy's names.
//!
//! Each thread has its own counters. They are summed when the metrics are requested.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::lock;

mod serve;

pub use serve::serve;

/// Prometheus' default buckets, in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Default)]
struct Series {
    count: u64,
    seconds: f64,
    /// Requests up to each bound and above the previous one. Requests above all bounds are only in `count`.
    buckets: [u64; BUCKETS.len()],
}

#[derive(Default)]
struct PerService {
    in_flight: i64,
    /// By method and status. There are few of them, so a list is enough.
    series: Vec<(&'static str, u16, Series)>,
}

type Shard = Mutex<HashMap<String, PerService>>;

static SHARDS: Mutex<Vec<Arc<Shard>>> = Mutex::new(Vec::new());

thread_local! {
    static SHARD: OnceCell<Arc<Shard>> = const { OnceCell::new() };
}

fn count(service: &str, change: impl FnOnce(&mut PerService)) {
    SHARD.with(|shard| {
        let shard = shard.get_or_init(|| {
            let shard = Arc::new(Shard::default());
            lock(&SHARDS).push(Arc::clone(&shard));
            shard
        });
        let mut services = lock(shard);
        match services.get_mut(service) {
            Some(service) => change(service),
            None => change(services.entry(service.to_owned()).or_default()),
        }
    });
}

/// Counts a finished request. `service` is empty if none matched.
pub fn observe(service: &str, method: &http::Method, status: u16, duration: Duration) {
    let method = name(method);
    count(service, |service| {
        let found = service.series.iter().position(|(m, s, _)| (*m, *s) == (method, status));
        let at = found.unwrap_or_else(|| {
            service.series.push((method, status, Series::default()));
            service.series.len() - 1
        });
        let series = &mut service.series[at].2;
        let seconds = duration.as_secs_f64();
        series.count += 1;
        series.seconds += seconds;
        if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
            series.buckets[bucket] += 1;
        }
    });
}

/// Counts a request as in flight while this value lives.
pub struct InFlight(Arc<str>);

impl InFlight {
    pub fn new(service: Arc<str>) -> Self {
        count(&service, |service| service.in_flight += 1);
        Self(service)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        count(&self.0, |service| service.in_flight -= 1);
    }
}

/// The label of a method. Methods other than the nine standard ones share a label.
fn name(method: &http::Method) -> &'static str {
    const STANDARD: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"];
    STANDARD.into_iter().find(|standard| *standard == method.as_str()).unwrap_or("OTHER")
}

type Totals = BTreeMap<String, (i64, BTreeMap<(&'static str, u16), Series>)>;

fn totals() -> Totals {
    let mut totals = Totals::new();
    for shard in lock(&SHARDS).iter() {
        for (name, service) in lock(shard).iter() {
            let (in_flight, all) = totals.entry(name.clone()).or_default();
            *in_flight += service.in_flight;
            for (method, status, series) in &service.series {
                let sum = all.entry((method, *status)).or_default();
                sum.count += series.count;
                sum.seconds += series.seconds;
                sum.buckets.iter_mut().zip(series.buckets).for_each(|(sum, more)| *sum += more);
            }
        }
    }
    totals
}

/// All metrics in Prometheus' text format.
pub fn text() -> String {
    render(&totals())
}

fn render(totals: &Totals) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = write_all(&mut text, totals);
    text
}

fn write_all(text: &mut String, totals: &Totals) -> std::fmt::Result {
    head(text, "http_in_flight_requests", "gauge", "Number of in-flight HTTP requests, labeled by service.")?;
    for (service, (in_flight, _)) in totals.iter().filter(|(service, _)| !service.is_empty()) {
        writeln!(
            text,
            "kamal_proxy_http_in_flight_requests{{service=\"{}\"}} {in_flight}",
            escaped(service)
        )?;
    }
    let duration = "http_request_duration_seconds";
    head(
        text,
        duration,
        "histogram",
        "Duration of HTTP requests, labeled by service, status code and method.",
    )?;
    each(totals, |labels, series| {
        let mut below = 0;
        for (bound, count) in BUCKETS.iter().zip(series.buckets) {
            below += count;
            writeln!(text, "kamal_proxy_{duration}_bucket{{{labels},le=\"{bound}\"}} {below}")?;
        }
        writeln!(text, "kamal_proxy_{duration}_bucket{{{labels},le=\"+Inf\"}} {}", series.count)?;
        writeln!(text, "kamal_proxy_{duration}_sum{{{labels}}} {}", series.seconds)?;
        writeln!(text, "kamal_proxy_{duration}_count{{{labels}}} {}", series.count)
    })?;
    let help = "HTTP requests processed, labeled by service, status code and method.";
    head(text, "http_requests_total", "counter", help)?;
    each(totals, |labels, series| {
        writeln!(text, "kamal_proxy_http_requests_total{{{labels}}} {}", series.count)
    })
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(text, "# HELP kamal_proxy_{name} {help}\n# TYPE kamal_proxy_{name} {kind}")
}

fn each(totals: &Totals, mut write: impl FnMut(&str, &Series) -> std::fmt::Result) -> std::fmt::Result {
    for (service, (_, all)) in totals {
        for ((method, status), series) in all {
            let service = escaped(service);
            write(&format!("method=\"{method}\",service=\"{service}\",status=\"{status}\""), series)?;
        }
    }
    Ok(())
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_over_threads() {
        let purge = http::Method::from_bytes(b"PURGE").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| observe("sums", &http::Method::GET, 200, Duration::from_millis(30)));
            }
        });
        observe("sums", &purge, 204, Duration::from_secs(11));
        let staying = InFlight::new("sums".into());
        drop(InFlight::new("sums".into()));
        let text = text();
        let has = |line: &str| assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        has("kamal_proxy_http_requests_total{method=\"GET\",service=\"sums\",status=\"200\"} 3");
        has("kamal_proxy_http_requests_total{method=\"OTHER\",service=\"sums\",status=\"204\"} 1");
        let bucket = |method: &str, status: u16, le: &str, count: u64| {
            has(&format!(
                "kamal_proxy_http_request_duration_seconds_bucket{{method=\"{method}\",service=\"sums\",status=\"{status}\",le=\"{le}\"}} {count}"
            ));
        };
        bucket("GET", 200, "0.025", 0);
        bucket("GET", 200, "0.05", 3);
        bucket("OTHER", 204, "10", 0);
        bucket("OTHER", 204, "+Inf", 1);
        has("kamal_proxy_http_in_flight_requests{service=\"sums\"} 1");
        drop(staying);
    }
}
