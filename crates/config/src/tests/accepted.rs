//! Accepted configurations and their meaning.

use std::time::Duration;

use super::super::{
    AssetPath, BarrierOrder, Cord, Credential, Env, Jump, KeyData, Limit, OptionValue, Pairs, Role, ServedBy,
};
use super::*;
use crate::secret::Secret;

fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// `ROLE: HOST[TAGS] …` for each role.
fn shape(config: &Config) -> Vec<String> {
    let hosts = |role: &Role| {
        let hosts = role.hosts.iter().map(|host| format!(" {}{:?}", host.host, host.tags).replace("[]", ""));
        hosts.collect::<String>().replace('"', "")
    };
    config.roles.iter().map(|role| format!("{}:{}", role.name, hosts(role))).collect()
}

/// The clear variables, and the secret ones with their keys.
fn shape_of(env: &Env) -> (Pairs, Pairs) {
    (env.clear_pairs(), env.secret().map(|(name, key)| (name.to_owned(), key.to_owned())).collect())
}

#[test]
fn defaults() {
    let config = config("");
    assert_eq!((config.service.as_str(), config.image.as_str()), ("app", "me/app"));
    assert_eq!(config.registry.server, None);
    let login = config.registry.login.as_ref().unwrap();
    assert_eq!(login.username, Credential::Plain(Secret::new("me")));
    assert_eq!(login.password, Credential::Secret("REGISTRY_PASSWORD".into()));
    assert_eq!((config.primary_role.as_str(), shape(&config)), ("web", vec!["web: 1.1.1.1".into()]));
    assert_eq!(config.builder, Default::default());
    assert_eq!(config.ssh, Default::default());
    assert_eq!(config.traefik, Default::default());
    assert_eq!(config.boot, Default::default());
    assert_eq!(config.readiness_delay, Duration::from_secs(7));
    assert_eq!(config.deploy_timeout, Duration::from_secs(30));
    assert_eq!(config.drain_timeout, Duration::from_secs(30));
    assert_eq!((config.roles[0].stop_timeout, config.retain_containers), (None, 5));
    assert_eq!(
        (config.hooks_path.as_str(), config.secrets_path.as_str()),
        (".kamal/hooks", ".kamal/secrets")
    );
    let role = &config.roles[0];
    assert_eq!(role.served_by, ServedBy::Traefik);
    let check = role.healthcheck.as_ref().unwrap();
    assert_eq!(check.cmd, "curl -f http://localhost:3000/up || exit 1");
    assert_eq!((check.interval, &check.cord), (Duration::from_secs(1), &Cord::At("/tmp/kamal-cord".into())));
}

#[test]
fn forms_of_servers() {
    let tags = "env_tags: {a: {X: 1}, b: {X: 2}}\n";
    let cases: &[(&str, &[&str])] = &[
        ("servers: [1.1.1.1, example.com, '::1']", &["web: 1.1.1.1 example.com ::1"]),
        ("servers:\n- 1.1.1.1\n- 1.1.1.2: a\n- 1.1.1.3: [a, b]", &["web: 1.1.1.1 1.1.1.2[a] 1.1.1.3[a, b]"]),
        ("servers: {web: [h], aux: [i], jobs: [j]}", &["web: h", "aux: i", "jobs: j"]),
        ("servers: {web: {hosts: [h: a]}, jobs: {hosts: [h]}}", &["web: h[a]", "jobs: h"]),
        ("servers:\n- h: b\n- i\n- h: a\n- h: b", &["web: h[b, a] i"]),
        ("servers: {a: [h], z: [i]}\nprimary_role: z", &["z: i", "a: h"]),
        ("servers: {web: [h], jobs: []}\nallow_empty_roles: true", &["web: h", "jobs:"]),
        ("servers: {web: [h], x-jobs: [i]}", &["web: h", "x-jobs: i"]),
    ];
    for (text, expected) in cases {
        assert_eq!(shape(&servers(&format!("{tags}{text}\n"))), *expected, "{text}");
    }
}

