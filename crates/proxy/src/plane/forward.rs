//! Handles one request: routes it, admits or refuses it, sends it to a target, and passes on the response.

use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::Body;
use tokio::time::Instant;

use super::Scheme;
use super::answers::{self, Refusal};
use super::body::{BodySource, Outgoing, RequestBody};
use super::client::Client;
use super::record::RequestRecord;
use super::upstream::Interim;
use super::worker::Worker;
use super::{exchange, guard, headers, spool};
use crate::access::{self, Verdict};
use crate::balance::Class;
use crate::client_address;
use crate::gate::Refused;
use crate::log;
use crate::rollout;
use crate::router::without_port;
use crate::service::{Binding, Service, TargetSet};
use crate::target::InFlight;

/// How often a request is routed again because its target was replaced at that moment.
const MAX_ROUTINGS: usize = 32;
/// Sends a client's reads to the writers. The value is the end of that period, in milliseconds since 1970.
pub(super) const WRITER_COOKIE: &str = "kamal-writer";

/// Handles a request, which is logged when the response's body ends. `interim` gets the target's interim responses.
pub(super) async fn answer(
    worker: &Rc<Worker>,
    client: &Arc<Client>,
    mut request: Box<Request<RequestBody>>,
    interim: Interim<'_>,
) -> Response<Outgoing> {
    client.request_begun();
    let version = request.version();
    let host = guard::host(&mut request);
    let named = host.as_ref().ok().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut open = Box::new(RequestRecord::new(client, &request, named));
    let answered = match host {
        Ok(host) => Flow { worker, client, host: &host, open: &mut open, interim }.run(request).await,
        Err(status) => Err(Ending::Refused(status.into(), None)),
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(Ending::Refused(refusal, service)) => {
            open.leaves_target();
            let pages = service.as_ref().map_or(&worker.shared.pages, |service| &service.rules.pages);
            let mut page = answers::page(pages, &refusal);
            if refusal.status == StatusCode::UNAUTHORIZED {
                page.headers_mut().insert(header::WWW_AUTHENTICATE, access::CHALLENGE);
            }
            page
        }
        Err(Ending::Upgraded(upgraded)) => {
            open.answered(StatusCode::SWITCHING_PROTOCOLS.as_u16(), upgraded.head.headers());
            return upgraded.tunnel(open).map(|()| Outgoing::new(BodySource::Empty));
        }
    };
    open.answered(response.status().as_u16(), response.headers());
    if worker.shared.is_closing() && version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| body.belongs_to(open))
}

/// How a request ends without a response to pass on.
pub(super) enum Ending {
    /// With an error page: the service's own, if it has one.
    Refused(Refusal, Option<Arc<Service>>),
    /// With a switch to another protocol.
    Upgraded(Box<exchange::Upgraded>),
}

impl Ending {
    pub(super) fn status(status: StatusCode, service: &Arc<Service>) -> Self {
        Self::Refused(status.into(), Some(Arc::clone(service)))
    }
}

/// A request in progress.
pub(super) struct Flow<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) client: &'a Arc<Client>,
    pub(super) host: &'a HeaderValue,
    pub(super) open: &'a mut Box<RequestRecord>,
    pub(super) interim: Interim<'a>,
}

pub(super) struct Route {
    pub(super) binding: Binding,
    /// The matched prefix.
    pub(super) prefix: Arc<str>,
    /// Where the rest of the path starts.
    pub(super) rest: usize,
}

impl Route {
    pub(super) fn strips(&self) -> bool {
        self.binding.service.options.strip_prefix && self.rest > 0
    }

    /// The path as the service sees it.
    pub(super) fn path<'a>(&self, path: &'a str) -> &'a str {
        match path.get(self.rest..) {
            Some("") if self.strips() => "/",
            Some(rest) if self.strips() => rest,
            _ => path,
        }
    }
}

