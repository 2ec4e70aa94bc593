//! A delay line: a TCP proxy that holds every chunk for a fixed time in each direction, to simulate distance.
//!
//! It delays without throttling. A hundred chunks sent at once arrive together, one delay later, because reading goes
//! on while earlier chunks wait. Connecting takes as long as a handshake over that distance.
//!
//! It also counts round trips, from the order of chunks: the clock would measure how busy the machine is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The chunks (of at most 64 KiB) that may be under way in one direction. Far more than a delay of one second can
/// fill on one machine, so it limits memory and not the pace.
const UNDER_WAY: usize = 4096;

/// A running delay line. Dropping it closes its socket and all connections through it.
#[derive(Debug)]
pub struct Delay {
    address: SocketAddr,
    trips: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Delay {
    /// Listens on `listen` (port 0 picks one) and forwards to `target`, with a delay of `one_way` in each direction.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub fn start(listen: SocketAddr, target: SocketAddr, one_way: Duration) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let trips = Arc::new(AtomicU64::new(0));
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Counts { trips: trips.clone(), sent: sent.clone() };
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(listener, target, one_way, &counted) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, trips, sent, stop: Some(stop), thread: Some(thread) })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The highest number of round trips on one connection so far. A round trip is data that the client sent after it
    /// had received something, and the server's response to it. Data under way at the same time counts once.
    #[must_use]
    pub fn trips(&self) -> u64 {
        self.trips.load(Ordering::SeqCst)
    }
}

impl Delay {
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// The counts of all connections together.
#[derive(Debug, Clone)]
struct Counts {
    trips: Arc<AtomicU64>,
    sent: Arc<AtomicU64>,
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, one_way: Duration, counts: &Counts) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => {
                tokio::spawn(carry(near, target, one_way, counts.clone()));
            }
            // Out of file descriptors, or the connection was gone before it was accepted.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Carries one connection. The kernel has already completed the client's handshake, which would take one round trip
/// over the simulated distance, and the server would see the connection half a round trip later. So this connects to
/// the target after three one-way delays, and the first byte arrives when it would have.
async fn carry(near: TcpStream, target: SocketAddr, one_way: Duration, counts: Counts) {
    tokio::time::sleep(one_way * 3).await;
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    // The handshake was the first round trip. The client's first data belongs to the second.
    let (at_client, at_server) = (AtomicU64::new(1), AtomicU64::new(1));
    tokio::join!(
        line(
            near_read,
            far_write,
            one_way,
            || at_client.load(Ordering::SeqCst) + 1,
            |trip, length| {
                at_server.fetch_max(trip, Ordering::SeqCst);
                counts.sent.fetch_add(length, Ordering::Relaxed);
            }
        ),
        line(
            far_read,
            near_write,
            one_way,
            || at_server.load(Ordering::SeqCst),
            |trip, _| {
                at_client.fetch_max(trip, Ordering::SeqCst);
                counts.trips.fetch_max(trip, Ordering::SeqCst);
            }
        ),
    );
}

/// A chunk under way: when it is due, its round trip, and its bytes. An empty chunk is the end of the stream, which
/// is delayed like any other.
type Chunk = (Instant, u64, Bytes);

/// Carries one direction. A reader stamps each chunk with its due time and its round trip, and a writer waits for
/// that time and reports the round trip.
async fn line(
    from: impl AsyncReadExt + Unpin,
    to: impl AsyncWriteExt + Unpin,
    one_way: Duration,
    trip: impl Fn() -> u64,
    arrived: impl Fn(u64, u64),
) {
    let (chunks, due) = mpsc::channel(UNDER_WAY);
    tokio::join!(read(from, chunks, one_way, trip), write(due, to, arrived));
}

async fn read(
    mut from: impl AsyncReadExt + Unpin,
    chunks: mpsc::Sender<Chunk>,
    one_way: Duration,
    trip: impl Fn() -> u64,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(64 * 1024);
        // The end of the stream and an error look the same to the other side.
        let ended = !matches!(from.read_buf(&mut buffer).await, Ok(n) if n > 0);
        let chunk = buffer.split().freeze();
        if chunks.send((Instant::now() + one_way, trip(), chunk)).await.is_err() || ended {
            return;
        }
    }
}

