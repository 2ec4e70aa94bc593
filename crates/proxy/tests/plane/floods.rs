//! Clients that keep the proxy busy over HTTP/2, frame by frame.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bowline_proxy::plane::Settings;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::{Next, PATIENCE, Proxy, Target, settings};
use crate::tls::{custom, pair, with_tls};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// The error code for a client that causes excessive load.
const ENHANCE_YOUR_CALM: u32 = 11;
/// `GET https://a.test/`, encoded with HPACK.
pub(crate) const GET: &[u8] = b"\x82\x87\x84\x41\x06a.test";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A proxy whose service `a.test` has TLS, and its target.
pub(crate) struct Served {
    pub(crate) proxy: Proxy,
    target: Target,
    pub(crate) port: u16,
    pub(crate) chain: String,
    _directory: tempfile::TempDir,
}

fn served(settings: Settings) -> Served {
    serving(settings, Target::saying("home"))
}

pub(crate) fn serving(settings: Settings, target: Target) -> Served {
    let (proxy, port) = with_tls(settings);
    let directory = tempfile::tempdir().unwrap();
    let own = pair(directory.path(), "a.test");
    let with_certificate = custom(&own);
    proxy
        .deploy_with(&target, |options, _| {
            with_certificate(options);
            options.tls_redirect = false;
        })
        .unwrap();
    Served { proxy, target, port, chain: own.0, _directory: directory }
}

impl Served {
    /// Checks that other clients get their responses.
    fn serves_others(&self) {
        let answer = self.proxy.get("/");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("home"), "{answer}");
    }

    /// An HTTP/2 connection that has sent only the preface and its settings.
    fn connect(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let mut stream = self.shake_hands();
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).unwrap();
        stream
    }

    /// A connection that has sent nothing after the TLS handshake.
    pub(crate) fn shake_hands(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // Unread responses soon fill this buffer.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], self.port)).into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let name = ServerName::try_from("a.test").unwrap();
        let session = ClientConnection::new(client(Path::new(&self.chain)), name).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        stream.conn.complete_io(&mut stream.sock).unwrap();
        stream
    }
}

