//! Keeps WebSockets and event streams open during a deploy, as chats and dashboards do.

use std::fmt;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::http::{Stream, Target};
use crate::load::Options;

/// A stream is closed after this time.
const AT_MOST: Duration = Duration::from_secs(150);
/// Between two messages to a WebSocket.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
pub struct Story {
    /// `WebSocket` or `event stream`.
    pub kind: &'static str,
    /// The version that served it.
    pub version: String,
    pub messages: u64,
    pub open: Duration,
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, version, messages, open } = self;
        write!(f, "{kind} to {version}: {messages} messages in {:.1} s", open.as_secs_f64())
    }
}

#[derive(Debug)]
pub struct Streams(JoinHandle<Vec<Result<Story, String>>>);

impl Streams {
    /// Opens a WebSocket and an event stream to each URL.
    ///
    /// # Panics
    /// When an address can't be read, or the runtime can't be made.
    #[must_use]
    pub fn open(options: &Options) -> Self {
        let targets: Vec<Target> = options.targets();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self(std::thread::spawn(move || {
            runtime.block_on(async {
                let mut tasks = Vec::new();
                for target in targets {
                    tasks.push(tokio::spawn(bounded("WebSocket", target.clone())));
                    tasks.push(tokio::spawn(bounded("event stream", target)));
                }
                let mut stories = Vec::new();
                for task in tasks {
                    stories.push(task.await.unwrap_or_else(|error| Err(error.to_string())));
                }
                stories
            })
        }))
    }

    #[must_use]
    pub fn end(self) -> Vec<Result<Story, String>> {
        self.0.join().unwrap_or_else(|_| vec![Err("the streams' thread ended".into())])
    }
}

async fn bounded(kind: &'static str, target: Target) -> Result<Story, String> {
    let began = Instant::now();
    let stream = target.connect().await?;
    let over = async {
        match kind {
            "WebSocket" => socket(stream, &target).await,
            _ => events(stream, &target).await,
        }
    };
    let ended = timeout(AT_MOST, over).await;
    let (version, messages) = ended.map_err(|_| format!("the {kind} did not end"))??;
    Ok(Story { kind, version, messages, open: began.elapsed() })
}

/// Sends messages to be echoed until the connection ends. Returns the greeting's version and the number of echoes.
async fn socket(mut stream: Box<dyn Stream>, target: &Target) -> Result<(String, u64), String> {
    let more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let head = ask(&mut stream, target, "/ws", more).await?;
    if !head.starts_with("HTTP/1.1 101") {
        return Err(format!("the WebSocket was answered with {head}"));
    }
    let greeting = frame(&mut stream).await.ok_or("the WebSocket ended before it began")?;
    let mut count = 0;
    // A text frame, masked with zeros.
    while stream.write_all(b"\x81\x84\0\0\0\0ping").await.is_ok() && stream.flush().await.is_ok() {
        match frame(&mut stream).await {
            Some(text) if text == b"ping" => count += 1,
            _ => break,
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok((String::from_utf8_lossy(&greeting).into_owned(), count))
}

/// Reads events until the stream ends. Returns their version and number.
async fn events(mut stream: Box<dyn Stream>, target: &Target) -> Result<(String, u64), String> {
    let head = ask(&mut stream, target, "/events", "Accept: text/event-stream\r\n").await?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("the event stream was answered with {head}"));
    }
    let (mut heard, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut part).await {
        heard.extend_from_slice(&part[..count]);
    }
    let heard = String::from_utf8_lossy(&heard).into_owned();
    let versions: Vec<&str> = heard.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let version = *versions.first().ok_or("no event came")?;
    if versions.iter().any(|other| *other != version) {
        return Err(format!("events of {version} and of others on one stream"));
    }
    Ok((version.to_owned(), versions.len() as u64))
}

async fn ask(
    stream: &mut Box<dyn Stream>,
    target: &Target,
    path: &str,
    more: &str,
) -> Result<String, String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", target.host);
    let sent = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&head).into_owned())
    };
    sent.await.map_err(|error| format!("asking for {path}: {error}"))
}

/// The content of a text frame. `None` when the connection is closed.
async fn frame(stream: &mut Box<dyn Stream>) -> Option<Vec<u8>> {
    let opcode = stream.read_u8().await.ok()? & 0x0f;
    let mut content = vec![0; usize::from(stream.read_u8().await.ok()? & 0x7f)];
    stream.read_exact(&mut content).await.ok()?;
    (opcode == 1).then_some(content)
}
