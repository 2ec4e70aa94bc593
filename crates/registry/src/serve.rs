//! The registry: the pull half of the OCI distribution specification.
//!
//! Clients can only request what was offered, and can't write. Blobs are read in pieces, in the order in which all
//! connections request them. So no connection gets ahead of the others, and a stalled one doesn't hold up the rest.

mod body;
mod range;
mod refusal;
mod route;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT, ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderName, HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;

use crate::digest::Digest;
use crate::image::{Image, Part};
use crate::manifest::DocumentKind;
use crate::store::Store;
use body::{Blobs, Body};
use range::Slice;
use refusal::Refusal;
use route::Route;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// The size of hyper's buffers: for the head of a request, and for a body until the client reads it.
const BUFFER: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The number of connections served at once; others wait. Docker opens three per pull, Podman six.
    pub connections: usize,
    /// The number of pieces read from disk at once.
    pub reads: usize,
    /// How long a connection may stay open without a request.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 256, reads: 4, idle: Duration::from_secs(60) }
    }
}

/// The user name and password that every request must send, as HTTP basic authentication.
#[derive(Clone)]
pub struct Access(String);

impl Access {
    pub fn new(username: &str, password: &str) -> Self {
        Self(STANDARD.encode(format!("{username}:{password}")))
    }

    fn allows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (scheme, given) = given.split_once(' ').unwrap_or_default();
        // Comparing digests keeps the time independent of the password.
        scheme.eq_ignore_ascii_case("basic")
            && Digest::of(given.trim().as_bytes()) == Digest::of(self.0.as_bytes())
    }
}

/// Counts what was sent over some connections, such as those of one server.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: AtomicU64,
}

impl Traffic {
    /// Bytes of blobs and manifests that were handed to the connections.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

pub struct Registry {
    blobs: Arc<Blobs>,
    access: Option<Access>,
    offers: RwLock<BTreeMap<String, Repository>>,
    connections: Semaphore,
    idle: Duration,
}

#[derive(Default)]
struct Repository {
    tags: BTreeMap<String, Image>,
    parts: BTreeMap<Digest, Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not name an image: expected REPOSITORY:TAG, in lower case and without a registry")]
pub struct NotAName(String);

impl Registry {
    pub fn new(store: Arc<Store>, access: Option<Access>, limits: Limits) -> Self {
        let connections = Semaphore::new(limits.connections);
        let blobs = Arc::new(Blobs::new(store, limits.reads));
        Self { blobs, access, offers: RwLock::default(), connections, idle: limits.idle }
    }

    /// Offers an image as `REPOSITORY:TAG`, in place of any image with that name.
    ///
    /// # Errors
    /// If the name has another form.
    pub fn offer(&self, name: &str, image: &Image) -> Result<(), NotAName> {
        let (repository, tag) = name
            .rsplit_once(':')
            .filter(|(repository, tag)| crate::is_repository(repository) && crate::is_tag(tag))
            .ok_or_else(|| NotAName(name.into()))?;
        let mut offers = self.offers.write().unwrap_or_else(PoisonError::into_inner);
        let offer = offers.entry(repository.into()).or_default();
        offer.parts.extend(image.parts.clone());
        offer.tags.insert(tag.into(), image.clone());
        Ok(())
    }

    /// Serves a connection until the client closes it or it breaks. Dropping the future closes it.
    pub async fn serve<S>(&self, stream: S, traffic: Arc<Traffic>) -> Result<(), hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // The semaphore is never closed.
        let _turn = self.connections.acquire().await;
        let answer = |request| {
            let response = self.answer(&request, &traffic);
            async { Ok::<_, Infallible>(response) }
        };
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.idle)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .await
    }

    fn answer(&self, request: &Request<Incoming>, traffic: &Arc<Traffic>) -> Response<Body> {
        let answer = self.find(request).and_then(|found| self.found(request, found, traffic));
        let mut response = answer.unwrap_or_else(|refusal| refusal.response(request.method()));
        response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        response
    }

