//! What public projects write and both Kamals accept.

use super::super::template::{Outputs, Template};
use super::super::{Credential, Generation, OptionValue};
use super::*;

/// The smallest configuration for Kamal 2. `more` contains the servers.
fn kamal2(more: &str) -> Config {
    servers(&format!("builder: {{arch: amd64}}\n{more}"))
}

#[test]
fn an_accessory_without_a_proxy() {
    let config = kamal2(
        "servers: [192.0.2.1]\naccessories: {r: {image: \"redis:7\", host: 192.0.2.1, proxy: false}}\n",
    );
    assert_eq!(config.accessories[0].proxy, None);
    let said = errors("accessories: {r: {image: \"redis:7\", host: 192.0.2.1, proxy: true}}\n");
    assert!(said.contains("accessories/r/proxy: should be false or a map"), "{said}");
}

#[test]
fn a_destination_takes_back_what_the_base_file_gives() {
    let base = format!(
        "{MINIMAL}builder: {{remote: \"ssh://b@h\", target: production, ssh: default}}\nasset_path: /assets\n\
         ssh: {{proxy: gate, proxy_command: \"nc %h %p\"}}\nerror_pages_path: public\n"
    );
    for off in ["false", "no"] {
        let over = format!(
            "builder: {{remote: {off}, target: {off}, ssh: {off}}}\nasset_path: {off}\n\
             ssh: {{proxy: {off}}}\nerror_pages_path: {off}\n"
        );
        let config = read_for("staging", &base, &over).unwrap().config;
        assert_eq!((config.builder.remote, config.builder.target, config.builder.ssh), (None, None, None));
        assert_eq!((&config.roles[0].asset_path, config.error_pages_path), (&None, None));
        assert_eq!((config.ssh.proxy, config.ssh.proxy_command.as_deref()), (vec![], Some("nc %h %p")));
    }
    let config = read_for("staging", &base, "builder: {remote: \"\"}\n").unwrap().config;
    assert_eq!(config.builder.remote, None);
    let said = rendered(read_for("staging", &base, "builder: {remote: \"\", local: false}\n"));
    assert!(said.contains("Cannot disable local builds, no remote is set"), "{said}");
}

