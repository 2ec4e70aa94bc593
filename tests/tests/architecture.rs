//! Checks that our crates depend on each other as ARCHITECTURE.md says, and that the pure crates stay pure.
//!
//! It reads `cargo metadata`, and so what is really built.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails with a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Our crates, and which of ours each may use. Other crates of the workspace are not checked.
const ARROWS: [(&str, &[&str]); 7] = [
    ("bowline-config", &[]),
    ("bowline-proxy", &[]),
    ("bowline-registry", &[]),
    ("bowline-core", &["bowline-config"]),
    ("bowline-engine", &["bowline-config", "bowline-core"]),
    ("bowline-remote", &["bowline-config", "bowline-core", "bowline-engine", "bowline-registry"]),
    (
        "bowline-cli",
        &["bowline-config", "bowline-core", "bowline-engine", "bowline-remote", "bowline-registry"],
    ),
];

/// What a crate must not depend on, even indirectly: no runtime, network or terminal in `core` (and so in `config`),
/// no SSH or terminal in `engine`, no terminal in `remote`.
const KEPT_OUT: [(&str, &[&str]); 3] = [
    (
        "bowline-core",
        &[
            "tokio",
            "futures-util",
            "mio",
            "russh",
            "hyper",
            "reqwest",
            "clap",
            "indicatif",
            "anstream",
            "tempfile",
            "rand",
            "getrandom",
        ],
    ),
    ("bowline-engine", &["russh", "clap", "indicatif", "anstream", "owo-colors", "crossterm"]),
    ("bowline-remote", &["clap", "indicatif", "anstream", "owo-colors"]),
];

/// The normal dependencies of each package. Dev-dependencies are left out.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(bowline_tests::sandbox::root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn graph(metadata: &Value) -> Graph {
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let mut graph = Graph::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let normal = |dependency: &&Value| {
            dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
        };
        let used = node["deps"].as_array().unwrap().iter().filter(normal);
        graph
            .entry(names[text(node, "id")].to_owned())
            .or_default()
            .extend(used.map(|dependency| names[text(dependency, "pkg")].to_owned()));
    }
    graph
}

/// The chain of dependencies from one crate to another, if there is one.
fn way(graph: &Graph, from: &str, to: &str) -> Option<Vec<String>> {
    let mut seen = BTreeSet::from([from.to_owned()]);
    let mut ways = vec![vec![from.to_owned()]];
    while let Some(way) = ways.pop() {
        for next in graph.get(way.last()?).into_iter().flatten() {
            if !seen.insert(next.clone()) {
                continue;
            }
            let mut longer = way.clone();
            longer.push(next.clone());
            if next == to {
                return Some(longer);
            }
            ways.push(longer);
        }
    }
    None
}

/// All violations, one per line.
fn faults(graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, may_use) in ARROWS {
        let Some(uses) = graph.get(name) else {
            faults.push(format!("{name} is not there"));
            continue;
        };
        for used in uses.iter().filter(|used| used.starts_with("bowline-")) {
            if !may_use.contains(&used.as_str()) {
                faults.push(format!("{name} uses {used}"));
            }
        }
    }
    for (name, kept_out) in KEPT_OUT {
        faults.extend(kept_out.iter().filter_map(|out| way(graph, name, out)).map(|way| way.join(" -> ")));
    }
    faults
}

#[test]
fn the_arrows_of_the_house_point_one_way_and_the_pure_crates_stay_pure() {
    assert_eq!(faults(&graph(&metadata())), Vec::<String>::new());
}

#[test]
fn an_arrow_that_turns_is_seen() {
    let mut turned = graph(&metadata());
    turned.get_mut("bowline-core").unwrap().insert("bowline-engine".into());
    let seen = faults(&turned);
    assert!(seen.contains(&"bowline-core uses bowline-engine".to_owned()), "{seen:?}");
    assert!(seen.iter().any(|fault| fault.ends_with("-> tokio")), "{seen:?}");

    let mut turned = graph(&metadata());
    turned.get_mut("bowline-engine").unwrap().extend(["bowline-remote".into(), "clap".into()]);
    let seen = faults(&turned);
    for fault in ["bowline-engine uses bowline-remote", "bowline-engine -> clap"] {
        assert!(seen.contains(&fault.to_owned()), "{seen:?}");
    }

    let mut gone = graph(&metadata());
    gone.remove("bowline-cli");
    assert_eq!(faults(&gone), ["bowline-cli is not there"]);
}

/// Modules of `core`, and those above them, which they must not use.
const LAYERS: [(&[&str], &[&str]); 2] =
    [(&["error.rs", "request.rs", "secrets.rs"], &["plan", "proxy"]), (&["proxy.rs", "proxy"], &["plan"])];

#[test]
fn what_plans_are_made_of_does_not_use_plans() {
    let core = bowline_tests::sandbox::root().join("crates/core/src");
    for (modules, above) in LAYERS {
        let mut text = String::new();
        modules.iter().for_each(|module| sources(&core.join(module), &mut text));
        assert!(text.contains("use crate::commands"), "{modules:?}");
        for name in above {
            let path = format!("crate::{name}::");
            let used = text.lines().find(|line| line.contains(&path) && !line.trim_start().starts_with("//"));
            assert_eq!(used, None, "{modules:?} must not use {name}");
        }
    }
}

/// Adds the text of a file, or of all Rust files in a directory.
fn sources(path: &Path, text: &mut String) {
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| sources(&entry.unwrap().path(), text));
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        text.push_str(&std::fs::read_to_string(path).unwrap());
    }
}

#[test]
fn the_table_of_faults_names_tests_that_there_are() {
    let root = bowline_tests::sandbox::root();
    let page = std::fs::read_to_string(root.join("tests/README.md")).unwrap();
    let (_, table) = page.split_once("## Faults\n").unwrap();
    let is_name = |word: &&str| word.matches('_').count() > 1 && !word.contains([' ', '…', '/', '-']);
    // The last cell of a row names the tests. Other cells may name variables and keys.
    let last = |line: &'_ str| line.trim_end_matches(['|', ' ']).rsplit(" | ").next().unwrap().to_owned();
    let cells: Vec<String> = table.lines().map(last).collect();
    let words = cells.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let names: BTreeSet<&str> = words.filter(is_name).collect();
    assert!(names.len() > 40, "{names:?}");
    let mut text = String::new();
    for directory in ["crates", "tests/src", "tests/tests"] {
        sources(&root.join(directory), &mut text);
    }
    let missing: Vec<&&str> = names.iter().filter(|name| !text.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