async fn write(
    mut due: mpsc::Receiver<Chunk>,
    mut to: impl AsyncWriteExt + Unpin,
    arrived: impl Fn(u64, u64),
) {
    while let Some((when, trip, chunk)) = due.recv().await {
        tokio::time::sleep_until(when).await;
        arrived(trip, chunk.len() as u64);
        if chunk.is_empty() || to.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::thread;
    use std::time::Instant;

    use super::*;

    const ONE_WAY: Duration = Duration::from_millis(60);
    const LATE: Duration = Duration::from_millis(55);

    /// Starts a server that echoes until its client closes, then sends "bye".
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut buffer = [0; 65536];
                    loop {
                        match stream.read(&mut buffer) {
                            Ok(0) | Err(_) => break,
                            Ok(n) => stream.write_all(&buffer[..n]).unwrap(),
                        }
                    }
                    let _ = stream.write_all(b"bye");
                });
            }
        });
        address
    }

    fn connect(delay: &Delay) -> TcpStream {
        let stream = TcpStream::connect(delay.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn delay() -> Delay {
        Delay::start("127.0.0.1:0".parse().unwrap(), echo(), ONE_WAY).unwrap()
    }

    #[test]
    fn a_connection_costs_a_round_trip_and_each_exchange_another() {
        let delay = delay();
        let start = Instant::now();
        let mut stream = connect(&delay);
        let mut answer = [0; 4];
        stream.write_all(b"ping").unwrap();
        stream.read_exact(&mut answer).unwrap();
        let first = start.elapsed();
        assert!(first >= LATE * 4, "connect and exchange took {first:?}");
        assert_eq!(delay.trips(), 2);
        let start = Instant::now();
        stream.write_all(b"ping").unwrap();
        stream.read_exact(&mut answer).unwrap();
        let second = start.elapsed();
        assert!(second >= LATE * 2, "exchange took {second:?}");
        assert_eq!(delay.trips(), 3);
        // Connections are counted separately.
        connect(&delay).write_all(b"ping").unwrap();
        assert_eq!(delay.trips(), 3);
    }

    #[test]
    fn chunks_under_way_do_not_wait_for_each_other() {
        let delay = delay();
        let mut stream = connect(&delay);
        let mut writer = stream.try_clone().unwrap();
        let mut answer = [0; 1];
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut answer).unwrap();
        let start = Instant::now();
        for _ in 0..40 {
            writer.write_all(b"x").unwrap();
            thread::sleep(Duration::from_millis(5));
        }
        let sent = start.elapsed();
        stream.read_exact(&mut [0; 40]).unwrap();
        let took = start.elapsed();
        // If each chunk waited for the one before, forty round trips would take almost five seconds.
        assert!(took < sent + ONE_WAY * 20, "forty chunks, sent within {sent:?}, took {took:?}");
        // Chunks that were sent after the response to earlier ones belong to a later round trip.
        let trips = delay.trips() - 2;
        assert!(
            u128::from(trips) <= 2 + sent.as_millis() / LATE.as_millis() / 2,
            "{trips} round trips in {sent:?}"
        );
    }

    #[test]
    fn everything_arrives_whole_and_the_end_is_passed_on() {
        let delay = delay();
        let mut stream = connect(&delay);
        let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let mut writer = stream.try_clone().unwrap();
        let copy = sent.clone();
        let sender = thread::spawn(move || {
            writer.write_all(&copy).unwrap();
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        sender.join().unwrap();
        assert_eq!(received.len(), sent.len() + 3);
        assert!(received.starts_with(&sent) && received.ends_with(b"bye"));
    }

    #[test]
    fn dropping_it_frees_the_address() {
        let delay = delay();
        let address = delay.address();
        let _open = connect(&delay);
        drop(delay);
        assert!(TcpStream::connect(address).is_err());
    }
}