impl Flow<'_> {
    async fn run(&mut self, request: Box<Request<RequestBody>>) -> Result<Response<Outgoing>, Ending> {
        if let Some(answer) = self.acme_challenge(&request) {
            return Ok(answer);
        }
        let mut request = Some(request);
        for _ in 0..MAX_ROUTINGS {
            let Some(current) = &request else { break };
            let route = self.route(current)?;
            if let Some(answer) = self.without_target(current, &route) {
                return Ok(answer);
            }
            let service = &route.binding.service;
            if self.client.scheme == Scheme::Https && !route.binding.tls {
                return Err(Ending::status(StatusCode::SERVICE_UNAVAILABLE, service));
            }
            self.admit(current, service)?;
            if !service.gate.is_open() {
                match self.wait(current, &route).await? {
                    Some(answer) => return Ok(answer),
                    None => continue,
                }
            }
            request = self.read_whole(request, service).await?;
            let Some(current) = &request else { break };
            let Some(in_flight) = self.choose(current, service)? else { continue };
            let Some(request) = request.take() else { break };
            return exchange::run(self, request, &route, in_flight).await;
        }
        Err(Ending::Refused(StatusCode::SERVICE_UNAVAILABLE.into(), None))
    }

    /// Responds to an ACME authority that validates a name (HTTP-01).
    fn acme_challenge<B>(&self, request: &Request<B>) -> Option<Response<Outgoing>> {
        let token = request.uri().path().strip_prefix("/.well-known/acme-challenge/")?;
        let host = without_port(self.host.to_str().unwrap_or_default());
        let answer = self.worker.shared.tls.as_ref()?.http01(host, token)?;
        Some(Response::new(Outgoing::new(BodySource::Whole(answer.into()))))
    }

    fn route(&mut self, request: &Request<RequestBody>) -> Result<Route, Ending> {
        let path = request.uri().path();
        let host = without_port(self.host.to_str().unwrap_or_default());
        let table = self.worker.shared.services.table();
        let Some((binding, prefix, rest)) = table.find(host, path) else {
            return Err(Ending::Refused(StatusCode::NOT_FOUND.into(), None));
        };
        let route = Route { binding: binding.clone(), prefix: Arc::clone(prefix), rest };
        self.open.is_for(&route.binding.service, route.path(path), request.headers());
        Ok(route)
    }

    /// Redirects, which need no target.
    fn without_target(&self, request: &Request<RequestBody>, route: &Route) -> Option<Response<Outgoing>> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        answers::redirect(&route.binding, self.client.scheme, self.host.to_str().unwrap_or_default(), path)
    }

    /// Refuses clients that may not use the service.
    fn admit(&self, request: &Request<RequestBody>, service: &Arc<Service>) -> Result<(), Ending> {
        let rules = &service.rules;
        if rules.access.is_open() {
            return Ok(());
        }
        let client = client_address::of(self.client.address, request.headers(), &rules.trusted);
        match rules.access.check(client, request.headers().get(header::AUTHORIZATION)) {
            Verdict::Pass => Ok(()),
            Verdict::Forbidden => Err(Ending::status(StatusCode::FORBIDDEN, service)),
            Verdict::Unauthorized => Err(Ending::status(StatusCode::UNAUTHORIZED, service)),
        }
    }

    /// Waits for the end of a pause. External health checks get a response without waiting.
    async fn wait(
        &self,
        request: &Request<RequestBody>,
        route: &Route,
    ) -> Result<Option<Response<Outgoing>>, Ending> {
        let service = &route.binding.service;
        let health = &service.target_options.health_check_config.path;
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if is_read && !health.is_empty() && route.path(request.uri().path()) == health {
            return Ok(Some(answers::plain(StatusCode::OK)));
        }
        match Box::pin(service.gate.pass(Instant::from_std(self.open.started))).await {
            Ok(()) => Ok(None),
            Err(Refused::Expired) => {
                log::warn(
                    "Rejecting request due to expired pause",
                    &[("service", &service.name), ("path", &request.uri().path())],
                );
                Err(Ending::status(StatusCode::GATEWAY_TIMEOUT, service))
            }
            Err(Refused::Stopped(notice)) => {
                let refusal = Refusal {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    message: notice.message.to_string(),
                    retry_after: notice.retry_after,
                };
                Err(Ending::Refused(refusal, Some(Arc::clone(service))))
            }
        }
    }

    /// Reads the whole body if the service buffers requests.
    async fn read_whole(
        &self,
        request: Option<Box<Request<RequestBody>>>,
        service: &Arc<Service>,
    ) -> Result<Option<Box<Request<RequestBody>>>, Ending> {
        let options = &service.target_options;
        if !options.buffer_requests {
            return Ok(request);
        }
        let Some(request) = request else { return Ok(None) };
        let (parts, body) = request.into_parts();
        let RequestBody::Incoming(incoming) = body else {
            return Ok(Some(Box::new(Request::from_parts(parts, body))));
        };
        if headers::upgrade(&parts.headers).is_some() || incoming.is_end_stream() {
            return Ok(Some(Box::new(Request::from_parts(parts, RequestBody::Incoming(incoming)))));
        }
        let sizes =
            spool::Sizes { memory: options.max_memory_buffer_size, limit: options.max_request_body_size };
        let status = match Box::pin(spool::read(incoming, sizes)).await {
            Ok(spooled) => {
                let request = Request::from_parts(parts, RequestBody::Spooled(spooled));
                return Ok(Some(Box::new(request)));
            }
            Err(spool::Error::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Err(spool::Error::Read(_)) => StatusCode::BAD_REQUEST,
            Err(spool::Error::Disk(error)) => {
                log::error("Error buffering request", &[("service", &service.name), ("error", &error)]);
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Err(Ending::status(status, service))
    }

    /// Chooses the target of a request. Returns `None` if the request must be routed again.
    fn choose(
        &self,
        request: &Request<RequestBody>,
        service: &Arc<Service>,
    ) -> Result<Option<InFlight>, Ending> {
        let set = choose_set(request, service);
        let Some(target) = set.balancer.pick(class(request, service, set)) else {
            return Err(Ending::status(StatusCode::SERVICE_UNAVAILABLE, service));
        };
        let begun = target.begin();
        // A pause may have started meanwhile, found nothing to drain, and finished draining.
        Ok(begun.filter(|_| service.gate.is_open()))
    }
}

fn choose_set<'a>(request: &Request<RequestBody>, service: &'a Service) -> &'a TargetSet {
    if let (Some(split), Some(rollout)) = (&service.split, &service.rollout)
        && headers::cookie(request.headers(), rollout::COOKIE).is_some_and(|value| split.includes(value))
    {
        return rollout;
    }
    &service.active
}

fn class(request: &Request<RequestBody>, service: &Service, set: &TargetSet) -> Class {
    if !set.balancer.has_readers() || !is_read(request, service) {
        return Class::Write;
    }
    let until =
        headers::cookie(request.headers(), WRITER_COOKIE).and_then(|value| value.parse::<u128>().ok());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis());
    if until.is_some_and(|until| until > now) { Class::Write } else { Class::Read }
}

/// Whether a request may go to readers.
pub(super) fn is_read<B>(request: &Request<B>, service: &Service) -> bool {
    let method = matches!(*request.method(), Method::GET | Method::HEAD);
    method
        && (service.options.read_targets_accept_websockets || headers::upgrade(request.headers()).is_none())
}
