//! One line of the log, built in a buffer that its thread reuses.

use std::cell::RefCell;
use std::fmt::{Display, Write};
use std::time::{Duration, SystemTime};

use super::Logged;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The second that was formatted last, and its text.
    static SECOND: RefCell<(Option<u64>, String)> = const { RefCell::new((None, String::new())) };
}

pub struct Line<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Line<'_> {
    pub(super) fn with(level: &str, message: &str, now: SystemTime, fill: impl FnOnce(&mut Line<'_>)) {
        BUFFER.with_borrow_mut(|bytes| {
            bytes.clear();
            build(bytes, level, message, now, fill);
            super::submit(bytes);
        });
    }

    /// Builds the line that reports how many lines were dropped.
    pub(super) fn lost(lines: u64, now: SystemTime) -> Vec<u8> {
        let mut bytes = Vec::new();
        build(&mut bytes, "WARN", "Log lines lost", now, |line| line.raw("lines", lines));
        bytes
    }

    pub fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quoted(self.bytes, value.as_bytes());
    }

    /// Adds a value as a string.
    pub fn display(&mut self, name: &str, value: &dyn Display) {
        self.name(name);
        self.bytes.push(b'"');
        // Writing to a vector can't fail.
        let _ = write!(Escaped(self.bytes), "{value}");
        self.bytes.push(b'"');
    }

    /// Adds a value as it is, which must be JSON: a number, a boolean, a list.
    pub fn raw(&mut self, name: &str, value: impl Display) {
        self.name(name);
        let _ = write!(Plain(self.bytes), "{value}");
    }

    fn name(&mut self, name: &str) {
        self.bytes.extend_from_slice(b",\"");
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    /// Adds a header under a name such as `req_accept_language` for `Accept-Language`.
    fn header(&mut self, prefix: &str, name: &str, value: &str) {
        self.bytes.extend_from_slice(b",\"");
        self.bytes.extend_from_slice(prefix.as_bytes());
        let lower = |b: u8| if b == b'-' { b'_' } else { b.to_ascii_lowercase() };
        self.bytes
            .extend(name.bytes().filter(|b| !matches!(b, b'"' | b'\\') && !b.is_ascii_control()).map(lower));
        self.bytes.extend_from_slice(b"\":");
        quoted(self.bytes, value.as_bytes());
    }

    pub(super) fn request(&mut self, request: &Logged<'_>) {
        self.text("host", request.host);
        self.raw("port", request.port);
        self.text("path", request.path);
        self.text("request_id", request.request_id);
        self.raw("status", request.status);
        self.text("service", request.service);
        self.text("target", request.target);
        self.raw("duration", request.duration.as_nanos());
        self.text("method", request.method);
        self.raw("req_content_length", request.req_content_length);
        self.text("req_content_type", request.req_content_type);
        self.raw("resp_content_length", request.resp_content_length);
        self.text("resp_content_type", request.resp_content_type);
        self.text("client_addr", request.client_addr);
        self.display("client_port", &request.client_port);
        self.text("remote_addr", request.remote_addr);
        self.text("user_agent", request.user_agent);
        self.text("proto", request.proto);
        self.text("scheme", request.scheme);
        self.text("query", request.query);
        for (name, value) in request.req_headers {
            self.header("req_", name, value);
        }
        for (name, value) in request.resp_headers {
            self.header("resp_", name, value);
        }
    }
}

fn build(bytes: &mut Vec<u8>, level: &str, message: &str, now: SystemTime, fill: impl FnOnce(&mut Line<'_>)) {
    bytes.extend_from_slice(b"{\"time\":\"");
    timestamp(bytes, now);
    bytes.extend_from_slice(b"\",\"level\":\"");
    bytes.extend_from_slice(level.as_bytes());
    bytes.extend_from_slice(b"\",\"msg\":");
    quoted(bytes, message.as_bytes());
    fill(&mut Line { bytes });
    bytes.extend_from_slice(b"}\n");
}

struct Plain<'a>(&'a mut Vec<u8>);

