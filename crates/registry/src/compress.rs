//! Compresses layers with gzip, in members that each cover a fixed length. So all cores can work on one layer, and
//! the same layer always gives the same bytes. A gzip reader reads several members as one.
//!
//! Every version of Docker reads gzip; zstd needs 23.0.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use flate2::{Compress, Compression, FlushCompress, GzBuilder, Status};

/// Bytes of a layer per member: many times gzip's window, but few enough that a small layer has several members.
const MEMBER: u64 = 256 * 1024;
/// Each thread holds two or three members in memory.
const MOST_THREADS: usize = 8;
/// Bytes per sample. Samples show whether a layer is worth compressing.
const SAMPLE: usize = 16 * 1024;
/// Distance between the starts of two samples.
const STRIDE: u64 = 1024 * 1024;

/// Whether compressing a layer would save less than 5%, as with archives, pictures and videos.
pub(crate) fn is_dense(layer: &File, size: u64) -> io::Result<bool> {
    let (mut sampled, mut squeezed) = (0, 0);
    for start in (0..size).step_by(usize::try_from(STRIDE).map_err(io::Error::other)?) {
        let sample = piece(layer, start, size.min(start + SAMPLE as u64))?;
        sampled += sample.len();
        squeezed += squeeze(&sample)?;
    }
    Ok(saves_little(sampled, squeezed))
}

fn saves_little(bytes: usize, squeezed: usize) -> bool {
    squeezed > bytes - bytes / 20
}

fn squeeze(bytes: &[u8]) -> io::Result<usize> {
    let mut to = Vec::with_capacity(bytes.len() + 1024);
    let status =
        Compress::new(Compression::fast(), false).compress_vec(bytes, &mut to, FlushCompress::Finish);
    match status {
        Ok(Status::StreamEnd) => Ok(to.len()),
        Ok(_) => Ok(bytes.len()),
        Err(error) => Err(io::Error::other(error)),
    }
}

pub(crate) fn gzip(layer: &File, size: u64, to: &mut impl Write) -> io::Result<()> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    thread::scope(|scope| {
        let workers: Vec<Receiver<io::Result<Vec<u8>>>> = (0..threads)
            .map(|first| {
                let (sender, receiver) = sync_channel(1);
                scope.spawn(move || make(layer, size, (first, threads), &sender));
                receiver
            })
            .collect();
        // Each worker compresses every n-th member, so reading from the workers in turn keeps the order.
        for worker in workers.iter().cycle() {
            match worker.recv() {
                Ok(member) => to.write_all(&member?)?,
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    })
}

/// Compresses a worker's members until all are done or the receiver is gone.
fn make(layer: &File, size: u64, (first, threads): (usize, usize), to: &SyncSender<io::Result<Vec<u8>>>) {
    // An empty layer is one empty member.
    let members = size.div_ceil(MEMBER).max(1);
    for number in (first as u64..members).step_by(threads) {
        let start = number * MEMBER;
        let made = piece(layer, start, size.min(start + MEMBER)).and_then(|piece| member(&piece));
        if to.send(made).is_err() {
            return;
        }
    }
}

fn piece(layer: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    layer.read_exact_at(&mut piece, start)?;
    Ok(piece)
}

fn member(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let sample = bytes.get(..SAMPLE).unwrap_or(bytes);
    let level = match saves_little(sample.len(), squeeze(sample)?) {
        true => Compression::none(),
        false => Compression::default(),
    };
    // Without a time or an operating system in the header, the same bytes always give the same member.
    let mut gzip = GzBuilder::new().operating_system(255).write(Vec::with_capacity(bytes.len() / 2), level);
    gzip.write_all(bytes)?;
    gzip.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn whatever_is_compressed_comes_out_again_and_always_the_same() {
        let member = usize::try_from(MEMBER).unwrap();
        let text: Vec<u8> = b"a line of text\n".iter().copied().cycle().take(5 * member + 17).collect();
        let mixed = [&text[..member + 1], &noise(3 * member), &text[..9]].concat();
        for bytes in [&b""[..], b"x", &text, &text[..member], &mixed, &noise(2 * member)] {
            let compress = || {
                let mut to = Vec::new();
                gzip(&file(bytes), bytes.len() as u64, &mut to).unwrap();
                to
            };
            let compressed = compress();
            assert_eq!(compressed, compress());
            assert!(compressed.len() < bytes.len() + bytes.len() / 1000 + 100);
            let mut plain = Vec::new();
            MultiGzDecoder::new(&*compressed).read_to_end(&mut plain).unwrap();
            assert!(plain == bytes, "{} bytes", bytes.len());
        }
    }

    #[test]
    fn a_layer_that_is_shorter_than_its_name_says_is_an_error() {
        let error = gzip(&file(b"short"), 6, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_cannot_be_written_ends_the_work() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let bytes = vec![0; 20 << 20];
        let error = gzip(&file(&bytes), bytes.len() as u64, &mut Full).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn what_is_compressed_already_is_seen() {
        let text = b"line upon line of text, ".repeat(100_000);
        let noise = noise(3 << 20);
        let is_dense = |bytes: &[u8]| is_dense(&file(bytes), bytes.len() as u64).unwrap();
        assert!(!is_dense(&text));
        assert!(is_dense(&noise));
        assert!(!is_dense(&[&noise[..], &text].concat()));
        assert!(is_dense(&[&text[..100], &noise].concat()));
        assert!(!is_dense(b""));
    }
}
