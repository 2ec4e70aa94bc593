//! Deploys, pauses and stops while requests are open.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use crate::support::{Next, Proxy, Target, deploy, respond};
use bowline_proxy::drain::Limits;
use bowline_proxy::gate::Notice;

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits = Limits { requests: Duration::from_secs(10), streams: SECOND };

/// A target, a barrier for its first request, and whether it has responded.
fn slow(wait: Duration) -> (Target, Arc<Barrier>, Arc<AtomicBool>) {
    let (begun, answered) = (Arc::new(Barrier::new(2)), Arc::new(AtomicBool::new(false)));
    let (inside, responds) = (Arc::clone(&begun), Arc::clone(&answered));
    let target = Target::new(move |_, stream| {
        inside.wait();
        std::thread::sleep(wait);
        responds.store(true, Ordering::SeqCst);
        respond(stream, "old")
    });
    (target, begun, answered)
}

#[test]
fn a_request_under_way_is_finished_and_the_deploy_waits_for_it() {
    let proxy = Proxy::start();
    let (old, begun, answered) = slow(SECOND);
    proxy.deploy(&old);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| proxy.get("/slow"));
        begun.wait();
        proxy.deploy(&Target::saying("new"));
        assert!(answered.load(Ordering::SeqCst));
        assert!(waiting.join().unwrap().ends_with("old"));
        assert!(proxy.get("/").ends_with("new"));
    });
}

#[test]
fn a_request_that_takes_longer_than_the_drain_gets_504() {
    let proxy = Proxy::start();
    let (old, begun, _) = slow(crate::support::PATIENCE);
    proxy.deploy(&old);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| proxy.get("/slow"));
        begun.wait();
        let mut next = deploy("app", &Target::saying("new"));
        next.deployment.drain_timeout = Duration::from_millis(300);
        proxy.runtime.block_on(proxy.services.deploy(next)).unwrap();
        assert!(waiting.join().unwrap().starts_with("HTTP/1.1 504 "));
    });
}

#[test]
fn a_deploy_that_never_gets_healthy_changes_nothing() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::saying("old"));
    let mut next = deploy("app", &Target::saying("new"));
    next.target_options.health_check_config.path = "/missing".into();
    next.target_options.health_check_config.port = 1;
    next.deployment.deploy_timeout = Duration::from_millis(200);
    let error = proxy.runtime.block_on(proxy.services.deploy(next)).unwrap_err();
    assert!(error.to_string().starts_with("target failed to become healthy"), "{error}");
    assert!(proxy.get("/").ends_with("old"));
}

#[test]
fn paused_requests_wait_and_go_on_to_what_is_deployed_meanwhile() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::saying("old"));
    proxy.runtime.block_on(proxy.services.pause("app", LIMITS, 10 * SECOND)).unwrap();
    assert!(proxy.get("/up").starts_with("HTTP/1.1 200 "), "checks from outside are answered");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| proxy.get("/"));
        std::thread::sleep(Duration::from_millis(200));
        assert!(!waiting.is_finished());
        proxy.deploy(&Target::saying("new"));
        assert!(!waiting.is_finished());
        proxy.services.resume("app").unwrap();
        assert!(waiting.join().unwrap().ends_with("new"));
    });
}

#[test]
fn a_pause_expires_and_a_stop_refuses() {
    let proxy = Proxy::start();
    proxy.deploy(&Target::saying("old"));
    let pause = |wait| proxy.runtime.block_on(proxy.services.pause("app", LIMITS, wait)).unwrap();
    pause(Duration::from_millis(100));
    assert!(proxy.get("/").starts_with("HTTP/1.1 504 "));
    pause(10 * SECOND);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| proxy.get("/"));
        std::thread::sleep(Duration::from_millis(200));
        let notice = Notice { message: "back soon".into(), retry_after: 900 };
        proxy.runtime.block_on(proxy.services.stop("app", LIMITS, notice)).unwrap();
        let refused = waiting.join().unwrap();
        assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("back soon"), "{refused}");
        assert!(refused.to_lowercase().contains("\r\nretry-after: 900\r\n"), "{refused}");
    });
    proxy.services.resume("app").unwrap();
    assert!(proxy.get("/").ends_with("old"));
}

/// No response outside 2xx, no broken connection, no request to a replaced target.
#[test]
fn fifty_deploys_under_load_lose_nothing() {
    let proxy = Proxy::start();
    let generation = |number: usize, retired: &Arc<AtomicBool>| {
        let retired = Arc::clone(retired);
        let requests = AtomicUsize::new(0);
        Target::new(move |_, stream| {
            assert!(
                !retired.load(Ordering::SeqCst),
                "generation {number} got a request after its deploy had returned"
            );
            respond(stream, &format!("generation {number}"));
            // Closes the connection after every 13th request, unannounced.
            if requests.fetch_add(1, Ordering::SeqCst) % 13 == 12 { Next::Close } else { Next::Stay }
        })
    };
    let mut retired = Arc::new(AtomicBool::new(false));
    proxy.deploy(&generation(0, &retired));
    let done = AtomicBool::new(false);
    let least = AtomicUsize::new(0);
    let served = AtomicUsize::new(0);
    let check = |answer: &str, least: usize| {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let number: usize = answer.rsplit(' ').next().unwrap().parse().unwrap();
        assert!(number >= least, "generation {number} answered after {least} was in place");
        served.fetch_add(1, Ordering::SeqCst);
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = proxy.connect();
                while !done.load(Ordering::SeqCst) {
                    let least = least.load(Ordering::SeqCst);
                    check(&client.request("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), least);
                }
            });
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let least = least.load(Ordering::SeqCst);
                    check(&proxy.get("/"), least);
                }
            });
        }
        for number in 1..=50 {
            let next = Arc::new(AtomicBool::new(false));
            proxy.deploy(&generation(number, &next));
            least.store(number, Ordering::SeqCst);
            retired.store(true, Ordering::SeqCst);
            retired = next;
            if number % 10 == 0 {
                proxy.runtime.block_on(proxy.services.pause("app", LIMITS, 10 * SECOND)).unwrap();
                proxy.services.resume("app").unwrap();
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    assert!(served.load(Ordering::SeqCst) > 50);
}
