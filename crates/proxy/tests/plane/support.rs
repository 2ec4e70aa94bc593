//! A proxy in this process, targets that respond as a test wants, and clients that send exactly the given bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bowline_proxy::options::{DeploymentOptions, ServiceOptions, TargetOptions};
use bowline_proxy::plane::{Plane, Scheme, Settings};
use bowline_proxy::service::{Deploy, Error, Services};

/// The limit for every wait for bytes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Proxy {
    pub(crate) services: Services,
    pub(crate) plane: Plane,
    pub(crate) port: u16,
    pub(crate) runtime: tokio::runtime::Runtime,
}

pub(crate) fn settings() -> Settings {
    Settings {
        workers: 2,
        http_port: 80,
        https_port: 443,
        header_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(60),
        body_timeout: Duration::from_secs(60),
        max_connections: 10_000,
        balancers: None,
    }
}

impl Proxy {
    pub(crate) fn start() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let services = Services::new(settings.workers);
        let plane = Plane::start(services.clone(), settings, None, &[(Scheme::Http, &listener)]).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { services, plane, port, runtime }
    }

    /// Deploys the service `app` on one target, with changed options.
    pub(crate) fn deploy_with(
        &self,
        target: &Target,
        change: impl FnOnce(&mut ServiceOptions, &mut TargetOptions),
    ) -> Result<(), Error> {
        let mut deploy = deploy("app", target);
        change(&mut deploy.options, &mut deploy.target_options);
        self.runtime.block_on(self.services.deploy(deploy))
    }

    pub(crate) fn deploy(&self, target: &Target) {
        self.deploy_with(target, |_, _| ()).unwrap();
    }

    pub(crate) fn connect(&self) -> Client {
        Client::new(TcpStream::connect(("127.0.0.1", self.port)).unwrap())
    }

    /// Sends bytes on a new connection and returns everything until the proxy closes it.
    pub(crate) fn raw(&self, bytes: &str) -> String {
        let mut client = self.connect();
        client.send(bytes);
        client.rest()
    }

    /// Requests a path of `a.test` on a new connection.
    pub(crate) fn get(&self, path: &str) -> String {
        self.raw(&format!("GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"))
    }
}

pub(crate) fn deploy(name: &str, target: &Target) -> Deploy {
    let mut target_options = TargetOptions::of_command_line();
    target_options.health_check_config.interval = Duration::from_millis(20);
    Deploy {
        name: name.to_owned(),
        targets: vec![target.name()],
        readers: vec![],
        deployment: DeploymentOptions {
            deploy_timeout: Duration::from_secs(10),
            ..DeploymentOptions::default()
        },
        options: ServiceOptions::of_command_line(),
        target_options,
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: &str) {
        // The proxy may have refused the first bytes and closed.
        let _ = self.stream.write_all(bytes.as_bytes());
    }

    /// Reads until `end` arrives. Returns everything up to and including it.
    pub(crate) fn until(&mut self, end: &str) -> String {
        loop {
            let found = self.buffer.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let rest = self.buffer.split_off(at + end.len());
                let seen = std::mem::replace(&mut self.buffer, rest);
                return String::from_utf8_lossy(&seen).into_owned();
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    panic!("the end came before {end:?}, after {:?}", String::from_utf8_lossy(&self.buffer))
                }
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(e) => panic!("{e} before {end:?}, after {:?}", String::from_utf8_lossy(&self.buffer)),
            }
        }
    }

    /// Reads until the connection ends.
    pub(crate) fn rest(mut self) -> String {
        let mut chunk = [0; 16 << 10];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(e) => panic!("{e} after {:?}", String::from_utf8_lossy(&self.buffer)),
            }
        }
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// Sends a request on a connection that stays open. Returns the response, whose body must have a length.
    pub(crate) fn request(&mut self, request: &str) -> String {
        self.send(request);
        let head = self.until("\r\n\r\n");
        let lower = head.to_ascii_lowercase();
        let length =
            lower.lines().find_map(|l| l.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        while self.buffer.len() < length {
            let mut chunk = [0; 4096];
            let n = self.stream.read(&mut chunk).unwrap();
            assert!(n > 0, "the end came within the body of {head}");
            self.buffer.extend_from_slice(&chunk[..n]);
        }
        let rest = self.buffer.split_off(length);
        let body = std::mem::replace(&mut self.buffer, rest);
        head + &String::from_utf8_lossy(&body)
    }
}

type Handler = dyn Fn(&Request, &mut TcpStream) -> Next + Send + Sync;

/// What a target's connection does after a response.
#[derive(PartialEq, Eq)]
pub(crate) enum Next {
    Stay,
    Close,
}

pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A target in threads of this process. It runs until the test ends.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicUsize>,
}

impl Target {
    /// Responds to `/up` with 200. `handler` writes all other responses.
    pub(crate) fn new(handler: impl Fn(&Request, &mut TcpStream) -> Next + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let handler: Arc<Handler> = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (handler, counter) = (Arc::clone(&handler), Arc::clone(&counter));
                std::thread::spawn(move || serve(stream.unwrap(), &*handler, &counter));
            }
        });
        Self { address, requests }
    }

    /// Responds to everything with this text.
    pub(crate) fn saying(text: &'static str) -> Self {
        Self::new(move |_, stream| respond(stream, text))
    }

    /// Responds with the request that it got.
    pub(crate) fn echo() -> Self {
        Self::new(|request, stream| {
            respond(stream, &(request.head.clone() + &String::from_utf8_lossy(&request.body)))
        })
    }

    pub(crate) fn name(&self) -> String {
        self.address.to_string()
    }

    /// Requests so far, without health checks.
    pub(crate) fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Writes a 200 response with this body.
pub(crate) fn respond(stream: &mut TcpStream, body: &str) -> Next {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    match stream.write_all((head + body).as_bytes()) {
        Ok(()) => Next::Stay,
        Err(_) => Next::Close,
    }
}

fn serve(mut stream: TcpStream, handler: &Handler, counter: &AtomicUsize) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer) {
        if request.path() == "/up" {
            respond(&mut stream, "up");
            continue;
        }
        counter.fetch_add(1, Ordering::SeqCst);
        if handler(&request, &mut stream) == Next::Close {
            return;
        }
    }
}

fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let mut more = |buffer: &mut Vec<u8>| {
        let mut chunk = [0; 16 << 10];
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        buffer.extend_from_slice(&chunk[..n]);
        Some(())
    };
    let end = loop {
        match buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(at) => break at + 4,
            None => more(buffer)?,
        }
    };
    let rest = buffer.split_off(end);
    let head = String::from_utf8_lossy(&std::mem::replace(buffer, rest)).into_owned();
    let mut request = Request { head, body: Vec::new() };
    if request.header("transfer-encoding").is_some() {
        while !buffer.ends_with(b"\r\n\r\n") {
            more(buffer)?;
        }
        request.body = std::mem::take(buffer);
    }
    if let Some(length) = request.header("content-length").map(|n| n.parse().unwrap()) {
        while buffer.len() < length {
            more(buffer)?;
        }
        let rest = buffer.split_off(length);
        request.body = std::mem::replace(buffer, rest);
    }
    Some(request)
}
