//! Malicious SSH servers in this process. They accept any login, and answer every command in one harmful way.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bowline_core::shell::{beginning, word_of};
use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, run_stream};
use russh::{Channel, ChannelId, ChannelMsg, Disconnect, Sig, SshId};
use tokio::runtime::Runtime;

/// Text that draws on a screen that shows it: colours, titles, the clipboard, links, the cursor, reversed text.
pub(crate) const DRAWING: &str = "\u{1b}[31;41;5mHACKED\u{1b}]0;HACKED\u{7}\u{1b}]52;c;SEFDS0VE\u{7}\u{1b}]8;;http://e\u{1b}\\x\r\u{1b}[2J\u{1b}[1;1H\u{9b}31m\u{9d}0;x\u{9c}\u{202e}\u{2066}\u{8}\u{0}\u{1b}Px\u{1b}\\\u{1b}c";

#[derive(Debug, Clone)]
pub(crate) enum Harm {
    /// Every command prints these bytes this many times, and ends with this status.
    Out(Vec<u8>, usize, u32),
    /// The same on standard error.
    Err(Vec<u8>, usize, u32),
    /// A command that contains the first text prints the second. All commands succeed.
    Answers(Vec<(&'static str, String)>),
    /// Every command ends by a signal with this name, and with a message.
    Signal(String),
    /// The server disconnects with this message instead of running anything.
    HangsUp(String),
    Refuses,
    /// The server sends this banner before the login.
    Banner(String),
}

pub(crate) struct Server {
    pub(crate) port: u16,
    _runtime: Option<Runtime>,
}

impl Server {
    pub(crate) fn new(harm: Harm) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let config = Arc::new(Config {
            keys: vec![key()],
            server_id: SshId::Raw("SSH-2.0-\u{1b}[31;41;5mHACKED\u{202e}\r\n".into()),
            auth_rejection_time: Duration::ZERO,
            ..Config::default()
        });
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (config, harm) = (Arc::clone(&config), harm.clone());
                tokio::spawn(async move {
                    let client = Client { harm, channels: HashMap::new() };
                    if let Ok(session) = run_stream(config, stream, client).await {
                        let _ = session.await;
                    }
                });
            }
        });
        Self { port, _runtime: Some(runtime) }
    }

    /// Starts a server that sends these bytes over and over, and never reads.
    pub(crate) fn babbling(bytes: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || while stream.write_all(&bytes.repeat(100)).is_ok() {});
            }
        });
        Self { port, _runtime: None }
    }
}

fn key() -> PrivateKey {
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&[7; 32]));
    PrivateKey::new(pair, "hostile").unwrap()
}

struct Client {
    harm: Harm,
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl Handler for Client {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(match &self.harm {
            Harm::Banner(text) => Some(text.clone()),
            _ => None,
        })
    }

    async fn auth_none(&mut self, _: &str) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Harm::HangsUp(words) = &self.harm {
            session.disconnect(Disconnect::ByApplication, words, "")?;
            return Ok(());
        }
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let Some(mut channel) = self.channels.remove(&id) else { return Ok(()) };
        if matches!(self.harm, Harm::Refuses) {
            return session.channel_failure(id);
        }
        session.channel_success(id)?;
        let (harm, handle) = (self.harm.clone(), session.handle());
        let command = String::from_utf8_lossy(command).into_owned();
        tokio::spawn(async move {
            // A malicious server knows the start mark as well as any other.
            let begins = beginning(word_of(&command).unwrap_or_default()).into_bytes();
            channel.extended_data_bytes(1, begins.clone()).await?;
            channel.data_bytes(begins).await?;
            match harm {
                Harm::Out(bytes, times, status) => {
                    let block = block(&bytes);
                    for _ in 0..times.div_ceil((block.len() / bytes.len().max(1)).max(1)) {
                        channel.data_bytes(block.clone()).await?;
                    }
                    channel.exit_status(status).await?;
                }
                Harm::Err(bytes, times, status) => {
                    let block = block(&bytes);
                    for _ in 0..times.div_ceil((block.len() / bytes.len().max(1)).max(1)) {
                        channel.extended_data_bytes(1, block.clone()).await?;
                    }
                    channel.exit_status(status).await?;
                }
                Harm::Answers(answers) => {
                    let answer = answers.iter().find(|(part, _)| command.contains(part));
                    channel.data_bytes(answer.map(|(_, text)| text.clone()).unwrap_or_default()).await?;
                    if answer.is_some_and(|(_, text)| text == LOCKED) {
                        release(&mut channel).await;
                        channel.data_bytes("@released\n").await?;
                    }
                    channel.exit_status(0).await?;
                }
                Harm::Signal(name) => {
                    let (name, words) = (Sig::Custom(name), DRAWING.repeat(10));
                    let _ = handle.exit_signal_request(id, name, false, words, DRAWING.into()).await;
                }
                _ => channel.exit_status(0).await?,
            }
            channel.eof().await?;
            channel.close().await
        });
        Ok(())
    }
}

/// Acts as the lock's keeper: waits until the lock is released.
async fn release(channel: &mut Channel<Msg>) {
    while let Some(message) = channel.wait().await {
        if matches!(message, ChannelMsg::Data { data } if data.starts_with(b"release")) {
            return;
        }
    }
}

/// The first output of the lock's keeper.
pub(crate) const LOCKED: &str = "@locked\n";

/// Repeats the bytes to fill a packet or two, because small packets are slow.
fn block(bytes: &[u8]) -> Vec<u8> {
    bytes.repeat((32 * 1024 / bytes.len().max(1)).max(1))
}
