//! The rendered errors of invalid configurations.

use super::*;

#[test]
fn an_unknown_key_with_a_suggestion() {
    insta::assert_snapshot!(errors("servies: x\nbuilder: {dockerfil: D}\nregistry2: 1\n"), @r##"
    error: unknown key: servies
     --> config/deploy.yml:5:1
      |
    5 | servies: x
      | ^^^^^^^
      |
      = help: did you mean `service`?

    error: builder: unknown key: dockerfil
     --> config/deploy.yml:6:11
      |
    6 | builder: {dockerfil: D}
      |           ^^^^^^^^^
      |
      = help: did you mean `dockerfile`?

    error: unknown key: registry2
     --> config/deploy.yml:7:1
      |
    7 | registry2: 1
      | ^^^^^^^^^
      |
      = help: did you mean `registry`?
    "##);
}

#[test]
fn a_wrong_type() {
    insta::assert_snapshot!(errors("retain_containers: \"5\"\nlabels: [a]\nenv: {A: }\nssh: {keys_only: 1}\n"), @r##"
    error: retain_containers: should be an integer
     --> config/deploy.yml:5:20
      |
    5 | retain_containers: "5"
      |                    ^^^ this is a string
      |
      = help: remove the quotes

    error: labels: should be a map
     --> config/deploy.yml:6:1
      |
    6 | labels: [a]
      | ^^^^^^ this is a list

    error: env/A: should be a string
     --> config/deploy.yml:7:7
      |
    7 | env: {A: }
      |       ^ this is empty

    error: ssh/keys_only: should be a boolean
     --> config/deploy.yml:8:18
      |
    8 | ssh: {keys_only: 1}
      |                  ^ this is an integer
    "##);
}

#[test]
fn an_asset_path_that_is_no_directory_of_its_own() {
    let error = |path: &str| {
        let text = errors(&format!("asset_path: {path}\n"));
        text.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(error("public"), "error: asset_path: should be false or an absolute path in the image");
    for path in ["/", "/.:ro", "/app/../public"] {
        assert_eq!(error(path), "error: asset_path: should be a directory below `/`, without `..`", "{path}");
    }
}

#[test]
fn each_error_of_a_section() {
    insta::assert_snapshot!(errors("boot: {limit: 0, wait: -1, barrier: never}\n"), @r##"
    error: boot/limit: should be at least 1
     --> config/deploy.yml:5:15
      |
    5 | boot: {limit: 0, wait: -1, barrier: never}
      |               ^

    error: boot/wait: should be at least 0
     --> config/deploy.yml:5:24
      |
    5 | boot: {limit: 0, wait: -1, barrier: never}
      |                        ^^

    error: boot/barrier: should be `after_boot` or `before_boot`
     --> config/deploy.yml:5:37
      |
    5 | boot: {limit: 0, wait: -1, barrier: never}
      |                                     ^^^^^
    "##);
}

#[test]
fn an_override_shows_both_files() {
    insta::assert_snapshot!(rendered(read_for("staging", &format!("{MINIMAL}readiness_delay: 5\n"), "readiness_delay: soon\n")), @r##"
    error: readiness_delay: should be an integer
     --> config/deploy.staging.yml:1:18
      |
    1 | readiness_delay: soon
      |                  ^^^^ this is a string
      |
     ::: config/deploy.yml:5:18
      |
    5 | readiness_delay: 5
      |                  - replaces this
      |
      = help: whole seconds, without a unit
    "##);
}

#[test]
fn an_unknown_tag_of_the_destination_shows_where_tags_are() {
    insta::assert_snapshot!(rendered(read_for("staging", &format!("{MINIMAL}env_tags: {{fast: {{A: 1}}}}\n"), "servers:\n- 1.1.1.2: [fast, fsat]\n- 1.1.1.3: slow\n")), @r##"
    error: servers/0/1.1.1.2/1: unknown tag: fsat
     --> config/deploy.staging.yml:2:19
      |
    2 | - 1.1.1.2: [fast, fsat]
      |                   ^^^^ no env is given for this tag
      |
     ::: config/deploy.yml:5:1
      |
    5 | env_tags: {fast: {A: 1}}
      | -------- the tags are given here
      |
      = help: did you mean `fast`?

    error: servers/1/1.1.1.3: unknown tag: slow
     --> config/deploy.staging.yml:3:12
      |
    3 | - 1.1.1.3: slow
      |            ^^^^ no env is given for this tag
      |
     ::: config/deploy.yml:5:1
      |
    5 | env_tags: {fast: {A: 1}}
      | -------- the tags are given here
      |
      = help: give the tag an env: `env_tags: {slow: {NAME: value}}`
    "##);
}

#[test]
fn an_unknown_tag_without_any() {
    insta::assert_snapshot!(errors_of_servers("servers:\n- h: t\n"), @r##"
    error: servers/0/h: unknown tag: t
     --> config/deploy.yml:5:6
      |
    5 | - h: t
      |      ^ no env is given for this tag
      |
      = help: give the tag an env: `env_tags: {t: {NAME: value}}`
    "##);
}

#[test]
fn everything_missing() {
    insta::assert_snapshot!(rendered(read("labels: {a: b}\n")), @r##"
    error: `service` is required
    --> config/deploy.yml:1:1
     = help: `service: myapp`, the first part of every container's name

    error: `servers` is required
    --> config/deploy.yml:1:1
     = help: `servers: [192.0.2.1]`, or a map of roles
    "##);
}

#[test]
fn a_registry_without_login() {
    insta::assert_snapshot!(rendered(read("service: a\nimage: b\nservers: [h]\nregistry:\n  server: r.io\n")), @r##"
    error: registry: `username` is required
     --> config/deploy.yml:4:1
      |
    4 | registry:
      | ^^^^^^^^
      |
      = help: `username: VALUE`, or `username: [NAME]` with the name of a secret

    error: registry: `password` is required
     --> config/deploy.yml:4:1
      |
    4 | registry:
      | ^^^^^^^^
      |
      = help: `password: VALUE`, or `password: [NAME]` with the name of a secret
    "##);
}

#[test]
fn both_places_for_tags() {
    insta::assert_snapshot!(errors("env: {tags: {a: {A: 1}}}\nenv_tags: {b: {A: 1}}\n"), @r##"
    error: tags are given twice: as `env_tags` and as `env/tags`
     --> config/deploy.yml:6:1
      |
    5 | env: {tags: {a: {A: 1}}}
      |       ---- and here
    6 | env_tags: {b: {A: 1}}
      | ^^^^^^^^
      |
      = help: keep one of them
    "##);
}

#[test]
fn tags_in_a_role() {
    insta::assert_snapshot!(errors_of_servers("servers: {web: {hosts: [h], env: {tags: {a: {A: 1}}}}}\n"), @r##"
    error: servers/web/env: tags are only allowed in the root env
     --> config/deploy.yml:4:35
      |
    4 | servers: {web: {hosts: [h], env: {tags: {a: {A: 1}}}}}
      |                                   ^^^^
    "##);
}

#[test]
fn reserved_labels() {
    insta::assert_snapshot!(errors_of_servers("servers: {web: {hosts: [h], labels: {service: x}}}\nlabels: {role: y, a b: z}\n"), @r##"
    error: servers/web/labels/service: invalid label. destination, role, and service are reserved labels
     --> config/deploy.yml:4:38
      |
    4 | servers: {web: {hosts: [h], labels: {service: x}}}
      |                                      ^^^^^^^

    error: labels/role: invalid label. destination, role, and service are reserved labels
     --> config/deploy.yml:5:10
      |
    5 | labels: {role: y, a b: z}
      |          ^^^^

    error: labels: a label's name can't be empty or contain `=` or blanks
     --> config/deploy.yml:5:19
      |
    5 | labels: {role: y, a b: z}
      |                   ^^^
    "##);
}

#[test]
fn names() {
    insta::assert_snapshot!(rendered(read(&MINIMAL.replace("app\n", "my.app:1\n"))), @r##"
    error: service: Service name can only include alphanumeric characters, hyphens, and underscores
     --> config/deploy.yml:1:10
      |
    1 | service: my.app:1
      |          ^^^^^^^^

    error: image: should be the image's name without a tag
     --> config/deploy.yml:2:8
      |
    2 | image: me/my.app:1
      |        ^^^^^^^^^^^
      |
      = help: the tag is the version that is deployed
    "##);
}

#[test]
fn the_primary_role_is_undefined() {
    insta::assert_snapshot!(errors_of_servers("servers: {jobs: [h]}\nprimary_role: web2\n"), @r##"
    error: The primary_role web2 isn't defined
     --> config/deploy.yml:5:15
      |
    4 | servers: {jobs: [h]}
      | ------- the roles are given here
    5 | primary_role: web2
      |               ^^^^
      |
      = help: it must be one of the roles under `servers`: jobs
    "##);
}

#[test]
fn roles_without_servers() {
    insta::assert_snapshot!(errors_of_servers("servers: {web: [], jobs: {cmd: x}}\n"), @r##"
    error: No servers specified for the web primary_role
     --> config/deploy.yml:4:11
      |
    4 | servers: {web: [], jobs: {cmd: x}}
      |           ^^^

    error: No servers specified for the jobs role
     --> config/deploy.yml:4:20
      |
    4 | servers: {web: [], jobs: {cmd: x}}
      |                    ^^^^
      |
      = help: you can ignore this with allow_empty_roles: true
    "##);
}

#[test]
fn servers_of_the_wrong_form() {
    insta::assert_snapshot!(errors_of_servers("servers:\n  web:\n  jobs:\n  - [a]\n  - a: b\n    c: d\n  - me@host\n"), @r##"
    error: servers/web: should be a list or a map
     --> config/deploy.yml:5:3
      |
    5 |   web:
      |   ^^^ this is empty

    error: servers/jobs/0: should be a string or a map
     --> config/deploy.yml:7:6
      |
    7 |   - [a]
      |      ^ this is a list

    error: servers/jobs/1: multiple hosts found
     --> config/deploy.yml:8:5
      |
    8 |   - a: b
      |     ^
      |
      = help: begin a new `- ` entry for each host
    "##);
}

#[test]
fn retain_containers_of_none() {
    insta::assert_snapshot!(errors("retain_containers: 0\n"), @r##"
    error: retain_containers: Must retain at least 1 container
     --> config/deploy.yml:5:20
      |
    5 | retain_containers: 0
      |                    ^
    "##);
}

#[test]
fn a_destination_is_required() {
    insta::assert_snapshot!(errors("require_destination: true\n"), @r##"
    error: require_destination: You must specify a destination
     --> config/deploy.yml:5:22
      |
    5 | require_destination: true
      |                      ^^^^
      |
      = help: name it with `-d`, such as `-d production`
    "##);
}

#[test]
fn the_same_setting_twice() {
    insta::assert_snapshot!(errors("stop_timeout: 1\nstop_wait_time: 2\n"), @r##"
    error: stop_timeout and stop_wait_time are the same setting
     --> config/deploy.yml:5:1
      |
    5 | stop_timeout: 1
      | ^^^^^^^^^^^^
    6 | stop_wait_time: 2
      | -------------- given here too
      |
      = help: keep one of them
    "##);
}

#[test]
fn durations_and_ports() {
    insta::assert_snapshot!(errors("healthcheck: {interval: 1 day, port: 70000, cord: tmp}\nssh: {port: \"ssh\", proxy: \"a@\"}\n"), @r#"
    error: healthcheck/interval: should be a duration
     --> config/deploy.yml:5:25
      |
    5 | healthcheck: {interval: 1 day, port: 70000, cord: tmp}
      |                         ^^^^^
      |
      = help: such as `1s`, `500ms`, `1m30s`, or whole seconds

    error: healthcheck/port: should be at most 65535
     --> config/deploy.yml:5:38
      |
    5 | healthcheck: {interval: 1 day, port: 70000, cord: tmp}
      |                                      ^^^^^

    error: healthcheck/cord: should be false or an absolute path in the container
     --> config/deploy.yml:5:51
      |
    5 | healthcheck: {interval: 1 day, port: 70000, cord: tmp}
      |                                                   ^^^
      |
      = help: such as `/tmp/cord`, or `false` for no cord

    error: ssh/port: should be an integer
     --> config/deploy.yml:6:13
      |
    6 | ssh: {port: "ssh", proxy: "a@"}
      |             ^^^^^
      |
      = help: a number from 1 to 65535

    error: ssh/proxy: should be false or `HOST`, `USER@HOST` or `USER@HOST:PORT`, or several, comma-separated
     --> config/deploy.yml:6:27
      |
    6 | ssh: {port: "ssh", proxy: "a@"}
      |                           ^^^^
    "#);
}

#[test]
fn restart_without_quotes() {
    insta::assert_snapshot!(errors_of_servers("servers: {web: {hosts: [h], options: {restart: no}}}\n"), @r##"
    error: servers/web/options/restart: should be a string
     --> config/deploy.yml:4:48
      |
    4 | servers: {web: {hosts: [h], options: {restart: no}}}
      |                                                ^^
      |
      = help: use "no" in quotes to disable restarts
    "##);
}

#[test]
fn warnings() {
    insta::assert_snapshot!(errors("run_directory: /srv\nssh: {proxy: a, proxy_command: b}\nenv: {clear: {A: 1}, secret: [A]}\n"), @r##"
    accepted; 3 warnings
    warning: run_directory: is ignored: Bowline always uses .kamal on servers
     --> config/deploy.yml:5:16
      |
    5 | run_directory: /srv
      |                ^^^^

    warning: ssh/proxy_command: is ignored because ssh/proxy is set
     --> config/deploy.yml:6:32
      |
    6 | ssh: {proxy: a, proxy_command: b}
      |                                ^

    warning: env/secret/0: A is also set in plain text, and that value is used
     --> config/deploy.yml:7:31
      |
    7 | env: {clear: {A: 1}, secret: [A]}
      |                               ^
    "##);
}
