//! Opens a TCP connection to a host: resolves its name, tries its addresses in turn, and if none responds, reports a
//! reason that the user can act on.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use bowline_engine::ports::ServerError;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::Result;
use crate::ssh_config::Ends;

/// Pauses before resolving a name again: resolvers of small networks fail occasionally.
const AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(600)];

/// Resolves a host name to at least one address, within a time limit.
pub(crate) async fn addresses(host: &str, port: u16, within: Duration) -> Result<Vec<SocketAddr>> {
    let lookup = || async { Ok(tokio::net::lookup_host((host, port)).await?.collect()) };
    let answer = async {
        match resolve(host, lookup).await {
            Err(error) => {
                Some(by_this_machine(host, port).await).filter(|found| !found.is_empty()).ok_or(error)
            }
            found => found,
        }
    };
    match tokio::time::timeout(within, answer).await {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(unresolved(host, "the name has no address")),
        Ok(answer) => answer,
        Err(_) => Err(unresolved(host, &format!("no response within {} s", tenths(within)))),
    }
}

pub(crate) async fn tcp(addresses: &[SocketAddr], ends: &Ends, within: Duration) -> Result<TcpStream> {
    let until = Instant::now() + within;
    let mut last = None;
    for (index, address) in addresses.iter().enumerate() {
        // Divide the time, so that an address that drops packets leaves some for the next.
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        match tokio::time::timeout(share, connect(*address, ends)).await {
            Ok(Ok(stream)) => {
                // Otherwise each small packet of a step waits for the acknowledgement of the previous one.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = Some(failed(*address, &error)),
            Err(_) => last = Some(silent(*address, within)),
        }
    }
    Err(last.unwrap_or(ServerError::Unreachable { reason: "there is no address".into(), hint: None }))
}

async fn connect(address: SocketAddr, ends: &Ends) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(interface) = &ends.interface {
        let bound = bind_interface(&socket, interface);
        bound.map_err(|error| io::Error::other(format!("BindInterface {interface}: {error}")))?;
    }
    if let Some(own) = &ends.address {
        let failed = |why: String| io::Error::other(format!("BindAddress {own}: {why}"));
        let mut found =
            tokio::net::lookup_host((own.as_str(), 0)).await.map_err(|e| failed(e.to_string()))?;
        let own = found.find(|own| own.is_ipv4() == address.is_ipv4());
        let own =
            own.ok_or_else(|| failed(format!("it has no address of the same family as {}", address.ip())))?;
        socket.bind(own).map_err(|e| failed(e.to_string()))?;
    }
    socket.connect(address).await
}

#[cfg(target_os = "linux")]
fn bind_interface(socket: &TcpSocket, interface: &str) -> io::Result<()> {
    socket.bind_device(Some(interface.as_bytes()))
}

#[cfg(not(target_os = "linux"))]
fn bind_interface(_: &TcpSocket, _: &str) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "works on Linux only"))
}

async fn resolve<L>(host: &str, mut lookup: impl FnMut() -> L) -> Result<Vec<SocketAddr>>
where
    L: Future<Output = io::Result<Vec<SocketAddr>>>,
{
    let mut pauses = AGAIN.iter();
    loop {
        match lookup().await {
            Ok(addresses) => return Ok(addresses),
            Err(error) => match pauses.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return Err(unresolved(host, &error.to_string())),
            },
        }
    }
}

