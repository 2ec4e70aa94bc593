//! Errors about values that have the right form but make no sense, by section.

use std::fmt::Write as _;

use super::*;

/// Snapshots the diagnostics for each case, in which keys replace those of [`MINIMAL`].
fn refused(name: &str, cases: &[&str]) {
    let mut said = String::new();
    for case in cases {
        let own: Vec<&str> =
            case.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key).collect();
        let least =
            MINIMAL.lines().filter(|line| !own.iter().any(|key| line.starts_with(&format!("{key}:"))));
        let text: String = least.chain(case.lines()).map(|line| format!("{line}\n")).collect();
        let _ = writeln!(said, "{}\n", rendered(read(&text)));
    }
    insta::assert_snapshot!(format!("meaning_{name}"), said.trim_end());
}

#[test]
fn generations() {
    refused(
        "generations",
        &[
            "proxy: {host: a.example.com}\ntraefik: {}\nhealthcheck: {path: /up}",
            "servers: {web: {hosts: [h], proxy: false}, jobs: {hosts: [h], traefik: false, healthcheck: {port: 1}}}",
            "accessories: {db: {image: i, host: h, proxy: {host: a}}}\ntraefik: {}",
            "builder: {arch: amd64, multiarch: true}",
            "minimum_version: 2.13.0",
            "minimum_version: 3.0.0.rc1",
        ],
    );
}

#[test]
fn places() {
    refused(
        "places",
        &[
            "hosts: [h]",
            "cmd: bin/web",
            "driver: local",
            "app_port: 3000",
            "max_concurrent_starts: 3",
            "nonsense: 1",
            "servers: {web: {hosts: [h], service: a, x-anchor: 1, command: x}}",
            "proxy: {port: 3000, domain: a, limit: 3}",
            "ssh: {key: a, identity_file: b, host: c}",
            "boot: {strategy: x}",
            "registry: {host: r.io, user: me, token: [T]}",
            "proxy: {healthcheck: {cmd: curl, app_port: 1, max_attempts: 3, volumes: [a]}}",
            "env: {secrets: [A]}",
            "env: {A: b, secrets: [A], CLEAR: {C: d}}",
            "builder: {platform: arm64, docker_file: D}",
            "accessories: {db: {image: i, host: h, ports: [1], asset_path: /a}}",
            "logging: {driver: json-fil}\nbuilder: {arch: [amd46]}\nssh: {log_level: debugg}",
            "builder: {driver: docker-contaner}\nboot: {on_failure: rolback}",
        ],
    );
}

#[test]
fn silent() {
    refused(
        "silent",
        &[
            "accessories: {db: {image: i, host: h, port: 99999, options: {publish: [\"80:65536\"]}}}",
            "servers: {web: {hosts: [h], options: {publish: \"99999:80\"}}}",
            "registry: {server: \"localhost:99999\"}",
            "builder: {arch: []}",
            "builder: {arch: false}\nlogging: {driver: no}",
            "hooks_output: {pre-biuld: quiet, nonsense: verbose, post-deploy: quiet}",
            "proxy: {compress: true, run: {version: v0.9.2}}",
            "proxy: {compress: true, run: {repository: me/bowline-proxy, version: v10}}",
            "boot: {wait: 3}",
            "ssh: {config: [a, b]}",
        ],
    );
}

#[test]
fn addresses() {
    refused(
        "addresses",
        &[
            "servers: [\"2001:db8::zz\", \"[2001:db8::1]:22\", \"2001:db8::1\", \"fe80::1%eth0\", \"h:1:2\"]",
            "servers: [10.0.0.256, 10.0.0.1, 10.0.0.1.example.com]",
            "ssh: {proxy: \"[2001:db8::zz]:22\"}",
        ],
    );
}

