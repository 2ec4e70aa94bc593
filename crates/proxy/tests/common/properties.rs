//! Properties of every text that the proxy may receive: it is parsed or refused, and what was parsed is what was
//! meant. Each property returns whether the text was parsed.
//!
//! The tests check them with garbled samples, and `bin/fuzz` with any text that reaches new code.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::time::Duration;

use bowline_proxy::client_address::{self, Ranges};
use bowline_proxy::error_pages::ErrorPages;
use bowline_proxy::header_rules::Direction;
use bowline_proxy::options::{ServiceOptions, is_target, on_demand_is_local};
use bowline_proxy::{access, compress, control, duration, header_rules, proxy_protocol, service, state};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

/// Services from a state file can be written, and parse as the same again.
pub(crate) fn state_file(text: &str) -> bool {
    let Ok((services, _)) = state::read(text) else { return false };
    let written = serde_json::to_string(&services).unwrap();
    let (again, unreadable) = state::read(&written).unwrap();
    assert_eq!((again, unreadable.len()), (services, 0), "{written}");
    true
}

/// A parsed command can be written, and parses as the same again.
pub(crate) fn command(text: &str) -> bool {
    let Ok(command) = control::read(text.as_bytes()) else { return false };
    let request = control::ControlRequest { version: control::VERSION, command };
    let written = serde_json::to_vec(&request).unwrap();
    assert_eq!(control::read(&written).unwrap(), request.command);
    true
}

/// The same for changes by a successor.
pub(crate) fn change(text: &str) -> bool {
    let Ok(change) = serde_json::from_str::<service::Change>(text) else { return false };
    let written = serde_json::to_string(&change).unwrap();
    assert_eq!(serde_json::from_str::<service::Change>(&written).unwrap(), change, "{written}");
    true
}

/// A parsed duration can be written, and parses as the same again, except for its last digits.
pub(crate) fn duration(text: &str) -> bool {
    let Ok(duration) = duration::parse(text) else { return false };
    let written = duration::text(duration);
    let again = duration::parse(&written).unwrap_or_else(|error| panic!("{text} {written}: {error}"));
    // Go keeps nanoseconds; here, fractions of hours are floating-point numbers in between.
    assert!(
        again.abs_diff(duration).as_nanos() <= duration.as_nanos() / 1_000_000_000_000,
        "{text} {written}"
    );
    true
}

/// Normalized hosts and paths stay the same when they are normalized again.
pub(crate) fn name(text: &str) -> bool {
    let (target, _) = (is_target(text), on_demand_is_local(text));
    assert!(!target || text.starts_with('[') || text.is_ascii(), "{text}");
    let mut options = ServiceOptions {
        hosts: vec![text.to_owned()],
        path_prefixes: vec![text.to_owned()],
        tls_enabled: true,
        tls_on_demand_url: text.to_owned(),
        canonical_host: text.to_owned(),
        ..ServiceOptions::default()
    };
    let _ = options.validate();
    options.normalize();
    let once = options.clone();
    options.normalize();
    assert_eq!(options, once);
    assert!(options.path_prefixes[0].starts_with('/'));
    target
}

/// A message never becomes markup, whatever a page does with it.
pub(crate) fn page(text: &str) -> bool {
    const MESSAGE: &str = "<x-message onload='1'>\"&";
    thread_local! {
        static DIRECTORY: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
    }
    let pages = DIRECTORY.with(|directory| {
        let directory = directory.get_or_init(|| tempfile::tempdir().unwrap()).path();
        std::fs::write(directory.join("503.html"), text).unwrap();
        ErrorPages::load(directory)
    });
    let Ok(pages) = pages else { return false };
    let page = pages.render(StatusCode::SERVICE_UNAVAILABLE, MESSAGE);
    assert!(text.contains("<x-message") || !String::from_utf8_lossy(&page).contains("<x-message"), "{text}");
    true
}

/// Reading a header of the PROXY protocol takes nothing of what follows it.
pub(crate) fn proxy_header(text: &str) -> bool {
    const LONGEST: usize = 16 + 4096;
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    }
    let mut rest = text.as_bytes();
    let read = RUNTIME
        .with(|runtime| runtime.block_on(proxy_protocol::read(&mut rest, Duration::from_secs(5))).is_ok());
    assert!(!read || text.len() - rest.len() <= LONGEST, "the request was read too");
    read
}

/// An untrusted peer is the client, whatever its headers say.
pub(crate) fn address(text: &str) -> bool {
    let peer: IpAddr = "10.0.0.1".parse().unwrap();
    let trusted = Ranges::parse(&["10.0.0.0/8", "fd00::/8"]).unwrap();
    let _ = Ranges::parse(&text.split(',').collect::<Vec<_>>());
    let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) else { return false };
    for name in ["x-forwarded-for", "forwarded"] {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value.clone())]);
        let stranger = "198.51.100.9".parse().unwrap();
        assert_eq!(client_address::of(stranger, &headers, &trusted), stranger);
        let _ = client_address::of(peer, &headers, &trusted);
    }
    true
}

/// Rules don't change what frames a message, and only the right password is accepted.
pub(crate) fn rule(text: &str) -> bool {
    for direction in [Direction::Request, Direction::Response] {
        if let Ok(rules) = header_rules::HeaderRules::parse(direction, &[text]) {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_static("10.0.0.9"));
            headers.insert("content-length", HeaderValue::from_static("5"));
            rules.apply(&mut headers);
            assert_eq!(headers["content-length"], "5", "{text}");
            assert!(direction == Direction::Response || headers["x-forwarded-for"] == "10.0.0.9", "{text}");
        }
    }
    let _ = access::AccessRules::new(&[text.to_owned()], &[text.to_owned()]);
    let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) else { return false };
    let open = access::AccessRules::new(&[], &["user:pass:word".to_owned()]).unwrap();
    let passes = open.check("10.0.0.1".parse().unwrap(), Some(&value)) == access::Verdict::Pass;
    assert!(!passes || text.contains("dXNlcjpwYXNzOndvcmQ"), "{text}");
    let accepts = HeaderMap::from_iter([(http::header::ACCEPT_ENCODING, value)]);
    let (mut parts, ()) =
        Response::builder().header("content-type", "text/html").body(()).unwrap().into_parts();
    let _ = compress::choose(&Method::GET, &accepts, &mut parts);
    true
}
