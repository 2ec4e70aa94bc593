//! The binary itself: commands without a project, and errors before one is read.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a helper of tests stops the test, or says that it can't run"
)]

mod common;

use assert_cmd::Command;

fn bowline(words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bowline")).args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn version() {
    let expected = (0, format!("{}\n", env!("CARGO_PKG_VERSION")), String::new());
    assert_eq!(bowline(&["version"]), expected);
    assert_eq!(bowline(&["--version"]), expected);
}

#[test]
fn usage_errors_end_with_2_and_are_told_on_standard_error() {
    let wrong: &[&[&str]] = &[
        &["deply"],
        &["deploy", "--bogus"],
        &["deploy", "extra"],
        &["deploy", "--version"],
        &["app", "exec"],
        &["app", "exec", "-i", "bash"],
        &["app", "exec", "echo 'a"],
        &["app", "logs", "-n", "many"],
        &["lock", "acquire"],
        &["plan", "deploy", "1f3a9c2"],
        &["plan", "everything"],
        // As with a variable that isn't set: not all servers.
        &["deploy", "-h", ""],
        &["app", "stop", "-r", " ,"],
        &["deploy", "--version", ""],
    ];
    for words in wrong {
        let (status, out, err) = bowline(words);
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}");
        assert!(err.starts_with("error: "), "{words:?}: {err}");
    }
}

#[test]
fn a_command_without_anything_to_do_asks_nothing() {
    let config =
        "service: a\nimage: a\nservers: [192.0.2.1]\nbuilder: {arch: amd64}\nproxy: {host: a.test}\n";
    let directory = common::project(&[("config/deploy.yml", config)]);
    for (words, says) in [
        (&["traefik", "reboot"][..], "no role behind Traefik runs on these servers"),
        (&["traefik", "remove", "-r", "web"], "no role behind Traefik runs on these servers"),
        (&["downgrade"], "the configuration still puts the app behind kamal-proxy"),
        (&["proxy", "reboot"], "this needs confirmation"),
        (&["deploy", "--image-archive", "absent.tar"], "`absent.tar`: there is no such file"),
        (&["plan", "--image-archive", "absent.tar"], "`absent.tar`: there is no such file"),
    ] {
        let (status, _, err) = common::bowline(directory.path(), &[], words);
        assert_eq!(status, 2, "{words:?}: {err}");
        assert!(err.contains(says), "{words:?}: {err}");
    }
}

#[test]
fn help_is_no_error() {
    for words in [&[][..], &["help"], &["--help"], &["app"], &["help", "app", "exec"], &["deploy", "--help"]]
    {
        let (status, out, err) = bowline(words);
        assert_eq!((status, err.as_str()), (0, ""), "{words:?}");
        assert!(out.contains("Usage: bowline"), "{words:?}: {out}");
    }
}

#[test]
fn an_error_can_be_had_as_json() {
    let (status, out, err) = bowline(&["traefik", "reboot", "--json"]);
    assert_eq!((status, err.as_str()), (2, ""));
    assert!(out.starts_with('{') && out.contains(r#""error":"configuration""#), "{out}");
}

/// The completions that Bash offers for a line with the cursor at its end.
fn offered(words: &[&str]) -> Vec<String> {
    let script = format!(
        "eval \"$('{}' completion bash)\"; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
         _bowline bowline \"${{@: -1}}\" \"${{@: -2:1}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        env!("CARGO_BIN_EXE_bowline")
    );
    let output = Command::new("bash").args(["-c", &script, "bash"]).args(words).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_flags() {
    assert_eq!(offered(&["bowline", "dep"]), ["deploy"]);
    assert_eq!(offered(&["bowline", "app", "log"]), ["logs"]);
    assert_eq!(offered(&["bowline", "deploy", "--skip-p"]), ["--skip-push"]);
    assert_eq!(offered(&["bowline", "completion", "z"]), ["zsh"]);
}

/// Whether a shell is installed. CI must have it.
fn there_is(shell: &str) -> bool {
    let there = Command::new(shell).arg("--version").output().is_ok();
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{shell} is missing: see bin/setup");
        eprintln!("SKIPPED: {shell} is missing: see bin/setup");
    }
    there
}

/// The output of a shell's script. The completions are in `$DIRECTORY`, and the words are its arguments.
fn in_shell(shell: &str, script: &str, words: &[&str]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let (_, completions, _) = bowline(&["completion", shell]);
    std::fs::write(directory.path().join("_bowline"), completions).unwrap();
    let mut command = Command::new(shell);
    let no_settings = if shell == "zsh" { "-f" } else { "--no-config" };
    command.args([no_settings, "-c", script]).arg(shell).args(words);
    if shell == "fish" {
        // fish doesn't take its own name as the first argument.
        command = Command::new(shell);
        command.args([no_settings, "-c", script]).args(words);
    }
    command.env("DIRECTORY", directory.path()).env("HOME", directory.path()).env("TERM", "dumb");
    command.current_dir(directory.path());
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn fish_completes_commands_flags_and_words_and_offers_files_only_where_one_is_wanted() {
    if !there_is("fish") {
        return;
    }
    let script = "source $DIRECTORY/_bowline; complete -C $argv[1] | string replace -r '\\t.*' ''";
    let offered = |line: &str| in_shell("fish", script, &[line]);
    assert_eq!(offered("bowline dep"), ["deploy"]);
    assert_eq!(offered("bowline app log"), ["logs"]);
    assert_eq!(offered("bowline deploy --skip-p"), ["--skip-push"]);
    assert_eq!(offered("bowline completion "), ["bash", "fish", "zsh"]);
    assert_eq!(offered("bowline rollback "), [""; 0]);
    assert_eq!(offered("bowline deploy -c _bow"), ["_bowline"]);
}

/// Types each line and a tab into a zsh on a terminal, and prints the resulting line.
const ZSH: &str = r#"
zmodload zsh/zpty
read_to() { local chunk; REPLY=; while zpty -r shell chunk "*$1*"; do REPLY+=$chunk; [[ $REPLY == *$1* ]] && return; done }
zpty shell zsh -f -i
zpty -w shell 'PS1=; fpath=($DIRECTORY $fpath); autoload -Uz compinit; compinit -u -D; bindkey "^I" complete-word
  show() { print -r -- "$BUFFER|" >>$DIRECTORY/lines; BUFFER=; print -r -- sh""own; zle reset-prompt }; zle -N show; bindkey "^X" show; print re""ady'
read_to ready
for line; do zpty -w -n shell "$line"$'	\C-X'; read_to shown; done
zpty -d shell
print -r -- "$(<$DIRECTORY/lines)"
"#;

#[test]
fn zsh_completes_commands_flags_and_words() {
    if !there_is("zsh") {
        return;
    }
    let lines = ["bowline dep", "bowline app log", "bowline deploy --skip-p", "bowline completion z"];
    let completed = in_shell("zsh", ZSH, &lines);
    let whole = [
        "bowline deploy |",
        "bowline app logs |",
        "bowline deploy --skip-push |",
        "bowline completion zsh |",
    ];
    assert_eq!(completed, whole);
}