    /// What the request asks for. `None` means the version check, `/v2/`.
    fn find(&self, request: &Request<Incoming>) -> Result<Option<Found>, Refusal> {
        if !self.access.as_ref().is_none_or(|access| access.allows(request.headers())) {
            return Err(Refusal::unauthorized());
        }
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Err(Refusal::read_only());
        }
        let route = Route::of(request.uri().path())?;
        let offers = self.offers.read().unwrap_or_else(PoisonError::into_inner);
        let repository = |name| offers.get(name).ok_or_else(|| Refusal::name_unknown(name));
        match route {
            Route::Version => Ok(None),
            Route::Tag(name, tag) => {
                let repository = repository(name)?;
                let image = repository.tags.get(tag).ok_or_else(|| Refusal::manifest_unknown(tag))?;
                let found = accepted(image, request.headers()).ok_or_else(|| Refusal::not_accepted(image))?;
                let part = Part { media_type: found.media_type.clone(), size: found.size };
                Ok(Some(Found { digest: found.digest, part }))
            }
            Route::Manifest(name, digest) => {
                let part = repository(name)?.parts.get(&digest);
                let part = part.filter(|part| DocumentKind::of(&part.media_type) != DocumentKind::Blob);
                let part = part.ok_or_else(|| Refusal::manifest_unknown(&digest.to_string()))?;
                Ok(Some(Found { digest, part: part.clone() }))
            }
            Route::Blob(name, digest) => {
                let part =
                    repository(name)?.parts.get(&digest).ok_or_else(|| Refusal::blob_unknown(&digest))?;
                let media_type = "application/octet-stream".to_owned();
                Ok(Some(Found { digest, part: Part { media_type, size: part.size } }))
            }
        }
    }

    fn found(
        &self,
        request: &Request<Incoming>,
        found: Option<Found>,
        traffic: &Arc<Traffic>,
    ) -> Result<Response<Body>, Refusal> {
        let Some(Found { digest, part }) = found else {
            return Ok(refusal::json(StatusCode::OK, request.method(), "{}".into()));
        };
        let etag = format!("\"{digest}\"");
        let response = Response::builder()
            .header(CONTENT_DIGEST, digest.to_string())
            .header(ETAG, &etag)
            .header(ACCEPT_RANGES, "bytes");
        let given = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        if given(IF_NONE_MATCH).is_some_and(|known| known.split(',').any(|known| known.trim() == etag)) {
            return refusal::built(response.status(StatusCode::NOT_MODIFIED).body(body::empty()));
        }
        // A range only makes sense if the client has the rest of the same blob.
        let range = given(RANGE).filter(|_| given(IF_RANGE).is_none_or(|known| known == etag));
        let (slice, response) = match Slice::of(range, part.size) {
            Slice::Whole => (0..part.size, response),
            Slice::Part(slice) => {
                let range = format!("bytes {}-{}/{}", slice.start, slice.end - 1, part.size);
                (slice, response.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range))
            }
            Slice::Beyond => return Err(Refusal::beyond(part.size)),
        };
        let response =
            response.header(CONTENT_TYPE, &part.media_type).header(CONTENT_LENGTH, slice.end - slice.start);
        let body = match *request.method() {
            Method::HEAD => body::empty(),
            _ => self.blobs.body(digest, slice, Arc::clone(traffic)).map_err(|_| Refusal::gone(&digest))?,
        };
        refusal::built(response.body(body))
    }
}

struct Found {
    digest: Digest,
    part: Part,
}

/// The image's index or manifest, in a type that the client accepts.
fn accepted<'a>(image: &'a Image, headers: &HeaderMap) -> Option<&'a crate::manifest::Descriptor> {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let types: Vec<&str> = values
        .flat_map(|value| value.split(','))
        .filter_map(|accepted| accepted.split(';').next())
        .map(str::trim)
        .collect();
    let takes = |media_type: &str| {
        types.is_empty()
            || types.iter().any(|accepted| ["*/*", "application/*", media_type].contains(accepted))
    };
    let root = Some(image.root()).filter(|root| takes(&root.media_type));
    root.or_else(|| image.without_index().filter(|manifest| takes(&manifest.media_type)))
}
