//! HTTP/2 connections of clients.
//!
//! One task drives a connection. Each of its requests has its own task on the same worker.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Ping, PingPong, Reason, SendStream};
use http::header::{self, HeaderMap};
use http::{HeaderValue, Request, Response};
use hyper::body::{Body as _, Frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::body::{Outgoing, Received, RequestBody};
use super::client::Client;
use super::worker::Worker;
use super::{forward, headers, http1};

mod body;

pub(super) use body::Body;

/// Concurrent requests per connection.
const MAX_STREAMS: u32 = 128;
/// Bytes of a request's body, and of all bodies of a connection, that may wait for their targets.
const WINDOW: u32 = 1 << 20;
/// Bytes of a response that may wait for the client, in addition to one piece of up to 64 KiB.
const MAX_UNSENT: usize = 32 << 10;
/// Bytes of all headers of a request.
const MAX_HEADERS: u32 = 64 << 10;
/// Resets from the client that may be pending. A client that sends more is flooding.
const MAX_PENDING_RESETS: usize = 20;
/// Resets that a client may cause in total.
const MAX_CAUSED_RESETS: usize = 1024;
/// The interval of pings, and how long the client may take to respond.
const ASKED_EVERY: Duration = Duration::from_secs(30);
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

pub(super) async fn serve<S>(worker: &Rc<Worker>, client: Arc<Client>, stream: S) -> Result<(), h2::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection: Connection<S, Bytes> = settings().handshake(stream).await?;
    let goodbye = Arc::new(Notify::new());
    let mut silence = pin!(silence(connection.ping_pong()));
    let mut ends = pin!(ends(worker, &goodbye));
    let (mut is_silent, mut is_ending) = (false, false);
    poll_fn(|cx| {
        if !is_ending && ends.as_mut().poll(cx).is_ready() {
            is_ending = true;
            connection.graceful_shutdown();
        }
        if !is_silent && silence.as_mut().poll(cx).is_ready() {
            is_silent = true;
            connection.abrupt_shutdown(Reason::NO_ERROR);
        }
        while let Some(accepted) = ready!(connection.poll_accept(cx)) {
            let (request, respond) = accepted?;
            client.speaks_http2(&goodbye);
            let (head, stream) = request.into_parts();
            let body = RequestBody::of(&client, Received::Http2(Body::new(stream, &head.headers)));
            let request = Box::new(Request::from_parts(head, body));
            tokio::task::spawn_local(answer(Rc::clone(worker), Arc::clone(&client), request, respond));
        }
        Poll::Ready(Ok(()))
    })
    .await
}

fn settings() -> Builder {
    let mut settings = Builder::new();
    settings
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buffer_size(MAX_UNSENT)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(Some(MAX_CAUSED_RESETS));
    settings
}

/// Returns when the connection must end after its current requests.
async fn ends(worker: &Worker, goodbye: &Notify) {
    let mut phase = worker.shared.phase.subscribe();
    tokio::select! {
        () = goodbye.notified() => {}
        _ = phase.wait_for(|phase| phase.is_closing()) => {}
    }
}

/// Returns when the client stops responding to pings.
async fn silence(pings: Option<PingPong>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        sleep(ASKED_EVERY).await;
        match timeout(ANSWERS_WITHIN, pings.ping(Ping::opaque())).await {
            Ok(Ok(_)) => {}
            // The connection ends by itself.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return,
        }
    }
}

async fn answer(
    worker: Rc<Worker>,
    client: Arc<Client>,
    request: Box<Request<RequestBody>>,
    respond: SendResponse<Bytes>,
) {
    let respond = RefCell::new(respond);
    let Some(answer) = answered(&worker, &client, request, &respond).await else { return };
    let mut respond = respond.into_inner();
    let (mut head, body) = answer.into_parts();
    complete(&mut head.headers);
    let ended = body.is_end_stream();
    if !ended
        && let Some(length) = body.size_hint().exact()
        && !head.headers.contains_key(header::CONTENT_LENGTH)
    {
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    match respond.send_response(Response::from_parts(head, ()), ended) {
        Ok(stream) if !ended => send(stream, body).await,
        Ok(_) => {}
        Err(_) => respond.send_reset(Reason::INTERNAL_ERROR),
    }
}

/// The response to a request, or `None` if the client has reset it.
async fn answered(
    worker: &Rc<Worker>,
    client: &Arc<Client>,
    request: Box<Request<RequestBody>>,
    respond: &RefCell<SendResponse<Bytes>>,
) -> Option<Response<Outgoing>> {
    let interim = |response| {
        // A client that is gone is detected below.
        let _ = respond.borrow_mut().send_informational(response);
    };
    let mut answering = pin!(forward::answer(worker, client, request, &interim));
    poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => respond.borrow_mut().poll_reset(cx).map(|_| None),
    })
    .await
}

/// Turns headers into those of HTTP/2: none that are hop by hop, and a `Date`.
fn complete(headers: &mut HeaderMap) {
    headers::remove_hop_by_hop(headers);
    if let header::Entry::Vacant(date) = headers.entry(header::DATE) {
        date.insert(http1::date());
    }
}

/// Sends the body of a response as fast as the client accepts it.
async fn send(mut stream: SendStream<Bytes>, mut body: Outgoing) {
    loop {
        let next = poll_fn(|cx| match stream.poll_reset(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => std::pin::Pin::new(&mut body).poll_frame(cx).map(Some),
        });
        // If sending fails, the client is gone.
        let _ = match next.await {
            None => return,
            Some(None) => return drop(stream.send_data(Bytes::new(), true)),
            Some(Some(Err(_))) => return stream.send_reset(Reason::INTERNAL_ERROR),
            Some(Some(Ok(frame))) => match frame.into_data().map_err(Frame::into_trailers) {
                Ok(data) if data.is_empty() => Ok(()),
                Ok(data) => {
                    // Any capacity is enough to start. Reserving more would take it from other responses.
                    stream.reserve_capacity(1);
                    if poll_fn(|cx| poll_window(&mut stream, cx)).await.is_none() {
                        return;
                    }
                    let ended = body.is_end_stream();
                    let sent = stream.send_data(data, ended);
                    if ended {
                        return;
                    }
                    sent
                }
                Err(trailers) => {
                    stream.reserve_capacity(0);
                    return drop(stream.send_trailers(trailers.unwrap_or_default()));
                }
            },
        };
    }
}

/// Waits until the client accepts more. Returns `None` if it never will.
fn poll_window(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Option<()>> {
    while stream.capacity() == 0 {
        if stream.poll_reset(cx).is_ready() {
            return Poll::Ready(None);
        }
        match ready!(stream.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Poll::Ready(None),
        }
    }
    Poll::Ready(Some(()))
}