#[test]
fn forms_of_env() {
    let secret = |name: &str, key: &str| (name.to_owned(), key.to_owned());
    let cases = [
        ("env: {A: 1, B: x}", pairs(&[("A", "1"), ("B", "x")]), vec![]),
        (
            "env: {clear: {A: 1}, secret: [S, T:U]}",
            pairs(&[("A", "1")]),
            vec![secret("S", "S"), secret("T", "U")],
        ),
        ("env: {secret: [S]}", pairs(&[]), vec![secret("S", "S")]),
        ("env: {secret: ['T:a:b', T:c]}", pairs(&[]), vec![secret("T", "c")]),
        ("env: {tags: {a: {X: 1}}}", pairs(&[]), vec![]),
        ("env: {}", pairs(&[]), vec![]),
    ];
    for (text, clear, secret) in cases {
        assert_eq!(shape_of(&config(text).env), (clear, secret), "{text}");
    }
    for text in
        ["env: {tags: {a: {clear: {X: 1}, secret: [Y]}}}", "env_tags: {a: {clear: {X: 1}, secret: [Y]}}"]
    {
        let config = config(text);
        let [(tag, env)] = config.env_tags.as_slice() else { panic!("one tag") };
        assert_eq!((tag.as_str(), shape_of(env)), ("a", (pairs(&[("X", "1")]), vec![secret("Y", "Y")])));
    }
}

/// Plain scalars keep their text; only booleans become `true` and `false`.
#[test]
fn scalars_as_texts() {
    let cases = [
        ("1.10", "1.10"),
        ("0644", "0644"),
        ("40_000", "40_000"),
        ("1e3", "1e3"),
        ("2024-01-02", "2024-01-02"),
        ("12:30:45", "12:30:45"),
        ("true", "true"),
        ("yes", "true"),
        ("On", "true"),
        ("no", "false"),
        ("OFF", "false"),
        ("'yes'", "yes"),
        ("!!str yes", "yes"),
        ("y", "y"),
        ("''", ""),
        ("'null'", "null"),
        (":sym", ":sym"),
        ("\"a\\tb\"", "a\tb"),
        ("|\n    two\n    lines\n", "two\nlines\n"),
        ("plain\n   folded", "plain folded"),
    ];
    for (text, value) in cases {
        assert_eq!(
            config(&format!("env:\n  A: {text}\n")).env.clear_pairs(),
            pairs(&[("A", value)]),
            "{text}"
        );
    }
}

/// Kamal 1 has the keys themselves, Kamal 2 names of secrets.
#[test]
fn private_keys_are_named_or_written_out_and_those_are_never_shown() {
    let text = "ssh:\n  key_data:\n    - DEPLOY_KEY\n    - |\n      -----BEGIN OPENSSH PRIVATE KEY-----\n      sentinel\n      \
                -----END OPENSSH PRIVATE KEY-----\n";
    let loaded = read(&format!("{MINIMAL}{text}")).unwrap();
    let ssh = &loaded.config.ssh;
    assert_eq!(ssh.secrets().collect::<Vec<_>>(), ["DEPLOY_KEY"]);
    assert!(matches!(&ssh.key_data[1], KeyData::Inline(key) if key.expose().contains("\nsentinel\n")));
    assert_eq!(loaded.secrets.names(), ["REGISTRY_PASSWORD", "DEPLOY_KEY"]);
    let told = loaded.warnings.render(false);
    assert!(told.contains("ssh/key_data/1: is a private key in the configuration file"), "{told}");
    let shown = format!("{:?} {}", loaded.config, super::super::show::show(&loaded.config));
    assert!(!told.contains("sentinel") && !shown.contains("sentinel") && shown.contains("secret DEPLOY_KEY"));
}

#[test]
fn integers_are_yaml_1_1() {
    for (text, count) in [("3", 3), ("+3", 3), ("1_0", 10), ("010", 8), ("0x1f", 31), ("0b11", 3)] {
        assert_eq!(config(&format!("retain_containers: {text}\n")).retain_containers, count, "{text}");
    }
}

#[test]
fn anchors_and_merge_keys() {
    let config = servers(
        "x-env: &env {A: 1, B: 2}\nx-more: &more {B: 3, C: 4}\n\
         servers:\n  web: &web\n    hosts: [h]\n    cmd: run\n    env: {B: 0, <<: [*env, *more]}\n  jobs:\n    <<: *web\n    cmd: jobs\n",
    );
    let jobs = config.role("jobs").unwrap();
    assert_eq!(jobs.cmd.as_deref(), Some("jobs"));
    assert_eq!(jobs.env.clear_pairs(), pairs(&[("B", "0"), ("A", "1"), ("C", "4")]));
    assert_eq!(config.role("web").unwrap().cmd.as_deref(), Some("run"));
}

