//! Whether a service accepts requests: running, paused (they wait) or stopped (they are refused).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::state;

/// What a service does with new requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Running,
    /// Holds each for this long at most.
    Paused(Duration),
    /// Refuses them.
    Stopped(Notice),
}

/// What the clients of a stopped service get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// For the error page.
    pub message: Arc<str>,
    /// The seconds of `Retry-After`. 0 sends no such header.
    pub retry_after: u32,
}

impl State {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused(_) => "paused",
            Self::Stopped(_) => "stopped",
        }
    }

    /// The form in the state file. Unlike kamal-proxy's, it doesn't keep values that belong to other states.
    pub fn to_file(&self) -> state::Pause {
        match self {
            Self::Running => state::Pause::default(),
            Self::Paused(wait) => state::Pause { state: 1, fail_after: *wait, ..state::Pause::default() },
            Self::Stopped(notice) => state::Pause {
                state: 2,
                stop_message: notice.message.to_string(),
                retry_after: notice.retry_after,
                ..state::Pause::default()
            },
        }
    }

    pub fn of_file(pause: &state::Pause) -> Self {
        match pause.state {
            1 => Self::Paused(pause.fail_after),
            2 => Self::Stopped(Notice {
                message: pause.stop_message.as_str().into(),
                retry_after: pause.retry_after,
            }),
            _ => Self::Running,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// It waited as long as the pause allows.
    Expired,
    Stopped(Notice),
}

/// The gate of one service. It outlives deploys.
#[derive(Debug)]
pub struct Gate {
    open: AtomicBool,
    state: watch::Sender<State>,
}

impl Gate {
    pub fn new(state: State) -> Self {
        Self { open: AtomicBool::new(state == State::Running), state: watch::Sender::new(state) }
    }

    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Changes the state. Waiting requests then pass, are refused, or keep waiting.
    pub fn set(&self, state: State) {
        // The flag first: tasks that wait for the state check the flag next.
        self.open.store(state == State::Running, Ordering::SeqCst);
        self.state.send_replace(state);
    }

    /// Waits until a request that arrived at `arrived` may pass.
    pub async fn pass(&self, arrived: Instant) -> Result<(), Refused> {
        let mut changes = self.state.subscribe();
        loop {
            let state = changes.borrow_and_update().clone();
            let wait = match state {
                State::Running => return Ok(()),
                State::Stopped(notice) => return Err(Refused::Stopped(notice)),
                State::Paused(wait) => wait,
            };
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return Err(Refused::Expired) },
                () = sleep_until(arrived + wait) => return Err(Refused::Expired),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        Notice { message: "gone".into(), retry_after: 60 }
    }

    const PAUSE: State = State::Paused(Duration::from_secs(30));

    #[tokio::test(start_paused = true)]
    async fn paused_requests_wait_each_from_its_own_arrival() {
        let gate = Gate::new(PAUSE);
        let arrived = Instant::now();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(gate.pass(arrived).await, Err(Refused::Expired));
        assert_eq!(arrived.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn resume_lets_through_and_stop_refuses_at_once() {
        for (then, expected) in
            [(State::Running, Ok(())), (State::Stopped(notice()), Err(Refused::Stopped(notice())))]
        {
            let gate = Arc::new(Gate::new(PAUSE));
            let waiting = tokio::spawn({
                let gate = Arc::clone(&gate);
                async move { gate.pass(Instant::now()).await }
            });
            tokio::time::sleep(Duration::from_secs(1)).await;
            gate.set(then);
            assert_eq!(waiting.await.unwrap(), expected);
        }
    }

    #[test]
    fn the_state_file_keeps_it() {
        for state in [State::Running, PAUSE, State::Stopped(notice())] {
            assert_eq!(State::of_file(&state.to_file()), state);
            assert_eq!(Gate::new(state.clone()).is_open(), state == State::Running);
        }
    }
}
