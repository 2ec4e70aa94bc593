//! Loads a [`Config`] from the texts of the files.

use std::ops::Range;

use super::decode::{Field, Report};
use super::diagnostic::{Diagnostic, Diagnostics, Source, SourceFile, Span};
use super::secrets::SecretUses;
use super::source::{Key, Node};
use super::{Config, Pairs, generation, mask, merge, root, shape, source};

/// A destination (`-d`) and its file, which is merged over the base file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub name: String,
    /// The file at [`destination_path`].
    pub file: SourceFile,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub config: Config,
    pub warnings: Diagnostics,
    pub secrets: SecretUses,
}

/// The path of a destination's file: the base file's path with its last extension replaced by `.DEST.yml`.
pub fn destination_path(base: &str, destination: &str) -> String {
    let name = base.rfind(['/', '\\']).map_or(0, |separator| separator + 1);
    let stem = match base.get(name..).and_then(|file| file.rfind('.')) {
        Some(dot) if dot > 0 => base.get(..name + dot).unwrap_or(base),
        _ => base,
    };
    format!("{stem}.{destination}.yml")
}

/// The destinations that have a file among `names`, each with that file's path. `names` are in the directory of the
/// base file.
pub fn destinations(base: &str, names: &[String]) -> Vec<(String, String)> {
    let directory = base.rfind(['/', '\\']).map_or("", |separator| &base[..=separator]);
    let pattern = destination_path(base, "\0");
    let Some((before, after)) = pattern.split_once('\0') else { return Vec::new() };
    let destination = |name: &String| {
        let path = format!("{directory}{name}");
        let destination = path.strip_prefix(before)?.strip_suffix(after)?.to_owned();
        (!destination.is_empty() && path != base).then_some((destination, path))
    };
    let mut found: Vec<_> = names.iter().filter_map(destination).collect();
    found.sort();
    found
}

/// Reads a configuration.
///
/// # Errors
/// All errors in the files. If a file isn't valid YAML, only the syntax is checked.
pub fn load(base: SourceFile, destination: Option<Destination>) -> Result<Loaded, Diagnostics> {
    load_for(base, destination, &[])
}

/// Like [`load`], for a program that has these commands in addition to Kamal's. An alias of such a name has no effect.
pub fn load_for(
    base: SourceFile,
    destination: Option<Destination>,
    commands: &[String],
) -> Result<Loaded, Diagnostics> {
    let (name, over) = destination.map(|destination| (destination.name, destination.file)).unzip();
    let (sources, trees, mut report) = read_all(base, over);
    report.commands = commands.to_vec();
    let config = match trees.into_iter().collect::<Option<Vec<Node>>>() {
        Some(trees) => resolve(trees, name.as_deref(), &mut report),
        None => None,
    };
    for (number, source) in sources.iter().enumerate() {
        if let Some(rendered) = source.file.template() {
            report.items.iter_mut().for_each(|item| rendered.explain(item, number, &source.file.text));
        }
    }
    let failed = report.has_errors();
    let secrets = SecretUses::new(sources.clone(), report.secrets);
    let diagnostics = Diagnostics::new(sources, report.items);
    match config {
        Some(config) if !failed => Ok(Loaded { config, warnings: diagnostics, secrets }),
        _ => Err(diagnostics),
    }
}

/// The aliases of a project. Checks nothing else.
///
/// # Errors
/// A file isn't valid YAML.
pub fn aliases(base: SourceFile, destination: Option<Destination>) -> Result<Pairs, Diagnostics> {
    let (sources, trees, report) = read_all(base, destination.map(|destination| destination.file));
    let Some(trees) = trees.into_iter().collect::<Option<Vec<Node>>>() else {
        return Err(Diagnostics::new(sources, report.items));
    };
    let merged = trees.into_iter().reduce(merge::merge_files);
    let aliases = merged.as_ref().and_then(|root| Field::new("", root).get("aliases"));
    let entries = aliases.map(|field| field.entries()).unwrap_or_default();
    let pair = |(key, field): (&Key, Field)| Some((key.text.clone(), field.scalar()?.text.clone()));
    Ok(entries.into_iter().filter_map(pair).collect())
}

/// Returns the files, their trees, and the errors in their YAML. A file that can't be parsed has no tree.
fn read_all(base: SourceFile, over: Option<SourceFile>) -> (Vec<Source>, Vec<Option<Node>>, Report) {
    let mut report = Report::default();
    let (mut sources, mut trees) = (Vec::new(), Vec::new());
    for (number, file) in std::iter::once(base).chain(over).enumerate() {
        let (tree, hidden) = read(number, &file, &mut report);
        sources.push(Source { file, hidden });
        trees.push(tree);
    }
    (sources, trees, report)
}

/// Parses a file. Also returns the ranges of its text that must not be shown.
fn read(number: usize, file: &SourceFile, report: &mut Report) -> (Option<Node>, Vec<Range<usize>>) {
    let mut found = Vec::new();
    let mut tree = source::parse(number, file.yaml(), &mut found);
    let mut hidden = mask::hidden(number, file.yaml(), tree.as_ref(), found.is_empty());
    if let Some(rendered) = file.template() {
        if let Some(tree) = tree.as_mut() {
            rendered.left_alone(tree, &mut found);
            rendered.restore(tree);
        }
        found.iter_mut().for_each(|item| rendered.restore_diagnostic(item));
        hidden = rendered.hidden(hidden, &file.text);
    }
    report.items.append(&mut found);
    (tree, hidden)
}

fn resolve(trees: Vec<Node>, destination: Option<&str>, report: &mut Report) -> Option<Config> {
    let mut merged = trees.into_iter().reduce(merge::merge_files)?;
    if merged.kind == source::NodeKind::Null {
        let error = Diagnostic::error(Span::whole(0), "the configuration is empty");
        report
            .push(error.help("it needs at least `service` and `servers`; `bowline init` writes an example"));
        return None;
    }
    if let (None, Some(error)) = (destination, root::wants_destination(&Field::new("", &merged))) {
        report.push(error);
        return None;
    }
    let keys = shape::check(&mut merged, &root::KEYS, report);
    let generation = generation::decide(&keys, report);
    Some(root::decode(&Field::new("", &merged), destination, generation, report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_known_by_their_files() {
        let names = [
            "deploy.yml",
            "deploy.staging.yml",
            "deploy.eu.west.yml",
            "deploy..yml",
            "other.prod.yml",
            "deploy.x.yaml",
        ];
        let names = names.map(String::from);
        let found =
            |base: &str| destinations(base, &names).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(found("config/deploy.yml"), ["eu.west", "staging"]);
        assert_eq!(found("other.yml"), ["prod"]);
        assert_eq!(destinations("a/deploy.yml", &names)[1].1, "a/deploy.staging.yml");
    }

    #[test]
    fn the_destinations_file_is_beside_the_base_file() {
        let cases = [
            ("config/deploy.yml", "config/deploy.staging.yml"),
            ("x.yaml", "x.staging.yml"),
            ("a.b/deploy", "a.b/deploy.staging.yml"),
            ("a.b.yml", "a.b.staging.yml"),
            (".deploy", ".deploy.staging.yml"),
        ];
        for (base, path) in cases {
            assert_eq!(destination_path(base, "staging"), path);
        }
    }
}
