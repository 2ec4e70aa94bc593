//! Accessories: where they run, their defaults, and the errors about them.

use super::super::{Accessory, Limit};
use super::*;
use crate::show::show;

const ROLES: &str = "
env_tags: {db: {X: 1}, db2: {X: 2}, none: {X: 3}}
servers:
  web: [1.1.1.1, 1.1.1.2: [db2]]
  jobs: {hosts: [1.1.1.3: db, 1.1.1.1: db]}
";

fn accessory(text: &str) -> Accessory {
    let mut config = servers(&format!("{ROLES}accessories: {{db: {{image: mysql:8, {text}}}}}\n"));
    assert_eq!(config.accessories.len(), 1);
    config.accessories.remove(0)
}

#[test]
fn where_an_accessory_runs() {
    let cases: &[(&str, &[&str])] = &[
        ("host: 2.2.2.2", &["2.2.2.2"]),
        ("hosts: [2.2.2.2, 1.1.1.1, 2.2.2.2]", &["2.2.2.2", "1.1.1.1"]),
        ("role: jobs", &["1.1.1.3", "1.1.1.1"]),
        ("roles: [jobs, web]", &["1.1.1.1", "1.1.1.2", "1.1.1.3"]),
        // Roles written as maps count too. A tag doesn't match the beginning of another's name.
        ("tag: db", &["1.1.1.3", "1.1.1.1"]),
        ("tag: db2", &["1.1.1.2"]),
        ("tags: [db, db2]", &["1.1.1.2", "1.1.1.3", "1.1.1.1"]),
    ];
    for (text, hosts) in cases {
        assert_eq!(accessory(text).hosts, *hosts, "{text}");
    }
}

#[test]
fn what_an_accessory_is_by_default() {
    let accessory = accessory("host: h");
    assert_eq!((accessory.service.as_str(), accessory.image.as_str()), ("app-db", "mysql:8"));
    assert_eq!((accessory.network.as_str(), &accessory.port, &accessory.proxy), ("kamal", &None, &None));
    assert!(accessory.env.is_empty() && accessory.files.is_empty() && accessory.options.is_empty());
}

#[test]
fn forms_of_ports_and_registries() {
    for (text, port) in
        [("3306", "3306:3306"), ("'127.0.0.1:3306:3306'", "127.0.0.1:3306:3306"), ("53:53/udp", "53:53/udp")]
    {
        assert_eq!(accessory(&format!("host: h, port: {text}")).port.as_deref(), Some(port));
    }
    let own = accessory("host: h, registry: {server: r.io, username: me, password: [P]}");
    assert_eq!(own.image, "r.io/mysql:8");
}

#[test]
fn accessories_count_for_a_limit_in_percent_and_for_nothing_else() {
    let config = servers(&format!(
        "{ROLES}boot: {{limit: 40%}}\naccessories: {{db: {{image: i, hosts: [1.1.1.1, 2.2.2.2, 3.3.3.3]}}}}\n"
    ));
    assert_eq!(config.hosts(), ["1.1.1.1", "1.1.1.2", "1.1.1.3"]);
    assert_eq!(config.all_hosts(), ["1.1.1.1", "1.1.1.2", "1.1.1.3", "2.2.2.2", "3.3.3.3"]);
    assert_eq!(config.boot.limit.map(|limit| limit.of(config.all_hosts().len())), Some(2));
    assert_eq!(config.boot.limit, Some(Limit::Percent(40)));
}

#[test]
fn accessories_alone_need_no_servers() {
    let config = servers("accessories: {db: {image: i, host: h}}\n");
    assert_eq!((config.roles.len(), config.all_hosts()), (0, vec!["h"]));
    assert!(
        rendered(read(&MINIMAL.replace("servers", "x-servers"))).contains("error: `servers` is required")
    );
}

