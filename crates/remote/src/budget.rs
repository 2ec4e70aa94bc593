//! The time for connecting to a server and logging in.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bowline_config::Timeouts;
use tokio::time::Instant;

/// How long to wait before looking again whether the user has responded.
const TICK: Duration = Duration::from_secs(1);

/// The time left to connect. Only waits for the server count.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) timeouts: Timeouts,
    left: Duration,
}

impl Budget {
    pub(crate) fn new(timeouts: Timeouts) -> Self {
        Self { timeouts, left: timeouts.connect }
    }

    pub(crate) fn left(&self) -> Duration {
        self.left
    }

    /// Waits for `work` within the time left. The error names the limit.
    pub(crate) async fn spend<T>(&mut self, work: impl Future<Output = T>) -> Result<T, String> {
        self.spend_unless(&Pause::default(), work).await
    }

    /// Like [`Self::spend`], but the time of the pause has the limit `timeouts.confirm` and doesn't count.
    pub(crate) async fn spend_unless<T>(
        &mut self,
        pause: &Pause,
        work: impl Future<Output = T>,
    ) -> Result<T, String> {
        let began = Instant::now();
        let mut wait = self.left;
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.left = self.left.saturating_sub(pause.rest_of(began.elapsed()));
                    return Ok(done);
                }
                () = tokio::time::sleep(wait) => {
                    let Timeouts { connect, confirm, .. } = self.timeouts;
                    let (so_far, most, limit, setting) = match pause.current() {
                        Some(so_far) => (so_far, confirm, confirm, "confirm"),
                        None => (pause.rest_of(began.elapsed()), self.left, connect, "connect"),
                    };
                    wait = most.saturating_sub(so_far).min(TICK);
                    if wait.is_zero() {
                        self.left = Duration::ZERO;
                        return Err(format!(
                            "no response within {} s (`timeouts: {{{setting}: SECONDS}}` raises the limit)",
                            limit.as_secs_f32()
                        ));
                    }
                }
            }
        }
    }
}

/// The time in which the agent may be asking its user for confirmation.
#[derive(Debug, Default)]
pub(crate) struct Pause(Mutex<Times>);

#[derive(Debug, Default)]
struct Times {
    over: Duration,
    since: Option<Instant>,
}

impl Pause {
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        self.times().since = Some(Instant::now());
        let done = work.await;
        let mut times = self.times();
        let took = times.since.take().map(|since| since.elapsed());
        times.over += took.unwrap_or_default();
        done
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the current pause has taken, if there is one.
    fn current(&self) -> Option<Duration> {
        self.times().since.map(|since| since.elapsed())
    }

    /// What is left of a time without the pauses that are over.
    fn rest_of(&self, time: Duration) -> Duration {
        time.saturating_sub(self.times().over)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn budget() -> Budget {
        Budget::new(Timeouts { connect: 10 * SECOND, confirm: 90 * SECOND, ..Timeouts::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_who_takes_time_to_confirm_takes_none_from_the_server() {
        let (mut budget, pause) = (budget(), Pause::default());
        let refused = async {
            sleep(2 * SECOND).await;
            pause.during(sleep(60 * SECOND)).await;
            sleep(3 * SECOND).await;
        };
        budget.spend_unless(&pause, refused).await.unwrap();
        let left = budget.left().as_secs_f32();
        assert!((left - 5.0).abs() < 0.1, "{left}");
        budget.spend(sleep(4 * SECOND)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_and_the_user_each_have_their_own_limit() {
        let pause = Pause::default();
        let silent_server = async {
            pause.during(sleep(60 * SECOND)).await;
            std::future::pending::<()>().await;
        };
        let began = Instant::now();
        let why = budget().spend_unless(&pause, silent_server).await.unwrap_err();
        assert_eq!(why, "no response within 10 s (`timeouts: {connect: SECONDS}` raises the limit)");
        assert!((69..=71).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
        let pause = Pause::default();
        let absent_user = pause.during(std::future::pending::<()>());
        let why = budget().spend_unless(&pause, absent_user).await.unwrap_err();
        assert_eq!(why, "no response within 90 s (`timeouts: {confirm: SECONDS}` raises the limit)");
    }
}