#[test]
fn what_a_role_inherits() {
    let config = servers(
        "labels: {a: 1, b: 2}
logging: {driver: json-file, options: {max-size: 5m, max-file: 2}}
asset_path: /public/assets:ro,z
healthcheck: {port: 80, max_attempts: 10, interval: 2s}
servers:
  web:
    hosts: [h]
    labels: {b: 3, c: 4}
    logging: {options: {max-size: 9m}}
    healthcheck: {path: ready, cord: /cord/}
  jobs: {hosts: [h], cmd: bin/jobs}
  cron: {hosts: [h], healthcheck: {cmd: 'true'}}
  api: {hosts: [h], traefik: true, asset_path: '/srv//./assets/:'}
",
    );
    let [web, api, cron, jobs] = config.roles.as_slice() else { panic!("four roles") };
    assert_eq!(web.labels, pairs(&[("a", "1"), ("b", "3"), ("c", "4")]));
    assert_eq!(jobs.labels, pairs(&[("a", "1"), ("b", "2")]));
    assert_eq!(web.logging.driver.as_deref(), Some("json-file"));
    assert_eq!(web.logging.options, pairs(&[("max-size", "9m"), ("max-file", "2")]));
    assert_eq!(config.logging.options, pairs(&[("max-size", "5m"), ("max-file", "2")]));
    assert_eq!(
        web.asset_path,
        Some(AssetPath { path: "/public/assets".into(), mount_options: Some("ro,z".into()) })
    );
    assert_eq!(api.asset_path, Some(AssetPath { path: "/srv/assets".into(), mount_options: None }));
    assert_eq!((&jobs.asset_path, &cron.asset_path), (&None, &None));
    let check = |role: &Role| role.healthcheck.as_ref().map(|check| (check.cmd.clone(), check.cord.clone()));
    let curl = |path: &str| format!("curl -f http://localhost:80{path} || exit 1");
    assert_eq!(check(web), Some((curl("/ready"), Cord::At("/cord".into()))));
    assert_eq!(check(api), Some((curl("/up"), Cord::default())));
    assert_eq!(check(cron), Some(("true".into(), Cord::Off)));
    assert_eq!(check(jobs), None);
    let traefik = [web, api, cron, jobs].map(|role| role.served_by == ServedBy::Traefik);
    assert_eq!(traefik, [true, true, false, false]);
    assert_eq!(web.healthcheck.as_ref().unwrap().max_attempts, Some(10));
    assert_eq!(cron.healthcheck.as_ref().unwrap().max_attempts, None);
    assert_eq!(config.deploy_timeout, Duration::from_secs(55));
}

#[test]
fn deploy_timeout_follows_max_attempts_unless_given() {
    let cases = [
        ("healthcheck: {max_attempts: 7}", 30),
        ("healthcheck: {max_attempts: 20}", 210),
        ("healthcheck: {max_attempts: 20}\ndeploy_timeout: 15", 15),
    ];
    for (text, seconds) in cases {
        assert_eq!(config(text).deploy_timeout, Duration::from_secs(seconds), "{text}");
    }
}

#[test]
fn forms_of_options_and_args() {
    let config = config(
        "traefik:
  image: traefik:v3
  host_port: 8080
  publish: false
  args: {api: true, log.level: INFO, entrypoints: [a, b], off: no}
  options: {memory: 1g, cpus: 1.50}
  labels: {x.y: true}
  env: {secret: [T]}
",
    );
    let value = |text: &str| OptionValue::Value(text.into());
    let args = [
        ("api", OptionValue::Flag),
        ("log.level", value("INFO")),
        ("entrypoints", OptionValue::List(vec!["a".into(), "b".into()])),
        ("off", value("false")),
    ];
    assert_eq!(config.traefik.args, args.map(|(name, value)| (name.to_owned(), value)));
    assert_eq!(config.traefik.options[1], ("cpus".into(), value("1.50")));
    assert_eq!(config.traefik.labels, pairs(&[("x.y", "true")]));
    assert_eq!((config.traefik.host_port, config.traefik.publish), (8080, false));
    assert_eq!(shape_of(&config.traefik.env).1, pairs(&[("T", "T")]));
}

