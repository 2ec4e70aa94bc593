//! `--compress`: compresses responses with zstd, Brotli or gzip.
//!
//! The plane calls [`choose`] with the head of the target's response. If that returns a coding, it [`wrap`]s the body
//! with an [`Encoder`]. Not compressed: responses that already are, event streams, responses that ask not to be
//! buffered, ranges, small responses, types that don't shrink, and anything with `Cache-Control: no-transform`. The
//! body is compressed as it arrives. While the target pauses, everything that has arrived is flushed to the client.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, response};
use hyper::body::{Body, Frame, SizeHint};

use crate::header_list::has_token;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    fn token(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }
}

/// Our order of preference among codings of equal weight.
const PREFERENCE: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];
/// Responses known to be smaller than this many bytes are not compressed: that would hardly save a packet.
const SMALLEST: u64 = 1024;

/// Chooses the coding for a response from the request's method and headers and the response's head. If the choice
/// depends on `Accept-Encoding`, adds that to `Vary` for caches, even if the result is `None`.
pub fn choose(method: &Method, request: &HeaderMap, answer: &mut response::Parts) -> Option<Coding> {
    if !is_worth_packing(method, answer) {
        return None;
    }
    add_vary(&mut answer.headers);
    negotiate(request)
}

fn is_worth_packing(method: &Method, answer: &response::Parts) -> bool {
    let headers = &answer.headers;
    let has_body = method != Method::HEAD
        && method != Method::CONNECT
        && !answer.status.is_informational()
        && !matches!(
            answer.status,
            StatusCode::NO_CONTENT
                | StatusCode::RESET_CONTENT
                | StatusCode::NOT_MODIFIED
                | StatusCode::PARTIAL_CONTENT
        );
    let small = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .is_some_and(|length| length < SMALLEST);
    has_body
        && !small
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && !has_token(headers, "x-accel-buffering", "no")
        && !has_token(headers, CACHE_CONTROL, "no-transform")
        && headers.get(CONTENT_TYPE).is_some_and(shrinks)
}

/// Whether a type shrinks. Event streams are text, but must not wait.
fn shrinks(content_type: &HeaderValue) -> bool {
    let Ok(text) = content_type.to_str() else { return false };
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "text/event-stream" {
        return false;
    }
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(
            kind.as_str(),
            "application/json"
                | "application/javascript"
                | "application/xml"
                | "application/wasm"
                | "application/x-ndjson"
                | "application/manifest+json"
                | "application/vnd.ms-fontobject"
                | "font/ttf"
                | "font/otf"
                | "image/bmp"
                | "image/x-icon"
        )
}

