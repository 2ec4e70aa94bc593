//! Host tags and their envs.

use proptest::prelude::*;

use super::super::{Env, Value, Variable};
use super::*;

/// `NAME=value` or `NAME<key` for each variable of a role's container on a host.
fn env_on(config: &Config, role: &str, host: &str) -> String {
    let role = config.role(role).unwrap();
    let entry = role.hosts.iter().find(|entry| entry.host == host).unwrap();
    let shown = |variable: &Variable| match &variable.value {
        Value::Clear(value) => format!("{}={value}", variable.name),
        Value::Secret(key) => format!("{}<{key}", variable.name),
    };
    config.env_for(role, entry).iter().map(shown).collect::<Vec<_>>().join(" ")
}

#[test]
fn s06_a_host_listed_twice_has_the_tags_of_both_entries_in_order_and_each_once() {
    let config = servers(
        "env_tags: {a: {X: a, A: 1}, b: {X: b}, c: {X: c}}\nservers:\n- h: b\n- i\n- h: [a, b, a]\n- h\n- h: c\n",
    );
    let hosts: Vec<_> =
        config.roles[0].hosts.iter().map(|host| (host.host.as_str(), host.tags.join(" "))).collect();
    assert_eq!(hosts, [("h", "b a c".into()), ("i", String::new())]);
    assert_eq!(env_on(&config, "web", "h"), "X=c A=1");
    assert_eq!(env_on(&config, "web", "i"), "");
}

#[test]
fn s06_each_roles_container_on_a_server_has_that_roles_tags() {
    let config = servers(
        "env_tags: {a: {X: a}, b: {X: b}}\nservers:\n  web: [h: a]\n  jobs: {hosts: [h: [b]], env: {Y: jobs}}\n  cron: [h]\n",
    );
    assert_eq!(env_on(&config, "web", "h"), "X=a");
    assert_eq!(env_on(&config, "jobs", "h"), "Y=jobs X=b");
    assert_eq!(env_on(&config, "cron", "h"), "");
}

#[test]
fn s07_a_tags_env_has_the_full_format_in_both_places() {
    let servers_of = "servers:\n- h: [plain, full, empty]\n";
    let tags = "plain: {A: 1}, full: {clear: {B: 2}, secret: [C, D:E]}, empty: {secret: []}";
    for text in [format!("env_tags: {{{tags}}}\n"), format!("env: {{clear: {{Z: 0}}, tags: {{{tags}}}}}\n")] {
        let config = servers(&format!("{servers_of}{text}"));
        assert_eq!(env_on(&config, "web", "h").replace("Z=0 ", ""), "A=1 B=2 C<C D<E", "{text}");
    }
}

#[test]
fn s08_the_later_layer_wins_whatever_its_kind() {
    let config = servers(
        "env: {clear: {A: root, B: root, C: root}, secret: [S, T, U]}
env_tags:
  one: {clear: {C: one, S: one}, secret: [A, T:T1]}
  two: {clear: {A: two}, secret: [S:S2]}
servers:
  web: {hosts: [h: [one, two], i: [two, one], j: one], env: {clear: {B: role, U: role}, secret: [V]}}
",
    );
    assert_eq!(env_on(&config, "web", "h"), "A=two B=role C=one S<S2 T<T1 U=role V<V");
    assert_eq!(env_on(&config, "web", "i"), "A<A B=role C=one S=one T<T1 U=role V<V");
    assert_eq!(env_on(&config, "web", "j"), "A<A B=role C=one S=one T<T1 U=role V<V");
}

#[test]
fn s07_tags_in_both_places_of_two_files() {
    insta::assert_snapshot!(rendered(read_for("staging", &format!("{MINIMAL}env_tags: {{a: {{A: 1}}}}\n"), "env:\n  tags: {b: {A: 1}}\n")), @r##"
    error: tags are given twice: as `env_tags` and as `env/tags`
     --> config/deploy.yml:5:1
      |
    5 | env_tags: {a: {A: 1}}
      | ^^^^^^^^
      |
     ::: config/deploy.staging.yml:2:3
      |
    2 |   tags: {b: {A: 1}}
      |   ---- and here
      |
      = help: keep one of them
    "##);
}

#[test]
fn a_tag_that_no_server_has() {
    insta::assert_snapshot!(errors("env_tags:\n  fast: {A: 1}\n"), @r##"
    accepted; 1 warnings
    warning: env_tags/fast: no server has this tag, so its env has no effect
     --> config/deploy.yml:6:3
      |
    6 |   fast: {A: 1}
      |   ^^^^
      |
      = help: give it to a server: `- HOST: fast`
    "##);
    let base = format!("{MINIMAL}env: {{tags: {{fast: {{A: 1}}}}}}\n");
    let shared = read_for("staging", &base, "").unwrap();
    assert!(shared.warnings.is_empty(), "it may be meant for another destination: {}", shared.warnings);
    let own = read_for("staging", MINIMAL, "env: {tags: {fast: {A: 1}}}\n").unwrap();
    assert!(own.warnings.render(false).contains("env/tags/fast: no server"), "{}", own.warnings);
}

/// A few names and kinds, so that layers overlap.
fn layer() -> impl Strategy<Value = Env> {
    let value = prop_oneof![
        prop::sample::select(&["1", "2", "3"][..]).prop_map(|text| Value::Clear(text.into())),
        prop::sample::select(&["K", "L"][..]).prop_map(|key| Value::Secret(key.into())),
    ];
    let variable = (prop::sample::select(&["A", "B", "C", "D", "E"][..]), value)
        .prop_map(|(name, value)| Variable { name: name.into(), value });
    prop::collection::vec(variable, 0..6).prop_map(Env::from_iter)
}

fn merged(layers: &[&Env]) -> Env {
    let mut env = Env::default();
    layers.iter().for_each(|layer| env.merge(layer));
    env
}

proptest! {
    #[test]
    fn how_layers_are_grouped_makes_no_difference(a in layer(), b in layer(), c in layer()) {
        prop_assert_eq!(merged(&[&merged(&[&a, &b]), &c]), merged(&[&a, &merged(&[&b, &c])]));
        prop_assert_eq!(merged(&[&a, &a]), a);
    }

    #[test]
    fn of_each_name_the_last_layers_value_counts(layers in prop::collection::vec(layer(), 0..5)) {
        let env = merged(&layers.iter().collect::<Vec<_>>());
        for variable in layers.iter().flat_map(Env::iter) {
            let last = layers.iter().rev().find_map(|layer| layer.get(&variable.name));
            prop_assert_eq!(env.get(&variable.name), last);
        }
        for variable in env.iter() {
            prop_assert!(layers.iter().any(|layer| layer.get(&variable.name).is_some()), "{} came from nowhere", variable.name);
        }
    }

    #[test]
    fn no_name_is_there_twice_and_the_order_is_that_of_first_mention(layers in prop::collection::vec(layer(), 0..5)) {
        let env = merged(&layers.iter().collect::<Vec<_>>());
        let mut mentioned: Vec<&str> = Vec::new();
        for variable in layers.iter().flat_map(Env::iter) {
            if !mentioned.contains(&variable.name.as_str()) {
                mentioned.push(&variable.name);
            }
        }
        prop_assert_eq!(env.iter().map(|variable| variable.name.as_str()).collect::<Vec<_>>(), mentioned);
        let both = env.clear().filter(|(name, _)| env.secret().any(|(secret, _)| secret == *name)).count();
        prop_assert_eq!(both, 0);
        prop_assert_eq!(env.clear().count() + env.secret().count(), env.iter().count());
    }
}
