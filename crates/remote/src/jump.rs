//! The route to a host: over jump hosts, each an SSH connection inside the previous one, or by `proxy_command`.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};

use bowline_config::ssh::{Jump, Ssh, Target};
use bowline_engine::ports::ServerError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Result;
use crate::local::Group;
use crate::options::Options;
use crate::session::Session;
use crate::ssh_config::{ConfigReader, Endpoint, HostSettings, Tokens};
use crate::stream::Bytes;

/// One host of the route; the last one is the destination.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    pub(crate) endpoint: Endpoint,
    pub(crate) settings: Arc<HostSettings>,
}

#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// A local command in place of the first TCP connection.
    pub(crate) proxy_command: Option<String>,
    pub(crate) hops: Vec<Hop>,
}

/// The maximum length of a route. A longer one is a mistake in the configuration.
const HOPS: usize = 16;

impl Route {
    /// Plans the route to a host, written `[USER@]HOST[:PORT]`. The proxy in `deploy.yml` takes precedence over
    /// `ssh_config`. The first jump host is reached as its own configuration says, the others through the one before.
    pub(crate) async fn plan(host: &str, ssh: &Ssh, config: &ConfigReader) -> Result<Self> {
        let Target { user, host, port } = ssh.target(host);
        let target = Endpoint { host: host.to_owned(), user: Some(user.to_owned()), port: Some(port) };
        let settings = config.settings(&target).await?;
        let mut hops = VecDeque::from([Hop { endpoint: target, settings }]);
        let (mut jumps, mut proxy_command) = given(ssh).unwrap_or_else(|| own(&hops));
        while !jumps.is_empty() {
            for endpoint in jumps.into_iter().rev() {
                let settings = config.settings(&endpoint).await?;
                hops.push_front(Hop { endpoint, settings });
            }
            if hops.len() > HOPS {
                return Err(ServerError::Unreachable {
                    reason: format!("there are more than {HOPS} jump hosts on the way"),
                    hint: Some("check ProxyJump in the SSH configuration".into()),
                });
            }
            (jumps, proxy_command) = own(&hops);
        }
        Ok(Self { proxy_command, hops: hops.into() })
    }
}

/// The route that `deploy.yml` sets for every server.
fn given(ssh: &Ssh) -> Option<(Vec<Endpoint>, Option<String>)> {
    let jump = |jump: &Jump| Endpoint {
        host: jump.host.clone(),
        user: Some(jump.user.clone()),
        port: Some(jump.port),
    };
    match &ssh.proxy_command {
        _ if !ssh.proxy.is_empty() => Some((ssh.proxy.iter().map(jump).collect(), None)),
        Some(line) => Some((Vec::new(), Some(line.clone()))),
        None => None,
    }
}

/// The route in the first hop's own settings. Ignores jump hosts that are already on the route, as with a pattern for
/// all hosts, so that they are reached directly.
fn own(hops: &VecDeque<Hop>) -> (Vec<Endpoint>, Option<String>) {
    let Some(first) = hops.front() else { return (Vec::new(), None) };
    let on_the_way = |jump: &Endpoint| {
        let same = |hop: &Hop| hop.endpoint.host == jump.host && port(jump) == port(&hop.endpoint);
        hops.iter().any(|hop| same(hop) || (jump.port.is_none() && hop.endpoint.host == jump.host))
    };
    let jumps: Vec<_> = first.settings.jumps.iter().filter(|jump| !on_the_way(jump)).cloned().collect();
    let proxy_command = if jumps.is_empty() { first.settings.proxy_command.clone() } else { None };
    (jumps, proxy_command)
}

fn port(endpoint: &Endpoint) -> u16 {
    endpoint.port.unwrap_or(22)
}

pub(crate) async fn through(via: &Session, to: &HostSettings) -> Result<Box<dyn Bytes>> {
    let port = u32::from(to.port);
    let opened = via.handle().channel_open_direct_tcpip(to.hostname.clone(), port, "127.0.0.1", 0).await;
    match opened {
        Ok(channel) => Ok(Box::new(channel.into_stream())),
        Err(russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::ConnectFailed)) => {
            Err(ServerError::Unreachable {
                reason: format!("the jump host can't connect to {}:{}", to.hostname, to.port),
                hint: Some(format!(
                    "is sshd running there on port {}, and can the jump host reach it?",
                    to.port
                )),
            })
        }
        Err(russh::Error::ChannelOpenFailure(why)) => Err(ServerError::Unreachable {
            reason: format!("the jump host does not forward to {}:{} ({why:?})", to.hostname, to.port),
            hint: Some("AllowTcpForwarding in its sshd_config must be `yes` or `local`".into()),
        }),
        Err(error) => Err(ServerError::Unreachable {
            reason: format!("the connection to the jump host ended: {}", via.why(&error.to_string())),
            hint: None,
        }),
    }
}

