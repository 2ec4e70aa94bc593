//! A client that sends exactly the given bytes, and reads responses of all forms.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};

use crate::app::{PATIENCE, read_chunks, read_headers};

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub struct Connection<S: Read + Write> {
    pub reader: BufReader<S>,
}

impl Connection<TcpStream> {
    pub fn open(port: u16) -> Self {
        Self::open_at(Ipv4Addr::LOCALHOST.into(), port)
    }

    pub fn open_at(address: IpAddr, port: u16) -> Self {
        let stream = TcpStream::connect((address, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(stream) }
    }
}

impl<S: Read + Write> Connection<S> {
    /// Uses a stream that is already open.
    pub fn over(stream: S) -> Self {
        Self { reader: BufReader::new(stream) }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
        self.reader.get_mut().flush().unwrap();
    }

    /// One line without its end, or `None` at the end of the connection.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    }

    /// The status and headers of the next response.
    pub fn head(&mut self) -> Option<Response> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        let headers = read_headers(&mut self.reader)?;
        Some(Response { status, headers, body: Vec::new(), trailers: Vec::new() })
    }

    /// The next response, to a request with this method.
    pub fn answer(&mut self, method: &str) -> Option<Response> {
        let mut response = self.head()?;
        if method == "HEAD" || matches!(response.status, 100..200 | 204 | 304) {
            return Some(response);
        }
        if response.header("Transfer-Encoding").is_some() {
            (response.body, response.trailers) = read_chunks(&mut self.reader)?;
        } else if let Some(length) = response.header("Content-Length") {
            let mut body = vec![0; length.parse().unwrap()];
            self.reader.read_exact(&mut body).ok()?;
            response.body = body;
        } else {
            self.reader.read_to_end(&mut response.body).ok()?;
        }
        Some(response)
    }

    /// Whether the peer closes the connection without sending another byte.
    pub fn is_closed(&mut self) -> bool {
        self.reader.fill_buf().is_ok_and(<[u8]>::is_empty)
    }
}
