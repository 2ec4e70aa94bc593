//! Pebble, an ACME authority for tests (Debian's package `pebble`; `bin/setup` installs it).

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};

use super::free_port;

/// A process that ends with the test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    fn wait_until_it_listens(&mut self, address: &str, log: &Path) {
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.0.try_wait().unwrap() {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                panic!("nothing listens on {address}: {status}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn start(command: &mut Command, log: &Path) -> Process {
    let log = std::fs::File::create(log).unwrap();
    let started = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
    let program = command.get_program();
    Process(started.unwrap_or_else(|e| panic!("can't run {program:?}: {e}. Run bin/setup to install it")))
}

/// An authority, and a DNS server that resolves all names to this machine.
pub(crate) struct Authority {
    port: u16,
    _processes: [Process; 2],
}

impl Authority {
    /// Starts an authority that validates challenges at these ports, and waits until it accepts connections. The
    /// certificate of its own server is `root.pem` in `home`, and its log is `pebble.log`.
    pub(crate) fn start(home: &Path, http: u16, alpn: u16) -> Self {
        let path = |name: &str| home.join(name);
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(path("root.pem"), own.pem()).unwrap();
        std::fs::write(path("key.pem"), key.serialize_pem()).unwrap();
        let port = free_port();
        let config = serde_json::json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": "",
            "certificate": path("root.pem"),
            "privateKey": path("key.pem"),
            "httpPort": http,
            "tlsPort": alpn,
            "certificateValidityPeriod": 7_776_000,
        }});
        std::fs::write(path("pebble.json"), config.to_string()).unwrap();
        let dns = format!("127.0.0.1:{}", free_port());
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", "", "-dns01", &dns]);
        names.args(["-management", &format!("127.0.0.1:{}", free_port())]);
        let mut authority = Command::new("pebble");
        authority.args(["-dnsserver", &dns, "-config"]).arg(path("pebble.json"));
        authority.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "10");
        let mut processes = [start(&mut names, &path("dns.log")), start(&mut authority, &path("pebble.log"))];
        let [names, authority] = &mut processes;
        names.wait_until_it_listens(&dns, &path("dns.log"));
        authority.wait_until_it_listens(&format!("127.0.0.1:{port}"), &path("pebble.log"));
        Self { port, _processes: processes }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }
}
