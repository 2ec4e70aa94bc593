//! Requests to targets. Each worker keeps idle connections per target, and uses each for one request at a time.
//!
//! We have our own HTTP/1 client, so that a request needs no other task than its client's, and no channels.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use tokio::time::timeout;

use super::body::{BoxError, RequestBody};
use crate::target::Target;

mod answer;
mod connection;
mod pool;
mod request;

pub(super) use answer::AnswerBody;
pub(super) use connection::Connection;
pub(crate) use connection::connect;
pub(crate) use pool::Pool;

use super::wire::Broken;
use answer::Head;
use request::Sending;

/// Why there is no response from a target.
#[derive(Debug)]
pub(super) enum Failure {
    Unreachable(io::Error),
    DialTimeout,
    /// The connection broke, or the response was not HTTP.
    Broken(io::Error),
    /// The client's body failed.
    Body(BoxError),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "cannot connect: {error}"),
            Self::DialTimeout => f.write_str("timed out connecting"),
            Self::Broken(error) => error.fmt(f),
            Self::Body(error) => error.fmt(f),
        }
    }
}

/// Passes an interim response, such as `103 Early Hints`, on to the client.
pub(super) type Interim<'a> = &'a dyn Fn(Response<()>);

/// How many interim responses to one request are passed on.
const MAX_INTERIM: usize = 16;

/// Sends a request and waits for the head of its response.
///
/// The target may have just closed an idle connection. A request that was not written is sent again on another
/// connection. A request without a body whose method is safe is sent again even if it may have been written.
pub(super) async fn send(
    target: &Arc<Target>,
    worker: usize,
    request: Box<Request<RequestBody>>,
    dial: Duration,
    interim: Interim<'_>,
) -> Result<Response<AnswerBody>, Failure> {
    let cancels = target.cancels();
    let mut sending = Box::new(Sending::new(*request));
    loop {
        let (mut connection, reused) = match reusable(target, worker, &sending) {
            Some(connection) => (connection, true),
            None => (Box::pin(open(target, dial)).await?, false),
        };
        match exchange(&mut connection, &mut sending, interim).await {
            Ok((head, all_sent)) => {
                let sending = (!all_sent).then_some(sending);
                let body = AnswerBody::new(&head, connection, sending, target, worker);
                return Ok(head.response.map(|()| body));
            }
            Err(Failure::Broken(_))
                if reused
                    && target.cancels() == cancels
                    && (sending.message.is_unsent() || sending.is_repeatable()) =>
            {
                sending.message.rewind();
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn reusable(target: &Target, worker: usize, sending: &Sending) -> Option<Connection> {
    loop {
        let connection = target.pool(worker).take()?;
        if sending.is_repeatable() || connection.is_open() {
            return Some(connection);
        }
    }
}

async fn open(target: &Arc<Target>, dial: Duration) -> Result<Connection, Failure> {
    let connected = timeout(dial, Connection::open(target)).await;
    connected.map_err(|_| Failure::DialTimeout)?.map_err(Failure::Unreachable)
}

/// Sends a request until its response arrives. Also returns whether all of it had been sent by then.
async fn exchange(
    connection: &mut Connection,
    sending: &mut Sending,
    interim: Interim<'_>,
) -> Result<(Head, bool), Failure> {
    let (mut all_sent, mut refused, mut passed) = (false, None, 0);
    let mut interim = |response| {
        if passed < MAX_INTERIM {
            interim(response);
        }
        passed += 1;
    };
    poll_fn(|cx| {
        if !all_sent && refused.is_none() {
            match sending.message.poll(cx, |cx, bytes| connection.poll_send(cx, bytes)) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => all_sent = true,
                Poll::Ready(Err(Broken::Body(error))) => return Poll::Ready(Err(Failure::Body(error))),
                // The target may have responded before.
                Poll::Ready(Err(Broken::Peer(error))) => refused = Some(error),
            }
        }
        let head = std::task::ready!(connection.poll_head(cx, &sending.method, &mut interim));
        Poll::Ready(match head {
            Ok(head) => Ok((head, all_sent)),
            Err(error) => Err(Failure::Broken(refused.take().unwrap_or(error))),
        })
    })
    .await
}