/// Asks `getent`. This static program's own resolver knows only the hosts file and DNS. `getent` also uses the other
/// sources in `/etc/nsswitch.conf`, such as mDNS (`server.local`), LDAP and the containers of systemd.
async fn by_this_machine(host: &str, port: u16) -> Vec<SocketAddr> {
    if host.starts_with('-') {
        return Vec::new();
    }
    let mut command = tokio::process::Command::new("getent");
    command.args(["ahosts", host]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = command.output().await;
    output.map_or_else(|_| Vec::new(), |output| listed(&String::from_utf8_lossy(&output.stdout), port))
}

/// Parses the output of `getent ahosts`: each line starts with an address, and addresses repeat.
fn listed(text: &str, port: u16) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for address in text.lines().filter_map(|line| line.split_whitespace().next()?.parse::<IpAddr>().ok()) {
        let address = SocketAddr::new(address, port);
        if !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

fn unresolved(host: &str, why: &str) -> ServerError {
    let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(why);
    ServerError::Unreachable {
        reason: format!("the name {host} can't be resolved: {why}"),
        hint: Some("check its spelling, or this machine's DNS".into()),
    }
}

fn failed(address: SocketAddr, error: &io::Error) -> ServerError {
    let port = address.port();
    let (reason, hint) = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            (format!("{address} refused the connection"), format!("is sshd running on port {port}?"))
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => (
            format!("there is no route to {address}"),
            "check the address, and this machine's network".to_owned(),
        ),
        io::ErrorKind::Other => {
            (format!("could not connect to {address}: {error}"), "see the SSH configuration".to_owned())
        }
        io::ErrorKind::TimedOut => return silent(address, Duration::ZERO),
        _ => (format!("could not connect to {address}: {error}"), format!("is sshd running on port {port}?")),
    };
    ServerError::Unreachable { reason, hint: Some(hint) }
}

/// Seconds, rounded to tenths: what is left of a limit has many digits.
fn tenths(time: Duration) -> f32 {
    (time.as_secs_f32() * 10.0).round() / 10.0
}

fn silent(address: SocketAddr, within: Duration) -> ServerError {
    let time = match within {
        Duration::ZERO => String::new(),
        within => format!(" within {} s", tenths(within)),
    };
    ServerError::Unreachable {
        reason: format!("{address} did not respond{time}"),
        hint: Some(format!("is the server up, and port {} open in its firewall?", address.port())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<T: std::fmt::Debug>(result: Result<T>) -> (String, String) {
        match result {
            Err(ServerError::Unreachable { reason, hint }) => (reason, hint.unwrap_or_default()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_time_without_a_response_is_rounded() {
        let address = ([192, 0, 2, 1], 22).into();
        let (reason, _) = parts::<()>(Err(silent(address, Duration::from_micros(1_999_995))));
        assert_eq!(reason, "192.0.2.1:22 did not respond within 2 s");
    }

    #[tokio::test]
    async fn a_closed_port() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (reason, hint) =
            parts(tcp(&[([127, 0, 0, 1], port).into()], &Ends::default(), Duration::from_secs(5)).await);
        assert_eq!(reason, format!("127.0.0.1:{port} refused the connection"));
        assert_eq!(hint, format!("is sshd running on port {port}?"));
    }

    #[tokio::test]
    async fn a_connection_comes_from_the_address_that_is_wanted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let to = [listener.local_addr().unwrap()];
        let from = |address: &str| Ends { address: Some(address.into()), ..Ends::default() };
        let stream = tcp(&to, &from("127.0.0.2"), Duration::from_secs(5)).await.unwrap();
        assert_eq!(stream.local_addr().unwrap().ip().to_string(), "127.0.0.2");
        let (reason, hint) = parts(tcp(&to, &from("192.0.2.1"), Duration::from_secs(5)).await);
        assert!(reason.contains("BindAddress 192.0.2.1: "), "{reason}");
        assert_eq!(hint, "see the SSH configuration");
        let (reason, _) = parts(tcp(&to, &from("::1"), Duration::from_secs(5)).await);
        assert!(
            reason.ends_with("BindAddress ::1: it has no address of the same family as 127.0.0.1"),
            "{reason}"
        );
        let ends = Ends { interface: Some("no-such-device".into()), ..Ends::default() };
        let (reason, _) = parts(tcp(&to, &ends, Duration::from_secs(5)).await);
        assert!(reason.contains("BindInterface no-such-device: "), "{reason}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_resolver_that_stumbles_is_asked_again() {
        let address: SocketAddr = "192.0.2.1:22".parse().unwrap();
        for (failures, found) in [(0, true), (2, true), (3, false)] {
            let mut asked = 0;
            let lookup = || {
                asked += 1;
                let found = asked > failures;
                async move { if found { Ok(vec![address]) } else { Err(io::Error::other("try again")) } }
            };
            let answer = resolve("app.example.com", lookup).await;
            assert_eq!(answer.is_ok_and(|addresses| addresses == [address]), found, "{failures} failures");
            assert_eq!(asked, 3.min(failures + 1));
        }
    }

    #[test]
    fn what_getent_prints() {
        let text = "192.0.2.7       STREAM nas.local\n192.0.2.7       DGRAM\n192.0.2.7       RAW\n2001:db8::7     STREAM\n";
        let addresses = ["192.0.2.7:22", "[2001:db8::7]:22"].map(|address| address.parse().unwrap());
        assert_eq!(listed(text, 22), addresses);
        assert_eq!(listed("usage: getent\n\n", 22), []);
    }

    #[tokio::test]
    async fn a_name_that_is_none() {
        let (reason, hint) = parts(addresses("no-such-host.invalid", 22, Duration::from_secs(20)).await);
        assert!(reason.starts_with("the name no-such-host.invalid can't be resolved: "), "{reason}");
        assert!(hint.contains("DNS"));
    }
}
