//! What servers answer, garbled: it is read or refused, and never the end of us.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "common/garble.rs"]
mod garble;

use bowline_config::Traefik;
use bowline_core::names::Names;
use bowline_core::observed::{Container, Observed, base64_text};
use bowline_core::proxy::traefik::container as traefik;

const ANSWERS: [&str; 5] = [
    r#"@docker 26.1.5
@container {"id":"aaa","name":"/app-web-1","created":"2026-01-01T00:00:00Z","image":"r/app:1","image_id":"sha256:1","status":"running","exit_code":0,"health":"healthy","finished":"0001-01-01T00:00:00Z","labels":{"service":"app","role":"web","destination":""},"mounts":[{"Type":"bind","Source":"/root/.kamal/cords/app-web-f0","Destination":"/tmp/kamal-cord"}],"healthcheck":{"Test":["CMD-SHELL","(true) && (stat /tmp/kamal-cord/cord > /dev/null || exit 1)"],"Interval":1000000000},"networks":{"kamal":{"IPAddress":"172.18.0.3"}},"args":["--a=b"]}
@end
"#,
    r#"@container {"id":"bbb","name":"/app-web-2_replaced_00","created":"2026-01-02T00:00:00Z","image":"r/app:2","image_id":"sha256:2","status":"exited","exit_code":137,"health":null,"finished":"2026-01-03T00:00:00Z","labels":{"service":"app","role":"web","destination":""},"mounts":[{"Source":"/root/.kamal/apps/app/assets/volumes/web-2","Destination":"/a"}],"healthcheck":null,"networks":null,"args":null}
@end
"#,
    r#"@proxy {"id":"ddd","name":"/traefik","created":"2026-01-02T00:00:00Z","image":"traefik:v3","image_id":"sha256:2","status":"running","exit_code":0,"health":null,"finished":"","labels":{},"mounts":null,"healthcheck":null,"networks":{"bridge":{"IPAddress":""}},"args":["--providers.docker","--api.insecure=true"]}
@end
"#,
    "@other {\"name\":\"/shop-web-1\",\"labels\":{\"service\":\"shop\",\"role\":\"web\"}}\n@network kamal\n@maintenance web\n@end\n",
    "@image sha256:1 r/app:latest\n@lock TG9ja2VkIGJ5OiBhCg==\n@served deploy 1\n@served rollback 1\n@end\n",
];

/// Everything that is asked of a container.
fn ask(names: &Names, container: &Container) {
    let _ = (container.is_running(), container.version(names, "web"), container.address(), container.cord());
    let _ = (container.asset_volume(), traefik::difference(&Traefik::default(), container));
    assert!(container.unhealthy_within() <= 3600);
}

#[test]
fn what_a_server_is_seen_to_have() {
    let names = Names::new("app", None);
    let mut read = 0_u32;
    garble::each(&ANSWERS, |text| {
        let Ok(observed) = Observed::parse(text) else { return };
        read += 1;
        observed.docker_major();
        observed.current(&names, "web", "r/app:latest");
        observed.containers.iter().chain(&observed.proxies).for_each(|container| ask(&names, container));
    });
    assert!(read > 100, "only {read} were read");
}

#[test]
fn base64_of_details() {
    garble::each(&["TG9ja2VkIGJ5OiBhCg==", "Zm9vYmFy", ""], |text| {
        assert!(base64_text(text).len() <= 3 * text.len())
    });
}
