//! An app behind the proxy. It responds as a test says and records its requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

pub type Headers = Vec<(String, String)>;

/// The limit for every wait in the suite.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// As in the request line.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// All values of a header, joined.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect();
        if values.is_empty() { None } else { Some(values.join(", ")) }
    }
}

pub enum Answer {
    /// Status, headers, body.
    Plain(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Any bytes, after which the connection is closed.
    Raw(Vec<u8>),
    /// Takes over the connection.
    Stream(Box<dyn FnOnce(TcpStream) + Send>),
}

pub fn ok(body: impl Into<String>) -> Answer {
    Answer::Plain(200, vec![("Content-Type", "text/plain".into())], body.into().into_bytes())
}

type Handler = dyn Fn(&Request) -> Option<Answer> + Send + Sync;

#[derive(Clone)]
pub struct App {
    /// `127.0.0.1:PORT`
    pub address: String,
    shared: Arc<Shared>,
}

struct Shared {
    seen: Mutex<Vec<Request>>,
    checks: Mutex<Vec<Request>>,
    healthy: Mutex<bool>,
    /// Whether `/hold` waits, and how many requests wait there.
    held: Mutex<(bool, usize)>,
    change: Condvar,
    handler: Box<Handler>,
    name: &'static str,
}

impl App {
    /// Responds to each request with the app's name, the method and the target: `app GET /path`.
    pub fn start(name: &'static str) -> Self {
        Self::with(name, |_| None)
    }

    /// Responds as `handler` says, or by default if that returns `None`.
    pub fn with(
        name: &'static str,
        handler: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), name, handler)
    }

    /// Like [`Self::with`], on an existing listener.
    pub fn on(
        listener: TcpListener,
        name: &'static str,
        handler: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            checks: Mutex::default(),
            healthy: Mutex::new(true),
            held: Mutex::new((true, 0)),
            change: Condvar::new(),
            handler: Box::new(handler),
            name,
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self { address, shared }
    }

    pub fn port(&self) -> u16 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Whether `/up` responds with 200 or 500.
    pub fn set_healthy(&self, healthy: bool) {
        *self.shared.healthy.lock().unwrap() = healthy;
    }

    /// Its requests, without health checks.
    pub fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub fn last(&self) -> Request {
        self.seen().pop().expect("the app was not asked")
    }

    pub fn checks(&self) -> Vec<Request> {
        self.shared.checks.lock().unwrap().clone()
    }

    /// Waits until `/hold` holds this many requests.
    pub fn wait_held(&self, count: usize) {
        let held = self.shared.held.lock().unwrap();
        let (held, _) = self.shared.change.wait_timeout_while(held, PATIENCE, |held| held.1 < count).unwrap();
        assert!(held.1 >= count, "only {} requests are held", held.1);
    }

    /// Releases the requests that `/hold` holds.
    pub fn release(&self) {
        self.shared.held.lock().unwrap().0 = false;
        self.shared.change.notify_all();
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some(request) = read_request(&mut reader, &mut stream) {
            let check = request.header("User-Agent").as_deref() == Some("kamal-proxy");
            let log = if check { &self.checks } else { &self.seen };
            log.lock().unwrap().push(request.clone());
            let answer = (self.handler)(&request).unwrap_or_else(|| self.default(&request));
            match answer {
                Answer::Plain(status, headers, body) => {
                    let head = request.method == "HEAD";
                    if write_answer(&mut stream, status, &headers, &body, head).is_err() {
                        return;
                    }
                }
                Answer::Raw(bytes) => {
                    let _ = stream.write_all(&bytes);
                    return;
                }
                Answer::Stream(take) => return take(stream),
            }
        }
    }

    fn default(&self, request: &Request) -> Answer {
        let path = request.target.split('?').next().unwrap();
        if path.ends_with("/up") {
            let status = if *self.healthy.lock().unwrap() { 200 } else { 500 };
            return Answer::Plain(status, vec![], b"up?".to_vec());
        }
        if path.ends_with("/hold") {
            let mut held = self.held.lock().unwrap();
            held.1 += 1;
            self.change.notify_all();
            drop(self.change.wait_timeout_while(held, PATIENCE, |held| held.0).unwrap());
        }
        if let Some(status) = path.strip_prefix("/status/") {
            return Answer::Plain(
                status.parse().unwrap(),
                vec![],
                format!("{} status", self.name).into_bytes(),
            );
        }
        ok(format!("{} {} {}", self.name, request.method, request.target))
    }
}

fn write_answer(
    stream: &mut TcpStream,
    status: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
    head: bool,
) -> std::io::Result<()> {
    let mut text = format!("HTTP/1.1 {status} Status\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let no_body = status == 204 || status == 304;
    if !no_body {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text += "\r\n";
    let mut bytes = text.into_bytes();
    if !head && !no_body {
        bytes.extend_from_slice(body);
    }
    stream.write_all(&bytes)
}

fn read_request(reader: &mut BufReader<TcpStream>, stream: &mut TcpStream) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = read_headers(reader)?;
    let mut request = Request { method, target, headers, body: Vec::new() };
    if request.header("Expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    if request.header("Transfer-Encoding").is_some() {
        request.body = read_chunks(reader)?.0;
    } else if let Some(length) = request.header("Content-Length") {
        request.body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut request.body).ok()?;
    }
    Some(request)
}

pub fn read_headers(reader: &mut impl BufRead) -> Option<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end();
        if line.is_empty() {
            return Some(headers);
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// Reads a chunked body and its trailers.
pub fn read_chunks(reader: &mut impl BufRead) -> Option<(Vec<u8>, Headers)> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let size = usize::from_str_radix(line.trim().split(';').next()?, 16).ok()?;
        if size == 0 {
            return Some((body, read_headers(reader)?));
        }
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..]).ok()?;
        reader.read_line(&mut String::new()).ok()?;
    }
}
