//! A TCP connection to a host: its name resolved, its addresses tried in turn, and a reason that a person can
//! act on when none answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bowline_engine::ports::ServerError;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Pauses before a name that did not resolve is tried again: resolvers of small networks stumble.
const AGAIN: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(600)];

/// The addresses of a host, within a time. There is at least one.
pub(crate) async fn addresses(
    host: &str,
    port: u16,
    within: Duration,
) -> Result<Vec<SocketAddr>, ServerError> {
    let lookup = || async { Ok(tokio::net::lookup_host((host, port)).await?.collect()) };
    match tokio::time::timeout(within, resolve(host, lookup)).await {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(unresolved(host, "the name has no address")),
        Ok(answer) => answer,
        Err(_) => Err(unresolved(host, &format!("no answer within {} s", within.as_secs_f32()))),
    }
}

/// Connects to the first of these addresses that answers, within a time.
pub(crate) async fn tcp(addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, ServerError> {
    let until = Instant::now() + within;
    let mut last = None;
    for (index, address) in addresses.iter().enumerate() {
        // Each gets its share, so that one that swallows packets leaves time for the next.
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it each small packet of a step waits for the last one's receipt.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = Some(failed(*address, &error)),
            Err(_) => last = Some(silent(*address, within)),
        }
    }
    Err(last.unwrap_or(ServerError::Unreachable { reason: "there is no address".into(), hint: None }))
}

async fn resolve<L>(host: &str, mut lookup: impl FnMut() -> L) -> Result<Vec<SocketAddr>, ServerError>
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
        io::ErrorKind::TimedOut => return silent(address, Duration::ZERO),
        _ => (format!("no connection to {address}: {error}"), format!("is sshd running on port {port}?")),
    };
    ServerError::Unreachable { reason, hint: Some(hint) }
}

fn silent(address: SocketAddr, within: Duration) -> ServerError {
    let time = match within {
        Duration::ZERO => String::new(),
        within => format!(" within {} s", within.as_secs_f32()),
    };
    ServerError::Unreachable {
        reason: format!("{address} gave no answer{time}"),
        hint: Some(format!("is the server up, and port {} open in its firewall?", address.port())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<T: std::fmt::Debug>(result: Result<T, ServerError>) -> (String, String) {
        match result {
            Err(ServerError::Unreachable { reason, hint }) => (reason, hint.unwrap_or_default()),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_closed_port() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (reason, hint) = parts(tcp(&[([127, 0, 0, 1], port).into()], Duration::from_secs(5)).await);
        assert_eq!(reason, format!("127.0.0.1:{port} refused the connection"));
        assert_eq!(hint, format!("is sshd running on port {port}?"));
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

    #[tokio::test]
    async fn a_name_that_is_none() {
        let (reason, hint) = parts(addresses("no-such-host.invalid", 22, Duration::from_secs(20)).await);
        assert!(reason.starts_with("the name no-such-host.invalid can't be resolved: "), "{reason}");
        assert!(hint.contains("DNS"));
    }
}