#[test]
fn every_key_is_shown() {
    let config = servers(&format!(
        "{ROLES}accessories:
  db:
    service: shop-mysql
    image: mysql:8.4
    registry: {{server: r.io, username: me, password: hunter2}}
    tag: db
    port: 3306
    cmd: mysqld --verbose
    env: {{clear: {{A: hunter2}}, secret: [MYSQL_ROOT_PASSWORD:ROOT]}}
    files:
    - config/my.cnf:/etc/mysql/my.cnf:ro
    - {{local: init.sql, remote: /docker-entrypoint-initdb.d/setup.sql, mode: 0640, owner: '999:999', options: z}}
    directories:
    - data:/var/lib/mysql
    - {{local: /srv/logs, remote: /var/log/mysql, mode: '700'}}
    volumes: ['cache:/cache']
    labels: {{team: data}}
    options: {{memory: 1g, cpus: 2}}
    network: private
    proxy: {{host: db.example.com, app_port: 8080, ssl: {{certificate_pem: CERT, private_key_pem: KEY}}, healthcheck: {{path: /up}}}}
  cache: {{image: redis, roles: [web]}}
"
    ));
    let shown = show(&config);
    let from = shown.find("accessories:").unwrap();
    let to = shown.find("boot:\n").unwrap();
    assert!(!shown.contains("hunter2"));
    insta::assert_snapshot!(&shown[from..to], @r##"
    accessories:
      db:
        service: shop-mysql
        image: r.io/mysql:8.4
        registry:
          server: r.io
          username: me
          password: "[REDACTED]"
        hosts: [1.1.1.3, 1.1.1.1]
        port: 3306:3306
        cmd: mysqld --verbose
        env: [A, MYSQL_ROOT_PASSWORD (secret ROOT)]
        files: [config/my.cnf:/etc/mysql/my.cnf:ro (mode 755), init.sql:/docker-entrypoint-initdb.d/setup.sql:z (mode 0640) (owner 999:999)]
        directories: [data:/var/lib/mysql, /srv/logs:/var/log/mysql (mode 700)]
        volumes: [cache:/cache]
        labels:
          team: data
        options:
          memory: 1g
          cpus: "2"
        network: private
        proxy:
          hosts: [db.example.com]
          app_port: 8080
          ssl:
            certificate_pem: secret CERT
            private_key_pem: secret KEY
          healthcheck:
            path: /up
          buffering:
            requests: true
            responses: true
          logging:
            request_headers: [Cache-Control, Last-Modified, User-Agent]
      cache:
        service: app-cache
        image: redis
        hosts: [1.1.1.1, 1.1.1.2]
        network: kamal
    "##);
}

#[test]
fn accessories_that_can_not_be() {
    insta::assert_snapshot!(errors_of_servers(&format!("{ROLES}accessories:
  a: {{image: i, host: h, tag: db}}
  b: {{image: i}}
  c: {{image: i, roles: [web, job]}}
  d: {{image: i, tags: [db, bd]}}
  e: {{host: me@h}}
  f: {{image: i, host: h, labels: {{service: x}}, options: {{restart: no}}, imagee: x}}
  g: {{image: i, host: h, files: [a, 'b:c', {{local: x, mode: rwx}}]}}
  h i: {{image: i, role: web, service: '-x', proxy: true, env: {{tags: {{}}}}}}
")), @r##"
    error: accessories/a: specify one of `host`, `hosts`, `role`, `roles`, `tag` or `tags`
      --> config/deploy.yml:10:3
       |
    10 |   a: {image: i, host: h, tag: db}
       |   ^             ----     --- given here
       |                 |
       |                 given here

    error: accessories/b: specify one of `host`, `hosts`, `role`, `roles`, `tag` or `tags`
      --> config/deploy.yml:11:3
       |
    11 |   b: {image: i}
       |   ^ none of them is here

    error: accessories/c/roles/1: unknown role job
      --> config/deploy.yml:12:30
       |
    12 |   c: {image: i, roles: [web, job]}
       |                              ^^^
       |
       = help: did you mean `jobs`?

    error: accessories/d/tags/1: unknown tag: bd
      --> config/deploy.yml:13:28
       |
    13 |   d: {image: i, tags: [db, bd]}
       |                            ^^ no server has this tag
       |
       = help: did you mean `db`?

    error: accessories/e: `image` is required
      --> config/deploy.yml:14:3
       |
    14 |   e: {host: me@h}
       |   ^
       |
       = help: `image: mysql:8.4`, the image's name with its tag

    error: accessories/f/labels/service: invalid label. destination, role, and service are reserved labels
      --> config/deploy.yml:15:35
       |
    15 |   f: {image: i, host: h, labels: {service: x}, options: {restart: no}, imagee: x}
       |                                   ^^^^^^^

    error: accessories/f/options/restart: should be a string
      --> config/deploy.yml:15:67
       |
    15 |   f: {image: i, host: h, labels: {service: x}, options: {restart: no}, imagee: x}
       |                                                                   ^^
       |
       = help: use "no" in quotes to disable restarts

    error: accessories/f: unknown key: imagee
      --> config/deploy.yml:15:72
       |
    15 |   f: {image: i, host: h, labels: {service: x}, options: {restart: no}, imagee: x}
       |                                                                        ^^^^^^
       |
       = help: did you mean `image`?

    error: accessories/g/files/0: should be `LOCAL:REMOTE`, or `LOCAL:REMOTE:OPTIONS` or a map
      --> config/deploy.yml:16:34
       |
    16 |   g: {image: i, host: h, files: [a, 'b:c', {local: x, mode: rwx}]}
       |                                  ^

    error: accessories/g/files/1: the path in the container should be absolute
      --> config/deploy.yml:16:37
       |
    16 |   g: {image: i, host: h, files: [a, 'b:c', {local: x, mode: rwx}]}
       |                                     ^^^^^

    error: accessories/g/files/2: `remote` is required
      --> config/deploy.yml:16:45
       |
    16 |   g: {image: i, host: h, files: [a, 'b:c', {local: x, mode: rwx}]}
       |                                             ^^^^^
       |
       = help: `{local: PATH, remote: PATH}`

    error: accessories/g/files/2/mode: should be a file mode in octal digits, such as 0640
      --> config/deploy.yml:16:61
       |
    16 |   g: {image: i, host: h, files: [a, 'b:c', {local: x, mode: rwx}]}
       |                                                             ^^^

    error: accessories/h i: an accessory's name can only include letters, digits, `_`, `-` and `.`
      --> config/deploy.yml:17:3
       |
    17 |   h i: {image: i, role: web, service: '-x', proxy: true, env: {tags: {}}}
       |   ^^^

    error: accessories/h i/service: should be letters, digits, `_`, `-` and `.`: it names a container
      --> config/deploy.yml:17:39
       |
    17 |   h i: {image: i, role: web, service: '-x', proxy: true, env: {tags: {}}}
       |                                       ^^^^

    error: accessories/h i/proxy: should be false or a map
      --> config/deploy.yml:17:52
       |
    17 |   h i: {image: i, role: web, service: '-x', proxy: true, env: {tags: {}}}
       |                                                    ^^^^ this is a boolean

    error: accessories/h i/env: tags are only allowed in the root env
      --> config/deploy.yml:17:64
       |
    17 |   h i: {image: i, role: web, service: '-x', proxy: true, env: {tags: {}}}
       |                                                                ^^^^

    warning: accessories/e/host: `me@h` and `h` are the same server
      --> config/deploy.yml:14:13
       |
    10 |   a: {image: i, host: h, tag: db}
       |                       - written differently here
    ...
    14 |   e: {host: me@h}
       |             ^^^^
       |
       = help: write it the same way everywhere: Bowline takes them for two servers
    "##);
}

#[test]
fn an_accessory_that_runs_nowhere() {
    insta::assert_snapshot!(errors_of_servers(&format!("{ROLES}accessories: {{db: {{image: i, tag: none}}}}\n")), @r##"
    accepted; 2 warnings
    warning: env_tags/none: no server has this tag, so its env has no effect
     --> config/deploy.yml:5:37
      |
    5 | env_tags: {db: {X: 1}, db2: {X: 2}, none: {X: 3}}
      |                                     ^^^^
      |
      = help: give it to a server: `- HOST: none`

    warning: accessories/db/tag: matches no server, so this accessory runs nowhere
     --> config/deploy.yml:9:35
      |
    9 | accessories: {db: {image: i, tag: none}}
      |                                   ^^^^
    "##);
}

#[test]
fn a_database_that_everybody_can_reach_is_a_warning() {
    insta::assert_snapshot!(errors_of_servers(
        "servers: [a]\naccessories: {db: {image: mysql:8, host: h, port: 3306}}\n"
    ), @r##"
    accepted; 1 warnings
    warning: accessories/db/port: publishes MySQL on all addresses of the server, bypassing its firewall
     --> config/deploy.yml:5:51
      |
    5 | accessories: {db: {image: mysql:8, host: h, port: 3306}}
      |                                                   ^^^^
      |
      = help: `port: "127.0.0.1:3306:3306"` keeps it on the server; containers there reach it as `app-db:3306`, with or without `port`
    "##);
}

#[test]
fn an_accessory_can_not_share_a_name_with_something_else() {
    insta::assert_snapshot!(errors_of_servers("servers: {web: [a, b], api: {hosts: [b], proxy: {host: x}}}
proxy: {}
accessories:
  all: {image: i, host: a}
  db: {image: i, hosts: [a, b], service: data}
  cache: {image: i, hosts: [c, b], service: data}
  elsewhere: {image: i, host: d, service: data}
  gate: {image: i, host: a, service: kamal-proxy}
  api: {image: i, host: b, proxy: {host: y}}
  web: {image: i, host: c, proxy: {host: z}}
"), @r##"
    error: accessories/all: an accessory can't be called `all`
     --> config/deploy.yml:7:3
      |
    7 |   all: {image: i, host: a}
      |   ^^^
      |
      = help: rename it: `bowline accessory boot all` means all accessories

    error: accessories/cache/service: `data` is also the name of the container of the accessory `db` on b
     --> config/deploy.yml:9:45
      |
    9 |   cache: {image: i, hosts: [c, b], service: data}
      |                                             ^^^^
      |
      = help: choose another name with `service: NAME`

    error: accessories/gate/service: `kamal-proxy` is also the name of the proxy's container on a
      --> config/deploy.yml:11:38
       |
    11 |   gate: {image: i, host: a, service: kamal-proxy}
       |                                      ^^^^^^^^^^^
       |
       = help: choose another name with `service: NAME`

    error: accessories/api: `app-api` is also the name of the proxy's service for the role `api` on b
      --> config/deploy.yml:12:3
       |
    12 |   api: {image: i, host: b, proxy: {host: y}}
       |   ^^^
       |
       = help: choose another name with `service: NAME`
    "##);
    assert!(
        errors_of_servers(
            "servers: [a]\nbuilder: {arch: amd64}\naccessories: {t: {image: i, host: a, service: traefik}}\n"
        )
        .starts_with("accepted; 0 warnings")
    );
}

#[test]
fn a_server_that_is_written_in_several_ways_is_a_warning() {
    insta::assert_snapshot!(errors_of_servers("env: {tags: {fast: {A: b}}}
servers:
  web: [web.example.com, Web.example.com: fast]
  jobs: [deploy@web.example.com, other.example.com, \"web.example.com:2222\"]
accessories: {db: {image: i, host: \"web.example.com:22\"}}
"), @r##"
    accepted; 3 warnings
    warning: servers/web/1: `Web.example.com` and `web.example.com` are the same server
     --> config/deploy.yml:6:26
      |
    6 |   web: [web.example.com, Web.example.com: fast]
      |         ---------------  ^^^^^^^^^^^^^^^
      |         |
      |         written differently here
      |
      = help: write it the same way everywhere: Bowline takes them for two servers

    warning: servers/jobs/0: `deploy@web.example.com` and `web.example.com` are the same server
     --> config/deploy.yml:7:10
      |
    6 |   web: [web.example.com, Web.example.com: fast]
      |         --------------- written differently here
    7 |   jobs: [deploy@web.example.com, other.example.com, "web.example.com:2222"]
      |          ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write it the same way everywhere: Bowline takes them for two servers

    warning: accessories/db/host: `web.example.com:22` and `web.example.com` are the same server
     --> config/deploy.yml:8:36
      |
    6 |   web: [web.example.com, Web.example.com: fast]
      |         --------------- written differently here
    7 |   jobs: [deploy@web.example.com, other.example.com, "web.example.com:2222"]
    8 | accessories: {db: {image: i, host: "web.example.com:22"}}
      |                                    ^^^^^^^^^^^^^^^^^^^^
      |
      = help: write it the same way everywhere: Bowline takes them for two servers
    "##);
}
