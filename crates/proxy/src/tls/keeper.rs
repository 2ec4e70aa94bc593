//! Keeps one name's certificate: takes it from the cache or orders it, and renews it in time.
//!
//! Each name has one task, so there is never more than one order for it. The task starts when a service with the name
//! is deployed, and ends when no service has it any more.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::acme::{Failure, Issuer, Proof};
use super::certificate::Certificate;
use crate::lock;

/// The longest sleep: the clock may be changed meanwhile, and the authority may change its suggestion.
const LONGEST_SLEEP: Duration = Duration::from_secs(12 * 3600);
/// The shortest time between two requests for renewal information.
const SHORTEST_SLEEP: Duration = Duration::from_secs(60);

/// The waits after failures in a row. Let's Encrypt allows five failed validations for a name in an hour. The first
/// retry, with the other kind of challenge, is almost immediate; later ones stay within that limit.
#[derive(Clone, Debug)]
pub struct Backoff {
    waits: Vec<Duration>,
    /// How long after a failure a deploy may cut the wait short.
    apart: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        let waits = [5, 120, 600, 1800, 3600, 7200, 14_400, 21_600].map(Duration::from_secs);
        // Let's Encrypt allows another attempt every twelve minutes, in addition to the first five.
        Backoff::of(waits.to_vec()).apart(Duration::from_secs(12 * 60))
    }
}

impl Backoff {
    /// Other waits, for tests. Deploys don't cut them short.
    pub fn of(waits: Vec<Duration>) -> Self {
        Backoff { waits, apart: LONGEST_SLEEP }
    }

    /// Lets a deploy cut a wait short this long after the failure.
    #[must_use]
    pub fn apart(self, apart: Duration) -> Self {
        Backoff { apart, ..self }
    }

    /// The wait after this many failures in a row, extended randomly by up to a tenth.
    fn after(&self, failures: usize, fraction: f64) -> Duration {
        let wait = self
            .waits
            .get(failures.saturating_sub(1))
            .or(self.waits.last())
            .copied()
            .unwrap_or(LONGEST_SLEEP);
        wait + wait.mul_f64(fraction / 10.0)
    }
}

/// A name whose certificate is kept. Dropping this ends the task.
#[derive(Debug)]
pub(super) struct Kept {
    state: Arc<State>,
    issuer: Arc<Issuer>,
    task: AbortHandle,
}

#[derive(Debug)]
struct State {
    name: String,
    certificate: ArcSwapOption<Certificate>,
    progress: watch::Sender<Progress>,
    /// From when on a deploy may cut short the wait for the next attempt.
    hasty: Mutex<Option<Instant>>,
    hurry: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// An order is in progress or about to start.
    Working,
    Ready,
    /// The last order failed, and the next one may start at this time.
    Failed(Instant),
}

impl Kept {
    pub(super) fn start(
        name: &str,
        issuer: &Arc<Issuer>,
        backoff: &Backoff,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        let cached = issuer.cache.certificate(name, SystemTime::now()).map(Arc::new);
        let progress = if cached.is_some() { Progress::Ready } else { Progress::Working };
        let state = Arc::new(State {
            name: name.to_owned(),
            certificate: ArcSwapOption::new(cached),
            progress: watch::Sender::new(progress),
            hasty: Mutex::default(),
            hurry: Notify::new(),
        });
        let task = runtime.spawn(keep(Arc::clone(&state), Arc::clone(issuer), backoff.clone()));
        Kept { state, issuer: Arc::clone(issuer), task: task.abort_handle() }
    }

    pub(super) fn is_from(&self, issuer: &Arc<Issuer>) -> bool {
        Arc::ptr_eq(&self.issuer, issuer)
    }

    /// Tries again immediately if the last failure is old enough, because its cause, such as DNS, may be fixed by now.
    pub(super) fn hurry(&self) {
        let mut hasty = lock(&self.state.hasty);
        if hasty.is_some_and(|since| since <= Instant::now()) {
            *hasty = None;
            if self.state.certificate.load().is_none() {
                self.state.progress.send_replace(Progress::Working);
            }
            self.state.hurry.notify_one();
        }
    }

    /// Stops ordering and renewing. Handshakes continue with the existing certificate.
    pub(super) fn stop(&self) {
        self.task.abort();
        if self.state.certificate.load().is_none() {
            let never = Instant::now() + Duration::from_secs(365 * 24 * 3600);
            self.state.progress.send_replace(Progress::Failed(never));
        }
    }