pub(crate) fn client(chain: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(chain).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Whether the error is a timeout on this side.
fn is_time_out(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The error code of the GOAWAY that ends the connection, or `None` if it was lost when the connection closed.
fn goodbye(stream: &mut impl Read) -> Option<u32> {
    let mut read = |length: usize| {
        let mut bytes = vec![0; length];
        match stream.read_exact(&mut bytes) {
            Err(error) if is_time_out(&error) => panic!("the connection goes on"),
            read => read.ok().map(|()| bytes),
        }
    };
    loop {
        let head = read(9)?;
        let payload = read(usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap())?;
        if head[3] == GOAWAY {
            return Some(u32::from_be_bytes(*payload[4..].first_chunk().unwrap()));
        }
    }
}

#[test]
fn requests_that_are_reset_at_once_end_the_connection() {
    const REQUESTS: u32 = 2_000;
    let served = served(settings());
    let mut stream = served.connect();
    let flood = (0..REQUESTS).flat_map(|request| {
        let id = 2 * request + 1;
        let get = frame(HEADERS, END_STREAM | END_HEADERS, id, GET);
        [get, frame(RST_STREAM, 0, id, &8u32.to_be_bytes())].concat()
    });
    // The proxy may close the connection before everything is written.
    let _ = stream.write_all(&flood.collect::<Vec<_>>());
    assert!(matches!(goodbye(&mut stream), None | Some(ENHANCE_YOUR_CALM)));
    assert!(served.target.count() < 1_000, "{} requests came through", served.target.count());
    served.serves_others();
}

#[test]
fn headers_without_end_end_the_connection() {
    let served = served(settings());
    let mut stream = served.connect();
    // A long header, sent again and again: `x: zzz…`.
    let header = [b"\x00\x01x\x7f\xa1\x1e".as_slice(), &[b'z'; 4000]].concat();
    stream.write_all(&frame(HEADERS, END_STREAM, 1, GET)).unwrap();
    let mut sent = 0;
    let ended = loop {
        match stream.write_all(&frame(CONTINUATION, 0, 1, &header)) {
            Ok(()) => sent += header.len(),
            Err(error) => break error,
        }
        assert!(sent < 64 << 20, "headers are taken without end");
    };
    assert!(!is_time_out(&ended), "{ended}");
    served.serves_others();
    assert_eq!(served.target.count(), 1, "only the other's request");
}

#[test]
fn a_flood_of_questions_whose_answers_are_not_read_is_cut_off() {
    let mut impatient = settings();
    impatient.body_timeout = Duration::from_secs(1);
    let served = served(impatient);
    for (kind, payload) in [(SETTINGS, &[][..]), (PING, &[7; 8][..])] {
        let mut stream = served.connect();
        let questions = frame(kind, 0, 0, payload).repeat(1_000);
        let mut sent = 0;
        let ended = loop {
            match stream.write_all(&questions) {
                Ok(()) => sent += questions.len(),
                Err(error) => break error,
            }
            assert!(sent < 256 << 20, "the proxy takes frames {kind} without end");
        };
        // Not a timeout on this side.
        assert!(!is_time_out(&ended), "{kind}: {ended}");
        served.serves_others();
    }
}

#[test]
fn answers_that_are_not_read_do_not_pile_up() {
    const STREAMS: u32 = 50;
    const MOST_FOR_EACH: usize = 256 << 10;
    let (taken, stuck) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, ended) = (Arc::clone(&taken), Arc::clone(&stuck));
    let endless = Target::new(move |_, stream| {
        SockRef::from(&*stream).set_send_buffer_size(4096).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while let Ok(written @ 1..) = stream.write(&[b'x'; 4096]) {
            counted.fetch_add(written, Ordering::SeqCst);
        }
        ended.fetch_add(1, Ordering::SeqCst);
        // Keeps the connection open, so that the proxy doesn't see the end of the response.
        std::thread::sleep(PATIENCE);
        Next::Close
    });
    let from = endless.address.port();
    let served = serving(settings(), endless);
    let mut stream = served.shake_hands();
    // With such large windows, the client would take everything at once if it read.
    let windows = frame(SETTINGS, 0, 0, b"\x00\x04\x7f\xff\xff\xff");
    let connection = frame(WINDOW_UPDATE, 0, 0, &(0x7fff_ffff_u32 - 65_535).to_be_bytes());
    let requests =
        (0..STREAMS).flat_map(|request| frame(HEADERS, END_STREAM | END_HEADERS, 2 * request + 1, GET));
    stream.write_all(&[PREFACE, &windows, &connection, &requests.collect::<Vec<_>>()].concat()).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while stuck.load(Ordering::SeqCst) < STREAMS as usize {
        assert!(Instant::now() < deadline, "the proxy takes answers without end");
        std::thread::sleep(Duration::from_millis(10));
    }
    // How much the sockets hold depends on the kernel and the machine.
    let taken = taken.load(Ordering::SeqCst);
    let each = taken.saturating_sub(queued(from) + queued(served.port)) / STREAMS as usize;
    assert!(each < MOST_FOR_EACH, "the proxy holds {each} bytes of each of its answers, {taken} in all");
}

/// The bytes on both sides of the connections to a port that are not acknowledged or not read yet (proc_pid_net(5)).
fn queued(port: u16) -> usize {
    let port = format!(":{port:04X}");
    let table = ["tcp", "tcp6"]
        .map(|kind| std::fs::read_to_string(format!("/proc/self/net/{kind}")).unwrap())
        .concat();
    let queues = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote) = (fields.next()?, fields.next()?);
        let (unsent, unread) = fields.nth(1)?.split_once(':')?;
        let bytes = |hex| usize::from_str_radix(hex, 16).unwrap();
        (local.ends_with(&port) || remote.ends_with(&port)).then(|| bytes(unsent) + bytes(unread))
    });
    queues.sum()
}
