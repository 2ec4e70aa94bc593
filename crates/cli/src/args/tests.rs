use std::collections::BTreeSet;

use super::*;

fn parsed(line: &str) -> Result<Cli, clap::Error> {
    parse(line.split(' ').map(Into::into))
}

fn help(path: &[String]) -> String {
    let words = ["bowline"].into_iter().chain(path.iter().map(String::as_str)).chain(["--help"]);
    // A fixed width, for any terminal.
    let shown = command().term_width(100).try_get_matches_from(words);
    shown.map(|_| String::new()).unwrap_or_else(|error| error.to_string())
}

#[test]
fn the_description_is_sound() {
    command().debug_assert();
}

fn below(command: &clap::Command, path: &[String], paths: &mut Vec<Vec<String>>) {
    for sub in command.get_subcommands().filter(|sub| is_shown(sub)) {
        let path: Vec<String> = path.iter().cloned().chain([sub.get_name().to_owned()]).collect();
        below(sub, &path, paths);
        paths.push(path);
    }
}

#[test]
fn every_help() {
    let mut paths = vec![Vec::new()];
    below(&command(), &[], &mut paths);
    for path in paths {
        insta::assert_snapshot!(format!("help {}", path.join(" ")).trim().replace(' ', "_"), help(&path));
    }
}

/// The commands in the first column of a row of a table in docs/usage.md:
/// ``| `bowline lock status`, `lock release` | … |``. ``| `bowline proxy …` | … |`` stands for all commands below `proxy`.
fn in_row(row: &str, named: &mut BTreeSet<Vec<String>>) {
    let root = command();
    let column = row.trim_start_matches("| ").split(" | ").next().unwrap();
    for code in column.split('`').skip(1).step_by(2) {
        let code = code.trim_start_matches("bowline ").replace(['[', ']'], "");
        let (name, rest) = code.split_once(' ').unwrap_or((&code, ""));
        let command = root.find_subcommand(name).unwrap_or_else(|| panic!("no command: {name}"));
        if !command.has_subcommands() {
            named.insert(vec![name.to_owned()]);
            continue;
        }
        if rest == "…" {
            let below = command.get_subcommands().filter(|below| is_shown(below));
            named.extend(below.map(|below| vec![name.to_owned(), below.get_name().to_owned()]));
        }
        for word in rest.split(' ').filter(|word| *word != "…") {
            let argument = word.contains(char::is_uppercase);
            for below in word.split("\\|").filter(|below| !below.starts_with('-')) {
                assert!(argument || command.find_subcommand(below).is_some(), "no command: {name} {below}");
                if command.find_subcommand(below).is_some() {
                    named.insert(vec![name.to_owned(), below.to_owned()]);
                }
            }
        }
    }
}

#[test]
fn the_overview_has_every_command_and_no_other() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/usage.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut named = BTreeSet::new();
    page.lines().filter(|line| line.starts_with("| `bowline ")).for_each(|row| in_row(row, &mut named));
    let mut paths = Vec::new();
    below(&command(), &[], &mut paths);
    let groups: Vec<_> =
        paths.iter().filter(|path| path.len() > 1).map(|path| vec![path[0].clone()]).collect();
    paths.retain(|path| !groups.contains(path));
    paths.iter_mut().for_each(|path| path.truncate(2));
    assert_eq!(named, paths.into_iter().collect(), "the table of commands in docs/usage.md");
}

#[test]
fn flags_are_taken_before_and_after_the_command() {
    let cli = parsed("bowline -d staging deploy -h a,b -h c -r web,worker -pP --version 1").unwrap();
    assert_eq!(cli.globals.destination.as_deref(), Some("staging"));
    assert_eq!(cli.globals.hosts, ["a", "b", "c"]);
    assert_eq!(cli.globals.roles, ["web", "worker"]);
    assert!(cli.globals.primary);
    assert_eq!(cli.globals.version.as_deref(), Some("1"));
    assert!(matches!(cli.command, Command::Deploy(deploy) if deploy.push.skip_push));
}

#[test]
fn version_alone_is_ours() {
    assert!(matches!(parsed("bowline --version").unwrap().command, Command::Version(_)));
    assert!(matches!(parsed("bowline version").unwrap().command, Command::Version(_)));
}

#[test]
fn underscores_stand_for_hyphens_in_commands() {
    let command = clap::Command::new("x").subcommand(clap::Command::new("stale-containers"));
    let matches = with_underscores(command).try_get_matches_from(["x", "stale_containers"]).unwrap();
    assert_eq!(matches.subcommand_name(), Some("stale-containers"));
}
