//! An incoming body: where it ends, and its next piece.

use std::io;

use bytes::{Bytes, BytesMut};
use hyper::body::{Frame, SizeHint};

use super::chunked::{Decoded, Decoder};

/// How to find the end of a body, and how much of it has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plane) enum Framing {
    /// This many bytes are left.
    Length(u64),
    Chunked(Decoder),
    /// It ends with the connection.
    Close,
}

/// The result of reading from the available bytes.
#[derive(Debug)]
pub(in crate::plane) enum Next {
    /// Part of the body. It may be the last.
    Piece(Frame<Bytes>),
    End,
    /// More bytes are needed: this many, if the length is known.
    More(Option<u64>),
}

impl Framing {
    /// A body that has been read to its end.
    pub(in crate::plane) const ENDED: Self = Self::Length(0);
    /// A chunked body of which nothing has been read.
    pub(in crate::plane) const CHUNKED: Self = Self::Chunked(Decoder::Size);

    pub(in crate::plane) fn is_ended(self) -> bool {
        self == Self::ENDED
    }

    pub(in crate::plane) fn size_hint(self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(left),
            Self::Chunked(_) | Self::Close => SizeHint::default(),
        }
    }

    /// Takes the next piece from the buffer.
    pub(in crate::plane) fn next(&mut self, buffer: &mut BytesMut) -> io::Result<Next> {
        let data = match self {
            Self::Length(0) => return Ok(Next::End),
            Self::Length(left) if buffer.is_empty() => return Ok(Next::More(Some(*left))),
            Self::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                *left -= length as u64;
                buffer.split_to(length).freeze()
            }
            Self::Close if buffer.is_empty() => return Ok(Next::More(None)),
            Self::Close => buffer.split().freeze(),
            Self::Chunked(decoder) => match decoder.decode(buffer)? {
                Decoded::Data(data) => data,
                Decoded::Partial => return Ok(Next::More(None)),
                Decoded::End(trailers) => {
                    *self = Self::ENDED;
                    return Ok(trailers.map_or(Next::End, |trailers| Next::Piece(Frame::trailers(trailers))));
                }
            },
        };
        Ok(Next::Piece(Frame::data(data)))
    }

    /// Handles the end of the connection. Fails unless that ends the body.
    pub(in crate::plane) fn ends(&mut self) -> io::Result<()> {
        if *self != Self::Close {
            let error = "end of file before message length reached";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, error));
        }
        *self = Self::ENDED;
        Ok(())
    }
}
