//! The client's side of the control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::{Command, ControlRequest, LINE, Reply, VERSION};
use crate::duration;

/// Sends a command to the daemon and waits for its result.
pub fn call(socket: &Path, command: Command) -> Result<Value, String> {
    let limit = command.limit();
    let mut stream = UnixStream::connect(socket).map_err(|error| dial(socket, &error))?;
    // The system rejects only limits that are longer than anyone waits.
    let _ = stream.set_read_timeout(Some(limit));
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            format!("the proxy did not respond within {}; `list` shows what it serves", duration::text(limit))
        }
        _ => format!("{}: {error}", socket.display()),
    };
    let mut line = serde_json::to_vec(&ControlRequest { version: VERSION, command })
        .map_err(|error| error.to_string())?;
    line.push(b'\n');
    stream.write_all(&line).map_err(failed)?;
    let mut answer = String::new();
    BufReader::new(stream.take(16 * LINE as u64)).read_line(&mut answer).map_err(failed)?;
    if answer.is_empty() {
        return Err("the proxy exited before it responded; `list` shows what it serves".to_owned());
    }
    read(&answer)
}

fn read(answer: &str) -> Result<Value, String> {
    let reply: Reply =
        serde_json::from_str(answer).map_err(|error| format!("can't parse the proxy's reply: {error}"))?;
    match reply.error {
        Some(error) => Err(error),
        None => Ok(reply.data),
    }
}

/// Go's error text, which Kamal and scripts expect.
fn dial(socket: &Path, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    format!("dial unix {}: connect: {why}", socket.display())
}
