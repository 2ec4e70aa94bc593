//! HTTP/1 on the wire, for clients and for targets.

mod ahead;
pub(super) mod chunked;
pub(super) mod head;
mod incoming;
mod message;

pub(super) use ahead::Ahead;
pub(super) use incoming::{Framing, Next};
pub(super) use message::{Broken, Message, OutFraming, field, trailers_announced};
