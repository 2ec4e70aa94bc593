//! What the options of a service change: paths, cookies, redirects, access, headers, compression.

use std::io::Write;

use crate::support::{Next, Proxy, Target, deploy};

#[test]
fn a_prefix_is_stripped_and_cookies_get_it() {
    let proxy = Proxy::start();
    let target = Target::new(|request, stream| {
        let seen = request.path();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/x\r\nContent-Length: {}\r\n\r\n{seen}",
            seen.len()
        );
        stream.write_all(answer.as_bytes()).map_or(Next::Close, |()| Next::Stay)
    });
    proxy
        .deploy_with(&target, |options, target| {
            options.path_prefixes = vec!["/api".into()];
            target.scope_cookie_paths = true;
        })
        .unwrap();
    assert!(proxy.get("/api/a%2Fb?x=a;b").ends_with("\r\n\r\n/a%2Fb?x=a;b"));
    assert!(proxy.get("/api").ends_with("\r\n\r\n/"));
    assert!(proxy.get("/api?x").ends_with("\r\n\r\n/?x"));
    assert!(proxy.get("/api/").contains("set-cookie: a=1; Path=/api/x\r\n"));
    assert!(proxy.get("/apiary").starts_with("HTTP/1.1 404 "));
}

#[test]
fn other_hosts_are_redirected_to_the_canonical_one() {
    let proxy = Proxy::start();
    proxy
        .deploy_with(&Target::saying("home"), |options, _| {
            options.hosts = vec!["a.test".into(), "www.a.test".into()];
            options.canonical_host = "www.a.test".into();
        })
        .unwrap();
    let answer = proxy.get("/x?y=1");
    assert!(
        answer.starts_with("HTTP/1.1 301 ") && answer.contains("location: http://www.a.test/x?y=1\r\n"),
        "{answer}"
    );
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(proxy.raw("GET / HTTP/1.1\r\nHost: www.a.test\r\nConnection: close\r\n\r\n").ends_with("home"));
}

#[test]
fn users_and_addresses_are_asked_for() {
    let proxy = Proxy::start();
    let target = Target::echo();
    proxy
        .deploy_with(&target, |options, _| {
            options.basic_auth = vec![bowline_proxy::options::Credentials::new("ann:secret")];
        })
        .unwrap();
    let refused = proxy.get("/");
    assert!(refused.starts_with("HTTP/1.1 401 ") && refused.contains("www-authenticate: Basic"), "{refused}");
    let allowed = proxy.raw(
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nAuthorization: Basic YW5uOnNlY3JldA==\r\n\r\n",
    );
    assert!(allowed.starts_with("HTTP/1.1 200 ") && !allowed.contains("YW5u"), "{allowed}");
    proxy.deploy_with(&target, |options, _| options.allow_ips = vec!["10.0.0.0/8".into()]).unwrap();
    assert!(proxy.get("/").starts_with("HTTP/1.1 403 "));
    let trusting = |proxies: &str| {
        proxy
            .deploy_with(&target, |options, _| {
                options.allow_ips = vec!["10.0.0.0/8".into()];
                options.trusted_proxies = vec![proxies.into()];
            })
            .unwrap();
        proxy.raw("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nX-Forwarded-For: 10.1.2.3\r\n\r\n")
    };
    assert!(trusting("127.0.0.0/8").contains("x-forwarded-for: 10.1.2.3, 127.0.0.1\r\n"));
    assert!(trusting("192.0.2.0/24").starts_with("HTTP/1.1 403 "));
}

#[test]
fn headers_are_set_and_answers_are_compressed() {
    let proxy = Proxy::start();
    let target = Target::new(|request, stream| {
        let text = format!("{}{}", request.head, "text ".repeat(1000));
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", text.len());
        stream.write_all((head + &text).as_bytes()).map_or(Next::Close, |()| Next::Stay)
    });
    proxy
        .deploy_with(&target, |options, _| {
            options.set_request_headers = vec!["X-Tier: gold".into()];
            options.set_response_headers = vec!["X-Frame-Options: DENY".into()];
            options.compress = true;
        })
        .unwrap();
    let plain = proxy.get("/");
    assert!(plain.contains("x-frame-options: DENY\r\n") && plain.contains("x-tier: gold\r\n"), "{plain}");
    let packed =
        proxy.raw("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n");
    assert!(packed.contains("content-encoding: gzip\r\n") && packed.len() < 1500, "{} bytes", packed.len());
}

#[test]
fn reads_go_to_readers_until_the_client_writes() {
    let proxy = Proxy::start();
    let (writer, reader) = (Target::saying("writer"), Target::saying("reader"));
    let mut both = deploy("app", &writer);
    both.readers = vec![reader.name()];
    proxy.runtime.block_on(proxy.services.deploy(both)).unwrap();
    assert!(proxy.get("/").ends_with("reader"));
    let wrote =
        proxy.raw("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert!(wrote.ends_with("writer"), "{wrote}");
    let cookie = wrote.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let pair = cookie.split(';').next().unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nCookie: {pair}\r\n\r\n");
    assert!(proxy.raw(&request).ends_with("writer"));
    assert!(proxy.raw(&request.replace(pair, "kamal-writer=5")).ends_with("reader"));
}

#[test]
fn a_rollout_is_for_those_who_are_on_its_list() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::saying("all"));
    let error = proxy.services.rollout_set("app", 0, vec!["me".into()]).unwrap_err();
    assert_eq!(error.to_string(), "rollout target not set");
    let some = deploy("app", &Target::saying("some"));
    proxy
        .runtime
        .block_on(proxy.services.rollout_deploy("app", &some.targets, &[], some.deployment))
        .unwrap();
    let get = |value: &str| {
        proxy.raw(&format!(
            "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nCookie: kamal-rollout={value}\r\n\r\n"
        ))
    };
    assert!(get("me").ends_with("all"));
    proxy.services.rollout_set("app", 0, vec!["me".into()]).unwrap();
    assert!(get("me").ends_with("some") && get("you").ends_with("all") && proxy.get("/").ends_with("all"));
    proxy.services.rollout_stop("app").unwrap();
    assert!(get("me").ends_with("all"));
}