#[test]
fn tags_place_accessories_without_an_env_of_their_own() {
    let config = kamal2(
        "servers: {web: [{192.0.2.2: mon}, 192.0.2.3]}\naccessories: {x: {image: \"a:1\", tag: mon}}\n",
    );
    assert_eq!(config.accessories[0].hosts, ["192.0.2.2"]);
    assert_eq!(config.roles[0].hosts[0].tags, ["mon"]);
    insta::assert_snapshot!(errors_of_servers("builder: {arch: amd64}\nservers: {web: [{192.0.2.2: mon}]}\naccessories: {x: {image: \"a:1\", tags: [mom]}}\n"), @r#"
    error: servers/web/0/192.0.2.2: unknown tag: mon
     --> config/deploy.yml:5:29
      |
    5 | servers: {web: [{192.0.2.2: mon}]}
      |                             ^^^ no env is given for this tag
      |
      = help: give the tag an env: `env: {tags: {mon: {NAME: value}}}`

    error: accessories/x/tags/0: unknown tag: mom
     --> config/deploy.yml:6:40
      |
    6 | accessories: {x: {image: "a:1", tags: [mom]}}
      |                                        ^^^ no server has this tag
      |
      = help: did you mean `mon`?
    "#);
    insta::assert_snapshot!(errors_of_servers("builder: {arch: amd64}\nservers: {web: [{192.0.2.2: mon}]}\n"), @r"
    error: servers/web/0/192.0.2.2: unknown tag: mon
     --> config/deploy.yml:5:29
      |
    5 | servers: {web: [{192.0.2.2: mon}]}
      |                             ^^^ no env is given for this tag
      |
      = help: give the tag an env: `env: {tags: {mon: {NAME: value}}}`
    ");
}

#[test]
fn ports_in_quotes_as_kamal_1_documents_them() {
    let config = config("healthcheck: {port: \"4000\"}\ntraefik: {host_port: \"8080\"}\n");
    assert_eq!((config.roles[0].healthcheck.as_ref().unwrap().port, config.traefik.host_port), (4000, 8080));
    assert!(errors("healthcheck: {port: \"40000000\"}\n").contains("healthcheck/port: should be an integer"));
}

#[test]
fn an_argument_of_traefik_without_a_value() {
    let config = config("traefik:\n  args:\n    accesslog:\n    log.level: INFO\n");
    let value = |text: &str| OptionValue::Value(text.into());
    assert_eq!(config.traefik.args, [("accesslog".into(), value("")), ("log.level".into(), value("INFO"))]);
}

#[test]
fn the_path_of_a_socket_is_an_engine() {
    let config = config("builder: {local: {arch: arm64, host: /var/run/docker.sock}}\n");
    assert_eq!(config.builder.local_machine.unwrap().url.as_deref(), Some("unix:///var/run/docker.sock"));
}

#[test]
fn users_and_ports_of_single_servers() {
    let config = servers(
        "servers: [deploy@192.0.2.1, \"ops@192.0.2.2:2222\", 192.0.2.3, \"[2001:db8::1]:22\"]\nssh: {user: app, port: 2200}\n",
    );
    let targets: Vec<(&str, &str, u16)> = config
        .hosts()
        .into_iter()
        .map(|host| config.ssh.target(host))
        .map(|target| (target.user, target.host, target.port))
        .collect();
    assert_eq!(
        targets,
        [
            ("deploy", "192.0.2.1", 2200),
            ("ops", "192.0.2.2", 2222),
            ("app", "192.0.2.3", 2200),
            ("app", "2001:db8::1", 22)
        ]
    );
    let plain = config.ssh.target("2001:db8::1");
    assert_eq!((plain.host, plain.port), ("2001:db8::1", 2200));
    let no_hosts = ["@192.0.2.1", "deploy@", "a@b@192.0.2.1", ":22", "[]:22", "[2001:db8::1"];
    let no_ports = ["192.0.2.1:ssh", "192.0.2.1:0", "[2001:db8::1]:99999", "[::1]:ssh", "[::1]22", "[::1]:"];
    for wrong in no_hosts.iter().chain(&no_ports) {
        assert!(
            errors_of_servers(&format!("servers: [\"{wrong}\"]\n")).starts_with("error: servers/0: "),
            "{wrong}"
        );
    }
}

#[test]
fn the_case_of_a_host_name_does_not_matter() {
    let canonical = "proxy: {hosts: [Shop.example, www.shop.example], canonical_host: shop.example}\n";
    assert_eq!(config(canonical).generation, Generation::Two);
    let role = |name: &str, at: &str, host: &str| {
        format!("  {name}: {{hosts: [{at}], proxy: {{host: {host}, ssl: true}}}}\n")
    };
    let same = errors_of_servers(&format!(
        "servers:\n{}{}",
        role("web", "1.1.1.1", "shop.example"),
        role("api", "2.2.2.2", "Shop.example")
    ));
    assert!(same.contains("Different roles can't share the same host for SSL"), "{same}");
}

#[test]
fn images_that_cannot_work_are_refused_with_their_place() {
    let least = MINIMAL.replace("image: me/app\n", "");
    let hub = "registry: {username: me, password: [REGISTRY_PASSWORD]}\n";
    let said: Vec<String> = [
        "image: Acme/shop",
        "image: /acme/shop",
        "image: ghcr.io/acme/shop",
        "image: r.example.com:5000/shop\nregistry: {server: \"r.example.com:5000\", username: me, password: [P]}",
        "image: acme/shop\nregistry: {server: \"https://ghcr.io\", username: me, password: [P]}",
        "image: acme/shop\nregistry: {server: \"https://index.docker.io/v1/\", username: me, password: [P]}",
        "image: acme/shop\nregistry: {server: ghcr.io/Acme, username: me, password: [P]}",
        "image: acme/shop\naccessories: {db: {image: \"Redis:7\", host: h}}",
        "image: acme/shop\ntraefik: {image: \"/traefik:v3\"}",
    ]
    .iter()
    .map(|text| {
        let least = if text.contains("registry:") { least.replace(hub, "") } else { least.clone() };
        rendered(read(&format!("{least}{text}\n")))
    })
    .collect();
    insta::assert_snapshot!(said.join("\n\n"), @r#"
    error: image: an image's name can't contain upper-case letters
     --> config/deploy.yml:4:8
      |
    4 | image: Acme/shop
      |        ^^^^^^^^^
      |
      = help: `image: acme/shop`

    error: image: an image's name can't begin or end with `/` or contain `//`
     --> config/deploy.yml:4:8
      |
    4 | image: /acme/shop
      |        ^^^^^^^^^^
      |
      = help: `image: acme/shop`

    error: image: this image is at ghcr.io, but the login is for Docker Hub, as `registry` names no server
     --> config/deploy.yml:4:8
      |
    4 | image: ghcr.io/acme/shop
      |        ^^^^^^^^^^^^^^^^^
      |
      = help: `image: acme/shop`, and `server: ghcr.io` under `registry`

    error: image: contains the registry r.example.com:5000 again, which Bowline already puts before the name
     --> config/deploy.yml:3:8
      |
    3 | image: r.example.com:5000/shop
      |        ^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: `image: shop`

    error: registry/server: should have no `https://` before it and no `/` after it
     --> config/deploy.yml:4:20
      |
    4 | registry: {server: "https://ghcr.io", username: me, password: [P]}
      |                    ^^^^^^^^^^^^^^^^^
      |
      = help: `server: ghcr.io`

    error: registry/server: should have no `https://` before it and no `/` after it
     --> config/deploy.yml:4:20
      |
    4 | registry: {server: "https://index.docker.io/v1/", username: me, password: [P]}
      |                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: leave `server` out: without it the registry is Docker Hub

    error: registry/server: should have only lower-case letters, digits, `.`, `_` and `-` after the host
     --> config/deploy.yml:4:20
      |
    4 | registry: {server: ghcr.io/Acme, username: me, password: [P]}
      |                    ^^^^^^^^^^^^
      |
      = help: `server: ghcr.io/acme`

    error: accessories/db/image: an image's name can't contain upper-case letters
     --> config/deploy.yml:5:27
      |
    5 | accessories: {db: {image: "Redis:7", host: h}}
      |                           ^^^^^^^^^
      |
      = help: `image: redis:7`

    error: traefik/image: an image's name can't begin or end with `/` or contain `//`
     --> config/deploy.yml:5:18
      |
    5 | traefik: {image: "/traefik:v3"}
      |                  ^^^^^^^^^^^^^
      |
      = help: `image: traefik:v3`
    "#);
}

#[test]
fn images_that_kamal_can_use_are_taken() {
    let least = MINIMAL
        .replace("image: me/app\n", "")
        .replace("registry: {username: me, password: [REGISTRY_PASSWORD]}\n", "");
    let login = "username: me, password: [REGISTRY_PASSWORD]";
    for (image, server) in [
        ("acme/shop", ""),
        ("docker.io/acme/shop", ""),
        ("acme/shop", "server: ghcr.io, "),
        ("shop", "server: registry.example.com/acme, "),
        ("shop", "server: \"registry.example.com:5000\", "),
        ("acme/my.shop/web_1", "server: quay.io, "),
    ] {
        let config = read(&format!("{least}image: {image}\nregistry: {{{server}{login}}}\n")).unwrap().config;
        assert_eq!(config.image, image);
        assert!(matches!(&config.registry.login.as_ref().unwrap().password, Credential::Secret(_)));
    }
}

/// The diagnostics for a template whose variables all have the value `gives`.
fn said_of(text: &str, gives: &str) -> String {
    let template = Template::new(SourceFile::new("config/deploy.yml", text)).unwrap();
    let file = template.render(&|_: &str| Some(gives.to_owned()), &Outputs::default()).unwrap();
    match load(file, None) {
        Ok(loaded) => loaded.warnings.render(false),
        Err(errors) => errors.render(false),
    }
}

#[test]
fn no_message_has_in_it_what_a_tag_gave() {
    let tag = "<%= ENV['SECRET'] %>";
    for (path, _, setting) in keys::all() {
        for value in [
            tag.to_owned(),
            format!("[{tag}]"),
            format!("{{{tag}: 1}}"),
            format!("{{a: {tag}}}"),
            format!("[{{{tag}: {tag}}}]"),
            format!("{{{tag}: {{{tag}: {tag}}}}}"),
        ] {
            let text = keys::document(&path, setting.name, &value);
            let said = said_of(&text, "hunter2");
            assert!(!said.contains("hunter2"), "{text}\n{said}");
        }
        let said = said_of(&keys::document(&path, tag, "1"), "hunter2");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn our_own_words_stay_whatever_a_tag_gave() {
    let text = MINIMAL.replace("[1.1.1.1]", "{web: [h], jobs: []}");
    let said = said_of(&format!("{text}x-a: <%= ENV['A'] %>\n"), "true");
    assert!(said.contains("allow_empty_roles: true"), "{said}");
    let said = said_of(&format!("{MINIMAL}<%= ENV['A'] %>: 1\n"), "unknown");
    assert!(said.contains("error: unknown key: <%= ENV['A'] %>"), "{said}");
}

#[test]
fn a_variable_of_the_shell_is_no_host() {
    insta::assert_snapshot!(errors_of_servers("servers:\n- $VM_HOST\n"), @r#"
    error: servers/0: this is not the name or address of a host
     --> config/deploy.yml:5:3
      |
    5 | - $VM_HOST
      |   ^^^^^^^^
      |
      = help: a variable of your environment is written `<%= ENV["VM_HOST"] %>`
    "#);
}

#[test]
fn advice_that_fits_the_generation() {
    insta::assert_snapshot!(errors("proxy: {host_port: 8080}\n"), @r"
    error: proxy: unknown key: host_port
     --> config/deploy.yml:5:9
      |
    5 | proxy: {host_port: 8080}
      |         ^^^^^^^^^
      |
      = help: the port on the server is `http_port` of `proxy/run`
    ");
    insta::assert_snapshot!(errors("hooks: {pre-deploy: bin/check}\n"), @r"
    error: unknown key: hooks
     --> config/deploy.yml:5:1
      |
    5 | hooks: {pre-deploy: bin/check}
      | ^^^^^
      |
      = help: hooks are programs in `.kamal/hooks`, named after the moment: `.kamal/hooks/pre-deploy` (`bowline docs hooks`)
    ");
    let said = errors("traefik: {app_port: 3000}\n");
    assert!(!said.contains("`proxy/app_port`"), "{said}");
}

#[test]
fn where_there_are_no_roles_none_are_listed() {
    let text = MINIMAL.replace("servers: [1.1.1.1]\n", "accessories: {db: {image: \"a:1\", roles: [web]}}\n");
    insta::assert_snapshot!(rendered(read(&text)), @r#"
    error: accessories/db/roles/0: unknown role web
     --> config/deploy.yml:3:42
      |
    3 | accessories: {db: {image: "a:1", roles: [web]}}
      |                                          ^^^
      |
      = help: the configuration has no `servers`, and so no roles
    "#);
}

#[test]
fn a_wanted_destination_is_all_that_is_asked_for() {
    insta::assert_snapshot!(rendered(read("service: app\nrequire_destination: true\nservices: 1\n")), @r"
    error: require_destination: You must specify a destination
     --> config/deploy.yml:2:22
      |
    2 | require_destination: true
      |                      ^^^^
      |
      = help: name it with `-d`, such as `-d production`
    ");
    let over = format!("{MINIMAL}builder: {{arch: amd64}}\n");
    let config = read_for("staging", "require_destination: true\n", &over).unwrap().config;
    assert_eq!(config.generation, Generation::Two);
}
