//! What a server's Docker Engine says happened, with its own clock: the order of things, seen from outside.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::sandbox::{Server, wait_until};

/// Something that happened on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// When, in nanoseconds since 1970. All servers of a sandbox have the same clock.
    pub at: u64,
    /// `container`, `image`, …
    pub kind: String,
    /// `create`, `start`, `kill`, `stop`, `die`, `health_status: healthy`, `tag`, …
    pub action: String,
    /// The container's name, or the image's.
    pub name: String,
}

/// Records what happens on a server from its start on.
#[derive(Debug)]
pub struct Watch {
    server: Server,
    child: Child,
    inside: String,
    heard: Arc<Mutex<Vec<Happened>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins to record.
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

    /// Everything until now, in order, but for the health checks' own commands.
    #[must_use]
    pub fn so_far(&self) -> Vec<Happened> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until something happens that the test looks for.
    ///
    /// # Panics
    /// When it doesn't within the deadline.
    #[track_caller]
    pub fn wait_for(&self, what: &str, deadline: Duration, found: impl Fn(&Happened) -> bool) {
        wait_until(what, deadline, || self.so_far().iter().any(&found));
    }

    /// Ends the recording and gives all of it. What happened before this call is in it: the engine is asked for a
    /// sign of its own, and heard.
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
        // Ending `docker exec` leaves what it ran alive.
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

    /// Whether it is this, of a container (or image) of this name.
    #[must_use]
    pub fn is(&self, action: &str, name: &str) -> bool {
        self.action == action && self.name == name
    }
}

/// When something first happened.
///
/// # Panics
/// When it didn't; the message has all that did.
#[must_use]
#[track_caller]
pub fn when(all: &[Happened], action: &str, name: &str) -> u64 {
    let found = all.iter().find(|happened| happened.is(action, name));
    found.unwrap_or_else(|| panic!("no {action} of {name} in\n{}", told(all))).at
}

/// Whether it ever happened.
#[must_use]
pub fn ever(all: &[Happened], action: &str, name: &str) -> bool {
    all.iter().any(|happened| happened.is(action, name))
}

/// All of it, a line each.
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
