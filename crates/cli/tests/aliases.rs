//! Aliases on the command line of the binary.

#![allow(clippy::unwrap_used, reason = "a helper of tests stops the test")]

mod common;

use common::{bowline, project};

const CONFIG: &str = "service: shop
image: me/<%= `echo ran >> log; echo shop`.strip %>
servers: [192.0.2.1]
registry: {username: me, password: [PW]}
aliases:
  show: config
  staged: config -d staging
  twice: staged --no-color
  wrong: frobnicate -x
  surplus: config too much
  round: about
  about: round
";

const STAGING: &str = "image: me/staged\naliases: {only-here: config}\n";

#[test]
fn an_alias_runs_its_command_with_what_is_typed_behind_it() {
    let project = project(&[
        ("config/deploy.yml", &CONFIG.replace("  round: about\n", "")),
        ("config/deploy.staging.yml", STAGING),
        ("config/deploy.next.yml", "image: me/next"),
    ]);
    let image = |words: &[&str]| {
        let (status, out, err) = bowline(project.path(), &[], words);
        assert_eq!((status, err.as_str()), (0, ""), "{words:?}");
        let line = out.lines().find_map(|line| line.strip_prefix("repository: ")).unwrap_or_default();
        line.to_owned()
    };
    assert_eq!(image(&["show"]), "me/shop");
    assert_eq!(image(&["staged"]), "me/staged");
    assert_eq!(image(&["twice"]), "me/staged", "an alias of an alias");
    assert_eq!(image(&["staged", "-d", "next"]), "me/next", "what is typed counts more");
    assert_eq!(image(&["-d", "next", "staged"]), "me/next");
    assert_eq!(image(&["only-here", "-d", "staging"]), "me/staged");
    assert!(bowline(project.path(), &[], &["show"]).1.contains("\n  staged: config -d staging\n"));
    let helped = bowline(project.path(), &[], &["help", "staged"]);
    assert_eq!(helped, (0, "`staged` is an alias: config -d staging\n".into(), String::new()));
}

#[test]
fn a_command_in_the_configuration_runs_once_though_it_is_read_twice() {
    let project = project(&[("config/deploy.yml", &CONFIG.replace("  round: about\n", ""))]);
    assert_eq!(bowline(project.path(), &[], &["show"]).0, 0);
    assert_eq!(std::fs::read_to_string(project.path().join("log")).unwrap(), "ran\n");
}

#[test]
fn no_alias_takes_the_place_of_a_command() {
    let project =
        project(&[("config/deploy.yml", &CONFIG.replace("  round: about\n", "  man: show\n  env: show\n"))]);
    let (status, _, err) = bowline(project.path(), &[], &["config"]);
    assert_eq!(status, 0, "{err}");
    for name in ["man", "env"] {
        assert!(err.contains(&format!("warning: aliases/{name}: this alias has no effect")), "{err}");
    }
}

#[test]
fn what_goes_wrong() {
    let project = project(&[("config/deploy.yml", CONFIG), ("bad.yml", "aliases: [\n")]);
    let said = |words: &[&str]| {
        let (status, out, err) = bowline(project.path(), &[], words);
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}");
        format!("$ bowline {}\n{}\n", words.join(" "), err.trim_end())
    };
    let all: &[&[&str]] = &[
        &["stagd"],
        &["confg"],
        &["frobnicate"],
        &["wrong"],
        &["surplus"],
        &["round"],
        &["staged"],
        &["show"],
        &["frobnicate", "-c", "bad.yml"],
        &["frobnicate", "-c", "none.yml"],
        &["frobnicate", "-d", "none"],
        &["app", "show"],
    ];
    let all: Vec<String> = all.iter().map(|words| said(words)).collect();
    insta::assert_snapshot!("aliases", all.join("\n"));
}
