//! Samples of what the proxy really receives, which tests garble.

pub(crate) const STATES: [&str; 3] = [
    r#"[{"name":"web","options":{"hosts":["a.example"],"path_prefixes":["/"],"tls_enabled":false,"writer_affinity_timeout":1000000000,"strip_prefix":true},
"target_options":{"health_check_config":{"path":"/up","port":0,"interval":1000000000,"timeout":5000000000,"host":""},"response_timeout":30000000000,"max_memory_buffer_size":1048576},
"active_targets":["web-1:3000"],"active_readers":[],"rollout_targets":null,"pause_controller":{"state":1,"stop_message":"","fail_after":30000000000},
"rollout_controller":{"percentage":20,"percentage_split_point":858993459,"allowlist":null}}]"#,
    r#"[{"name":"a","active_target":"a:80","rollout_target":"b:80","hosts":["x"],"path_prefixes":["api"]},{"name":"b","options":null}]"#,
    "null",
];

pub(crate) const COMMANDS: [&str; 4] = [
    r#"{"version":1,"command":"deploy","service":"web","targets":["web:80"],"readers":[],"deployment":{"deploy_timeout":30000000000,"drain_timeout":30000000000,"stream_timeout":5000000000,"force":false},"options":{"hosts":["a.example"]},"target_options":{}}"#,
    r#"{"version":1,"command":"pause","service":"web","drain":{"requests":30000000000,"streams":1},"wait":30000000000}"#,
    r#"{"version":1,"command":"rollout-set","service":"web","percentage":20,"allowlist":["a"]}"#,
    r#"{"version":1,"command":"list"}"#,
];

pub(crate) const DURATIONS: [&str; 6] = ["1m30s", "250ms", "1.5h", "-3s", "0", "10µs"];

pub(crate) const NAMES: [&str; 6] =
    ["web-1:3000", "[::1]:80", "/ask?x", "https://a.example/ask", "*.a.example", "//api/"];

pub(crate) const PAGES: [&str; 3] = [
    "<h1>Gone</h1>{{ if .Message }}<p title=\"{{ .Message }}\">{{ .Message }}</p>{{ else }}Back soon{{ end }}",
    "{{- /* a comment */ -}}{{with .Message}}{{.}}{{end}}<script>var a = 1;</script><style>p { color: red }</style>",
    "<!-- {{ .Message }} --><a href='/{{ .Message }}'>x</a>{{ .Message | html }}{{ \"text\" }}",
];

pub(crate) const PROXY_HEADERS: [&str; 5] = [
    "PROXY TCP4 203.0.113.7 198.51.100.1 4711 80\r\nGET / HTTP/1.1\r\n\r\n",
    "PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\nGET / HTTP/1.1\r\n\r\n",
    "PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n\r\n",
    "\r\n\r\n\0\r\nQUIT\n!\u{11}\0\u{c}\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}\u{9}\u{a}\u{b}\u{c}GET / HTTP/1.1\r\n\r\n",
    "\r\n\r\n\0\r\nQUIT\n \0\0\0GET / HTTP/1.1\r\n\r\n",
];

pub(crate) const ADDRESSES: [&str; 4] = [
    "203.0.113.7, 10.0.0.2, [fd00::1]:80",
    "for=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.3, for=10.0.0.2",
    "for=unknown, for=_hidden;host=\"a\\\"b\"",
    "203.0.113.0/24,::/0",
];

pub(crate) const RULES: [&str; 6] = [
    "Strict-Transport-Security: max-age=63072000",
    "Server:",
    "X-Forwarded-For: 10.0.0.1",
    "user:pass:word",
    "Basic dXNlcjpwYXNzOndvcmQ=",
    "gzip;q=0.5, br;q=1.0, zstd, *;q=0, identity;q=0.001",
];

#[allow(dead_code, reason = "the plane's own tests have others")]
pub(crate) const HEADS: [&str; 3] = [
    "GET /a/b?c=%2F HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nConnection: keep-alive, TE\r\nTE: trailers\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "PUT http://a.test/x HTTP/1.1\nHost: a.test\nContent-Length: 3\nX-Empty:\nUpgrade: websocket\n\nabc",
];

#[allow(dead_code, reason = "the plane's own tests have others")]
pub(crate) const BODIES: [&str; 2] =
    ["5;a=b\r\nhello\r\n00A \r\n, world!!!\r\n0\r\nX-Sum: 1\r\nX-B:2\r\n\r\nnext", "0\r\n\r\n"];

/// Changes that a process passes on to its predecessors.
pub(crate) fn changes() -> [String; 2] {
    let record = &STATES[0][1..STATES[0].len() - 1];
    let drain = r#""drain":{"requests":30000000000,"streams":5000000000}"#;
    [
        format!(r#"{{"service":"web","record":{record},{drain}}}"#),
        format!(r#"{{"service":"web","record":null,{drain}}}"#),
    ]
}
