//! Certificates from pebble, an ACME authority for tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests stops the test")]
#![allow(clippy::print_stderr, reason = "a test that is ended because it hangs says what it waited for")]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

#[path = "common/pebble.rs"]
mod pebble;
#[path = "common/ports.rs"]
mod ports;
use pebble::{Authority, Process, start};
use ports::free_port;

const FAILED: &str = "Failed to obtain certificate";

/// A proxy, and an authority that validates at its ports.
struct Setting {
    home: tempfile::TempDir,
    http: u16,
    https: u16,
    directory: String,
    authority: Option<Authority>,
    proxy: Option<Process>,
}

impl Setting {
    /// The authority validates HTTP-01 at the proxy's port or, to make it fail, at a port that nothing listens on.
    fn new(http_01_works: bool) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (http, https) = (free_port(), free_port());
        let authority = Authority::start(home.path(), if http_01_works { http } else { free_port() }, https);
        let directory = authority.url();
        let mut setting = Self { home, http, https, directory, authority: Some(authority), proxy: None };
        setting.start_proxy();
        setting
    }

    fn start_proxy(&mut self) {
        self.proxy = None;
        let (http, https) = (self.http.to_string(), self.https.to_string());
        let mut run = self.command();
        run.args(["run", "--http-port", &http, "--https-port", &https]);
        run.env("SSL_CERT_FILE", self.home.path().join("root.pem"));
        // The former proxy may take a moment to release its ports.
        until("the proxy runs", || {
            let mut process = start(&mut run, &self.home.path().join("proxy.log"));
            // Until it is gone, the former one still responds to commands, so only the log shows that this one runs.
            let ended = loop {
                if self.log().contains("Server started") {
                    break false;
                }
                if process.0.try_wait().unwrap().is_some() {
                    break true;
                }
                std::thread::sleep(Duration::from_millis(20));
            };
            self.proxy = (!ended).then_some(process);
            !ended
        });
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bowline-proxy"));
        command.env("HOME", self.home.path()).env("XDG_RUNTIME_DIR", self.home.path());
        command.env_remove("KAMAL_PROXY_SOCKET").env_remove("SSL_CERT_FILE").stdin(Stdio::null());
        command
    }

    fn deploy(&self, hosts: &str) {
        let mut deploy = self.command();
        deploy.args(["deploy", "web", "--force", "--target", "127.0.0.1:9", "--tls", "--host", hosts]);
        deploy.args(["--tls-acme-directory", &self.directory]);
        let done: Output = deploy.output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("proxy.log")).unwrap()
    }

    /// Issuer, serial number and names of the certificate that a client of this name gets.
    fn certificate(&self, name: &str) -> Option<String> {
        let connect = format!("127.0.0.1:{}", self.https);
        let shown = Command::new("openssl")
            .args(["s_client", "-connect", &connect, "-servername", name])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let read = self.home.path().join("shown.pem");
        std::fs::write(&read, &shown.stdout).unwrap();
        let said = Command::new("openssl")
            .args(["x509", "-noout", "-issuer", "-serial", "-ext", "subjectAltName", "-in"])
            .arg(read)
            .output()
            .unwrap();
        said.status.success().then(|| String::from_utf8_lossy(&said.stdout).into_owned())
    }

    /// Waits for the certificate that the authority issues for this name.
    fn issued(&self, name: &str) -> String {
        let mut seen = None;
        until("a certificate is there", || {
            seen = self.certificate(name);
            seen.is_some()
        });
        let seen = seen.unwrap();
        assert!(seen.contains("Pebble") && seen.contains(&format!("DNS:{name}")), "{seen}");
        seen
    }
}

/// Waits without a deadline of its own: on a busy machine, an order fails if pebble gives up on a validation, and the
/// proxy then waits for minutes.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    eprintln!("waiting until {what}");
    while !is_so() {
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn certificates_are_issued_by_http_01_and_survive_restarts_and_upgrades_without_another_order() {
    let mut setting = Setting::new(true);
    setting.deploy("a.example.com,b.example.com");
    let issued = ["a.example.com", "b.example.com"].map(|name| setting.issued(name));
    assert_ne!(issued[0], issued[1]);
    assert_eq!(setting.certificate("other.example.com"), None);
    // From here on, there is no authority.
    setting.authority = None;
    setting.start_proxy();
    assert_eq!(setting.certificate("a.example.com").as_ref(), Some(&issued[0]));
    let upgraded = setting.command().args(["upgrade", env!("CARGO_BIN_EXE_bowline-proxy")]).output().unwrap();
    assert!(upgraded.status.success(), "{upgraded:?}");
    assert_eq!(setting.certificate("b.example.com").as_ref(), Some(&issued[1]));
}

#[test]
fn certificates_are_issued_by_tls_alpn_01_when_http_01_fails() {
    let mut setting = Setting::new(false);
    setting.deploy("a.example.com");
    until("a certificate is there", || {
        if setting.log().matches(FAILED).count() > 1 {
            // This order met a busy authority, and the next one would come in minutes. A new process orders at once.
            setting.start_proxy();
        }
        setting.certificate("a.example.com").is_some()
    });
    setting.issued("a.example.com");
    assert!(setting.log().contains(FAILED), "{}", setting.log());
}

#[test]
fn a_process_that_takes_over_in_the_middle_of_an_order_gets_the_certificate() {
    let setting = Setting::new(true);
    setting.deploy("a.example.com");
    let upgraded = setting.command().args(["upgrade", env!("CARGO_BIN_EXE_bowline-proxy")]).output().unwrap();
    assert!(upgraded.status.success(), "{upgraded:?}");
    setting.issued("a.example.com");
}