/// Starts a proxy command. Also returns the line that the shell got.
pub(crate) fn command(line: &str, to: &Hop, options: &Options) -> Result<(Box<dyn Bytes>, String)> {
    let tokens = Tokens { options, endpoint: &to.endpoint, settings: &to.settings };
    let line = tokens.command(line).map_err(|why| ServerError::Unreachable {
        reason: format!("the proxy command can't be used: {why}"),
        hint: Some("ssh_config(5) lists the tokens of ProxyCommand; `%%` is a percent sign".into()),
    })?;
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("exec {line}"));
    // Its standard error goes to the screen, as with ssh: nothing else says why it failed.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
    let trouble = |why: String| ServerError::Unreachable {
        reason: format!("the proxy command `{line}` can't be started: {why}"),
        hint: None,
    };
    let mut child = command.spawn().map_err(|e| trouble(e.to_string()))?;
    match (child.stdout.take(), child.stdin.take()) {
        (Some(stdout), Some(stdin)) => {
            let group = Group::of(&child);
            Ok((Box::new(ProxyCommand { stdout, stdin, _group: group, _child: child }), line))
        }
        _ => Err(trouble("it has no standard input or output".to_owned())),
    }
}

/// The command's two pipes as one stream. Dropping it ends the command.
struct ProxyCommand {
    stdout: ChildStdout,
    stdin: ChildStdin,
    _group: Group,
    _child: Child,
}

impl AsyncRead for ProxyCommand {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buf)
    }
}

impl AsyncWrite for ProxyCommand {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::UserConfig;

    async fn way(config: &str, ssh: &Ssh, host: &str) -> Result<(Vec<String>, Option<String>), String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(&file, config).unwrap();
        let options = Options {
            home: Some(directory.path().to_owned()),
            user_config: UserConfig::File(file),
            ..Options::from_env()
        };
        let route = Route::plan(host, ssh, &ConfigReader::new(options)).await.map_err(|e| e.to_string())?;
        let hop = |hop: &Hop| {
            let Endpoint { host, user, port } = &hop.endpoint;
            format!("{}@{host}:{}", user.as_deref().unwrap_or_default(), port.unwrap_or_default())
        };
        Ok((route.hops.iter().map(hop).collect(), route.proxy_command))
    }

    #[tokio::test]
    async fn a_jump_host_is_reached_as_its_own_configuration_says() {
        let config = "Host web\n  ProxyJump inner\nHost inner\n  ProxyJump one,two\n\
                      Host one\n  ProxyCommand nc %h\nHost two\n  ProxyJump never\n";
        let (hops, command) = way(config, &Ssh::default(), "web").await.unwrap();
        // `two` is reached through `one`, whatever its own settings say.
        assert_eq!(hops, ["@one:0", "@two:0", "@inner:0", "root@web:22"]);
        assert_eq!(command.as_deref(), Some("nc %h"));
        let jump = Jump { user: "ops".into(), host: "inner".into(), port: 2200 };
        let (hops, _) = way(config, &Ssh { proxy: vec![jump], ..Ssh::default() }, "db").await.unwrap();
        assert_eq!(hops, ["@one:0", "@two:0", "ops@inner:2200", "root@db:22"]);
    }

    #[tokio::test]
    async fn a_jump_host_that_leads_back_is_reached_directly() {
        let circle = "Host web\n  ProxyJump a\nHost a\n  ProxyJump b\nHost b\n  ProxyJump a\n";
        assert_eq!(way(circle, &Ssh::default(), "web").await.unwrap().0, ["@b:0", "@a:0", "root@web:22"]);
        // `ssh` itself rejects loops. It doesn't count the same name on another port as one.
        let itself = "Host *\n  ProxyJump bastion\n";
        let error = way(itself, &Ssh::default(), "web").await.unwrap_err();
        assert!(error.contains("jumphost loop via bastion"), "{error}");
    }

    #[tokio::test]
    async fn hosts_in_brackets_with_users_and_ports() {
        for (host, read) in [
            ("[2001:db8::1]", "root@2001:db8::1:22"),
            ("2001:db8::1", "root@2001:db8::1:22"),
            ("[2001:db8::1]:2222", "root@2001:db8::1:2222"),
            ("deploy@[2001:db8::1]:2222", "deploy@2001:db8::1:2222"),
            ("deploy@web", "deploy@web:22"),
            ("web:2222", "root@web:2222"),
        ] {
            assert_eq!(way("", &Ssh::default(), host).await.unwrap().0, [read]);
        }
    }
}
