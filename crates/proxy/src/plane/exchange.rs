//! A request and its response between the proxy and one target.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use tokio::time::timeout;

use super::body::{BodySource, Outgoing, RequestBody};
use super::forward::{Ending, Flow, Route, WRITER_COOKIE, is_read};
use super::headers::{self, Origin};
use super::record::RequestRecord;
use super::upstream::{self, AnswerBody, Connection, Failure};
use super::{http1, spool, tunnel};
use crate::compress::{self, Encoder};
use crate::log;
use crate::service::Service;
use crate::target::{InFlight, Target};

/// The two connections after the target has agreed to switch protocols.
pub(super) struct Upgraded {
    pub(super) head: Response<()>,
    client: http1::Upgraded,
    upstream: Connection,
}

impl Upgraded {
    /// Starts to pass bytes between them. Returns the head of the response for the client.
    pub(super) fn tunnel(self, open: Box<RequestRecord>) -> Response<()> {
        tunnel::start(self.client, self.upstream, open);
        self.head
    }
}

/// What is needed of a request after it has been sent.
struct RequestFacts {
    upgrade: Option<HeaderValue>,
    client: Option<http1::Upgraded>,
    wrote: bool,
    method: Method,
    version: Version,
    /// `Accept-Encoding`, if the service compresses responses.
    accepts: HeaderMap,
}

/// Sends a request to its target and prepares the response for the client.
pub(super) async fn run(
    flow: &mut Flow<'_>,
    mut request: Box<Request<RequestBody>>,
    route: &Route,
    in_flight: InFlight,
) -> Result<Response<Outgoing>, Ending> {
    let service = &route.binding.service;
    let target = Arc::clone(in_flight.target());
    let cancels = target.cancels();
    flow.open.goes_to(in_flight);
    let upgrade = headers::upgrade(request.headers());
    let facts = RequestFacts {
        client: upgrade.is_some().then(|| request.body().upgrade()).flatten(),
        upgrade,
        wrote: !is_read(&request, service),
        method: request.method().clone(),
        version: request.version(),
        accepts: accepted(&request, service),
    };
    prepare(flow, &mut request, route, &target, facts.upgrade.as_ref());
    let dial = service.target_options.dial_timeout();
    let client = flow.interim;
    let interim = |mut response: Response<()>| {
        headers::remove_hop_by_hop(response.headers_mut());
        response.headers_mut().remove(header::CONTENT_LENGTH);
        client(response);
    };
    let sent = pin!(upstream::send(&target, flow.worker.id, request, dial, &interim));
    let answer = match within(service.target_options.response_timeout, sent).await {
        Some(Ok(answer)) => answer,
        Some(Err(_)) if target.is_cancelled() || target.cancels() != cancels => {
            return Err(cancelled(flow, service, &target));
        }
        Some(Err(failure)) => return Err(failed(flow, service, &target, &failure)),
        None => {
            log::error("Target timed out", &[("target", target.name()), ("path", &flow.open.path())]);
            return Err(Ending::status(StatusCode::GATEWAY_TIMEOUT, service));
        }
    };
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(switch(answer, facts, service));
    }
    pass_on(flow, answer, route, &facts).await
}

async fn within<T>(limit: Duration, answer: impl Future<Output = T>) -> Option<T> {
    if limit.is_zero() { Some(answer.await) } else { timeout(limit, answer).await.ok() }
}

fn cancelled(flow: &Flow<'_>, service: &Arc<Service>, target: &Target) -> Ending {
    let path = flow.open.path();
    log::info("Request cancelled due to draining", &[("target", target.name()), ("path", &path)]);
    Ending::status(StatusCode::GATEWAY_TIMEOUT, service)
}