impl Write for Plain<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

struct Escaped<'a>(&'a mut Vec<u8>);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        escape(self.0, text.as_bytes());
        Ok(())
    }
}

fn quoted(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.push(b'"');
    escape(bytes, text);
    bytes.push(b'"');
}

fn escape(bytes: &mut Vec<u8>, text: &[u8]) {
    let mut done = 0;
    for (at, &byte) in text.iter().enumerate() {
        let short: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 | 0x7f => b"",
            _ => continue,
        };
        bytes.extend_from_slice(&text[done..at]);
        bytes.extend_from_slice(short);
        if short.is_empty() {
            let _ = write!(Plain(bytes), "\\u{byte:04x}");
        }
        done = at + 1;
    }
    bytes.extend_from_slice(&text[done..]);
}

/// Writes a time such as `2026-11-29T18:50:30.123456789Z`.
fn timestamp(bytes: &mut Vec<u8>, now: SystemTime) {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    SECOND.with_borrow_mut(|(known, text)| {
        if *known != Some(since.as_secs()) {
            *known = Some(since.as_secs());
            *text = second(since.as_secs());
        }
        bytes.extend_from_slice(text.as_bytes());
    });
    let mut unit = 100_000_000;
    while unit > 0 {
        bytes.push(b'0' + (since.subsec_nanos() / unit % 10) as u8);
        unit /= 10;
    }
    bytes.push(b'Z');
}

/// Formats a time up to the second, such as `2026-11-29T18:50:30.`
fn second(since: u64) -> String {
    let (year, month, day) = date(since / 86_400);
    let (hour, minute, second) = (since / 3600 % 24, since / 60 % 60, since % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.")
}

/// The Gregorian date of a day counted from 1970-01-01. Computes with years that start in March.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn time_is_written_as_go_does() {
        let text = |time| {
            let mut bytes = Vec::new();
            timestamp(&mut bytes, time);
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(text(at(0, 0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(text(at(951_782_400, 5)), "2000-02-29T00:00:00.000000005Z");
        assert_eq!(text(at(1_795_978_230, 120_000_000)), "2026-11-29T18:50:30.120000000Z");
    }

    #[test]
    fn a_request_is_one_line_of_json_in_this_order() {
        let request = Logged {
            host: "a.example",
            port: 80,
            path: "/a\"b\\c\u{1}\n",
            request_id: "1",
            status: 200,
            service: "web",
            target: "web:80",
            duration: Duration::from_micros(3),
            method: "GET",
            req_content_length: -1,
            req_content_type: "",
            resp_content_length: 7,
            resp_content_type: "text/plain",
            client_addr: "127.0.0.1",
            client_port: 9,
            remote_addr: "10.0.0.1",
            user_agent: "curl",
            proto: "HTTP/1.1",
            scheme: "http",
            query: "a=1",
            req_headers: &[("Accept-Language", "de,en")],
            resp_headers: &[("X-Cache", "hit")],
        };
        let mut bytes = Vec::new();
        build(&mut bytes, "INFO", "Request", at(0, 0), |line| line.request(&request));
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"time":"1970-01-01T00:00:00.000000000Z","level":"INFO","msg":"Request","host":"a.example","port":80,"#,
                r#""path":"/a\"b\\c\u0001\n","request_id":"1","status":200,"service":"web","target":"web:80","duration":3000,"#,
                r#""method":"GET","req_content_length":-1,"req_content_type":"","resp_content_length":7,"#,
                r#""resp_content_type":"text/plain","client_addr":"127.0.0.1","client_port":"9","remote_addr":"10.0.0.1","#,
                r#""user_agent":"curl","proto":"HTTP/1.1","scheme":"http","query":"a=1","req_accept_language":"de,en","#,
                r#""resp_x_cache":"hit"}"#,
                "\n"
            )
        );
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
}
