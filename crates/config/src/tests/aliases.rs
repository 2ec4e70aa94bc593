//! `aliases`: accepted and rejected ones, and the lookup that checks nothing else.

use super::*;
use crate::{Pairs, aliases, load_for};

#[test]
fn aliases_are_kept_in_order_and_shown() {
    let config = config(
        "aliases:\n  console: app exec -i \"bin/rails console\"\n  ship_it: deploy -d staging\n  s2: ship_it -p\n",
    );
    let names: Vec<&str> = config.aliases.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["console", "ship_it", "s2"]);
    let shown = crate::show::show(&config);
    assert!(
        shown.contains(
            "aliases:\n  console: \"app exec -i \\\"bin/rails console\\\"\"\n  ship_it: deploy -d staging\n"
        ),
        "{shown}"
    );
}

#[test]
fn what_is_wrong_with_an_alias() {
    insta::assert_snapshot!(errors("aliases: [a]\n"), @r##"
    error: aliases: should be a map
     --> config/deploy.yml:5:1
      |
    5 | aliases: [a]
      | ^^^^^^^ this is a list
    "##);
    insta::assert_snapshot!(errors("aliases:\n  Console: app exec\n  \"a b\": app exec\n  deploy: app exec\n  app:\n  empty: ' '\n  quote: app exec 'x\n"), @r#"
    error: aliases/Console: an alias's name can only include lower-case letters, digits, `-` and `_`
     --> config/deploy.yml:6:3
      |
    6 |   Console: app exec
      |   ^^^^^^^

    error: aliases/a b: an alias's name can only include lower-case letters, digits, `-` and `_`
     --> config/deploy.yml:7:3
      |
    7 |   "a b": app exec
      |   ^^^^^

    error: aliases/deploy: `deploy` is already a command
     --> config/deploy.yml:8:3
      |
    8 |   deploy: app exec
      |   ^^^^^^
      |
      = help: give the alias another name

    error: aliases/app: should be a string
     --> config/deploy.yml:9:3
      |
    9 |   app:
      |   ^^^ this is empty

    error: aliases/app: `app` is already a command
     --> config/deploy.yml:9:3
      |
    9 |   app:
      |   ^^^
      |
      = help: give the alias another name

    error: aliases/empty: should not be empty
      --> config/deploy.yml:10:10
       |
    10 |   empty: ' '
       |          ^^^

    error: aliases/quote: a quote in it is never closed
      --> config/deploy.yml:11:10
       |
    11 |   quote: app exec 'x
       |          ^^^^^^^^^^^
       |
       = help: it is split into words as a shell does
    "#);
    insta::assert_snapshot!(errors("aliases:\n  x: app exec\n  a: b -d staging\n  b: c\n  c: a\n  d: d\n  e: a\n"), @r"
    error: aliases/a: is circular: a → b → c → a
     --> config/deploy.yml:7:3
      |
    7 |   a: b -d staging
      |   ^
      |
      = help: make one of them start with a command

    error: aliases/d: is circular: d → d
      --> config/deploy.yml:10:3
       |
    10 |   d: d
       |   ^
       |
       = help: make one of them start with a command
    ");
    let text = format!("{MINIMAL}aliases: {{plan: x -r web, x: plan}}\n");
    let loaded = load_for(SourceFile::new("config/deploy.yml", text), None, &["plan".into()]).unwrap();
    insta::assert_snapshot!(loaded.warnings.render(false), @r"
    warning: aliases/plan: this alias has no effect
     --> config/deploy.yml:5:11
      |
    5 | aliases: {plan: x -r web, x: plan}
      |           ^^^^ `plan` is one of Bowline's own commands
    ");
}

fn looked_up(base: &str, over: Option<&str>) -> Result<Pairs, String> {
    let file = |path: &str, text: &str| SourceFile::new(path, text);
    let over =
        over.map(|text| Destination { name: "staging".into(), file: file("deploy.staging.yml", text) });
    aliases(file("deploy.yml", base), over).map_err(|errors| errors.render(false))
}

#[test]
fn they_can_be_looked_up_in_what_is_no_configuration_yet() {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<Pairs>()
    };
    let base = "unknown: 1\naliases: {a: app exec, b: deploy, c: [x]}\n";
    assert_eq!(looked_up(base, None), Ok(pairs(&[("a", "app exec"), ("b", "deploy")])));
    assert_eq!(
        looked_up(base, Some("aliases: {b: redeploy, d: lock status}\n")),
        Ok(pairs(&[("a", "app exec"), ("b", "redeploy"), ("d", "lock status")]))
    );
    for none in ["", "a", "aliases: 1", "aliases:"] {
        assert_eq!(looked_up(none, None), Ok(Pairs::new()));
    }
    assert!(looked_up("aliases: [", None).unwrap_err().contains("deploy.yml:1:10"));
}
