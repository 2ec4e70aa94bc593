//! A delay line: a TCP proxy that holds every chunk for a fixed time in each direction, to simulate distance.
//!
//! It is a line and not a throttle. Chunks keep their spacing: a hundred sent at once arrive together, one delay later,
//! because reading goes on while earlier chunks wait. Connecting costs what a handshake over that distance costs.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How many chunks (of at most 64 KiB) may be under way in one direction before reading waits: far more than a delay
/// of a second fills on one machine, so it bounds memory and never the pace.
const UNDER_WAY: usize = 4096;

/// A running delay line; dropping it closes its socket and every connection through it.
#[derive(Debug)]
pub struct Delay {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Delay {
    /// Listens on `listen` (port 0 picks one) and passes everything to `target`, holding it for `one_way` each way.
    ///
    /// # Errors
    /// When the address can't be listened on.
    pub fn start(listen: SocketAddr, target: SocketAddr, one_way: Duration) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = accept(listener, target, one_way) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, one_way: Duration) {
    loop {
        match listener.accept().await {
            Ok((near, _)) => {
                tokio::spawn(carry(near, target, one_way));
            }
            // Out of file descriptors, or a connection that was gone before it was taken.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One connection. The kernel has already answered the client's handshake, which over a real distance takes it one
/// round trip, and the server sees the connection half a trip after that: so the far side is connected three one-way
/// delays later, and the first byte arrives exactly when it would have.
async fn carry(near: TcpStream, target: SocketAddr, one_way: Duration) {
    tokio::time::sleep(one_way * 3).await;
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    tokio::join!(line(near_read, far_write, one_way), line(far_read, near_write, one_way));
}

/// One direction: a reader that stamps each chunk with the time it is due, and a writer that waits for that time.
async fn line(from: impl AsyncReadExt + Unpin, to: impl AsyncWriteExt + Unpin, one_way: Duration) {
    let (chunks, due) = mpsc::channel(UNDER_WAY);
    tokio::join!(read(from, chunks, one_way), write(due, to));
}

async fn read(
    mut from: impl AsyncReadExt + Unpin,
    chunks: mpsc::Sender<(Instant, Bytes)>,
    one_way: Duration,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(64 * 1024);
        // An end and an error look the same from the other side: nothing more comes.
        let ended = !matches!(from.read_buf(&mut buffer).await, Ok(n) if n > 0);
        let chunk = buffer.split().freeze();
        if chunks.send((Instant::now() + one_way, chunk)).await.is_err() || ended {
            return;
        }
    }
}

/// An empty chunk is the end of the stream, which travels like any other.
async fn write(mut due: mpsc::Receiver<(Instant, Bytes)>, mut to: impl AsyncWriteExt + Unpin) {
    while let Some((when, chunk)) = due.recv().await {
        tokio::time::sleep_until(when).await;
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

    /// A server that echoes until its client is done, then says "bye".
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
        assert!(first >= LATE * 4 && first < ONE_WAY * 7, "connect and exchange took {first:?}");
        let start = Instant::now();
        stream.write_all(b"ping").unwrap();
        stream.read_exact(&mut answer).unwrap();
        let second = start.elapsed();
        assert!(second >= LATE * 2 && second < ONE_WAY * 4, "exchange took {second:?}");
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
        let sender = thread::spawn(move || {
            for _ in 0..40 {
                writer.write_all(b"x").unwrap();
                thread::sleep(Duration::from_millis(5));
            }
        });
        let mut all = [0; 40];
        stream.read_exact(&mut all).unwrap();
        let took = start.elapsed();
        sender.join().unwrap();
        // One after another, forty round trips would take almost five seconds.
        assert!(took < Duration::from_millis(1500), "forty pipelined chunks took {took:?}");
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
