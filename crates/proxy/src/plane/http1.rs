//! HTTP/1 connections of clients.
//!
//! One task reads a request, waits for its response, and writes that. Between requests, a connection holds no
//! buffers, so that many idle ones need little memory.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, Response, StatusCode, Version};

use super::body::{Outgoing, Received, RequestBody};
use super::client::Client;
use super::forward;
use super::wire::{Broken, Message};
use super::worker::Worker;

mod answer;
pub(super) mod head;
mod link;
mod stream;

pub(super) use answer::date;
pub(super) use link::{Body, Upgraded};
pub(super) use stream::Io;

use answer::ResponseContext;
use head::Head;
use link::Link;

/// Serves the requests of a connection one after another.
pub(super) async fn serve(worker: &Rc<Worker>, client: &Arc<Client>, io: Io) -> io::Result<()> {
    let link = Link::new(io);
    let _closing = link::Closing::new(&link);
    loop {
        let next = poll_fn(|cx| link.borrow_mut().poll_head(cx)).await?;
        let head = match next {
            None => return Ok(()),
            Some(Ok(head)) => head,
            Some(Err(status)) => return refuse(&link, status).await,
        };
        let context = ResponseContext {
            version: head.request.version(),
            keeps_alive: head.keeps_alive,
            takes_trailers: head.takes_trailers,
            is_head: *head.request.method() == Method::HEAD,
        };
        let Some(answer) = answered(worker, client, &link, head).await else { return Ok(()) };
        let switches = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let (message, keeps_alive) = answer::message(answer, context);
        send(&link, message).await?;
        if switches {
            link.borrow_mut().hand_over();
            return Ok(());
        }
        if !keeps_alive || !poll_fn(|cx| link.borrow_mut().poll_read_to_end(cx)).await {
            return poll_fn(|cx| link.borrow_mut().poll_goodbye(cx)).await;
        }
    }
}

/// The response to a request, or `None` if the client left before it.
async fn answered(
    worker: &Rc<Worker>,
    client: &Arc<Client>,
    link: &Rc<RefCell<Link>>,
    head: Head,
) -> Option<Response<Outgoing>> {
    // HTTP/1.0 has no interim responses.
    let takes_interim = head.request.version() == Version::HTTP_11;
    let interim = |response| {
        if takes_interim {
            link.borrow_mut().say(&response);
        }
    };
    let body = RequestBody::of(client, Received::Http1(Body::new(link)));
    let request = Box::new(head.request.map(|()| body));
    let mut answering = pin!(forward::answer(worker, client, request, &interim));
    poll_fn(|cx| match answering.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => {
            let mut link = link.borrow_mut();
            if let Poll::Ready(Err(_)) = link.poll_interim(cx) {
                return Poll::Ready(None);
            }
            link.poll_gone(cx).map(|()| None)
        }
    })
    .await
}

/// Sends a response to its end. Fails if the client leaves.
async fn send(link: &RefCell<Link>, mut message: Message<Outgoing>) -> io::Result<()> {
    let gone = || io::Error::from(io::ErrorKind::ConnectionReset);
    poll_fn(|cx: &mut Context<'_>| {
        // The body may use the link too, so the link is borrowed for each write only.
        let sent = message.poll(cx, |cx, bytes| {
            let mut link = link.borrow_mut();
            ready!(link.poll_interim(cx))?;
            link.poll_send(cx, bytes)
        });
        let flushed = link.borrow_mut().poll_flush(cx)?;
        match sent {
            Poll::Ready(Ok(())) => flushed.map(Ok),
            Poll::Ready(Err(Broken::Peer(error))) => Poll::Ready(Err(error)),
            Poll::Ready(Err(Broken::Body(error))) => Poll::Ready(Err(io::Error::other(error))),
            Poll::Pending => {
                ready!(link.borrow_mut().poll_gone(cx));
                Poll::Ready(Err(gone()))
            }
        }
    })
    .await
}

/// Responds to invalid HTTP and ends the connection.
async fn refuse(link: &RefCell<Link>, status: StatusCode) -> io::Result<()> {
    let text = answer::refusal(status);
    let mut rest = &text[..];
    poll_fn(|cx| {
        while !rest.is_empty() {
            let sent = ready!(link.borrow_mut().poll_send(cx, &[io::IoSlice::new(rest)]))?;
            rest = &rest[sent..];
        }
        ready!(link.borrow_mut().poll_flush(cx))?;
        link.borrow_mut().poll_goodbye(cx)
    })
    .await
}
