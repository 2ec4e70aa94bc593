//! A terminal for a command under test: a pty in whose foreground the command runs, and which can type keys and
//! change its size.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

#[derive(Debug)]
pub struct Terminal {
    keyboard: File,
    /// The command's side of the pty, kept open to check its settings after the command ends.
    line: OwnedFd,
    settings: String,
    screen: Arc<Mutex<Vec<u8>>>,
    /// The screen up to here was searched before.
    seen: usize,
    child: Child,
    gone: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Runs a command in a terminal of this size. Uses its program, arguments, directory and environment.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&master).expect("a pty of ours");
        unlockpt(&master).expect("a pty that can be opened");
        let name = ptsname(&master, Vec::new()).expect("the name of a pty");
        let line = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
            .expect("the other side of a pty");
        tcsetwinsize(&master, size(columns, rows)).expect("a size");
        let stream = || line.try_clone().expect("a file descriptor");
        // Only in its own session does the command get a signal when the size changes.
        let mut inside = Command::new("setsid");
        inside.arg("--ctty").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            inside.current_dir(directory);
        }
        inside.env("TERM", "xterm").stdin(stream()).stdout(stream()).stderr(stream());
        let settings = settings(&line);
        let child = inside.spawn().expect("setsid (util-linux)");
        let keyboard = File::from(master);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let from = keyboard.try_clone().expect("a file descriptor");
        // A reader that blocks in `read` would keep the terminal open when it should disappear.
        rustix::fs::fcntl_setfl(&from, OFlags::RDWR | OFlags::NONBLOCK).expect("a flag");
        let (to, gone) = (Arc::clone(&screen), Arc::new(AtomicBool::new(false)));
        let over = Arc::clone(&gone);
        let reader = std::thread::spawn(move || read(from, &to, &over));
        Self { keyboard, line, settings, screen, seen: 0, child, gone, reader: Some(reader) }
    }

    /// Waits until the screen shows `text` after the text of earlier calls.
    ///
    /// # Panics
    /// When it doesn't within 20 s, with all there was.
    pub fn wait_for(&mut self, text: &str) -> &mut Self {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let new = String::from_utf8_lossy(&screen[self.seen..]).into_owned();
            if let Some(at) = new.find(text) {
                self.seen += at + text.len();
                return self;
            }
            assert!(
                Instant::now() < end,
                "the screen never showed {text:?} after byte {}:\n{}",
                self.seen,
                String::from_utf8_lossy(&screen)
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        self.keyboard.write_all(keys.as_bytes()).expect("a terminal to type at");
        self
    }

    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn resize(&mut self, columns: u16, rows: u16) -> &mut Self {
        tcsetwinsize(&self.keyboard, size(columns, rows)).expect("a terminal to resize");
        self
    }

    /// Kills the command, so that it can't clean up.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn kill(mut self) {
        self.child.kill().expect("a command that runs");
        self.child.wait().expect("its end");
    }

    /// Closes the terminal, like a closed window or a broken connection. Returns the command's exit code.
    ///
    /// # Panics
    /// When it doesn't end within 30 s.
    pub fn hang_up(mut self) -> Option<i32> {
        self.gone.store(true, Ordering::Relaxed);
        self.reader.take().map(JoinHandle::join);
        let nothing = || File::open("/dev/null").expect("a file");
        self.line = nothing().into();
        self.keyboard = nothing();
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return status.code();
            }
            assert!(Instant::now() < end, "it does not end without its terminal");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the command ends. Returns its exit code.
    ///
    /// # Panics
    /// When it doesn't end within 20 s, or leaves the terminal with other settings than before.
    pub fn exit_code(mut self) -> Option<i32> {
        let end = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                break status;
            }
            let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            assert!(Instant::now() < end, "it does not end:\n{}", String::from_utf8_lossy(&screen));
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(settings(&self.line), self.settings, "the terminal's settings");
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stores the output until the command or the terminal is gone.
fn read(mut from: File, to: &Mutex<Vec<u8>>, over: &AtomicBool) {
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer) {
            Ok(count @ 1..) => {
                to.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..count]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && !over.load(Ordering::Relaxed) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            _ => return,
        }
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

fn settings(line: &OwnedFd) -> String {
    format!("{:?}", tcgetattr(line).expect("a terminal's settings"))
}
