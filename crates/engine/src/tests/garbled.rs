//! Garbled answers of servers and Traefik: they lead to an error or a message, but never to a panic.

#[path = "../../../core/tests/common/garble.rs"]
#[allow(clippy::print_stdout, reason = "it says how much was tried")]
pub(super) mod garble;

use bowline_core::commands::ready::Event;
use bowline_core::proxy::traefik::labels::{Route, route_labels};
use bowline_core::proxy::traefik::trouble::Trouble;

use crate::error::Cause;
use crate::ports::{Exit, Output};
use crate::proxy::traefik::read_any;
use crate::run::health::outcome;

const BOOTS: [&str; 4] = [
    "@id 0123\n@state running starting 0 0 false\n@state running healthy 0 0 false\n@ready 172.18.0.3 \n",
    "@id 0123\n@state exited none 4 0 false\n@failed exited\n@ended oom die=137 \n@listening 0100007F:0BB8 00000000000000000000000000000000:0BB8 \n@check [\"CMD-SHELL\",\"wget -q http://localhost:3000/up\"]\n@log\na line\nanother\n@health {\"Status\":\"unhealthy\",\"FailingStreak\":3,\"Log\":[{\"Start\":\"2026\",\"End\":\"2026\",\"ExitCode\":1,\"Output\":\"wget: server returned error: HTTP/1.1 404 Not Found\"}]}\n",
    "@failed timeout\n@listening \n@check \n@log\n\n@health null\n",
    "@taken shop/web/\n@delay 7\n@state restarting unhealthy 137 2 true\n@failed restarting\n",
];

#[test]
fn how_a_container_came_up() {
    garble::each(&BOOTS, |text| {
        for exit in
            [Exit::Status(0), Exit::Status(70), Exit::Status(71), Exit::Status(74), Exit::Signal(text.into())]
        {
            let output = Output { exit, stdout: text.into(), stderr: text.into() };
            if let Err(cause) = outcome("app-web-v1", 30, output) {
                let _ = cause.to_string();
            }
        }
        text.lines().for_each(|line| drop(Event::heard(line).and_then(|event| event.describe())));
    });
}

#[test]
fn a_container_of_which_nothing_sound_is_heard_did_not_come_up() {
    for stdout in ["", "@ready", "@state running none 0\n@ready 172.18.0.3 "] {
        let ended = outcome("app-web-v1", 30, Output { stdout: stdout.into(), ..Output::default() });
        let sound = stdout == "@ready";
        assert!(ended.is_ok() == sound && (sound || matches!(ended, Err(Cause::Unreadable(_)))), "{ended:?}");
    }
}

#[test]
fn what_traefik_lists() {
    let listed = [
        r#"[{"status":"enabled","usedBy":["app-web@docker"],"loadBalancer":{"servers":[{"url":"http://172.18.0.3:3000"},{"url":"http://[::1]:3000"}]},"name":"app-web@docker"}]"#,
        r#"[{"name":"app-web@docker","service":"app-web","status":"enabled","error":["a"],"tls":{"certResolver":"b"}},{"name":"www@docker","status":"disabled","error":[]}]"#,
        r#"[{"status":"disabled","usedBy":[],"weighted":{"services":[{"name":"a","weight":1}]}},{}]"#,
        "{}",
    ];
    let labels = route_labels("app-web");
    let route = Route::new("app-web-v1", labels.iter().map(|(key, value)| (key, value)));
    garble::each(&listed, |text| {
        let _ = read_any(text, &route, [172, 18, 0, 3].into());
    });
    let said = [
        "@at 172.18.0.3 /app-web-v1\n@arg --api.insecure\n@said \u{1b}[31mERR\u{1b}[0m x.go:1 > Provider error error=\"Docker\"\n@said {\"level\":\"error\",\"message\":\"a\",\"routerName\":\"b\"}\n",
    ];
    garble::each(&said, |text| drop(Trouble::parse(text)));
}