fn add_vary(headers: &mut HeaderMap) {
    if !has_token(headers, VARY, "accept-encoding") && !has_token(headers, VARY, "*") {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// The coding that the client prefers (RFC 9110, section 12.5.3), or `None` without `Accept-Encoding`.
fn negotiate(request: &HeaderMap) -> Option<Coding> {
    let values = request.get_all("accept-encoding");
    let offers: Vec<(&str, u16)> = values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(offer)
        .collect();
    let weight = |token: &str| {
        let named = offers.iter().find(|(name, _)| name.eq_ignore_ascii_case(token));
        named.or_else(|| offers.iter().find(|(name, _)| *name == "*")).map_or(0, |(_, weight)| *weight)
    };
    let identity = offers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("identity"))
        .map_or(0, |(_, weight)| *weight);
    // `max_by_key` returns the last of equal elements: reversed, that is our first choice.
    let best = PREFERENCE.into_iter().rev().max_by_key(|coding| weight(coding.token()))?;
    let weight = weight(best.token());
    (weight > 0 && weight >= identity).then_some(best)
}

/// Parses `gzip;q=0.8` into the name and thousandths.
fn offer(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some((name, weight.map_or(Some(1000), thousandths)?))
}

fn thousandths(weight: &str) -> Option<u16> {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match (whole, part) {
        ("0", part) => Some(part),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// Changes the response's head to describe the compressed body, and returns that body.
pub fn wrap<B: Body<Data = Bytes>>(encoder: Encoder, headers: &mut HeaderMap, body: B) -> Packed<B> {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoder.coding().token()));
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    // Compressed bytes are another representation, and a strong validator promises the same bytes.
    let weak = headers
        .get(ETAG)
        .filter(|tag| !tag.as_bytes().starts_with(b"W/"))
        .map(|tag| [b"W/", tag.as_bytes()].concat());
    if let Some(weak) = weak.and_then(|tag| HeaderValue::from_bytes(&tag).ok()) {
        headers.insert(ETAG, weak);
    }
    Packed { body, state: State::Open { encoder, unflushed: false }, trailers: None }
}

pub struct Packed<B> {
    body: B,
    state: State,
    trailers: Option<HeaderMap>,
}

enum State {
    Open {
        encoder: Encoder,
        /// The encoder holds bytes that the client hasn't received.
        unflushed: bool,
    },
    Ended,
}

#[derive(Debug)]
pub enum Error<E> {
    Body(E),
    Encoder(io::Error),
}

impl<E: std::fmt::Display> std::fmt::Display for Error<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Body(e) => e.fmt(f),
            Error::Encoder(e) => write!(f, "can't compress the response: {e}"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for Error<E> {}

impl<B: Body<Data = Bytes> + Unpin> Body for Packed<B> {
    type Data = Bytes;
    type Error = Error<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        loop {
            let State::Open { encoder, unflushed } = &mut this.state else {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            };
            let packed = match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        *unflushed |= data.has_remaining();
                        encoder.write(&data)
                    }
                    Err(frame) => {
                        this.trailers = frame.into_trailers().ok();
                        finish(&mut this.state)
                    }
                },
                Poll::Ready(Some(Err(e))) => {
                    this.state = State::Ended;
                    return Poll::Ready(Some(Err(Error::Body(e))));
                }
                Poll::Ready(None) => finish(&mut this.state),
                Poll::Pending if *unflushed => {
                    *unflushed = false;
                    encoder.flush()
                }
                Poll::Pending => return Poll::Pending,
            };
            match packed {
                // A body that was pending has registered the waker, and is polled again after these bytes.
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Err(e) => {
                    this.state = State::Ended;
                    return Poll::Ready(Some(Err(Error::Encoder(e))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended) && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

fn finish(state: &mut State) -> io::Result<Bytes> {
    match std::mem::replace(state, State::Ended) {
        State::Open { encoder, .. } => encoder.finish(),
        State::Ended => Ok(Bytes::new()),
    }
}

pub enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
}

impl Encoder {
    /// Levels and windows are chosen for speed, and for a few hundred kilobytes of memory per response.
    pub fn new(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3)?;
                encoder.window_log(17)?;
                Encoder::Zstd(encoder)
            }
            Coding::Brotli => {
                Encoder::Brotli(Box::new(brotli::CompressorWriter::new(Vec::new(), 4096, 4, 17)))
            }
            Coding::Gzip => {
                let level = flate2::Compression::new(5);
                Encoder::Gzip(Box::new(flate2::write::GzEncoder::new(Vec::new(), level)))
            }
        })
    }

    fn coding(&self) -> Coding {
        match self {
            Encoder::Zstd(_) => Coding::Zstd,
            Encoder::Brotli(_) => Coding::Brotli,
            Encoder::Gzip(_) => Coding::Gzip,
        }
    }

    fn write(&mut self, data: &[u8]) -> io::Result<Bytes> {
        self.writer().write_all(data)?;
        Ok(self.take())
    }

    fn flush(&mut self) -> io::Result<Bytes> {
        self.writer().flush()?;
        Ok(self.take())
    }

    fn finish(self) -> io::Result<Bytes> {
        match self {
            Encoder::Zstd(encoder) => encoder.finish().map(Bytes::from),
            Encoder::Brotli(encoder) => Ok(encoder.into_inner().into()),
            Encoder::Gzip(encoder) => encoder.finish().map(Bytes::from),
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Encoder::Zstd(encoder) => encoder,
            Encoder::Brotli(encoder) => encoder.as_mut(),
            Encoder::Gzip(encoder) => encoder.as_mut(),
        }
    }

    fn take(&mut self) -> Bytes {
        let out = match self {
            Encoder::Zstd(encoder) => encoder.get_mut(),
            Encoder::Brotli(encoder) => encoder.get_mut(),
            Encoder::Gzip(encoder) => encoder.get_mut(),
        };
        std::mem::take(out).into()
    }
}

#[cfg(test)]
mod tests;
