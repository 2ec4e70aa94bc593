//! Streams blobs to clients in pieces.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use tokio::sync::Semaphore;

use super::Traffic;
use crate::digest::Digest;
use crate::store::Store;

/// A connection holds at most two pieces: the one being sent and the next. Docker opens three connections per pull.
const PIECE: u64 = 64 * 1024;

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

pub(super) fn text(text: String) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Reads blobs of a store. However many connections read a blob, its file is opened once.
pub(super) struct Blobs {
    store: Arc<Store>,
    open: Mutex<HashMap<Digest, Weak<File>>>,
    /// Limits concurrent reads. First come, first served.
    turns: Semaphore,
}

impl Blobs {
    pub(super) fn new(store: Arc<Store>, reads: usize) -> Self {
        Self { store, open: Mutex::default(), turns: Semaphore::new(reads) }
    }

    /// Streams a slice of a blob. Each piece is read when the client is ready for it.
    pub(super) fn body(
        self: &Arc<Self>,
        digest: Digest,
        slice: Range<u64>,
        traffic: Arc<Traffic>,
    ) -> io::Result<Body> {
        let reading = (Arc::clone(self), self.file(digest)?, slice, traffic);
        let pieces = stream::try_unfold(reading, |(blobs, file, slice, traffic)| async move {
            if slice.is_empty() {
                return Ok(None);
            }
            let end = slice.end.min(slice.start + PIECE);
            let piece = blobs.piece(&file, slice.start..end).await?;
            traffic.add(piece.len());
            Ok(Some((Frame::data(piece), (blobs, file, end..slice.end, traffic))))
        });
        Ok(StreamBody::new(pieces).boxed_unsync())
    }

    async fn piece(&self, file: &Arc<File>, slice: Range<u64>) -> io::Result<Bytes> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let file = Arc::clone(file);
        let read = move || {
            let mut piece = vec![0; usize::try_from(slice.end - slice.start).map_err(io::Error::other)?];
            file.read_exact_at(&mut piece, slice.start)?;
            Ok(piece.into())
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }

    fn file(&self, digest: Digest) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&digest).and_then(Weak::upgrade) {
            return Ok(file);
        }
        open.retain(|_, file| file.strong_count() > 0);
        let file = Arc::new(File::open(self.store.blob(&digest))?);
        open.insert(digest, Arc::downgrade(&file));
        Ok(file)
    }
}
