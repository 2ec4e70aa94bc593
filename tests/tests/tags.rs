//! Host tags and their environments: S6, S7, S8.
#![allow(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::collections::BTreeMap;

use bowline_tests::expect;
use bowline_tests::project::Project;
use bowline_tests::sandbox::{Sandbox, Server};

/// A container's environment. Panics if a name occurs twice.
#[track_caller]
fn env_of(server: &Server, container: &str) -> BTreeMap<String, String> {
    let text = expect::inspect(server, container, "{{range .Config.Env}}{{println .}}{{end}}");
    let mut env = BTreeMap::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        assert_eq!(
            env.insert(name.to_owned(), value.to_owned()),
            None,
            "{name} twice in {container}\n{text}"
        );
    }
    env
}

/// Some of the variables, as `NAME=value`.
fn some(env: &BTreeMap<String, String>, names: &[&str]) -> String {
    let found = names.iter().filter_map(|name| Some(format!("{name}={}", env.get(*name)?)));
    found.collect::<Vec<_>>().join(" ")
}

#[test]
fn s06_a_server_has_the_tags_of_all_its_entries_in_a_role_and_other_ones_in_another_role() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(2);
    let (first, second) = (lease[0].address.as_str(), lease[1].address.as_str());
    let mut project = Project::new(sandbox, &lease, "tagged-hosts");
    project
        .set(
            "servers",
            &format!(
                "\n  web:\n    - {first}: one\n    - {second}: [two, one]\n    - {first}: [two, one]\n    - {first}\n  \
                 jobs:\n    hosts:\n      - {first}: three\n    cmd: /app/server worker"
            ),
        )
        .set("readiness_delay", "1")
        .set("env_tags", "\n  one: {LAST: one, ONE: 1}\n  two: {LAST: two, TWO: 2}\n  three: {LAST: three}")
        // A deploy ignores accessories and their missing secrets.
        .set("accessories", "\n  db: {image: nowhere.invalid/db, tag: two, port: 22, env: {secret: [NOT_THERE]}}");
    project.deploy("v1").ok();
    project.bowline(&["config"]).says(&format!("hosts: [{first}, {second}]")).exits(0);

    let names = ["LAST", "ONE", "TWO", "KAMAL_HOST"];
    let (web, jobs) = (project.container("web", "v1"), project.container("jobs", "v1"));
    let on = |server: &Server, container: &str| some(&env_of(server, container), &names);
    assert_eq!(on(&lease[0], &web), format!("LAST=two ONE=1 TWO=2 KAMAL_HOST={first}"));
    assert_eq!(on(&lease[1], &web), format!("LAST=one ONE=1 TWO=2 KAMAL_HOST={second}"));
    assert_eq!(on(&lease[0], &jobs), format!("LAST=three KAMAL_HOST={first}"));
    for server in lease.iter() {
        assert_eq!(server.running(&project.service).iter().filter(|name| **name == web).count(), 1);
    }
    // A new container for a command gets the same.
    let exec = project.bowline(&["app", "exec", "-h", second, "sh -c 'echo last $LAST two $TWO'"]);
    exec.exits(0).says("last one two 2");
}

#[test]
fn s07_tags_stand_in_either_place_and_what_is_wrong_with_them_is_told_with_its_place() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let (server, address) = (&lease[0], lease[0].address.as_str());
    let mut project = Project::new(sandbox, &lease, "tagged-env");
    let tags = "\n  plain: {A: plain}\n  full: {clear: {B: full}, secret: [KEY, OTHER:KEY]}\n  spare: {C: 1}";
    let under_env = format!("\n  tags:{}", tags.replace("\n  ", "\n    "));
    project.set("servers", &format!("\n  - {address}: [plain, full]")).secret("KEY", "the key");
    project.set("env", &under_env);
    let deployed = project.deploy("v1");
    deployed.exits(0).says("warning: env/tags/spare").says("no server has this tag");
    let env = env_of(server, &project.container("web", "v1"));
    assert_eq!(some(&env, &["A", "B", "C", "KEY", "OTHER"]), "A=plain B=full KEY=the key OTHER=the key");

    // The key `env_tags` means the same. Setting both is an error.
    let shown = project.bowline(&["config"]);
    shown.exits(0).says("tags: [plain, full]").says("A: tag plain").says("KEY: tag full (secret KEY)");
    shown.says("OTHER: tag full (secret KEY)").never_says("the key");
    project.unset("env").set("env_tags", tags);
    let other = project.bowline(&["config"]);
    assert_eq!(other.ok(), shown.ok());
    project.set("env", &under_env);
    let both = project.bowline(&["deploy", "--version", "v2"]);
    both.exits(2).says("`env_tags` and as `env/tags`").says("and here").says("config/deploy.yml:");

    project.unset("env").set("servers", &format!("\n  - {address}: [plain, ful]"));
    project.write_config();
    let text = std::fs::read_to_string(project.path().join("config/deploy.yml")).unwrap();
    let line = text.lines().position(|line| line.contains("ful]")).unwrap() + 1;
    let unknown = project.bowline(&["deploy", "--version", "v2"]);
    unknown.exits(2).says("unknown tag: ful").says("did you mean `full`?");
    unknown.says(&format!("config/deploy.yml:{line}:"));
    expect::runs(&project, server, &[("web", "v1")]);
}

#[test]
fn s08_of_root_role_and_tags_the_later_wins_and_no_variable_is_both_clear_and_secret() {
    let sandbox = Sandbox::get();
    let lease = sandbox.lease(1);
    let server = &lease[0];
    let mut project = Project::new(sandbox, &lease, "layered");
    project
        .set("env", "\n  clear: {ROOT: root, ROLE: root, TAG: root, HIDDEN: root}\n  secret: [KEY, SHOWN, PEM]")
        .set("env_tags", "\n  one: {clear: {TAG: one, LAST: one}, secret: [HIDDEN:KEY]}\n  two: {LAST: two, SHOWN: clear}")
        .set(
            "servers",
            &format!(
                "\n  web:\n    hosts: [{}: [one, two]]\n    env: {{clear: {{ROLE: role, LAST: role}}, secret: [KEY:OTHER]}}",
                server.address
            ),
        )
        .secret("KEY", "key")
        .secret("OTHER", "other")
        .secret("SHOWN", "never given")
        .secret("PEM", "'line one\nline two\n'");
    project.deploy("v1").ok();
    let names = ["ROOT", "ROLE", "TAG", "LAST", "KEY", "HIDDEN", "SHOWN"];
    let env = env_of(server, &project.container("web", "v1"));
    assert_eq!(
        some(&env, &names),
        "ROOT=root ROLE=role TAG=one LAST=two KEY=other HIDDEN=key SHOWN=clear",
        "root, role, tags in order"
    );
    assert_eq!(server.get("/env?name=PEM").as_deref(), Some("line one\nline two\n"), "byte by byte");
    // The environment file has the values that its format can hold, without overridden ones.
    let file = server.run(&format!("cat .kamal/apps/{}/env/roles/web.env", project.service));
    assert_eq!(file.ok(), "HIDDEN=key\nKEY=other");
    let shown = project.bowline(&["config"]);
    for line in [
        "ROOT: root env",
        "ROLE: role web (over root env)",
        "TAG: tag one (over root env)",
        "LAST: tag two (over tag one and role web)",
        "KEY: role web (secret OTHER) (over root env)",
        "HIDDEN: tag one (secret KEY) (over root env)",
        "SHOWN: tag two (over root env)",
        "PEM: root env (secret PEM)",
    ] {
        shown.says(line);
    }
    shown.exits(0).never_says("never given").never_says("line one");
}
