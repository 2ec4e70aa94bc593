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
    assert!(matches!(cli.command, Command::Deploy(Push { skip_push: true, .. })));
}

#[test]
fn what_follows_the_command_of_exec_is_its_own() {
    let words = |line: &str| match parsed(line).unwrap().command {
        Command::App(App::Exec(exec)) => (exec.reuse, exec.env, exec.words),
        other => panic!("{other:?}"),
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        words("bowline app exec --reuse -e A=b:c -e D:e=f ls -la --reuse -v"),
        (
            true,
            vec![pair("A", "b:c"), pair("D", "e=f")],
            vec!["ls".into(), "-la".into(), "--reuse".into(), "-v".into()]
        )
    );
    assert_eq!(words("bowline app exec -- -x -- y").2, ["-x", "--", "y"]);
    assert!(parsed("bowline app exec -x bash").is_err(), "an unknown flag is no command");
    assert!(parsed("bowline app exec").is_err());
    for clash in ["-i --raw", "-i --detach", "--raw --detach", "--detach --reuse"] {
        assert!(parsed(&format!("bowline app exec {clash} ls")).is_err(), "{clash}");
    }
    assert!(parsed("bowline app exec -i --reuse sh").is_ok());
    let Command::App(App::Exec(exec)) =
        parsed("bowline app exec -i --no-interactive --reuse --no-reuse --no-detach ls").unwrap().command
    else {
        panic!("an exec")
    };
    assert!(!exec.interactive && !exec.reuse && exec.words == ["ls"], "as Kamal takes them: {exec:?}");
    assert!(parsed("bowline server exec --no-interactive ls").is_ok());
    assert!(parsed("bowline app exec --raw --reuse ls").is_ok());
    assert!(parsed("bowline app exec -e A ls").is_err());
}

#[test]
fn version_alone_is_ours() {
    assert!(matches!(parsed("bowline --version").unwrap().command, Command::Version));
    assert!(matches!(parsed("bowline version").unwrap().command, Command::Version));
}

#[test]
fn underscores_stand_for_hyphens_in_commands() {
    let command = clap::Command::new("x").subcommand(clap::Command::new("stale-containers"));
    let matches = with_underscores(command).try_get_matches_from(["x", "stale_containers"]).unwrap();
    assert_eq!(matches.subcommand_name(), Some("stale-containers"));
}
