//! The modules use each other without cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Modules that only contain others.
const ROOMS: [&str; 2] = ["sections", "text"];

type Graph = BTreeMap<String, BTreeSet<String>>;

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Finds every file below a directory, except for tests.
fn files(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_test {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            found.push(path);
        }
    }
}

/// The names that follow a path such as `crate::`, in braces or not.
fn after(code: &str, path: &str) -> Vec<String> {
    let starts = |at: usize| !code[..at].ends_with(|c: char| c == ':' || c.is_alphanumeric() || c == '_');
    let places = code.match_indices(path).map(|(at, _)| at).filter(|at| starts(*at));
    let word = |text: &str| {
        let text = text.trim_start();
        text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default().to_owned()
    };
    places
        .flat_map(|at| {
            let rest = &code[at + path.len()..];
            if !rest.starts_with('{') {
                return vec![word(rest)];
            }
            let (mut depth, mut names) = (0, Vec::new());
            for (at, c) in rest.char_indices() {
                depth += i32::from(c == '{') - i32::from(c == '}');
                if depth == 0 {
                    break;
                }
                if depth == 1 && (c == '{' || c == ',') {
                    names.push(word(&rest[at + 1..]));
                }
            }
            names
        })
        .collect()
}

fn declared(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| {
        let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
        Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    })
}

/// The module of each name at the root of the crate, which may be a `pub use`.
fn names(root: &Path) -> BTreeMap<String, String> {
    let lib = read(&root.join("lib.rs"));
    let in_rooms = ROOMS.map(|room| read(&root.join(room).with_extension("rs")));
    let modules = declared(&lib).chain(in_rooms.iter().flat_map(|room| declared(room)));
    let mut names: BTreeMap<String, String> = modules.map(|name| (name.clone(), name)).collect();
    for line in lib.split(';').filter_map(|line| line.trim_start().strip_prefix("pub use ")) {
        let (module, _) = line.split_once("::").unwrap();
        if !ROOMS.contains(&module) {
            let given = after(line, &format!("{module}::")).into_iter();
            names.extend(given.map(|name| (name, module.to_owned())));
        }
    }
    names
}

fn graph() -> Graph {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let names = names(&root);
    let (mut found, mut graph) = (Vec::new(), Graph::new());
    files(&root, &mut found);
    for file in found {
        let path = file.strip_prefix(&root).unwrap().with_extension("");
        let floors: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
        let room = usize::from(ROOMS.contains(&floors[0]));
        let Some(own) = floors.get(room).filter(|own| **own != "lib") else { continue };
        let text = read(&file);
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let mut used = vec!["crate::".to_owned(), "super::".repeat(floors.len() - room)];
        used.push("super::".repeat(floors.len()));
        used.extend(ROOMS.map(|room| format!("crate::{room}::")));
        let used = used.iter().flat_map(|path| after(&code, path)).filter_map(|name| names.get(&name));
        graph.entry((*own).to_owned()).or_default().extend(used.filter(|module| module != own).cloned());
    }
    graph
}

/// The cycle that a module is in, if there is one.
fn circle(graph: &Graph, from: &str) -> Option<Vec<String>> {
    let (mut ways, mut seen) = (vec![vec![from.to_owned()]], BTreeSet::new());
    while let Some(way) = ways.pop() {
        for next in graph.get(way.last()?).into_iter().flatten() {
            let longer = [way.clone(), vec![next.clone()]].concat();
            if next == from {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}

#[test]
fn no_module_is_used_by_what_it_uses() {
    let graph = graph();
    assert!(graph["root"].contains("role") && graph["role"].contains("decode"), "{graph:#?}");
    let circles: Vec<_> = graph.keys().filter_map(|module| circle(&graph, module)).collect();
    assert_eq!(circles, [[""; 0]; 0]);
}

#[test]
fn a_circle_is_seen() {
    assert_eq!(
        after("use crate::{a::{B, c}, d}; crate::e::f(); super::crate::g", "crate::"),
        ["a", "d", "e"]
    );
    let uses = |pairs: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (one, other) in pairs {
            graph.entry((*one).into()).or_default().insert((*other).into());
        }
        graph
    };
    let graph = uses(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]);
    assert_eq!(circle(&graph, "a").unwrap(), ["a", "b", "c", "a"]);
    assert_eq!(circle(&graph, "d"), None);
}
