//! Records a server's Docker events with the engine's timestamps, to check the order of what a deploy does.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::sandbox::{Server, wait_until};

/// A Docker event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// In nanoseconds since 1970. All servers of a sandbox share a clock.
    pub at: u64,
    /// `container`, `image`, …
    pub kind: String,
    /// `create`, `start`, `kill`, `stop`, `die`, `health_status: healthy`, `tag`, …
    pub action: String,
    /// The name of the container or image.
    pub name: String,
}

/// Records the events on a server.
#[derive(Debug)]
pub struct Watch {
    server: Server,
    child: Child,
    inside: String,
    heard: Arc<Mutex<Vec<Happened>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    ///
    /// # Panics
    /// When the server's engine doesn't answer.
    #[must_use]
    pub fn on(server: &Server) -> Self {
        let format = "{{.TimeNano}}\t{{.Type}}\t{{.Action}}\t{{.Actor.Attributes.name}}";
        let script = format!("echo $$; exec docker events --since $(date +%s.%N) --format '{format}'");
        let mut child = Command::new("docker")
            .args(["exec", &server.name, "bash", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker exec");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let inside = lines.next().and_then(Result::ok).expect("the number of docker events");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let told = heard.clone();
        let thread = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(happened) = Happened::read(&line) {
                    told.lock().unwrap_or_else(PoisonError::into_inner).push(happened);
                }
            }
        });
        Self { server: server.clone(), child, inside, heard, thread: Some(thread) }
    }

    /// All events so far, in order, without the health checks' commands.
    #[must_use]
    pub fn so_far(&self) -> Vec<Happened> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for an event.
    ///
    /// # Panics
    /// When it doesn't within the deadline.
    #[track_caller]
    pub fn wait_for(&self, what: &str, deadline: Duration, found: impl Fn(&Happened) -> bool) {
        wait_until(what, deadline, || self.so_far().iter().any(&found));
    }

    /// Stops recording and returns all events. It creates a volume and waits for that event, so that none is missing.
    ///
    /// # Panics
    /// When the engine's sign isn't heard.
    #[must_use]
    pub fn stop(mut self) -> Vec<Happened> {
        let sign = format!("sign-{}", self.inside);
        self.server.run(&format!("docker volume create {sign} && docker volume rm {sign}")).ok();
        wait_until("the engine's sign", Duration::from_secs(10), || {
            self.so_far().iter().any(|happened| happened.kind == "volume" && happened.action == "destroy")
        });
        self.end();
        let mut all = self.so_far();
        all.retain(|happened| happened.kind != "volume");
        all
    }

    fn end(&mut self) {
        // Killing `docker exec` leaves the process in the container running.
        let _ = self.server.run(&format!("kill {}", self.inside));
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

impl Happened {
    fn read(line: &str) -> Option<Self> {
        let mut parts = line.splitn(4, '\t');
        let at = parts.next()?.parse().ok()?;
        let (kind, action) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let name = parts.next().unwrap_or_default().to_owned();
        (!action.starts_with("exec_")).then_some(Self { at, kind, action, name })
    }

    /// Whether this is the action, on a container or image with this name.
    #[must_use]
    pub fn is(&self, action: &str, name: &str) -> bool {
        self.action == action && self.name == name
    }
}

/// When this first happened.
///
/// # Panics
/// When it didn't; the message has all that did.
#[must_use]
#[track_caller]
pub fn when(all: &[Happened], action: &str, name: &str) -> u64 {
    let found = all.iter().find(|happened| happened.is(action, name));
    found.unwrap_or_else(|| panic!("no {action} of {name} in\n{}", told(all))).at
}

/// Whether this ever happened.
#[must_use]
pub fn ever(all: &[Happened], action: &str, name: &str) -> bool {
    all.iter().any(|happened| happened.is(action, name))
}

/// Formats the events, one per line.
#[must_use]
pub fn told(all: &[Happened]) -> String {
    let start = all.first().map_or(0, |first| first.at);
    all.iter()
        .map(|happened| {
            let ms = (happened.at - start.min(happened.at)) / 1_000_000;
            format!("{ms:6} ms  {} {}  {}\n", happened.kind, happened.action, happened.name)
        })
        .collect()
}