    pub(super) fn certificate(&self) -> Option<Arc<Certificate>> {
        self.state.certificate.load_full()
    }

    /// Waits for the certificate, as long as one can be expected within `patience`.
    pub(super) async fn ready(&self, patience: Duration) -> Option<Arc<Certificate>> {
        let deadline = Instant::now() + patience;
        let mut progress = self.state.progress.subscribe();
        let settled = progress.wait_for(|progress| match progress {
            Progress::Working => false,
            Progress::Ready => true,
            Progress::Failed(next) => *next > deadline,
        });
        let _ = tokio::time::timeout_at(deadline, settled).await;
        self.certificate()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(state: Arc<State>, issuer: Arc<Issuer>, backoff: Backoff) {
    let fraction = random_fraction();
    let mut failures = 0;
    loop {
        if let Some(rest) = time_left(&state, &issuer, fraction).await {
            tokio::time::sleep(rest).await;
            continue;
        }
        if adopt_cached(&state, &issuer, fraction) {
            continue;
        }
        let old = state.certificate.load_full();
        let proof = if failures % 2 == 0 { Proof::Http } else { Proof::Alpn };
        match issuer.issue(&state.name, proof, old.as_deref()).await {
            Ok(certificate) => {
                failures = 0;
                crate::log::info("Obtained certificate", &[("host", &state.name)]);
                state.set(certificate);
            }
            Err(failure) => {
                failures += 1;
                let wait = wait_after(&failure, backoff.after(failures, fraction));
                // Discards the notification of a deploy that came too late to cut the last wait short.
                std::pin::pin!(state.hurry.notified()).enable();
                state.failed(&failure, wait, wait_after(&failure, backoff.apart));
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = state.hurry.notified() => {}
                }
                *lock(&state.hasty) = None;
            }
        }
    }
}

impl State {
    fn set(&self, certificate: Certificate) {
        self.certificate.store(Some(Arc::new(certificate)));
        self.progress.send_replace(Progress::Ready);
    }

    fn failed(&self, failure: &Failure, wait: Duration, apart: Duration) {
        let seconds = wait.as_secs();
        let fields: [crate::log::Field<'_>; 3] =
            [("host", &self.name), ("error", failure), ("retry_in_seconds", &seconds)];
        crate::log::error("Failed to obtain certificate", &fields);
        let now = Instant::now();
        *lock(&self.hasty) = Some(now + apart);
        if self.certificate.load().is_none() {
            self.progress.send_replace(Progress::Failed(now + wait));
        }
    }
}

/// How long to sleep before the next check. `None` if a certificate is due.
async fn time_left(state: &State, issuer: &Issuer, fraction: f64) -> Option<Duration> {
    let certificate = state.certificate.load_full()?;
    let left = |at: SystemTime| at.duration_since(SystemTime::now()).ok().filter(|left| !left.is_zero());
    let by_age = left(certificate.renewal(fraction))?;
    match issuer.renewal(&certificate, fraction).await {
        Some((at, holds)) => Some(left(at)?.min(holds.clamp(SHORTEST_SLEEP, LONGEST_SLEEP))),
        None => Some(by_age.min(LONGEST_SLEEP)),
    }
}

/// Adopts a newer certificate from the cache. Another process may have renewed it: our successor or our predecessor.
fn adopt_cached(state: &State, issuer: &Issuer, fraction: f64) -> bool {
    let now = SystemTime::now();
    let newer = issuer.cache.certificate(&state.name, now).filter(|cached| {
        let own = state.certificate.load_full();
        cached.renewal(fraction) > now && own.is_none_or(|own| own.not_after < cached.not_after)
    });
    newer.map(|certificate| state.set(certificate)).is_some()
}

fn wait_after(failure: &Failure, backoff: Duration) -> Duration {
    let asked =
        failure.not_before.and_then(|at| at.duration_since(SystemTime::now()).ok()).unwrap_or_default();
    backoff.max(asked.min(Duration::from_secs(7 * 24 * 3600)))
}

fn random_fraction() -> f64 {
    let random = ring::rand::generate::<[u8; 4]>(&ring::rand::SystemRandom::new());
    random.map_or(0.5, |bytes| f64::from(u32::from_be_bytes(bytes.expose())) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
