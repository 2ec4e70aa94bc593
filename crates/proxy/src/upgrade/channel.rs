//! The line between process 1 and a child. It first carries the listeners, then text in both directions.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::{IoSlice, IoSliceMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// The maximum number of listeners: HTTP, HTTPS and metrics.
const MOST: usize = 3;

pub(super) fn send_listeners(channel: &UnixStream, listeners: &[&TcpListener]) -> io::Result<()> {
    let fds: Vec<_> = listeners.iter().map(|listener| listener.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("too many listeners"));
    }
    sendmsg(channel, &[IoSlice::new(b"L")], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

pub(super) fn receive_listeners(channel: &UnixStream) -> io::Result<Vec<TcpListener>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    recvmsg(channel, &mut data, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut listeners = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            listeners.extend(fds.map(TcpListener::from));
        }
    }
    Ok(listeners)
}

/// How long the other process may take to make room for a line.
const TAKEN: Duration = Duration::from_secs(10);

/// One end of the line, after the listeners have been sent.
pub(super) struct Line {
    read: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    /// `None` after a line could not be written completely.
    write: Option<OwnedWriteHalf>,
    unheard: VecDeque<String>,
}

impl Line {
    /// Must be called within a Tokio runtime.
    pub(super) fn new(channel: UnixStream) -> io::Result<Self> {
        channel.set_nonblocking(true)?;
        let (read, write) = tokio::net::UnixStream::from_std(channel)?.into_split();
        Ok(Self { read: BufReader::new(read).lines(), write: Some(write), unheard: VecDeque::new() })
    }

    /// The next line, or `None` if the other process is gone.
    pub(super) async fn hear(&mut self) -> Option<String> {
        match self.unheard.pop_front() {
            Some(line) => Some(line),
            None => self.read.next_line().await.ok().flatten(),
        }
    }

    /// Waits for a line of only this word, and keeps other lines. Returns false if the other process is gone.
    pub(super) async fn hear_word(&mut self, word: &str) -> bool {
        while let Ok(Some(line)) = self.read.next_line().await {
            if line.trim_end() == word {
                return true;
            }
            self.unheard.push_back(line);
        }
        false
    }

    /// Takes one of the lines that were kept, and returns what follows this word in it.
    pub(super) fn take_kept(&mut self, word: &str) -> Option<String> {
        let at = self.unheard.iter().position(|line| super::word(line).0 == word)?;
        self.unheard.remove(at).map(|line| super::word(&line).1.to_owned())
    }

    /// Sends a line. If the other process is gone, [`Self::hear`] reports that.
    pub(super) async fn say(&mut self, word: &str, text: &str) {
        let Some(write) = &mut self.write else { return };
        let line = format!("{word} {}\n", text.replace('\n', " "));
        if !matches!(timeout(TAKEN, write.write_all(line.as_bytes())).await, Ok(Ok(()))) {
            self.write = None;
        }
    }
}

/// The child's end, which it inherits as its standard input.
pub(super) fn inherited() -> io::Result<UnixStream> {
    let fd: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
    Ok(UnixStream::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_the_same_at_the_other_end() {
        let (one, other) = UnixStream::pair().unwrap();
        let (first, second) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        send_listeners(&one, &[&first, &second]).unwrap();
        let received = receive_listeners(&other).unwrap();
        let ports = |all: &[&TcpListener]| all.iter().map(|l| l.local_addr().unwrap()).collect::<Vec<_>>();
        assert_eq!(ports(&received.iter().collect::<Vec<_>>()), ports(&[&first, &second]));
    }

    #[tokio::test]
    async fn lines_go_both_ways_and_end_with_the_process() {
        let (one, other) = UnixStream::pair().unwrap();
        let (mut one, mut other) = (Line::new(one).unwrap(), Line::new(other).unwrap());
        one.say("failed", "two\nlines").await;
        assert_eq!(other.hear().await.as_deref(), Some("failed two lines"));
        other.say("follow", "1 change").await;
        other.say("upgrade", "/a path").await;
        other.say("frozen", "").await;
        assert!(one.hear_word("frozen").await);
        assert_eq!(one.take_kept("upgrade").as_deref(), Some("/a path"));
        assert_eq!(one.take_kept("upgrade"), None);
        assert_eq!(one.hear().await.as_deref(), Some("follow 1 change"));
        drop(other);
        assert_eq!(one.hear().await, None);
        assert!(!one.hear_word("frozen").await);
    }
}
