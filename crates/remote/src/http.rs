//! Sends a `GET` request through the SSH connection (`direct-tcpip`) to an address that only the server can reach.

use std::net::SocketAddr;

use bowline_engine::ports::ServerError;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use russh::{ChannelOpenFailure, Error};

use crate::Result;
use crate::session::Session;

/// The maximum size of a response body in bytes.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

pub(crate) async fn get(session: &Session, address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let limit = session.timeouts().api;
    let asked = tokio::time::timeout(limit, ask(session, address, path)).await;
    asked.unwrap_or(Err(ServerError::Deadline { limit, setting: "api" }))
}

async fn ask(session: &Session, address: SocketAddr, path: &str) -> Result<(u16, String)> {
    let (host, port) = (address.ip().to_string(), u32::from(address.port()));
    let opened = session.handle().channel_open_direct_tcpip(host, port, "127.0.0.1", 0).await;
    let channel = opened.map_err(|error| match error {
        Error::ChannelOpenFailure(why) => refused(address, &why),
        _ => session.lost(),
    })?;
    let broken = |what: &str, error: &dyn std::fmt::Display| {
        if session.usable() {
            no_answer(format!("http://{address}{path} {what}: {error}"))
        } else {
            session.lost()
        }
    };
    let stream = TokioIo::new(channel.into_stream());
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(|e| broken("did not respond", &e))?;
    let request = Request::get(path)
        .header("Host", address.to_string())
        .header("Connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|e| no_answer(format!("{path:?} can't be requested: {e}")))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|e| broken("did not respond", &e))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect().await;
        let body = body.map_err(|e| match e.downcast_ref::<LengthLimitError>() {
            Some(_) => ServerError::TooMuchOutput { limit: BODY_LIMIT },
            None => broken("was cut short", &e),
        })?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    };
    // The connection makes progress only while it is polled. If it breaks, the exchange reports that.
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        done = &mut exchange => return done,
        _ = connection => {}
    }
    exchange.await
}

fn refused(address: SocketAddr, why: &ChannelOpenFailure) -> ServerError {
    match why {
        ChannelOpenFailure::ConnectFailed => ServerError::Unreachable {
            reason: format!("nothing listens at {address} on the server"),
            hint: None,
        },
        ChannelOpenFailure::AdministrativelyProhibited => {
            let reason = format!("the server does not forward connections to {address}");
            ServerError::NotForwarded { reason }
        }
        why => no_answer(format!("the server did not forward a connection to {address} ({why:?})")),
    }
}

fn no_answer(reason: String) -> ServerError {
    ServerError::Unreachable { reason, hint: None }
}
