//! The binary itself: what needs no project, and what is wrong before one is read.

#![allow(clippy::unwrap_used, reason = "a helper of tests stops the test")]

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
    ];
    for words in wrong {
        let (status, out, err) = bowline(words);
        assert_eq!((status, out.as_str()), (2, ""), "{words:?}");
        assert!(err.starts_with("error: "), "{words:?}: {err}");
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
    let (status, out, err) = bowline(&["plan", "deploy", "1f3a9c2", "--json"]);
    assert_eq!((status, err.as_str()), (2, ""));
    assert!(out.starts_with('{') && out.contains(r#""error":"usage""#), "{out}");
}

/// What Bash offers for a line with the cursor at its end.
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