fn failed(flow: &Flow<'_>, service: &Arc<Service>, target: &Target, failure: &Failure) -> Ending {
    let fields: [log::Field<'_>; 3] =
        [("target", target.name()), ("path", &flow.open.path()), ("error", failure)];
    let status = match failure {
        Failure::Body(_) => return Ending::status(StatusCode::BAD_REQUEST, service),
        Failure::Unreachable(_) | Failure::Broken(_) => StatusCode::BAD_GATEWAY,
        Failure::DialTimeout => StatusCode::GATEWAY_TIMEOUT,
    };
    log::error("Error while proxying", &fields);
    Ending::status(status, service)
}

/// Turns a client's request into the one that the target gets.
fn prepare(
    flow: &mut Flow<'_>,
    request: &mut Request<RequestBody>,
    route: &Route,
    target: &Target,
    upgrade: Option<&HeaderValue>,
) {
    let service = &route.binding.service;
    let trailers = headers::wants_trailers(request.headers());
    if service.rules.access.has_users() {
        request.headers_mut().remove(header::AUTHORIZATION);
    }
    headers::remove_hop_by_hop(request.headers_mut());
    let origin = Origin {
        client: flow.client,
        forward: service.rules.believes(flow.client.address, service.target_options.forward_headers),
        host: flow.host,
        target: target.header(),
        client_ip_header: service.rules.client_ip_header.as_ref(),
        trailers,
        now: SystemTime::now(),
    };
    headers::to_target(request.headers_mut(), &origin, || flow.worker.uuid());
    service.rules.request_headers.apply(request.headers_mut());
    if let Some(upgrade) = upgrade {
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(header::UPGRADE, upgrade.clone());
    }
    flow.open.request_id = request.headers().get("x-request-id").cloned();
    *request.uri_mut() = target_uri(request.uri(), route);
    *request.version_mut() = Version::HTTP_11;
}

/// Path and query for the target: byte for byte as sent by the client, except for a stripped prefix.
fn target_uri(uri: &Uri, route: &Route) -> Uri {
    let Some(asked) = uri.path_and_query() else { return Uri::from_static("/") };
    if !route.strips() {
        return Uri::from(asked.clone());
    }
    let rest = asked.as_str().get(route.rest..).unwrap_or("/");
    let slash = if rest.starts_with('/') { "" } else { "/" };
    PathAndQuery::try_from(format!("{slash}{rest}")).map_or_else(|_| Uri::from_static("/"), Uri::from)
}

fn switch(answer: Response<AnswerBody>, facts: RequestFacts, service: &Arc<Service>) -> Ending {
    let agreed = headers::upgrade(answer.headers());
    let same = |a: &HeaderValue, b: &HeaderValue| a.as_bytes().eq_ignore_ascii_case(b.as_bytes());
    let wanted = facts.upgrade.zip(agreed).is_some_and(|(wanted, agreed)| same(&wanted, &agreed));
    let (head, body) = answer.into_parts();
    match (facts.client, body.into_connection()) {
        (Some(client), Some(upstream)) if wanted => {
            let head = Response::from_parts(head, ());
            Ending::Upgraded(Box::new(Upgraded { head, client, upstream }))
        }
        _ => Ending::status(StatusCode::BAD_GATEWAY, service),
    }
}

async fn pass_on(
    flow: &mut Flow<'_>,
    mut answer: Response<AnswerBody>,
    route: &Route,
    facts: &RequestFacts,
) -> Result<Response<Outgoing>, Ending> {
    let service = &route.binding.service;
    headers::remove_hop_by_hop(answer.headers_mut());
    if facts.version < Version::HTTP_2 {
        *answer.version_mut() = Version::HTTP_11;
    }
    if route.strips() && service.target_options.scope_cookie_paths {
        let host = crate::router::without_port(flow.host.to_str().unwrap_or_default());
        headers::scope_cookies(answer.headers_mut(), &route.prefix, host);
    }
    remember_writer(&mut answer, service, facts.wrote);
    let streams = is_event_stream(&answer);
    if streams {
        answer.body().becomes_stream();
        flow.open.becomes_stream();
    }
    let unbuffered = streams || answer.headers().get("x-accel-buffering").is_some_and(|v| v == "no");
    if service.target_options.buffer_responses && !unbuffered {
        let answer = read_whole(answer, service).await?;
        return Ok(finish(answer, service, facts));
    }
    Ok(finish(answer.map(|body| Outgoing::new(BodySource::Target(body))), service, facts))
}

/// Compresses the response if the service and the client want that, and applies the service's header rules.
fn finish(answer: Response<Outgoing>, service: &Service, facts: &RequestFacts) -> Response<Outgoing> {
    let (mut parts, mut body) = answer.into_parts();
    if service.options.compress
        && let Some(coding) = compress::choose(&facts.method, &facts.accepts, &mut parts)
    {
        body = pack(Encoder::new(coding), &mut parts.headers, body);
    }
    service.rules.response_headers.apply(&mut parts.headers);
    Response::from_parts(parts, body)
}

/// Compresses the body. Without an encoder, it stays as it is.
fn pack(encoder: io::Result<Encoder>, headers: &mut HeaderMap, body: Outgoing) -> Outgoing {
    match encoder {
        Ok(encoder) => Outgoing::new(BodySource::Packed(Box::new(compress::wrap(encoder, headers, body)))),
        Err(error) => {
            log::error("Error compressing response", &[("error", &error)]);
            body
        }
    }
}

fn accepted<B>(request: &Request<B>, service: &Service) -> HeaderMap {
    let mut accepted = HeaderMap::new();
    if service.options.compress {
        for value in request.headers().get_all(header::ACCEPT_ENCODING) {
            accepted.append(header::ACCEPT_ENCODING, value.clone());
        }
    }
    accepted
}

fn is_event_stream(answer: &Response<AnswerBody>) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    kind.get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

async fn read_whole(
    answer: Response<AnswerBody>,
    service: &Arc<Service>,
) -> Result<Response<Outgoing>, Ending> {
    let options = &service.target_options;
    let sizes =
        spool::Sizes { memory: options.max_memory_buffer_size, limit: options.max_response_body_size };
    let (parts, body) = answer.into_parts();
    let (status, error) = match Box::pin(spool::read(body, sizes)).await {
        Ok(spooled) => return Ok(Response::from_parts(parts, Outgoing::new(BodySource::Spooled(spooled)))),
        Err(spool::Error::TooLarge) => (StatusCode::INTERNAL_SERVER_ERROR, "larger than allowed".to_owned()),
        Err(spool::Error::Read(error)) => (StatusCode::BAD_GATEWAY, error.to_string()),
        Err(spool::Error::Disk(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    log::error("Error buffering response", &[("service", &service.name), ("error", &error)]);
    Err(Ending::status(status, service))
}

/// Sends the client's next reads to the writers, while readers may lag behind.
fn remember_writer(answer: &mut Response<AnswerBody>, service: &Service, wrote: bool) {
    let affinity = answer.headers_mut().remove("x-writer-affinity");
    let timeout = service.options.writer_affinity_timeout;
    let declined = affinity.is_some_and(|value| value == "false");
    if !wrote || declined || timeout.is_zero() || !service.active.balancer.has_readers() {
        return;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let until = (now + timeout).as_millis();
    let age = timeout.as_secs() + 1;
    let cookie = format!("{WRITER_COOKIE}={until}; Path=/; Max-Age={age}; HttpOnly");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_response_that_cannot_be_compressed_keeps_its_body() {
        let mut headers = HeaderMap::new();
        let body = Outgoing::new(BodySource::Whole("hello".into()));
        let body = pack(Err(io::ErrorKind::OutOfMemory.into()), &mut headers, body);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        assert!(headers.is_empty());
    }
}