#[test]
fn proxies() {
    refused(
        "proxies",
        &[
            "proxy: {host: a, hosts: [b], path_prefix: /a, path_prefixes: [/b]}",
            "proxy: {ssl: true}",
            "proxy: {ssl: true, hosts: []}",
            "proxy: {ssl: true, hosts: [a.example.com, \"*.example.com\"]}",
            "proxy: {ssl: {certificate_pem: C, private_key_pem: K}, host: \"*.example.com\"}",
            "proxy: {host: a, ssl: {}}",
            "proxy: {host: a, ssl: {certificate_pem: C}}",
            "proxy: {ssl: {private_key_pem: K, certificate_pem: C}}",
            "proxy: {hosts: [a, b], canonical_host: c, tls_staging: true}",
            "proxy: {allow_ips: [10.0.0.0/33, nowhere], trusted_proxies: [\"::1\"]}",
            "proxy: {request_headers: {\"X One\": a, Upgrade: b}, response_headers: {X-Two: \"a\\nb\"}}",
            "proxy: {run: {publish: false, http_port: 80, bind_ips: [127.0.0.1]}}",
            "proxy: {run: {bind_ips: [localhost]}}",
            "proxy: true",
            "servers: {web: {hosts: [a, b], proxy: {host: h, ssl: true}}}",
            "servers: {web: {hosts: [a], proxy: {host: h, ssl: true}}, api: {hosts: [b], proxy: {hosts: [i, h], ssl: true}}}",
            "proxy: {host: a}\nservers: {web: {hosts: [a], proxy: {hosts: [b]}}}",
            "proxy: {run: {http_port: 81}}\nservers: {web: [a], api: {hosts: [a], proxy: {run: {http_port: 82}}}}",
            "servers: {web: [a]}\nproxy: {run: {debug: true}}\naccessories: {db: {image: i, host: a, proxy: {run: {debug: false}}}}",
        ],
    );
}

#[test]
fn builders_and_registries() {
    refused(
        "builders",
        &[
            "builder: {local: false}",
            "builder: {arch: [amd64, arm64], pack: {builder: b}}",
            "builder: {pack: {buildpacks: [a]}}",
            "builder: {driver: cloud me}",
            "builder: {cache: {type: registri}}",
            "builder: {remote: builder.example.com}",
            "builder: {remote: {arch: amd64, host: \"http://h\"}}",
            "registry: {server: \"localhost:5000\"}\nbuilder: {remote: \"tcp://h:2375\"}",
            "registry: {server: localhost}",
            "registry: {username: [A, B], password: {a: b}}",
        ],
    );
}

#[test]
fn roles_and_servers() {
    refused(
        "roles",
        &[
            "servers: {web: {hosts: [h], options: {restart: no}}}",
            "servers: {web: {hosts: [h], options: {restart: allways}}}",
            "servers: {web: {hosts: [h], options: {restart: \"on-failure:x\"}}}",
            "servers: {web: {hosts: [h], options: {restart: [always]}}}",
            "servers: []",
            "servers: text",
            "servers: ~",
            "servers: {web: {hosts: text}}",
            "servers: {web: {hosts: [{a: b, c: d}, {}]}}",
            "servers: {\"we b\": [h]}\nprimary_role: \"we b\"",
            "servers: [a b, -x, me@host]",
            "service: ~\nimage: [a]",
            "image: \"\"",
            "registry: ~",
        ],
    );
}

#[test]
fn output_and_hooks() {
    refused(
        "output",
        &[
            "output: {file: {}}",
            "output: {otel: {}}",
            "output: {file: {path: log}}",
            "output: {}",
            "hooks_output: loud",
            "hooks_output: {pre-build: quit}",
            "hooks_output: true",
            "ssh: {forward_agent: true}",
        ],
    );
}

/// Texts that Kamal would change.
#[test]
fn texts_that_read_differently() {
    refused(
        "texts",
        &[
            "env: {PYTHON: 3.10, MODE: 0644, PORTS: 22:22, LISTEN: :8080, LIMIT: 40_000_000}",
            "env: {A: 1.5, B: 42, C: 8080:80, D: 2024-01-31, E: yes, F: '3.10', G: 1.2.3}",
            "builder: {args: {VERSION: 1.10}}\nlabels: {at: 2024-01-31 10:00:00}",
            "x-env: &env {A: 1.10}\nservers: {web: {hosts: [h], env: *env}, jobs: {hosts: [h], env: *env}}",
            "env: {API_TOKEN: 0123}",
        ],
    );
}