#[test]
fn forms_of_ssh() {
    let jump = |user: &str, host: &str, port| Jump { user: user.into(), host: host.into(), port };
    let cases = [
        ("proxy: gate", vec![jump("root", "gate", 22)]),
        ("proxy: me@gate:2222", vec![jump("me", "gate", 2222)]),
        ("proxy: 'a@one, two:23'", vec![jump("a", "one", 22), jump("root", "two", 23)]),
        ("proxy: 'a@[::1]:23'", vec![jump("a", "::1", 23)]),
        ("proxy: 'fe80::1'", vec![jump("root", "fe80::1", 22)]),
        ("proxy: '[::1]'", vec![jump("root", "::1", 22)]),
    ];
    for (text, jumps) in cases {
        assert_eq!(config(&format!("ssh: {{{text}}}")).ssh.proxy, jumps, "{text}");
    }
    for text in ["ssh: {port: 2222}", "ssh: {port: '2222'}"] {
        assert_eq!(config(text).ssh.port, 2222);
    }
    let ssh = config(
        "ssh: {user: me, keys: [~/.ssh/id], keys_only: yes, proxy_command: 'nc %h %p', log_level: debug}",
    )
    .ssh;
    assert_eq!(
        (ssh.user.as_str(), ssh.keys_only, ssh.proxy_command.as_deref()),
        ("me", true, Some("nc %h %p"))
    );
    assert_eq!(ssh.keys, ["~/.ssh/id"]);
}

#[test]
fn forms_of_boot_and_builder() {
    let boot = config("boot: {limit: 25%, wait: 2, barrier: before_boot, parallel_roles: true}").boot;
    assert_eq!((boot.limit, boot.wait), (Some(Limit::Percent(25)), Some(Duration::from_secs(2))));
    assert_eq!(boot.barrier, BarrierOrder::BeforeBoot);
    assert_eq!(config("boot: {limit: 3}").boot.limit, Some(Limit::Servers(3)));
    let builder =
        config("builder: {context: app, dockerfile: D, target: t, args: {A: 1.0}, arch: arm64}").builder;
    assert_eq!((builder.context.as_deref(), builder.dockerfile.as_str()), (Some("app"), "D"));
    assert_eq!((builder.target.as_deref(), builder.args), (Some("t"), pairs(&[("A", "1.0")])));
    assert_eq!(builder.arch, ["arm64"]);
    assert_eq!(config("builder: {arch: [amd64, arm64]}").builder.arch, ["amd64", "arm64"]);
}

#[test]
fn forms_of_registry() {
    let cases = [
        ("{server: r.io, username: me, password: pw}", Some("r.io"), Credential::Plain(Secret::new("pw"))),
        ("{username: me, password: 0123}", None, Credential::Plain(Secret::new("0123"))),
        ("{username: me, password: [A]}", None, Credential::Secret("A".into())),
    ];
    for (text, server, password) in cases {
        let text = format!("service: app\nimage: i\nservers: [h]\nregistry: {text}\n");
        let registry = read(&text).unwrap().config.registry;
        assert_eq!(
            (registry.server.as_deref(), registry.login.unwrap().password),
            (server, password),
            "{text}"
        );
    }
}

#[test]
fn a_destination_is_laid_over_the_base() {
    let base = format!("{MINIMAL}labels: {{a: 1, b: 2}}\nvolumes: [x]\nrequire_destination: true\n");
    let over = "labels: {b: 3}\nvolumes: [y]\nservers: {web: [2.2.2.2]}\n";
    let config = read_for("staging", &base, over).unwrap().config;
    assert_eq!(config.destination.as_deref(), Some("staging"));
    assert_eq!(config.roles[0].labels, pairs(&[("a", "1"), ("b", "3")]));
    assert_eq!((shape(&config), config.volumes), (vec!["web: 2.2.2.2".into()], vec!["y".into()]));
}

#[test]
fn what_is_accepted_without_effect() {
    for text in [
        "x-anything: {proxy: 1, a: [1]}",
        "minimum_version: 1.9.2",
        "sshkit: {max_concurrent_starts: 10, pool_idle_timeout: 300, dns_retries: 2}",
        "run_directory: .kamal",
        "healthcheck: {log_lines: 50}",
        "# <%= comment %>",
        "---",
    ] {
        let loaded = read(&format!("{MINIMAL}{text}\n")).unwrap();
        assert!(loaded.warnings.is_empty(), "{text}: {}", loaded.warnings);
    }
    assert_eq!(config("stop_timeout: 20").roles[0].stop_timeout, Some(Duration::from_secs(20)));
    assert_eq!(config("stop_wait_time: 20").roles[0].stop_timeout, Some(Duration::from_secs(20)));
    assert!(read(&format!("\u{feff}{MINIMAL}").replace('\n', "\r\n")).is_ok());
}
