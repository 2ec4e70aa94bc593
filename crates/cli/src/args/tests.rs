use super::*;

fn parsed(line: &str) -> Result<Cli, clap::Error> {
    parse(line.split(' ').map(Into::into))
}

fn help(path: &[String]) -> String {
    let words = ["bowline"].into_iter().chain(path.iter().map(String::as_str)).chain(["--help"]);
    // Not as wide as the terminal that the tests happen to run in.
    let shown = command().term_width(100).try_get_matches_from(words);
    shown.map(|_| String::new()).unwrap_or_else(|error| error.to_string())
}

#[test]
fn the_description_is_sound() {
    command().debug_assert();
}

/// The names of all commands that help shows, each with those above it.
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
