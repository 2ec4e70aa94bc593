//! The way to a host: over jump hosts, each an SSH connection inside the one before, or through a local
//! command (`proxy_command`).

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};

use bowline_core::config::ssh::{Ssh, Target};
use bowline_engine::ports::ServerError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::local::Group;
use crate::session::Session;
use crate::ssh_config::{ConfigReader, Endpoint, HostSettings, expand_tokens};
use crate::stream::Bytes;

/// One host on the way; the last is where we are going.
#[derive(Debug, Clone)]
pub(crate) struct Hop {
    pub(crate) endpoint: Endpoint,
    pub(crate) settings: Arc<HostSettings>,
}

/// The whole way.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// A local command in place of the first TCP connection.
    pub(crate) proxy_command: Option<String>,
    pub(crate) hops: Vec<Hop>,
}

impl Route {
    /// Plans the way to a host. `deploy.yml`'s proxy wins over that of `ssh_config`.
    pub(crate) async fn plan(host: &str, ssh: &Ssh, config: &ConfigReader) -> Result<Self, ServerError> {
        let Target { user, host, port } = ssh.target(host);
        let target = Endpoint { host: host.to_owned(), user: Some(user.to_owned()), port: Some(port) };
        let settings = config.settings(&target).await?;
        let (jumps, proxy_command) = if !ssh.proxy.is_empty() {
            let jump = |jump: &bowline_core::config::ssh::Jump| Endpoint {
                host: jump.host.clone(),
                user: Some(jump.user.clone()),
                port: Some(jump.port),
            };
            (ssh.proxy.iter().map(jump).collect(), None)
        } else if ssh.proxy_command.is_some() {
            (Vec::new(), ssh.proxy_command.clone())
        } else {
            // A jump host that a pattern of the file sends through itself is reached directly, as ssh does.
            let itself = |hop: &&Endpoint| hop.host == host && hop.port.is_none_or(|hop| hop == port);
            let jumps: Vec<_> = settings.jumps.iter().filter(|hop| !itself(hop)).cloned().collect();
            let proxy_command = if jumps.is_empty() { settings.proxy_command.clone() } else { None };
            (jumps, proxy_command)
        };
        let mut hops = Vec::new();
        for endpoint in jumps {
            let settings = config.settings(&endpoint).await?;
            hops.push(Hop { endpoint, settings });
        }
        hops.push(Hop { endpoint: target, settings });
        Ok(Self { proxy_command, hops })
    }
}

/// A stream to a host through a session on the hop before it.
pub(crate) async fn through(via: &Session, to: &HostSettings) -> Result<Box<dyn Bytes>, ServerError> {
    let port = u32::from(to.port);
    let opened = via.handle().channel_open_direct_tcpip(to.hostname.clone(), port, "127.0.0.1", 0).await;
    match opened {
        Ok(channel) => Ok(Box::new(channel.into_stream())),
        Err(russh::Error::ChannelOpenFailure(russh::ChannelOpenFailure::ConnectFailed)) => {
            Err(ServerError::Unreachable {
                reason: format!("the jump host can't connect to {}:{}", to.hostname, to.port),
                hint: Some(format!("is sshd running there on port {}, and open to the jump host?", to.port)),
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

/// Starts a command whose standard input and output are the connection.
pub(crate) fn command(line: &str, to: &HostSettings) -> Result<Box<dyn Bytes>, ServerError> {
    let line = expand_tokens(line, |letter| match letter {
        'h' => Some(to.hostname.clone()),
        'p' => Some(to.port.to_string()),
        'r' => Some(to.user.clone()),
        _ => None,
    });
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("exec {line}"));
    // Its messages go to the screen, as with ssh: they are the only word on why it failed.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
    let trouble = |why: String| ServerError::Unreachable {
        reason: format!("the proxy command `{line}` can't be started: {why}"),
        hint: None,
    };
    let mut child = command.spawn().map_err(|e| trouble(e.to_string()))?;
    match (child.stdout.take(), child.stdin.take()) {
        (Some(stdout), Some(stdin)) => {
            let group = Group::of(&child);
            Ok(Box::new(ProxyCommand { stdout, stdin, _group: group, _child: child }))
        }
        _ => Err(trouble("it has no standard input or output".to_owned())),
    }
}

/// The command's two pipes as one stream; it ends with the stream.
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
