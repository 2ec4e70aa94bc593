//! Options beyond kamal-proxy's: access, headers, compression, the client's address.

use crate::app::App;
use crate::proxy::Proxy;

#[test]
fn basic_auth_guards_a_service() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--basic-auth user:secret");
    let answer = proxy.get("a.example", "/");
    assert_eq!(answer.status, 401);
    assert!(answer.header("WWW-Authenticate").unwrap().starts_with("Basic"));
    // user:secret and user:wrong
    assert_eq!(proxy.get_with("a.example", "/", "Authorization: Basic dXNlcjpzZWNyZXQ=\r\n").status, 200);
    assert_eq!(proxy.get_with("a.example", "/", "Authorization: Basic dXNlcjp3cm9uZw==\r\n").status, 401);
    assert!(proxy.run(&["deploy", "web", "--target", &app.address, "--basic-auth", "nonsense"]).code == 1);

    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let from_file = ["deploy", "web", "--target", &app.address, "--basic-auth-file", &path];
    let refused = proxy.run(&from_file);
    assert!(refused.code == 1 && refused.stderr.contains("has no USER:PASSWORD"), "{refused:?}");
    std::fs::write(file.path(), "other:one\nuser:file\n").unwrap();
    assert_eq!(proxy.run(&from_file).code, 0);
    assert_eq!(proxy.get("a", "/").status, 401);
    // user:file
    assert_eq!(proxy.get_with("a", "/", "Authorization: Basic dXNlcjpmaWxl\r\n").status, 200);
}

#[test]
fn allowed_addresses_guard_a_service() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--allow-ip 10.0.0.0/8");
    assert_eq!(proxy.get("a.example", "/").status, 403);
    proxy.deploy("web", &app, "--allow-ip 10.0.0.0/8,127.0.0.0/8");
    assert_eq!(proxy.get("a.example", "/").status, 200);
    assert!(proxy.run(&["deploy", "web", "--target", &app.address, "--allow-ip", "nonsense"]).code == 1);
}

#[test]
fn header_rules_hold() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), App::start("app"));
    let rules = [
        "--set-request-header",
        "X-Env: live",
        "--set-request-header",
        "X-Debug:",
        "--set-response-header",
        "X-Frame-Options: DENY",
    ];
    let mut words = vec!["deploy", "web", "--target", &app.address];
    words.extend(rules);
    assert_eq!(proxy.run(&words).code, 0);
    let answer = proxy.get_with("a.example", "/", "X-Debug: 1\r\nX-Env: fake\r\n");
    assert_eq!(answer.header("X-Frame-Options"), Some("DENY"));
    assert_eq!((app.last().header("X-Env").as_deref(), app.last().header("X-Debug")), (Some("live"), None));
    for nonsense in ["no colon", "Bad Name: x", "Content-Length: 3", ": x"] {
        let outcome =
            proxy.run(&["deploy", "web", "--target", &app.address, "--set-response-header", nonsense]);
        assert_eq!(outcome.code, 1, "{nonsense}");
    }
}

#[test]
fn compression_is_negotiated() {
    ours_alone!();
    use crate::app::{Answer, ok};
    let app = App::with("app", |request| match request.target.as_str() {
        "/text" => Some(ok("word ".repeat(2000))),
        "/encoded" => Some(Answer::Plain(
            200,
            vec![("Content-Type", "text/plain".into()), ("Content-Encoding", "x".into())],
            vec![b'a'; 5000],
        )),
        _ => None,
    });
    let proxy = Proxy::start();
    proxy.deploy("web", &app, "--compress");
    for (accepted, encoding) in [
        ("gzip", Some("gzip")),
        ("gzip, br, zstd", Some("zstd")),
        ("br;q=1, gzip;q=0.1", Some("br")),
        ("identity", None),
    ] {
        let answer = proxy.get_with("a.example", "/text", &format!("Accept-Encoding: {accepted}\r\n"));
        assert_eq!(answer.header("Content-Encoding"), encoding, "{accepted}");
        assert!(encoding.is_none() || answer.body.len() < 1000, "{accepted}");
    }
    let encoded = proxy.get_with("a.example", "/encoded", "Accept-Encoding: gzip\r\n");
    assert_eq!((encoded.header("Content-Encoding"), encoded.body.len()), (Some("x"), 5000));
}

#[test]
fn trusted_proxies_name_the_client() {
    ours_alone!();
    let (proxy, app) = (Proxy::start(), App::start("app"));
    proxy.deploy("web", &app, "--trusted-proxies 127.0.0.0/8 --allow-ip 203.0.113.0/24");
    assert_eq!(proxy.get_with("a.example", "/", "X-Forwarded-For: 203.0.113.9\r\n").status, 200);
    assert_eq!(
        proxy.get_with("a.example", "/", "X-Forwarded-For: 203.0.113.9, 198.51.100.1\r\n").status,
        403
    );
    assert_eq!(proxy.get("a.example", "/").status, 403);
}

#[test]
fn paths_are_routed_and_forwarded_alike() {
    ours_alone!();
    let (proxy, root, admin) = (Proxy::start(), App::start("root"), App::start("admin"));
    proxy.deploy("root", &root, "");
    proxy.deploy("admin", &admin, "--path-prefix /admin --strip-path-prefix=false --basic-auth u:p");
    for target in [
        "/x/../admin/secret",
        "/%61dmin/secret",
        "/x/%2e%2e/admin/secret",
        "/admin%2Fsecret",
        "//admin/secret",
    ] {
        let answer = proxy.get("a.example", target);
        // The request is refused, or the other app gets it with a path that isn't below `/admin` for that app either.
        assert!(!answer.text().starts_with("admin "), "{target}: {answer:?}");
        if answer.status == 200 {
            let asked = root.last().target;
            assert_eq!(asked, target, "changed on the way to the app");
        }
    }
}

#[test]
fn the_proxy_protocol_names_the_client() {
    ours_alone!();
    let (proxy, app) = (Proxy::start_with(&["--proxy-protocol"]), App::start("app"));
    proxy.deploy("web", &app, "--forward-headers=false");
    let answer = {
        let mut connection = proxy.connect();
        connection.send(b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 80\r\nGET /pp HTTP/1.1\r\nHost: a\r\n\r\n");
        connection.answer("GET").unwrap()
    };
    assert_eq!(answer.status, 200);
    assert_eq!(app.last().header("X-Forwarded-For").as_deref(), Some("203.0.113.9"));
    assert_eq!(proxy.logged_request("/pp")["client_addr"], "203.0.113.9");
}
