//! Reads a body whole: its start into memory, the rest into a file without a name.

use std::io::Seek;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::io::AsyncWriteExt;

use super::body::Spooled;

#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Bytes kept in memory.
    pub(super) memory: u64,
    /// Bytes of the whole body; zero for no limit.
    pub(super) limit: u64,
}

#[derive(Debug)]
pub(super) enum Error<E> {
    TooLarge,
    Read(E),
    Disk(std::io::Error),
}

pub(super) async fn read<B>(mut body: B, sizes: Sizes) -> Result<Spooled, Error<B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    if is_over(body.size_hint().lower(), sizes) {
        return Err(Error::TooLarge);
    }
    let mut spooled = Spooled::default();
    while let Some(frame) = body.frame().await {
        match frame.map_err(Error::Read)?.into_data() {
            Ok(data) => {
                if is_over(spooled.left + data.len() as u64, sizes) {
                    return Err(Error::TooLarge);
                }
                keep(&mut spooled, data, sizes.memory).await.map_err(Error::Disk)?;
            }
            Err(frame) => spooled.trailers = frame.into_trailers().ok(),
        }
    }
    if let Some(file) = spooled.file.take() {
        spooled.file = Some(rewound(file).await.map_err(Error::Disk)?);
    }
    Ok(spooled)
}

fn is_over(length: u64, sizes: Sizes) -> bool {
    sizes.limit > 0 && length > sizes.limit
}

async fn keep(spooled: &mut Spooled, mut data: Bytes, memory: u64) -> std::io::Result<()> {
    let room = usize::try_from(memory.saturating_sub(spooled.left)).unwrap_or(usize::MAX);
    spooled.left += data.len() as u64;
    let rest = data.split_off(room.min(data.len()));
    if !data.is_empty() {
        spooled.memory.push_back(data);
    }
    if rest.is_empty() {
        return Ok(());
    }
    if spooled.file.is_none() {
        spooled.file = Some(tokio::fs::File::from_std(unnamed()?));
    }
    match &mut spooled.file {
        Some(file) => file.write_all(&rest).await,
        None => Ok(()),
    }
}

async fn rewound(mut file: tokio::fs::File) -> std::io::Result<tokio::fs::File> {
    file.flush().await?;
    let mut file = file.into_std().await;
    file.rewind()?;
    Ok(tokio::fs::File::from_std(file))
}

/// Creates a file in the temporary directory that nothing else can open, and that disappears when it is closed.
fn unnamed() -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("proxy-buffer-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};

    async fn through(length: usize, memory: u64, limit: u64) -> Option<(bool, Vec<u8>)> {
        let sent: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let spooled = read(Full::new(Bytes::from(sent)), Sizes { memory, limit }).await.ok()?;
        let on_disk = spooled.file.is_some();
        Some((on_disk, spooled.collect().await.unwrap().to_bytes().to_vec()))
    }

    #[tokio::test]
    async fn what_does_not_fit_into_memory_comes_back_from_disk() {
        for (length, memory, on_disk) in
            [(0, 10, false), (10, 10, false), (11, 10, true), (300_000, 7, true), (5, 0, true)]
        {
            let (disk, bytes) = through(length, memory, 0).await.unwrap();
            assert_eq!((disk, bytes.len()), (on_disk, length));
            assert!(bytes.iter().enumerate().all(|(i, b)| *b == (i % 251) as u8), "{length}");
        }
    }

    #[tokio::test]
    async fn the_limit_is_for_the_whole_body() {
        assert!(through(100, 10, 100).await.is_some());
        assert!(through(101, 10, 100).await.is_none());
        assert!(through(101, 1000, 100).await.is_none());
    }
}
