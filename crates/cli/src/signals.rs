//! Handles SIGINT, SIGTERM and SIGHUP: the first signal asks the run to undo what it began, unlock and end. The
//! second ends the process at once.

use std::sync::Arc;

use bowline_engine::error::RunError;
use bowline_engine::event::{Event, Events};
use bowline_engine::world::StopTrigger;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::ui::{self, Handle};
use crate::{exit, hints};

/// Starts listening in a separate task. Must be called inside the runtime.
pub fn listen(stop: Arc<StopTrigger>, screen: Handle) {
    let mut signals = Signals::open();
    tokio::spawn(async move {
        for asked_before in [false, true] {
            signals.next().await;
            if asked_before {
                leave(&screen);
            }
            screen.emit(Event::Interrupted);
            stop.stop();
        }
    });
}

/// For work that has nothing to undo. A signal drops it, and ends its programs. Must be called inside the runtime.
pub async fn unless_interrupted<T>(wanted: impl Future<Output = T>) -> Result<T, RunError> {
    let mut signals = Signals::open();
    tokio::select! {
        given = wanted => Ok(given),
        () = signals.next() => Err(RunError::interrupted()),
    }
}

/// The signals to handle, except those that the caller ignores: `nohup bowline deploy &` outlives its terminal.
struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

impl Signals {
    fn open() -> Self {
        let ignored = ignored();
        let open = |kind: SignalKind| {
            let mask = u32::try_from(kind.as_raw_value() - 1).ok().and_then(|bit| 1_u64.checked_shl(bit));
            if ignored & mask.unwrap_or_default() == 0 { signal(kind).ok() } else { None }
        };
        Self {
            interrupt: open(SignalKind::interrupt()),
            terminate: open(SignalKind::terminate()),
            hangup: open(SignalKind::hangup()),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            () = next(&mut self.interrupt) => {}
            () = next(&mut self.terminate) => {}
            () = next(&mut self.hangup) => {}
        }
    }
}

fn leave(screen: &Handle) -> ! {
    let _still = screen.hide();
    ui::terminal::restore();
    ui::out::stderr([format!("quit; {}", hints::AGAIN)]);
    std::process::exit(i32::from(exit::INTERRUPTED));
}

async fn next(signal: &mut Option<Signal>) {
    let received = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if received.is_none() {
        std::future::pending::<()>().await;
    }
}

/// The signals that our parent process ignores, as a bit mask. Known on Linux only, elsewhere 0.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}
