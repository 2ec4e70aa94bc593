//! The files in `docs/` match the tables, and every part of the documentation can be shown.

use super::super::{docs, schema};

fn kept(file: &str) -> String {
    let path = format!("{}/../../docs/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_page_is_current() {
    let help = "the tables have changed: cargo run -p bowline-cli -- docs --markdown > docs/configuration.md";
    assert!(kept("configuration.md") == docs::page(), "{help}");
}

#[test]
fn the_schema_is_current() {
    let help = "the tables have changed: cargo run -p bowline-cli -- schema > docs/deploy.schema.json";
    assert!(kept("deploy.schema.json") == schema::text(), "{help}");
}

#[test]
fn sections_in_a_terminal() {
    let shown = |name| docs::text(name, 80).unwrap();
    insta::assert_snapshot!("docs", shown(None));
    insta::assert_snapshot!("docs_boot", shown(Some("boot")));
    insta::assert_snapshot!("docs_proxy", shown(Some("proxy")));
    insta::assert_snapshot!("docs_limit", shown(Some("boot/limit")));
    insta::assert_snapshot!("docs_hooks", shown(Some("hooks")));
    insta::assert_snapshot!("docs_templates", shown(Some("templates")));
}

#[test]
fn names_of_sections_and_keys() {
    let first = |name| docs::text(Some(name), 80).unwrap().lines().next().unwrap().to_owned();
    for (name, heading) in [
        ("servers", "servers/ROLE"),
        ("servers/ROLE", "servers/ROLE"),
        ("accessories", "accessories/NAME"),
        ("accessories/files", "accessories/NAME/files"),
        ("proxy/run", "proxy/run"),
        ("hooks", "hooks"),
        ("secrets", "secrets"),
        ("destinations", "destinations"),
        ("env/", "env"),
        ("servers/cmd", "servers/ROLE"),
        ("servers/web", "servers/ROLE"),
        ("servers/web/cmd", "servers/ROLE"),
        ("servers/web/proxy/host", "proxy"),
        ("accessories/db/files", "accessories/NAME/files"),
        ("accessories/db/env/clear", "env"),
        ("env/clear/RAILS_ENV", "env"),
        (
            "hooks_output/pre-build",
            "  hooks_output  `quiet`, `verbose` or map · default: only the hook's name · Kamal 2 only",
        ),
        ("readiness_delay", "  readiness_delay  seconds · default: 7"),
    ] {
        assert_eq!(first(name), heading, "{name}");
    }
    for (name, hint) in [
        ("prxoy", "did you mean `proxy`? The sections are: servers/ROLE, registry, "),
        ("nothing/of/it", "the sections are: servers/ROLE, registry, "),
        ("boot/nothing", "the sections are: "),
    ] {
        let unknown = docs::text(Some(name), 80).unwrap_err();
        assert_eq!(unknown.to_string(), format!("there is no section `{name}`"));
        assert!(unknown.hint.starts_with(hint), "{}", unknown.hint);
    }
}

#[test]
fn lines_fit_the_terminal() {
    for columns in [0, 60, 100] {
        for name in [None, Some("proxy"), Some("boot"), Some("ssh"), Some("hooks")] {
            let text = docs::text(name, columns).unwrap();
            let prose = text.lines().filter(|line| line.starts_with("      ") && line.contains(' '));
            for line in prose {
                assert!(line.chars().count() <= columns.max(40), "{line}");
            }
        }
    }
}
